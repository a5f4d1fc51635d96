# Tests for "if", limit_except, redirects and error pages around the gate.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();

mkdir $t->dir() . '/html';
$t->write_file('html/file.txt', "a file\n");

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url());
    proxy_cache_path %%DIR%%/cache keys_zone=live:1m;

    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/html;

        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id client-$arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant;

        # if

        location /if/on {
            if ($arg_gate) {
                zertiban on;
            }

            proxy_pass http://%%API%%;
        }

        location /if/off {
            zertiban on;

            if ($arg_open) {
                zertiban off;
            }

            proxy_pass http://%%API%%;
        }

        location /if/pass {
            zertiban on;

            if ($arg_pass) {
                proxy_pass http://%%API%%;
            }
        }

        location /if/two {
            zertiban on;

            if ($arg_pass) {
                proxy_pass http://%%API%%;
            }

            if ($arg_other) {
                set $other 1;
            }
        }

        location /if/both {
            zertiban on;

            if ($arg_pass) {
                proxy_pass http://%%API%%;
            }

            if ($arg_other) {
                set $other 1;
            }

            proxy_pass http://%%API%%;
        }

        # limit_except

        location /limit/denied {
            zertiban on;

            limit_except GET {
                deny all;
            }

            proxy_pass http://%%API%%;
        }

        location /limit/passed {
            zertiban on;

            limit_except GET {
                proxy_pass http://%%API%%;
            }
        }

        # error pages

        location /missing {
            error_page 404 = @gated;
        }

        location /dead/gated {
            zertiban on;
            proxy_pass http://127.0.0.1:%%PORT_dead%%;
            error_page 502 = @gated;
        }

        location /dead/open {
            zertiban on;
            proxy_pass http://127.0.0.1:%%PORT_dead%%;
            error_page 502 = @open;
        }

        location /none/open {
            zertiban on;
            proxy_pass http://down;
            error_page 502 = @open;
        }

        location /none/gated {
            zertiban on;
            proxy_pass http://down;
            error_page 502 = @gated;
        }

        # nginx looks at If-Match only where it caches; the first upstream
        # request is not over yet then

        location /live/open/gated {
            proxy_pass http://%%API%%;
            proxy_cache live;
            proxy_cache_valid 1m;
            error_page 412 = @gated;
        }

        location /live/gated/gated {
            zertiban on;
            proxy_pass http://%%API%%;
            proxy_cache live;
            proxy_cache_valid 1m;
            error_page 412 = @gated;
        }

        location /live/gated/open {
            zertiban on;
            proxy_pass http://%%API%%;
            proxy_cache live;
            proxy_cache_valid 1m;
            error_page 412 = @open;
        }

        location /cached/dead {
            proxy_pass http://127.0.0.1:%%PORT_dead%%;
            proxy_cache live;
            proxy_cache_valid 1m;
            error_page 502 = @gated;
        }

        location /cached/accel {
            proxy_pass http://%%API%%;
            proxy_cache live;
            proxy_cache_valid 1m;
        }

        location /intercepted {
            zertiban on;
            proxy_pass http://%%API%%;
            proxy_intercept_errors on;
            error_page 404 = @open;
        }

        location /failing {
            zertiban on;
            proxy_pass http://%%API%%;
            error_page 503 = @open;
        }

        location @gated {
            zertiban on;
            proxy_pass http://%%API%%;
            proxy_set_header X-Place gated;
        }

        location @open {
            proxy_pass http://%%API%%;
            proxy_set_header X-Place open;
        }

        # redirects

        location /accel {
            zertiban on;
            proxy_pass http://%%API%%;
        }

        location /open {
            proxy_pass http://%%API%%;
        }

        location /internal/open {
            internal;
            proxy_pass http://%%API%%;
        }

        location /internal/gated {
            internal;
            zertiban on;
            proxy_pass http://%%API%%;
        }

        location /rewritten {
            rewrite ^ /internal/gated last;
        }

        location /tried {
            try_files /none @gated;
        }

        # no upstream

        location /file.txt {
            zertiban on;
        }

        location /returned {
            zertiban on;
            return 204;
        }
    }

    upstream down {
        server 127.0.0.1:%%PORT_dead%% down;
    }
EOF


# the tokens that the requests to a path had at the API, each by its client

sub sent {
    my ($uri, $expected, $name) = @_;

    wait_until { $api->count($uri) };

    is(join(', ', map {
        my ($place) = $_->header('X-Place');
        my $token = join ' ', $_->token(), $_->tenant();
        $token =~ s/^token\.([^.]+)\.\S*/$1/;
        $token =~ s/^ $/none/;
        defined $place ? "$place: $token" : $token;
    } $api->requests($uri)), $expected, $name);
}


sub status {
    my ($uri, %o) = @_;

    return $t->start($o{method} // 'GET', $uri, %o)->response()->{status};
}


# if

is(status('/if/on?gate=1&client=1'), 200, 'zertiban on in an if');
sent('/if/on?gate=1&client=1', 'client-1 tenant', 'works there');
is(status('/if/on?client=1'), 200, 'and outside');
sent('/if/on?client=1', 'none', 'does not');

is(status('/if/off?client=1'), 200, 'zertiban off in an if');
sent('/if/off?client=1', 'client-1 tenant', 'does nothing outside');
is(status('/if/off?client=1&open=1'), 200, 'and inside');
sent('/if/off?client=1&open=1', 'none', 'turns the gate off');

is(status('/if/pass?client=1&pass=1'), 200, 'proxy_pass in an if');
sent('/if/pass?client=1&pass=1', 'client-1 tenant', 'is gated');
is(status('/if/pass?client=1'), 404, 'without it there is nothing to pass');

is(status('/if/two?client=1&pass=1'), 200, 'the first of two ifs');
sent('/if/two?client=1&pass=1', 'client-1 tenant', 'is gated');
is(status('/if/two?client=1&pass=1&other=1'), 500,
   'a second one that has no handler is an error');
is($api->count('/if/two?client=1&pass=1&other=1'), 0, 'which passes nothing');
is(scalar(my @said = $t->error_log(qr/no upstream configuration/)), 1,
   'and the log says why');
is(status('/if/two?client=1&other=1'), 404, 'the second of two ifs alone');

is(status('/if/both?client=1&pass=1&other=1'), 200,
   'two ifs in a location with a handler');
sent('/if/both?client=1&pass=1&other=1', 'client-1 tenant', 'are gated');


# limit_except

is(status('/limit/denied?client=1'), 200, 'a method that is allowed');
sent('/limit/denied?client=1', 'client-1 tenant', 'is gated');
is(status('/limit/denied?client=denied', method => 'POST'), 403,
   'a method that is denied');
is($idp->count('client-denied'), 0, 'makes no token request');
is(status('/limit/passed?client=1', method => 'POST'), 200,
   'proxy_pass in limit_except');
sent('/limit/passed?client=1', 'client-1 tenant', 'is gated');
is(status('/limit/passed?client=1'), 404,
   'outside there is nothing to pass');


# error pages

is(status('/missing?client=2'), 200, 'an error page behind the gate');
sent('/missing?client=2', 'gated: client-2 tenant', 'has a token');

is(status('/dead/gated?client=1'), 200, 'one after a dead upstream');
sent('/dead/gated?client=1', 'gated: client-1 tenant', 'has a token');
is(status('/dead/open?client=1'), 200, 'one outside after a dead upstream');
sent('/dead/open?client=1', 'open: none', 'has none');
is(status('/none/gated?client=1'), 200, 'one after no live upstream');
sent('/none/gated?client=1', 'gated: client-1 tenant', 'has a token');
is(status('/none/open?client=1'), 200, 'one outside after no live upstream');
sent('/none/open?client=1', 'open: none', 'has none');

$api->answer(sub {
    return $api->text(200, "one\n", 'ETag: "one"');
});

for my $path (qw(open/gated gated/gated gated/open)) {
    my $uri = "/live/$path?client=1";
    my ($from, $to) = map { $_ eq 'open' ? 'none' : 'client-1 tenant' }
                      split m{/}, $path;

    is(status($uri, headers => ['If-Match: "two"']), 200,
       "a failed precondition from $path");
    sent($uri, "$from, " . ($path =~ /open$/ ? 'open' : 'gated') . ": $to",
         'each request has what its place says');
}

$api->answer();

is(status('/cached/dead?client=1'), 200,
   'an error page after a dead upstream with a cache');
sent('/cached/dead?client=1', 'gated: client-1 tenant', 'has a token');

$api->answer(sub {
    return $api->text($_[0]->header('X-Place') ? 200 : 404, "text\n");
});

is(status('/intercepted?client=1'), 200, 'an error that is intercepted');
sent('/intercepted?client=1', 'client-1 tenant, open: none',
     'only the first request has a token');

$idp->answer(Zertiban::IdP::json(500, error => 'server_error'));

is(status('/failing?client=failing'), 200, 'an error page without a token');
sent('/failing?client=failing', 'open: none', 'is sent without one');
is($t->logged('/failing?client=failing')->{status}, 200,
   'and is all that there is');

$idp->answer();
$api->answer();


# redirects

$api->answer(sub {
    my ($request) = @_;

    my ($to) = $request->{uri} =~ /to=(\w+)/;

    return $api->text(200, "text\n", defined $to && $request->{uri}
        !~ /^.internal/ ? "X-Accel-Redirect: /internal/$to?client=3" : ());
});

is(status('/accel?client=1&to=open'), 200, 'X-Accel-Redirect to outside');
sent('/accel?client=1&to=open', 'client-1 tenant',
     'the first request has a token');
sent('/internal/open?client=3', 'none', 'the second has none');
is(status('/open?to=gated'), 200, 'X-Accel-Redirect to the gate');
sent('/open?to=gated', 'none', 'the first request has no token');
sent('/internal/gated?client=3', 'client-3 tenant', 'the second has one');

for my $turn (1 .. 2) {
    is(status('/cached/accel?client=1&to=gated'), 200,
       'X-Accel-Redirect from a cache to the gate');
}

is(count_of(map { $_->token() } $api->requests('/internal/gated?client=3')),
   ($idp->tokens('client-3'))[0] . ': 3', 'each of these has a token');

$api->answer();

is(status('/rewritten?client=4'), 200, 'a rewritten request');
sent('/internal/gated?client=4', 'client-4 tenant', 'has a token');
is(status('/tried?client=4'), 200, 'a request by try_files');
sent('/tried?client=4', 'gated: client-4 tenant', 'has a token');


# nothing that is passed on

is(status('/file.txt?client=1'), 200, 'a file in a gated location');
is(status('/returned?client=1'), 204, '"return" in a gated location');

# nginx says so of a second if
$t->finish(allow => qr/\[alert\].* no upstream configuration/);

done_testing();
