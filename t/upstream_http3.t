# Tests for upstreams that are spoken to in HTTP/3, which Angie can: where a
# token may go, token and tenant, replays, and kept connections.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::CA;
use Zertiban::Conf;
use Zertiban::Revocation;
use Zertiban::Shim;
use Zertiban::Test;
use Zertiban::Upstream;

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
my $upstream = Zertiban::Upstream->new($t, $api, $tokens);

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

# headers and bodies

$upstream->passes_headers('Authorization: Bearer own', 'X-Tenant-Id: own');
$upstream->passes_body('/body?client=headers', 'a large body');

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

$upstream->replays();

$t->finish();

done_testing();
