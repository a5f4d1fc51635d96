# Tests for requests whose token may go to one server, but not to another: the
# next one, that of a replay, an error page or a subrequest, and what becomes
# of the servers that it did not go to.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::DNS;
use Zertiban::Elsewhere;
use Zertiban::Revocation;
use Zertiban::Shim;
use Zertiban::Test;

my $shim = Zertiban::Shim->new();
my $t = Zertiban::Nginx->new(env => $shim->env());
my $idp = Zertiban::IdP->new();
my $tokens = Zertiban::Revocation->new($t, $idp);

my $api = Zertiban::API->new();
my $bad = Zertiban::API->new();
my $elsewhere = Zertiban::Elsewhere->new();
my $open = Zertiban::API->new();
my $moves = Zertiban::API->new();
my $dns = Zertiban::DNS->new(zone => {
    'moves.example' => { A => ['127.0.0.1'], ttl => 1 },
});

$bad->answer($bad->text(502, "bad\n"));
$api->answer(sub { $tokens->answer($_[0]) // $api->default($_[0]) });

mkdir $t->dir() . '/html';
$t->write_file('html/page.html', join '', map {
    "<!--#include virtual=\"/part/$_?client=ssi\" -->" } qw(good bad));

$t->run(<<'EOF',
    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;

    upstream first_good {
        server %%API%%;
        server 192.0.2.1:%%ELSEWHERE%% backup;
    }

    upstream then_bad {
        server %%BAD%% max_fails=0;
        server 192.0.2.1:%%ELSEWHERE%% backup;
    }

    upstream after_dead {
        server 127.0.0.1:%%PORT_dead%% max_fails=0;
        server 192.0.2.1:%%ELSEWHERE%% backup;
    }

    upstream first_bad {
        server 192.0.2.1:%%ELSEWHERE%% max_fails=1 fail_timeout=60s;
        server %%API%% backup;
    }

    # counts failures, as others do
    upstream fragile {
        server 192.0.2.1:%%OPEN_PORT%% max_fails=1 fail_timeout=60s;
        server 127.0.0.1:%%PORT_dead%% backup;
    }

    upstream limited {
        server 192.0.2.1:%%OPEN_PORT%% max_conns=1;
        server 127.0.0.1:%%PORT_dead%% down;
    }

    # the first one is asked first, and then the second one
    upstream turns {
        server %%API%%;
        server 192.0.2.1:%%ELSEWHERE%%;
    }

    resolver %%DNS%% ipv6=off valid=1s;

    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/html;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant-$arg_client;

        proxy_next_upstream error http_502 non_idempotent;
        proxy_connect_timeout 5s;

        add_header X-Seen "$zertiban_cache $zertiban_error" always;
        add_header X-Upstream "$upstream_status" always;

        location / {
            proxy_pass http://%%API%%;
        }

        location /group/first_good {
            proxy_pass http://first_good;
        }

        location /group/then_bad {
            proxy_pass http://then_bad;
        }

        location /group/after_dead {
            proxy_pass http://after_dead;
        }

        location /group/first_bad {
            proxy_pass http://first_bad;
        }

        location /group/fragile {
            proxy_pass http://fragile;
        }

        location /group/limited {
            proxy_pass http://limited;
        }

        location /open/fragile {
            zertiban off;
            proxy_pass http://fragile;
        }

        location /open/limited {
            zertiban off;
            proxy_pass http://limited;
        }

        location /turns {
            proxy_pass http://turns;
        }

        location /both {
            proxy_pass http://both.example:%%OPEN_PORT%%;
        }

        # streamed bodies

        location /streamed {
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_pass http://first_bad;
        }

        # error pages and redirects

        location /page {
            error_page 500 = /fallback?client=$arg_client;
            proxy_pass http://first_bad;
        }

        location /fallback {
            proxy_pass http://%%API%%;
        }

        location /named {
            error_page 500 = @named;
            proxy_pass http://first_bad;
        }

        location @named {
            zertiban off;
            proxy_pass http://%%OPEN%%;
        }

        location /to_bad {
            error_page 502 = @bad;
            proxy_intercept_errors on;
            proxy_next_upstream off;
            proxy_pass http://%%BAD%%;
        }

        location @bad {
            proxy_pass http://first_bad;
        }

        # a location that somebody has forgotten, and one in it

        location /legacy {
            proxy_pass http://192.0.2.1:%%ELSEWHERE%%;
        }

        location /if {
            if ($arg_to = there) {
                proxy_pass http://192.0.2.1:%%ELSEWHERE%%;
            }

            if ($arg_to = group) {
                proxy_pass http://first_bad;
            }

            if ($arg_to = kept) {
                set $kept 1;
            }

            proxy_pass http://%%API%%;
        }

        location /if_inside {
            proxy_pass http://192.0.2.1:%%ELSEWHERE%%;

            if ($arg_to = kept) {
                set $kept 1;
            }
        }

        location /if_off {
            zertiban off;
            proxy_pass http://192.0.2.1:%%OPEN_PORT%%;

            if ($arg_to = gated) {
                zertiban on;
            }
        }

        location /limit {
            proxy_pass http://192.0.2.1:%%ELSEWHERE%%;

            limit_except GET {
                allow all;
            }
        }

        # caches: what is there needs no server

        location /cached {
            proxy_cache cache;
            proxy_cache_key $uri;
            proxy_cache_valid 200 4s;
            proxy_cache_use_stale error timeout;
            proxy_pass http://$arg_to;
        }

        # subrequests

        location /page.html {
            zertiban off;
            ssi on;
        }

        location /part/good {
            proxy_pass http://%%API%%;
        }

        location /part/bad {
            proxy_pass http://first_bad;
        }

        # names

        location /moves {
            set $to moves.example;
            proxy_pass http://$to:%%MOVES%%;
        }
    }
EOF
    API => $api->address(), BAD => $bad->address(), IDP => $idp->url(),
    ELSEWHERE => $elsewhere->{port}, MOVES => $moves->{port},
    DNS => $dns->address(),
    OPEN => $open->address(), OPEN_PORT => $open->{port});


sub seen {
    my ($uri, %o) = @_;

    my $method = delete $o{method} // 'GET';
    my $response = $t->start($method, $uri, %o)->response();

    return join ' ', $response->{status},
                     map { $response->header($_) } qw(X-Seen X-Upstream);
}


my $refused = '500 error upstream_refused';

is(seen('/warm?client=a'), '200 wait  200', 'the token is there');


# groups

is(seen('/group/first_good?client=a'), '200 hit  200',
   'the first server of a group may have it');
is(seen('/group/then_bad?client=a'), "$refused 502, 502",
   'the next one may not, after an answer');
is($bad->got('/group/then_bad?client=a')->token(),
   ($idp->tokens('a'))[0], 'that the first one gave to a token');
is(seen('/group/after_dead?client=a'), "$refused 502, 502",
   'nor after a connection that failed');
is(seen('/group/first_bad?client=a'), "$refused 502",
   'if the first one may not, no other one is tried');
is(seen('/group/first_bad?client=a', method => 'POST', body => 'x' x 300_000),
   "$refused 502", 'nor with a body');
is(seen('/streamed?client=a', method => 'POST', body => 'x' x 300_000),
   "$refused 502", 'nor with one that is streamed');
is($api->count('/group/first_bad?client=a')
   + $api->count('/streamed?client=a'), 0, 'so nobody gets the request');

is(count_of(map { seen('/both?client=a') } 1 .. 4), '200 hit  200: 2, '
   . "$refused 502: 2", 'a name of two machines leads to one of them');
is($open->count(), 2, 'which gets what goes there');


# what nginx thinks of the servers

is(count_of(map { seen("/group/fragile?client=a") } 1 .. 3),
   "$refused 502: 3", 'refusals in a row');
is($t->get('/open/fragile')->{status}, 200,
   'are no failures of the server');
is(count_of(map { seen("/group/limited?client=a") } 1 .. 3),
   "$refused 502: 3", 'a server with one connection');
is($t->get('/open/limited')->{status}, 200, 'has it back');


# replays

$tokens->warm('replay');
$tokens->grow_old();
$tokens->revoke('replay');

my $before = $idp->count('replay');

is(seen('/turns?client=replay'), "$refused 401 : 502",
   'a replay to another server is refused');
is($idp->count('replay') - $before, 1, 'with its new token');


# error pages

is(seen('/page?client=a'), '200 hit  502 : 200',
   'an error page has a token where it may go');
is($api->last('/fallback?client=a')->token(), ($idp->tokens('a'))[0],
   'and sends it');
is(seen('/named?client=a'), '200 error upstream_refused 502 : 200',
   'a named location without a gate');
is($open->last('/named?client=a')->token(), '', 'sends none');
is(seen('/to_bad?client=a'), "$refused 502 : 502",
   'an error page to a server that may not have it');


# locations

for my $uri ('/legacy', '/if?to=there', '/if_inside?to=', '/if_inside?to=kept',
             '/limit')
{
    my $client = $uri =~ s/\W//gr;

    is(seen($uri . ($uri =~ /\?/ ? '&' : '?') . "client=$client"),
       $refused, "$uri: refused");
    is($idp->count($client), 0, "$uri: before a token is asked for");
}

is(seen('/limit?client=a', method => 'POST', body => 'x'), $refused,
   'limit_except is in that location');
is(seen('/if?client=a&to=group'), "$refused 502", 'an "if" with another group');
is(seen('/if?client=a&to=kept'), '200 hit  200', 'an "if" without one');
is(seen('/if_off?client=a&to=gated'), $refused, 'an "if" with a gate');
is(seen('/if_off?client=a'), '200  200', 'and the location without');


# caches

is(seen("/cached?client=a&to=127.0.0.1:$open->{port}"), '200 hit  200',
   'an answer for the cache');
is(seen("/cached?client=a&to=192.0.2.1:$elsewhere->{port}"), '200 hit ',
   'needs no server');

ok(wait_until(sub {
    seen("/cached?client=a&to=192.0.2.1:$elsewhere->{port}")
        eq "$refused 502"
}), 'once it is stale the server is refused, and the answer not used');


# subrequests

is($t->get('/page.html?client=ssi')->{body} =~ /^GET \/part\/good/ ? 1 : 0, 1,
   'a part of a page is there');
is($t->logged('/page.html?client=ssi')->{status}, 200, 'without the other');


# names that lead elsewhere later

is(seen('/moves?client=a'), '200 hit  200',
   'a name that leads to this machine');

my $count = $moves->count();

$dns->{zone}{'moves.example'} = { A => ['192.0.2.1'], ttl => 1 };

ok(wait_until(sub {
    my $seen = seen('/moves?client=a');
    $count = $moves->count() if $seen ne "$refused 502";
    $seen eq "$refused 502"
}), 'leads to another one later');
is($moves->count(), $count, 'which gets nothing');


ok($elsewhere->untouched(), 'not a byte has come to the servers elsewhere');
cmp_ok($elsewhere->{connections}, '>', 10, 'though there were connections');

$t->finish();

done_testing();
