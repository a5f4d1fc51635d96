# Tests for tokens that providers that others wrote do not know any more,
# before they have expired.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";

use Zertiban::Gateway;
use Zertiban::Revocation;
use Zertiban::Test;

my @revoked = ('/opaque/revoked', '/django/revoked');
my @lost = ('/jwt/lost', '/opaque/lost');
my $removed = '/django/removed';

my $gateway = Zertiban::Gateway->new(ttl => 300);

$gateway->location($_, scope => 'payments') for @revoked, @lost, $removed;
$gateway->run();

my $t = $gateway->{nginx};


sub seen {
    my ($uri) = @_;

    return Zertiban::Gateway::seen($gateway->get($uri));
}


# the last two that came to the API: the same request, with a new token

sub healed {
    my ($uri, $name) = @_;

    my $issued = $gateway->provider($uri)->issued($gateway->id($uri));

    is(seen($uri), '200 replay', "$uri: served after $name");

    my ($first, $second) = ($gateway->requests($uri))[-2, -1];

    is_deeply($first->{claims}, {}, "$uri: its token was not accepted");
    is($second->{claims}{client_id}, $gateway->id($uri),
       "$uri: a new one was");
    is($second->{claims}{scope}, 'payments', "$uri: with the same scope");
    is($gateway->provider($uri)->issued($gateway->id($uri)), $issued + 1,
       "$uri: the only new one");
    is(seen($uri), '200 hit', "$uri: which is kept");
}


is($t->get($_)->{status}, 200, "$_: served at first")
    for @revoked, @lost, $removed;

# a younger one is not dropped

my $since = now();

wait_until { now() > $since + $Zertiban::Revocation::old + 0.3 } 20;


for my $uri (@revoked) {
    my ($token) = $gateway->tokens($uri);

    $gateway->provider($uri)->revoke($gateway->id($uri), $token);
    healed($uri, 'the token was revoked');
}


# with its keys and its opaque tokens

$gateway->provider('/jwt')->restart();

healed($_, 'the provider lost its memory') for @lost;


# a client and all of its tokens, at once

my $provider = $gateway->provider($removed);

$provider->remove($gateway->id($removed));

is(seen($removed), '502 error idp_rejected_client',
   "$removed: clients get 502 when there is no such client any more");

my @lines = $gateway->lines($removed, qr/\[error\]/);

is(@lines, 1, "$removed: the error log has one line");
like($lines[0] // '', qr/, status 401, error "invalid_client", attempt 1,/,
     "$removed: with what the provider said");

$provider->client($gateway->id($removed));

my %seen = $gateway->until_seen(qr/^200 /, 60, $removed);

like($seen{$removed}[-1], qr/^200 (?:hit|wait)$/,
     "$removed: served when the client is there again");

$gateway->finish();

done_testing();
