# Tests for a token that goes from the zone in the moment between the gate and
# the upstream request. A script stands there.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Beside;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new(workers => 2,
                             load => [beside(qw(js zertiban))]);

# where to go is known when the file "go" is there

$t->write_file('part.js', <<'EOF');
import fs from 'fs';

function exists(path) {
    try {
        fs.accessSync(path);
        return true;

    } catch (e) {
        return false;
    }
}

function target(r) {
    const end = Date.now() + 20000;

    fs.writeFileSync(r.variables.here, '');

    while (!exists(r.variables.go) && Date.now() < end) {
        /* the worker stands still */
    }

    return r.variables.api;
}

export default { target };
EOF

$t->run(<<'EOF', IDP => $idp->url(), API => $api->address());
    js_path %%DIR%%;
    js_import part.js;
    js_set $target part.target;

    zertiban_zone tiny:32k;

    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id client-$arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id a-tenant;

        set $api %%API%%;
        set $go %%DIR%%/go;
        set $here %%DIR%%/here;

        location / {
            proxy_pass http://%%API%%;
        }

        location /between {
            proxy_pass http://$target;
        }
    }
EOF

# both workers know the token

$_->leave() for map { $_->send("GET /?client=one HTTP/1.1\r\nHost: a\r\n\r\n");
                      $_->response(); $_ } $t->connect_workers(1);

is($idp->count('client-one'), 1, 'there is a token');

my $between = $t->start('GET', '/between?client=one');
wait_until { -e $t->dir() . '/here' };

my @others = map { $t->get("/?client=other$_")->{status} } 1 .. 150;
is(count_of(@others), '200: 150', 'others need its place in the zone');

$t->write_file('go', '');

is($between->response()->{status}, 200, 'the request goes on');
is(($api->requests('/between?client=one'))[-1]->token(),
   ($idp->tokens('client-one'))[0], 'with the token that it has found');

is($t->get('/again?client=one')->{status}, 200, 'the next one');
is($idp->count('client-one'), 2, 'needs a new token');

$t->finish();
done_testing();
