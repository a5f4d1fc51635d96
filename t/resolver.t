# Tests for the look-up of the IdP's name.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::IP;
use Socket qw(getaddrinfo getnameinfo NI_NUMERICHOST NIx_NOSERV
              SOCK_STREAM);

use Zertiban::DNS;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $t = Zertiban::Nginx->new();

# one port on two addresses, so that only the name decides; nobody listens
# at 127.0.0.2
my $idp = Zertiban::IdP->new();
my $other = Zertiban::IdP->new(host => '127.0.0.3', port => $idp->{port});

# the backlog takes one connection; all others get no answer
my $deaf = IO::Socket::IP->new(LocalHost => '127.0.0.5', Listen => 1,
                               LocalPort => $idp->{port}) or die $@;
listen $deaf, 0;

my $first = IO::Socket::IP->new(PeerHost => '127.0.0.5',
                                PeerPort => $idp->{port}) or die $@;

my $dns = Zertiban::DNS->new(zone => {
    'idp.test' => { A => ['127.0.0.1'] },
    'brief.test' => { A => ['127.0.0.1'], ttl => 1 },
    'many.test' => { A => ['127.0.0.2', '127.0.0.3', '127.0.0.4'] },
    'six.test' => { A => ['127.0.0.1'], AAAA => ['::1'] },
    'dead.test' => { A => ['127.0.0.2', '127.0.0.4'] },
    'deaf.test' => { A => ['127.0.0.5', '127.0.0.1'] },
    'none.test' => {},
    'silent.test' => undef,
});

my @localhost = localhost();


# an IdP for each address of "localhost", on a port of its own

sub localhost {
    my ($error, @found) = getaddrinfo('localhost', '',
                                      { socktype => SOCK_STREAM });

    return map { Zertiban::IdP->new(host => $_) }
           map { (getnameinfo($_->{addr}, NI_NUMERICHOST, NIx_NOSERV))[1] }
           @found;
}


# where there is IPv6
my ($six) = map { Zertiban::IdP->new(host => '::1') }
            IO::Socket::IP->new(LocalHost => '::1', Listen => 1) // ();

my $long = 'x' x 64 . '.test';
my $n = 0;

my $local = join '', map {
    my $url = $_->url(host => 'localhost');
    $n++;

    <<"EOF";
        location /localhost/$n {
            zertiban_token_endpoint $url;
            proxy_pass http://%%API%%;
        }
EOF
} @localhost;

my $named = join '', map {
    my $url = $idp->url(host => "$_.test");

    <<"EOF";
        location /$_ {
            zertiban_token_endpoint $url;
            proxy_pass http://%%API%%;
        }
EOF
} qw(idp brief many six dead none gone silent);

$t->run(<<'EOF' =~ s/%%LOCAL%%/$local/r =~ s/%%NAMED%%/$named/r,
    zertiban on;
    zertiban_client_id client-$arg_n;
    zertiban_client_secret secret-of-$arg_n;
    zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;

    server {
        listen 127.0.0.1:%%PORT%%;

        resolver %%DNS%%;
        resolver_timeout 1s;

%%NAMED%%

        location /deaf {
            zertiban_token_endpoint %%DEAF%%;
            zertiban_timeout 3s;
            proxy_pass http://%%API%%;
        }

        location /address {
            zertiban_token_endpoint %%IDP%%;
            proxy_pass http://%%API%%;
        }

        location /six/address {
            zertiban_token_endpoint %%SIX%%;
            proxy_pass http://%%API%%;
        }

        location /impatient {
            zertiban_token_endpoint http://silent.test/;
            zertiban_timeout 300ms;
            proxy_pass http://%%API%%;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_static%%;

%%LOCAL%%

        # no name server is asked for so long a name
        location /unknown {
            zertiban_token_endpoint http://%%LONG%%/token;
            proxy_pass http://%%API%%;
        }
    }
EOF
    API => $api->address(), DNS => $dns->address(), IDP => $idp->url(),
    SIX => ($six // $idp)->url(), DEAF => $idp->url(host => 'deaf.test'),
    LONG => $long);


$n = 0;


# each request has a credential of its own

sub verdict {
    my ($path, %o) = @_;

    my $uri = "$path?n=" . ++$n;
    my $response = $t->get($uri, %o);

    return join ' ', $response->{status}, $t->logged($uri)->{error} || ();
}


is(scalar @{$dns->{queries}}, 0, 'no look-up before the first exchange');


# names

is(verdict('/idp'), 200, 'a name is looked up at run time');
is($dns->count('idp.test'), 1, 'with one query');
is(verdict('/idp'), 200, 'and its address used');
is($dns->count('idp.test'), 1, 'as long as its TTL says');
like(($idp->requests())[0], qr/^Host: idp\.test:$idp->{port}\r$/m,
     'the name is the Host');

is(verdict('/brief'), 200, 'a name with a short TTL is looked up');

$dns->{zone}{'brief.test'}{A} = ['127.0.0.3'];

my $before = $other->count();

ok(wait_until(sub { verdict('/brief'); $other->count() > $before }),
   'again when its TTL has run out');
cmp_ok($dns->count('brief.test'), '>', 1, 'with another query');

is(count_of(map { verdict('/many') } 1 .. 12), '200: 12',
   'addresses are tried in turn');

# 127.0.0.3 takes the request, whichever address was tried before

$other->answer(sub { $_[0]->close(); return });

is(count_of(map { verdict('/many') } 1 .. 12), '503 idp_unreachable: 12',
   'but none after one that was sent the request');

my @reasons = $t->error_log() =~ /"http:..many\.test:.*?": (.*?), attempt/g;

is(count_of(@reasons),
   'the connection was closed without an answer: 12',
   'and the reason is of the last one');

$other->answer();

is(count_of(map { verdict('/six') } 1 .. 6), '200: 6',
   'of both families');

my @clients = map { $t->start('GET', '/deaf?n=' . ++$n) } 1 .. 6;

is(count_of(map { $_->response()->{status} } @clients), '200: 6',
   'also if one does not answer at all');

is(verdict('/address'), 200, 'an address is not looked up');
is(verdict('/six/address'), 200, 'nor is an IPv6 address');
like((($six // $idp)->requests())[-1],
     qr/^Host: (?:\[::1\]|127\.0\.0\.1):\d+\r$/m, 'it is the Host');
is(scalar(grep { /127|::/ } @{$dns->{queries}}), 0,
   'there is no query for them');


# failures

is(verdict('/dead'), '503 idp_unreachable', 'no address answers');
is(verdict('/gone'), '503 idp_unreachable', 'the name does not exist');
is(verdict('/none'), '503 idp_unreachable', 'the name has no address');
is(verdict('/silent'), '503 idp_unreachable',
   'the name server does not answer');
is(verdict('/impatient'), '504 idp_timeout',
   'nor within zertiban_timeout');

$dns->{zone}{'gone.test'} = { A => ['127.0.0.1'] };

ok(wait_until(sub { verdict('/gone') eq '200' }),
   'a name that exists at last is found');


# many look-ups at once, some of which nobody waits for

$before = $dns->count('silent.test');
@clients = map { $t->start('GET', '/silent?n=' . ++$n) } 1 .. 20;

my @stay = splice @clients, 0, 10;

wait_until { $dns->count('silent.test') > $before };
$_->leave(reset => 1) for @clients;

is(count_of(map { $_->response()->{status} } @stay), '503: 10',
   'a look-up that fails ends all exchanges that wait for it');


# names without a resolver

for my $i (1 .. @localhost) {
    is(verdict("/localhost/$i", port => 'static'), 200,
       "localhost is reached at $localhost[$i - 1]{host}");
}

like(scalar $t->error_log(qr/\[warn\]/), qr/x{64}\.test/,
     'an unknown host is worth a warning');
is(verdict('/unknown', port => 'static'), '503 idp_unreachable',
   'it does not keep nginx from starting');


# a look-up is no reason to stay

$before = $dns->count('silent.test');
$t->start('GET', '/silent?n=last');
wait_until { $dns->count('silent.test') > $before };

$t->finish();

done_testing();
