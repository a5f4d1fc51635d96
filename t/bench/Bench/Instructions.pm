package Bench::Instructions;

# How many instructions a request takes, by callgrind: the difference between
# two moments with nothing but so many requests in between.

use strict;
use warnings;

use Bench::Backend;
use Bench::Client;
use Bench::Callgrind;
use Bench::Gateway;

use constant IDLE => 30;

# measure('name', warm => n, count => n, layouts => n, and what
# Bench::Gateway->new() takes) returns { total, functions => { name =>
# instructions } }, for one request; at least so many come before those that
# are counted.
#
# Other clients are connected, and idle: a gateway has them, and where it has
# none, nginx's timers cost a request almost nothing, as long as nobody else
# has one.
#
# How glibc finds a free piece of memory depends on what was allocated before
# that, and may differ by 1 % of a request from one configuration to another
# that does the same.  So the configuration is padded in several ways, and the
# median is taken.

sub measure {
    my ($name, %o) = @_;

    my $layouts = delete $o{layouts} // 5;
    my @costs = sort { $a->{total} <=> $b->{total} }
                map { measure_layout($name, $_, %o) } 0 .. $layouts - 1;

    return $costs[@costs / 2];
}


sub measure_layout {
    my ($name, $layout, %o) = @_;

    my ($warm, $count) = ($o{warm} // 500, $o{count} // 1000);

    my $backend = Bench::Backend->new()->start();
    my $callgrind = Bench::Callgrind->new("$name-$layout");
    my $gateway = Bench::Gateway->new($name, $backend, %o, workers => 0,
        under => [$callgrind->command()],
        values => { %{$o{values} || {}}, PADDING => padding($layout) });

    $gateway->start();

    my ($client, @idle) = map { Bench::Client->new($gateway->{port}) }
                              0 .. IDLE;
    my @keys = $gateway->keys();

    # all credentials get their tokens before anything is counted, which
    # makes that slow
    ask($client, \@keys, scalar @keys);
    ask($_, \@keys, 1) for @idle;

    $callgrind->attach($gateway);
    ask($client, \@keys, $warm);
    $callgrind->begin();
    ask($client, \@keys, $count);

    my $cost = $callgrind->end();

    $gateway->stop();
    $backend->stop();

    $_ /= $count for $cost->{total}, values %{$cost->{functions}};

    return $cost;
}


# directives that do nothing but take memory

sub padding {
    my ($layout) = @_;

    return join "\n", map {
        "log_format padding$_ '" . 'x' x (1000 + $layout * 197) . "';"
    } 1 .. 3 * $layout;
}


# takes turns with the keys

sub ask {
    my ($client, $keys, $n) = @_;

    for (1 .. $n) {
        push @$keys, my $key = shift @$keys;

        $client->status($key) == 200 or die "an answer is not 200\n";
    }
}


1;
