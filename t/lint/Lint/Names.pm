package Lint::Names;

# What has a name in the module, and the order of static functions.

use strict;
use warnings;

use Lint::Report;

my $prefix = qr/^_?ngx_zertiban(?:_|$)/i;

# of a variable's name
my $end = qr/(?:\[.*?\])?(?:;| =)/;


sub check {
    my ($source) = @_;

    order($source);

    if ($source->name() =~ $prefix) {
        names($source);
    }

    if ($source->is_header() && $source->name() =~ $prefix) {
        guard($source);
        comments($source);
    }
}


sub found {
    my ($source, $line, $check, $text) = @_;

    report($source->path(), $line, "style-$check", $text);
}


# prototypes of static functions stand in the order of the definitions

sub order {
    my ($source) = @_;

    my %defined;
    my $last = 0;

    $defined{$_->{name}} = $_->{body} for $source->functions();

    for my $prototype (grep { $_->{static} } $source->prototypes()) {
        my $line = $defined{$prototype->{name}};

        if (!$line) {
            found($source, $prototype->{line}, 'prototype',
                  "\"$prototype->{name}\" is not defined here");
            next;
        }

        found($source, $prototype->{line}, 'prototype',
              "\"$prototype->{name}\" is defined before those above")
            if $line < $last;

        $last = $line;
    }
}


# everything that can be seen elsewhere, and static functions, too

sub names {
    my ($source) = @_;

    my @named = map { [$_->{body}, $_->{name}] } $source->functions();

    push @named, map { [$_->{line}, $_->{name}] } $source->prototypes();

    for my $n (1 .. $source->last_line()) {

        my $code = $source->code($n);

        push @named, [$n, $1]
            if $code =~ /^#define\s+(\w+)/
               || $code =~ /^(?:typedef )?(?:struct|enum)\s(\w+)/
               || $code =~ /^\}\s+(\w+);/
               || $code =~ /^typedef\s[^(]*\(\*(\w+)\)/
               || $code =~ /^typedef\s[^(]*\s(\w+);/
               || $code =~ /^(?!typedef)[a-z][\w ]*?[ *]+(\w+)$end/;
    }

    for (@named) {
        my ($line, $name) = @$_;

        found($source, $line, 'name', "\"$name\" lacks the module's prefix")
            if $name !~ $prefix;
    }
}


sub guard {
    my ($source) = @_;

    my $guard = '_' . uc($source->name() =~ s/\./_/r) . '_INCLUDED_';

    found($source, 1, 'guard', "the include guard is not $guard")
        if $source->text()
           !~ m{^\#ifndef\ $guard\n\#define\ $guard\n
                .*^\#endif\ /\*\ $guard\ \*/\n\z}smx;
}


# A header says what its functions do: in a comment above them, or above the
# types and macros that they come with, or wherever it names one of them.  The
# types of directive handlers say it.

sub comments {
    my ($source) = @_;

    my ($said, @group) = (0);

    my $prose = join ' ', $source->text() =~ m{/\*(.*?)\*/}gs;

    my %prototypes = map { $_->{line} => $_ } $source->prototypes();

    for my $n (1 .. $source->last_line()) {

        if (my $prototype = $prototypes{$n}) {
            push @group, $prototype
                if $prototype->{text}
                   !~ /\(ngx_conf_t \*cf, ngx_command_t \*/;
        }

        $said = 1 if $source->line($n) =~ m{^(?: |/\*.*)\*/$};

        next if $source->line($n) ne '';

        $said = 0 if $source->line($n - 1) eq '';

        next if !@group;

        my ($first) = @group;

        found($source, $first->{line}, 'contract',
              "nothing is said about \"$first->{name}\"")
            if !$said && !grep { $prose =~ /\b$_->{name}\(\)/ } @group;

        $said = 0;
        @group = ();
    }
}


1;
