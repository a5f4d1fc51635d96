# Tests for clients that leave while they wait for a token.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::H2;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url());
    client_max_body_size 1m;

    server {
        listen 127.0.0.1:%%PORT%% backlog=1024;
        listen 127.0.0.1:%%PORT_h2%% http2;

        location / {
            zertiban on;
            zertiban_token_endpoint %%IDP%%;
            zertiban_client_id $arg_client;
            zertiban_client_secret secret-of-$arg_client;
            zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;
            proxy_pass http://%%API%%;
        }

        location /status {
            stub_status;
        }
    }
EOF

my $h2 = 'http://127.0.0.1:' . $t->port('h2');
my ($worker) = $t->workers();
my $sockets = $t->sockets();


sub active {
    my ($n) = $t->get('/status')->{body} =~ /Active connections: (\d+)/;

    # without the one that asks
    return $n - 1;
}


# n waiting requests for a token that the IdP holds back

sub start_waiting {
    my ($n, $client) = @_;

    my $before = active();
    $idp->hold();

    my @clients = map { $t->start('GET', "/?client=$client") } 1 .. $n;

    wait_until { $idp->count($client) && active() == $before + $n }
        or die 'requests do not wait';

    return @clients;
}


sub statuses {
    return count_of(map { $_->response()->{status} } @_);
}


sub freed {
    return wait_until { active() == 0 };
}


# some leave

my @clients = start_waiting(60, 'some');
my @stay = splice @clients, 0, 10;

$clients[$_]->leave(reset => $_ % 2) for 0 .. 49;

ok(wait_until(sub { active() == 10 }),
   'connections of 50 clients that leave are freed while the IdP thinks');

$idp->release();

is(statuses(@stay), '200: 10', 'the clients that stay are served');
is($idp->count('some'), 1, 'by the same exchange');


# all leave

@clients = start_waiting(50, 'all');
$clients[$_]->leave(reset => $_ % 2) for 0 .. 49;

ok(freed(), 'connections are freed when all clients leave');

$idp->release();

is($t->get('/?client=all')->{status}, 200, 'the exchange still ends well');
is($idp->count('all'), 1, 'for later clients');


# all leave before the exchange fails

@clients = start_waiting(50, 'failing');
$clients[$_]->leave(reset => $_ % 2) for 0 .. 49;
$idp->release(Zertiban::IdP::json(500, error => 'server_error'));

ok(freed(), 'connections are freed when the exchange fails');
is($t->get('/?client=failing')->{status}, 503,
   'the failure is kept for later clients');


# all leave at the moment when the token comes

@clients = start_waiting(50, 'moment');
$idp->release();
$clients[$_]->leave(reset => $_ % 2) for 0 .. 49;

ok(freed(), 'connections are freed when clients leave as the token comes');
is($t->get('/?client=moment')->{status}, 200, 'the token is kept');


# with a part of a body, and with a second request in the pipe

$idp->hold();

@clients = map {
    $t->start('POST', '/?client=body', headers => ['Content-Length: 99999'])
} 1 .. 10;
$_->{stream}->write('x' x 5000) for @clients;

wait_until { $idp->count('body') && active() == 10 };
$_->leave(reset => 1) for @clients[0 .. 4];
$_->leave() for @clients[5 .. 9];

ok(freed(), 'connections are freed when uploads are broken off');

my $client = $t->start('GET', '/?client=body', connection => 'keep-alive');
$client->send("GET /second?client=body HTTP/1.1\r\nHost: localhost\r\n\r\n");

wait_until { active() == 1 };
$idp->release();

is($client->response()->{status}, 200, 'a client with two requests waits');
is($client->response()->{body}, "GET /second?client=body\n",
   'and has both answers');
$client->leave();


# HTTP/2: whole connections

$idp->hold();

my @connections = map { Zertiban::H2->new($t->port('h2')) } 1 .. 5;
my @pids = map {
    start_curl('--http2-prior-knowledge', "$h2/?client=h2&n=curl$_")
} 1 .. 5;

for my $connection (@connections) {
    $connection->get("/?client=h2&n=$_", $_ > 5 ? 'x' x 99 : ())
        for 1 .. 10;
    $connection->ping();
}

wait_until { $idp->count('h2') && active() == 10
             && !grep { !$_->{pong} } @connections };

kill 'KILL', @pids;
$_->leave() for @connections;

ok(freed(), 'HTTP/2 connections are freed');

curl_output($_) for @pids;
$idp->release();

is($t->get('/?client=h2')->{status}, 200,
   'the exchange that HTTP/2 clients left ends well');


# HTTP/2: single streams

$idp->hold();

my $connection = Zertiban::H2->new($t->port('h2'));
my @streams = map {
    $connection->get("/?client=streams&n=$_", $_ > 5 && $_ <= 10 ? 'x' : ())
} 1 .. 20;

wait_until { $idp->count('streams') };
$connection->cancel($_) for @streams[0 .. 9];
$connection->ping();
wait_until { $connection->{pong} };

$idp->release();
wait_until { $connection->statuses() == 10 };

is(count_of($connection->statuses(@streams[10 .. 19])), '200: 10',
   'streams that stay on a connection are served');
is(count_of($connection->statuses(@streams[0 .. 9])), '',
   'those that were cancelled are not');
$connection->leave();


# nothing is left over

ok(freed(), 'all connections are freed');
ok(wait_until(sub { $t->sockets() <= $sockets }), 'and all sockets');
is(join(' ', $t->workers()), $worker, 'the worker lives on');

$t->finish();

done_testing();
