package Bench::Credentials;

# What many credentials in the zone cost: a request, and memory.

use strict;
use warnings;

use Bench::Backend;
use Bench::Client;
use Bench::Gateway;
use Bench::Instructions;

use constant { KEY => 'key-%06d', STEP => 7919 };

my $uri = '/pagafactu/v1/flows/0d0c4a3e-9b59-4a7c-8c1a-64f0f9b5a2d7';


sub request {
    my ($i) = @_;

    return Bench::Client::request($uri, sprintf KEY, $i);
}


# instructions of a request, with the requests spread over n credentials

sub instructions {
    my ($n) = @_;

    my $i = 0;

    # a prime as the step, so that each comes once before one comes again
    return Bench::Instructions::measure('many',
        request => sub { request($i++ * STEP % $n) }, warm => $n,
        values => { KEY => sprintf(KEY, 0), ZONE => '64m' })->{total};
}


# bytes of the zone for each credential beyond its token, from how many more
# fit into a larger zone

sub zone_bytes {
    my ($token_length, $small, $large) = @_;

    my $more = fit($token_length, $large) - fit($token_length, $small);

    return ($large - $small) / $more - $token_length;
}


# How many credentials a zone of so many bytes keeps: more are requested than
# have room, and then again from the last one backwards, until one of them needs
# another exchange.

sub fit {
    my ($token_length, $size) = @_;

    my $backend = Bench::Backend->new(
        values => { TOKEN => Bench::Gateway::token($token_length) })->start();

    my $gateway = Bench::Gateway->new('many', $backend,
        values => { KEY => sprintf(KEY, 0), ZONE => $size })->start();

    my $client = Bench::Client->new($gateway->{port});
    my $n = int $size / $token_length;

    ask($client, $_) for 1 .. $n;

    my $before = $backend->exchanges();
    my $i = $n;

    while ($i > 0) {
        ask($client, $i);

        last if $backend->exchanges() > $before;
        $i--;
    }

    $gateway->stop();
    $backend->stop();

    die "a zone of $size bytes holds all of $n credentials\n" if $i == 0;

    return $n - $i;
}


sub ask {
    my ($client, $i) = @_;

    $client->send(request($i)) == 200 or die "an answer is not 200\n";
}


1;
