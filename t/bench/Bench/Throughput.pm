package Bench::Throughput;

# Gateways under full load by wrk, one after the other, in several rounds.
# Where the machine has two processors or more, a gateway's only worker has one
# of them for itself.

use strict;
use warnings;

use Bench::Backend;
use Bench::Client;
use Bench::Gateway;
use Bench::Stats qw(median);

use constant CONNECTIONS => 32;

# measure([names], rounds => n, seconds => n, options => { name => { ... } }):
# for each name { rounds => [{ rps, p50, p99, cpu }], rss, pss, anon }, times in
# milliseconds, but the worker's time of one request, cpu, in microseconds;
# memory in kilobytes, anon without the zone

sub measure {
    my ($names, %o) = @_;

    my $backend = Bench::Backend->new(under => [pinned(0)])->start();

    my %gateways = map {
        $_ => Bench::Gateway->new($_, $backend, under => [pinned(1)],
                                  %{($o{options} || {})->{$_} || {}})->start()
    } @$names;

    my %results = map { $_ => { rounds => [] } } @$names;
    my @order = @$names;

    warm($gateways{$_}) for @order;

    for (1 .. $o{rounds}) {
        for my $name (@order) {
            push @{$results{$name}{rounds}},
                 load($gateways{$name}, $o{seconds});
        }

        # what changes with time must not favour anybody
        @order = reverse @order;
    }

    for my $name (@$names) {
        memory($gateways{$name}, $results{$name});
        $gateways{$name}->stop();
    }

    $backend->stop();

    return \%results;
}


# no token is requested any more, then

sub warm {
    my ($gateway) = @_;

    my $client = Bench::Client->new($gateway->{port});

    for my $key ($gateway->keys()) {
        $client->status($key) == 200 or die "an answer is not 200\n";
    }
}


sub processors {
    return 0 + output('nproc');
}


# the command that gives the first processor to the gateways, and the others
# to those that they work with

sub pinned {
    my ($gateway) = @_;

    my $n = processors();

    return () if $n < 2;
    return ('taskset', '-c', $gateway ? 0 : '1-' . ($n - 1));
}


sub load {
    my ($gateway, $seconds) = @_;

    my ($worker) = $gateway->workers();
    my $before = cpu_time($worker);

    my $output = output(pinned(0), 'wrk', '-t1', '-c' . CONNECTIONS,
                        "-d${seconds}s", '--latency', '--timeout', '30s',
                        (map { ('-H', $_) } Bench::Client::fields('')),
                        '-s', "$gateway->{dir}/keys.lua",
                        "http://127.0.0.1:$gateway->{port}"
                        . Bench::Client::URI, keys_file($gateway));

    my $cpu = cpu_time($worker) - $before;

    die "wrk has seen errors:\n$output" if $output =~ /Non-2xx|Socket errors/;

    my ($requests) = $output =~ /(\d+) requests in/ or die $output;
    my ($rps) = $output =~ m{Requests/sec:\s*([\d.]+)} or die $output;

    return { rps => 0 + $rps, p50 => latency($output, 50),
             p99 => latency($output, 99), cpu => $cpu / $requests * 1e6 };
}


# a command line has no room for many

sub keys_file {
    my ($gateway) = @_;

    my $name = "$gateway->{dir}/keys";

    open my $fh, '>', $name or die "$name: $!\n";
    print $fh map { "$_\n" } $gateway->keys();
    close $fh or die "$name: $!\n";

    return $name;
}


sub latency {
    my ($output, $p) = @_;

    my ($value, $unit) = $output =~ /^\s+$p%\s+([\d.]+)(us|ms|s)\s*$/m
        or die $output;

    return $value * { us => 0.001, ms => 1, s => 1000 }->{$unit};
}


# in seconds, of one thread

sub cpu_time {
    my ($pid) = @_;

    my ($nanoseconds)
        = split ' ', Bench::Nginx::read_file("/proc/$pid/schedstat");

    return $nanoseconds / 1e9;
}


sub memory {
    my ($gateway, $result) = @_;

    my ($worker) = $gateway->workers();
    my $rollup = Bench::Nginx::read_file("/proc/$worker/smaps_rollup");

    ($result->{rss}) = $rollup =~ /^Rss:\s+(\d+) kB/m;
    ($result->{pss}) = $rollup =~ /^Pss:\s+(\d+) kB/m;
    ($result->{anon}) = $rollup =~ /^Pss_Anon:\s+(\d+) kB/m;
}


sub output {
    my (@command) = @_;

    open my $fh, '-|', @command or die "$command[0]: $!\n";
    local $/;

    my $output = <$fh> // '';

    close $fh or die "$command[0] failed:\n$output";

    return $output;
}


# the medians of all rounds

sub medians {
    my ($result) = @_;

    return { map { my $what = $_;
                   $what => median(map { $_->{$what} }
                                   @{$result->{rounds}}) }
             qw(rps p50 p99 cpu) };
}


# the median of the rounds' ratios to another gateway

sub ratio {
    my ($what, $result, $other) = @_;

    my @rounds = @{$result->{rounds}};

    return median(map { $rounds[$_]{$what} / $other->{rounds}[$_]{$what} }
                  0 .. $#rounds);
}


1;
