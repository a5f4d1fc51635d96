package Zertiban::H2;

# Just enough of an HTTP/2 client to open and to cancel single streams.

use strict;
use warnings;

use IO::Socket::IP;

use Zertiban::Client;
use Zertiban::Loop;
use Zertiban::Secrets;
use Zertiban::Stream;

my ($DATA, $HEADERS, $RST_STREAM, $SETTINGS, $PING) = (0, 1, 3, 4, 6);
my ($END_STREAM, $END_HEADERS, $ACK) = (1, 4, 1);

# numbers 8 to 14 of the static table
my @indexed = (200, 204, 206, 304, 400, 404, 500);


sub new {
    my ($class, $port) = @_;

    my $fh = IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $port,
                                 Type => Socket::SOCK_STREAM) or die $@;

    my $self = bless { next => 1, statuses => {} }, $class;

    $self->{stream} = Zertiban::Stream->new($fh,
        on_data => sub { $self->received() });
    $self->preface('');

    return $self;
}


sub preface {
    my ($self, $settings) = @_;

    $self->{stream}->write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    $self->frame($SETTINGS, 0, 0, $settings);
}


sub frame {
    my ($self, $type, $flags, $id, $payload) = @_;

    $self->{stream}->write(substr(pack('N', length $payload), 1)
                           . pack('CCN', $type, $flags, $id) . $payload);
}


# returns the number of the stream; with data that is not all of its body, and
# with more fields, "name: value"

sub get {
    my ($self, $path, $data, @fields) = @_;

    my $id = $self->request('GET', $path, defined $data ? 0 : $END_STREAM,
                            @fields);
    $self->data($id, $data) if defined $data;

    return $id;
}


# :scheme http of the static table; then :method, :path and :authority,
# literal, without indexing, not compressed

sub request {
    my ($self, $method, $path, $flags, @fields) = @_;

    my $id = $self->{next};
    $self->{next} += 2;

    $self->frame($HEADERS, $END_HEADERS | $flags, $id,
                 "\x86" . pack('CC/a CC/a CC/a', 2, $method, 4, $path,
                               1, 'localhost')
                 . join '', map { pack 'xC/aC/a', /^(\S+): (.*)/ }
                            map { s/^\S+/\L$&/r } @fields);

    return $id;
}


# bytes of such a body, which are not the last ones

sub data {
    my ($self, $id, $bytes) = @_;

    $self->frame($DATA, 0, $id, $bytes);
}


# the end of it, with the last bytes

sub end {
    my ($self, $id, $bytes) = @_;

    $self->frame($DATA, $END_STREAM, $id, $bytes // '');
}


sub cancel {
    my ($self, $id) = @_;

    my $CANCEL = 8;
    $self->frame($RST_STREAM, 0, $id, pack('N', $CANCEL));
}


# as soon as {pong} is set, the peer has seen all that came before

sub ping {
    my ($self) = @_;

    $self->frame($PING, 0, 0, 'zertiban');
}


sub received {
    my ($self) = @_;

    my $in = \$self->{stream}{in};

    while (length $$in >= 9) {
        my ($high, $low, $type, $flags, $id) = unpack 'nCCCN', $$in;
        my $length = $high * 256 + $low;

        return if length $$in < 9 + $length;

        $self->arrived($type, $flags, $id,
                       substr substr($$in, 0, 9 + $length, ''), 9);
    }
}


sub arrived {
    my ($self, $type, $flags, $id, $payload) = @_;

    $self->frame($SETTINGS, $ACK, 0, '')
        if $type == $SETTINGS && !($flags & $ACK);
    $self->{pong} = 1 if $type == $PING && $flags & $ACK;

    push @Zertiban::Client::leaks, secrets_in($payload) if $type == $DATA;

    return if $type != $HEADERS;

    # nginx begins with the status, indexed if it is a common one, after a
    # change of the table size perhaps
    $payload =~ /\A[\x20-\x3f]*(?:([\x88-\x8e])|\x48\x03(\d+))/ or return;
    $self->{statuses}{$id} = $2 // $indexed[ord($1) - 0x88];
}


# of some streams, or of all, as far as they are there

sub statuses {
    my ($self, @ids) = @_;

    my $statuses = $self->{statuses};

    @ids = keys %$statuses if !@ids;

    return grep { defined } map { $statuses->{$_} } @ids;
}


sub leave {
    my ($self) = @_;

    $self->{stream}->close();
}


1;
