package Bench::Credentials;

# What many credentials in the zone cost: a request, and memory.

use strict;
use warnings;

use Bench::Backend;
use Bench::Client;
use Bench::Gateway;
use Bench::Instructions;
use Bench::Throughput;
use Bench::Values;

# instructions of a request, with the requests spread over n credentials

sub instructions {
    my ($n, %o) = @_;

    # their tokens take so long that one layout has to do
    $o{layouts} = 1 if $n > 20_000;

    return Bench::Instructions::measure("many-$n", %o, options($n))->{total};
}


# the same under full load, for each n

sub throughput {
    my ($n, %o) = @_;

    return Bench::Throughput::measure([map { "many-$_" } @$n], %o,
        options => { map { ("many-$_" => { options($_) }) } @$n });
}


sub options {
    my ($n) = @_;

    return (conf => 'many', n => $n,
            values => { ZONE => $n > 20_000 ? '200m' : '64m' });
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
        values => { TOKEN => token($token_length) })->start();

    my $n = int $size / $token_length;

    my $gateway = Bench::Gateway->new('many', $backend, n => $n,
                                      values => { ZONE => $size })->start();

    my $client = Bench::Client->new($gateway->{port});
    my @keys = $gateway->keys();

    ask($client, $_) for @keys;

    my $before = $backend->exchanges();
    my $kept = 0;

    for my $key (reverse @keys) {
        ask($client, $key);

        last if $backend->exchanges() > $before;
        $kept++;
    }

    $gateway->stop();
    $backend->stop();

    die "a zone of $size bytes holds all of $n credentials\n" if $kept == $n;

    return $kept;
}


sub ask {
    my ($client, $key) = @_;

    $client->status($key) == 200 or die "an answer is not 200\n";
}


1;
