# Tests for steps of the wall clock, by an hour either way: nothing but dates
# depends on it. One nginx for each way, and all cases side by side.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw(min);
use Time::Piece qw(gmtime);

use Zertiban::Loop qw(after);
use Zertiban::Shim;
use Zertiban::Test;
use Zertiban::Traffic;

my $date = '%a, %d %b %Y %H:%M:%S GMT';

my @static = qw(static failing held down refused promised);


# tokens live for 6 s, of which they can be used for 5.4 s

sub start {
    my ($way, $offset) = @_;

    my $api = Zertiban::API->new();
    my $idp = Zertiban::IdP->new(expires_in => 6);
    my $shim = Zertiban::Shim->new();
    my $t = Zertiban::Nginx->new(workers => 2, env => $shim->env());

    $idp->answer(sub { return answer($idp, $offset, @_) });

    my $locations = join '', map { <<"EOF" } @static;
        location = /$_ {
            zertiban_client_id $_;
            proxy_pass http://%%API%%;
        }
EOF

    $t->run(<<"EOF", API => $api->address(), IDP => $idp->url());
    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_secret a-secret-of-all;
        zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;
        zertiban_refresh_before 2s;
        zertiban_timeout 3s;

$locations
        location = /any {
            zertiban_client_id \$arg_client;
            proxy_pass http://%%API%%;
        }
    }
EOF

    return { way => $way, offset => $offset, api => $api, idp => $idp,
             shim => $shim, nginx => $t,
             traffic => Zertiban::Traffic->new($t) };
}


sub answer {
    my ($idp, $offset, $request) = @_;

    my $client = $request->{client_id};
    my $n = $idp->count($client);

    my $sorry = Zertiban::IdP::json(500, error => 'server_error');

    return $sorry if $client eq 'down' || $client eq 'failing' && $n > 1;
    return if $client eq 'waiting';

    return Zertiban::IdP::json(401, error => 'invalid_client')
        if $client eq 'refused';

    # before the step, and after it
    return later(time() + 4) if $client eq 'promised' && $n == 1;
    return later(time() + $offset + 3) if $client eq 'dated' && $n == 1;

    return $request->reply_after(2, $idp->issue($request))
        if $client eq 'held';

    return $idp->issue($request);
}


sub later {
    my ($time) = @_;

    return "HTTP/1.1 429 Slow Down\r\nContent-Length: 0\r\nRetry-After: "
           . gmtime($time)->strftime($date) . "\r\n\r\n";
}


# all exchanges, or those of one client

sub exchanges {
    my ($of, $client) = @_;

    return grep { !defined $client || $_->{client_id} eq $client }
           @{$of->{idp}{requests}};
}


# the seconds between the starts of exchanges

sub gaps {
    my @times = map { $_->{time} } exchanges(@_);

    return map { $times[$_] - $times[$_ - 1] } 1 .. $#times;
}


sub between {
    my ($value, $least, $most, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    # nginx counts milliseconds, and this machine may be busy
    ok(defined $value && $value >= $least - 0.05 && $value < $most + 1, $name)
        or diag($value // 'nothing', " is not in $least .. $most");
}


sub results {
    return count_of(map {
        "$_->{status} " . ($_->{error} ne '-' ? $_->{error} : $_->{cache})
    } @_);
}


my @both = (start('forward', 3600), start('back', -3600));

for my $of (@both) {
    wait_until { !grep { !$of->{idp}->count($_) } @static }
        or die 'there are credentials without an exchange';
}

my $start = now();

for my $of (@both) {
    my $traffic = $of->{traffic};

    after(0.3, sub {
        $traffic->every(0.2, $_) for qw(/static /promised),
                                     '/any?client=dynamic';
        $traffic->every(0.1, '/failing');
        $traffic->send('/any?client=waiting');
    });

    after(1.5, sub {
        $of->{stepped} = now();
        $of->{shim}->set_clock($of->{offset});
    });

    after(2.6, sub { $traffic->every(0.1, '/any?client=dated') });
}

wait_until { now() > $start + 1.7 };

for my $of (@both) {
    my ($said) = $of->{nginx}->get('/static')->header('Date');

    $of->{ahead} = Time::Piece->strptime($said, $date)->epoch() - time();
}

wait_until { now() > $start + 6.7 };

$_->{traffic}->stop() for @both;
$_->{traffic}->finish() for @both;


for my $of (@both) {
    my ($traffic, $stepped, $way) = @{$of}{qw(traffic stepped way)};
    my %token = map { $_->{uri} => $_->token() } $of->{api}->requests();

    cmp_ok(abs($of->{ahead} - $of->{offset}), '<', 3,
           "nginx sees a step of the wall clock, an hour $way");

    my @caused = grep { $_->{time} > $stepped && $_->{time} < $stepped + 0.6 }
                 exchanges($of);

    is(join(' ', grep { $_ ne 'down' } map { $_->{client_id} } @caused), '',
       'it causes no exchange');


    # valid tokens

    for my $case (['static', '/static'], ['dynamic', '/any?client=dynamic']) {
        my ($client, $path) = @$case;
        my ($first, $second) = exchanges($of, $client);
        my @requests = grep { $_->{start} > $stepped }
                       $traffic->requests($path);
        my ($old, $new) = $of->{idp}->tokens($client);

        my @before = grep { $_->{end} < $second->{time} } @requests;
        my $seen = min(map { $_->{end} }
                       grep { $token{$_->{uri}} eq $new } @requests);
        my @after = grep { $_->{start} > $seen } @requests;

        is(count_of(map { $_->{cache} } @requests), 'hit: ' . @requests,
           "$client: all requests find a token");
        is(count_of(map { $token{$_->{uri}} } @before), "$old: " . @before,
           'it is the same as before');
        is(count_of(map { $token{$_->{uri}} } @after), "$new: " . @after,
           'until it is refreshed');
        between($second->{time} - $first->{time}, 3.8, 4.2,
                'at the moment that was due');
    }

    between((gaps($of, 'held'))[0], 3.8, 4.2,
            'as is one that was asked for before the step, and came after');


    # the end of a token's life

    my ($first, @failed) = exchanges($of, 'failing');
    my $end = $first->{time} + 5.4;
    my @failing = grep { $_->{start} > $stepped }
                  $traffic->requests('/failing');

    my @before = grep { $_->{end} < $end - 0.1 } @failing;
    my @after = grep { $_->{start} > $end + 0.01 } @failing;

    between($failed[0]{time} - $first->{time}, 3.8, 4.2,
            'failing: a refresh is tried when it is due');
    is(results(@before), '200 hit: ' . @before, 'the old token is used');
    is(results(@after), '503 idp_unreachable: ' . @after,
       'until 90 % of its lifetime are over');


    # delays

    my @down = gaps($of, 'down');

    between($down[0], 1, 1.1, 'down: attempts before the step');
    between($down[1], 1.8, 2.2, 'and after it follow after their delays');
    between((gaps($of, 'refused'))[0], 4.5, 5.5,
            'as does one of a client that is refused');

    my ($waiting) = $traffic->requests('/any?client=waiting');

    between($waiting->{end} - $waiting->{start}, 3, 3,
            'a request waits for zertiban_timeout');
    is(results($waiting), '504 idp_timeout: 1', 'and no longer');


    # dates: they are of full seconds

    between((gaps($of, 'promised'))[0], 3, 4,
            'a date from before the step is still waited for');
    between((gaps($of, 'dated'))[0], 2, 3,
            'a date from after it counts from the new time');

    for my $path ('/promised', '/any?client=dated') {
        my @told = grep { defined } map { $_->{retry_after} }
                   $traffic->requests($path);

        like(count_of(@told), qr/^[1-4]: \d+(?:, [1-4]: \d+)*$/,
             "$path: requests are told the seconds that are left");
        is(($traffic->requests($path))[-1]{status}, 200,
           'and served in the end');
    }

    $of->{nginx}->finish();
}

done_testing();
