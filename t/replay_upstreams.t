# Tests for requests that are replayed after a 401: groups of servers, kept
# connections, caches, subrequests and error pages.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw(md5_hex);

use Zertiban::Revocation;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $other = Zertiban::API->new();
my $bad = Zertiban::API->new();
my $turning = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();
my $tokens = Zertiban::Revocation->new($t, $idp);

mkdir $t->dir() . '/html';

$t->write_file('html/page.html', join '', map {
    "<!--#include virtual=\"/part/$_?client=ssi\" -->" } 1 .. 3);

my @kept = qw(bare body half long chunk slow);
my @servers = qw(one first both limited);
my @next = qw(after_dead after_bad before_next);

my $groups = join '', map { <<"EOF" } @servers, @next;
        location /group/$_ {
            proxy_pass http://$_;
        }

EOF

$t->run(<<'EOF' =~ s/%%GROUPS%%/$groups/r,
    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;

    upstream kept {
        server %%API%%;
        keepalive 4;
    }

    upstream one {
        server %%API%% max_fails=1 fail_timeout=60s;
    }

    upstream first {
        server %%API%% max_fails=1 fail_timeout=60s;
        server %%OTHER%% backup;
    }

    upstream both {
        server %%API%% max_fails=1 fail_timeout=60s;
        server %%OTHER%% max_fails=1 fail_timeout=60s;
    }

    upstream limited {
        server %%API%% max_conns=1;
        server 127.0.0.1:%%PORT_dead%% down;
    }

    upstream after_dead {
        server 127.0.0.1:%%PORT_dead%% max_fails=0;
        server %%API%% backup;
    }

    upstream after_bad {
        server %%BAD%% max_fails=0;
        server %%API%% backup;
    }

    upstream before_next {
        server %%TURNING%% max_fails=0;
        server %%API%% backup;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/html;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant-$arg_client;

        proxy_http_version 1.1;
        proxy_next_upstream error http_502;
        proxy_cache_key $uri$zertiban_tenant_id$slice_range;
        proxy_cache_valid 200 206 1m;

        add_header X-Seen "$zertiban_cache $upstream_status" always;
        add_header X-Cache "$upstream_cache_status" always;

        location / {
            proxy_pass http://%%API%%;
        }

%%GROUPS%%
        location /kept {
            proxy_pass http://kept;
            proxy_set_header Connection '';
        }

        # caches

        location /cached {
            proxy_pass http://%%API%%;
            proxy_cache cache;
        }

        location /refused {
            proxy_pass http://%%API%%;
            proxy_cache cache;
            proxy_cache_valid 401 1m;
        }

        location /locked {
            proxy_pass http://%%API%%;
            proxy_cache cache;
            proxy_cache_lock on;
        }

        location /stale {
            proxy_pass http://%%API%%;
            proxy_cache cache;
            proxy_cache_valid 200 1s;
            proxy_cache_use_stale updating;
            proxy_cache_background_update on;
        }

        location /validated {
            proxy_pass http://%%API%%;
            proxy_cache cache;
            proxy_cache_valid 200 1s;
            proxy_cache_revalidate on;
        }

        location /sliced {
            slice 1k;
            proxy_pass http://%%API%%;
            proxy_cache cache;
            proxy_set_header Range $slice_range;
        }

        # subrequests

        location = /page.html {
            zertiban off;
            ssi on;
        }

        location /asks/gate {
            zertiban off;
            auth_request /check/gate;
            proxy_pass http://%%API%%;
        }

        location /asks/once {
            auth_request /check/open;
            mirror /mirror;
            proxy_pass http://%%API%%;
        }

        location = /check/gate {
            internal;
            zertiban_client_id gate;
            zertiban_client_secret secret-of-gate;
            zertiban_tenant_id tenant-gate;
            proxy_pass http://%%API%%;
            proxy_pass_request_body off;
            proxy_set_header Content-Length '';
        }

        location = /check/open {
            internal;
            zertiban off;
            proxy_pass http://%%API%%;
            proxy_pass_request_body off;
            proxy_set_header Content-Length '';
        }

        location = /mirror {
            internal;
            zertiban off;
            proxy_pass http://%%API%%;
        }

        # error pages

        location /intercepted {
            proxy_intercept_errors on;
            error_page 401 403 /login;
            proxy_pass http://%%API%%;
        }

        location = /login {
            zertiban off;
            proxy_pass http://%%API%%;
        }

        location /named {
            error_page 418 = @named;
            return 418;
        }

        location @named {
            proxy_pass http://%%API%%;
        }

        location /status {
            zertiban off;
            stub_status;
        }
    }
EOF
    API => $api->address(), OTHER => $other->address(),
    BAD => $bad->address(), TURNING => $turning->address(),
    IDP => $idp->url());

my $whole = join '', map { chr 97 + $_ % 26 } 1 .. 3000;


# the default answer, but for some paths

sub say_well {
    my ($request) = @_;

    my $uri = $request->{uri};

    return $api->text(401, "not you\n") if $uri =~ m{^/refused};
    return $api->text(401, "not you\n") if $uri =~ m{/staying};
    return $api->text(200, "kept\n", 'ETag: "one"')
        if $uri =~ m{^/validated} && !$request->header('If-None-Match');
    return $api->text(304, '', 'ETag: "one"') if $uri =~ m{^/validated};
    return $api->default($request) if $uri !~ m{^/sliced};

    my ($from, $to) = ($request->header('Range'))[0] =~ /(\d+)-(\d+)/;
    my $part = substr $whole, $from, $to - $from + 1;

    return $api->text(206, $part, 'ETag: "one"', sprintf
        'Content-Range: bytes %d-%d/3000', $from, $from + length($part) - 1);
}


# what the API says instead of its usual 401

my %refusals = (
    '/kept/bare' => "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n",
    '/kept/body' => "HTTP/1.1 401 No\r\nContent-Length: 3\r\n\r\nno\n",
    '/kept/half' => "HTTP/1.1 401 No\r\nContent-Length: 99\r\n\r\nno\n",
    '/kept/long' => "HTTP/1.1 401 No\r\nContent-Length: 99999\r\n\r\n"
                    . 'no' x 5000,
    '/kept/chunk' => "HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n"
                     . "3\r\nno\n\r\n0\r\n\r\n",
    '/kept/slow' => "HTTP/1.1 401 No\r\nContent-Len",
);

$api->answer(sub {
    my ($request) = @_;

    my $refusal = $tokens->answer($request) // return say_well($request);
    my ($path) = $request->{uri} =~ /^([^?]+)/;

    Zertiban::Loop::after(0.1, sub { $request->answer("gth: 0\r\n\r\n") })
        if $path eq '/kept/slow';

    return exists $refusals{$path} ? $refusals{$path} : $refusal;
});

$other->answer(sub { $tokens->answer($_[0]) // $other->default($_[0]) });
$turning->answer(sub {
    $tokens->answer($_[0]) // $turning->text(502, "bad\n")
});
$bad->answer($bad->text(502, "bad\n"));

my @names = (@kept, @servers, @next, qw(
    cached refused locked stale validated sliced ssi gate once intercepted
    staying named));


sub healed {
    my ($uri, $response, $name, $body) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $tokens->healed($api, $uri, $response, $name, $body // "GET $uri\n");
}


sub seen {
    my ($response) = @_;

    return join(' ', map { $response->header($_) } 'X-Cache', 'X-Seen')
           =~ s/ $//r;
}


sub active {
    my ($n) = $t->get('/status')->{body} =~ /Active connections: (\d+)/;

    # without the one that asks
    return $n - 1;
}


# without the connections that the API has not closed either

sub sockets {
    return $t->sockets()
           - map { $_->streams() } $api, $other, $bad, $turning;
}


$tokens->warm(grep { $_ ne 'gate' } @names);
wait_until { $idp->tokens('gate') } or die 'no token for the client "gate"';

is($t->get('/refused?client=refused')->{status}, 401,
   'a 401 for a young token reaches the client');
is($t->get("/$_?client=$_")->{status}, 200, "an answer that is $_")
    for qw(stale validated);
is($idp->count(), @names, 'all that with one token for each client');

$tokens->grow_old();
$tokens->revoke();

my $sockets = sockets();
my $uri;


# connections that are kept

my %connections;

for my $name (@kept) {
    $uri = "/kept/$name?client=$name";

    healed($uri, $t->get($uri), "a 401 on a kept connection ($name)");
    $connections{$name} = [map { $_->{connection} } $api->requests($uri)];

    is($t->get("$uri&then")->{body}, "GET $uri&then\n",
       'the next request has its own answer');
}

is(count_of(@{$connections{bare}}), "$connections{bare}[0]: 2",
   'a 401 without a body leaves the connection open');


# groups of servers that must not fail

for my $group (@servers) {
    $uri = "/group/$group?client=$group";

    my $answer = $t->get($uri);
    my $n = $other->count($uri);
    my ($first) = ($api->requests($uri), $other->requests($uri));

    is($answer->{status} . ' ' . seen($answer), '200 replay 401 : 200',
       "the group $group: served after a 401");
    is($n + $api->count($uri), 2, 'by two requests');
    ok($first && $tokens->revoked($first), 'the first has the old token');
    is($idp->count($group), 2, 'after one exchange');

    my @more = map { "$uri&n=$_" } 1 .. 6;

    is(count_of(map { my $response = $t->get($_);
                      "$response->{status} " . seen($response) } @more),
       '200 hit 200: 6', 'the servers still serve');
    is(count_of(map { $other->count($_) } @more),
       $group eq 'both' ? '0: 3, 1: 3' : '0: 6', 'each as often as before');
}


# proxy_next_upstream before and after the 401

my %statuses = (
    after_dead => '502, 401 : 502, 200',
    after_bad => '502, 401 : 502, 200',
    before_next => '401 : 502, 200',
);

for my $group (@next) {
    $uri = "/group/$group?client=$group";

    my $response = $t->start('PUT', $uri, body => 'a body')->response();

    is("$response->{status} " . seen($response),
       "200 replay $statuses{$group}", "the next server ($group): served");
    is($response->{body}, "PUT $uri\n", 'with the last answer');
    is($idp->count($group), 2, 'after one exchange');

    is($tokens->tokens($_->[0], $uri), $_->[1], 'with the new token')
        for $group eq 'before_next' ? ([$turning, '1 2'], [$api, '2'])
          : $group eq 'after_bad'   ? ([$bad, '1 2'], [$api, '1 2'])
          :                           [$api, '1 2'];

    my @requests = map { $_->requests($uri) } $api, $bad, $turning;

    is(count_of(map { Zertiban::Revocation::shape($_) } @requests),
       Zertiban::Revocation::shape($requests[0]) . ': ' . @requests,
       'and otherwise the same request');
    is($requests[0]{digest}, md5_hex('a body'), 'with its body');
}


# caches

$uri = '/cached?client=cached';

my $response = $t->get($uri);

healed($uri, $response, 'a cache miss');
is(seen($response), 'MISS replay 401 : 200', 'it is still one');
$response = $t->get($uri);
is("$response->{body}$response->{status} " . seen($response),
   "GET $uri\n200 HIT hit", 'its second answer is in the cache');

$uri = '/refused?client=refused';
$response = $t->get($uri);
is("$response->{status} " . seen($response), '401 HIT hit',
   'a 401 of the cache is not replayed');
is($api->count($uri), 1, 'it was the API\'s once');
is($idp->count('refused'), 1, 'and makes no exchange');

$uri = '/cached?client=refused';
is(seen($t->get($uri)), 'MISS replay 401 : 200',
   'nor has it dropped the token');

$uri = '/stale?client=stale';
is(seen($t->get($uri)), 'STALE hit', 'an update in the background');
ok(wait_until(sub { $api->count($uri) == 3 }), 'is replayed');
is($tokens->tokens($api, $uri), '1 1 2', 'with a new token');
is($idp->count('stale'), 2, 'after one exchange');
ok(wait_until(sub { seen($t->get($uri)) =~ /^HIT / }),
   'its second answer is in the cache');

$uri = '/validated?client=validated';
$response = $t->get($uri);
is("$response->{status} $response->{body}" . seen($response),
   "200 kept\nREVALIDATED replay 401 : 304", 'a 304 after a 401');
is($tokens->tokens($api, $uri), '1 1 2', 'with a new token');
is(Zertiban::Revocation::shape($api->last($uri)),
   Zertiban::Revocation::shape(($api->requests($uri))[1]),
   'and otherwise the same request');

$uri = '/sliced?client=sliced';
is($t->get($uri)->{body}, $whole, 'slices: served');
is(count_of(map { $_->header('Range') } $api->requests($uri)),
   'bytes=0-1023: 2, bytes=1024-2047: 1, bytes=2048-3071: 1',
   'after one replay');
is($tokens->tokens($api, $uri), '1 2 2 2', 'with a new token');


# requests that wait for the cache while another one has its 401

$uri = '/locked?client=locked';
$refusals{'/locked'} = undef;
$idp->hold();

my @clients = $t->start('GET', $uri);
wait_until { $api->count($uri) };

push @clients, map { $t->start('GET', $uri) } 1 .. 4;
wait_until { active() == 5 };

$api->last($uri)->answer($api->text(401, "revoked\n"));
wait_until { $idp->held() };

# they look for the cache twice a second
wait_until { 0 } 1.2;
$idp->release();

is(count_of(map { $_->response()->{status} } @clients), '200: 5',
   'requests that wait for the cache: served');
is($idp->count('locked'), 2, 'after one exchange');
is($tokens->tokens($api, $uri) =~ /^1( 2)+$/, 1, 'with its token');


# subrequests

is($t->get('/page.html')->{body},
   join('', map { "GET /part/$_?client=ssi\n" } 1 .. 3),
   'parts of a page: served');
$tokens->replayed($api, "/part/$_?client=ssi", "part $_") for 1 .. 3;

$uri = '/asks/gate?client=gate';
is($t->get($uri)->{status}, 200, 'an auth_request: served');
is(count_of(map { $tokens->revoked($_) // 'new' }
            $api->requests('/check/gate')), '1: 1, new: 1',
   'with a new token');
is($api->count($uri), 1, 'the request itself is sent once');

$uri = '/asks/once?client=once';
healed($uri, $t->start('POST', $uri, body => 'body')->response(),
       'a request after an auth_request', "POST $uri\n");
is(join(' ', map { $api->count($_) } '/check/open', '/mirror?client=once'),
   '1 1',
   'neither this nor the mirror is sent again');


# error pages

$uri = '/intercepted?client=intercepted';
healed($uri, $t->get($uri), 'proxy_intercept_errors');
is($api->count('/login'), 0, 'the error page is not asked for');

$uri = '/intercepted/staying?client=staying';
$response = $t->get($uri);
is("$response->{status} $response->{body}", "401 GET /login\n",
   'an error page for a 401 that stays');
$tokens->replayed($api, $uri, 'a 401 that stays');
is($api->last('/login') && $api->last('/login')->token(), '',
   'the error page has no token');

$uri = '/named?client=named';
healed($uri, $t->get($uri), 'a named location');


# nothing is left over

ok(wait_until(sub { active() == 0 }), 'all connections are freed');
ok(wait_until(sub { sockets() <= $sockets }),
   'and all sockets, but those that are kept');

$t->finish();

done_testing();
