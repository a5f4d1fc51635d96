package Zertiban::Storm::Session;

# A client's connection and the calls on it. Children implement start(),
# received(), gone() and act($does, $call).

use strict;
use warnings;

use Socket qw(AF_INET SOCK_STREAM inet_aton pack_sockaddr_in);

use Zertiban::Client;
use Zertiban::Loop qw(now);
use Zertiban::Secrets;
use Zertiban::Stream;


# the calls are in the order in which they are to be sent

sub new {
    my ($class, %o) = @_;

    socket my $fh, AF_INET, SOCK_STREAM, 0 or die "socket: $!";
    connect $fh, pack_sockaddr_in($o{port}, inet_aton('127.0.0.1'))
        or die "connect: $!";

    my $self = bless { since => now(), %o }, $class;

    $self->{stream} = Zertiban::Stream->new($fh,
        on_data => sub { $self->alive(); $self->received() },
        on_close => sub { $self->closed() });

    $self->start();

    return $self;
}


sub alive {
    my ($self) = @_;

    $self->{since} = now();
}


sub closed {
    my ($self) = @_;

    $self->gone();
    delete @{$self->{stream}}{qw(on_data on_close)};
    $self->{storm}->over($self);
}


# no token may be in what clients get

sub search {
    my ($self, $bytes) = @_;

    push @Zertiban::Client::leaks, secrets_in($bytes);
}


sub leave {
    my ($self, $way) = @_;

    $self->{left} = 1;
    $self->{stream}->$way();
}


# nothing more comes from the client, but it still listens

sub half_close {
    my ($self) = @_;

    my $stream = $self->{stream};

    return $self->leave('close') if $stream->{out} ne '';

    $self->{half} = 1;
    shutdown $stream->{fh}, 1;
}


1;
