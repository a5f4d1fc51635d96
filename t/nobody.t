# Tests for exchanges that nobody waits for, and for too many of them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();

my $static = <<'EOF';
        location /static {
            zertiban_client_id static;
            zertiban_client_secret secret-of-static;
            proxy_pass http://%%API%%;
        }
EOF


sub start_nginx {
    my (%o) = @_;

    my $t = Zertiban::Nginx->new(workers => 1, %o);

    return $t->run(<<'EOF' . ($o{static} // '') . "    }\n",
    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_timeout 20s;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id a-tenant;

        location / {
            proxy_pass http://%%API%%;
        }

        location /text {
            zertiban off;
            return 200 text;
        }
EOF
        API => $api->address(), IDP => $idp->url());
}


# a request whose exchange is in flight

sub start_waiting {
    my ($t, $client) = @_;

    my $n = $idp->count($client);
    my $connection = $t->start('GET', "/?client=$client");

    wait_until { $idp->count($client) > $n } or die 'no exchange has begun';

    return ($connection, $idp->{requests}[-1]);
}


# clients that leave

my $t = start_nginx(workers => 2);

$idp->hold();

my ($left, $exchange) = start_waiting($t, 'left');

$left->leave();

ok(wait_until(sub { $exchange->{stream}{closed} }, 3),
   'the exchange of a client that has left is given up');

# that is noticed within a second, and another one would begin after it
wait_until { 0 } 1.5;

is($idp->count('left'), 1, 'and no other follows');

($left, $exchange) = start_waiting($t, 'again');

$left->leave();
$t->get('/text');

my $again = $t->start('GET', '/?client=again');

wait_until { 0 } 1.5;

ok(!$exchange->{stream}{closed}, 'unless the client comes again');

$idp->release();

is($again->response()->{status}, 200, 'who is served');
is($idp->count('again'), 1, 'by that exchange');


# clients of another worker

$idp->hold();

my @clients = $t->connect_workers(1);

for my $client (@clients) {
    $client->send("GET /?client=two HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_until { $idp->count('two') };
    $t->get('/text') for 1 .. 5;
}

($exchange) = grep { ($_->{client_id} // '') eq 'two' } @{$idp->{requests}};

my ($owner) = $t->workers_of($exchange->{stream});
my ($own) = grep { $_->{worker} == $owner } @clients;
my ($other) = grep { $_->{worker} != $owner } @clients;

# the other one looks twice
wait_until { 0 } 0.5;

$own->leave();
wait_until { 0 } 2.5;

ok(!$exchange->{stream}{closed}, 'an exchange that another worker waits for');

$idp->release();

is($other->response()->{status}, 200, 'ends with a token');
is($idp->count('two'), 1, 'and there is no other');

$t->finish();


# too many at once

$t = start_nginx(connections => 64);
$idp->hold();

my $log = qr/cannot get a token for client .*: 16 token requests are in flight/;
my @waiting = map { (start_waiting($t, "many-$_"))[0] } 1 .. 16;
my @refused = map { $t->get("/?client=more-$_") } 1 .. 5;

is(count_of(map { $_->{status} } @refused), '503: 5',
   'a quarter of the connections are for exchanges');
is(count_of(map { ($_->header('Retry-After'))[0] } @refused), '1: 5',
   'others may come again');
is($t->logged('/?client=more-1')->{error}, 'busy', 'and are told what it is');
is(count_of(map { /\[(\w+)\]/ } $t->error_log($log)), 'error: 1, info: 4',
   'the log says so once in ten seconds');

$t->start('GET', '/?client=many-1')->leave();
$waiting[0]->leave();
$t->get('/text');

my ($new) = start_waiting($t, 'new');

ok($new, 'an exchange that nobody waits for makes room for another');
is($t->get('/?client=more-6')->{status}, 503, 'and for no more');

$idp->release();

is(count_of(map { $_->response()->{status} } @waiting[1 .. 15], $new),
   '200: 16', 'all of them bring their tokens');
is($t->get('/?client=more-1')->{status}, 200, 'then there is room again');

$t->finish();


# of many connections it is less than a quarter

$t = start_nginx();
$idp->hold();

@waiting = map { $t->start('GET', "/?client=each-$_") } 1 .. 256;

wait_until { $idp->held() == 256 } or die 'exchanges have not begun';

is($t->get('/?client=no-more')->{status}, 503, 'at most 256 are in flight');
is(count_of(map { /: (\d+) token requests are in flight/ } $t->error_log()),
   '256: 1', 'which the log says');

$idp->release();

is(count_of(map { $_->response()->{status} } @waiting), '200: 256',
   'all of them bring their tokens');

$t->finish();


# what the configuration names has a quarter of these for itself

$idp->hold();
$t = start_nginx(connections => 64, static => $static);

wait_until { $idp->count('static') };

@waiting = map { (start_waiting($t, "few-$_"))[0] } 1 .. 11;

is($t->get('/?client=few-12')->{status}, 503, 'others are refused earlier');

$idp->release();

is($t->get('/static')->{status}, 200, 'beside static ones');

$t->finish();


# a crowd of new credentials, all of them refused

$t = start_nginx();
$idp->answer(Zertiban::IdP::json(401, error => 'invalid_client'));

my $begun = now();

is(count_of(map { $t->get("/?client=bad-$_")->{status} } 1 .. 50), '502: 50',
   'fifty credentials are refused');
is(count_of(map { /\[(\w+)\]/ } $t->error_log(qr/no new token for client/)),
   'error: 1, info: 49', 'the first one is an error');

my $more = qr/\[error\].* no token for 49 more new credentials/;

ok(wait_until(sub { $t->error_log($more) }, 12), 'and then their number');
cmp_ok(now() - $begun, '>', 9, 'after ten seconds');

# until the longest first delay is over
wait_until { 0 } 1;

is($idp->count() - (grep { ($_->{client_id} // '') !~ /^bad/ }
                    @{$idp->{requests}}), 50,
   'no timer asks for them again');

$t->finish();

done_testing();
