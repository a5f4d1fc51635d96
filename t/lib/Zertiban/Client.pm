package Zertiban::Client;

# A client connection on which exact bytes are sent.

use strict;
use warnings;

use IO::Socket::IP;
use Scalar::Util qw(weaken);
use Socket qw(SHUT_WR);

use Zertiban::Loop qw(now wait_until);
use Zertiban::Message;
use Zertiban::Secrets;
use Zertiban::Stream;

our @leaks;

# what a client may do while it waits for its answer

our %events = (
    nothing => sub { },
    fin     => sub { shutdown $_[0]{stream}{fh}, SHUT_WR },
    close   => sub { $_[0]->leave() },
    reset   => sub { $_[0]->leave(reset => 1) },
    byte    => sub { $_[0]{stream}->write('G') },
    next    => sub { $_[0]{stream}->write("GET /next HTTP/1.1\r\n") },
);

my %open;


sub new {
    my ($class, $port) = @_;

    my $fh = IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $port,
                                 Type => Socket::SOCK_STREAM)
        or die "cannot connect to port $port: $@";

    my $self = bless { port => $fh->sockport(), responses => [] }, $class;

    $self->{stream} = Zertiban::Stream->new($fh,
        on_data => sub { $self->received(0) },
        on_close => sub { $self->received(1); delete $open{$self} });

    weaken($open{$self} = $self);

    return $self;
}


sub send {
    my ($self, $bytes) = @_;

    ($self->{method}) = $bytes =~ /^(\S+) /;
    $self->{stream}->write($bytes);

    return $self;
}


sub received {
    my ($self, $eof) = @_;

    my $stream = $self->{stream};

    return if $self->{raw};

    while ($stream->{in} ne '' || $eof) {
        my $message = $self->{message} //= Zertiban::Message->new(
            head_only => ($self->{method} // '') eq 'HEAD');

        $message->feed(\$stream->{in}, $eof) or last;

        push @{$self->{responses}}, delete $self->{message};
        push @leaks, secrets_in($message->{head} . $message->{body});

        $message->{time} = now();
        $self->{raw} = ($message->{status} // 0) == 101;

        last if $self->{raw} || $stream->{in} eq '';
    }
}


sub done {
    my ($self) = @_;

    return @{$self->{responses}} || $self->{stream}{closed};
}


# the next response; of an end without one, a response whose status is 0

sub response {
    my ($self, $seconds) = @_;

    wait_until { $self->done() } $seconds;

    return shift @{$self->{responses}} // Zertiban::Message->new(
        status => 0, first => '', headers => [], time => now());
}


sub leave {
    my ($self, %o) = @_;

    my $way = $o{reset} ? 'reset' : 'close';
    $self->{stream}->$way();
}


sub leave_all {
    $_->leave() for grep { defined } values %open;
}


1;
