# Tests for the owner of an exchange that dies, at any moment of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw(max);

use Zertiban::CA;
use Zertiban::DNS;
use Zertiban::Shim;
use Zertiban::Test;

my $api = Zertiban::API->new();


# three workers, "server" being what the case needs

sub start {
    my ($server, %o) = @_;

    my %values = (API => $api->address(), %{$o{values}});

    return Zertiban::Nginx->new(workers => 3, %o)->run(<<"EOF", %values);
    %%ZONE%%

    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        zertiban on;
        zertiban_timeout 4s;
        zertiban_client_secret a-secret-of-all;
        zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;

$server
    }

    server {
        listen 127.0.0.1:%%PORT_status%%;
        access_log off;

        location / {
            stub_status;
        }
    }
EOF
}


sub location {
    my ($path, $client, $endpoint, $more) = @_;

    return <<"EOF";
        location = /$path {
            zertiban_token_endpoint $endpoint;
            zertiban_client_id $client;
            proxy_pass http://%%API%%;
            @{[$more // '']}
        }
EOF
}


sub ask {
    my ($path, @clients) = @_;

    for my $client (@clients) {
        $client->{uri} = "$path&n=$client->{port}";
        $client->send("GET $client->{uri} HTTP/1.1\r\nHost: localhost\r\n"
                      . "Connection: close\r\n\r\n");
    }
}


# requests that nginx has begun to process

sub requests_read {
    my ($t) = @_;

    my ($n) = $t->get('/', port => 'status')->{body} =~ /\d+ \d+ (\d+)/;

    return $n;
}


# Three requests in each worker; the first one makes its worker the owner of
# the exchange. Returns as soon as it has begun, and all requests wait.

sub start_waiting {
    my ($t, $path, $begun) = @_;

    my ($own, @others) = $t->connect_workers(3);
    my ($polls, $before) = (1, requests_read($t));

    ask($path, $own);
    wait_until { $begun->() } or die 'no exchange has begun';

    ask($path, @others);
    wait_until { requests_read($t) - $before - $polls++ > @others }
        or die 'nginx has not read all requests';

    return ($own, @others);
}


# what becomes of requests when one worker was killed at a moment

sub check_death {
    my ($what, $t, $dead, $killed, @clients) = @_;

    my @others = grep { $_->{worker} != $dead } @clients;
    my @own = grep { $_->{worker} == $dead } @clients;
    my @responses = map { $_->response() } @others;

    is(count_of(map { $_->{status} } @responses), '200: 6',
       "$what: requests of other workers are served");
    cmp_ok(max(map { $_->{time} } @responses) - $killed, '<', 3,
           'long before zertiban_timeout + 1 s');
    is(count_of(map { $_->response()->{status} } @own), '0: 3',
       'those of the dead worker are gone with it');
    ok(wait_until(sub { $t->processes() == 3 && $t->workers() == 3 }),
       'the worker is replaced') or die 'nginx hangs';
}


sub check_workers {
    my ($t, $path, $token) = @_;

    my @clients = $t->connect_workers(2);

    ask($path, @clients);

    is(count_of(map { $_->response()->{status} } @clients), '200: 6',
       'afterwards all workers serve');
    is(count_of(map { $api->last($_->{uri})->token() } @clients),
       "$token: 6", 'with the same token');
}


# on the way to the token endpoint

my %idp = map { $_ => Zertiban::IdP->new() } qw(resolve shake read);
my $dns = Zertiban::DNS->new(zone => { 'idp.test' => undef });

my $t = start(<<'EOF' . location('resolve', '$arg_client', '%%NAMED%%')
        resolver %%DNS%%;
        zertiban_ssl_verify off;

EOF
    . location('shake', '$arg_client', '%%SILENT%%')
    . location('read', '$arg_client', '%%HALF%%')
    . location('stop', '$arg_client', '%%HALF%%', 'zertiban_timeout 2s;'),
    values => {
        ZONE => '', DNS => $dns->address(), HALF => $idp{read}->url(),
        NAMED => $idp{resolve}->url(host => 'idp.test'),
        SILENT => $idp{shake}->url() =~ s/^http/https/r,
    });

my ($certificate, $key) = Zertiban::CA->new($t->dir(), 'root')->sign('idp');

# a listener without TLS says nothing to what looks like no request

my %begun = (
    resolve => sub { $dns->count('idp.test') },
    shake => sub { grep { $_->{in} ne '' } $idp{shake}->streams() },
    read => sub { $idp{read}->held() },
);

my %mended = (
    resolve => sub { $dns->{zone}{'idp.test'} = { A => ['127.0.0.1'] } },
    shake => sub {
        $idp{shake}{tls} = { SSL_cert_file => $certificate,
                             SSL_key_file => $key };
    },
    read => sub { $idp{read}->answer() },
);

$idp{read}->answer(sub {
    my ($request) = @_;

    my $answer = $idp{read}->issue($request);

    $request->{stream}->write(substr $answer, 0, length($answer) / 2);

    return;
});

my %what = (
    resolve => 'a worker dies while it looks up the name',
    shake => 'a worker dies during the TLS handshake',
    read => 'a worker dies with half of the answer',
);

for my $case (qw(resolve shake read)) {
    my $idp = $idp{$case};
    my $path = "/$case?client=$case";
    my ($own, @others) = start_waiting($t, $path, $begun{$case});

    my $before = $idp->{connections};
    my $killed = now();

    $mended{$case}->();
    $t->kill_worker($own->{worker});

    check_death($what{$case}, $t, $own->{worker}, $killed, $own, @others);
    is($idp->{connections} - $before, 1, 'by one further exchange');

    check_workers($t, $path, ($idp->tokens($case))[-1]);
    is($idp->{connections} - $before, 1, 'without another exchange');
}


# a worker that is stopped for longer than its lease

my $idp = $idp{read};
my $path = '/stop?client=stop';

$idp->hold();

my @later = $t->connect_workers(1);
my ($own, @others) = start_waiting($t, $path, sub { $idp->held() });
my ($held) = $idp->held();

kill 'STOP', $own->{worker};

@$_ = grep { $_->{worker} != $own->{worker} } @$_ for \(@others, @later);

is(count_of(map { $_->response()->{status} } @others), '504: 6',
   'a worker is stopped: requests of others wait for zertiban_timeout');

$idp->answer();
wait_until { now() > $held->{time} + 2.6 };

ask($path, @later);

is(count_of(map { $_->response()->{status} } @later), '200: 2',
   'and are served half a second later');
is($idp->count('stop'), 2, 'by one further exchange');

my ($token) = $idp->tokens('stop');

$idp->reply($held);
kill 'CONT', $own->{worker};
$own->response();

check_workers($t, $path, $token);
is($idp->count('stop'), 2, 'without another exchange');

$t->finish(allow => qr/exited on signal 9/);



# with the mutex of the zone, which is emptied then

my $shim = Zertiban::Shim->new();

$idp = Zertiban::IdP->new();
$t = start(location('any', '$arg_client', '%%IDP%%')
           . location('static', 'static', '%%IDP%%'),
           env => $shim->env(),
           values => { ZONE => 'zertiban_zone small:64k;',
                       IDP => $idp->url() });


# a long token for some

sub issue {
    my ($request) = @_;

    my $client = $request->{client_id};

    return $idp->issue($request) if $client !~ /^(?:full|evict)/;
    return $idp->issue($request, token => "token.$client." . 'x' x 3000);
}


# six requests for the token of one more credential

sub statuses {
    my ($path) = @_;

    return count_of(map { $_->response()->{status} }
                    map { $t->start('GET', "$path&n=$_") } 1 .. 6);
}


sub reload {
    my %old = map { $_ => 1 } $t->processes();

    kill 'HUP', $t->{pid};

    ok(wait_until(sub { 3 == grep { !$old{$_} } $t->workers() }),
       'the master process does not wait for the mutex')
        or die 'nginx hangs';
}


for my $case (
    ['publish', 'a worker dies while it puts a token into the zone'],
    ['look', 'a worker dies while it looks whether the owner lives'],
    ['evict', 'a worker dies while it makes room for a token'],
    ['reload', 'a worker dies right before a reload'],
    ['during', 'a worker is stopped, and dies during a reload'],
) {
    my ($client, $what) = @$case;
    my $path = "/any?client=$client";

    $idp->answer(\&issue);

    if ($client eq 'evict') {
        $t->get("/any?client=full-$_") for 1 .. 20;
    }

    statuses($_) for '/static?', '/any?client=other';

    my %before = map { $_ => $idp->count($_) } qw(static other);

    $idp->hold();

    my ($own, @others) = start_waiting($t, $path, sub { $idp->held() });

    $shim->strike($client eq 'during' ? 'STOP' : 'KILL',
                  $client =~ /look|evict/ ? $client : 'publish',
                  $client eq 'evict' ? 'token.full-' : "token.$client.");

    my $killed = now();

    # while an exchange is in flight others look
    wait_until { $shim->hit() } if $client eq 'look';

    $idp->release(\&issue);

    my $dead = wait_until { $shim->hit() };

    reload() if $client eq 'reload' || $client eq 'during';

    if ($client eq 'during') {
        $killed = now();
        $t->kill_worker($dead);
    }

    check_death($what, $t, $dead, $killed, $own, @others);

    is($dead, $own->{worker}, 'it was the owner') if $client ne 'look';
    like(scalar $t->error_log(qr/was locked by/), qr/ $dead$/,
         'and had the mutex');
    is($idp->count($client), 2, 'there is one further exchange');

    check_workers($t, $path, ($idp->tokens($client))[-1]);

    is(statuses('/static?'), '200: 6', 'other credentials');
    is(statuses('/any?client=other'), '200: 6', 'are served as well');
    is(join(' ', map { $idp->count($_) - $before{$_} } qw(static other)),
       '1 1', 'by one further exchange each');
    is($idp->count($client), 2, 'without another exchange');
}


# another exchange that is in flight when the zone is emptied; its request has
# left, so that its worker does not look

$idp->hold();

my ($first, $second, $third) = $t->connect_workers(1);

ask('/any?client=flight', $first);

my ($old) = wait_until { ($idp->held())[0] };

$first->leave();
$idp->answer(sub { $_[0]{client_id} eq 'flight' ? () : issue(@_) });
$shim->strike('KILL', 'publish', 'token.killing.');

ask('/any?client=killing', $second);
wait_until { $shim->hit() };

ask('/any?client=flight', $third);

my $new = wait_until { ($idp->held())[1] };

$old->reply(issue($old), keep => 1);
wait_until { $old->{stream}{closed} };
$new->reply(issue($new));

($token) = reverse $idp->tokens('flight');

is($third->response()->{status}, 200, 'an exchange begins once more');
is($api->last($third->{uri})->token(), $token, 'and brings the token');
ok(wait_until(sub { $t->workers() == 3 }), 'the worker is replaced');

check_workers($t, '/any?client=flight', $token);
is($idp->count('flight'), 2, 'without another exchange');

is(scalar(my @lines = $t->error_log(qr/\[crit\].*"small" was left locked/)),
   6, 'a line for each of these deaths');

$t->finish(allow => qr/exited on signal 9|zone ".*" was locked by/);


# in the background: there are no requests

$idp = Zertiban::IdP->new(expires_in => 3);

$idp->hold();

$t = start(location('static', 'static', '%%IDP%%',
                    'zertiban_timeout 3600ms;'),
           values => { ZONE => '', IDP => $idp->url() });

for my $case (
    ['the first exchange', 4],
    ['a refresh', 4],
    ['a refresh, and nobody can see that it is dead', 4.6],
) {
    my ($what, $seconds) = @$case;

    my ($held) = wait_until { ($idp->held())[0] };
    my $before = $idp->count();
    my ($owner) = $t->workers_of($held->{stream});

    # the next refresh is held again
    $idp->answer(undef, sub { return });

    # until its parent has waited for it, a process can be sent signals
    if ($seconds > 4) {
        $idp->{expires_in} = 300;
        kill 'STOP', $t->{pid};
    }

    my $killed = now();

    $t->kill_worker($owner);

    ok($idp->wait_for($before + 1), "a worker dies in $what");

    my $took = $idp->{requests}[-1]{time} - $killed;

    diag(sprintf 'taken over after %.3f s', $took);
    cmp_ok($took, '<', $seconds,
           "another one takes over within $seconds s, without a request");

    kill 'CONT', $t->{pid};

    ok(wait_until(sub { $t->workers() == 3 }), 'the worker is replaced');
}

check_workers($t, '/static?', ($idp->tokens('static'))[-1]);
is($idp->count(), 6, 'by one further exchange each time');

$t->finish(allow => qr/exited on signal 9/);

done_testing();
