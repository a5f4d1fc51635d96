#!/usr/bin/perl

# The token request, byte by byte, for each directive that has a part in it.
#
# The client id holds a variable, so that the exchange waits for the request:
# the endpoint does not listen before nginx has started.

use strict;
use warnings;

use lib 't/lib';
use Zertiban::Socket;

my $tenant = '7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11';

$ENV{TEST_NGINX_ZERTIBAN_VERSION} = version();

# "--- gate" is what a location adds to the settings of the server

add_block_preprocessor(sub {
    my ($block) = @_;

    my $gate = $block->gate // '';

    $block->set_value(config => <<"EOC") if !defined $block->config;
        zertiban                on;
        zertiban_token_endpoint
            http://127.0.0.1:\$TEST_NGINX_IDP_PORT/idp/oauth2/token;
        zertiban_client_id      \$arg_id;
        zertiban_client_secret  s3cret;
        zertiban_tenant_id      $tenant;

        location /t {
            $gate
            proxy_pass http://127.0.0.1:\$TEST_NGINX_SERVER_PORT/api;
        }

        location /api {
            zertiban off;
            return   200 "\$http_authorization \$http_x_tenant_id\\n";
        }
EOC

    # the token, the secret, and Basic of both id and secret

    $block->set_value(no_error_log => [qr/eyJ0\.t|s3cret|Z2F0ZXdheT/]);

    $block->set_value(request => 'GET /t?id=gateway')
        if !defined $block->request;

    if (defined $block->tcp_query) {
        $block->set_value(tcp_listen => $ENV{TEST_NGINX_IDP_PORT});
        $block->set_value(tcp_reply => crlf(<<'EOC'));
HTTP/1.1 200 OK
Content-Length: 74

{"access_token":"eyJ0.t-_~+/k==","token_type":"Bearer",
"expires_in":300}
EOC
    }

    if (!defined $block->response_body) {
        $block->set_value(response_body => "Bearer eyJ0.t-_~+/k== $tenant\n");
    }
});

plan('no_plan');
no_long_string();
run_tests();


# of the sources

sub version {
    my $path = 'ngx_zertiban_module/ngx_zertiban_version.h';

    open my $in, '<', $path or die "$path: $!";

    local $/;

    return (<$in> =~ /NGX_ZERTIBAN_VERSION +"(.+)"/)[0];
}

__DATA__

=== TEST 1: the request, byte by byte
--- tcp_query crlf
POST /idp/oauth2/token HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_IDP_PORT
Authorization: Basic Z2F0ZXdheTpzM2NyZXQ=
Content-Type: application/x-www-form-urlencoded
Accept: application/json
Accept-Encoding: identity
Content-Length: 29
User-Agent: ngx_zertiban_module/$TEST_NGINX_ZERTIBAN_VERSION
Connection: close

grant_type=client_credentials



=== TEST 2: the scope goes into the body
--- gate
zertiban_scope "openid profile api";
--- tcp_query crlf
POST /idp/oauth2/token HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_IDP_PORT
Authorization: Basic Z2F0ZXdheTpzM2NyZXQ=
Content-Type: application/x-www-form-urlencoded
Accept: application/json
Accept-Encoding: identity
Content-Length: 54
User-Agent: ngx_zertiban_module/$TEST_NGINX_ZERTIBAN_VERSION
Connection: close

grant_type=client_credentials&scope=openid+profile+api



=== TEST 3: the scope is form-encoded
--- gate
zertiban_scope "a&b=c+d/é%\"~*-._";
--- tcp_query crlf
POST /idp/oauth2/token HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_IDP_PORT
Authorization: Basic Z2F0ZXdheTpzM2NyZXQ=
Content-Type: application/x-www-form-urlencoded
Accept: application/json
Accept-Encoding: identity
Content-Length: 71
User-Agent: ngx_zertiban_module/$TEST_NGINX_ZERTIBAN_VERSION
Connection: close

grant_type=client_credentials&scope=a%26b%3Dc%2Bd%2F%C3%A9%25%22%7E*-._



=== TEST 4: an empty scope is not sent
--- gate
zertiban_scope "";
--- tcp_query crlf
POST /idp/oauth2/token HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_IDP_PORT
Authorization: Basic Z2F0ZXdheTpzM2NyZXQ=
Content-Type: application/x-www-form-urlencoded
Accept: application/json
Accept-Encoding: identity
Content-Length: 29
User-Agent: ngx_zertiban_module/$TEST_NGINX_ZERTIBAN_VERSION
Connection: close

grant_type=client_credentials



=== TEST 5: a secret with UTF-8 and reserved characters goes in raw
--- gate
zertiban_client_secret 'pä+/=: %&"';
--- tcp_query crlf
POST /idp/oauth2/token HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_IDP_PORT
Authorization: Basic Z2F0ZXdheTpww6QrLz06ICUmIg==
Content-Type: application/x-www-form-urlencoded
Accept: application/json
Accept-Encoding: identity
Content-Length: 29
User-Agent: ngx_zertiban_module/$TEST_NGINX_ZERTIBAN_VERSION
Connection: close

grant_type=client_credentials



=== TEST 6: a client id with UTF-8 goes in raw
--- gate
zertiban_client_id "gä$arg_id";
--- request
GET /t?id=teway
--- tcp_query crlf
POST /idp/oauth2/token HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_IDP_PORT
Authorization: Basic Z8OkdGV3YXk6czNjcmV0
Content-Type: application/x-www-form-urlencoded
Accept: application/json
Accept-Encoding: identity
Content-Length: 29
User-Agent: ngx_zertiban_module/$TEST_NGINX_ZERTIBAN_VERSION
Connection: close

grant_type=client_credentials



=== TEST 7: a secret with variables
--- gate
zertiban_client_secret "$arg_secret";
--- request
GET /t?id=gateway&secret=s3cret
--- tcp_query crlf
POST /idp/oauth2/token HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_IDP_PORT
Authorization: Basic Z2F0ZXdheTpzM2NyZXQ=
Content-Type: application/x-www-form-urlencoded
Accept: application/json
Accept-Encoding: identity
Content-Length: 29
User-Agent: ngx_zertiban_module/$TEST_NGINX_ZERTIBAN_VERSION
Connection: close

grant_type=client_credentials



=== TEST 8: the line end of a secret file is dropped
--- gate
zertiban_client_secret_file $TEST_NGINX_SERVER_ROOT/html/secret;
--- post_setup_server_root
main::secret_file("s3cret\n")
--- tcp_query crlf
POST /idp/oauth2/token HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_IDP_PORT
Authorization: Basic Z2F0ZXdheTpzM2NyZXQ=
Content-Type: application/x-www-form-urlencoded
Accept: application/json
Accept-Encoding: identity
Content-Length: 29
User-Agent: ngx_zertiban_module/$TEST_NGINX_ZERTIBAN_VERSION
Connection: close

grant_type=client_credentials



=== TEST 9: a line end of CR LF is dropped
--- gate
zertiban_client_secret_file $TEST_NGINX_SERVER_ROOT/html/secret;
--- post_setup_server_root
main::secret_file("s3cret\r\n")
--- tcp_query crlf
POST /idp/oauth2/token HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_IDP_PORT
Authorization: Basic Z2F0ZXdheTpzM2NyZXQ=
Content-Type: application/x-www-form-urlencoded
Accept: application/json
Accept-Encoding: identity
Content-Length: 29
User-Agent: ngx_zertiban_module/$TEST_NGINX_ZERTIBAN_VERSION
Connection: close

grant_type=client_credentials



=== TEST 10: a space at the end of a secret file belongs to the secret
--- gate
zertiban_client_secret_file $TEST_NGINX_SERVER_ROOT/html/secret;
--- post_setup_server_root
main::secret_file("s3cret ")
--- tcp_query crlf
POST /idp/oauth2/token HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_IDP_PORT
Authorization: Basic Z2F0ZXdheTpzM2NyZXQg
Content-Type: application/x-www-form-urlencoded
Accept: application/json
Accept-Encoding: identity
Content-Length: 29
User-Agent: ngx_zertiban_module/$TEST_NGINX_ZERTIBAN_VERSION
Connection: close

grant_type=client_credentials



=== TEST 11: a "$" in a secret file is no variable
--- gate
zertiban_client_secret_file $TEST_NGINX_SERVER_ROOT/html/secret;
--- post_setup_server_root
main::secret_file("\$s3\${cret}\$1\n")
--- tcp_query crlf
POST /idp/oauth2/token HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_IDP_PORT
Authorization: Basic Z2F0ZXdheTokczMke2NyZXR9JDE=
Content-Type: application/x-www-form-urlencoded
Accept: application/json
Accept-Encoding: identity
Content-Length: 29
User-Agent: ngx_zertiban_module/$TEST_NGINX_ZERTIBAN_VERSION
Connection: close

grant_type=client_credentials



=== TEST 12: the arguments of the endpoint are kept
--- gate
zertiban_token_endpoint
    http://127.0.0.1:$TEST_NGINX_IDP_PORT/a%20b/token?realm=x&y=%2F;
--- tcp_query crlf
POST /a%20b/token?realm=x&y=%2F HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_IDP_PORT
Authorization: Basic Z2F0ZXdheTpzM2NyZXQ=
Content-Type: application/x-www-form-urlencoded
Accept: application/json
Accept-Encoding: identity
Content-Length: 29
User-Agent: ngx_zertiban_module/$TEST_NGINX_ZERTIBAN_VERSION
Connection: close

grant_type=client_credentials



=== TEST 13: an endpoint without a path is asked for "/"
--- gate
zertiban_token_endpoint http://127.0.0.1:$TEST_NGINX_IDP_PORT;
--- tcp_query crlf
POST / HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_IDP_PORT
Authorization: Basic Z2F0ZXdheTpzM2NyZXQ=
Content-Type: application/x-www-form-urlencoded
Accept: application/json
Accept-Encoding: identity
Content-Length: 29
User-Agent: ngx_zertiban_module/$TEST_NGINX_ZERTIBAN_VERSION
Connection: close

grant_type=client_credentials



=== TEST 14: arguments without a path get a "/"
--- gate
zertiban_token_endpoint http://127.0.0.1:$TEST_NGINX_IDP_PORT?realm=x;
--- tcp_query crlf
POST /?realm=x HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_IDP_PORT
Authorization: Basic Z2F0ZXdheTpzM2NyZXQ=
Content-Type: application/x-www-form-urlencoded
Accept: application/json
Accept-Encoding: identity
Content-Length: 29
User-Agent: ngx_zertiban_module/$TEST_NGINX_ZERTIBAN_VERSION
Connection: close

grant_type=client_credentials



=== TEST 15: a name as host, in any case of the scheme
--- gate
zertiban_token_endpoint HTTP://localhost:$TEST_NGINX_IDP_PORT/token;
--- tcp_query crlf
POST /token HTTP/1.1
Host: localhost:$TEST_NGINX_IDP_PORT
Authorization: Basic Z2F0ZXdheTpzM2NyZXQ=
Content-Type: application/x-www-form-urlencoded
Accept: application/json
Accept-Encoding: identity
Content-Length: 29
User-Agent: ngx_zertiban_module/$TEST_NGINX_ZERTIBAN_VERSION
Connection: close

grant_type=client_credentials



=== TEST 16: nothing of the client's request is in it
--- request
POST /t?id=gateway
field=value&client_id=spoofed
--- more_headers
Authorization: Basic c3Bvb2ZlZDpzcG9vZmVk
Cookie: session=1
User-Agent: spoofed/1.0
Accept: text/html
Content-Type: multipart/form-data
Accept-Encoding: gzip
x-tenant-id: spoofed
X-Forwarded-For: 192.0.2.1
--- tcp_query crlf
POST /idp/oauth2/token HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_IDP_PORT
Authorization: Basic Z2F0ZXdheTpzM2NyZXQ=
Content-Type: application/x-www-form-urlencoded
Accept: application/json
Accept-Encoding: identity
Content-Length: 29
User-Agent: ngx_zertiban_module/$TEST_NGINX_ZERTIBAN_VERSION
Connection: close

grant_type=client_credentials



=== TEST 17: the settings of proxy_pass do not change it
--- gate
proxy_set_header Host     spoofed;
proxy_set_header X-More   spoofed;
proxy_http_version        1.1;
proxy_method              PUT;
proxy_set_body            spoofed;
--- tcp_query crlf
POST /idp/oauth2/token HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_IDP_PORT
Authorization: Basic Z2F0ZXdheTpzM2NyZXQ=
Content-Type: application/x-www-form-urlencoded
Accept: application/json
Accept-Encoding: identity
Content-Length: 29
User-Agent: ngx_zertiban_module/$TEST_NGINX_ZERTIBAN_VERSION
Connection: close

grant_type=client_credentials



=== TEST 18: one token request serves two requests
--- request eval
["GET /t?id=gateway", "GET /t?id=gateway"]
--- tcp_query crlf
POST /idp/oauth2/token HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_IDP_PORT
Authorization: Basic Z2F0ZXdheTpzM2NyZXQ=
Content-Type: application/x-www-form-urlencoded
Accept: application/json
Accept-Encoding: identity
Content-Length: 29
User-Agent: ngx_zertiban_module/$TEST_NGINX_ZERTIBAN_VERSION
Connection: close

grant_type=client_credentials
--- response_body eval
["Bearer eyJ0.t-_~+/k== 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11\n",
 "Bearer eyJ0.t-_~+/k== 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11\n"]



=== TEST 19: an IPv6 address keeps its brackets in Host
--- http_config
    log_format host "$request_method $http_host";

    server {
        listen     [::1]:$TEST_NGINX_IDP_PORT;
        access_log logs/access.log host;

        location / {
            return 200 '{"access_token":"eyJ0.t-_~+/k=="}';
        }
    }
--- gate
zertiban_token_endpoint http://[::1]:$TEST_NGINX_IDP_PORT/token;
--- access_log eval
qr/^POST \[::1\]:$ENV{TEST_NGINX_IDP_PORT}$/



=== TEST 20: the default port is not in Host
--- skip_eval: 4: $> != 0
--- http_config
    log_format host "$request_method $http_host";

    server {
        listen     127.117.80.1:80;
        access_log logs/access.log host;

        location / {
            return 200 '{"access_token":"eyJ0.t-_~+/k=="}';
        }
    }
--- gate
zertiban_token_endpoint http://127.117.80.1:80/token;
--- access_log eval
qr/^POST 127\.117\.80\.1$/
