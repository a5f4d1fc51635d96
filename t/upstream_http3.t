# Tests for upstreams that are spoken to in HTTP/3, which Angie can: where a
# token may go, token and tenant, replays, and kept connections.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw(md5_hex);

use Zertiban::CA;
use Zertiban::Conf;
use Zertiban::Revocation;
use Zertiban::Shim;
use Zertiban::Test;

my (undef, $lines) = check(http([], [
    'location / { proxy_http_version 3; proxy_pass https://127.0.0.1:9; }',
]));

if ("@$lines" !~ /syntax is ok/) {
    like("@$lines", qr/invalid value "3"/, 'this nginx has no such upstreams');
    done_testing();
    exit;
}

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $shim = Zertiban::Shim->new();
my $t = Zertiban::Nginx->new(env => $shim->env());
my $tokens = Zertiban::Revocation->new($t, $idp);

Zertiban::CA->new($t->dir(), 'ca')->sign('api', san => 'DNS:api.example');

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url());
    client_max_body_size 16m;
    client_body_buffer_size 64k;

    upstream kept {
        server 192.0.2.1:%%PORT_quic%%;
        keepalive 4;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_upstream_host api.example;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant-$arg_client;

        add_header X-Seen "$zertiban_cache $upstream_status" always;

        proxy_http_version 3;
        proxy_ssl_trusted_certificate %%DIR%%/ca.crt;

        location / {
            proxy_ssl_verify on;
            proxy_ssl_name api.example;
            proxy_pass https://192.0.2.1:%%PORT_quic%%;
        }

        location /kept {
            proxy_ssl_verify on;
            proxy_ssl_name api.example;
            proxy_pass https://kept;
        }

        location /local {
            proxy_pass https://127.0.0.1:%%PORT_quic%%;
        }

        location /unverified {
            proxy_pass https://kept;
        }

        location /other {
            zertiban_upstream_host other.example;
            proxy_ssl_verify on;
            proxy_ssl_name api.example;
            proxy_pass https://kept;
        }
    }

    # shows what the upstream got as HTTP/1

    server {
        listen 127.0.0.1:%%PORT_quic%% quic;
        ssl_certificate %%DIR%%/api.crt;
        ssl_certificate_key %%DIR%%/api.key;
        access_log off;

        proxy_http_version 1.1;

        location / {
            proxy_pass http://%%API%%;
        }

        location /kept {
            proxy_set_header X-Connection $remote_port;
            proxy_pass http://%%API%%;
        }
    }
EOF

$api->answer(sub { $tokens->answer($_[0]) // $api->default($_[0]) });


sub seen {
    my ($response) = @_;

    return join ' ', $response->{status}, $response->header('X-Seen'),
                     $response->{body};
}


# headers and bodies

$tokens->warm('headers');

my @own = ('Authorization: Bearer own', 'X-Tenant-Id: own');

for my $case (['no fields', ()], ['fields of these names', @own]) {
    my ($name, @fields) = @$case;
    my $uri = '/' . ($name =~ tr/ /-/r) . '?client=headers';

    is(seen($t->get($uri, headers => ['X-Other: kept', @fields])),
       "200 hit 200 GET $uri\n", "$name: served");

    my $request = $api->last($uri);

    is($request->token(), ($idp->tokens('headers'))[0], 'with one token');
    is($request->tenant(), 'tenant-headers', 'and one tenant');
    is(join(' ', $request->header('X-Other')), 'kept', 'and all others');
}

is(scalar $t->error_log(qr/the token is missing/), '',
   'nobody looks for the token in what is compressed');

my $body = join '', map { chr($_ % 251) } 1 .. 1024 * 1024;
my $uri = '/body?client=headers';

is(seen($t->start('POST', $uri, body => $body)->response()),
   "200 hit 200 POST $uri\n", 'a large body');
is(count_of(map { $_->{digest} } $api->requests($uri)),
   md5_hex($body) . ': 1', 'is sent once, and whole');

# where it may go, also over connections that others have made

is($t->get("/kept/$_?client=headers")->{status}, 200, 'a verified connection')
    for 1 .. 3;

my %connections = map { $_ => 1 } map { $_->header('X-Connection') }
                  grep { $_->{uri} =~ /^.kept/ } $api->requests();

is(keys %connections, 1, 'is kept');

is($t->get('/local?client=headers')->{status}, 200,
   'to this machine, none need be verified');

for my $case (['unverified', 'is not verified'],
              ['other', '"zertiban_upstream_host"|for another name'])
{
    my ($place, $why) = @$case;
    my $uri = "/$place?client=headers";

    is($t->get($uri)->{status}, 500, "$place: refused");
    is($t->logged($uri)->{error}, 'upstream_refused', 'for that reason');
    is($api->count($uri), 0, 'and not sent');
    like(scalar $t->error_log(qr{"/$place": }), qr/$why/, 'the log says why');
}

# replays

my @clients = qw(get post kept);

$tokens->warm(@clients);
$tokens->grow_old();
$tokens->revoke($_) for @clients;

$uri = '/replay?client=get';
$tokens->healed($api, $uri, $t->get($uri), 'GET', "GET $uri\n");

$uri = '/replay?client=post';
$tokens->healed($api, $uri, $t->start('POST', $uri, body => $body)->response(),
                'a large body', "POST $uri\n");

$uri = '/kept/replay?client=kept';
is(seen($t->get($uri)), "200 replay 401 : 200 GET $uri\n",
   'connections that are kept');
is($tokens->tokens($api, $uri), '1 2', 'with the next token');

$t->finish();

done_testing();
