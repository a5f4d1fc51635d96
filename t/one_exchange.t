# Tests for one token exchange at a time, however many requests wait for it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw(shuffle uniq);

use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new(workers => 4);

$idp->hold();

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url());
    server {
        listen 127.0.0.1:%%PORT%% reuseport backlog=1024;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_tenant_id tenant-$arg_n;

        location /a/ {
            zertiban_client_id client-a;
            zertiban_client_secret secret-of-client-a;
            proxy_pass http://%%API%%;
        }

        location /b/ {
            zertiban_client_id client-b;
            zertiban_client_secret secret-of-client-b;
            proxy_pass http://%%API%%;
        }

        location /any/ {
            zertiban_client_id $arg_client;
            zertiban_client_secret secret-of-$arg_client;
            proxy_pass http://%%API%%;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_status%%;
        access_log off;

        location / {
            stub_status;
        }
    }
EOF


# requests that nginx has begun to process

sub requests_read {
    my ($n) = $t->get('/', port => 'status')->{body} =~ /\d+ \d+ (\d+)/;

    return $n;
}


# starts requests, and returns as soon as nginx has read all of them

sub start_waiting {
    my (@uris) = @_;

    my $polls = 1;
    my $before = requests_read();
    my @clients = map { $t->start('GET', $_) } @uris;

    wait_until { requests_read() - $before - $polls++ >= @uris }
        or die 'nginx has not read all requests';

    return @clients;
}


sub statuses {
    return count_of(map { $_->{status} } @_);
}


sub workers_of {
    return scalar uniq(map { $t->logged($_)->{pid} } @_);
}


# the clients whose token a set of paths got at the API

sub clients_at_api {
    my ($pattern) = @_;

    return count_of(map { (split /\./, $_->token())[1] }
                    grep { $_->{uri} =~ $pattern } $api->requests());
}


# 300 cold requests

my @uris = map { "/a/$_?n=$_" } 1 .. 300;
my @clients = start_waiting(@uris);

wait_until { $idp->count('client-a') };
is($idp->count('client-a'), 1, 'one token request for 300 cold requests');

$idp->release();

is(statuses(map { $_->response() } @clients), '200: 300',
   'all 300 are served');
is(count_of(map { $_->token() } $api->requests()),
   ($idp->tokens('client-a'))[0] . ': 300', 'with the one token');
is($idp->count('client-a'), 1, 'without another token request');
is(workers_of(@uris), 4, 'by all four workers');


# two static and four other credentials at once

@uris = shuffle(
    (map { ("/a/mixed/$_?n=a$_", "/b/mixed/$_?n=b$_") } 1 .. 40),
    map { my $c = $_; map { "/any/$c/$_?client=client-$c&n=$c$_" } 1 .. 40 }
    qw(c d e f));

$idp->hold();
@clients = start_waiting(@uris);
$idp->release();

is(statuses(map { $_->response() } @clients), '200: 240',
   'all of 240 requests of six credentials are served');

for my $c (qw(a b c d e f)) {
    my $path = $c =~ /[ab]/ ? qr{^/$c/mixed/} : qr{^/any/$c/};

    is(clients_at_api($path), "client-$c: 40", "client $c has its token");
    is($idp->count("client-$c"), 1, "client $c made one token request");
}

is(join(' ', grep { $_->{uri} !~ /n=(\w+)/ || $_->tenant() ne "tenant-$1" }
             $api->requests()), '', 'each request has its own tenant');


# waiters of all workers; once more if the machine was busy with something else

my @times;

for my $turn (1 .. 5) {
    @uris = map { "/any/woken/$_?client=client-woken-$turn&n=$_" } 1 .. 100;

    $idp->hold();
    @clients = start_waiting(@uris);
    $idp->release();

    @times = sort { $a <=> $b }
             map { $_->response()->{time} - $idp->{released} } @clients;

    diag(sprintf 'woken after %.1f ms (median), %.1f ms (last)',
         1000 * $times[@times / 2], 1000 * $times[-1]);

    last if $times[-1] < 0.5;
}

cmp_ok($times[-1], '<', 0.5, 'waiters are woken promptly');
is(workers_of(@uris), 4, 'in all four workers');


# failures

my $sorry = Zertiban::IdP::json(500, error => 'server_error');

$idp->hold();
@clients = start_waiting(
    map { "/any/$_?client=client-down&n=$_" } 1 .. 100);
$idp->release($sorry);

my @responses = map { $_->response() } @clients;

is(statuses(@responses), '503: 100', 'all waiters see the failure');
is(scalar(grep { ($_->header('Retry-After'))[0] } @responses), 100,
   'and when to come again');

@responses = map { $t->get("/any/again/$_?client=client-down&n=$_") }
             1 .. 20;

is(statuses(@responses), '503: 20', 'later requests see it at once');
is($t->logged('/any/again/1?client=client-down&n=1')->{error},
   'idp_unreachable', 'with its reason');

# of a second, which may be over by now

is(scalar(grep { $_->{client_id} eq 'client-down'
                 && $_->{time} < $idp->{released} + 0.95 }
          @{$idp->{requests}}), 1, 'no token request during the back-off');

$idp->answer(Zertiban::IdP::json(401, error => 'invalid_client'));

@responses = map { $t->get("/any/$_?client=client-refused&n=$_") } 1 .. 20;

is(statuses(@responses), '502: 20', 'a refused client sees 502 each time');
is($idp->count('client-refused'), 1, 'after one token request');

is(scalar(grep { $_->{uri} =~ /client-(down|refused)/ } $api->requests()), 0,
   'nothing reached the API without a token');


# after the back-off

my $failed = $idp->count('client-down');

$idp->answer();

ok(wait_until(sub {
    $t->get('/any/back?client=client-down&n=back')->{status} == 200
}), 'the next attempt serves again');
is($idp->count('client-down'), $failed + 1, 'it is the next token request');

$t->finish();

done_testing();
