# Tests for upstreams that are spoken to in HTTP/2, with "proxy_http_version 2":
# token and tenant, replays, kept connections, trailers and early hints.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Conf;
use Zertiban::Revocation;
use Zertiban::Test;
use Zertiban::Upstream qw(seen);

if (Zertiban::Nginx::version() < 1029004) {
    my (undef, $lines) = check(http([], [
        'location / { proxy_http_version 2; proxy_pass http://127.0.0.1:9; }',
    ]));

    like("@$lines", qr/\[emerg\].* invalid value "2"/,
         'this nginx has no such upstreams');
    done_testing();
    exit;
}

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();
my $tokens = Zertiban::Revocation->new($t, $idp);
my $upstream = Zertiban::Upstream->new($t, $api, $tokens);

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url());
    client_max_body_size 16m;
    client_body_buffer_size 64k;

    upstream kept {
        server 127.0.0.1:%%PORT_front%%;
        keepalive 4;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant-$arg_client;

        proxy_http_version 2;
        add_header X-Seen "$zertiban_cache $upstream_status" always;
        underscores_in_headers on;

        location / {
            proxy_pass http://127.0.0.1:%%PORT_front%%;
        }

        location /streamed {
            proxy_request_buffering off;
            proxy_pass http://127.0.0.1:%%PORT_front%%;
        }

        location /kept {
            proxy_pass http://kept;
        }

        location /trailers {
            proxy_pass_trailers on;
            proxy_pass http://127.0.0.1:%%PORT_front%%;
        }

        location /hints {
            early_hints $arg_hints;
            proxy_pass http://127.0.0.1:%%PORT_front%%;
        }
    }

    # shows what the upstream got as HTTP/1

    server {
        listen 127.0.0.1:%%PORT_front%% http2;
        access_log off;
        underscores_in_headers on;
        early_hints 1;

        proxy_http_version 1.1;

        location / {
            proxy_pass http://%%API%%;
        }

        location /streamed {
            proxy_request_buffering off;
            proxy_pass http://%%API%%;
        }

        location /kept/ {
            proxy_set_header X-Connection $connection;
            proxy_pass http://%%API%%;
        }

        location /trailers {
            add_trailer X-Trailer last;
            proxy_pass http://%%API%%;
        }
    }
EOF

my $chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
             . "5\r\nbody\n\r\n0\r\n\r\n";
my $hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";

$api->answer(sub {
    my ($request) = @_;

    return $chunks if $request->{uri} =~ /^\/trailers/;
    return ($request->{uri} =~ /^\/hints/ ? $hints : '')
           . ($tokens->answer($request) // $api->default($request));
});

# headers and bodies

$upstream->passes_headers('Authorization: Bearer own', 'X-Tenant-Id: own',
                          'X_Tenant_Id: own');

$upstream->passes_body("/$_?client=headers", "$_: a large body")
    for qw(buffered streamed);

# connections

$t->get("/kept/$_?client=headers") for 1 .. 5;

my @connections = map { $_->header('X-Connection') }
                  map { $api->requests("/kept/$_?client=headers") } 1 .. 5;

is(scalar @connections, 5, 'five requests');
is(keys %{{ map { $_ => 1 } @connections }}, 1, 'with one connection');

# trailers

my $output = curl('-i', '--raw', '-H', 'TE: trailers', '-H', 'Connection: TE',
                  'http://127.0.0.1:' . $t->port()
                  . '/trailers?client=headers');

like($output, qr/\AHTTP\/1\.1 200 .*\r\n0\r\nx-trailer: last\r\n\r\n\z/s,
     'a trailer is passed on');
is(join('', Zertiban::Secrets::secrets_in($output)), '', 'and no token');

# replays

$upstream->replays(qw(streamed hints unwanted passed));

# the first status is what nginx notes

my $uri = '/hints?client=unwanted';

is(seen($t->get($uri)), "200 replay 103 : 103 GET $uri\n",
   'early hints that a client does not want');
is($tokens->tokens($api, $uri), '1 2', 'with the next token');

my $client = $t->start('GET', '/hints?client=passed&hints=1');

is($client->response()->{status}, 103, 'hints that are passed on');
is(seen($client->response()), "401 hit 103 revoked\n", 'before a 401');
is($api->count('/hints?client=passed&hints=1'), 1, 'which is not replayed');

# a body of which a part is there when the API answers

my $heads = $api->{heads};

$client = $t->start('POST', '/streamed?client=streamed', headers => [
    'Content-Length: 2000']);
$client->{stream}->write('x' x 1000);

wait_until { $api->{heads} > $heads };

$client->{stream}->write('x' x 1000);

is(seen($client->response()), "401 hit 401 revoked\n",
   'a body that is streamed');
is($api->count('/streamed?client=streamed'), 1, 'is not sent again');

$t->finish();

done_testing();
