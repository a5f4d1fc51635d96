package Zertiban::Storm::Dice;

# Numbers that depend on the seed and on what they are for, and on nothing
# else: a call has the same plan in every run, in whatever order things happen.

use strict;
use warnings;

my ($FACTOR, $STEP) = (6364136223846793005, 1442695040888963407);


sub new {
    my ($class, @numbers) = @_;

    my $state = 0;

    for my $number (@numbers) {
        use integer;
        $state = ($state ^ $number) * $FACTOR + $STEP;
        $state ^= ($state >> 29) & 0x7fffffff;
    }

    my $self = bless \$state, $class;

    $self->roll(1) for 1 .. 2;

    return $self;
}


# one of 0 .. n - 1

sub roll {
    my ($self, $n) = @_;

    use integer;

    $$self = $$self * $FACTOR + $STEP;

    return (($$self >> 33) & 0x7fffffff) % $n;
}


sub chance {
    my ($self, $percent) = @_;

    return $self->roll(10000) < 100 * $percent;
}


sub between {
    my ($self, $from, $to) = @_;

    return $from + ($to - $from) * $self->roll(1000) / 1000;
}


sub one {
    my ($self, @list) = @_;

    return $list[$self->roll(scalar @list)];
}


# of name => weight, name => weight, ...

sub weighted {
    my ($self, @weights) = @_;

    my $sum = 0;

    for (my $i = 1; $i < @weights; $i += 2) {
        $sum += $weights[$i];
    }

    # weights need not be whole numbers
    my $at = $sum * $self->roll(1 << 20) / (1 << 20);

    while (@weights) {
        my ($name, $weight) = splice @weights, 0, 2;

        return $name if $at < $weight;
        $at -= $weight;
    }
}


1;
