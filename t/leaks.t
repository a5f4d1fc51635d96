# Tests for the token going nowhere else: other upstreams that take part in a
# gated request get from it what its client sent.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Callers;
use Zertiban::Elsewhere;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $bad = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();
my $elsewhere = Zertiban::Elsewhere->new();
my $callers = Zertiban::Callers->new($t, idp => $idp, api => [$api, $bad],
                                     elsewhere => $elsewhere);
my $n = $callers->n();

mkdir $t->dir() . '/html';
$t->write_file('html/page.html',
               '<!--#include virtual="/part?client=1" -->'
               . '<!--#include virtual="/open/part" -->');

$t->run(<<'EOC',
    %%MAP%%

    client_max_body_size 1m;
    client_body_buffer_size 16k;
    log_subrequest on;

    upstream chain {
        server %%BAD%% max_fails=0;
        server 127.0.0.1:%%PORT_dead%% max_fails=0;
        server %%BAD%% max_fails=0;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_h2%% http2;
        root %%DIR%%/html;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id client-$arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant$arg_tenant;

        proxy_read_timeout 10s;

        location / {
            proxy_pass http://%%API%%;
        }

        location /open/ {
            zertiban off;
            proxy_pass http://%%ELSEWHERE%%;
        }

        location /open/head {
            zertiban off;
            proxy_pass http://%%ELSEWHERE%%;
            proxy_pass_request_body off;
            proxy_set_header Content-Length '';
        }

        location @open {
            zertiban off;
            proxy_pass http://%%ELSEWHERE%%;
        }

        # blocks inside of the gate

        location /nested {
            proxy_pass http://%%API%%;

            location /nested/open {
                zertiban off;
                proxy_pass http://%%ELSEWHERE%%;
            }

            if ($arg_open) {
                zertiban off;
                proxy_pass http://%%ELSEWHERE%%;
            }
        }

        # mirrors

        location /mirrored {
            mirror /open/mirror;
            mirror /open/another;
            proxy_pass http://%%API%%;
        }

        location /mirrored/head {
            mirror /open/head;
            mirror_request_body off;
            proxy_pass http://%%API%%;
        }

        location /mirrored/stream {
            mirror /open/mirror;
            proxy_request_buffering off;
            proxy_http_version 1.1;
            proxy_pass http://%%API%%;
        }

        location /mirrored/failed {
            mirror /open/mirror;
            proxy_pass http://127.0.0.1:%%PORT_dead%%;
            error_page 502 = @mirrored;
        }

        location @mirrored {
            zertiban off;
            mirror /open/mirror;
            proxy_pass http://%%ELSEWHERE%%;
        }

        # auth_request

        location /asking {
            auth_request /open/head;
            proxy_pass http://%%API%%;
        }

        location /asking/failed {
            proxy_pass http://127.0.0.1:%%PORT_dead%%;
            error_page 502 = /asking/again;
        }

        location /asking/again {
            auth_request /open/head;
            proxy_pass http://%%API%%;
        }

        # parts of pages

        location /including {
            ssi on;
            proxy_pass http://%%API%%;
        }

        location /page.html {
            zertiban off;
            ssi on;
        }

        location /added {
            add_before_body /open/before;
            add_after_body /open/after;
            proxy_pass http://%%API%%;
        }

        # failures of the API

        location /refused {
            proxy_pass http://127.0.0.1:%%PORT_dead%%;
            error_page 502 /open/refused;
        }

        location /refused/named {
            proxy_pass http://127.0.0.1:%%PORT_dead%%;
            error_page 502 = @open;
        }

        location /refused/shown {
            proxy_pass http://127.0.0.1:%%PORT_dead%%;
            error_page 502 = /open/$kind?user=$remote_user;
        }

        location /slow {
            proxy_read_timeout 200ms;
            proxy_pass http://%%API%%;
            error_page 504 /open/slow;
        }

        location /slow/named {
            proxy_read_timeout 200ms;
            proxy_pass http://%%API%%;
            error_page 504 = @open;
        }

        location /broken {
            proxy_pass http://%%API%%;
            error_page 502 = @open;
        }

        location /unbuilt {
            set $big %%BIG%%;
            set $bigger $big$big$big$big$big;
            fastcgi_pass %%API%%;
            fastcgi_param BIG $bigger$bigger$bigger$bigger$bigger;
            error_page 500 = @open;
        }

        # of the gate

        location /gate {
            error_page 503 /open/gate;
            proxy_pass http://%%API%%;
        }

        location /gate/named {
            error_page 503 = @open;
            proxy_pass http://%%API%%;
        }

        location /gate/tenant {
            zertiban_tenant_id $arg_none;
            error_page 400 = @open;
            proxy_pass http://%%API%%;
        }

        # answers that are intercepted

        location /intercepted {
            zertiban_replay off;
            proxy_pass http://%%API%%;
            proxy_intercept_errors on;
            error_page 401 403 404 500 =200 /open/intercepted;
        }

        location /intercepted/named {
            zertiban_replay off;
            proxy_pass http://%%API%%;
            proxy_intercept_errors on;
            error_page 401 403 404 500 = @open;
        }

        # servers that are tried in turn

        location /chain {
            proxy_pass http://chain;
            proxy_next_upstream error timeout http_500 invalid_header;
            proxy_intercept_errors on;
            error_page 500 502 504 = @open;
        }

        # redirects

        location /accel {
            proxy_pass http://%%API%%;
        }

        location /tried {
            try_files /none @open;
            proxy_pass http://%%API%%;
        }

        location /tried/failed {
            proxy_pass http://127.0.0.1:%%PORT_dead%%;
            error_page 502 = /tried/again;
        }

        location /tried/again {
            try_files /none /open/tried;
        }

        location /rewritten {
            rewrite ^ /open/rewritten last;
            proxy_pass http://%%API%%;
        }

        location /rewritten/failed {
            proxy_pass http://127.0.0.1:%%PORT_dead%%;
            error_page 502 = /rewritten/again;
        }

        location /rewritten/again {
            rewrite ^ /open/rewritten last;
        }

        location /after {
            post_action @open;
            proxy_pass http://%%API%%;
        }
    }
EOC
    API => $api->address(), BAD => $bad->address(), IDP => $idp->url(),
    ELSEWHERE => $elsewhere->address(), BIG => 'x' x 3000,
    Zertiban::Callers::config());

$idp->answer(sub {
    my ($request) = @_;

    return $request->{client_id} =~ /failing/
           ? Zertiban::IdP::json(500, error => 'server_error')
           : $idp->issue($request);
});

my @answers = (
    qr{^/including} => sub {
        return $api->text(200, "<!--#include virtual='/open/one' -->"
                          . '<!--#include virtual="/open/two" wait="yes" -->',
                          'Content-Type: text/html');
    },

    qr{^/added} => sub {
        return $api->text(200, "added\n", 'Content-Type: text/html');
    },

    qr{^/slow} => sub { return },

    qr{^/broken} => sub {
        my ($request) = @_;

        my $way = $request->{uri} =~ /reset/ ? 'reset' : 'close';
        $request->{stream}->$way();

        return;
    },

    qr{^/intercepted} => sub {
        return $api->text($_[0]{uri} =~ m{status=(\d+)}, "no\n");
    },

    qr{^/accel} => sub {
        my ($to) = $_[0]{uri} =~ m{to=([^&]+)};

        return $api->text(200, "accel\n", "X-Accel-Redirect: $to");
    },
);

$api->answer(sub {
    my ($request) = @_;

    for (my $i = 0; $i < @answers; $i += 2) {
        return $answers[$i + 1]->($request)
            if $request->{uri} =~ $answers[$i];
    }

    return $api->default($request);
});

my $turn = 0;

$bad->answer(sub {
    my ($request) = @_;

    return $bad->text(500, "bad\n") if $turn++ % 2;

    $request->{stream}->reset();

    return;
});

$elsewhere->answer(sub {
    return $elsewhere->text(200, "elsewhere\n", 'Content-Type: text/html');
});


sub goes {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return $callers->goes(@_);
}


is($t->get('/?client=1')->{status}, 200, 'there is a token');


# blocks inside of the gate

goes('/nested/open', 'a location inside of the gate that is not', 200, 0, 1);
goes('/nested?open=1', 'an "if" inside of the gate that is not', 200, 0, 1);


# mirrors

goes('/mirrored', 'two mirrors', 200, 1, 2);
goes('/mirrored?post', 'mirrors of a body', 200, 1, 2, method => 'POST',
     body => 'body');
goes('/mirrored?file', 'mirrors of a body in a file', 200, 1, 2,
     method => 'POST', body => 'x' x 100000);
goes('/mirrored/head', 'a mirror without the body', 200, 1, 1,
     method => 'POST', body => 'body');
goes('/mirrored/stream', 'a mirror of a body that is not buffered', 200, 1, 1,
     method => 'POST', body => 'x' x 100000);
goes('/mirrored/failed', 'a mirror before and after the API fails', 200, 0, 3,
     method => 'POST', body => 'body');

is(count_of(map { "$_->{uri} $_->{length}" }
            $callers->requests('/mirrored?post&client=1', 'elsewhere')),
   "/open/another?post&client=1 4: $n, /open/mirror?post&client=1 4: $n",
   'mirrors get the body');


# auth_request

goes('/asking', 'auth_request', 200, 1, 1);
goes('/asking?post', 'auth_request before a body', 200, 1, 1,
     method => 'POST', body => 'x' x 100000);
goes('/asking/failed', 'auth_request after the API has failed', 200, 1, 1);


# parts of pages

goes('/including', 'an answer that includes parts', 200, 1, 2);
goes('/page.html', 'a page that includes parts', 200, 1, 1);
goes('/added', 'parts before and after an answer', 200, 1, 2);


# failures of the API

goes('/refused', 'an error page for a refused connection', 502, 0, 1);
goes('/refused/named', 'a named one', 200, 0, 1);
goes('/refused/shown', 'one with variables in its URI', 200, 0, 1);
goes('/refused/named?post', 'one for a body', 200, 0, 1, method => 'POST',
     body => 'x' x 100000);
goes('/slow', 'an error page for a timeout', 504, 1, 1);
goes('/slow/named', 'a named one', 200, 1, 1);
goes('/broken?way=reset', 'an error page for a reset', 200, 1, 1);
goes('/broken?way=close', 'an error page for a closed connection', 200, 1, 1);
goes('/unbuilt', 'an error page for a request that cannot be built', 200, 0,
     1);

is(count_of(map { $_->{uri} }
            $callers->requests('/refused/shown?client=1', 'elsewhere')),
   '/open/basic?user=joe: 2, /open/none?user=: 4',
   'variables in the URI of an error page are the client\'s');


# of the gate

for my $uri ('/gate?client=failing', '/gate/named?client=failing') {
    goes($uri, "no token, $uri", $uri =~ /named/ ? 200 : 503, 0, 1);
}

goes('/gate/tenant', 'an error page for an unusable tenant', 200, 0, 1);


# intercepted answers

for my $status (401, 403, 404, 500) {
    goes("/intercepted$_?status=$status", "an intercepted $status", 200, 1, 1)
        for '', '/named';
}


# servers that are tried in turn

goes('/chain', 'a chain of servers, and a fallback', 200, 2, 1);


# redirects

goes('/accel?to=/open/accel', 'X-Accel-Redirect', 200, 1, 1);
goes('/accel?to=@open', 'X-Accel-Redirect to a name', 200, 1, 1);
goes('/accel?to=/rewritten/again', 'X-Accel-Redirect, then rewrite', 200, 1,
     1);
goes('/accel?to=/open/post', 'X-Accel-Redirect after a body', 200, 1, 1,
     method => 'POST', body => 'body');
goes('/tried?client=unused', 'try_files', 200, 0, 1);
goes('/tried/failed', 'try_files after the API has failed', 200, 0, 1);
goes('/rewritten?client=unused', 'a rewrite', 200, 0, 1);
goes('/rewritten/failed', 'a rewrite after the API has failed', 200, 0, 1);
goes('/after', 'a post_action', 200, 1, 1);

is($idp->count('client-unused'), 0,
   'a request that never comes to the gate makes no token request');


is($elsewhere->leaks(), 0, 'no token and no secret has come elsewhere');

# nginx says so of a request that it cannot build
$t->finish(allow => qr/\[alert\].* request record is too big/);

done_testing();
