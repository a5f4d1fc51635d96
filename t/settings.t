# Tests for equal credentials in locations whose settings differ: a token whose
# secret was sent to somebody unknown is for nobody who wants to know.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::CA;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $far = Zertiban::IdP->new();
my $idp = Zertiban::IdP->new();
my $revoked = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new(workers => 1);
my $ca = Zertiban::CA->new($t->dir(), 'root');
my ($certificate, $key) = $ca->sign('far');    # of no address

$far->{tls} = { SSL_cert_file => $certificate, SSL_key_file => $key };

($certificate, $key) = $ca->sign('revoked', san => 'IP:127.0.0.1');

$revoked->{tls} = { SSL_cert_file => $certificate, SSL_key_file => $key };

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url(),
    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
        zertiban_token_endpoint %%FAR%%;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id a-tenant;

        location /verified {
            proxy_pass http://%%API%%;
        }

        location /open {
            zertiban_ssl_verify off;
            proxy_pass http://%%API%%;
        }

        location /open/too {
            zertiban_ssl_verify off;
            proxy_pass http://%%API%%;
        }

        location /unlisted {
            zertiban_token_endpoint %%REVOKED%%;
            zertiban_ssl_trusted_certificate %%CA%%;
            proxy_pass http://%%API%%;
        }

        location /listed {
            zertiban_token_endpoint %%REVOKED%%;
            zertiban_ssl_trusted_certificate %%CA%%;
            zertiban_ssl_crl %%CRL%%;
            proxy_pass http://%%API%%;
        }

        location /short {
            zertiban_token_endpoint %%IDP%%;
            zertiban_timeout 1s;
            proxy_pass http://%%API%%;
        }

        location /long {
            zertiban_token_endpoint %%IDP%%;
            zertiban_timeout 8s;
            proxy_pass http://%%API%%;
        }

        location /middle {
            zertiban_token_endpoint %%IDP%%;
            zertiban_timeout 7s;
            proxy_pass http://%%API%%;
        }

        location /static {
            zertiban_token_endpoint %%IDP%%;
            zertiban_client_id static;
            zertiban_client_secret secret-of-static;
            zertiban_timeout 3s;

            location /static/other {
                zertiban_timeout 4s;
                proxy_pass http://%%API%%;
            }

            proxy_pass http://%%API%%;
        }
    }
EOF
    FAR => $far->url(), REVOKED => $revoked->url(),
    CA => $ca->certificate(), CRL => $ca->crl('revoked'));


sub status {
    my ($path, $client) = @_;

    return $t->get("$path?client=$client")->{status};
}


for my $order ([qw(verified open)], [qw(open verified)]) {
    my $client = "first-$order->[0]";
    my %status = map { $_ => status("/$_", $client) } @$order;

    is($status{open}, 200, "$order->[0] first: a location that trusts all");
    is($status{verified}, 503, 'is none that verifies the endpoint');
    is($far->count($client), 1, 'which sends no secret');
    is(status('/open/too', $client), 200, 'and one that trusts all as well');
    is($far->count($client), 1, 'shares the token');
}

for my $order ([qw(listed unlisted)], [qw(unlisted listed)]) {
    my $client = "first-$order->[0]";
    my %status = map { $_ => status("/$_", $client) } @$order;

    is($status{unlisted}, 200, "$order->[0] first: a location without a list");
    is($status{listed}, 503, 'is none that knows who was revoked');
    is($revoked->count($client), 1, 'which sends no secret');
}

is(status($_, 'times'), 200, "$_: a token") for qw(/short /long);
is($idp->count('times'), 1, 'which does not depend on zertiban_timeout');

is($t->get($_)->{status}, 200, "$_: a token") for qw(/static /static/other);
is($idp->count('static'), 1, 'nor if it is static');

# the location that asks says how long it takes

$idp->{expires_in} = 1;

is(status('/short', 'slow'), 200, 'a token that ends soon');

my ($end) = map { $_->{expires} } grep { $_->{client_id} eq 'slow' }
            @{$idp->{tokens}};

wait_until { now() > $end + 0.1 };

$idp->hold();

my $long = $t->start('GET', '/long?client=slow');
my $held = wait_until { ($idp->held())[0] };

wait_until { now() > $held->{time} + 1.5 };
$idp->{expires_in} = 300;
$idp->release();

is($long->response()->{status}, 200, 'zertiban_timeout of one that waits');

$idp->hold();
is(status('/short', 'never'), 504, 'and of another one');
$idp->release();

# those who wait by another location's settings wait for the same exchange

$idp->hold();

my ($leaves, $stays) = map { $t->start('GET', "$_?client=both") }
                           qw(/long /middle);

wait_until { $idp->count('both') } or die 'no exchange has begun';
wait_until { 0 } 0.5;
$leaves->leave();
wait_until { 0 } 2.5;

is($idp->count('both'), 1, 'an exchange goes on that another location needs');
$idp->release();
is($stays->response()->{status}, 200, 'whose request gets the token');

$t->finish();

done_testing();
