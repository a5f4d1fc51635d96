#!/usr/bin/perl

# Which level's setting holds, and where variables are evaluated: the token
# says where it was asked for, with which body length, and with which id and
# secret.

use strict;
use warnings;

use lib 't/lib';
use Zertiban::Socket;

use Digest::MD5 qw(md5_hex);
use MIME::Base64 qw(encode_base64);

# "--- config" has names for tenants; nginx gets UUIDs

sub tenant {
    my ($name) = @_;

    return join '-', unpack 'A8 A4 A4 A4 A12', md5_hex($name);
}

# what the API must have seen

sub seen {
    my ($path, $id, $secret, $tenant, $scope) = @_;

    my $length = 29 + (defined $scope ? length "&scope=$scope" : 0);

    return "Bearer $path.$length." . encode_base64("$id:$secret", '') . ' '
           . tenant($tenant) . "\n";
}

my $played = <<'EOC';
        location /token {
            zertiban off;

            set $basic "";

            if ($http_authorization ~ "^Basic (.+)$") {
                set $basic $1;
            }

            return 200 '{"access_token":"$uri.$content_length.$basic"}';
        }

        location /once {
            zertiban off;
            return   200 '{"access_token":"$request_id"}';
        }

        location /api {
            zertiban off;
            return   200 "$http_authorization $http_x_tenant_id\n";
        }
EOC

add_block_preprocessor(sub {
    my ($block) = @_;

    my $base = "http://127.0.0.1:$ENV{TEST_NGINX_SERVER_PORT}";

    for my $section (qw(http_config config)) {
        my $text = $block->$section // '';

        $text .= "\n$played" if $section eq 'config';
        $text =~ s/token_endpoint (\/[^;]*)/token_endpoint $base$1/g;
        $text =~ s/(tenant_id) ([^\$;]+)/"$1 " . tenant($2)/ge;
        $text =~ s/proxy_pass;/proxy_pass $base\/api;/g;

        $block->set_value($section => $text);
    }

    $Test::Nginx::Util::WorkerUser
        = defined $block->worker_user ? $block->worker_user =~ s/\s+\z//r
                                      : undef;

    $block->set_value(request => 'GET /t') if !defined $block->request;
});

no_long_string();
plan('no_plan');
run_tests();

__DATA__

=== TEST 1: a location inherits from http
--- http_config
    zertiban on;
    zertiban_token_endpoint /token/http;
    zertiban_client_id http;
    zertiban_client_secret in-http;
    zertiban_tenant_id t-http;
    zertiban_scope http;
--- config
    location /t { proxy_pass; }
--- response_body eval
main::seen('/token/http', 'http', 'in-http', 't-http', 'http')



=== TEST 2: the server's settings hold over those of http
--- http_config
    zertiban off;
    zertiban_token_endpoint /token/http;
    zertiban_client_id http;
    zertiban_client_secret in-http;
    zertiban_tenant_id t-http;
    zertiban_scope http;
--- config
    zertiban on;
    zertiban_token_endpoint /token/server;
    zertiban_client_id server;
    zertiban_client_secret in-server;
    zertiban_tenant_id t-server;
    zertiban_scope server;
    location /t { proxy_pass; }
--- response_body eval
main::seen('/token/server', 'server', 'in-server', 't-server', 'server')



=== TEST 3: the location's settings hold over those of the server
--- config
    zertiban off;
    zertiban_token_endpoint /token/server;
    zertiban_client_id server;
    zertiban_client_secret in-server;
    zertiban_tenant_id t-server;
    zertiban_scope server;

    location /t {
        zertiban on;
        zertiban_token_endpoint /token/location;
        zertiban_client_id location;
        zertiban_client_secret in-location;
        zertiban_tenant_id t-location;
        zertiban_scope location;
        proxy_pass;
    }
--- response_body eval
main::seen('/token/location', 'location', 'in-location', 't-location',
           'location')



=== TEST 4: each setting is inherited by itself
--- http_config
    zertiban_token_endpoint /token/http;
--- config
    zertiban_client_id server;

    location /t {
        zertiban_client_secret in-outer;
        zertiban_scope outer;

        location /t/inner {
            zertiban on;
            zertiban_tenant_id t-inner;
            proxy_pass;
        }
    }
--- request
GET /t/inner
--- response_body eval
main::seen('/token/http', 'server', 'in-outer', 't-inner', 'outer')



=== TEST 5: an empty scope takes back the inherited one
--- config
    zertiban_scope server;

    location /t {
        zertiban on;
        zertiban_token_endpoint /token/t;
        zertiban_client_id a;
        zertiban_client_secret b;
        zertiban_tenant_id c;
        zertiban_scope "";
        proxy_pass;
    }
--- response_body eval
main::seen('/token/t', 'a', 'b', 'c')



=== TEST 6: a location may leave the gate of its server
--- config
    zertiban on;
    zertiban_token_endpoint /token/t;
    zertiban_client_id a;
    zertiban_client_secret b;
    zertiban_tenant_id c;

    location /t {
        zertiban off;
        proxy_pass;
    }
--- response_body eval
" \n"



=== TEST 7: a secret file holds over an inherited secret
--- config
    zertiban_client_secret in-server;

    location /t {
        zertiban on;
        zertiban_token_endpoint /token/t;
        zertiban_client_id a;
        zertiban_client_secret_file $TEST_NGINX_SERVER_ROOT/html/secret;
        zertiban_tenant_id c;
        proxy_pass;
    }
--- post_setup_server_root
main::secret_file("in-file\n")
--- response_body eval
main::seen('/token/t', 'a', 'in-file', 'c')



=== TEST 8: a secret holds over an inherited secret file
--- config
    zertiban_client_secret_file $TEST_NGINX_SERVER_ROOT/html/secret;

    location /t {
        zertiban on;
        zertiban_token_endpoint /token/t;
        zertiban_client_id a;
        zertiban_client_secret in-location;
        zertiban_tenant_id c;
        proxy_pass;
    }
--- post_setup_server_root
main::secret_file("in-file\n")
--- response_body eval
main::seen('/token/t', 'a', 'in-location', 'c')



=== TEST 9: a secret file is inherited
--- http_config
    zertiban_client_secret_file $TEST_NGINX_SERVER_ROOT/html/secret;
--- config
    location /t {
        zertiban on;
        zertiban_token_endpoint /token/t;
        zertiban_client_id a;
        zertiban_tenant_id c;
        proxy_pass;
    }
--- post_setup_server_root
main::secret_file("in-file\n")
--- response_body eval
main::seen('/token/t', 'a', 'in-file', 'c')



=== TEST 10: a secret file that only root can read serves other workers
--- skip_eval: 3: $> != 0
--- worker_user
nobody nogroup
--- config
    location /t {
        zertiban on;
        zertiban_token_endpoint /token/t;
        zertiban_client_id $arg_id;
        zertiban_client_secret_file $TEST_NGINX_SERVER_ROOT/html/secret;
        zertiban_tenant_id c;
        proxy_pass;
    }
--- post_setup_server_root
main::secret_file("in-file\n")
--- request
GET /t?id=a
--- response_body eval
main::seen('/token/t', 'a', 'in-file', 'c')
--- no_error_log
[warn]



=== TEST 11: a path of a secret file is relative to the configuration
--- config
    location /t {
        zertiban on;
        zertiban_token_endpoint /token/t;
        zertiban_client_id a;
        zertiban_client_secret_file ../html/secret;
        zertiban_tenant_id c;
        proxy_pass;
    }
--- post_setup_server_root
main::secret_file("in-file\n")
--- response_body eval
main::seen('/token/t', 'a', 'in-file', 'c')



=== TEST 12: variables are evaluated for each request
--- config
    location /t {
        zertiban on;
        zertiban_token_endpoint /token/t;
        zertiban_client_id $arg_a;
        zertiban_client_secret x$arg_b;
        zertiban_tenant_id $arg_c;
        proxy_pass;
    }
--- request eval
[map { "GET /t?a=$$_[0]&b=$$_[1]&c=" . main::tenant($$_[2]) }
 [1, 2, 3], [4, 5, 6], [1, 2, 7]]
--- response_body eval
[main::seen('/token/t', 1, 'x2', 3),
 main::seen('/token/t', 4, 'x5', 6),
 main::seen('/token/t', 1, 'x2', 7)]



=== TEST 13: a "$" in a scope begins no variable
--- config
    location /t {
        zertiban on;
        zertiban_token_endpoint /token/t;
        zertiban_client_id a;
        zertiban_client_secret b;
        zertiban_tenant_id c;
        zertiban_scope $uri;
        proxy_pass;
    }
--- response_body eval
main::seen('/token/t', 'a', 'b', 'c', '%24uri')



=== TEST 14: "if" opens the gate
--- config
    location /t {
        zertiban_token_endpoint /token/t;
        zertiban_client_id a;
        zertiban_client_secret b;
        zertiban_tenant_id c;
        proxy_pass;

        if ($arg_gate) {
            zertiban on;
        }
    }
--- request eval
["GET /t", "GET /t?gate=1", "GET /t"]
--- response_body eval
[" \n", main::seen('/token/t', 'a', 'b', 'c'), " \n"]



=== TEST 15: "if" closes the gate
--- config
    location /t {
        zertiban on;
        zertiban_token_endpoint /token/t;
        zertiban_client_id a;
        zertiban_client_secret b;
        zertiban_tenant_id c;
        proxy_pass;

        if ($arg_open) {
            zertiban off;
        }

        if ($arg_other) {
            set $other 1;
        }
    }
--- request eval
["GET /t", "GET /t?open=1", "GET /t?other=1"]
--- response_body eval
[main::seen('/token/t', 'a', 'b', 'c'), " \n",
 main::seen('/token/t', 'a', 'b', 'c')]



=== TEST 16: a proxy_pass inside of "if" is gated
--- config
    location /t {
        zertiban on;
        zertiban_token_endpoint /token/t;
        zertiban_client_id a;
        zertiban_client_secret b;
        zertiban_tenant_id c;

        if ($arg_x) {
            set $pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/api;
            proxy_pass $pass;
        }
    }
--- request
GET /t?x=1
--- response_body eval
main::seen('/token/t', 'a', 'b', 'c')



=== TEST 17: equal credentials of two locations share one token
--- config
    zertiban_token_endpoint /once;
    zertiban_client_id $server_name;
    zertiban_client_secret b;

    location /t {
        zertiban on;
        zertiban_tenant_id one;
        zertiban_timeout 5s;
        add_header X-Cache $zertiban_cache;
        proxy_pass;
    }

    location /u {
        zertiban on;
        zertiban_tenant_id two;
        zertiban_timeout 6s;
        add_header X-Cache $zertiban_cache;
        proxy_pass;
    }
--- request eval
["GET /t", "GET /u"]
--- response_headers eval
["X-Cache: wait", "X-Cache: hit"]
--- response_body eval
[map { my $t = main::tenant($_); qr/^Bearer [0-9a-f]{32} $t$/ } qw(one two)]



=== TEST 18: a credential with another scope has another token
--- config
    zertiban_token_endpoint /once;
    zertiban_client_id $server_name;
    zertiban_client_secret b;
    zertiban_tenant_id c;

    location /t {
        zertiban on;
        add_header X-Cache $zertiban_cache;
        proxy_pass;
    }

    location /u {
        zertiban on;
        zertiban_scope more;
        add_header X-Cache $zertiban_cache;
        proxy_pass;
    }
--- request eval
["GET /t", "GET /u", "GET /t", "GET /u"]
--- response_headers eval
["X-Cache: wait", "X-Cache: wait", "X-Cache: hit", "X-Cache: hit"]
--- response_body eval
[(qr/^Bearer [0-9a-f]{32} /) x 4]



=== TEST 19: a credential with another endpoint has another token
--- config
    zertiban_client_id $server_name;
    zertiban_client_secret b;
    zertiban_tenant_id c;

    location /t {
        zertiban on;
        zertiban_token_endpoint /token/t;
        proxy_pass;
    }

    location /u {
        zertiban on;
        zertiban_token_endpoint /token/u;
        proxy_pass;
    }
--- request eval
["GET /t", "GET /u", "GET /t"]
--- response_body eval
[main::seen('/token/t', 'localhost', 'b', 'c'),
 main::seen('/token/u', 'localhost', 'b', 'c'),
 main::seen('/token/t', 'localhost', 'b', 'c')]



=== TEST 20: a zone of another name and size
--- http_config
    zertiban_zone tokens:2m;
--- config
    location /t {
        zertiban on;
        zertiban_token_endpoint /token/t;
        zertiban_client_id a;
        zertiban_client_secret b;
        zertiban_tenant_id c;
        proxy_pass;
    }
--- response_body eval
main::seen('/token/t', 'a', 'b', 'c')



=== TEST 21: nginx starts while the endpoint is down
--- config
    location /t {
        zertiban on;
        zertiban_token_endpoint http://127.0.0.1:$TEST_NGINX_IDP_PORT/token;
        zertiban_client_id a;
        zertiban_client_secret b;
        zertiban_tenant_id c;
        proxy_pass;
        add_header X-Error $zertiban_error always;
    }
--- error_code: 503
--- response_headers
X-Error: idp_unreachable
--- error_log
Connection refused



=== TEST 22: nginx starts while the endpoint's name has no address
--- config
    location /t {
        zertiban on;
        zertiban_token_endpoint https://no-such-idp.invalid/token;
        zertiban_client_id a;
        zertiban_client_secret b;
        zertiban_tenant_id c;
        proxy_pass;
        add_header X-Error $zertiban_error always;
    }
--- suppress_stderr
--- error_code: 503
--- response_headers
X-Error: idp_unreachable
--- error_log
no-such-idp.invalid
