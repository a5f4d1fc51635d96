# Tests for the upgrade of nginx's binary while it runs.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new(workers => 2, daemon => 'on');

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url());
    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id client-$arg_n;
        zertiban_client_secret secret-of-client;
        zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;

        location / {
            proxy_pass http://%%API%%;
        }
    }
EOF


sub start_many {
    my ($uri) = @_;

    return map { $t->start('GET', $uri) } 1 .. 20;
}


sub statuses {
    return count_of(map { $_->response()->{status} } @_);
}


my $master = $t->{pid};

is(statuses(start_many('/?n=1')), '200: 20', 'the old binary serves');

$idp->hold();

my @clients = start_many('/?n=2');
wait_until { $idp->count('client-2') };

$idp->answer();
$t->upgrade();
isnt($t->{pid}, $master, 'another process takes over');

my @later = (start_many('/?n=1'), start_many('/?n=3'));

is(statuses(@later), '200: 40', 'it serves while the old one leaves');
is($idp->count('client-1'), 2, 'with a token of its own');

$idp->release();

is(statuses(@clients), '200: 20', 'requests of the old one are served');
ok(wait_until(sub { Zertiban::Nginx::title($master) eq '' }), 'which leaves');

$t->finish();

done_testing();
