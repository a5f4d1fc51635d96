# Tests for tokens that come before anybody has to wait for them: when the
# workers start, and before the old ones end. All cases run side by side.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(decode_json);
use List::Util qw(max min sum uniq);

use Zertiban::Loop qw(after);
use Zertiban::Test;
use Zertiban::Traffic;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new(workers => 4);
my $traffic = Zertiban::Traffic->new($t);

# a client id ends in the seconds that its tokens live

my @brief = map { "brief-${_}s" } 1, 2, 5;
my @used = map { "used-${_}s" } 1, 2, 5;
my @many = map { "many$_-4s" } 1 .. 30;
my @early = map { "early$_-4s" } 1 .. 10;
my @static = ('idle-3s', 'busy-3s', 'held-12s', 'failing-6s', 'cached',
              @brief, @used, @early);

# tokens of this location are refreshed after 4 s and usable for 5.4 s; the
# requests come every 2.8 s to 3.2 s, so none comes in between

my @sparse = map { "/late?client=sparse$_-6s" } 28 .. 32;

my $sorry = Zertiban::IdP::json(500, error => 'server_error');

# a token that comes again and again, with less and less time left

my $same = 'token.cached.again';
my @left = (3, 2, 1, 0, 0);

my %answers = (
    held => sub {
        my ($request, $n) = @_;

        my $answer = issue($request);

        return $n == 2 ? $request->reply_after(2, $answer) : $answer;
    },
    failing => sub { $_[1] == 1 ? issue($_[0]) : $sorry },
    cached => sub {
        my ($request, $n) = @_;

        return $idp->issue($request) if $n > @left;
        return $idp->issue($request, token => $same,
                           expires_in => $left[$n - 1]);
    },
    slow => sub {
        my ($request, $n) = @_;

        return $n > 1 ? $idp->issue($request)
                      : $request->reply_after(1.5, issue($request));
    },
);

$idp->answer(sub {
    my ($request) = @_;

    my $client = $request->{client_id};
    my ($case) = $client =~ /^([a-z]+)/;

    # on a busy machine this process comes late
    $request->{delay} = now() - $request->{time};

    return ($answers{$case} || \&issue)->($request, $idp->count($client));
});


sub lifetime {
    return ($_[0] =~ /-(\d+)s$/)[0];
}


sub issue {
    my ($request) = @_;

    return $idp->issue($request,
                       expires_in => lifetime($request->{client_id}));
}


sub location {
    my ($path, $client, $settings) = @_;

    return <<"EOF";
        location = /$path {
            zertiban_client_id $client;
            proxy_pass http://%%API%%;
            @{[$settings // '']}
        }
EOF
}


my $locations = join '', (map { location($_, $_) } @static),
    (map { location($_, $_, 'zertiban_refresh_before 1s;') } @many),
    location('twice/1', 'twice-300s'), location('twice/2', 'twice-300s'),
    location('any', '$arg_client'),
    location('late', '$arg_client', 'zertiban_refresh_before 2s;'),
    '        location = /status { zertiban_status; }';

$t->run(<<"EOF", API => $api->address(), IDP => $idp->url());
    server {
        listen 127.0.0.1:%%PORT%% reuseport backlog=1024;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_secret a-secret-of-all;
        zertiban_scope "payments reports";
        zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;

$locations
    }
EOF


sub exchanges {
    my ($client) = @_;

    return grep { $_->{client_id} eq $client } @{$idp->{requests}};
}


# the seconds between the starts of exchanges: nginx has begun one before its
# connection is seen here

sub gaps {
    my @exchanges = exchanges(@_);

    return map { $exchanges[$_]{time} - $exchanges[$_ - 1]{stream}{since} }
           1 .. $#exchanges;
}


sub mean {
    return sum(@_) / @_;
}


sub caches {
    return count_of(map { $_->{cache} } @_);
}


# the start

my %static = map { $_ => 1 } 'twice-300s', @static, @many;
my @lasting = grep { !/-[12]s$/ } keys %static;

ok(wait_until(sub { !grep { !$idp->count($_) } keys %static }),
   'every credential without variables gets a token without a request');

my $start = now();

is(count_of(map { $idp->count($_) } @lasting), '1: ' . @lasting,
   'by one exchange of four workers, also if it is of two locations');
is(join(' ', grep { !$static{$_} } map { $_->{client_id} }
                                     @{$idp->{requests}}), '',
   'there is none for a credential with variables');


# ten seconds, as soon as the last answer has been read

wait_until {
    my $status = decode_json($t->get('/status')->{body});
    my %up = map { $_->{client_id} => $_->{up} } @{$status->{credentials}};

    !grep { !$up{$_} } @lasting
} or die 'there are credentials without a token';

$traffic->send("/twice/$_", 30) for 1, 2;
$traffic->every(0.2, "/$_") for 'cached', @used;
$traffic->every(0.2, "/any?client=dynamic-$_") for '1s', '2s', '5s';
$traffic->every(0.2, '/busy-3s', 8);
$traffic->every(0.2, '/any?client=shared-3s', 4);
$traffic->every(0.2, '/held-12s', 4);
$traffic->every(0.1, '/failing-6s');
$traffic->every(0.2, '/any?client=slow-1s');
$traffic->every((/sparse(\d+)/)[0] / 10, $_) for @sparse;

$traffic->send('/any?client=waited-2s');

my $waited;

after(3.5, sub {
    $waited = $idp->count('waited-2s');
    $traffic->send('/any?client=waited-2s');
});

is($t->get('/any?client=left-4s')->{status}, 200,
   'a credential with variables gets its token at the first request');

$traffic->send('/any?client=left-4s', 20);

wait_until { now() > $start + 10 } 11;

$traffic->send('/idle-3s');
$traffic->finish();

my %token = map { $_->{uri} => $_->token() } $api->requests();
my %issued = map { $_->{value} => $_ } @{$idp->{tokens}};


# hits from the first request on

my @twice = map { $traffic->requests("/twice/$_") } 1, 2;

is(caches(@twice), 'hit: 60', 'the first requests find the token');
is(scalar(uniq(map { $_->{pid} } @twice)), 4, 'in all four workers');
is($idp->count('twice-300s'), 1,
   'and a token that lives long is left alone');


# refreshes in a row

my @idle = exchanges('idle-3s');

cmp_ok(scalar @idle, '>=', 5, 'a token is refreshed again and again');
is(scalar(uniq(map { $_->raw() } @idle)), 1,
   'by requests that are equal, byte by byte');
like($idle[-1]->raw(), qr/^POST .*&scope=payments\+reports\z/s,
     'and complete');

my ($last) = $traffic->requests('/idle-3s');

is("$last->{status} $last->{cache}", '200 hit',
   'all without a request, of which the first has no need to wait');

my @tokens = $idp->tokens('busy-3s');
my @busy = $traffic->requests('/busy-3s');
my %workers;

$workers{$token{$_->{uri}}}{$_->{pid}} = 1 for @busy;

# when a token was seen for the first time, all workers have it

my %seen;

for my $request (sort { $b->{end} <=> $a->{end} } @busy) {
    $seen{$token{$request->{uri}}} = $request->{end};
}

my @old = map {
    my ($old, $new) = @tokens[$_ - 1, $_];
    grep { $seen{$new} && $_->{start} > $seen{$new}
           && $token{$_->{uri}} eq $old } @busy;
} 1 .. $#tokens;

my @everywhere = grep { keys %{$workers{$_} || {}} == 4 } @tokens;

cmp_ok(scalar @tokens, '>=', 5, 'a token that is used is refreshed as well');
cmp_ok(scalar @everywhere, '>=', 5,
       'the new ones are used in all four workers');
is(join(' ', map { $_->{uri} } @old), '', 'as soon as it is there');


# the moments

my @moments = map { (gaps($_))[0] } @many;

diag(sprintf 'refreshed after %.3f s to %.3f s', min(@moments),
     max(@moments));
cmp_ok(min(@moments), '>=', 2.85,
       'no refresh is earlier than zertiban_refresh_before and 10 %');
cmp_ok(max(@moments), '<', 4.1, 'and none much later');
cmp_ok(max(@moments) - min(@moments), '>', 0.1, 'they are spread');

cmp_ok(min(map { gaps($_) } @early), '>=', 1.95,
       'none is before half of the lifetime, with any refresh_before');
cmp_ok(max(map { (gaps($_))[0] } @early), '<', 3,
       'but well before the end');


# in the background

my @held = $traffic->requests('/held-12s');

my $begun = (exchanges('held-12s'))[1]{time};
my @during = grep { $_->{start} > $begun && $_->{start} < $begun + 1 } @held;

cmp_ok($idp->count('held-12s'), '>=', 2, 'while a refresh takes two seconds');
is(caches(@held), 'hit: ' . @held, 'no request waits for it');
is(scalar(grep { $_->{end} < $begun + 2 } @during), scalar @during,
   'all are answered before it ends');
isnt($token{$held[-1]{uri}}, $token{$held[0]{uri}},
     'until there is the new token');


# a refresh that fails

my ($first, @failed) = exchanges('failing-6s');
my $end = $first->{time} + 0.9 * 6;
my @failing = $traffic->requests('/failing-6s');
my @before = grep { $_->{end} < $end - 0.1 } @failing;
my @after = grep { $_->{start} > $end + 0.01 } @failing;

cmp_ok(scalar @failed, '>=', 2, 'while a refresh fails');
cmp_ok($failed[1]{time}, '<', $end, 'more than once');
is(count_of(map { "$_->{status} $_->{cache}" } @before),
   '200 hit: ' . @before, 'the old token is used');
is(count_of(map { "$_->{status} $_->{error}" } @after),
   '503 idp_unreachable: ' . @after,
   'until 90 % of its lifetime are over');


# a request that comes when a token is about to end may be sent too late for it

my %late = map { $_ => 1 } map { /"GET (\S+) /g }
           $t->error_log(qr/the token has expired before the request was sent/);

cmp_ok(keys %late, '<=', 5, 'few requests are as late as that');


sub in_time {
    return grep { !$late{$_->{uri}} } @_;
}


# short lifetimes

for my $seconds (1, 2, 5) {
    my @clients = map { "$_-${seconds}s" } qw(brief used dynamic);
    my @requests = map { $traffic->requests($_) }
                   "/used-${seconds}s", "/any?client=dynamic-${seconds}s";

    cmp_ok(min(map { mean(gaps($_)) } @clients), '>=',
           max(1, $seconds / 2) - 0.05,
           "tokens for $seconds s are not fetched in a loop");
    cmp_ok(min(map { $idp->count($_) } @clients), '>',
           10 / (0.9 * $seconds + 1), 'but in time');

    # the IdP is to blame if it needs a second to answer
    my @slow = grep { $_->{delay} > 0.5 } map { exchanges($_) } @clients;

    my @refused = grep {
        my $start = $_->{start};
        $_->{status} != 200 && !grep { abs($_->{time} - $start) < 4 } @slow;
    } in_time(@requests);

    is(join(' ', map { "$_->{uri} $_->{status} $_->{error}" } @refused), '',
       'and all requests are served');
}


# the same token again

my @cached = exchanges('cached');

is(scalar @cached, @left + 1, 'a token that comes again is tried again');
cmp_ok(min(gaps('cached')), '>=', 0.95, 'after a second at least');
cmp_ok((gaps('cached'))[-1], '>=', 1.75, 'and later if no time was left');

my %cached;

for my $request (in_time($traffic->requests('/cached'))) {
    my $when = $request->{end} < $cached[3]{time}          ? 'before'
             : $request->{start} < $cached[3]{time} + 0.05 ? ''
             : $request->{end} < $cached[5]{time}          ? 'none'
             : $request->{start} > $cached[5]{time} + 0.8  ? 'after'
             :                                               '';

    my $token = $token{$request->{uri}};

    push @{$cached{$when}}, join ' ', $request->{status},
        $request->{error} ne '-' ? $request->{error} : $request->{cache},
        !defined $token ? () : $token eq $same ? 'same' : 'other';
}

is(count_of(@{$cached{before}}), '200 hit same: ' . @{$cached{before}},
   'it is used as long as it has time left');
is(count_of(@{$cached{none}}),
   '502 idp_bad_response: ' . @{$cached{none}},
   'requests are refused when it has none');
is(count_of(@{$cached{after}}), '200 hit other: ' . @{$cached{after}},
   'until there is another one');


# a token that comes too late

my ($slow, $again) = exchanges('slow-1s');
my @slow = $traffic->requests('/any?client=slow-1s');
my @refused = grep { $_->{end} < $again->{time} } @slow;
my @served = grep { $_->{start} > $again->{time} + 1 } @slow;

is($idp->count('slow-1s'), 2, 'a token may have expired when it comes');
cmp_ok((gaps('slow-1s'))[0], '>=', 2.45,
       'the next attempt is a second later');
is(count_of(map { "$_->{status} $_->{error}" } @refused),
   '502 idp_bad_response: ' . @refused, 'requests are refused');
is(caches(@served), 'hit: ' . @served, 'until there is one that lives');


# credentials with variables

for my $path ('/any?client=shared-3s', @sparse) {
    my ($client) = $path =~ /client=(.*)/;
    my ($exchange) = exchanges($client);
    my @requests = grep { $_->{start} > $exchange->{time} + 1 }
                   $traffic->requests($path);

    cmp_ok($idp->count($client), '>=', 3, "$client is refreshed");
    is(caches(@requests), 'hit: ' . @requests,
       'in time: only the first requests wait');
}

cmp_ok(min(gaps('shared-3s')), '>=', 1.45,
       'one exchange for a refresh, though four workers see it');

is($waited, 1, 'a token that only was waited for is not refreshed');
is(caches($traffic->requests('/any?client=waited-2s')), 'wait: 2',
   'so the next request waits again');
is($idp->count('waited-2s'), 2, 'for another one');

is(caches($traffic->requests('/any?client=left-4s')), 'hit: 20',
   'a token that was used before');
is($idp->count('left-4s'), 2, 'is refreshed once, and no more');


# at all times

my @gaps = sort { $a <=> $b } map { gaps($_) }
           uniq(map { $_->{client_id} } @{$idp->{requests}});

# a worker on a busy machine may come late between start and connection

cmp_ok($gaps[@gaps / 50], '>=', 0.95,
       'no two exchanges of a credential are within a second');
cmp_ok($gaps[0], '>=', 0.3, 'if the machine is not too busy for it');

my @expired = grep {
    my $token = $issued{$token{$_->{uri}} // ''};

    $token && $_->{start} > $token->{request}{time}
                            + 0.9 * $token->{lifetime} + 0.01;
} $traffic->requests();

is(join(' ', map { $_->{uri} } @expired), '',
   'no token is used in the last 10 % of its lifetime');

$t->finish();

done_testing();
