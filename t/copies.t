# Tests for what a worker remembers: its copies of tokens are few, and wiped
# when they are of no use, and so is what it knows of a credential.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw(max);

use Zertiban::Heap;
use Zertiban::Memory qw(found);
use Zertiban::Shim;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();

my $config = <<'EOF';
    zertiban_zone large:32m;

    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id $arg_client;
        zertiban_client_secret a-secret-of-$arg_client;
        zertiban_tenant_id a-tenant;

        location / {
            proxy_pass http://%%API%%;
        }
    }
EOF

my %values = (API => $api->address(), IDP => $idp->url());


# a token that ends, alone, and while a request with it is in flight

$idp->{expires_in} = 3;

# what requests had in their memory goes when they free it

my %wiped = (
    MALLOC_PERTURB_ => 85, GLIBC_TUNABLES => 'glibc.malloc.tcache_count=0',
    ASAN_OPTIONS => Zertiban::Shim::joined(':', $ENV{ASAN_OPTIONS},
                                           'max_free_fill_size=1048576'),
);

my $t = Zertiban::Nginx->new(env => \%wiped)->run($config, %values);
my ($worker) = $t->workers();

for my $case ('alone', 'in flight') {
    my $client = $case =~ s/ //r;
    my $request;

    is($t->get("/?client=$client")->{status}, 200, "$case: a token");

    my $held;

    if ($case eq 'in flight') {
        $api->answer(sub { $request = shift; return });
        $held = $t->start('GET', "/?client=$client&held");
        wait_until { $request } or die 'the API has no request';
        $api->answer();
    }

    my $n = $idp->count($client);
    my $secret = "a-secret-of-$client";

    ok(found($worker, $secret), 'the worker knows the secret');

    # what was used is refreshed once, and then it is not used any more
    wait_until { $idp->count($client) > $n } 4 if $held;

    my @ends = map { $_->{expires} } grep { $_->{client_id} eq $client }
               @{$idp->{tokens}};

    wait_until { now() > max(@ends) + 0.5 };

    if ($held) {
        $request->answer($api->text(200, 'late'));
        is($held->response()->{status}, 200, 'its request ends');
    }

    ok(wait_until(sub { !grep { found($worker, $_) } $idp->tokens($client) }),
       'its token is wiped when it has ended');
    ok(wait_until(sub { !found($worker, $secret) }),
       'and so is the secret');
}

$t->finish();


# many long tokens

my $n = 700;
my $heap = Zertiban::Heap->new();

$idp->{expires_in} = 300;
$idp->answer(sub {
    my ($request) = @_;

    my $client = $request->{client_id};

    return $idp->issue($request, token => substr "$client." . 'x' x 16384,
                                                 0, 16384);
});

$t = Zertiban::Nginx->new(env => $heap->env())->run($config, %values);
($worker) = $t->workers();

$t->get('/?client=first');

my ($before) = $heap->bytes($worker);
my @statuses = map { $t->get("/?client=many-$_")->{status} } 1 .. $n;
my ($then) = $heap->bytes($worker);

is(count_of(@statuses), "200: $n", 'many long tokens');

my $bound = 8 * 1024 * 1024;
my $each = 1024;    # of what the worker knows besides

diag(sprintf 'copies take %d bytes of at most %d', $then - $before, $bound);
cmp_ok($then - $before, '<', $bound + $each * $n,
       'the worker holds copies of some of them');
is($idp->count('many-1'), 1, 'the zone has all');
is($t->get('/?client=many-1&again')->{status}, 200,
   'and what is needed is copied again');
is($api->last('/?client=many-1&again')->token(),
   ($idp->tokens('many-1'))[0], 'from there');
is($idp->count(), $n + 1 + grep({ $_->{client_id} =~ /alone|flight/ }
                                @{$idp->{requests}}),
   'without another exchange');
ok(wait_until(sub { ($heap->bytes($worker))[0] < $before + $each * $n }, 20),
   'copies that nobody uses are given back');

$t->finish();

done_testing();
