# Tests for subrequests, clones and caches.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();

mkdir $t->dir() . '/html';

$t->write_file('html/page.html',
               '<!--#include virtual="/gated/a?client=ssi" -->'
               . '<!--#include virtual="/gated/b?client=ssi" -->'
               . '<!--#include virtual="/open/c" -->');

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url());
    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;

    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/html;

        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id client-$arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant$arg_tenant;

        location /gated/ {
            zertiban on;
            proxy_pass http://%%API%%;
        }

        location /open/ {
            proxy_pass http://%%API%%;
        }

        # auth_request

        location /asks/gated {
            auth_request /check/gated;
            proxy_pass http://%%API%%;
        }

        location = /check/gated {
            internal;
            zertiban on;
            proxy_pass http://%%API%%;
            proxy_pass_request_body off;
            proxy_set_header Content-Length '';
        }

        location /asks/open {
            zertiban on;
            auth_request /check/open;
            proxy_pass http://%%API%%;
        }

        location = /check/open {
            internal;
            proxy_pass http://%%API%%;
            proxy_pass_request_body off;
            proxy_set_header Content-Length '';
        }

        # SSI

        location = /page.html {
            ssi on;
        }

        location /including {
            zertiban on;
            ssi on;
            proxy_pass http://%%API%%;
        }

        # mirrors

        location /to/gated/mirror {
            mirror /mirror/gated;
            proxy_pass http://%%API%%;
        }

        location = /mirror/gated {
            internal;
            zertiban on;
            proxy_pass http://%%API%%;
        }

        location /to/open/mirror {
            zertiban on;
            mirror /mirror/open;
            proxy_pass http://%%API%%;
        }

        location = /mirror/open {
            internal;
            proxy_pass http://%%API%%;
        }

        # caches

        location /cached {
            zertiban on;
            ssi on;
            ssi_types text/plain;
            proxy_pass http://%%API%%;
            proxy_cache cache;
            proxy_cache_key $uri$zertiban_tenant_id;
            proxy_cache_valid 200 1m;
            add_header X-Cache $upstream_cache_status;
        }

        location /locked {
            zertiban on;
            proxy_pass http://%%API%%;
            proxy_cache cache;
            proxy_cache_lock on;
            proxy_cache_lock_timeout 500ms;
            proxy_cache_key $uri;
            proxy_cache_valid 200 1m;
        }

        location /stale {
            zertiban on;
            proxy_pass http://%%API%%;
            proxy_cache cache;
            proxy_cache_key $uri;
            proxy_cache_valid 200 1s;
            proxy_cache_use_stale updating;
            proxy_cache_background_update on;
            add_header X-Cache $upstream_cache_status;
        }

        location /sliced {
            zertiban on;
            slice 1k;
            proxy_pass http://%%API%%;
            proxy_cache cache;
            proxy_cache_key $uri$slice_range;
            proxy_cache_valid 200 206 1m;
            proxy_set_header Range $slice_range;
        }
    }
EOF


# what the API got in a request, and nothing else

sub sent {
    my ($uri, $expected, $name) = @_;

    my $request = $api->got($uri);
    my $token = $request ? $request->token() : 'no request';

    $token =~ s/^token\.([^.]+)\..*/$1/;

    is(join(' ', $token, $request ? $request->tenant() : ()), $expected,
       $name);
}


sub status {
    my ($uri, %o) = @_;

    return $t->get($uri, %o)->{status};
}


my @own = (headers => ['Authorization: Basic own', 'x-tenant-id: own']);


# auth_request

is(status('/asks/gated?client=1', @own), 200, 'auth_request to the gate');
sent('/check/gated', 'client- tenant', 'has the token');
sent('/asks/gated?client=1', 'Basic own own',
     'the request itself has what the client sent');

is(status('/asks/open?client=2', @own), 200, 'auth_request in the gate');
sent('/check/open', 'Basic own own', 'has what the client sent');
sent('/asks/open?client=2', 'client-2 tenant', 'the request has the token');

$api->answer(sub {
    return $api->text($_[0]{uri} =~ /check/ ? 403 : 200, "no\n");
});

is(status('/asks/open?client=3'), 403, 'a request that is refused');
is($idp->count('client-3'), 0, 'makes no token request');
$api->answer();


# SSI

$idp->hold();

my $page = $t->start('GET', '/page.html');

wait_until { $idp->count('client-ssi') };
$idp->release();

is($page->response()->{body},
   "GET /gated/a?client=ssi\nGET /gated/b?client=ssi\nGET /open/c\n",
   'included parts wait for a token');
sent('/gated/a?client=ssi', 'client-ssi tenant', 'which they get');
sent('/gated/b?client=ssi', 'client-ssi tenant', 'each');
sent('/open/c', ' ', 'except where there is no gate');
is($idp->count('client-ssi'), 1, 'from one exchange');

$api->answer(sub {
    my ($request) = @_;

    return $api->text(200, $request->{uri} =~ m{^/open} ? "part\n"
        : '<!--#include virtual="/open/' . $request->{uri} =~ s/\W//gr
          . '" -->', 'Content-Type: text/html');
});

is($t->get('/including?client=4')->{body}, "part\n",
   'an answer of the gate that includes a part');
sent('/including?client=4', 'client-4 tenant', 'the request has a token');
sent('/open/includingclient4', ' ', 'the part has none');


# cache

for my $turn (qw(MISS HIT)) {
    my $response = $t->get('/cached?client=5');

    is(join(' ', $response->{status}, $response->header('X-Cache')),
       "200 $turn", "a cache $turn");
    is($response->{body}, "part\n", 'with a part that is not gated');
}

is($api->count('/cached?client=5'), 1, 'the API sees one request');
sent('/cached?client=5', 'client-5 tenant', 'which has a token');
is(count_of(map { $_->token() . $_->tenant() }
            $api->requests('/open/cachedclient5')), ': 2',
   'the parts have none');

is(($t->get('/cached?client=5&tenant=-2')->header('X-Cache'))[0], 'MISS',
   'a key with $zertiban_tenant_id keeps tenants apart');
sent('/cached?client=5&tenant=-2', 'client-5 tenant-2',
     'the other one has a request of its own');

$api->answer();

is(status('/stale?client=6'), 200, 'an answer that is kept for a second');
ok(wait_until(sub {
    my ($cache) = $t->get('/stale?client=6')->header('X-Cache');
    $cache eq 'STALE' && wait_until { $api->count('/stale?client=6') > 1 };
}), 'is updated in the background');
sent('/stale?client=6', 'client-6 tenant', 'with the token');

$api->answer(sub { return });

my @clients = map { $t->start('GET', '/locked?client=lock') } 1 .. 5;

wait_until { $api->count('/locked?client=lock') == 5 };
$_->answer($api->text(200, "late\n")) for $api->requests('/locked?client=lock');

is(count_of(map { $_->response()->{status} } @clients), '200: 5',
   'requests that waited for a cache lock');
is(count_of(map { (split /\./, $_->token())[1] . ' ' . $_->tenant() }
            $api->requests('/locked?client=lock')), 'client-lock tenant: 5',
   'have a token each');
$api->answer();


# slices

my $whole = join '', map { chr 97 + $_ % 26 } 1 .. 5000;

$api->answer(sub {
    my ($request) = @_;

    my ($from, $to) = ($request->header('Range'))[0] =~ /(\d+)-(\d+)/;
    my $part = substr $whole, $from, $to - $from + 1;

    return $api->text(206, $part, 'ETag: "one"', sprintf
        'Content-Range: bytes %d-%d/5000', $from, $from + length($part) - 1);
});

is($t->get('/sliced?client=7')->{body}, $whole, 'slices');
is(count_of(map { $_->token() . ' ' . $_->tenant() }
            $api->requests('/sliced?client=7')),
   ($idp->tokens('client-7'))[0] . ' tenant: 5', 'have the token each');
$api->answer();


# mirrors

is($t->start('POST', '/to/gated/mirror?client=8', @own, body => 'body')
     ->response()->{status}, 200, 'a request with a gated mirror');
sent('/mirror/gated?client=8', 'client-8 tenant', 'the mirror has a token');
sent('/to/gated/mirror?client=8', 'Basic own own', 'the request has none');

is($t->start('POST', '/to/open/mirror?client=9', @own, body => 'body')
     ->response()->{status}, 200, 'a gated request with a mirror');
sent('/mirror/open?client=9', 'Basic own own', 'the mirror has no token');
sent('/to/open/mirror?client=9', 'client-9 tenant', 'the request has one');
is($api->last($_)->{length}, 4, 'the body goes to both')
    for qw(/mirror/open?client=9 /to/open/mirror?client=9);

$idp->hold();

my $mirrored = $t->start('POST', '/to/gated/mirror?client=10',
                         body => 'body', connection => 'keep-alive');

is($mirrored->response()->{status}, 200, 'a request whose mirror waits');
$mirrored->leave();
$idp->release();
sent('/mirror/gated?client=10', 'client-10 tenant',
     'the mirror is sent even if the client has left');

$t->finish();

done_testing();
