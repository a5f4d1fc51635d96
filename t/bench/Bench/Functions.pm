package Bench::Functions;

# In which functions the instructions of a request are spent.

use strict;
use warnings;

use Bench::Instructions;


# of two gateways: what the first one takes more than the second

sub show {
    my ($name, $other) = @_;

    my %cost = %{Bench::Instructions::measure($name)->{functions}};

    if (defined $other) {
        my $less = Bench::Instructions::measure($other)->{functions};

        $cost{$_} = ($cost{$_} // 0) - $less->{$_} for keys %$less;
    }

    my $sum = 0;

    for my $function (sort { abs $cost{$b} <=> abs $cost{$a} } keys %cost) {
        $sum += $cost{$function};

        printf "%10.1f  %s\n", $cost{$function}, $function
            if abs $cost{$function} >= 0.5;
    }

    printf "%10.1f  all\n", $sum;

    return 0;
}


1;
