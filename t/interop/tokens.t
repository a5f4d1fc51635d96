# Tests for tokens of providers that others wrote: JWTs and opaque ones, with
# a scope and without.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";

use List::Util qw(uniq);

use Zertiban::Gateway;
use Zertiban::Test;

my $gateway = Zertiban::Gateway->new(ttl => 300);

my %scopes = (
    plain => undef, one => 'payments', two => 'payments reports',
);

$gateway->locations($_, scope => $scopes{$_}) for sort keys %scopes;
$gateway->run();

my $t = $gateway->{nginx};

# what a provider grants to a client that does not ask for a scope

my %usual = (jwt => undef, opaque => undef, django => 'payments reports');


sub scopes {
    my ($scope) = @_;

    return join ' ', sort split / /, $scope // '';
}


for my $kind (@Zertiban::Gateway::kinds) {

    for my $name (sort keys %scopes) {
        my $uri = "/$kind/$name";
        my @clients = map { $t->start('GET', "$uri?n=$_") } 1 .. 20;

        is(count_of(map { $_->response()->{status} } @clients), '200: 20',
           "$kind, $name: the API is satisfied");

        my @requests = $gateway->requests($uri);
        my @tokens = $gateway->tokens($uri);

        is(count_of(map { $_->{claims}{client_id} } @requests),
           "$kind-$name: 20", "$kind, $name: by the token of its client");
        is(count_of(map { scopes($_->{claims}{scope}) } @requests),
           scopes($scopes{$name} // $usual{$kind}) . ': 20',
           "$kind, $name: with its scope");
        is(@tokens, 1, "$kind, $name: all have one token");
        is(split(/\./, $tokens[0]), $kind eq 'jwt' ? 3 : 1,
           "$kind, $name: of that kind");
        is($gateway->provider($uri)->issued("$kind-$name"), 1,
           "$kind, $name: the provider has issued one");
        is(uniq(map { $t->logged("$uri?n=$_")->{pid} } 1 .. 20), 2,
           "$kind, $name: for both workers");
    }
}

is($t->error_log(qr/\[(?:warn|error|crit)\]/), '', 'nothing to complain of');

$gateway->finish();

done_testing();
