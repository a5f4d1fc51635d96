# Tests for requests that the server makes for itself, which Angie does to get
# certificates: a gate around everything is not for them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Conf;
use Zertiban::Test;

if (!Zertiban::Nginx::has('http_acme_module')) {
    my (undef, $lines) = check(http(['acme_client own http://127.0.0.1:9/;']));

    like("@$lines", qr/\[emerg\].* unknown directive "acme_client"/,
         'this nginx makes none');
    done_testing();
    exit;
}

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();

for my $case (['implicit', ''],
              ['explicit', 'client { location @acme { zertiban_scope a; } }'],
              ['on', 'client { zertiban on; location @acme { } }'])
{
    my ($name, $block) = @$case;
    my $t = Zertiban::Nginx->new();

    $t->run(<<'EOF' =~ s/%%BLOCK%%/$block/r,
    zertiban on;
    zertiban_token_endpoint %%IDP%%;
    zertiban_client_id %%NAME%%;
    zertiban_client_secret secret-of-%%NAME%%;
    zertiban_tenant_id tenant;

    %%BLOCK%%

    acme_client own http://%%API%%/directory/%%NAME%%;
    acme_client_path %%DIR%%/acme;
    acme_http_port %%PORT_acme%%;

    server {
        listen 127.0.0.1:%%PORT%%;
        server_name a.example;
        acme own;

        set $certificate $acme_cert_own;

        location / {
            proxy_pass http://%%API%%;
        }
    }
EOF
        API => $api->address(), IDP => $idp->url(), NAME => $name);

    my $request = $api->got("/directory/$name");

    ok($request, "$name: a request for a certificate");
    is($request && $request->token(), '', 'has no token');
    is($request && $request->tenant(), '', 'and no tenant');

    is($t->get("/$name")->{status}, 200, 'that of a client is served');
    is($api->last("/$name")->token(), ($idp->tokens($name))[0],
       'with a token');

    $t->finish();
}

done_testing();
