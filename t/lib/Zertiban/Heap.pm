package Zertiban::Heap;

# How much memory of its own each worker of an nginx has in use, to the byte.
# Zertiban::Nginx->new(env => $heap->env()) prepares an nginx for it.

use strict;
use warnings;

use File::Temp;

use Zertiban::Loop qw(wait_until);
use Zertiban::Shim;

my $library;    # for all nginxes of a test


sub new {
    my ($class) = @_;

    $library //= Zertiban::Shim::compile('heap');

    my $self = bless { control => File::Temp->new(), asked => 0 }, $class;

    truncate $self->{control}, 16 + 64 * 16;

    return $self;
}


# glibc calls it in use what it keeps in its tcache

sub env {
    my ($self) = @_;

    return { Zertiban::Shim::preload("$library/heap.so"),
             ZERTIBAN_HEAP => "$self->{control}",
             GLIBC_TUNABLES => 'glibc.malloc.tcache_count=0' };
}


# in the order of the workers; having log files reopened wakes them up

sub bytes {
    my ($self, @workers) = @_;

    my %bytes;

    sysseek $self->{control}, 0, 0;
    syswrite $self->{control}, pack 'L', ++$self->{asked};

    kill 'USR1', @workers;

    wait_until { %bytes = $self->answers(); !grep { !$bytes{$_} } @workers }
        or die 'a worker does not say how much memory it uses';

    return @bytes{@workers};
}


sub answers {
    my ($self) = @_;

    my %bytes;

    sysseek $self->{control}, 16, 0;
    sysread $self->{control}, my $processes, 64 * 16;

    while ($processes =~ /(.{16})/gs) {
        my ($pid, $answered, $bytes) = unpack 'L L Q', $1;
        $bytes{$pid} = $bytes if $answered == $self->{asked};
    }

    return %bytes;
}


1;
