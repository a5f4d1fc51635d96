package Zertiban::Monitoring;

# What is in docs/monitoring: the rules of the alerts, and the dashboard.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use JSON::PP ();

my $folder = dirname(abs_path(__FILE__)) . '/../../../docs/monitoring';



sub file {
    my ($name) = @_;

    open my $fh, '<:encoding(UTF-8)', "$folder/$name" or die "$name: $!";
    local $/;

    return scalar <$fh>;
}


# [name, expression] of each alert; an expression is the rest of a line, or ">-"
# and the lines that are further in

sub alerts {
    my $text = file('zertiban.rules.yml') =~ s/^ *#.*\n//mgr;
    my (undef, @rules) = split /^ *- alert: /m, $text;

    return map {
        my ($name, $expr) = /\A(\w+)\n +expr: (?:>-\n)?(.*?)\n {4}\w+:/s
            or die "no expression: $_";

        [$name, $expr =~ s/\s+/ /gr =~ s/^ //r]
    } @rules;
}


# what an expression compares, without the comparisons: there has to be a series
# of it

sub compared {
    my ($expr) = @_;

    return $expr =~ s/\babsent\(([^()]*)\)/$1/gr
                 =~ s/(?:==|!=|[<>]=?) -?[\d.]+(?: \* [\d.]+)?//gr;
}


sub dashboard {
    return JSON::PP->new->decode(file('dashboard.json'));
}


# the expressions of its panels and annotations

sub panels {
    my $dashboard = dashboard();

    return map { $_->{expr} } map({ @{$_->{targets}} } @{$dashboard->{panels}}),
                              @{$dashboard->{annotations}{list}};
}


# the metrics of an expression

sub metrics {
    my ($expr) = @_;

    return $expr =~ /\b(zertiban_\w+)/g;
}


1;
