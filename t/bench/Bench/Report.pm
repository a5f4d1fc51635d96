package Bench::Report;

# The results as tables, for the terminal and for docs/performance.md.

use strict;
use warnings;

use JSON::PP;
use List::Util qw(max);

use Bench::Gateway;
use Bench::Nginx;
use Bench::Stats qw(median);
use Bench::Targets;
use Bench::Throughput;

my @order = map { $_->{name} } @Bench::Gateway::gateways;


sub save {
    my ($results, $path) = @_;

    open my $fh, '>', $path or die "$path: $!\n";
    print $fh JSON::PP->new->canonical->pretty->encode($results);
    close $fh or die "$path: $!\n";
}


# [heading, rows] of each part that was measured; the first row is that of the
# columns' names

sub tables {
    my ($results) = @_;

    my @parts = (
        [instructions => 'Instructions per request', \&instructions],
        [throughput   => 'Full load', \&throughput],
        [cold         => '300 requests before the first token', \&cold],
        [refresh      => 'The slowest request', \&refresh],
        [credentials  => 'Many credentials', \&credentials],
        [zone         => 'Memory of the zone', \&zone],
    );

    return map { my ($part, $heading, $rows) = @$_;
                 $results->{$part} ? [$heading, $rows->($results->{$part})]
                                   : () } @parts;
}


sub instructions {
    my ($results) = @_;

    return [
        ['gateway', 'instructions', 'ratio'],
        map { [Bench::Gateway::title($_), number($results->{$_}),
               sprintf '%.3f', $results->{$_} / $results->{fixed}] }
        grep { $results->{$_} } @order,
    ];
}


sub throughput {
    my ($results) = @_;

    my $ratio = sub {
        sprintf '%.3f', Bench::Throughput::ratio($_[0], $results->{$_[1]},
                                                 $results->{fixed});
    };

    return [
        ['gateway', 'requests/s', 'ratio', 'p50, ms', 'p99, ms',
         'CPU, µs/request', 'ratio', 'memory, KB'],
        map { my $m = Bench::Throughput::medians($results->{$_});
              [Bench::Gateway::title($_), number($m->{rps}),
               $ratio->('rps', $_), sprintf('%.2f', $m->{p50}),
               sprintf('%.2f', $m->{p99}), sprintf('%.1f', $m->{cpu}),
               $ratio->('cpu', $_), number($results->{$_}{pss})] }
        grep { $results->{$_} } @order,
    ];
}


sub cold {
    my ($results) = @_;

    return [
        ['gateway', 'token requests', 'half answered, ms',
         'all answered, ms'],
        map { [Bench::Gateway::title($_), max(@{$results->{$_}{exchanges}}),
               map { sprintf '%.0f', median(@$_) }
               @{$results->{$_}}{qw(median last)}] }
        grep { $results->{$_} } @order,
    ];
}


sub refresh {
    my ($results) = @_;

    return [
        ['gateway', 'refreshes', 'at a refresh: median, ms', 'maximum, ms',
         'otherwise: median, ms', 'maximum, ms'],
        map { my $result = $results->{$_};
              [Bench::Gateway::title($_),
               $_ eq 'fixed' ? 'none' : scalar @{$result->{with}},
               map { sprintf '%.1f', $_ }
               map { (median(@$_), max(@$_)) } @{$result}{qw(with without)}] }
        grep { $results->{$_} } @order,
    ];
}


sub credentials {
    my ($results) = @_;

    my ($first, @others) = sort { $a <=> $b } keys %$results;

    return [
        ['credentials', 'instructions', 'ratio', 'CPU, µs/request', 'ratio',
         'memory beside the zone, KB'],
        map { my $result = $results->{$_};
              [number($_), number($result->{instructions}),
               sprintf('%.3f', $result->{instructions}
                               / $results->{$first}{instructions}),
               sprintf('%.1f', Bench::Throughput::medians($result)->{cpu}),
               sprintf('%.3f', Bench::Throughput::ratio('cpu', $result,
                                                     $results->{$first})),
               number($result->{anon})] } $first, @others,
    ];
}


sub zone {
    my ($results) = @_;

    return [
        ['length of the token', 'bytes of the zone', 'beyond the token'],
        map { [number($_), number($_ + $results->{$_}),
               number($results->{$_})] }
        sort { $a <=> $b } keys %$results,
    ];
}


# 12,345

sub number {
    my ($n) = @_;

    my $text = sprintf '%.0f', $n;

    1 while $text =~ s/^(\d+)(\d{3})/$1,$2/;

    return $text;
}


sub text {
    my ($results) = @_;

    return join "\n", map { my ($heading, $rows) = @$_;
                            "$heading\n\n" . aligned($rows) }
           tables($results), Bench::Targets::table($results);
}


sub aligned {
    my ($rows) = @_;

    my @widths;

    for my $row (@$rows) {
        for my $i (0 .. $#$row) {
            $widths[$i] = max($widths[$i] // 0, width($row->[$i]));
        }
    }

    return join '', map { my $row = $_;
        '    ' . join('  ', map {
            my $space = ' ' x ($widths[$_] - width($row->[$_]));
            $_ ? $space . $row->[$_] : $row->[$_] . $space
        } 0 .. $#$row) =~ s/ +$//r . "\n" } @$rows;
}


# in characters

sub width {
    my ($text) = @_;

    utf8::decode($text);

    return length $text;
}


sub markdown {
    my ($results) = @_;

    return description($results)
        . "![The numbers below as bars](performance.svg)\n\n" . join '', map {
        my ($heading, $rows) = @$_;
        my ($names, @others) = @$rows;

        "### $heading\n\n"
        . join('', map { '| ' . join(' | ', @$_) . " |\n" }
                   $names, ['---', ('--:') x $#$names], @others) . "\n"
    } tables($results), Bench::Targets::table($results);
}


sub description {
    my ($results) = @_;

    my $machine = $results->{machine};
    my $packages = $machine->{packages};

    return "Measured on $machine->{date} with $machine->{nginx} of Debian"
        . " $machine->{debian}, module $machine->{commit}, on"
        . " $machine->{processors} processors ($machine->{cpu}), Linux"
        . " $machine->{kernel}; lua module"
        . " $packages->{'libnginx-mod-http-lua'}, njs"
        . " $packages->{'libnginx-mod-http-js'}, valgrind"
        . " $packages->{valgrind}, wrk $packages->{wrk}."
        . " Load in $results->{rounds} rounds of $results->{seconds} s.\n\n";
}


# replaces what is between the markers

sub insert {
    my ($results, $path) = @_;

    my $text = Bench::Nginx::read_file($path);
    my $numbers = markdown($results);

    $text =~ s/(<!-- numbers -->\n).*(<!-- end of numbers -->)/
               "$1\n$numbers$2"/es or die "$path has no markers\n";

    open my $fh, '>', $path or die "$path: $!\n";
    print $fh $text;
    close $fh or die "$path: $!\n";
}


1;
