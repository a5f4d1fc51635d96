package Bench::Stats;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(median percentile);


sub median {
    my @sorted = sort { $a <=> $b } @_;
    my $middle = int @sorted / 2;

    return @sorted % 2 ? $sorted[$middle]
                       : ($sorted[$middle - 1] + $sorted[$middle]) / 2;
}


# the smallest value that is not exceeded by p percent of all

sub percentile {
    my ($p, @values) = @_;

    my @sorted = sort { $a <=> $b } @values;
    my $rank = int $p / 100 * @sorted;

    return $sorted[$rank < @sorted ? $rank : -1];
}


1;
