# Tests for how soon waiting requests go on when their token has come, and
# for workers that sleep when nobody waits.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw(max);

use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();

my $settings = <<'EOF';
    upstream api {
        server %%API%%;
        keepalive 8;
    }

    proxy_http_version 1.1;
    proxy_set_header Connection "";

    zertiban_token_endpoint %%IDP%%;
    zertiban_client_secret secret-of-client;
    zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;
    zertiban_timeout 30s;
EOF


sub location {
    my ($path, $client) = @_;

    return <<"EOF";
        location $path {
            zertiban on;
            zertiban_client_id $client;
            proxy_pass http://api;
        }
EOF
}


# static credentials whose tokens are valid, and any number of others

my $t = Zertiban::Nginx->new(workers => 4);

$t->run("$settings    server {
        listen 127.0.0.1:%%PORT%% reuseport;

" . location('/', '$arg_client') . location('/first', 'client-first')
  . location('/second', 'client-second') . <<'EOF',

        location /status {
            access_log off;
            stub_status;
        }
    }
EOF
    API => $api->address(), IDP => $idp->url());


# a static credential whose exchange does not end, and one that is to be
# tried again in a minute

my $slow_idp = Zertiban::IdP->new();
my $slow = Zertiban::Nginx->new(workers => 4);

$slow_idp->answer(sub {
    my ($request) = @_;

    return if $request->{client_id} eq 'client-never';
    return "HTTP/1.1 503 Status\r\nRetry-After: 60\r\n"
           . "Content-Length: 0\r\n\r\n";
});

$slow->run("$settings    server {
        listen 127.0.0.1:%%PORT%%;

" . location('/never', 'client-never') . location('/later', 'client-later')
  . "    }\n", API => $api->address(), IDP => $slow_idp->url());


# requests that nginx has begun to process

sub requests_read {
    my ($n) = $t->get('/status')->{body} =~ /\d+ \d+ (\d+)/;

    return $n;
}


# sends a request on each connection, and returns as soon as all of them wait

sub start_waiting {
    my ($client, @connections) = @_;

    my $polls = 1;
    my $before = requests_read();

    $_->send("GET /$_->{port}?client=$client HTTP/1.1\r\n"
             . "Host: localhost\r\n\r\n") for @connections;

    wait_until { $idp->count($client)
                 && requests_read() - $before - $polls++ >= @connections }
        or die 'requests do not wait';
}


sub median {
    return (sort { $a <=> $b } @_)[@_ / 2];
}


# the median, in milliseconds, of the longest time in each round

sub last_of_round {
    my ($what, @rounds) = @_;

    my @all = map { @$_ } @rounds;
    my $last = 1000 * median(map { max(@$_) } @rounds);

    diag(sprintf '%s: median %.1f ms, last of a round %.1f ms, last of all'
                 . ' %.1f ms', $what, 1000 * median(@all), $last,
                 1000 * max(@all));

    return $last;
}


my (@arrivals, @statuses, @rounds);

$api->answer(sub {
    my ($request) = @_;

    push @arrivals, now();

    return $api->default($request);
});


# the token comes

wait_until { $t->get('/first')->{status} == 200
             && $t->get('/second')->{status} == 200 };

my @connections = $t->connect_workers(2);

for my $round (1 .. 20) {
    $idp->hold();

    # the first one's worker runs the exchange
    push @connections, splice @connections, 0, 3;

    start_waiting("client-$round", @connections);
    @arrivals = ();
    $idp->release();

    push @statuses, map { $_->response()->{status} } @connections;
    push @rounds, [map { $_ - $idp->{released} } @arrivals];
}

is(count_of(@statuses), '200: 160', 'requests wait in all of four workers');
is(count_of(map { scalar @$_ } @rounds), '8: 20',
   'and reach the API when their token has come');
is(count_of(map { $idp->count("client-$_") } 1 .. 20), '1: 20',
   'by one exchange for all of them');
cmp_ok(last_of_round('from token to API', @rounds), '<', 10,
       'within milliseconds, whichever worker they wait in');


# the exchange fails

(@statuses, @rounds) = ();

for my $round (1 .. 10) {
    $idp->hold();
    push @connections, splice @connections, 0, 3;

    start_waiting("client-down-$round", @connections);
    $idp->release(Zertiban::IdP::json(500, error => 'server_error'));

    my @responses = map { $_->response() } @connections;

    push @statuses, map { $_->{status} } @responses;
    push @rounds, [map { $_->{time} - $idp->{released} } @responses];
}

is(count_of(@statuses), '503: 80', 'requests in all workers see a failure');
cmp_ok(last_of_round('from failure to client', @rounds), '<', 10,
       'as soon');

$_->leave() for @connections;


# requests wait in old and in new workers

(@statuses, @rounds) = ();

my (@processes, @exchanges);

for my $round (1 .. 5) {
    my $client = "client-reload-$round";

    $idp->hold();

    my @old = $t->connect_workers(2);
    start_waiting($client, @old);

    $t->reload();

    my @new = $t->connect_workers(2);
    start_waiting($client, @new);

    push @processes, scalar(my @all = $t->processes());
    @arrivals = ();
    $idp->release();

    push @statuses, map { $_->response()->{status} } @old, @new;
    push @rounds, [map { $_ - $idp->{released} } @arrivals];
    push @exchanges, $idp->count($client);

    $_->leave() for @new;
    wait_until { $t->processes() == 4 };
}

is(count_of(@processes), '8: 5', 'old workers with requests that wait stay');
is(count_of(@statuses), '200: 80', 'requests in old and new workers go on');
is(count_of(@exchanges), '1: 5', 'by one exchange for all of them');
cmp_ok(last_of_round('in old and new workers', @rounds), '<', 50,
       'within milliseconds');


# nobody waits; a process goes to sleep as often as it has been woken

sub sleeps {
    my ($pid) = @_;

    open my $fh, '<', "/proc/$pid/status" or die "/proc/$pid/status: $!";

    return (map { /^voluntary_ctxt_switches:\s+(\d+)/ } <$fh>)[0];
}


ok(wait_until(sub { $slow->error_log(qr/client-later/)
                    && $slow_idp->held() }),
   'static credentials are asked for without a request');

# until the last look after what was waited for
wait_until { 0 } 0.5;

my @idle = $t->workers();
my @looking = $slow->workers();
my %before = map { $_ => sleeps($_) } @idle, @looking;

wait_until { 0 } 1.5;

my %woken = map { $_ => sleeps($_) - $before{$_} } @idle, @looking;

diag("woken in 1.5 s while tokens are valid: @woken{@idle}, while an"
     . " exchange is in flight: @woken{@looking}");

is(scalar(grep { $woken{$_} <= 3 } @idle), 4,
   'workers sleep while tokens are valid');
is(scalar(grep { $woken{$_} <= 3 } @looking), 4,
   'and hardly wake while there is an exchange that nobody waits for');

my ($connection) = $t->connect_workers(1);
my $worker = $connection->{worker};
my $wakes = 0;

for (1 .. 10) {
    my $before = sleeps($worker);

    $connection->send("GET /first HTTP/1.1\r\nHost: localhost\r\n\r\n");
    $connection->response();

    # a slow one answers long before it goes to sleep again
    $wakes++ if wait_until { sleeps($worker) > $before };
}

is($wakes, 10, 'while each request wakes one');

$slow->finish();
$t->finish();

done_testing();
