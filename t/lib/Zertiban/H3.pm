package Zertiban::H3;

# Just enough of an HTTP/3 client to open and to cancel single streams.

use strict;
use warnings;

use Scalar::Util qw(weaken);

use Zertiban::Client;
use Zertiban::H3::Packets qw(number take_number);
use Zertiban::H3::Transport;
use Zertiban::Secrets;

my ($DATA, $HEADERS, $SETTINGS, $GOAWAY) = (0, 1, 4, 7);
my ($NO_ERROR, $CANCELLED) = (0x100, 0x10c);


sub new {
    my ($class, $port) = @_;

    my $self = bless { next => 0, statuses => {}, bodies => {}, in => {} },
                     $class;

    weaken(my $weak = $self);

    $self->{transport} = Zertiban::H3::Transport->new($port,
        on_stream => sub { $weak->received(@_) });

    # the first byte of a stream of this kind says what it is for
    $self->{transport}->write(2, "\0" . frame($SETTINGS, ''));

    return $self;
}


sub frame {
    my ($type, $payload) = @_;

    return number($type) . number(length $payload) . $payload;
}


# returns the number of the stream; with data that is not all of its body, and
# with more fields, "name: value"

sub get {
    my ($self, $path, $data, @fields) = @_;

    my $id = $self->request('GET', $path, !defined $data, @fields);
    $self->data($id, $data) if defined $data;

    return $id;
}


# all fields literal, without a reference, not compressed

sub request {
    my ($self, $method, $path, $end, @fields) = @_;

    my $id = $self->{next};
    $self->{next} += 4;

    my $payload = join '', "\0\0", map {
        my ($name, $value) = /^(:?[^:]+): (.*)/;
        field($name, $value);
    } ":method: $method", ':scheme: https', ':authority: localhost',
      ":path: $path", map { s/^[^:]+/\L$&/r } @fields;

    $self->{transport}->write($id, frame($HEADERS, $payload), $end);

    return $id;
}


sub field {
    my ($name, $value) = @_;

    return prefixed(0x20, 3, length $name) . $name
           . prefixed(0, 7, length $value) . $value;
}


# a number that begins in the last bits of a byte

sub prefixed {
    my ($first, $bits, $n) = @_;

    my $most = (1 << $bits) - 1;

    return chr($first | $n) if $n < $most;

    my $bytes = chr($first | $most);

    for ($n -= $most; $n >= 0x80; $n >>= 7) {
        $bytes .= chr(0x80 | $n & 0x7f);
    }

    return $bytes . chr $n;
}


# bytes of such a body, which are not the last ones

sub data {
    my ($self, $id, $bytes) = @_;

    $self->{transport}->write($id, frame($DATA, $bytes));
}


# the end of it, with the last bytes

sub end {
    my ($self, $id, $bytes) = @_;

    $self->{transport}->write($id, length($bytes // '') ? frame($DATA, $bytes)
                                                        : '', 1);
}


sub cancel {
    my ($self, $id) = @_;

    $self->{transport}->cancel($id, $CANCELLED);
}


# as soon as {pong} is set, the peer has seen all that came before

sub ping {
    my ($self) = @_;

    weaken(my $weak = $self);

    $self->{transport}->ping(sub { $weak->{pong} = 1 });
}


sub received {
    my ($self, $id, $bytes, $end) = @_;

    # of the server's, only the control stream says something
    my $in = \($self->{in}{$id} //= '');

    $$in .= $bytes;
    $self->{ended}{$id} = 1 if $end;

    if ($id % 4 == 3) {
        $self->{kind}{$id} //= take_number($in);
        return if !defined $self->{kind}{$id} || $self->{kind}{$id} != 0;
    }

    while ($$in ne '') {
        my $rest = $$in;
        my $type = take_number(\$rest) // return;
        my $length = take_number(\$rest) // return;

        return if length $rest < $length;

        my $payload = substr $rest, 0, $length, '';
        $$in = $rest;

        $self->arrived($type, $id, $payload);
    }
}


sub arrived {
    my ($self, $type, $id, $payload) = @_;

    $self->{goaway} = 1 if $type == $GOAWAY;

    if ($type == $DATA) {
        push @Zertiban::Client::leaks, secrets_in($payload);
        $self->{bodies}{$id} .= $payload;
    }

    return if $type != $HEADERS;

    # nginx begins with the status, and has 200 for a name that it refers to
    $payload =~ /\A..(?:(\xd9)|\x5f.\x03(\d+))/s or return;

    my $status = $1 ? 200 : $2;

    # others follow it
    push @{$self->{hints}{$id}}, $status if $status < 200;
    $self->{statuses}{$id} = $status if $status >= 200;
}


# of some streams, or of all, as far as they are there

sub statuses {
    my ($self, @ids) = @_;

    my $statuses = $self->{statuses};

    @ids = keys %$statuses if !@ids;

    return grep { defined } map { $statuses->{$_} } @ids;
}


# "200 body", as soon as all of it is there

sub answer {
    my ($self, $id) = @_;

    return if !$self->{ended}{$id};

    return join ' ', $self->{statuses}{$id} // 'none',
                     $self->{bodies}{$id} // '';
}


# the server is told, or, if that is "silent", left alone

sub leave {
    my ($self, %o) = @_;

    $self->{transport}->leave($o{silent} ? undef : $NO_ERROR);
}


1;
