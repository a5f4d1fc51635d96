# Tests for tokens of providers that others wrote, refreshed again and again
# while requests flow.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";

use List::Util qw(min uniq);

use Zertiban::Gateway;
use Zertiban::Test;
use Zertiban::Traffic;

my @uris = map { "/$_/busy" } @Zertiban::Gateway::kinds;

my $gateway = Zertiban::Gateway->new(ttl => 6);

$gateway->locations('busy', scope => 'payments');
$gateway->run();

my $t = $gateway->{nginx};
my $traffic = Zertiban::Traffic->new($t);

# the first tokens

$t->get($_) for @uris;

$traffic->every(0.3, $_, 2) for @uris;

my $enough = wait_until {
    min(map { scalar(my @tokens = $gateway->tokens($_)) } @uris) >= 4;
} 40;

$traffic->finish();

ok($enough, 'all had four tokens');

for my $uri (@uris) {
    my @requests = $traffic->requests($uri);
    my @tokens = $gateway->tokens($uri);
    my $issued = $gateway->provider($uri)->issued($gateway->id($uri));

    is(count_of(map { "$_->{status} $_->{cache}" } @requests),
       '200 hit: ' . @requests, "$uri: no request fails, and none waits");
    is(count_of(map { $_->{claims}{scope} } $gateway->requests($uri)),
       'payments: ' . (@requests + 1), "$uri: each token has the scope");
    is(uniq(map { $_->{pid} } @requests), 2, "$uri: two workers");

    # the last one may not have been used
    ok($issued == @tokens || $issued == @tokens + 1,
       "$uri: no token was issued twice")
        or diag("$issued issued, " . @tokens . ' used');
}

is($t->error_log(qr/\[(?:warn|error|crit)\]/), '', 'nothing to complain of');

$gateway->finish();

done_testing();
