# Tests for a full zone: what is used outranks what is only asked for, and what
# has to be remembered of a credential outlives its token.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw(max);

use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my %length;    # of a client's tokens


sub issue {
    my ($request) = @_;

    my $client = $request->{client_id};
    my $length = $length{$client} // 1200;

    return $idp->issue($request, token => substr "$client." . 'x' x $length,
                                                 0, $length);
}


sub start_nginx {
    my ($size, %o) = @_;

    $idp->answer(\&issue);

    my %values = (API => $api->address(), IDP => $idp->url(), SIZE => $size);
    my $t = Zertiban::Nginx->new(workers => $o{workers} // 1);

    return $t->run(<<'EOF' . ($o{static} // '') . "    }\n", %values);
    zertiban_zone full:%%SIZE%%;

    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_timeout 8s;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id a-tenant;

        location / {
            proxy_pass http://%%API%%;
        }
EOF
}


# what one client after another gets

sub statuses {
    my ($t, @clients) = @_;

    return count_of(map { $t->get("/?client=$_")->{status} } @clients);
}


# exchanges that some clients need for one request each

sub exchanges {
    my ($t, @clients) = @_;

    my $before = $idp->count();

    statuses($t, @clients);

    return $idp->count() - $before;
}


# tokens in use, and a crowd that asks for others from an endpoint that hangs

my $t = start_nginx('64k', workers => 2);
my @used = map { "used-$_" } 1 .. 20;

is(statuses($t, @used), '200: 20', 'there are tokens');

$idp->hold();

my $before = $idp->count();
my @crowd = map { $t->start('GET', "/?client=crowd-$_") } 1 .. 250;

wait_until { $idp->held() + grep({ $_->done() } @crowd) == 250 }
    or die 'requests are neither refused nor do they wait';

is(statuses($t, (@used) x 5), '200: 100',
   'tokens in use outrank exchanges in flight');
is($idp->count() - $before, scalar $idp->held(),
   'and none of them has to be asked for again');

my @refused = map { $_->response() } grep { $_->done() } @crowd;

is(count_of(map { $_->{status} } @refused), '503: ' . @refused,
   'those for whom there is no room');
is(count_of(map { ($_->header('Retry-After'))[0] } @refused),
   '1: ' . @refused, 'may come again');
is(scalar $idp->held() + @refused, 250, 'all others wait');

$idp->release(\&issue);

is(count_of(map { $_->response()->{status} } grep { !$_->done() } @crowd),
   '200: ' . (250 - @refused),
   'and get the token that came, though the zone cannot keep all of them');

$t->finish();


# a token of n bytes costs others of about n bytes

$t = start_nginx('272k');
$length{big} = 16000;

my @small = map { "small-$_" } 1 .. 144;

is(statuses($t, @small), '200: 144', 'a zone full of tokens');
is(exchanges($t, @small), 0, 'which has all of them');
is(statuses($t, 'big'), '200: 1', 'one that is as long as thirteen');

my $lost = exchanges($t, reverse @small);

diag("$lost of 144 tokens have gone for the long one");
cmp_ok($lost, '<=', 14, 'costs not many more');
cmp_ok($lost, '>', 0, 'but some');
is(scalar(my @lines = $t->error_log(qr/\[warn\].*tokens that had not expired/)),
   1, 'which the log says once in ten seconds');
like($lines[0], qr/zone "full" is full.*make "zertiban_zone" larger/,
     'with the zone, and what to do');

$t->finish();


# a token that the zone cannot keep costs none

$length{$_} = 16384 for qw(held more);

$t = start_nginx('68k', static => <<'EOF');
        location /held {
            zertiban_client_id held;
            zertiban_client_secret secret-of-held;
            proxy_pass http://%%API%%;
        }

        location /more {
            zertiban_client_id more;
            zertiban_client_secret secret-of-more;
            proxy_pass http://%%API%%;
        }
EOF

wait_until { $t->get('/held')->{status} == 200
             && $t->get('/more')->{status} == 200 }
    or die 'there are no static tokens';

my @few = map { "few-$_" } 1 .. 8;

$length{huge} = 16384;

is(statuses($t, @few), '200: 8', 'tokens beside two static ones');
is(statuses($t, 'huge'), '200: 1', 'one that the zone cannot keep');
is(statuses($t, 'huge'), '503: 1', 'is not kept');
is($idp->count('huge'), 1, 'and not asked for again at once');
is(exchanges($t, @few), 0, 'and no other goes for it in vain');

$length{vast} = 16384;
$api->answer($api->text(401, 'no'));

is($t->get('/?client=vast')->{status}, 401,
   'a 401 about such a token is as young as the token');

$api->answer();
is($t->get('/held')->{status} . $t->get('/more')->{status}, '200200',
   'least of all a static one');

$t->finish();


# delays outlive the token

$t = start_nginx('64k');
$idp->{expires_in} = 8;

is(statuses($t, 'later'), '200: 1', 'a token');

my @many = map { "many-$_" } 1 .. 40;

$idp->answer(sub {
    my ($request) = @_;

    return issue($request) if $request->{client_id} ne 'later';
    return Zertiban::IdP::json(429, error => 'slow_down')
           =~ s/\r\n/\r\nRetry-After: 200\r\n/r;
});

ok(wait_until(sub { $t->get('/?client=later'); $idp->count('later') == 2 }),
   'its refresh is put off by the endpoint');
wait_until { $t->error_log(qr/no new token for client "later"/) };

is(statuses($t, @many), '200: 40', 'others take its place');

my $response = $t->get('/?client=later&again');

is($response->{status}, 503, 'then it is refused');
cmp_ok(($response->header('Retry-After'))[0], '>', 190,
       'until the moment that the endpoint has named');
is($idp->count('later'), 2, 'without another token request');

$idp->{expires_in} = 300;


# so does the time between two exchanges

is(statuses($t, 'soon', map({ "next-$_" } 1 .. 40), 'soon'), '200: 42',
   'a credential whose token was evicted at once');

my @times = map { $_->{time} } grep { $_->{client_id} eq 'soon' }
            @{$idp->{requests}};

is(scalar @times, 2, 'is asked for again');
cmp_ok($times[1] - $times[0], '>', 0.95, 'but not within a second');

# others have gone for it
@lines = $t->error_log(qr/\[warn\].*tokens that had not expired/);

ok(@lines && !grep({ $_ < 9 } gaps_between(@lines)),
   'of which the log says no more for ten seconds') or diag(@lines);

$t->finish();


# those whose tokens are evicted are not missed, and cost no delay

$t = start_nginx('64k');
$idp->{expires_in} = 8;

my @evicted = map { "evicted-$_" } 1 .. 200;

statuses($t, $_, $_) for @evicted;

$idp->answer(sub {
    my ($request) = @_;

    return issue($request) if $request->{client_id} ne 'refused';
    return Zertiban::IdP::json(401, error => 'invalid_client');
});

my $asked = now();
my $refused = 0;

# from their refresh moments on until their ends
while (now() < $asked + 8) {
    $refused++ if $t->get('/?client=refused')->{status} == 502;
    wait_until { 0 } 0.4;
}

cmp_ok($refused, '>', 10, 'a refused credential, asked for now and then');
cmp_ok($idp->count('refused'), '<=', 2,
       'is delayed while other tokens come to their ends');

$idp->{expires_in} = 300;
$t->finish();


# a token that is too long beside what is in flight

$t = start_nginx('64k');

my @kept = map { "kept-$_" } 1 .. 10;

is(statuses($t, @kept), '200: 10', 'tokens beside exchanges in flight');

$length{'held-1'} = 15500;
$idp->hold();

my @held = map { $t->start('GET', "/?client=held-$_") } 1 .. 160;

wait_until { $idp->held() + grep({ $_->done() } @held) == 160 }
    or die 'requests are neither refused nor do they wait';

my ($long) = $idp->held('held-1');

$long->reply(issue($long));

is($held[0]->response()->{status}, 200, 'a long token comes');
is(statuses($t, @kept), '200: 10', 'for which they do not go in vain');
is(count_of(map { $idp->count($_) } @kept), '1: 10', 'without an exchange');

$idp->release(\&issue);
$_->response() for @held[1 .. $#held];
$t->finish();


# a zone that thrashes

$t = start_nginx('64k', workers => 4);

my @thrash = map { my $turn = $_; map { "thrash-$_&turn=$turn" } 1 .. 100 }
             1 .. 3;
my @clients = map { $t->start('GET', "/?client=$_") } @thrash;
my $n = grep { ($_->{client_id} // '') =~ /^thrash/ } @{$idp->{requests}};

my %statuses;

$statuses{$_->response()->{status}}++ for @clients;

$n = grep { $_->{client_id} =~ /^thrash/ } @{$idp->{requests}};

is(join(' ', grep { !/^(200|503)$/ } keys %statuses), '',
   'three hundred requests with a hundred credentials at once');
cmp_ok($n, '<=', 300, 'cost no more than an exchange each');
cmp_ok($statuses{200}, '>=', 100, 'and most are served');
diag("$n exchanges, " . join ', ', map { "$_: $statuses{$_}" } keys %statuses);

$t->finish();

done_testing();
