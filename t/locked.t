# Tests for requests that wait for the response cache when their token goes:
# nothing else moves them, none hangs, and none is sent twice.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Revocation;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();
my $tokens = Zertiban::Revocation->new($t, $idp);

$t->write_file('page.html', join '', map { "<!--#include virtual=\"$_\" -->" }
               '/open/part', '/plain/refused?client=barrier', '/text');

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url());
    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;
    proxy_cache_key $uri$is_args$args;
    proxy_cache_lock on;
    proxy_cache_lock_timeout 60s;
    proxy_cache_lock_age 60s;
    proxy_cache_valid any 60s;

    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant-$arg_client;

        location / {
            proxy_pass http://%%API%%;
        }

        location /plain {
            zertiban_tenant_id $arg_tenant;
            proxy_pass http://%%API%%;
            error_page 400 = /text;
        }

        location /cached {
            proxy_cache cache;
            proxy_pass http://%%API%%;
        }

        location /intercepted {
            proxy_cache cache;
            proxy_intercept_errors on;
            error_page 404 = /open/fallback;
            error_page 410 = @fallback;
            error_page 409 = /cached/fallback?client=fallback;
            proxy_pass http://%%API%%;
        }

        location @fallback {
            zertiban off;
            proxy_cache cache;
            proxy_cache_key named;
            rewrite ^ /open/named? break;
            proxy_pass http://%%API%%;
        }

        location /open {
            zertiban off;
            proxy_cache cache;
            proxy_pass http://%%API%%;
        }

        location /text {
            return 200 " text";
        }

        location /page {
            ssi on;
            ssi_types *;
            alias %%DIR%%/page.html;
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

# these are held back

$api->answer(sub {
    my ($request) = @_;

    return if $request->{uri} =~ m{^/(?:cached|open)};
    return $api->text($1, "error\n")
        if $request->{uri} =~ m{^/intercepted/(\d+)};
    return $tokens->answer($request) // $api->default($request);
});


sub status_of {
    my ($uri) = @_;

    return join ' ', map { /status=(\d+)/ } grep { /^\Q$uri\E / }
                     split /^/, $t->read_file('logs/access.log');
}


# a request that holds the lock of a URI, and others that wait for it

sub lock {
    my ($uri, @names) = @_;

    my $n = $api->count($uri);
    my $holder = $t->start('GET', $uri);

    wait_until { $api->count($uri) == $n + 1 } or die "no request for $uri";

    my %waiting = map { $_ => $t->start('GET', $uri,
                                        connection => 'keep-alive') } @names;
    $t->barrier();

    return ($holder, \%waiting);
}


# with an answer that is not kept: the others are on their own

sub unlock {
    my ($uri, $holder) = @_;

    $api->last($uri)->answer($api->text(200, "answer\n",
                                        'Cache-Control: no-store'));
    $holder->response();
}


# returns when all that wait for a lock have looked at it, which they do every
# 500 ms

sub looked {
    wait_until { 0 } 0.7;
    $t->barrier();
}


my @clients = qw(refused later left);

$tokens->warm('barrier', 'fallback', 'intercepted', @clients);
$tokens->grow_old();

# their token goes, and there is no other one: clients that do something do
# not move them, and when the lock is free they are refused

my %events = %Zertiban::Client::events{qw(nothing byte fin close)};

my $uri = '/cached/refused?client=refused';
my ($holder, $waiting) = lock($uri, sort keys %events);

$idp->answer("HTTP/1.1 503 Status\r\nContent-Length: 0\r\n\r\n");
$tokens->revoke('refused');

is($t->get('/other?client=refused')->{status}, 503, 'a token goes');

for (1, 2) {
    $events{$_}->($waiting->{$_}) for sort keys %events;
    $t->barrier();
}

ok(!$waiting->{nothing}->done(), 'a request that waits for a lock');
is(status_of($uri), '', 'others whose clients do something');

unlock($uri, $holder);

is(count_of(map { $waiting->{$_}->response()->{status} } qw(nothing fin)),
   '503: 2', 'are refused when the lock is free');
is($waiting->{byte}->response()->{status}, 503, 'and so is one more');

$waiting->{byte}{stream}->write("ET /text HTTP/1.1\r\nHost: a\r\n\r\n");
$waiting->{nothing}->send("GET /text HTTP/1.1\r\nHost: a\r\n\r\n");

is($waiting->{nothing}->response()->{status}, 200,
   'its connection serves the next one');

ok(wait_until(sub { (my @all = split / /, status_of($uri)) == 5 }),
   'all have ended');
is($api->count($uri), 1, 'the API got one of them');

$idp->answer();

# there is another token, which they wait for

$uri = '/cached/later?client=later';
($holder, $waiting) = lock($uri, qw(one two));

$idp->hold();
$tokens->revoke('later');

my $other = $t->start('GET', '/other?client=later');

wait_until { $idp->held() } or die 'no exchange';
unlock($uri, $holder);
looked();

is(join(' ', map { $_->done() ? 1 : 0 } values %$waiting), '0 0',
   'requests that wait for a lock, and then for a token');
is($api->count($uri), 1, 'are not sent');

$idp->release();

is($other->response()->{status}, 200, 'there is another token');

# one has the lock then, and the other one its answer

ok(wait_until(sub { $api->count($uri) == 2 }), 'one of them is sent');
$t->barrier();
$api->last($uri)->answer($api->text(200, "answer\n"));

is(count_of(map { $_->response()->{status} } values %$waiting), '200: 2',
   'both are answered');
is($api->count($uri), 2, 'the other one from the cache');
is($tokens->tokens($api, $uri), '1 2', 'with the new token');

# clients that leave while their request waits for a lock and for a token

$uri = '/cached/left?client=left';
($holder, $waiting) = lock($uri, qw(one two));

$idp->hold();
$tokens->revoke('left');
$other = $t->start('GET', '/other?client=left');
wait_until { $idp->held() } or die 'no exchange';

$waiting->{one}->leave();
unlock($uri, $holder);
looked();
$waiting->{two}->leave();
$t->barrier();
$idp->release();

is($other->response()->{status}, 200, 'clients have left');
ok(wait_until(sub { status_of($uri) =~ /^200 499 499$/ }),
   'their requests have ended');
is($api->count($uri), 1, 'and were not sent');

# a cached error leads to another location, which waits for its own lock

for my $case ([404, '/open/fallback'], [410, '/open/named'],
              [409, '/cached/fallback?client=fallback']) {
    my ($status, $to) = @$case;

    my $from = "/intercepted/$status?client=intercepted";

    # the first one fills the cache with the error
    my $first = $t->start('GET', $from);

    wait_until { $api->count($to) == 1 } or die "nothing comes to $to";

    my @others = map { $t->start('GET', $from) } 1 .. 3;

    $t->barrier();
    is(count_of(map { $_->done() ? 1 : 0 } @others), '0: 3',
       "an error page ($status) waits for the cache");

    $_->answer($api->text(200, "page\n")) for $api->requests($to);

    is(count_of(map { $_->response()->{body} } $first, @others),
       "page\n: 4", 'and is answered');
    is($api->count($to), 1, 'the API got it once');
    is($api->count($from), 1, 'and what leads to it once');
}

# a part of a page is refused while another one waits for the cache

$holder = $t->start('GET', '/open/part');
wait_until { $api->count('/open/part') } or die 'no request for a part';

my $page = $t->start('GET', '/page');

$t->barrier();
$api->last('/open/part')->answer($api->text(200, 'part'));

is($page->response()->{body}, 'part text text',
   'a page of which a part is refused');

Zertiban::Client::leave_all();

ok(wait_until(sub {
    $t->get('/', port => 'status')->{body} =~ /^Active connections: 1 /;
}), 'no connection is left');

$t->finish();

done_testing();
