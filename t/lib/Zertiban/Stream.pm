package Zertiban::Stream;

# A buffered, non-blocking connection of the loop, plain or TLS server.

use strict;
use warnings;

use Errno qw(EAGAIN EINTR);
use Socket qw(SOL_SOCKET SO_LINGER);

use Zertiban::Loop qw(watch unwatch);


# on_data($stream) sees $stream->{in}; on_close($stream) comes once, also
# after an end of file that the peer sent ($stream->{eof})

sub new {
    my ($class, $fh, %o) = @_;

    my $self = bless {
        fh => $fh, in => '', out => '', on_data => $o{on_data},
        on_close => $o{on_close}, tls => $o{tls},
    }, $class;

    $fh->blocking(0);
    $self->accept_tls() if $o{tls};
    $self->arm();

    return $self;
}


sub accept_tls {
    my ($self) = @_;

    require IO::Socket::SSL;

    $self->{handshake} = 1;

    IO::Socket::SSL->start_SSL($self->{fh}, SSL_server => 1,
                               SSL_startHandshake => 0, %{$self->{tls}})
        or die "TLS set-up failed: $IO::Socket::SSL::SSL_ERROR";
}


sub arm {
    my ($self) = @_;

    my $fh = $self->{fh} or return;

    watch($fh, in => sub { $self->readable() },
          $self->{out} ne '' || $self->{want_write}
              ? (out => sub { $self->writable() }) : ());
}


sub handshake {
    my ($self) = @_;

    $self->{want_write} = 0;

    # one that fails turns the handle into another class, and the loop would
    # not find it any more
    unwatch($self->{fh});

    if ($self->{fh}->accept_SSL()) {
        $self->{handshake} = 0;
        $self->arm();
        $self->{server_name} = $self->{fh}->get_servername();
        $self->{on_handshake}->($self) if $self->{on_handshake};
        return 1;
    }

    my $error = $IO::Socket::SSL::SSL_ERROR;

    if ($error == IO::Socket::SSL::SSL_WANT_READ()
        || $error == IO::Socket::SSL::SSL_WANT_WRITE())
    {
        $self->{want_write} = $error == IO::Socket::SSL::SSL_WANT_WRITE();
        $self->arm();
        return 0;
    }

    $self->{tls_error} = "$error";
    $self->close();

    return 0;
}


sub readable {
    my ($self) = @_;

    return if $self->{handshake} && !$self->handshake();

    my $before = length $self->{in};
    my $n;

    # OpenSSL may hold more than the socket shows
    do {
        $n = sysread($self->{fh}, $self->{in}, 65536, length $self->{in});
    } while ($n && $self->{tls});

    my $again = !defined $n && ($!{EAGAIN} || $!{EINTR});
    my $error = defined $n ? undef : "$!";

    $self->{on_data}->($self)
        if $self->{on_data} && length $self->{in} > $before;

    return if $n || $again || !$self->{fh};

    $self->{eof} = 1;
    $self->{error} = $error;
    $self->close();
}


sub writable {
    my ($self) = @_;

    return $self->handshake() if $self->{handshake};

    while ($self->{fh} && $self->{out} ne '') {
        my $n = syswrite($self->{fh}, $self->{out}, 65536);

        if (!defined $n) {
            last if $!{EAGAIN} || $!{EINTR};

            $self->{error} = "$!";
            return $self->close();
        }

        substr($self->{out}, 0, $n, '');
    }

    return $self->close() if $self->{out} eq '' && $self->{ending};

    $self->arm();
}


sub write {
    my ($self, $bytes) = @_;

    return if !$self->{fh};

    $self->{out} .= $bytes;
    $self->writable() if !$self->{handshake};
}


# closes as soon as all is written

sub finish {
    my ($self) = @_;

    $self->{ending} = 1;
    $self->close() if $self->{out} eq '';
}


sub close {
    my ($self, %o) = @_;

    my $fh = delete $self->{fh} or return;

    unwatch($fh);

    # it is a plain socket again when the handshake has failed
    $fh->stop_SSL(SSL_no_shutdown => 1)
        if $o{cut} && $fh->can('stop_SSL');

    CORE::close($fh);
    $self->{closed} = 1;

    $self->{on_close}->($self) if $self->{on_close};
}


# the peer gets a RST

sub reset {
    my ($self) = @_;

    my $fh = $self->{fh} or return;

    setsockopt($fh, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
    $self->close(cut => 1);
}


1;
