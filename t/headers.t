#!/usr/bin/perl

# What reaches the API of a gated location, and what does not.

use strict;
use warnings;

use lib 't/lib';
use Zertiban::Socket;

# what proxy_pass sends by itself depends on the version of nginx

my $http = 'proxy_http_version 1.1; proxy_set_header Host HOST;'
           . ' proxy_set_header Connection close;';

# The endpoint answers from the same nginx, so a token request shows in the
# access log. "--- gate" is what the gated location has beside "zertiban on",
# "--- more_config" is what the server has beside it.

my $settings = <<'EOC';
        zertiban_token_endpoint http://127.0.0.1:$TEST_NGINX_SERVER_PORT/token;
        zertiban_client_id      $server_name;
        zertiban_client_secret  s3cret;

        location = /token {
            return 200 '{"access_token":"eyJ0.k-_~+/==","expires_in":300}';
        }
EOC

my $tenant = '7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11';

our $token = 'eyJ0.k-_~+/==';
our $injected = "Authorization: Bearer $token\nx-tenant-id: $tenant";

sub numbered {
    my ($from, $to) = @_;

    return CORE::join('', map { "X-H$_: $_\n" } $from .. $to);
}

my $log = "log_format seen '\$uri [\$http_authorization] [\$http_x_tenant_id]"
          . ' [$remote_user] [$zertiban_tenant_id] [$zertiban_cache]'
          . " [\$zertiban_error]';";

add_block_preprocessor(sub {
    my ($block) = @_;

    my $gate = $block->gate // '';
    my $more = $block->more_config // '';

    $gate .= "\n            zertiban_tenant_id $tenant;"
        if $gate !~ /zertiban_tenant_id/;
    $gate .= "\n            proxy_pass "
             . 'http://127.0.0.1:$TEST_NGINX_API_PORT;'
        if $gate !~ /proxy_pass http/;

    my $host = $gate =~ s/proxy_set_header Host +(\S+);\n//
               ? $1 : '$proxy_host';
    my $first = $http =~ s/HOST/$host/r;

    $block->set_value(http_config => $log);
    $block->set_value(config => <<"EOC");
$settings
        location /t {
            zertiban on;
            access_log logs/access.log seen;
            $first
            $gate
        }
        $more
EOC

    $block->set_value(request => 'GET /t') if !defined $block->request;

    if (defined $block->tcp_query) {
        $block->set_value(tcp_listen => $ENV{TEST_NGINX_API_PORT});
        $block->set_value(tcp_reply => crlf("HTTP/1.1 200 OK\n\napi\n"))
            if !defined $block->tcp_reply;
        $block->set_value(response_body => 'api')
            if !defined $block->response_body;
    }

    # the token, the secret, and Basic of both id and secret

    my @never = qr/eyJ0\.k|s3cret|bG9jYWxob3N0/;

    # the tenant of some is what the client says, which nginx warns about

    push @never, qr/\[(?:warn|error|crit)\](?!.*is what the client says)/
        if !defined $block->error_log;

    $block->set_value(no_error_log => \@never);
});

repeat_each(2);
no_long_string();
plan('no_plan');
run_tests();

__DATA__

=== TEST 1: both headers follow those of the client
--- tcp_query crlf
GET /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11



=== TEST 2: the client's own headers are replaced
--- more_headers
Authorization: Bearer spoofed
X-One: 1
x-tenant-id: spoofed
X-Two: 2
--- tcp_query crlf
GET /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
X-One: 1
X-Two: 2
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11



=== TEST 3: the client's Basic is replaced
--- more_headers
Authorization: Basic am9lOnB3
--- tcp_query crlf
GET /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11



=== TEST 4: headers in another case are replaced
--- more_headers
AUTHORIZATION: Bearer spoofed
X-Tenant-Id: spoofed
X-TENANT-ID: spoofed
--- tcp_query crlf
GET /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11



=== TEST 5: a repeated tenant is replaced by one
--- more_headers
x-tenant-id: spoofed
X-One: 1
x-tenant-id: spoofed
x-tenant-id:
--- tcp_query crlf
GET /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
X-One: 1
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11



=== TEST 6: a repeated Authorization is refused by nginx itself
--- more_headers
Authorization: Bearer spoofed
Authorization: Bearer spoofed
--- error_code: 400
--- no_access_log
/token



=== TEST 7: a client that sends the very values gets one of each
--- more_headers
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11
--- tcp_query crlf
GET /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11



=== TEST 8: with underscores_in_headers x_tenant_id is replaced as well
--- more_config
underscores_in_headers on;
--- more_headers
x_tenant_id: spoofed
X_Tenant_ID: spoofed
x-tenant_id: spoofed
x_one: 1
x-tenant-id: spoofed
--- tcp_query crlf
GET /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
x_one: 1
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11



=== TEST 9: ignore_invalid_headers off lets no spoofed name through
--- more_config
underscores_in_headers on;
ignore_invalid_headers off;
--- more_headers
X_TENANT_ID: spoofed
x-tenant_id: spoofed
--- tcp_query crlf
GET /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11



=== TEST 10: headers of a similar name are the client's
--- more_headers
Proxy-Authorization: Basic am9lOnB3
Authorizations: 1
X-Authorization: 2
x-tenant-ids: 3
xx-tenant-id: 4
--- tcp_query crlf
GET /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
Proxy-Authorization: Basic am9lOnB3
Authorizations: 1
X-Authorization: 2
x-tenant-ids: 3
xx-tenant-id: 4
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11



=== TEST 11: repeated headers of other names stay, in order
--- more_headers
Cookie: a=1
X-Forwarded-For: 192.0.2.1
Cookie: b=2
X-Forwarded-For: 192.0.2.2
X-Same: 1
x-tenant-id: spoofed
X-Same: 2
--- tcp_query crlf
GET /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
Cookie: a=1
X-Forwarded-For: 192.0.2.1
Cookie: b=2
X-Forwarded-For: 192.0.2.2
X-Same: 1
X-Same: 2
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11



=== TEST 12: sixty headers arrive unchanged
--- more_headers eval
main::numbered(1, 60)
--- tcp_query eval crlf
"GET /t HTTP/1.1\n"
. "Host: 127.0.0.1:\$TEST_NGINX_API_PORT\nConnection: close\n"
. main::numbered(1, 60) . "$::injected\n"



=== TEST 13: sixty headers, spoofed in the first, a middle and the last place
--- more_headers eval
"x-tenant-id: spoofed\nAuthorization: spoofed\nHost: localhost\n"
. "Connection: close\n"
. main::numbered(1, 30)
. "X-Tenant-Id: spoofed\n"
. main::numbered(31, 60)
. "X-TENANT-ID: spoofed\n"
--- tcp_query eval crlf
"GET /t HTTP/1.1\n"
. "Host: 127.0.0.1:\$TEST_NGINX_API_PORT\nConnection: close\n"
. main::numbered(1, 60) . "$::injected\n"



=== TEST 14: as many headers as one part of nginx's list holds
--- more_headers eval
main::numbered(1, 18)
--- tcp_query eval crlf
"GET /t HTTP/1.1\n"
. "Host: 127.0.0.1:\$TEST_NGINX_API_PORT\nConnection: close\n"
. main::numbered(1, 18) . "$::injected\n"



=== TEST 15: only spoofed headers in the second part of the list
--- more_headers eval
main::numbered(1, 18)
. "Authorization: spoofed\nx-tenant-id: spoofed\n"
--- tcp_query eval crlf
"GET /t HTTP/1.1\n"
. "Host: 127.0.0.1:\$TEST_NGINX_API_PORT\nConnection: close\n"
. main::numbered(1, 18) . "$::injected\n"



=== TEST 16: a client of HTTP/1.0
--- request
GET /t HTTP/1.0
--- more_headers
Authorization: Basic am9lOnB3
--- tcp_query crlf
GET /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11



=== TEST 17: a client without any header
--- raw_request eval
"GET /t HTTP/1.0\r\n\r\n"
--- tcp_query crlf
GET /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11



=== TEST 18: HEAD
--- request
HEAD /t
--- response_body
--- tcp_query crlf
HEAD /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11



=== TEST 19: a POST keeps its body
--- request
POST /t?a=b
the body
--- more_headers
Content-Type: text/x-body
Authorization: Basic am9lOnB3
--- tcp_query crlf
POST /t?a=b HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
Content-Length: 8
Content-Type: text/x-body
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11

the body



=== TEST 20: a POST that is not buffered keeps its body
--- gate
proxy_request_buffering off;
--- request
POST /t
the body
--- tcp_query crlf
POST /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
Content-Length: 8
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11

the body



=== TEST 21: other methods
--- request
DELETE /t/1
--- more_headers
x-tenant-id: spoofed
--- tcp_query crlf
DELETE /t/1 HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11



=== TEST 22: other headers of proxy_set_header do not get in the way
--- gate
proxy_set_header Host   api.example.com;
proxy_set_header X-More "more";
--- more_headers
X-One: 1
--- tcp_query crlf
GET /t HTTP/1.1
Host: api.example.com
Connection: close
X-More: more
X-One: 1
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11



=== TEST 23: a refused client of auth_basic causes no token request
--- gate
auth_basic           "who";
auth_basic_user_file $TEST_NGINX_SERVER_ROOT/html/users;
--- user_files
>>> users
joe:{PLAIN}pw
--- more_headers
Authorization: Basic am9lOmJhZA==
--- error_code: 401
--- error_log
password mismatch
--- no_access_log
/token



=== TEST 24: an accepted client of auth_basic is replaced for the API
--- gate
auth_basic           "who";
auth_basic_user_file $TEST_NGINX_SERVER_ROOT/html/users;
--- user_files
>>> users
joe:{PLAIN}pw
--- more_headers
Authorization: Basic am9lOnB3
--- tcp_query crlf
GET /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11
--- access_log
/t [Basic am9lOnB3] [-] [joe]



=== TEST 25: a client that deny refuses causes no token request
--- gate
deny all;
--- error_code: 403
--- error_log
access forbidden by rule
--- no_access_log
/token



=== TEST 26: a client that auth_request refuses causes no token request
--- gate
auth_request /auth;
--- more_config
location = /auth { return 403; }
--- error_code: 403
--- error_log
--- no_access_log
/token



=== TEST 27: auth_request sees the client's own headers
--- gate
auth_request /auth;
--- more_config
location = /auth {
    internal;
    proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/check;
}

location = /check {
    set $both "$http_authorization $http_x_tenant_id";

    if ($both != "Basic am9lOnB3 mine") {
        return 403;
    }

    return 204;
}
--- more_headers
Authorization: Basic am9lOnB3
x-tenant-id: mine
--- tcp_query crlf
GET /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11



=== TEST 28: satisfy any accepts one of two
--- gate
satisfy              any;
deny                 all;
auth_basic           "who";
auth_basic_user_file $TEST_NGINX_SERVER_ROOT/html/users;
--- user_files
>>> users
joe:{PLAIN}pw
--- more_headers
Authorization: Basic am9lOnB3
--- tcp_query crlf
GET /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11



=== TEST 29: satisfy any refuses without a token request
--- gate
satisfy              any;
deny                 all;
auth_basic           "who";
auth_basic_user_file $TEST_NGINX_SERVER_ROOT/html/users;
--- user_files
>>> users
joe:{PLAIN}pw
--- error_code: 401
--- no_access_log
/token



=== TEST 30: limit_except comes before the gate
--- gate
limit_except GET { deny all; }
--- request
DELETE /t
--- error_code: 403
--- error_log
access forbidden by rule
--- no_access_log
/token



=== TEST 31: variables show what the client sent
--- gate
proxy_set_header X-Auth   "$http_authorization";
proxy_set_header X-Tenant "$http_x_tenant_id";
proxy_set_header X-User   "$remote_user";
--- more_headers
Authorization: Basic am9lOnB3
x-tenant-id: mine
--- tcp_query crlf
GET /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
X-Auth: Basic am9lOnB3
X-Tenant: mine
X-User: joe
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11
--- access_log
/t [Basic am9lOnB3] [mine] [joe] [7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11]
--- no_access_log
eyJ0



=== TEST 32: variables of a client that sent nothing are empty
--- gate
proxy_set_header X-Auth   "[$http_authorization]";
proxy_set_header X-Tenant "[$http_x_tenant_id]";
--- tcp_query crlf
GET /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
X-Auth: []
X-Tenant: []
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11
--- access_log
/t [-] [-] [-] [7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11]
--- no_access_log
eyJ0



=== TEST 33: $http_authorization in the answer is what the client sent
--- gate
add_header X-Auth "[$http_authorization] [$http_x_tenant_id]";
--- tcp_query crlf
GET /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11
--- response_headers
X-Auth: [] []



=== TEST 34: the tenant comes from a variable
--- gate
zertiban_tenant_id $http_x_business;
--- more_headers
X-Business: a/b;c="d"
--- tcp_query crlf
GET /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
X-Business: a/b;c="d"
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: a/b;c="d"
--- access_log eval
qr/^\/t .* \[a\/b;c=\\x22d\\x22\]/



=== TEST 35: a tenant of 128 bytes
--- gate
zertiban_tenant_id $http_x_business;
--- more_headers eval
'X-Business: ' . 'x' x 128
--- tcp_query eval crlf
"GET /t HTTP/1.1\nHost: 127.0.0.1:\$TEST_NGINX_API_PORT\n"
. "Connection: close\nX-Business: " . 'x' x 128
. "\nAuthorization: Bearer $::token\nx-tenant-id: " . 'x' x 128 . "\n"



=== TEST 36: one client acts for two businesses with one token
--- gate
zertiban_tenant_id $arg_b;
proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/api;
--- more_config
location = /api {
    return 200 "$http_authorization $http_x_tenant_id\n";
}
--- request eval
["GET /t?b=one", "GET /t?b=two"]
--- response_body eval
["Bearer eyJ0.k-_~+/== one\n", "Bearer eyJ0.k-_~+/== two\n"]



=== TEST 37: an unusable tenant is refused and nothing is sent
--- gate
zertiban_tenant_id $http_x_business;
proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/api;
add_header X-Error $zertiban_error always;
add_header X-Cache $zertiban_cache always;
--- request eval
[('GET /t') x 8]
--- more_headers eval
[
    'X-Other: none',
    'X-Business:',
    'X-Business: ' . 'x' x 129,
    'X-Business: a b',
    "X-Business: a\tb",
    "X-Business: p\xc3\xa4",
    "X-Business: a\x01b",
    "X-Business: a\x7f",
]
--- error_code eval
[(400) x 8]
--- response_headers eval
[("X-Error: bad_tenant\nX-Cache: error") x 8]
--- error_log
--- no_access_log
/token
/api
--- access_log eval
qr/\[-?\] \[error\] \[bad_tenant\]$/



=== TEST 38: an unusable client id or secret is refused and nothing is sent
--- gate
zertiban_client_id     "$http_x_id";
zertiban_client_secret "$http_x_secret";
proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/api;
add_header X-Error $zertiban_error always;
add_header X-Cache $zertiban_cache always;
--- request eval
[('GET /t') x 8]
--- more_headers eval
[
    "X-Secret: s",
    "X-Id:\nX-Secret: s",
    "X-Id: a:b\nX-Secret: s",
    "X-Id: a\x01b\nX-Secret: s",
    "X-Id: a\x7f\nX-Secret: s",
    "X-Id: a",
    "X-Id: a\nX-Secret: s\x01s",
    "X-Id: a\nX-Secret: " . 'x' x 4097,
]
--- error_code eval
[(400) x 8]
--- response_headers eval
[("X-Error: bad_credential\nX-Cache: error") x 8]
--- error_log
--- no_access_log
/token
/api



=== TEST 39: two credentials with one client id have two tokens
--- gate
zertiban_token_endpoint http://127.0.0.1:$TEST_NGINX_SERVER_PORT/echo;
zertiban_client_id      "$arg_id";
zertiban_client_secret  "$arg_secret";
proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/api;
--- more_config
location = /api { return 200 "$http_authorization\n"; }

location = /echo {
    set $basic "";

    if ($http_authorization ~ "^Basic (.+)$") {
        set $basic $1;
    }

    return 200 '{"access_token":"$basic"}';
}
--- request eval
["GET /t?id=a&secret=b", "GET /t?id=a&secret=c", "GET /t?id=a&secret=b"]
--- response_body eval
["Bearer YTpi\n", "Bearer YTpj\n", "Bearer YTpi\n"]



=== TEST 40: what the cache had to do with a request
--- gate
zertiban_client_id "$request_id";
proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/api;
add_header X-Cache "[$zertiban_cache] [$zertiban_error]";
--- more_config
location = /api { return 200 "api"; }
--- response_headers
X-Cache: [wait] []



=== TEST 41: a request that finds a token is a hit
--- gate
proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/api;
add_header X-Cache "[$zertiban_cache] [$zertiban_error]";
--- more_config
location = /api { return 200 "api"; }
--- request eval
["GET /t", "GET /t?2", "GET /t?3"]
--- response_headers_like eval
['X-Cache: \[(?:wait|hit)\] \[\]', ('X-Cache: \[hit\] \[\]') x 2]
--- response_body eval
[("api") x 3]



=== TEST 42: the time that a request waited
--- gate
proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/api;
add_header X-Wait "[$zertiban_wait_time]";
--- more_config
location = /api { return 200 "api"; }
--- response_headers_like
X-Wait: \[[0-9]+\.[0-9][0-9][0-9]\]



=== TEST 43: a location that is not gated gets nothing
--- gate
proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/api;
--- more_config
location /open {
    zertiban off;
    proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/api;
    add_header X-Vars
        "[$zertiban_cache] [$zertiban_error] [$zertiban_tenant_id]";
}

location = /api {
    return 200 "[$http_authorization] [$http_x_tenant_id]\n";
}
--- request eval
["GET /open", "GET /t", "GET /open"]
--- response_headers eval
["X-Vars: [] [] []", "", "X-Vars: [] [] []"]
--- response_body eval
["[] []\n",
 "[Bearer $::token] [7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11]\n",
 "[] []\n"]



=== TEST 44: a location that is not gated passes what the client sent
--- gate
return 204;
--- more_config
location /open {
    proxy_http_version 1.1;
    proxy_set_header   Host $proxy_host;
    proxy_set_header   Connection close;
    proxy_pass         http://127.0.0.1:$TEST_NGINX_API_PORT;
}
--- request
GET /open
--- more_headers
Authorization: Basic am9lOnB3
x-tenant-id: mine
--- tcp_query crlf
GET /open HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
Authorization: Basic am9lOnB3
x-tenant-id: mine



=== TEST 45: proxy_set_header Authorization wins, and is reported once
--- gate
proxy_set_header Authorization "Bearer configured";
proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/api;
--- more_config
location /api {
    return 200 "$http_authorization [$http_x_tenant_id]\n";
}
--- response_body
Bearer configured [7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11]
--- error_log
--- grep_error_log eval
qr/\[error\].*"\/t".*proxy_set_header.*proxy_pass_request_headers/
--- grep_error_log_out eval
[qr/\A.*\n\z/, ""]



=== TEST 46: an emptied Authorization is reported
--- gate
proxy_set_header Authorization "";
proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/api;
--- more_config
location /api {
    return 200 "[$http_authorization]\n";
}
--- response_body
[]
--- error_log
--- grep_error_log eval
qr/\[error\].*"\/t".*proxy_set_header.*proxy_pass_request_headers/
--- grep_error_log_out eval
[qr/\A.*\n\z/, ""]



=== TEST 47: proxy_pass_request_headers off is reported
--- gate
proxy_pass_request_headers off;
proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/api;
--- more_config
location /api {
    return 200 "[$http_authorization] [$http_x_tenant_id]\n";
}
--- response_body
[] []
--- error_log
--- grep_error_log eval
qr/\[error\].*"\/t".*proxy_set_header.*proxy_pass_request_headers/
--- grep_error_log_out eval
[qr/\A.*\n\z/, ""]



=== TEST 48: a configured x-tenant-id is the operator's choice
--- gate
proxy_set_header x-tenant-id configured;
proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/api;
--- more_config
location /api {
    return 200 "$http_authorization [$http_x_tenant_id]\n";
}
--- response_body
Bearer eyJ0.k-_~+/== [configured]
--- error_log



=== TEST 49: each location is reported
--- gate
proxy_set_header Authorization "";
proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/api;
--- more_config
location /u {
    zertiban           on;
    zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;
    proxy_pass_request_headers off;
    proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/api;
}

location /api {
    return 200 "api";
}
--- request eval
["GET /t", "GET /u"]
--- response_body eval
["api", "api"]
--- error_log
--- grep_error_log eval
qr/\[error\].*"\/[tu]".*proxy_set_header.*proxy_pass_request_headers/
--- grep_error_log_out eval
[qr/\A.*\n\z/, ""]



=== TEST 50: error_page works on the gate's own errors
--- gate
zertiban_token_endpoint http://127.0.0.1:$TEST_NGINX_SERVER_PORT/idp;
zertiban_client_id "$arg_id";
zertiban_tenant_id "$arg_tenant";
error_page 400 502 503 504 /sorry;
--- more_config
location = /sorry { return 200 "sorry: $status\n"; }

location = /idp { return 500; }
--- request eval
["GET /t?id=a", "GET /t?id=a&tenant=b", "GET /t?tenant=b"]
--- error_code eval
[400, 503, 400]
--- response_body eval
["sorry: 400\n", "sorry: 503\n", "sorry: 400\n"]
--- error_log



=== TEST 51: error_page may change the status
--- gate
zertiban_token_endpoint http://127.0.0.1:$TEST_NGINX_SERVER_PORT/idp;
error_page 502 =299 @fallback;
--- more_config
location @fallback {
    proxy_http_version 1.1;
    proxy_set_header   Host $proxy_host;
    proxy_set_header   Connection close;
    proxy_pass         http://127.0.0.1:$TEST_NGINX_API_PORT;
}

location = /idp { return 401; }
--- more_headers
Authorization: Basic am9lOnB3
--- error_code: 299
--- tcp_query crlf
GET /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
Authorization: Basic am9lOnB3
--- error_log



=== TEST 52: a 503 says when to come back
--- gate
zertiban_token_endpoint http://127.0.0.1:$TEST_NGINX_SERVER_PORT/idp;
add_header X-Error $zertiban_error always;
--- more_config
location = /idp { return 500; }
--- error_code: 503
--- response_headers_like
Retry-After: [1-9]
X-Error: idp_unreachable
--- error_log



=== TEST 53: a 502 does not
--- gate
zertiban_token_endpoint http://127.0.0.1:$TEST_NGINX_SERVER_PORT/idp;
add_header X-Error $zertiban_error always;
--- more_config
location = /idp { return 401; }
--- error_code: 502
--- response_headers
! Retry-After
X-Error: idp_rejected_client
--- error_log



=== TEST 54: error_page works on a timeout of the endpoint
--- gate
zertiban_token_endpoint http://127.0.0.1:$TEST_NGINX_IDP_PORT/token;
zertiban_timeout 100ms;
error_page 504 /sorry;
--- more_config
location = /sorry { return 200 "sorry: $status\n"; }
--- tcp_listen: $TEST_NGINX_IDP_PORT
--- tcp_reply_delay: 1
--- tcp_reply: late
--- error_code: 504
--- response_body
sorry: 504
--- error_log



=== TEST 55: the target of X-Accel-Redirect gets what the client sent
--- more_config
location = /accel {
    internal;
    proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/seen;
}

location = /seen {
    return 200 "$http_authorization $http_x_tenant_id\n";
}
--- more_headers
Authorization: Basic am9lOnB3
x-tenant-id: mine
--- tcp_query crlf
GET /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11
--- tcp_reply crlf
HTTP/1.1 200 OK
X-Accel-Redirect: /accel

api
--- response_body
Basic am9lOnB3 mine



=== TEST 56: a tenant that the client names is sent once
--- gate
zertiban_tenant_id $http_x_tenant_id;
--- more_headers
x-tenant-id: mine
--- tcp_query crlf
GET /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: mine



=== TEST 57: requests on one connection
--- gate
zertiban_client_id "$arg_id";
proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/api;
--- more_config
location = /api {
    return 200 "$http_authorization [$http_x_tenant_id]\n";
}
--- pipelined_requests eval
["GET /t?id=a", "GET /t?id=b", "GET /t?id=a"]
--- response_body eval
[("Bearer $::token [7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11]\n") x 3]



=== TEST 58: limit_except lets its clients through the gate
--- gate
limit_except GET { allow all; }
--- request
DELETE /t
--- tcp_query crlf
DELETE /t HTTP/1.1
Host: 127.0.0.1:$TEST_NGINX_API_PORT
Connection: close
Authorization: Bearer eyJ0.k-_~+/==
x-tenant-id: 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11



=== TEST 59: a second gate behind error_page says once when to come back
--- gate
zertiban_token_endpoint http://127.0.0.1:$TEST_NGINX_SERVER_PORT/idp;
error_page 503 = /second;
--- more_config
location = /idp { return 500; }

location = /second {
    zertiban                on;
    zertiban_token_endpoint http://127.0.0.1:$TEST_NGINX_SERVER_PORT/idp;
    zertiban_tenant_id      7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;
    proxy_pass              http://127.0.0.1:$TEST_NGINX_API_PORT;
}
--- error_code: 503
--- raw_response_headers_unlike eval
qr/Retry-After.*Retry-After/s
--- error_log
