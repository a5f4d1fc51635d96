package Zertiban::Shim;

# A library that is preloaded into one nginx: its wall clock can be set off,
# epoll can be made to fail, one of its processes can be kept from getting what
# it needs, and one of its processes can be killed or stopped
# while it holds the mutex of the zone. Connections to the addresses that are
# for documentation, such as 192.0.2.1, are made to 127.0.0.1 then, and nginx
# does not know; elsewhere.example is such an address when a configuration is
# loaded, and both.example is one and 127.0.0.1. Zertiban::Nginx->new(env =>
# $shim->env()) puts it to use.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Temp;
use POSIX qw(SIGKILL SIGSTOP);

my %where = (publish => 1, look => 2, evict => 3);
my %lacks = (sockets => 1, ports => 2, tls => 3, json => 4);
my %signals = (KILL => SIGKILL, STOP => SIGSTOP);

my $library;    # for all shims of a test


sub new {
    my ($class) = @_;

    $library //= compile('shim');

    my $self = bless { control => File::Temp->new() }, $class;

    $self->write(0, 'x264');

    return $self;
}


# the folder of a library whose source is here

sub compile {
    my ($name) = @_;

    my $dir = File::Temp->newdir('zertiban-XXXXXX', TMPDIR => 1);

    # at -O2 a memcpy() of its own might become a call of memcpy()
    system('cc', qw(-O1 -fno-builtin -fPIC -shared), '-o', "$dir/$name.so",
           dirname(__FILE__) . "/$name.c", '-ldl') == 0
        or die "cannot compile $name.c";

    return $dir;
}


sub env {
    my ($self) = @_;

    return { preload("$library/shim.so"),
             ZERTIBAN_SHIM => "$self->{control}" };
}


# beside what the environment has already

sub preload {
    my ($path) = @_;

    return (LD_PRELOAD => joined(' ', $path, $ENV{LD_PRELOAD}),
            ASAN_OPTIONS => joined(':', $ENV{ASAN_OPTIONS},
                                   'verify_asan_link_order=0'));
}


sub joined {
    my ($separator, @values) = @_;

    return join $separator, grep { defined && $_ ne '' } @values;
}


# so many seconds are added to the wall clock, from now on

sub set_clock {
    my ($self, $seconds) = @_;

    $self->write(0, 'q', $seconds);
}


# The next process that does something with a token that begins with a text
# is sent a signal, KILL or STOP, in the middle of it: it writes the token into
# the zone ("publish"), or wipes it to free its memory ("evict"). Or it is the
# next that looks whether another process lives ("look"). That is for one
# process only; hit() tells which.

sub strike {
    my ($self, $signal, $where, $text) = @_;

    # the place is what arms it
    $self->write(12, 'L x4 L a*', $signals{$signal}, length $text, $text);
    $self->write(8, 'L', $where{$where});
}


# the process that was sent the signal, or 0

sub hit {
    my ($self) = @_;

    sysseek $self->{control}, 16, 0;
    sysread $self->{control}, my $pid, 4;

    return unpack 'L', $pid;
}


# epoll takes no more events of connections, or does again

sub set_unwatched {
    my ($self, $unwatched) = @_;

    $self->write(252, 'L', $unwatched ? 1 : 0);
}


# one process does not get something any more, or all get all again: "sockets",
# "ports" for connections, "tls", memory for "json"

sub set_lack {
    my ($self, $what, $pid) = @_;

    $self->write(256, 'L L', $what ? ($lacks{$what}, $pid) : (0, 0));
}


sub write {
    my ($self, $offset, $template, @values) = @_;

    sysseek $self->{control}, $offset, 0;
    syswrite $self->{control}, pack $template, @values;
}


1;
