# Tests for workers that die, and for reloads.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw(max);

use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new(workers => 2);

my $config = <<'EOF';
    %%ZONE%%

    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_timeout 4s;
        zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;

        location / {
            zertiban_client_id client;
            zertiban_client_secret %%SECRET%%;
            proxy_pass http://%%API%%;
        }

        location /any {
            zertiban_client_id $arg_client;
            zertiban_client_secret secret-of-$arg_client;
            proxy_pass http://%%API%%;
        }
    }
EOF

$t->run($config, API => $api->address(), IDP => $idp->url(), ZONE => '',
        SECRET => 'first-secret');


sub statuses {
    return count_of(map { $_->response()->{status} } @_);
}


sub start_many {
    my ($n, $uri) = @_;

    return map { $t->start('GET', $uri) } 1 .. $n;
}


# a worker dies in the middle of an exchange

my $uri = '/any?client=client-killed';

ok(wait_until(sub { $t->get('/')->{status} == 200 }), 'workers serve');

my @clients = map { Zertiban::Client->new($t->port()) } 1 .. 20;
my @workers = $t->workers_of(map { $_->{stream} } @clients);

$idp->hold();

my ($own) = start_many(1, $uri);
wait_until { $idp->held() };

my ($owner) = $t->workers_of(($idp->held())[0]{stream});

ok($owner, 'a worker runs the exchange');

# requests on connections that another worker holds

my @others = @clients[grep { $workers[$_] != $owner } 0 .. $#clients];

$_->send("GET $uri HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    for @others;

$idp->answer();
$t->kill_worker($owner);

my $killed = now();
my @responses = map { $_->response() } @others;

is(count_of(map { $_->{status} } @responses), '200: ' . @others,
   'requests that wait in another worker are served');
cmp_ok(max(map { $_->{time} } @responses) - $killed, '<', 5.2,
       'within zertiban_timeout + 1 s');
is($idp->count('client-killed'), 2, 'by one new exchange');
is($own->response()->{status}, 0, 'the dead worker\'s own client is gone');

ok(wait_until(sub { $t->workers() == 2 }), 'the worker is replaced');
is(statuses(start_many(20, $uri)), '200: 20', 'both workers serve');
is($idp->count('client-killed'), 2, 'with the token of the zone');


# reload

is($t->get('/')->{status}, 200, 'a token is there before a reload');
is($idp->count('client'), 1, 'from one token request');

$t->reload();

is(statuses(start_many(20, '/')), '200: 20',
   'requests are served after a reload');
is($idp->count('client'), 1, 'a reload keeps the token');

my ($token) = $idp->tokens('client');

$idp->hold();
$t->reload($config, SECRET => 'second-secret');

ok(wait_until(sub { $idp->count('client') == 2 }),
   'one that changes a secret asks with the new one');
is($idp->{requests}[-1]{client_secret}, 'second-secret', 'at once');
is($t->get('/second')->{status}, 200, 'requests do not wait for it');
is($api->got('/second')->token(), $token, 'and have the token of the old one');

$idp->release();

ok(wait_until(sub {
       $t->get('/third')->{status} == 200
           && $api->last('/third')->token() ne $token;
   }), 'which is used then');


# a reload while requests wait

$idp->hold();
$uri = '/any?client=client-reload';

@clients = start_many(20, $uri);
wait_until { $idp->count('client-reload') };

$t->reload();
push @clients, start_many(20, $uri);

cmp_ok(scalar(my @all = $t->processes()), '>', 2,
       'old workers stay as long as requests wait');

$idp->release();

is(statuses(@clients), '200: 40',
   'requests that wait in old and in new workers are served');
is($idp->count('client-reload'), 1, 'by the exchange of an old worker');
ok(wait_until(sub { $t->processes() == 2 }), 'old workers leave');


# another zone

$t->reload($config, ZONE => 'zertiban_zone zertiban:2m;');

is(statuses(start_many(20, '/')), '200: 20',
   'requests are served with a zone of another size');
is($idp->count('client'), 3, 'after a clean start');

$t->reload($config, ZONE => 'zertiban_zone other:2m;');

is(statuses(start_many(20, '/')), '200: 20',
   'requests are served with a zone of another name');
is($idp->count('client'), 4, 'after another clean start');


# reloads under load

@clients = ();
my @statuses;

for my $turn (1 .. 50) {
    push @clients, start_many(4, '/load');
    push @statuses, map { $_->response()->{status} } splice @clients, 0, 2;

    $t->reload() if $turn % 5 == 0;
}

push @statuses, map { $_->response()->{status} } @clients;

is(count_of(@statuses), '200: 200',
   'ten reloads under load lose no request');
is($idp->count('client'), 4, 'and make no token request');


# a reload that fails

$t->config('    zertiban maybe;' . $config);
kill 'HUP', $t->{pid};

ok(wait_until(sub { $t->error_log(qr/\[emerg\].*"maybe"/) }),
   'a wrong configuration is refused');
is($t->get('/')->{status}, 200, 'the old one still serves');
is($idp->count('client'), 4, 'with its token');

$t->finish(allow => qr/exited on signal 9|invalid value "maybe"/);

done_testing();
