package Zertiban::Server;

# A listener of the loop, on a host or on a unix socket (unix => name). Children
# implement connected($stream) and received($stream).

use strict;
use warnings;

use IO::Socket::IP;
use IO::Socket::UNIX;
use Socket qw(SOMAXCONN);

use Zertiban::Loop qw(watch unwatch wait_until);
use Zertiban::Stream;


sub new {
    my ($class, %o) = @_;

    my $self = bless {
        host => '127.0.0.1', port => 0, connections => 0, streams => {},
        tls_errors => [], server_names => [], %o,
    }, $class;

    $self->listen();

    return $self;
}


sub listen {
    my ($self) = @_;

    my $fh = $self->{unix}
        ? IO::Socket::UNIX->new(Local => $self->{unix}, Listen => SOMAXCONN)
        : IO::Socket::IP->new(
              LocalHost => $self->{host}, LocalPort => $self->{port},
              Listen => SOMAXCONN, ReuseAddr => 1,
              Type => Socket::SOCK_STREAM, V6Only => 1);

    die 'cannot listen on ' . $self->address() . ": $@" if !$fh;

    $fh->blocking(0);

    $self->{listener} = $fh;
    $self->{port} = $fh->sockport() if !$self->{unix};

    watch($fh, in => sub { $self->accept() });
}


# connections are refused until the next listen()

sub shut {
    my ($self) = @_;

    my $fh = delete $self->{listener} or return;

    unwatch($fh);
    close $fh;
}


sub accept {
    my ($self) = @_;

    while (my $fh = $self->{listener} && $self->{listener}->accept()) {
        $self->{connections}++;

        my $stream = Zertiban::Stream->new($fh, tls => $self->{tls},
            on_data => sub { $self->received($_[0]) },
            on_close => sub { $self->gone($_[0]) });

        $stream->{number} = $self->{connections};
        $stream->{since} = Zertiban::Loop::since();
        $stream->{on_handshake} = sub {
            push @{$self->{server_names}}, $_[0]{server_name};
        };

        $self->{streams}{$stream} = $stream;
        $self->connected($stream);
    }
}


sub gone {
    my ($self, $stream) = @_;

    delete $self->{streams}{$stream};

    push @{$self->{tls_errors}}, $stream->{tls_error}
        if $stream->{tls_error};
}


sub connected {
}


sub streams {
    my ($self) = @_;

    return sort { $a->{number} <=> $b->{number} } values %{$self->{streams}};
}


sub address {
    my ($self) = @_;

    return "unix:$self->{unix}" if $self->{unix};

    return ($self->{host} =~ /:/ ? "[$self->{host}]" : $self->{host})
           . ":$self->{port}";
}


sub wait_for {
    my ($self, $n, $seconds) = @_;

    return wait_until { $self->count() >= $n } $seconds;
}


1;
