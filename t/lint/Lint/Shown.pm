package Lint::Shown;

# The texts that may be logged.  A line of the file is "FUNCTION EXPRESSION",
# where FUNCTION is "*" for all; what the text is follows, indented.

use strict;
use warnings;


sub new {
    my ($class, $path) = @_;

    my (%allowed, $last);

    open my $in, '<', $path or die "could not open $path: $!\n";

    while (my $line = <$in>) {
        chomp $line;

        next if $line =~ /^(?:#|$)/;

        if ($line =~ /^ +\S/) {
            $last = undef;
            next;
        }

        die "$path:$.: nothing is said about the line above\n"
            if defined $last;

        my ($function, $expression) = $line =~ /^(\S+) +(\S.*)$/
            or die "$path:$.: is not \"FUNCTION EXPRESSION\"\n";

        $allowed{$function}{$expression} = 1;
        $last = $line;
    }

    return bless { allowed => \%allowed }, $class;
}


sub allows {
    my ($self, $expression, $function) = @_;

    for my $where ('*', $function) {
        return 1 if $self->{allowed}{$where}{$expression};
    }

    return 0;
}


1;
