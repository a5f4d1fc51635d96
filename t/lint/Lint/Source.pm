package Lint::Source;

# A C file, as far as its layout tells what it is made of.
#
#   lines       as they are, numbered from 1
#   code        the same without comments and without what is in strings:
#               what is left stands where it stood
#   functions   { name, head, body, end }, numbers of lines: where the return
#               type, the opening and the closing brace are
#   prototypes  { name, line, static, text }

use strict;
use warnings;


sub new {
    my ($class, $path) = @_;

    open my $in, '<', $path or die "could not open $path: $!\n";
    my $text = do { local $/; <$in> };

    my $self = bless {
        path  => $path,
        text  => $text,
        lines => ['', split /\n/, $text, -1],
        code  => ['', split /\n/, blanked($text), -1],
    }, $class;

    pop @{$self->{$_}} for qw(lines code);

    $self->find_functions();
    $self->find_prototypes();

    return $self;
}


sub path { $_[0]{path} }
sub text { $_[0]{text} }
sub lines { @{$_[0]{lines}} }
sub line { $_[0]{lines}[$_[1]] // '' }
sub code { $_[0]{code}[$_[1]] // '' }
sub all_code { join "\n", @{$_[0]{code}} }
sub last_line { $#{$_[0]{lines}} }
sub functions { @{$_[0]{functions}} }
sub prototypes { @{$_[0]{prototypes}} }


sub is_header {
    my ($self) = @_;

    return $self->{path} =~ /\.h$/;
}


# "ngx_zertiban_gate.c" for "/some/where/ngx_zertiban_gate.c"

sub name {
    my ($self) = @_;

    return $self->{path} =~ s{.*/}{}r;
}


# the function that a line is in, '' outside of all

sub function_at {
    my ($self, $line) = @_;

    for my $function ($self->functions()) {
        return $function->{name}
            if $line >= $function->{head} && $line <= $function->{end};
    }

    return '';
}


# replaces what is not code by spaces; a comment on the whole of a line leaves
# an empty one

sub blanked {
    my ($text) = @_;

    $text =~ s{
        (?<comment> /\*.*?\*/ )
      | (?<quote>   ["'] ) (?<inside> (?:\\.|(?!\g{quote})[^\\\n])* ) \g{quote}
    }{
        defined $+{comment} ? $+{comment} =~ s/[^\n]/ /gr
                            : $+{quote} . '_' x length($+{inside}) . $+{quote}
    }gsxe;

    return $text =~ s/ +$//gmr;
}


sub find_functions {
    my ($self) = @_;

    my @functions;

    for my $n (1 .. $self->last_line()) {

        if ($self->code($n) eq '{') {
            my $head = $n;
            $head-- while $head > 1 && $self->code($head - 1) =~ /^[^#}]/;

            my $text = join ' ', map { $self->code($_) } $head .. $n - 1;

            if ($text =~ /(\w+)\((?!\()/) {
                push @functions, { name => $1, head => $head, body => $n };
            }

        } elsif ($self->code($n) eq '}' && @functions) {
            $functions[-1]{end} //= $n;
        }
    }

    $self->{functions} = [grep { $_->{end} } @functions];
}


# at the left edge, up to the semicolon

sub find_prototypes {
    my ($self) = @_;

    $self->{prototypes} = [];

    for my $n (1 .. $self->last_line()) {

        next if $self->code($n) !~ /^[a-z]/
                || $self->code($n) =~ /^(?:typedef|extern|struct\s+\w+\s*\{)/;

        my $text = $self->code($n);
        my $last = $n;

        while ($text =~ /^[^;={]*$/ && $self->code($last + 1) =~ /^ /) {
            $text .= ' ' . $self->code(++$last) =~ s/^ +//r;
        }

        my ($static, $name)
            = $text =~ /^(static )?[\w\s*]*?(\w+)\([^=]*\);$/ or next;

        push @{$self->{prototypes}}, {
            name   => $name,
            line   => $n,
            static => defined $static,
            text   => $text,
        };
    }
}


1;
