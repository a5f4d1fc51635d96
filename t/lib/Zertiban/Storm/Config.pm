package Zertiban::Storm::Config;

# The configuration of the nginx in the storm. Each location tells the API its
# name; Zertiban::Storm::Ways has more to say about it.

use strict;
use warnings;

my $http = <<'EOF';
    client_max_body_size 16m;
    client_body_buffer_size 16k;
    client_header_timeout %%PATIENCE%%;
    client_body_timeout %%PATIENCE%%;
    keepalive_requests 100000;
    keepalive_timeout 5s;

    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;

    upstream api {
        server %%API%% max_fails=0;
        keepalive 8;
    }

    upstream pair {
        server %%API%% max_fails=0;
        server %%SECOND%% max_fails=0;
        keepalive 4;
    }

    upstream limping {
        server 127.0.0.1:%%PORT_dead%% max_fails=0;
        server %%API%% max_fails=0;
        server %%SECOND%% max_fails=0;
    }

    upstream elsewhere {
        server %%ELSEWHERE%% max_fails=0;
        keepalive 8;
    }

    server {
        listen 127.0.0.1:%%PORT%% reuseport backlog=1024;
        listen 127.0.0.1:%%PORT_h2%% reuseport backlog=1024 http2;
        access_log off;
        root %%DIR%%/html;
        sendfile on;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_timeout %%WAIT%%;
        zertiban_client_id $arg_c;
        zertiban_client_secret storm-secret-of-$arg_c;
        zertiban_tenant_id $arg_t;

        proxy_http_version 1.1;
        proxy_read_timeout %%PATIENCE%%;
        # a HEAD has an entry of its own, whichever way it is asked for
        proxy_cache_key $request_method$uri/$arg_k$slice_range;
        proxy_cache_valid 200 206 1s;

        # bodies, and clients that leave

        location = /plain {
            proxy_http_version 1.0;
            proxy_pass http://%%API%%;
        }

        location = /kept {
            proxy_pass http://api;
        }

        location = /ignoring {
            proxy_ignore_client_abort on;
            proxy_pass http://api;
        }

        location = /stored {
            proxy_store %%DIR%%/store/$arg_k;
            proxy_pass http://api;
        }

        location = /streamed {
            proxy_request_buffering off;
            proxy_pass http://api;
        }

        location = /pouring {
            proxy_request_buffering off;
            proxy_ignore_client_abort on;
            proxy_pass http://api;
        }

        location = /memory {
            client_body_buffer_size 9m;
            proxy_pass http://api;
        }

        location = /threads {
            aio threads;
            aio_write on;
            client_body_in_file_only clean;
            proxy_ignore_client_abort on;
            proxy_pass http://api;
        }

        location = /unbuffered {
            proxy_buffering off;
            proxy_ignore_client_abort on;
            proxy_pass http://api;
        }

        location = /hinted {
            %%HINTS%%
            proxy_pass http://api;
        }

        location = /never {
            zertiban_replay off;
            proxy_pass http://api;
        }

        location = /static-1 {
            zertiban_client_id static-1;
            zertiban_client_secret storm-secret-of-static-1;
            zertiban_tenant_id tenant-of-static-1;
            proxy_pass http://api;
        }

        location = /static-2 {
            zertiban_client_id static-2;
            zertiban_client_secret storm-secret-of-static-2;
            zertiban_tenant_id tenant-of-static-2;
            proxy_ignore_client_abort on;
            proxy_pass http://api;
        }

        # groups of servers

        location = /next {
            proxy_next_upstream error http_503 non_idempotent;
            proxy_pass http://pair;
        }

        location = /brave {
            proxy_next_upstream error http_503 non_idempotent;
            proxy_ignore_client_abort on;
            proxy_pass http://pair;
        }

        location = /limping {
            proxy_pass http://limping;
        }

        location = /timed {
            proxy_read_timeout 1s;
            proxy_pass http://pair;
        }

        # caches

        location = /locked {
            proxy_cache cache;
            proxy_cache_lock on;
            proxy_cache_lock_timeout 1s;
            proxy_pass http://api;
        }

        location = /posting {
            proxy_cache cache;
            proxy_cache_methods GET POST;
            proxy_cache_lock on;
            proxy_cache_lock_age 500ms;
            proxy_ignore_client_abort on;
            proxy_pass http://api;
        }

        location = /stale {
            proxy_cache cache;
            proxy_cache_use_stale updating error timeout http_500;
            proxy_cache_background_update on;
            proxy_pass http://api;
        }

        location = /validated {
            proxy_cache cache;
            proxy_cache_revalidate on;
            proxy_cache_use_stale updating;
            proxy_pass http://api;
        }

        location = /read {
            aio threads;
            proxy_cache cache;
            proxy_cache_lock on;
            proxy_ignore_client_abort on;
            proxy_pass http://api;
        }

        location = /sliced {
            slice 1k;
            proxy_cache cache;
            proxy_set_header Range $slice_range;
            proxy_pass http://api;
        }

        # subrequests

        location = /page {
            ssi on;
            proxy_pass http://api;
        }

        location = /file {
            zertiban off;
            ssi on;
            try_files /page.html =404;
        }

        location = /one {
            proxy_pass http://api;
        }

        location = /two {
            proxy_ignore_client_abort on;
            proxy_pass http://api;
        }

        location = /three {
            proxy_next_upstream error http_503 non_idempotent;
            proxy_pass http://pair;
        }

        location = /mirroring {
            mirror /open;
            proxy_pass http://api;
        }

        location = /mirrored {
            zertiban off;
            mirror /copy;
            proxy_pass http://elsewhere;
        }

        location = /copy {
            proxy_pass http://api;
        }

        location = /asking {
            auth_request /open-check;
            proxy_pass http://api;
        }

        location = /asked {
            zertiban off;
            auth_request /check;
            proxy_pass http://elsewhere;
        }

        location = /both {
            auth_request /check;
            proxy_ignore_client_abort on;
            proxy_pass http://api;
        }

        location = /open-check {
            zertiban off;
            proxy_pass_request_body off;
            proxy_set_header Content-Length '';
            proxy_pass http://elsewhere;
        }

        location = /check {
            %%BY_HEADER%%
            proxy_pass_request_body off;
            proxy_set_header Content-Length '';
            proxy_pass http://api;
        }

        location = /leaving {
            post_action /open-check;
            proxy_pass http://api;
        }

        location = /behind {
            post_action /after;
            proxy_ignore_client_abort on;
            proxy_pass http://api;
        }

        # nginx has closed the file of the body by then

        location = /after {
            %%BY_HEADER%%
            proxy_pass_request_body off;
            proxy_set_header Content-Length '';
            proxy_pass http://api;
        }

        location = /open {
            zertiban off;
            proxy_pass http://elsewhere;
        }

        # other places

        location = /named {
            proxy_intercept_errors on;
            error_page 401 500 502 503 504 = @instead;
            proxy_pass http://api;
        }

        location @instead {
            proxy_ignore_client_abort on;
            proxy_pass http://api;
        }

        location = /opened {
            proxy_intercept_errors on;
            error_page 401 412 500 502 503 504 = @open;
            proxy_pass http://api;
        }

        location @open {
            zertiban off;
            proxy_pass http://elsewhere;
        }

        # the body is discarded meanwhile; if aborts of clients were ignored,
        # one that sends a part of it, ends its side and is reset would be
        # finalized twice by nginx

        location = /large {
            client_max_body_size 1k;
            error_page 413 = @small;
            proxy_pass http://api;
        }

        location @small {
            proxy_pass_request_body off;
            proxy_set_header Content-Length '';
            proxy_pass http://api;
        }

        # a filter does not let through what is in the cache; nginx has an alert
        # if that has expired

        location = /filtered {
            zertiban off;
            proxy_cache cache;
            proxy_cache_key $uri/$arg_c/$arg_k;
            proxy_cache_valid 200 1d;
            error_page 412 416 = /other;
            proxy_pass http://elsewhere;
        }

        location = /turned {
            proxy_intercept_errors on;
            error_page 401 412 500 502 503 504 = /other;
            proxy_pass http://api;
        }

        location = /other {
            %%BY_HEADER%%
            proxy_ignore_client_abort on;
            proxy_pass http://api;
        }

        location = /sent {
            proxy_ignore_client_abort on;
            proxy_pass http://api;
        }

        location = /inner {
            %%BY_HEADER%%
            proxy_pass http://api;
        }

        # other protocols

%%CGI%%        location = /grpc {
            grpc_read_timeout %%PATIENCE%%;
            grpc_pass grpc://127.0.0.1:%%PORT_grpc%%;
        }
    }

    # shows what the gRPC upstream got as HTTP/1

    server {
        listen 127.0.0.1:%%PORT_grpc%% http2;
        access_log off;

        location / {
            proxy_next_upstream off;
            proxy_read_timeout %%PATIENCE%%;
            proxy_pass http://%%API%%;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_status%%;
        access_log off;

        location / {
            stub_status;
        }
    }
EOF

my $cgi = join '', map { <<"EOF" } qw(fastcgi uwsgi scgi);
        location = /$_ {
            ${_}_ignore_client_abort on;
            ${_}_read_timeout %%PATIENCE%%;
            ${_}_param HTTP_X_WAY $_;
            ${_}_param CONTENT_LENGTH \$content_length;
            ${_}_param REQUEST_METHOD \$request_method;
            ${_}_param REQUEST_URI \$request_uri;
            ${_}_pass %%$_%%;
        }

EOF

# where a redirect has taken the arguments away

my $by_header = <<'EOF';
zertiban_client_id $http_x_client;
            zertiban_client_secret storm-secret-of-$http_x_client;
            zertiban_tenant_id $http_x_business;
EOF

my $fields = <<'EOF';
            proxy_set_header X-Way %s;
            proxy_set_header Host $host;
            proxy_set_header Connection '';
EOF


sub text {
    my $text = $http;

    $text =~ s/%%CGI%%/$cgi/;
    $text =~ s/%%BY_HEADER%%\n/$by_header/g;
    $text =~ s/grpc_pass/grpc_set_header X-Way grpc;\n            $&/;
    $text =~ s{location (?:= /|@)([\w-]+) \{\n}{$& . sprintf $fields, $1}ge;

    return $text;
}


# a page whose parts are gated but for the last one

sub page {
    my ($arguments) = @_;

    return join '', map { "<!--#include virtual=\"/$_?$arguments\" -->\n" }
                    qw(one two three open);
}


1;
