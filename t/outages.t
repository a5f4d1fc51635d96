# Tests for token endpoints that fail, each in its own way, and come back:
# when the next attempts are, and what clients are told until then. All
# cases run side by side, each with credentials of its own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw(min uniq);
use POSIX qw(strftime);

use Zertiban::CA;
use Zertiban::Test;
use Zertiban::Traffic;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new(workers => 4);
my $traffic = Zertiban::Traffic->new($t);

# the announced delays after one failure and the next ones, in milliseconds

my @steps = ([1000, 1100], [1800, 2200], [3600, 4400]);
my @refused = ([4500, 5500], [9000, 11000]);

my @unreachable = (503, 'idp_unreachable');
my @unusable = (502, 'idp_bad_response');
my @rejected = (502, 'idp_rejected_client');
my @limited = (503, 'idp_rate_limited');

# what the IdP does, what a client is told then, and the delays: it works
# again after as many failures, but where the credential is revoked

my %kinds = (
    down => [undef, @unreachable, @steps],
    tls => [undef, @unreachable, @steps],
    reset => [sub { $_[0]->reset() }, @unreachable, @steps],
    closed => [sub { $_[0]->close() }, @unreachable, @steps],
    silent => [sub { return }, 504, 'idp_timeout', @steps[0, 1]],
    500 => [answer(500), @unreachable, @steps],
    503 => [answer(503), @unreachable, @steps],
    404 => [answer(404), @unusable, @steps],
    empty => [answer(200), @unusable, @steps],
    garbage => [answer(200, '<html>'), @unusable, @steps],
    tokenless => [Zertiban::IdP::json(200, token_type => 'Bearer'),
                  @unusable, @steps],
    400 => [Zertiban::IdP::json(400, error => 'invalid_client'), @rejected,
            $refused[0]],
    401 => [answer(401), @rejected, $refused[0]],
    revoked => [answer(401), @rejected, @refused],
    429 => [answer(429), @limited, @steps],
    'later-429' => [answer(429, '', 'Retry-After: 3'), @limited,
                    [3000, 3000]],
    'later-503' => [answer(503, '', 'Retry-After: 3'), @unreachable,
                    [3000, 3000]],
    'dated-503' => [sub { answer(503, '', 'Retry-After: ' . date(4)) },
                    @unreachable, [3000, 4000]],
    'at-once-429' => [answer(429, '', 'Retry-After: 0'), @limited,
                      ([1000, 1000]) x 3],
);

# three credentials for each kind: one that nobody uses, one with variables,
# and for some one without that is used as well

my @quiet = map { "quiet-$_" } sort keys %kinds;
my @used = ((map { "used-$_" } sort keys %kinds),
            map { "busy-$_" } qw(500 401 429 later-503));

# those whose IdP fails when it has a token already, and one where it fails
# a second time

my @kept = map { "kept-$_" } qw(500 garbage empty closed silent 401
                                at-once-429);


sub answer {
    my ($status, $body, @fields) = @_;

    $body //= '';

    return join "\r\n", "HTTP/1.1 $status Status", @fields,
                        'Content-Length: ' . length $body, '', $body;
}


sub date {
    my ($seconds) = @_;

    return strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time + $seconds));
}


sub kind_of {
    return @{$kinds{($_[0] =~ /^[a-z]+-(.*)/)[0]}};
}


$idp->answer(sub {
    my ($request) = @_;

    my $client = $request->{client_id};
    my $n = $idp->count($client);

    # if it does; nginx has begun before its request has come
    $request->{failed} = $client =~ /silent/ ? $request->{time} + 1 : now();
    $request->{failing} = $client =~ /silent/ ? $request->{stream}{since} + 1
                                              : $request->{failed};

    if ($client eq 'twice') {
        return $idp->issue($request, expires_in => 3) if $n == 2;
        return $n % 2 ? answer(500) : $idp->issue($request);
    }

    my ($answer, undef, undef, @failures) = kind_of($client);

    if ($client =~ /^kept/) {
        my $seconds = $client =~ /401/ ? 6 : 10;

        return $idp->issue($request, expires_in => $seconds) if $n == 1;
        $n--;
        @failures = (1);
    }

    return $idp->issue($request)
        if $n > @failures && $client !~ /revoked/;

    return ref $answer ? $answer->($request) : $answer;
});


# a certificate of an authority that nginx does not know, and a good one

my $root = Zertiban::CA->new($t->dir(), 'root');
my $stranger = Zertiban::CA->new($t->dir(), 'stranger');

my %good = tls('good', $root);
my $tls = Zertiban::IdP->new(tls => { tls('bad', $stranger) });


sub tls {
    my ($name, $ca) = @_;

    my ($certificate, $key) = $ca->sign($name, san => 'IP:127.0.0.1');

    return (SSL_cert_file => $certificate, SSL_key_file => $key);
}


sub location {
    my ($client) = @_;

    my $id = $client =~ /^used/ ? "$client\$arg_none" : $client;
    my $endpoint = $client =~ /down/ ? $idp->url() =~ s/:\d+/:%%PORT_down%%/r
                 : $client =~ /tls/  ? $tls->url()
                 :                     $idp->url();

    return <<"EOF";
        location = /$client {
            zertiban_client_id $id;
            zertiban_token_endpoint $endpoint;
            @{[$client =~ /silent/ ? 'zertiban_timeout 1s;' : '']}
            proxy_pass http://%%API%%;
        }
EOF
}


my $locations = join '', map { location($_) } @quiet, @used, @kept, 'twice';

$t->run(<<"EOF", API => $api->address());
    server {
        listen 127.0.0.1:%%PORT%% reuseport backlog=1024;

        zertiban on;
        zertiban_client_secret a-secret-of-all;
        zertiban_ssl_trusted_certificate @{[$root->certificate()]};
        zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;

$locations
    }
EOF


sub wait_seconds {
    my ($seconds) = @_;

    my $end = now() + $seconds;

    wait_until { now() > $end } $seconds + 1;
}


# the outages begin before nginx does

$traffic->every(0.2, "/$_", 2) for @used;
$traffic->every(0.2, "/$_") for @kept;

wait_until {
    wait_seconds(0.5);
    (my @third = $t->error_log(qr/"\w+-(?:down|tls)".* attempt 3,/)) == 4;
} 10;

my $connections = $tls->{connections};
my $restored = now();
my $up = Zertiban::IdP->new(port => $t->port('down'));

$tls->{tls} = \%good;

my %tokens = ((map { $_ => 1 } grep { !/revoked/ } @quiet, @used),
              map { $_ => 2 } @kept, 'twice');

wait_until {
    my %issued;

    $issued{$_->{client_id}}++ for map { @{$_->{tokens}} } $idp, $tls, $up;

    !grep { ($issued{$_} // 0) < $tokens{$_} } keys %tokens;
} 15;
wait_seconds(1);

$traffic->send("/$_") for @quiet;
$traffic->finish();


# what the error log says about each client: level, number of attempts and,
# of a failure, milliseconds to the next one

my %events;

for my $line ($t->error_log(qr/attempt/)) {
    my ($client) = $line =~ /client "(.*?)"/;

    push @{$events{$client}}, [$line =~ /
        \[(\w+)\] .* (?:attempt|obtained\ after)\ (\d+)
        (?:,\ next\ in\ (\d+)\ ms)?/x];
}


sub levels {
    my ($client) = @_;

    return join ', ', map { "$_->[0] $_->[1]" } @{$events{$client}};
}


sub delays {
    my ($client) = @_;

    return map { $_->[2] // () } @{$events{$client}};
}


sub exchanges {
    my ($client) = @_;

    return grep { $_->{client_id} eq $client }
           map { @{$_->{requests}} } $idp, $tls, $up;
}


sub verdict {
    my ($request) = @_;

    return join ' ', @{$request}{qw(status cache error)};
}


sub between {
    my ($value, $least, $most) = @_;

    return $value >= $least && $value <= $most;
}


# attempts of four workers together

sub attempts {
    my ($client) = @_;

    my (undef, undef, undef, @steps) = kind_of($client);
    my @delays = delays($client);
    my @exchanges = exchanges($client);
    my @recovery = $client =~ /revoked/ ? () : 'notice ' . @steps;

    my $levels = levels($client);

    # of new credentials that fail at once only some are an error
    $levels =~ s/^info 1\b/error 1/ if $client !~ /^quiet/;

    is($levels,
       join(', ', 'error 1', map({ "info $_" } 2 .. @steps), @recovery),
       "$client: a line at \"error\", none that is louder until the end");
    is(scalar(grep { !between($delays[$_], @{$steps[$_]}) } 0 .. $#steps), 0,
       'the delays are right') or diag("@delays");

    return if $client =~ /down|tls/;

    is(scalar @exchanges, @steps + @recovery, 'one attempt a step');

    my @late = map {
        $exchanges[$_ + 1]{time} - $exchanges[$_]{failing} - $delays[$_] / 1000
    } 0 .. $#exchanges - 1;

    is(scalar(grep { !between($_, -0.05, 2) } @late), 0, 'at its moment')
        or diag("@late");
}


# what clients were told between two attempts

sub refusals {
    my ($client) = @_;

    my ($status, $error) = (kind_of($client))[1, 2];
    my @delays = delays($client);
    my @exchanges = exchanges($client);
    my @requests = $traffic->requests("/$client");
    my (@seen, @wrong);

    for my $i (0 .. $#delays) {
        my $from = $exchanges[$i]{failed};
        my $to = $from + $delays[$i] / 1000;
        my $next = $exchanges[$i + 1] // { time => $to + 0.5, failed => $to };

        my @refused = grep { $_->{start} > $from + 0.1
                             && $_->{start} < $to - 0.5 } @requests;

        push @seen, @refused;
        push @wrong, grep { verdict($_) ne "$status error $error"
                            || $_->{end} > $next->{failed}
                            || !told_rightly($_, $to, $next->{time})
                          } @refused;
    }

    cmp_ok(scalar @seen, '>', 0, 'requests that come meanwhile');
    is(join("\n", map { join ' ', $_->{uri}, verdict($_),
                                  $_->{retry_after} // '' } @wrong), '',
       'are refused at once, and told when to come again');
}


# only a client that is answered 503 is told when the next attempt is

sub told_rightly {
    my ($request, $from, $to) = @_;

    return $request->{status} == 503 ? comes_again($request, $from, $to)
                                     : !defined $request->{retry_after};
}


sub served {
    my ($client) = @_;

    my @requests = $client =~ /quiet/ ? $traffic->requests("/$client")
                                      : since_served($client);

    is(count_of(map { verdict($_) } @requests),
       '200 hit -: ' . (@requests || 1), 'requests are served again');
}


# the requests that began after one had been served

sub since_served {
    my ($client) = @_;

    my @requests = $traffic->requests("/$client");
    my $end = min(map { $_->{end} } grep { $_->{status} == 200 } @requests);

    return grep { defined $end && $_->{start} > $end } @requests;
}


sub median {
    return (sort { $a <=> $b } @_)[@_ / 2];
}


for my $kind (sort keys %kinds) {
    subtest "after $kind" => sub {
        for my $client (grep { /^[a-z]+-\Q$kind\E$/ } @quiet, @used) {
            attempts($client);
            refusals($client) if $client !~ /quiet|down|tls/;
            served($client) if $client !~ /revoked/;
        }
    };
}

is(scalar(uniq(map { $_->{pid} } $traffic->requests('/used-500'))), 4,
   'all four workers had requests');


# from the start

for my $kind (qw(down tls)) {
    my ($status, $error) = (kind_of("used-$kind"))[1, 2];
    my @before = grep { $_->{end} < $restored }
                 $traffic->requests("/used-$kind");

    is(count_of(map { verdict($_) } @before),
       "$status error $error: " . @before,
       "$kind: requests are refused from the start");
    cmp_ok(median(map { $_->{end} - $_->{start} } @before), '<', 0.3,
           'at once');
    is(scalar(grep { !between($_->{retry_after}, 1, 5) } @before), 0,
       'and are told when to come again');

    for my $client ("quiet-$kind", "used-$kind") {
        my @exchanges = exchanges($client);

        is(scalar @exchanges, 1, "$client gets a token");
        cmp_ok($exchanges[0]{time} - $restored, '<',
               (delays($client))[2] / 1000 + 2,
               'at the next step after the IdP has come up');
    }
}

is($connections, 6, 'one connection a step');
is($up->{connections}, 2, 'and one to an IdP that is back');


# a token that is there

for my $client (@kept) {
    my @exchanges = exchanges($client);
    my @requests = since_served($client);

    # the next attempt after a refusal comes when the token has gone
    @requests = grep { $_->{end} < $exchanges[0]{stream}{since} + 5.3 }
                @requests
        if $client =~ /401/;

    is(levels($client), 'error 1, notice 1',
       "$client: a failed refresh is logged once");
    is(scalar @exchanges, 3, 'and tried again once');
    is(count_of(map { "$_->{status} $_->{cache}" } @requests),
       '200 hit: ' . @requests, 'and takes no good token away');
}

is(levels('twice'), 'error 1, notice 1, error 1, notice 1',
   'each outage is logged');
is(scalar(grep { !between($_, 1000, 1100) } delays('twice')), 0,
   'and starts with a short delay');
is(scalar(my @all = exchanges('twice')), 4, 'with one attempt a step');


# at all times

unlike(count_of(map { $_->{status} } $traffic->requests()),
       qr/\b(?!(?:200|502|503|504):)\d+:/,
       'no client is told that the fault is its own');

$t->finish();

done_testing();
