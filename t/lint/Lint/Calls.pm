package Lint::Calls;

# Calls of functions in a C file, with their arguments.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(calls);

my $string = qr/"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'/;

my $nested = qr/( \( (?: [^()"']++ | $string | (?1) )* \) )/x;


# { name, line, arguments } of each call of one of some functions

sub calls {
    my ($source, @names) = @_;

    my $text = without_comments($source->text());
    my $names = join '|', map { quotemeta } @names;
    my @calls;

    while ($text =~ /^(?!#).*?\b($names)(?=\()/gm) {
        my ($name, $start) = ($1, pos $text);

        my $line = 1 + substr($text, 0, $start) =~ tr/\n//;

        my ($inside) = substr($text, $start) =~ /^$nested/
            or die $source->path() . ":$line: no end of $name()\n";

        push @calls, {
            name      => $name,
            line      => $line,
            arguments => [arguments($inside)],
        };
    }

    return @calls;
}


sub without_comments {
    my ($text) = @_;

    return $text =~ s{($string)|(/\*.*?\*/)}{$1 // $2 =~ s/[^\n]//gr}gser;
}


# "(a, f(b, c))" is "a" and "f(b, c)"

sub arguments {
    my ($text) = @_;

    my @arguments = substr($text, 1, -1)
                    =~ /( (?: [^(),"']++ | $string | $nested )+ )/gx;

    # every second one is what is in parentheses

    @arguments = @arguments[grep { $_ % 2 == 0 } 0 .. $#arguments];

    return map { s/\s+/ /gr =~ s/^ | $//gr } @arguments;
}


1;
