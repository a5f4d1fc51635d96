# Tests for what providers that others wrote refuse: a wrong secret, a client
# that has expired or is unknown, a scope or a grant that it may not have; and
# for the token that comes as soon as they do not refuse it any more.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";

use Zertiban::CA;
use Zertiban::Gateway;
use Zertiban::Test;

my @kinds = @Zertiban::Gateway::kinds;

# a provider may round the beginning of a token down to a second, so that it
# ends up to a second too early: the last tenth of the lifetime covers that

my $ttl = 10;

my $gateway = Zertiban::Gateway->new(ttl => $ttl);
my $t = $gateway->{nginx};
my $stranger = Zertiban::CA->new($t->dir(), 'stranger');

my ($client, $scope) = ('401, error "invalid_client"',
                        '400, error "invalid_scope"');

# name => what is wrong, what makes it right, what the provider says

my %cases = (
    wrong => [{ known => 'another-secret' }, {}, $client],
    scope => [{ scope => 'admin' }, { scope => 'payments admin' }, $scope],
    grant => [{ grant => 'authorization_code' }, { grant => undef },
              '40[01], error "(?:unauthorized_client|invalid_request)"'],
    expired => [{ expires => time() - 3600 }, { expires => undef },
                '40[01], error "invalid_client"'],
    unknown => [{}, {}, $client],
);

for my $name (sort keys %cases) {
    $gateway->locations($name, %{$cases{$name}[0]});
}

$gateway->provider("/$_/unknown")->remove("$_-unknown") for @kinds;

$gateway->locations('expiring');
$gateway->locations('untrusted', more => 'zertiban_ssl_trusted_certificate '
                                         . $stranger->certificate() . ';');

$gateway->run();


# what nginx has is right from now on

sub make_right {
    my ($uri, %what) = @_;

    my $id = $gateway->id($uri);
    my $secret = $t->read_file("$id.secret");

    $gateway->provider($uri)->client($id, secret => $secret, %what);
}


# the client's one line at error

sub complains {
    my ($uri, $reason) = @_;

    my @lines = $gateway->lines($uri, qr/\[error\]/);

    is(@lines, 1, "$uri: the error log has one line");
    like($lines[0] // '', $reason, "$uri: with the reason");
}


# a token that the provider gave is used to its end

my @expiring = map { "/$_/expiring" } @kinds;

for my $uri (@expiring) {
    like(Zertiban::Gateway::seen($gateway->get($uri)), qr/^200 (?:hit|wait)$/,
         "$uri: served before the client expires");
    $gateway->provider($uri)->client($gateway->id($uri), expires => time());
}


my @refused = map { my $kind = $_; map { "/$kind/$_" } sort keys %cases }
              @kinds;

for my $uri (@refused) {
    my ($name) = $uri =~ /(\w+)$/;
    my (undef, $right, $reason) = @{$cases{$name}};

    is(count_of(map { Zertiban::Gateway::seen($_->response()) }
                map { $t->start('GET', $uri) } 1 .. 10),
       '502 error idp_rejected_client: 10', "$uri: clients get 502");
    complains($uri, qr/, status $reason, attempt 1, next in/);
    is($gateway->requests($uri), 0, "$uri: nothing reaches the API");

    make_right($uri, %$right);
}


for my $uri (map { "/$_/untrusted" } @kinds) {
    is(Zertiban::Gateway::seen($gateway->get($uri)),
       '503 error idp_unreachable', "$uri: no trust, no token");
    complains($uri, qr/certificate .* is not accepted/);
    is($gateway->provider($uri)->issued($gateway->id($uri)), 0,
       "$uri: the provider has not issued any");
}


my %seen = $gateway->until_seen(qr/^[^2]/, 60, @expiring);

make_right($_, expires => undef) for @expiring;

for my $uri (@expiring) {
    my @requests = $gateway->requests($uri);

    is($seen{$uri}[-1], '502 error idp_rejected_client',
       "$uri: clients get 502 when the last token has ended");
    complains($uri, qr/, status 40[01], error "invalid_client", attempt 1,/);
    is(count_of(map { $_->{claims}{client_id} } @requests),
       $gateway->id($uri) . ': ' . @requests,
       "$uri: with a valid token until then");
}


%seen = $gateway->until_seen(qr/^200 /, 60, @refused, @expiring);

for my $uri (@refused, @expiring) {
    like($seen{$uri}[-1], qr/^200 (?:hit|wait)$/,
         "$uri: served as the provider does not refuse any more");
    is($gateway->lines($uri, qr/\[notice\].*obtained after \d+ failed/), 1,
       "$uri: with one line for that");
}

$gateway->finish();

done_testing();
