package Zertiban::Loop;

# One event loop for all that a test file plays: clients, IdP, API, DNS.
# Whoever waits lets the others work, so a test is a single process.

use strict;
use warnings;

use Exporter qw(import);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

our @EXPORT_OK = qw(now watch unwatch after wait_until);

$SIG{PIPE} = 'IGNORE';

# as select() wants them: one bit for each descriptor
my %bits = (in => '', out => '');

my %watched;
my @timers;    # in the order of their times
my @looks = (now()) x 3;


sub now {
    return clock_gettime(CLOCK_MONOTONIC);
}


# watch($fh, in => sub { ... }, out => sub { ... }) replaces what was set

sub watch {
    my ($fh, %on) = @_;

    my $fd = fileno $fh;

    $watched{$fd} = { fh => $fh, %on };
    vec($bits{$_}, $fd, 1) = $on{$_} ? 1 : 0 for qw(in out);
}


sub unwatch {
    my ($fh) = @_;

    my $fd = fileno $fh;
    return unless defined $fd;

    delete $watched{$fd};
    vec($bits{$_}, $fd, 1) = 0 for qw(in out);
}


sub after {
    my ($seconds, $call) = @_;

    my $time = now() + $seconds;
    my $i = @timers;

    $i-- while $i > 0 && $timers[$i - 1][0] > $time;
    splice @timers, $i, 0, [$time, $call];
}


sub turn {
    my ($seconds) = @_;

    if (@timers) {
        my $left = $timers[0][0] - now();
        $seconds = $left < 0 ? 0 : $left if $left < $seconds;
    }

    my %ready = %bits;

    # errors and ends make a descriptor readable and writable
    my $n = select $ready{in}, $ready{out}, undef, $seconds;

    @looks = (@looks[1, 2], now());

    if ($n > 0) {
        my %fds = map { $_ => [ones($ready{$_})] } qw(in out);
        my %fh = map { $_ => ($watched{$_} || {})->{fh} } map { @$_ }
                 values %fds;

        for my $way (qw(in out)) {
            dispatch($_, $fh{$_}, $way) for @{$fds{$way}};
        }
    }

    my $now = now();
    my @due;

    push @due, shift @timers while @timers && $timers[0][0] <= $now;

    $_->[1]->() for @due;
}


# The first bytes that a handler sees have come after this time: they were not
# there when the loop looked before, nor was their connection, perhaps, when it
# looked before that.

sub since {
    return $looks[0];
}


sub ones {
    my ($bits) = @_;

    my $digits = unpack 'b*', $bits;
    my $i = -1;
    my @ones;

    push @ones, $i while ($i = index $digits, '1', $i + 1) >= 0;

    return @ones;
}


# an earlier handler may have closed or replaced this one

sub dispatch {
    my ($fd, $fh, $way) = @_;

    my $watched = $watched{$fd} or return;

    return if $watched->{fh} != $fh;

    my $call = $watched->{$way};
    $call->() if $call;
}


# Returns what the condition returned, or nothing at the deadline. Where all is
# slow, TEST_ZERTIBAN_SLOW times as much patience is needed; a short time is
# none, but how long to look.

sub wait_until (&;$) {
    my ($condition, $seconds) = @_;

    $seconds //= 10;
    $seconds *= $ENV{TEST_ZERTIBAN_SLOW} || 1 if $seconds >= 5;

    my $deadline = now() + $seconds;

    while (1) {
        my $result = $condition->();
        return $result if $result;
        return if now() >= $deadline;

        turn(0.02);
    }
}


1;
