package Bench::Stats;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(median);


sub median {
    my @sorted = sort { $a <=> $b } @_;
    my $middle = int @sorted / 2;

    return @sorted % 2 ? $sorted[$middle]
                       : ($sorted[$middle - 1] + $sorted[$middle]) / 2;
}


1;
