package Lint::Exceptions;

# What checks may find without being heeded, each with a reason.  A line of
# the file is "CHECK FUNCTION", or "CHECK FILE" for outside of any function; the
# reason follows, indented.

use strict;
use warnings;


sub new {
    my ($class, $path) = @_;

    my (%reasons, $last);

    open my $in, '<', $path or die "could not open $path: $!\n";

    while (my $line = <$in>) {
        chomp $line;

        next if $line =~ /^(?:#|$)/;

        if ($line =~ /^ +(\S.*)/) {
            die "$path:$.: a reason for nothing\n" if !defined $last;

            $reasons{$last} .= $1;
            next;
        }

        die "$path:$.: is not \"CHECK FUNCTION\" nor \"CHECK FILE\"\n"
            if $line !~ /^\S+ \S+$/;

        $reasons{$line} = '';
        $last = $line;
    }

    for my $exception (sort keys %reasons) {
        die "$path: there is no reason for \"$exception\"\n"
            if $reasons{$exception} eq '';
    }

    return bless { reasons => \%reasons, used => {} }, $class;
}


sub used {
    my ($self) = @_;

    return sort keys %{$self->{used}};
}


# whether there is an exception for a diagnostic { check, place }

sub excuse {
    my ($self, $found) = @_;

    # clang-tidy has several names for some checks

    for my $check (split /,/, $found->{check}) {
        my $exception = "$check $found->{place}";

        if (exists $self->{reasons}{$exception}) {
            $self->{used}{$exception} = 1;
            return 1;
        }
    }

    return 0;
}


1;
