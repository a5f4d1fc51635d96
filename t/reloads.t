# Tests for reloads and stops: what holds up old workers, and what does not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Copy qw(copy);
use IO::Socket::IP;

use Zertiban::DNS;
use Zertiban::Loop qw(after);
use Zertiban::Test;
use Zertiban::Traffic;

my $server = <<'EOF';
    zertiban on;
    zertiban_token_endpoint %%IDP%%;
    zertiban_timeout 30s;
    # so long Angie's old workers keep connections after their last request
    lingering_timeout 100ms;
    zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;

    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        location / {
            zertiban_client_id %%CLIENT%%;
            zertiban_client_secret %%SECRET%%;
            proxy_pass http://%%API%%;
        }

        location /any {
            zertiban_client_id $arg_client;
            zertiban_client_secret secret-of-$arg_client;
            proxy_pass http://%%API%%;
        }

        location /status {
            zertiban off;
            access_log off;
            stub_status;
        }
EOF

# static credentials whose exchanges stop at the name, the connection, TLS,
# or the answer; and one that is refreshed soon

my $stuck = <<'EOF';

        location /name {
            resolver %%DNS%%;
            zertiban_client_id client-stuck;
            zertiban_client_secret secret-of-name;
            zertiban_token_endpoint http://silent.test/;
            proxy_pass http://%%API%%;
        }

        location /tcp {
            zertiban_client_id client-stuck;
            zertiban_client_secret secret-of-tcp;
            zertiban_token_endpoint http://%%DEAF%%/;
            proxy_pass http://%%API%%;
        }

        location /tls {
            zertiban_client_id client-stuck;
            zertiban_client_secret secret-of-tls;
            zertiban_token_endpoint https://%%MUTE%%/;
            proxy_pass http://%%API%%;
        }

        location /answer {
            zertiban_client_id client-stuck;
            zertiban_client_secret secret-of-answer;
            proxy_pass http://%%API%%;
        }

        location /short {
            zertiban_client_id client-short;
            zertiban_client_secret secret-of-short;
            proxy_pass http://%%API%%;
        }
    }
EOF

my $config = "$server    }\n";

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $dns = Zertiban::DNS->new(zone => { 'silent.test' => undef });
my $mute = Zertiban::API->new();

# the backlog takes one connection; all others get no answer
my $deaf = IO::Socket::IP->new(LocalHost => '127.0.0.5', Listen => 1)
    or die $@;
listen $deaf, 0;

my $taken = IO::Socket::IP->new(PeerHost => '127.0.0.5',
                                PeerPort => $deaf->sockport()) or die $@;

my %values = (API => $api->address(), IDP => $idp->url(),
              CLIENT => 'client', SECRET => 'first-secret',
              DNS => $dns->address(), MUTE => $mute->address(),
              DEAF => '127.0.0.5:' . $deaf->sockport());

my $t = Zertiban::Nginx->new(workers => 4);

$t->run($config, %values);


# the IdP holds back the answers to some clients

my %held;

sub hold {
    $held{$_} = 1 for @_;
}

sub release {
    delete $held{$_} for @_;
    $idp->reply($_) for $idp->held();
}

$idp->answer(sub {
    my ($request) = @_;

    return if $held{$request->{client_id}};
    return $idp->issue($request, $request->{client_id} eq 'client-short'
                                 ? (expires_in => 12) : ());
});


# the API holds back what is slow, for ever or for a while

my @slow;

$api->answer(sub {
    my ($request) = @_;

    return $api->default($request) if $request->{uri} !~ /slow/;

    push @slow, $request;
    after(0.4, sub { $request->answer($api->default($request)) })
        if $request->{uri} =~ /slow-load/;

    return;
});


# waits until some workers have left, and says how long it took

sub left {
    my ($nginx, @pids) = @_;

    my %pids = map { $_ => 1 } @pids;
    my $start = now();

    wait_until { !grep { $pids{$_} } $nginx->processes() } 20
        or die 'workers stay: ' . join ' ', $nginx->processes();

    return now() - $start;
}


# sends a request on each of some connections, and returns as soon as nginx
# has read them

sub send_all {
    my ($nginx, $uri, @connections) = @_;

    my $polls = 1;
    my $before = requests_read($nginx);

    $_->send("GET $uri HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for @connections;

    wait_until { requests_read($nginx) - $before - $polls++ >= @connections }
        or die 'nginx has not read all requests';
}


sub requests_read {
    my ($nginx) = @_;

    my ($n) = $nginx->get('/status')->{body} =~ /\d+ \d+ (\d+)/;

    return $n;
}


sub statuses {
    return count_of(map { $_->response()->{status} } @_);
}


# how often a static credential's exchange was begun, of those that can be
# seen from outside

sub begun {
    return ($dns->count('silent.test'), $mute->{connections},
            $idp->count('client-stuck'));
}


# waits until it was begun again

sub begun_after {
    my (@before) = @_;

    return wait_until {
        my @now = begun();
        !grep { $now[$_] <= $before[$_] } 0 .. $#now;
    };
}


sub errors {
    return $_[0]->error_log(qr/no new token for client/);
}


# thirty reloads under load: new connections, slow requests, and clients that
# keep their connections, which old workers may close between two requests

my ($asking, $asked) = (1, 0);
my (@statuses, @closed, @reloads, @spanning);

sub ask {
    my ($client) = @_;

    my $answered = $client && @{$client->{responses}};

    if ($client && !$answered && !$client->{stream}{closed}) {
        after(0.01, sub { ask($client) });
        return;
    }

    push @statuses, $client->response()->{status} if $answered;
    push @closed, $client if $client && !$answered;

    return if !$asking;

    my $kept = $answered && !$client->{stream}{closed};

    $client = Zertiban::Client->new($t->port()) if !$kept;
    $client->{kept} = $kept;
    $client->{uri} = '/kept/' . ++$asked;
    $client->send("GET $client->{uri} HTTP/1.1\r\nHost: localhost\r\n\r\n");

    after(0.01, sub { ask($client) });
}

my $traffic = Zertiban::Traffic->new($t);

$traffic->every(0.02, '/load', 2);
$traffic->every(0.1, '/slow-load');
ask() for 1 .. 4;

for (1 .. 30) {
    $t->reload();
    push @reloads, now();

    my $n = $asked;
    wait_until { $asked >= $n + 10 };
}

$asking = 0;
$traffic->finish();
wait_until { @statuses + @closed == $asked };

for my $request ($traffic->requests('/slow-load')) {
    push @spanning, $request if grep { $request->{start} < $_
                                       && $_ < $request->{end} } @reloads;
}

diag(scalar(my @all = $traffic->requests()) . ' requests on new connections'
     . ', ' . @spanning . " that spanned reloads, $asked on kept connections,"
     . ' ' . @closed . ' of them lost');

like(count_of(map { $_->{status} } $traffic->requests()),
     qr/^200: [1-9]\d\d+$/, 'requests are served during thirty reloads');
cmp_ok(scalar(@spanning), '>=', 20, 'some of them by old workers');
like(count_of(@statuses), qr/^200: [1-9]\d\d+$/,
     'and requests on connections that are kept');
is(scalar(grep { !$_->{kept} || $api->count($_->{uri}) } @closed), 0,
   'which old workers close between requests only');
is($idp->count(), 1, 'all with one token request');

# a credential that is used is to be refreshed, too
$t->get('/any?client=client-used') for 1 .. 20;

my @old = $t->workers();
$t->reload();

cmp_ok(left($t, @old), '<', 2, 'workers with nothing to do leave at once');


# a changed secret

my $client = $t->start('GET', '/slow');
my ($old) = $t->workers_of($client->{stream});

wait_until { $api->count('/slow') };
$t->reload($config, SECRET => 'second-secret');

ok(wait_until(sub { $idp->count('client') == 2 }),
   'a changed secret makes a token request');
is($idp->{requests}[-1]{client_secret}, 'second-secret',
   'with the new secret');
is(join(' ', grep { $_ == $old } $t->processes()), $old,
   'while an old worker still serves');

$slow[-1]->answer($api->default($slow[-1]));

is($client->response()->{status}, 200, 'a request with the old one');
left($t, $old);
$t->get('/second');

is($api->last('/second')->token(), ($idp->tokens('client'))[1],
   'later requests have the new token');


# exchanges in the background are left to the new workers

my @before = begun();

hold('client-stuck');
$t->reload($server . $stuck);
begun_after(@before) && wait_until { $idp->tokens('client-short') }
    or die 'static credentials are not asked for';

$traffic = Zertiban::Traffic->new($t);
$traffic->every(0.05, '/short');
hold('client-short');

ok(wait_until(sub { $idp->count('client-short') == 2 }),
   'a token is refreshed in the background');

@old = $t->workers();
@before = begun();
$t->reload();

my $seconds = left($t, @old);
my $left = now();

cmp_ok($seconds, '<', 2,
       'old workers with exchanges that nobody waits for leave at once');

ok(begun_after(@before), 'new workers take the exchanges over');
ok(wait_until(sub { $idp->count('client-short') >= 3 }),
   'and the refresh');
cmp_ok(now() - $left, '<', 2, 'in about a second');
diag(sprintf 'old workers left after %.2f s, and their exchanges were taken'
             . ' over %.2f s later', $seconds, now() - $left);

# another old worker may have begun one before it was told to leave

ok(wait_until(sub { $idp->held('client-stuck') == 1 }), 'one of each');

release('client-short', 'client-stuck');
$traffic->finish();

is(count_of(map { "$_->{status} $_->{cache}" } $traffic->requests()),
   '200 hit: ' . $traffic->requests(), 'no request waits for that');
is($t->get('/answer')->{status}, 200, 'the new workers\' exchange serves');
is(errors($t), '', 'no failure is logged');


# exchanges that requests wait for: in worker 1 for that of worker 0, whose
# own client has left, in worker 2 for its own, in worker 3 there is none

$t->reload($config);

my @connections = $t->connect_workers(1);
@old = map { $_->{worker} } @connections;

hold('client-left', 'client-own');
send_all($t, '/any?client=client-left', $connections[0]);
wait_until { $idp->count('client-left') };
send_all($t, '/any?client=client-left', $connections[1]);
send_all($t, '/any?client=client-own', $connections[2]);
wait_until { $idp->count('client-own') };

$_->leave() for @connections[0, 3];
delete $held{'client-left'};

my $start = now();
$t->reload();

cmp_ok(left($t, @old[0, 3]), '<', 2,
       'an old worker leaves whose exchange others wait for');
is($connections[1]->response(20)->{status}, 200,
   'a request in another worker is served nevertheless');
cmp_ok(now() - $start, '<', 3, 'soon');
is($idp->count('client-left'), 2, 'by another exchange');
is($idp->count('client-own'), 1, 'an exchange with a request goes on');

release('client-own');

is($connections[2]->response()->{status}, 200, 'and serves the request');
cmp_ok(left($t, @old), '<', 2, 'then the worker leaves');


# requests that wait for an exchange that a timer has begun

hold('client-timer');
$t->reload($config, CLIENT => 'client-timer');
wait_until { $idp->held() };

my ($owner) = $t->workers_of(($idp->held())[0]{stream});

@connections = $t->connect_workers(1);
@old = map { $_->{worker} } @connections;

my ($own) = grep { $_->{worker} == $owner } @connections;
my ($other) = grep { $_->{worker} != $owner } @connections;

$_->leave() for grep { $_ != $own && $_ != $other } @connections;
send_all($t, '/', $own, $other);
$t->reload();

cmp_ok(left($t, grep { $_ != $own->{worker} && $_ != $other->{worker} } @old),
       '<', 2, 'old workers without requests leave');

# new workers have looked after it by then
wait_until { 0 } 1.3;
release('client-timer');

is(statuses($own, $other), '200: 2',
   'requests are served by an exchange that a timer has begun');
is($idp->count('client-timer'), 1, 'with one token request');
cmp_ok(left($t, @old), '<', 2, 'then the workers leave');
is($t->get('/')->{status} . $idp->count('client-timer'), '2001',
   'the token is there for the new ones');


# the module's file at another path, as a package of another version has it

SKIP: {
    skip 'the module is built in', 11 if Zertiban::Nginx::module() eq '';

    my $master = $t->{pid};
    my @eventfds;

    for my $n (1 .. 3) {
        my $copy = $t->dir() . "/module-$n.so";

        copy(Zertiban::Nginx::module(), $copy) or die "$copy: $!";

        hold("client-path-$n");
        @connections = $t->connect_workers(1);
        @old = map { $_->{worker} } @connections;
        $_->leave() for splice @connections, 2;
        send_all($t, "/any?client=client-path-$n", @connections);

        $t->reload($config, MODULE => $copy);

        ok(wait_until(sub { $idp->count('client-timer') == $n + 1 }),
           "a module at another path starts anew, time $n");
        is($t->get('/')->{status}, 200, 'it serves');

        release("client-path-$n");

        is(statuses(@connections), '200: 2', 'as the old one does');
        left($t, @old);

        push @eventfds, scalar grep { (readlink($_) // '') =~ /eventfd/ }
                               glob "/proc/$master/fd/*";
    }

    is(count_of(@eventfds), '1: 3', 'nothing of the old one is left');

    # the same path

    my $copy = $t->dir() . '/module-3.so';

    copy(Zertiban::Nginx::module(), "$copy.new") or die "$copy: $!";
    rename "$copy.new", $copy or die "$copy: $!";
    $t->reload();

    is($t->get('/')->{status}, 200, 'a file that was replaced does no harm');
}


# stops

sub start_nginx {
    my ($client, %o) = @_;

    my $nginx = Zertiban::Nginx->new(workers => 2, %o);
    my @before = begun();

    hold($client, 'client-stuck');
    $nginx->run($server . $stuck, %values, CLIENT => $client);
    begun_after(@before) && wait_until { $idp->count($client) }
        or die 'static credentials are not asked for';

    return $nginx;
}

sub stop {
    my ($nginx, $signal) = @_;

    my $start = now();

    ok($nginx->stop($signal) && $nginx->{status} == 0, "$signal ends nginx");

    return now() - $start;
}

cmp_ok(stop($t, 'QUIT'), '<', 2, 'at once when there is nothing to do');
$t->finish();

my $quit = start_nginx('client-quit');

cmp_ok(stop($quit, 'QUIT'), '<', 2,
       'at once, while exchanges are in flight in the background');
is(errors($quit), '', 'without a word about them');
$quit->finish();

my $served = start_nginx('client-served');

@connections = $served->connect_workers(1);
send_all($served, '/', @connections);
$start = now();
after(0.5, sub { release('client-served') });
stop($served, 'QUIT');

cmp_ok(now() - $start, '>', 0.45, 'after requests that wait');
is(statuses(@connections), '200: 2', 'which are served');
is($idp->count('client-served'), 1, 'by the exchange in flight');
$served->finish();

my $term = start_nginx('client-term');

@connections = $term->connect_workers(1);
send_all($term, '/', @connections);

cmp_ok(stop($term, 'TERM'), '<', 2, 'at once, also while requests wait');
is(statuses(@connections), '0: 2', 'without an answer to them');
$term->finish();

my $cut = start_nginx('client-cut', main => 'worker_shutdown_timeout 1s;');

@old = $cut->workers();
@connections = $cut->connect_workers(1);
send_all($cut, '/', @connections);
$cut->reload();

cmp_ok(left($cut, @old), '<', 3,
       'worker_shutdown_timeout cuts short requests that wait');
ok(wait_until(sub { $idp->count('client-cut') == 2 }),
   'new workers take over the exchange');

@connections = $cut->connect_workers(1);
send_all($cut, '/', @connections);

cmp_ok(stop($cut, 'QUIT'), '<', 3, 'when worker_shutdown_timeout has passed');
$cut->finish();

done_testing();
