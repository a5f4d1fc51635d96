package Lint::Report;

# What a check has found, in the words of a compiler:
# "file:line:1: warning: text [check]".

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw(report);


sub report {
    my ($path, $line, $check, $text) = @_;

    print "$path:$line:1: warning: $text [$check]\n";
}


1;
