package Bench::Crowd;

# Connections that send a request each at the same time, and learn when their
# answers have come.

use strict;
use warnings;

use IO::Socket::INET;

use Zertiban::Loop qw(now);


sub new {
    my ($class, $port, $n) = @_;

    my @sockets = map {
        IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port")
            or die "cannot connect to port $port: $@\n"
    } 1 .. $n;

    return bless { waiting => { map { fileno $_ => $_ } @sockets },
                   times => [] }, $class;
}


sub send {
    my ($self, $request) = @_;

    for my $fh (values %{$self->{waiting}}) {
        syswrite($fh, $request) // die "cannot send a request: $!\n";
    }
}


# returns when all have an answer; calls the other work meanwhile

sub collect {
    my ($self, $work) = @_;

    my $waiting = $self->{waiting};
    my $deadline = now() + 60;

    while (%$waiting) {
        my $ready = '';

        vec($ready, $_, 1) = 1 for keys %$waiting;

        select $ready, undef, undef, 0.001;

        my $now = now();

        for my $fd (grep { vec $ready, $_, 1 } keys %$waiting) {
            sysread $waiting->{$fd}, my $answer, 65536;

            $answer =~ m{^HTTP/1\.1 200 } or die "an answer is not 200\n";

            push @{$self->{times}}, $now;
            delete $waiting->{$fd};
        }

        $work->();

        die scalar keys %$waiting, " clients got no answer\n"
            if now() > $deadline;
    }
}


# in the order in which the answers came

sub times {
    my ($self) = @_;

    return @{$self->{times}};
}


1;
