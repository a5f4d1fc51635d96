package Lint::Declarations;

# Declarations: at the top of a block, the shorter type first, the names in
# one column.

use strict;
use warnings;

use Lint::Report;

my $qualifier = qr/(?:static|const|volatile|struct|union|enum|unsigned)/;
my $statement = qr/(?:return|goto|else|case|do|for|if|while|switch|typedef)/;


sub check {
    my ($source) = @_;

    for my $n (1 .. $source->last_line()) {

        if ($source->code($n) =~ /^(?:typedef )?(?:struct|union)\b.*\{$/) {
            members($source, $n + 1);

        } elsif ($source->code($n) =~ /^(?:\s.*)?\{$/) {
            block($source, $n + 1);
        }
    }
}


sub found {
    my ($source, $line, $check, $text) = @_;

    report($source->path(), $line, "style-$check", $text);
}


# { type, name, column, space, line, initialized, last }

sub declaration {
    my ($source, $n) = @_;

    my ($indent, $type, $space, $star, $name, $rest)
        = $source->code($n) =~ m{
            ^ (\s+) (?!$statement\b)
            ((?:$qualifier\s)* \w+ (?:\sint|\slong)?) (\s+)
            ([(*]*) (\w+)
            ( \)\(.* | (?:\[.*?\] | [\s\w*,:])* [;,] | \s=\s.* )
        $}x or return;

    return {
        type        => $type,
        space       => length $space,
        column      => length "$indent$type$space$star",
        line        => $n,
        initialized => scalar($rest =~ /=/),

        # may come behind all others
        composed    => scalar($star =~ /\(/ || $rest =~ /^[\[)]/),
    };
}


# the groups of declarations at the top of a block, and none below

sub block {
    my ($source, $n) = @_;

    my ($indent) = $source->code($n) =~ /^(\s*)/;

    while ($source->code($n) =~ /^(?:#|$)/ || declaration($source, $n)) {
        last if $n >= $source->last_line();

        my @group;

        while (my $declaration = declaration($source, $n)) {
            push @group, $declaration;
            $n++;

            # the rest of a declaration, what is conditional

            $n++ while $source->code($n) =~ /^(?:#|$indent {4})/;
        }

        if (@group) {
            aligned($source, @group);
            sorted($source, @group);

            found($source, $n, 'declaration',
                  'no empty line after declarations')
                if $source->line($n) ne '';
        }

        $n++;
    }
}


sub members {
    my ($source, $n) = @_;

    my @members;

    for (; $source->code($n) !~ /^\}/ && $n < $source->last_line(); $n++) {
        push @members, declaration($source, $n) || ();
    }

    aligned($source, @members);
}


sub aligned {
    my ($source, @group) = @_;

    for my $declaration (@group) {

        # "type *name = value;" may have one space

        next if $declaration->{initialized};

        found($source, $declaration->{line}, 'alignment',
              'the name is not in the column of those above')
            if $declaration->{column} != $group[0]{column};

        found($source, $declaration->{line}, 'alignment',
              'less than two spaces between type and name')
            if $declaration->{space} < 2;
    }
}


sub sorted {
    my ($source, @group) = @_;

    my $length = 0;

    for my $declaration (@group) {

        next if $declaration->{initialized} || $declaration->{composed};

        # what is conditional comes last, and is sorted by itself

        $length = 0 if $source->line($declaration->{line} - 1) =~ /^#/;

        found($source, $declaration->{line}, 'order',
              'a shorter type than above: shorter ones come first')
            if length $declaration->{type} < $length;

        $length = length $declaration->{type};
    }
}


1;
