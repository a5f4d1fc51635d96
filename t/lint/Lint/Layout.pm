package Lint::Layout;

# Lines, blank lines, comments, and the sizes of things.

use strict;
use warnings;

use Lint::Report;

use constant {
    FUNCTION_MAX => 90,
    FILE_MAX     => 700,
};

# [check, what it matches in the code, what to say]

my @phrases = (
    ['comment', qr{//}, 'a comment of C++'],
    ['assert', qr/\bassert\s*\(/, 'an assertion would end the process'],
    ['loop', qr/\bwhile \(1\)|\bfor \(;;\)/, 'write "for ( ;; )"'],
    ['space', qr/\b(?:if|for|while|switch)\(/, 'no space before "("'],
    ['space', qr/\(\s+(?!;;)\S/, 'a space after "("'],
    ['space', qr/\S(?<!;;)\s+\)/, 'a space before ")"'],
    ['space', qr/,[^\s\\]/, 'no space after ","'],
    ['space', qr/\)\{|\S\{$(?<![ ({]\{)/, 'no space before "{"'],
    ['star', qr/\w\* +\w/, 'the star belongs to the name'],
    ['else', qr/^\s+else\b/, 'write "} else"'],
    ['brace', qr/^\s+(?:if|for|while) \(.*\) [^{&|]*;$/, 'no braces'],
    ['bool', qr/\bbool\b|\b_Bool\b/, 'no bool, but ngx_uint_t or a bit'],
);


sub check {
    my ($source) = @_;

    ends($source);
    lines($source);
    blank_lines($source);

    head($source, $_) for $source->functions();
    sizes($source);
}


sub found {
    my ($source, $line, $check, $text) = @_;

    report($source->path(), $line, "style-$check", $text);
}


sub ends {
    my ($source) = @_;

    found($source, 1, 'first-line', 'the first line is not empty')
        if $source->text() !~ /^\n[^\n]/;

    found($source, $source->last_line(), 'last-line', 'empty lines at the end')
        if $source->text() =~ /\n\n$/;
}


sub lines {
    my ($source) = @_;

    for my $n (1 .. $source->last_line()) {

        for my $phrase (@phrases) {
            my ($check, $match, $text) = @$phrase;

            found($source, $n, $check, $text)
                if $source->code($n) =~ $match
                   && $source->code($n) !~ /^#\s*(?:include|define)/
                   && $source->line($n) !~ m{/\*.*\*/.*\S};
        }

        found($source, $n, 'todo', 'something is left to do')
            if $source->line($n) =~ /\b(?:TODO|FIXME|XXX)\b/;

        found($source, $n, 'else', 'no empty line before "} else"')
            if $source->code($n) =~ /^\s*\} else\b/
               && $source->line($n - 1) =~ /\S/;
    }
}


# two between what stands at the left edge, one everywhere else

sub blank_lines {
    my ($source) = @_;

    my %inside;

    for my $function ($source->functions()) {
        $inside{$_} = 1 for $function->{body} .. $function->{end};

        my $above = $function->{head} - 1;

        found($source, $function->{end} + 1, 'blank',
              'one function, and not two empty lines, is followed by more')
            if $source->line($function->{end} + 1) ne ''
               || $source->line($function->{end} + 2) ne '';

        # a comment on what follows stands one empty line above it

        if ($source->line($above) eq '' && $source->line($above - 1) =~ m{\*/$})
        {
            $above--;
            $above-- while $source->line($above) ne '';
        }

        found($source, $function->{head}, 'blank',
              'not two empty lines before the function')
            if $source->line($above) !~ /^(?:#|$)/
               || $source->line($above) eq ''
                  && $source->line($above - 1) !~ /^(?:#.*|)$/;
    }

    for my $n (2 .. $source->last_line()) {
        next if $source->line($n) ne '';

        found($source, $n, 'blank', 'two empty lines in a function')
            if $inside{$n} && $source->line($n - 1) eq '';

        found($source, $n, 'blank', 'an empty line before "}"')
            if $inside{$n} && $source->code($n + 1) =~ /^\s*\}$/;

        found($source, $n, 'blank', 'three empty lines')
            if $source->line($n - 1) eq '' && $source->line($n + 1) eq ''
               && $n > 2 && $n < $source->last_line();
    }
}


# the return type, the name with its parameters, each on lines of their own

sub head {
    my ($source, $function) = @_;

    my ($name) = grep { $source->code($_) =~ /^\w+\(/ }
                 $function->{head} + 1 .. $function->{body} - 1;

    if (!$name) {
        found($source, $function->{head}, 'head',
              'the return type does not have a line of its own');
        return;
    }

    for my $n ($name + 1 .. $function->{body} - 1) {
        found($source, $n, 'head', 'parameters are indented by 4 spaces')
            if $source->line($n) !~ /^ {4}\S/;
    }
}


sub sizes {
    my ($source) = @_;

    my $lines = $source->last_line();

    found($source, 1, 'long-file', "$lines lines are more than " . FILE_MAX)
        if $lines > FILE_MAX;

    for my $function ($source->functions()) {
        $lines = $function->{end} - $function->{body} - 1;

        found($source, $function->{body}, 'long-function',
              "$lines lines are more than " . FUNCTION_MAX)
            if $lines > FUNCTION_MAX;
    }
}


1;
