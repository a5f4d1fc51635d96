# Tests for the order in which this module and Debian's others are loaded.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw(shuffle);

use Zertiban::Beside;
use Zertiban::Test;

my $tenant = '7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11';

# each module has a part in each request, but for those that need a data base
# or the system's users

my $config = <<'EOF';
    js_import part from %%DIR%%/part.js;
    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;

    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id client;
        zertiban_client_secret secret-of-client;
        zertiban_tenant_id %%TENANT%%;

        access_by_lua_block { ngx.req.set_header('X-Lua', 'lua') }
        more_set_input_headers 'X-More: more';
        header_filter_by_lua_block { ngx.header['X-Lua'] = 'lua' }
        more_set_headers 'X-More: more';
        brotli on;
        brotli_types text/plain;
        brotli_min_length 1;

        proxy_cache cache;
        proxy_cache_valid 1m;
        proxy_cache_key $uri/$zertiban_tenant_id;

        location /gated {
            zertiban on;
            js_header_filter part.header;
            echo_after_body after;
            proxy_pass http://%%API%%;
        }

        location /purging {
            proxy_cache_purge cache $arg_uri/%%TENANT%%;
        }

        location / {
            js_header_filter part.header;
            echo_after_body after;
            proxy_pass http://%%API%%;
        }
    }
EOF

my @all = @Zertiban::Beside::names;

my @orders = (
    ['zertiban', @all],
    [@all, 'zertiban'],
    [@all[0 .. $#all / 2], 'zertiban', @all[$#all / 2 + 1 .. $#all]],
    ['zertiban', reverse @all],
    [reverse(@all), 'zertiban'],
);

# the same ones each time

srand 5;
push @orders, map { [shuffle('zertiban', @all)] } 1 .. 4;


# whose headers the API got, and what the others have added: to the request
# (<), and to the answer (>)

sub seen {
    my ($t, $api, $idp, $uri) = @_;

    my $answer = $t->get($uri, headers => [
        'Authorization: Basic own', 'x-tenant-id: own',
        'Accept-Encoding: br']);
    my $request = $api->last($uri) or return 'no request';

    my ($token) = $idp->tokens();
    my %owners = ('Basic own own' => 'client', "$token $tenant" => 'gate');

    return join ' ', $answer->{status},
        $owners{$request->token() . ' ' . $request->tenant()} // 'somebody',
        (map { map { "<$_" } $request->header($_) } qw(X-Lua X-More)),
        (map { map { ">$_" } $answer->header($_) }
         qw(X-Lua X-More X-Js Content-Encoding));
}


for my $order (@orders) {
    my $t = Zertiban::Nginx->new(load => [beside(@$order)]);
    my $api = Zertiban::API->new();
    my $idp = Zertiban::IdP->new();

    $api->answer($api->text(200, "gotten\n", 'Content-Type: text/plain'));

    $t->write_file('part.js', "export default { header: function (r) {"
                              . " r.headersOut['X-Js'] = 'js'; } };\n");

    $t->run($config, API => $api->address(), IDP => $idp->url(),
            TENANT => $tenant);

    my $others = '<lua <more >lua >more >js >br';

    is(seen($t, $api, $idp, '/gated'), "200 gate $others",
       "in the order @$order");
    is(seen($t, $api, $idp, '/open'), "200 client $others",
       'only the gate has the token');
    is($t->get('/purging?uri=/gated')->{status}, 200,
       'what is in the cache can be purged');

    $t->finish();
}

done_testing();
