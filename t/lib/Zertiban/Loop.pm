package Zertiban::Loop;

# One event loop for all that a test file plays: clients, IdP, API, DNS.
# Whoever waits lets the others work, so a test is a single process.

use strict;
use warnings;

use Exporter qw(import);
use IO::Poll qw(POLLIN POLLOUT POLLERR POLLHUP);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

our @EXPORT_OK = qw(now watch unwatch after wait_until);

$SIG{PIPE} = 'IGNORE';

my $poll = IO::Poll->new();
my %watched;
my @timers;


sub now {
    return clock_gettime(CLOCK_MONOTONIC);
}


# watch($fh, in => sub { ... }, out => sub { ... }) replaces what was set

sub watch {
    my ($fh, %on) = @_;

    my $mask = ($on{in} ? POLLIN : 0) | ($on{out} ? POLLOUT : 0);

    $watched{fileno $fh} = \%on;
    $poll->mask($fh => $mask);
}


sub unwatch {
    my ($fh) = @_;

    return unless defined fileno $fh;

    delete $watched{fileno $fh};
    $poll->remove($fh);
}


sub after {
    my ($seconds, $call) = @_;

    push @timers, [now() + $seconds, $call];
}


sub turn {
    my ($seconds) = @_;

    if ($poll->handles()) {
        $poll->poll($seconds);
        dispatch($_) for $poll->handles(POLLIN|POLLOUT|POLLERR|POLLHUP);

    } else {
        select undef, undef, undef, $seconds;
    }

    my $now = now();
    my @due = grep { $_->[0] <= $now } @timers;
    @timers = grep { $_->[0] > $now } @timers;

    $_->[1]->() for @due;
}


sub dispatch {
    my ($fh) = @_;

    my $fd = fileno $fh;
    my $events = defined $fd ? $poll->events($fh) : 0;

    for my $way (qw(in out)) {
        my $wanted = POLLERR|POLLHUP | ($way eq 'in' ? POLLIN : POLLOUT);

        # an earlier handler may have closed or replaced this one
        next unless $events & $wanted && defined fileno $fh;

        my $call = ($watched{$fd} || {})->{$way};
        $call->() if $call;
    }
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
