package Bench::Targets;

# What was to be reached, and what was.

use strict;
use warnings;

use List::Util qw(max);

use Bench::Stats qw(median);
use Bench::Throughput;


# a table like those of Bench::Report, of what can be told from the results

sub table {
    my ($results) = @_;

    my @rows = (instructions($results), throughput($results),
                credentials($results), refresh($results), cold($results),
                zone($results));

    return ['Targets', [['target', 'measured', 'reached'],
                        map { [@$_[0, 1], $_->[2] ? 'yes' : 'no'] } @rows]];
}


sub instructions {
    my ($results) = @_;

    my $n = $results->{instructions} or return;
    my $static = $n->{static} / $n->{fixed};
    my $dynamic = $n->{dynamic} / $n->{fixed};
    my $map = $n->{dynamic} / $n->{map};

    return (
        ['instructions, one credential: at most 1.02 of a fixed header',
         sprintf('%.3f', $static), $static <= 1.02],
        ['instructions, a credential by a map: at most 1.05 of a fixed header',
         sprintf('%.3f', $dynamic), $dynamic <= 1.05],
        ['the same, of a fixed header by the same maps',
         sprintf('%.3f', $map), $map <= 1.05],
    );
}


sub throughput {
    my ($results) = @_;

    my $load = $results->{throughput} or return;

    return map {
        my ($name, $title) = @$_;
        my $ratio = Bench::Throughput::ratio('rps', $load->{$name},
                                             $load->{fixed});

        ["throughput, $title: at least 0.98 of a fixed header",
         sprintf('%.3f', $ratio), $ratio >= 0.98];

    } ['static', 'one credential'], ['dynamic', 'a credential by a map'];
}


sub credentials {
    my ($results) = @_;

    my $by_n = $results->{credentials} or return;
    my ($least, $most) = (sort { $a <=> $b } keys %$by_n)[0, -1];
    my $growth = 100 * ($by_n->{$most}{instructions}
                        / $by_n->{$least}{instructions} - 1);

    my $memory = $by_n->{$most}{anon} / 1024;

    return (
        ["instructions, from $least to $most credentials: at most 5 % more",
         sprintf('%.1f %%', $growth), $growth <= 5],
        ["memory of a worker with $most credentials beside the zone: at most"
         . ' 64 MB', sprintf('%.1f MB', $memory), $memory <= 64],
    );
}


sub refresh {
    my ($results) = @_;

    my $refresh = $results->{refresh} or return;

    return map {
        my ($with, $without) = @{$refresh->{$_->[0]}}{qw(with without)};

        ["slowest request, $_->[1]: at a refresh not slower than the slowest"
         . ' without',
         sprintf('%.1f and %.1f ms', max(@$with), max(@$without)),
         max(@$with) <= max(@$without)];

    } ['static', 'one credential'], ['dynamic', 'a credential by a map'];
}


sub cold {
    my ($results) = @_;

    my $cold = $results->{cold} or return;
    my $most = max(map { @{$cold->{$_}{exchanges}} } qw(static dynamic));

    return ['token requests for 300 requests at once: 1', $most, $most == 1];
}


sub zone {
    my ($results) = @_;

    my $bytes = ($results->{zone} || {})->{1200} or return;

    return ['zone for a credential beyond its token of 1,200 bytes:'
            . ' less than 1.5 KB', sprintf('%.0f bytes', $bytes),
            $bytes < 1536];
}


1;
