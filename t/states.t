# Tests for every transition of a credential in the zone, by the tables of
# docs/design.md, "A credential in the zone": a name is "state, event: state".
# Each credential has a story of its own, and all of them run side by side.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Handle;
use List::Util qw(any max min uniq);
use POSIX qw(mkfifo);

use Zertiban::Shim;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();

# the stories answer; but for those credentials that only fill a zone

$idp->answer(sub {
    my ($request) = @_;

    return if $request->{client_id} !~ /^filler/;
    return Zertiban::IdP::json(200, access_token => 'x' x 1000);
});

my $refused = Zertiban::IdP::json(400, error => 'invalid_client');
my $down = Zertiban::IdP::json(500, error => 'server_error');


sub later {
    my ($seconds) = @_;

    return "HTTP/1.1 503 Status\r\nRetry-After: $seconds\r\n"
           . "Content-Length: 0\r\n\r\n";
}


# credentials without variables; all others have some

my @static = qw(started dead-static left-static pinned);


# static => [clients], timeout => n seconds; a location for credentials with
# variables whose tokens end before they are refreshed, and one where
# a worker that logs a request waits until somebody reads its log

sub start {
    my (%o) = @_;

    my $t = Zertiban::Nginx->new(workers => $o{workers} // 2,
                                 env => $o{env} // {});
    my $static = join '', map { <<"EOT" } @{$o{static} || []};
        location = /$_ {
            zertiban_client_id $_;
            zertiban_client_secret secret-of-$_;
            proxy_pass http://%%API%%;
        }
EOT

    mkfifo($t->dir() . '/fifo', 0600) or die "mkfifo: $!";
    open $t->{fifo}, '+<', $t->dir() . '/fifo' or die "fifo: $!";
    $t->{fifo}->blocking(0);

    $t->run(<<"EOT", API => $api->address(), IDP => $idp->url());
    @{[$o{zone} // '']}

    # so long Angie's old workers keep connections after their last request
    lingering_timeout 100ms;

    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;
        zertiban_timeout @{[$o{timeout} // 15]}s;

        location /any {
            zertiban_client_id \$arg_client;
            zertiban_client_secret secret-of-\$arg_client;
            proxy_pass http://%%API%%;
        }

        location /late {
            zertiban_client_id \$arg_client;
            zertiban_client_secret secret-of-\$arg_client;
            zertiban_refresh_before 100ms;
            proxy_pass http://%%API%%;
        }

        location /pid {
            access_log off;
            return 200 \$pid;
        }

        location /block {
            access_log %%DIR%%/fifo;
            return 204;
        }

$static
    }
EOT

    connect_workers($t, $o{connections} // 10);

    return $t;
}


# at least n idle connections to each worker

sub connect_workers {
    my ($t, $n) = @_;

    $t->{idle} = { map { $_ => [] } $t->workers() };

    while (any { @$_ < $n } values %{$t->{idle}}) {
        my @clients = map { Zertiban::Client->new($t->port()) } 1 .. 10;

        keep($t, $_) for map { ask_pid($_) } @clients;
    }
}


sub ask_pid {
    my ($client) = @_;

    return $client->send("GET /pid HTTP/1.1\r\nHost: localhost\r\n\r\n");
}


sub keep {
    my ($t, $client) = @_;

    push @{$t->{idle}{$client->response()->{body}}}, $client;
}


sub connection {
    my ($t, $worker) = @_;

    return pop @{$t->{idle}{$worker}}
           // die "no connection to worker $worker is left";
}


# A story is a list of steps, each a function that is called with the story,
# again and again, until it returns true.

my (@stories, %story, %happened);


sub story {
    my ($t, $client, @steps) = @_;

    push @stories, $story{$client} = {
        nginx => $t, client => $client, path => "/any?client=$client&",
        number => 1, steps => [@steps],
        (map { (path => "/$_?") } grep { $_ eq $client } @static),
    };

    return $story{$client};
}


sub go_on {
    my ($s) = @_;

    while (my $step = $s->{steps}[0]) {
        $s->{since} //= now();

        return 0 if !$step->($s);

        delete $s->{since};
        shift @{$s->{steps}};
        $s->{number}++;
    }

    return 1;
}


# whether all have come to their ends

sub all_went_on {
    my $open = 0;

    for my $s (@stories) {
        $open++ if !go_on($s);
    }

    return !$open;
}


# a request to each worker, or to one

sub start_asking {
    my ($name, $worker) = @_;

    return sub {
        my ($s) = @_;

        send_request($s, $name, $_, "\r\n")
            for $worker ? $$worker : $s->{nginx}->workers();

        return 1;
    };
}


sub send_request {
    my ($s, $name, $worker, $end) = @_;

    my $uri = "$s->{path}n=$name-" . @{$s->{asked}{$name} || []};
    my $client = connection($s->{nginx}, $worker);

    push @{$s->{asked}{$name}}, { uri => $uri, client => $client,
                                  worker => $worker, start => now() };

    $client->send("GET $uri HTTP/1.1\r\nHost: localhost\r\n$end");
}


# one that begins in a worker that is alive, and ends when it shuts down

sub half {
    my ($name, $worker) = @_;

    return sub { send_request($_[0], $name, $$worker, '') };
}


sub rest {
    my ($name) = @_;

    return sub {
        my ($request) = @{$_[0]{asked}{$name}};

        $request->{start} = now();
        $request->{client}->send("\r\n");
    };
}


# a worker reads requests in the order of their coming: when it has answered
# a later one, it has read those before

sub read_by_all {
    my ($name) = @_;

    return sub {
        my ($s) = @_;

        my $t = $s->{nginx};

        $s->{later} //= [map { ask_pid(connection($t, $_)) }
                         map { $_->{worker} } @{$s->{asked}{$name}}];

        return 0 if grep { !$_->done() } @{$s->{later}};

        keep($t, $_) for @{delete $s->{later}};

        return 1;
    };
}


# requests that do something that lasts, and are there when it ends

sub ask {
    my ($name, $worker) = @_;

    return (start_asking($name, $worker), read_by_all($name));
}


sub answered {
    my (@names) = @_;

    return sub {
        my ($s) = @_;

        for my $request (grep { $_->{client} && $_->{client}->done() }
                         map { @{$s->{asked}{$_}} } @names) {
            my $client = delete $request->{client};
            my $response = $client->response();

            $request->{end} = $response->{time};
            ($request->{retry_after}) = $response->header('Retry-After');

            push @{$s->{nginx}{idle}{$request->{worker}}}, $client;
        }

        return !grep { $_->{client} } map { @{$s->{asked}{$_}} } @names;
    };
}


# requests that are answered before anything else happens

sub see {
    my ($name, $worker) = @_;

    return (start_asking($name, $worker), answered($name));
}


sub exchanges {
    my ($client) = @_;

    return grep { $_->{client_id} eq $client } @{$idp->{requests}};
}


# the n-th exchange is in flight

sub exchange {
    my ($n) = @_;

    return sub { $idp->count($_[0]{client}) >= $n };
}


# the last exchange ends with an answer, and nginx has read it

sub end {
    my ($answer) = @_;

    return sub {
        my ($s) = @_;

        my $request = $s->{exchange};

        if (!$request) {
            ($request) = reverse exchanges($s->{client});

            return 0 if !$request || $request->{answered}
                        || $request->{stream}{closed};

            $s->{exchange} = $request;
            $request->{end} = now();
            $request->reply(ref $answer ? $answer->($request) : $answer,
                            keep => 1);
        }

        return 0 if !$request->{stream}{closed};

        $s->{closed} //= now();
        return 0 if now() < $s->{closed} + 0.05;

        delete @{$s}{qw(exchange closed)};
        return 1;
    };
}


sub token {
    my ($seconds) = @_;

    return end(sub { $idp->issue($_[0], expires_in => $seconds) });
}


# some seconds since the n-th exchange has begun

sub since {
    my ($seconds, $n) = @_;

    return sub {
        my $exchange = (exchanges($_[0]{client}))[($n // 1) - 1];

        return now() >= $exchange->{time} + $seconds;
    };
}


sub pause {
    my ($seconds) = @_;

    return sub { now() >= $_[0]{since} + $seconds };
}


# from story to story

sub happens {
    my ($event) = @_;

    return sub { $happened{$event} = 1 };
}


sub hear {
    my (@events) = @_;

    return sub { !grep { !$happened{$_} } @events };
}


# a worker that dies while it runs exchanges

my $deadly = start(static => ['dead-static']);

wait_until { exchanges('dead-static') };

my ($dead) = $deadly->workers_of((exchanges('dead-static'))[0]{stream});
my ($alive) = grep { $_ != $dead } $deadly->workers();

story($deadly, 'dead-static', hear('dead'), exchange(2), token(300));

story($deadly, 'dead-fetching', hear('dying'), ask('own', \$dead),
      exchange(1), ask('empty', \$alive), happens('dies'),
      hear('dead'), exchange(2), token(300), answered('empty'));

story($deadly, 'dead-refreshing', ask('first', \$alive),
      token(6), answered('first'), since(3.65), see('due', \$dead),
      exchange(2), happens('dying'), hear('dead'), see('void', \$alive),
      exchange(3), token(300));

my $died;

story($deadly, 'dead', hear('dies'),
      sub { $died = now(); kill 'KILL', $dead },
      sub { !kill 0, $dead }, happens('dead'));


# a worker that is shutting down

my $leaving = start(workers => 1);
my ($leaver) = $leaving->workers();

story($leaving, 'leaving', ask('first'), token(4), answered('first'),
      half('due', \$leaver), half('empty', \$leaver),
      read_by_all('due'), read_by_all('empty'),
      sub { kill 'QUIT', $leaving->{pid} }, since(2.6),
      rest('due'), answered('due'), since(3.8), rest('empty'), token(300),
      answered('empty'));


# a worker that is stopped, and one that is blocked, while theirs last
# longer than they may

my $stopping = start(workers => 3, timeout => 1);

my ($stopped, $blocked, $awake) = $stopping->workers();
my @late = qw(late-refresh late-failure late-token late-owner);

story($stopping, 'late-refresh', ask('first', \$awake), token(9),
      answered('first'), since(5.5), see('due', \$stopped), exchange(2),
      happens('in late-refresh'), since(1.7, 2), see('void', \$awake),
      exchange(3), token(300), happens('late-refresh'), hear('awake'),
      see('after'));

story($stopping, 'late-failure', hear('in late-refresh'),
      ask('own', \$stopped), exchange(1), happens('in late-failure'),
      hear('asleep'), ask('fetching', \$awake), since(1.1),
      ask('empty', \$awake), exchange(2), token(300),
      answered('fetching', 'empty'), happens('late-failure'), hear('awake'),
      see('after'));

story($stopping, 'late-token', hear('in late-refresh'),
      ask('own', \$blocked), exchange(1), happens('in late-token'),
      hear('asleep'), since(1.1), ask('empty', \$awake), exchange(2),
      token(300), answered('empty'), sub {
          my ($exchange) = exchanges('late-token');

          $exchange->reply($idp->issue($exchange), keep => 1);
          return 1;
      }, pause(0.1), happens('late-token'), hear('awake'), see('after'));

story($stopping, 'late-owner', hear('in late-refresh'),
      ask('own', \$blocked), exchange(1), happens('in late-owner'),
      hear('asleep'), since(1.7), start_asking('empty', \$blocked),
      happens('late-owner'), hear('awake'), exchange(2), token(300),
      answered('empty'));

my $logs;

story($stopping, 'asleep', hear(map { "in $_" } @late), sub {
          kill 'STOP', $stopped;

          1 while syswrite $stopping->{fifo}, 'x' x 4096;
          $logs = connection($stopping, $blocked)->send(
              "GET /block HTTP/1.1\r\nHost: localhost\r\n\r\n");
      }, sub { $logs->done() }, happens('asleep'), hear(@late), sub {
          sysread $stopping->{fifo}, my $bytes, 65536;
          kill 'CONT', $stopped;
      }, sub {
          !grep { !$_->{stream}{closed} } (exchanges('late-refresh'))[1],
              map { (exchanges($_))[0] } qw(late-failure late-token);
      }, pause(0.1), happens('awake'));


# workers that exit while they run exchanges

my $reloading = start(static => ['left-static']);

my ($reloaded, @old);

story($reloading, 'left-static', exchange(1), hear('reloaded'), exchange(2),
      token(300));

story($reloading, 'left-fetching', ask('own'), exchange(1), sub {
          $_->{client}->leave() for @{$_[0]{asked}{own}};
          return 1;
      }, hear('reloaded'), ask('empty'), exchange(2), token(300),
      answered('empty'));

story($reloading, 'left-refreshing', ask('first'), token(9),
      answered('first'), since(5.5), see('due'), exchange(2), sub {
          $reloaded = now();
          @old = $reloading->workers();
          kill 'HUP', $reloading->{pid};
      }, sub {
          $reloading->workers() == 2
              && !grep { kill 0, $_ } @old;
      }, sub { connect_workers($reloading, 10); 1 }, happens('reloaded'),
      see('void'), exchange(3), token(300));


# a zone that is too small for all

my $tiny = start(workers => 1, static => ['pinned'],
                 zone => 'zertiban_zone tiny:32k;');
my $fillers = 0;

story($tiny, 'pinned', token(300), hear('full'), see('valid'));

story($tiny, 'evicted', ask('first'), token(300), answered('first'),
      happens('has a token'), hear('full'), ask('empty'), token(300),
      answered('empty'));

story($tiny, 'evicted-failing', ask('first'), end($refused),
      answered('first'), happens('has failed'), hear('full'), ask('empty'),
      token(300), answered('empty'));

story($tiny, 'evicted-fetching', ask('fetching'), exchange(1),
      happens('is fetching'), hear('full'), token(300), answered('fetching'));

story($tiny, 'filler', hear('has a token', 'has failed', 'is fetching'),
      sub { $tiny->get('/any?client=filler' . $fillers++); $fillers == 30 },
      happens('full'));


# a worker that dies while it changes the zone

my $shim = Zertiban::Shim->new();
my $emptying = start(env => $shim->env());

my ($killed, $left) = $emptying->workers();

story($emptying, 'emptied', ask('first'), token(300), answered('first'),
      happens('is valid'), hear('emptied'), ask('empty', \$left),
      token(300), answered('empty'));

story($emptying, 'emptied-failing', ask('first'), end($refused),
      answered('first'), happens('is failing'), hear('emptied'),
      ask('empty', \$left), token(300), answered('empty'));

story($emptying, 'emptied-fetching', ask('fetching', \$left), exchange(1),
      happens('is in flight'), hear('emptied'), exchange(2), token(300),
      answered('fetching'));

story($emptying, 'emptied-fatal',
      hear('is valid', 'is failing', 'is in flight'),
      sub { $shim->strike('KILL', 'publish', 'token.emptied-fatal.'); 1 },
      ask('own', \$killed), token(300),
      sub { !kill 0, $killed }, happens('emptied'),
      ask('empty', \$left), token(300), answered('empty'));


# all that one nginx can have at once

my $t = start(static => ['started'], connections => 40);

story($t, 'cold', ask('empty'), exchange(1), ask('fetching'), pause(0.3),
      token(300), answered('empty', 'fetching'), see('valid'));

story($t, 'started', exchange(1), pause(1.2), token(3), token(300),
      see('valid'));

story($t, 'used', ask('first'), token(4), answered('first'), since(1.5),
      see('valid'), token(300));

story($t, 'rested', ask('first'), token(4), answered('first'), since(2.6),
      see('due'), exchange(2), see('refreshing'), token(300), see('valid'));

story($t, 'brief',
      ask('first'),
      (map { (token(1), since(0.62, $_), ask("due-$_"), exchange($_ + 1)) }
       1 .. 3),
      token(300), answered('first', map { "due-$_" } 1 .. 3));

story($t, 'brief-unused', ask('first'), token(1), answered('first'),
      since(0.92), ask('empty'), token(300), answered('empty'));

story($t, 'lasting', ask('first'), token(4), answered('first'), since(2.4),
      see('valid'), token(300))->{path} =~ s/any/late/;

story($t, 'lasting-unused', ask('first'), token(2), answered('first'),
      since(1.95), ask('empty'), token(300), answered('empty'))
    ->{path} =~ s/any/late/;

story($t, 'unused', ask('first'), token(2), answered('first'), since(1.95),
      ask('empty'), token(300), answered('empty'));

story($t, 'slow', ask('first'), token(5), answered('first'), since(3.1),
      see('refreshing'), exchange(2), since(4.6), ask('fetching'),
      pause(0.3), token(300), answered('fetching'), see('valid'));

story($t, 'down', ask('fetching'), end($down), answered('fetching'),
      see('failing'), pause(1.4), ask('empty'), token(300), answered('empty'),
      see('valid'));

story($t, 'down-unused', ask('fetching'), end($down), answered('fetching'),
      pause(1.4), ask('empty'), token(300), answered('empty'));

story($t, 'refused', ask('fetching'), end($refused), answered('fetching'),
      see('failing'), pause(6));

story($t, 'shaky', ask('first'), token(10), answered('first'), since(6),
      see('due'), end(later(2)), see('delayed'), since(1.4, 2),
      see('delayed-on'), exchange(3), see('refreshing'), token(300),
      see('valid'));

story($t, 'lost', ask('first'), token(5), answered('first'), since(3.1),
      see('due'), end(later(4)), see('delayed'), since(4.6), see('failing'),
      token(300));


wait_until { all_went_on() } 30;

is(join(', ', map { "$_->{client} in step $_->{number}" }
              grep { @{$_->{steps}} } @stories), '',
   'every story comes to its end');


# what requests were told, all of them: status, cache, number of the token

sub told {
    my ($client, @names) = @_;

    my $s = $story{$client};
    my %number;
    my @tokens = $idp->tokens($client);

    @number{@tokens} = 1 .. @tokens;

    return join ' | ', uniq(map {
        my $uri = $_->{uri};
        my $logged = $s->{nginx}->logged($uri);

        join ' ', $logged->{status} // '', $logged->{cache} // '',
             ($logged->{status} // '') eq '200'
             ? $number{$api->got($uri)->token()} // 'other'
             : $logged->{error} // '';
    } map { @{$s->{asked}{$_} || []} } @names);
}


# when the first was sent, and how long the slowest took

sub asked {
    my ($client, $name) = @_;

    return min(map { $_->{start} } @{$story{$client}{asked}{$name}});
}


sub longest {
    my ($client, $name) = @_;

    return max(map { $_->{end} - $_->{start} }
               @{$story{$client}{asked}{$name}});
}


# when the n-th exchange began, as the IdP has seen it, and not later than nginx
# began it, and when the IdP answered it

sub begun {
    return nth_exchange(@_)->{time} // 0;
}


sub started {
    return nth_exchange(@_)->{stream}{since} // 0;
}


sub ended {
    return nth_exchange(@_)->{end} // 0;
}


sub nth_exchange {
    my ($client, $n) = @_;

    return (exchanges($client))[$n - 1] // {};
}


# seconds to the next attempt, by the error log's line for a failure

sub delay {
    my ($client) = @_;

    my ($line) = $story{$client}{nginx}->error_log(qr/client "$client".*next/);

    return ($line // '') =~ /, next in (\d+) ms/ ? $1 / 1000 : 0;
}


sub within {
    my ($value, $least, $most) = @_;

    return $value >= $least && $value <= $most;
}


# a span of seconds, which may be longer on a busy machine; its start is seen
# a little late, and later where all is slow

sub lasts {
    my ($seconds, $least, $most, $name) = @_;

    my $late = 0.05 * ($ENV{TEST_ZERTIBAN_SLOW} || 1);

    ok(within($seconds, $least - $late, $most + 1), $name)
        or diag("$seconds, not between $least and $most");
}


# from a moment until the n-th exchange begins

sub until_exchange {
    my ($client, $n, $moment, @span) = @_;

    lasts(begun($client, $n) - $moment, @span);
}


sub exchanges_of {
    my ($client, $n, $name) = @_;

    is($idp->count($client), $n, $name);
}


# Retry-After that is wrong, after the failure of the n-th exchange

sub wrong_retry_after {
    my ($client, $name, $n) = @_;

    my $from = ended($client, $n) + delay($client);
    my $to = begun($client, $n + 1);

    return join ' ', map { $_->{retry_after} // 'none' }
           grep { !comes_again($_, $from, $to) }
           @{$story{$client}{asked}{$name}};
}


# the table of transitions

is(told('cold', 'empty'), '200 wait 1',
   'empty, look of a request: fetching');
exchanges_of('cold', 1, 'fetching, look of a request: fetching');
exchanges_of('started', 2,
             'empty, look of the timer: fetching (no request, two workers)');
until_exchange('brief-unused', 2, started('brief-unused', 1), 1, 1.2,
               'empty, look, within 1 s of the last start: no exchange yet');
is(told('brief-unused', 'empty'), '200 wait 2',
   'empty, look, after 1 s: fetching (the request has waited)');

is(told('cold', 'valid'), '200 hit 1', 'fetching, token: valid');

is(told('down', 'fetching', 'failing'), '503 error idp_unreachable',
   'fetching, failure: failing');
ok(within(delay('down'), 1, 1.1), 'fetching, failure: failing for a second');
is(told('refused', 'fetching', 'failing'), '502 error idp_rejected_client',
   'fetching, refusal: failing');
ok(within(delay('refused'), 4.5, 5.5),
   'fetching, refusal: failing for five seconds');

is(told('dead-fetching', 'empty'), '200 wait 1',
   'fetching, its owner dies: empty (a request that waits fetches)');
until_exchange('dead-fetching', 2, $died, 0, 1,
               'fetching, its owner dies: empty within a second');
exchanges_of('dead-fetching', 2,
             'fetching, its owner dies: empty, once for all');
until_exchange('dead-static', 2, $died, 0, 1,
               'fetching, its owner dies: empty (the timer fetches)');
exchanges_of('dead-static', 2,
             'fetching, its owner dies: empty, once for all timers');
until_exchange('late-failure', 2, started('late-failure', 1), 1.5, 1.7,
               'fetching, its deadline passes: empty, not before');
is(told('late-failure', 'empty'), '200 wait 1',
   'fetching, its deadline passes: empty (a request that waits fetches)');
is(told('late-owner', 'empty'), '200 wait 1',
   'fetching, its deadline passes: empty (its owner fetches again)');
exchanges_of('late-owner', 2,
             'fetching, its deadline passes: empty, once for all');
is(told('left-fetching', 'empty'), '200 wait 1',
   'fetching, its owner exits: empty (the next request fetches)');
exchanges_of('left-fetching', 2,
             'fetching, its owner exits: empty (no timer fetches)');
exchanges_of('left-static', 2,
             'fetching, its owner exits: empty (the timer fetches)');
until_exchange('left-static', 2, $reloaded, 0, 1.2,
               'fetching, its owner exits: empty within a second');

until_exchange('down-unused', 2, asked('down-unused', 'empty'), 0, 0,
               'failing, end of delay: empty (nobody looks)');
is(told('down-unused', 'empty'), '200 wait 1',
   'failing, end of delay: empty (then a request fetches)');

until_exchange('down', 2, asked('down', 'empty'), 0, 0,
               'failing, end of delay: empty (a refusal is no use)');
exchanges_of('refused', 1,
             'failing, end of delay: empty (no timer fetches)');
until_exchange('lost', 3, ended('lost', 2), delay('lost'), delay('lost'),
               'failing, end of delay: empty, not before (the timer fetches'
               . ' for those who were served)');

is(told('used', 'valid'), '200 hit 1', 'valid, look: valid');
until_exchange('used', 2, started('used', 1), 2, 2.36,
               'valid, refresh moment: due, not before');
until_exchange('rested', 2, asked('rested', 'due'), 0, 0,
               'valid, refresh moment: due (nobody looks)');

until_exchange('lasting', 2, started('lasting', 1), 3.6, 3.6,
               'valid, end of life: empty, not before');
until_exchange('lasting-unused', 2, asked('lasting-unused', 'empty'), 0, 0,
               'valid, end of life: empty (nobody looks)');
is(told('lasting-unused', 'empty'), '200 wait 2',
   'valid, end of life: empty (then a request fetches)');
until_exchange('unused', 2, asked('unused', 'empty'), 0, 0,
               'due, end of life: empty (nobody looks)');
is(told('unused', 'empty'), '200 wait 2',
   'due, end of life: empty (then a request fetches)');

is(told('rested', 'due', 'refreshing'), '200 hit 1',
   'due, look of a request: refreshing');
exchanges_of('rested', 2, 'refreshing, look of a request: refreshing');
until_exchange('started', 2, started('started', 1), 1.5, 1.77,
               'due, look of the timer: refreshing (no request)');
ok((any { told('brief', "due-$_") eq "200 hit $_" } 1 .. 3),
   'due, look, within 1 s of the last start: due');
until_exchange('brief', $_ + 1, started('brief', $_), 1, 1,
               'due, look, within 1 s of the last start: no exchange yet')
    for 1 .. 3;
is(told('leaving', 'due'), '200 hit 1',
   'due, look of a worker that is shutting down: due');
until_exchange('leaving', 2, asked('leaving', 'empty'), 0, 0,
               'due, look of a worker that is shutting down: no exchange');
is(told('leaving', 'empty'), '200 wait 2',
   'empty, look of a worker that is shutting down: fetching');

is(told('rested', 'valid'), '200 hit 2', 'refreshing, token: valid');
is(told('started', 'valid'), '200 hit 2',
   'refreshing, token: valid (no request)');

is(told('shaky', 'due', 'delayed', 'delayed-on', 'refreshing'), '200 hit 1',
   'refreshing, failure: delayed (the token stays)');

is(told('dead-refreshing', 'due', 'void'), '200 hit 1',
   'refreshing, its owner dies: due (the token stays)');
until_exchange('dead-refreshing', 3, asked('dead-refreshing', 'void'), 0, 0,
               'refreshing, its owner dies: due (a request refreshes)');
is(told('late-refresh', 'due', 'void'), '200 hit 1',
   'refreshing, its deadline passes: due (the token stays)');
until_exchange('late-refresh', 3, asked('late-refresh', 'void'), 0, 0,
               'refreshing, its deadline passes: due (a request refreshes)');
is(told('left-refreshing', 'due', 'void'), '200 hit 1',
   'refreshing, its owner exits: due (the token stays)');
until_exchange('left-refreshing', 3, asked('left-refreshing', 'void'), 0, 0,
               'refreshing, its owner exits: due (a request refreshes)');
cmp_ok(begun('left-refreshing', 3) - asked('left-refreshing', 'void'), '<',
       0.5, 'refreshing, its owner exits: due, without 1 s between');

is(told('slow', 'refreshing'), '200 hit 1',
   'refreshing, until end of life: refreshing');
is(told('slow', 'fetching'), '200 wait 2',
   'refreshing, end of life: fetching (a request waits for the exchange in'
   . ' flight)');
exchanges_of('slow', 2, 'refreshing, end of life: fetching (the same one)');
is(told('slow', 'valid'), '200 hit 2',
   'refreshing, end of life, token: valid');

until_exchange('shaky', 3, ended('shaky', 2), delay('shaky'),
               delay('shaky'), 'delayed, end of delay: due, not before (the'
                               . ' timer refreshes)');
is(told('shaky', 'valid'), '200 hit 2',
   'delayed, end of delay, look, token: valid');

is(told('lost', 'delayed'), '200 hit 1',
   'delayed, until end of life: delayed');
is(told('lost', 'failing'), '503 error idp_unreachable',
   'delayed, end of life: failing');
is(delay('lost'), 4, 'delayed, end of life: failing for the same delay');

is(told('evicted', 'empty'), '200 wait 2', 'valid, evicted: gone');
exchanges_of('evicted', 2, 'gone, look: fetching');
is(told('evicted-failing', 'empty'), '200 wait 1', 'failing, evicted: gone');
cmp_ok(begun('evicted-failing', 2) - ended('evicted-failing', 1), '<',
       delay('evicted-failing'), 'gone, look: fetching, without a delay');
is(told('evicted-fetching', 'fetching'), '200 wait 1',
   'fetching, not evicted: fetching');
exchanges_of('evicted-fetching', 1, 'fetching, not evicted, token: valid');
is(told('pinned', 'valid'), '200 hit 1',
   'valid, not evicted, named by the configuration: valid');
exchanges_of('pinned', 1, 'valid, not evicted: no exchange');

is(told('emptied', 'empty'), '200 wait 2', 'valid, zone emptied: gone');
exchanges_of('emptied', 2, 'gone, look: fetching');
is(told('emptied-failing', 'empty'), '200 wait 1',
   'failing, zone emptied: gone');
cmp_ok(begun('emptied-failing', 2) - ended('emptied-failing', 1), '<',
       delay('emptied-failing'), 'gone, look: fetching, without a delay');
is(told('emptied-fetching', 'fetching'), '200 wait 1',
   'fetching, zone emptied: gone (a request that waits fetches)');
exchanges_of('emptied-fetching', 2, 'gone, look: fetching, once');
is(told('emptied-fatal', 'empty'), '200 wait 2',
   'fetching, token, zone emptied: gone');
is(scalar(my @lines = $emptying->error_log(qr/was left locked/)), 1,
   'zone emptied, once');


# outcomes that come when the lease is void

for my $client ('late-failure', 'late-token', 'late-refresh') {
    my $n = $client eq 'late-refresh' ? 3 : 2;

    is(told($client, 'after'), '200 hit ' . ($n - 1),
       "valid, $client of a lease that is void: valid");
    exchanges_of($client, $n, 'and there is no other exchange');
}

is(join('', map { $_->error_log(qr/ token for client /) }
                $stopping, $deadly, $reloading), '',
   'a lease that is void is no failure');


# what a request is told in each state

my @told = (
    [empty => 'wait', 'waits', [qw(cold empty)], [qw(brief-unused empty)],
     [qw(lasting-unused empty)], [qw(unused empty)], [qw(leaving empty)],
     [qw(down-unused empty)], [qw(down empty)], [qw(dead-fetching empty)],
     [qw(late-failure empty)], [qw(left-fetching empty)]],
    [fetching => 'wait', 'waits', [qw(cold fetching)], [qw(slow fetching)],
     [qw(evicted-fetching fetching)]],
    [failing => 'error', 'is refused', [qw(down failing)],
     [qw(refused failing)], [qw(lost failing)]],
    [valid => 'hit', 'goes on', [qw(cold valid)], [qw(started valid)],
     [qw(used valid)], [qw(rested valid)], [qw(lasting valid)],
     [qw(slow valid)], [qw(down valid)], [qw(shaky valid)]],
    [due => 'hit', 'goes on', [qw(rested due)], [qw(shaky due)],
     [qw(lost due)], [qw(leaving due)], [qw(dead-refreshing void)],
     [qw(late-refresh void)], [qw(left-refreshing void)]],
    [refreshing => 'hit', 'goes on', [qw(rested refreshing)],
     [qw(slow refreshing)], [qw(shaky refreshing)]],
    [delayed => 'hit', 'goes on', [qw(shaky delayed)],
     [qw(shaky delayed-on)], [qw(lost delayed)]],
);

for (@told) {
    my ($state, $cache, $what, @asked) = @$_;

    is(count_of(map { told(@$_) =~ s/^\d+ (\w+)[^|]*\z/$1/r } @asked),
       "$cache: " . @asked, "$state: a request $what");

    next if $cache eq 'wait';

    cmp_ok(max(map { longest(@$_) } @asked), '<', 1,
           "$state: a request $what at once");
}

is(told('late-failure', 'fetching'), '504 error idp_timeout',
   'fetching: a request waits no longer than zertiban_timeout');
is(wrong_retry_after('down', 'failing', 1), '',
   'failing: a request is told when to come again');
is(wrong_retry_after('lost', 'failing', 2), '',
   'failing: a request is told when to come again, after the token ended');

$deadly->finish(allow => qr/exited on signal 9/);
$emptying->finish(allow => qr/exited on signal 9|was locked by/);
$_->finish() for $t, $leaving, $stopping, $reloading, $tiny;

done_testing();
