package Zertiban::H3::Transport;

# A client's end of a QUIC connection: streams, of which the server allows so
# much, and packets, which are sent again until they are acknowledged.

use strict;
use warnings;

use IO::Socket::IP;
use Scalar::Util qw(weaken);
use Socket qw(SOCK_DGRAM);

use Zertiban::H3::Packets qw(number take_number);
use Zertiban::H3::TLS;
use Zertiban::Loop qw(after now unwatch watch);

my @levels = qw(initial handshake application);

my $window = 1 << 24;     # bytes that may come
my $packet = 1200;        # bytes of frames in a datagram, at least, and at most
my $flight = 32;          # packets that are not acknowledged
my $patience = 0.2;       # seconds


# on_stream($id, $bytes, $end) has the bytes of a stream in their order

sub new {
    my ($class, $port, %o) = @_;

    my $fh = IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $port,
                                 Type => SOCK_DGRAM) or die $@;
    $fh->blocking(0);

    my $self = bless {
        fh => $fh, name => random(8), server => random(8), streams => {},
        queue => { map { $_ => [] } @levels }, sent => 0, crypto => {},
        limits => { all => 0, streams => 0, stream => 0 }, %o,
    }, $class;

    $self->{packets}{initial} = Zertiban::H3::Packets->initial(
        $self->{server});
    $self->{packets}{$_} = Zertiban::H3::Packets->new($_)
        for qw(handshake application);

    $self->handshake();

    weaken(my $weak = $self);
    watch($fh, in => sub { $weak->readable() if $weak });

    return $self;
}


sub random {
    return join '', map { chr int rand 256 } 1 .. $_[0];
}


sub handshake {
    my ($self) = @_;

    weaken(my $weak = $self);

    $self->{tls} = Zertiban::H3::TLS->new(
        parameters => $self->parameters(),
        on_secrets => sub {
            my ($level, @secrets) = @_;

            $weak->{packets}{$level}->secrets(@secrets);
            $weak->established() if $level eq 'application';
        },
        on_finished => sub { $weak->crypto('handshake', $_[0]) });

    $self->crypto('initial', $self->{tls}{hello});
    $self->flush();
}


# how much may come, in a datagram, in all, in a stream, and streams of the
# server's; and the name that this end has chosen

sub parameters {
    my ($self) = @_;

    my %parameters = (3 => number(1472), (map { $_ => number($window) } 4 .. 7),
                      (map { $_ => number(100) } 8, 9), 15 => $self->{name});

    return join '', map { number($_) . number(length $parameters{$_})
                          . $parameters{$_} } sort keys %parameters;
}


sub crypto {
    my ($self, $level, $bytes) = @_;

    $self->queue($level, "\x06" . number(0) . number(length $bytes) . $bytes);
}


# the server's limits; streams that were opened before may send now

sub established {
    my ($self) = @_;

    my $bytes = $self->{tls}{server_parameters};

    while ($bytes ne '') {
        my $name = take_number(\$bytes);
        my $value = substr $bytes, 0, take_number(\$bytes), '';

        $self->{limits}{all} = take_number(\$value) if $name == 4;
        $self->{limits}{stream} = take_number(\$value) if $name == 6;
        $self->{limits}{streams} = take_number(\$value) if $name == 8;
    }

    $self->{limits}{uni} = $window;
    $self->{established} = 1;
}


sub queue {
    my ($self, $level, @frames) = @_;

    push @{$self->{queue}{$level}}, @frames;
}


# bytes to be sent in a stream, and its end

sub write {
    my ($self, $id, $bytes, $end) = @_;

    my $stream = $self->stream($id);

    $stream->{out} .= $bytes;
    $stream->{ending} ||= $end;
    $self->flush();
}


sub stream {
    my ($self, $id) = @_;

    return $self->{streams}{$id} //= { out => '', at => 0, in => {},
                                       read => 0 };
}


# RESET_STREAM and STOP_SENDING

sub cancel {
    my ($self, $id, $error) = @_;

    my $stream = $self->stream($id);

    $stream->{out} = '';
    $stream->{ended} = 1;

    $self->queue('application',
        "\x04" . join('', map { number($_) } $id, $error, $stream->{at}),
        "\x05" . number($id) . number($error));
    $self->flush();
}


# calls back when the server has seen all that was sent before

sub ping {
    my ($self, $call) = @_;

    $self->queue('application', ["\x01", $call]);
    $self->flush();
}


# the bytes of a stream that may be sent, in a frame

sub frame {
    my ($self, $id) = @_;

    my $stream = $self->{streams}{$id};
    my $limits = $self->{limits};

    return if $stream->{ended} || $id % 4 == 0 && $id / 4 >= $limits->{streams};

    my $most = ($stream->{limit} // $limits->{$id & 2 ? 'uni' : 'stream'})
               - $stream->{at};

    for ($limits->{all} - $self->{sent}, $packet - 100) {
        $most = $_ if $_ < $most;
    }

    my $bytes = substr $stream->{out}, 0, $most, '';
    my $end = $stream->{ending} && $stream->{out} eq '';

    return if $bytes eq '' && !$end;

    my $frame = chr(0x0e | ($end ? 1 : 0))
                . join('', map { number($_) } $id, $stream->{at},
                                              length $bytes) . $bytes;

    $stream->{at} += length $bytes;
    $self->{sent} += length $bytes;
    $stream->{ended} = 1 if $end;

    return $frame;
}


sub flush {
    my ($self) = @_;

    return if !$self->{fh};

    for my $level (@levels) {
        my $packets = $self->{packets}{$level};

        $self->send($level) while $packets->{out}
                                  && keys %{$packets->{sent}} < $flight
                                  && $self->pending($level);
    }

    # whatever is lost
    if (!$self->{timer}) {
        weaken(my $weak = $self);

        $self->{timer} = 1;
        after($patience, sub { $weak->again() if $weak });
    }
}


sub pending {
    my ($self, $level) = @_;

    my $queue = $self->{queue}{$level};

    return 1 if @$queue;
    return if $level ne 'application' || !$self->{established};

    for my $id (sort { $a <=> $b } keys %{$self->{streams}}) {
        if (defined(my $frame = $self->frame($id))) {
            push @$queue, $frame;
            return 1;
        }
    }

    return;
}


# a packet with the frames that fit; those of the first level fill a datagram

sub send {
    my ($self, $level) = @_;

    my $queue = $self->{queue}{$level};
    my $packets = $self->{packets}{$level};
    my $payload = '';
    my @frames;

    while (@$queue) {
        my ($frame) = map { ref ? $_->[0] : $_ } $queue->[0];

        last if $payload ne '' && length($payload) + length $frame > $packet;

        $payload .= $frame;
        push @frames, shift @$queue;
    }

    $payload .= "\0" x ($packet - length $payload)
        if $level eq 'initial' && length $payload < $packet;

    my ($datagram, $n) = $packets->seal($payload, $self->{server},
                                        $self->{name});

    $packets->{sent}{$n} = [now(), @frames];
    $self->{fh}->send($datagram);
}


# once more what was not acknowledged in time

sub again {
    my ($self) = @_;

    $self->{timer} = 0;

    my $waiting = 0;

    for my $level (@levels) {
        my $sent = $self->{packets}{$level}{sent};

        for my $n (sort { $a <=> $b } keys %$sent) {
            my ($time, @frames) = @{$sent->{$n}};

            $waiting = 1;
            next if now() - $time < $patience;

            delete $sent->{$n};
            unshift @{$self->{queue}{$level}}, @frames;
        }
    }

    $self->flush() if $waiting && !$self->{closed};
}


sub readable {
    my ($self) = @_;

    while ($self->{fh} && defined $self->{fh}->recv(my $datagram, 65536)) {
        last if $datagram eq '';

        $self->datagram($datagram);
    }

    $self->flush();
}


# packets of several levels may be in one datagram

sub datagram {
    my ($self, $bytes) = @_;

    my %eliciting;

    while ($bytes ne '') {
        my ($level, $packet, $place) = $self->split(\$bytes) or last;
        my $payload = $self->{packets}{$level}->open($packet, $place) // next;

        $eliciting{$level} = 1 if $self->frames($level, $payload);
    }

    for my $level (keys %eliciting) {
        my $packets = $self->{packets}{$level};

        next if !$packets->{out} || !$self->{fh};

        # not acknowledged itself, so it is not remembered
        my $payload = $packets->ack();

        $payload .= "\0" x ($packet - length $payload) if $level eq 'initial';
        $self->{fh}->send(($packets->seal($payload, $self->{server},
                                          $self->{name}))[0]);
    }
}


sub split {
    my ($self, $bytes) = @_;

    my $first = ord $$bytes;

    if (!($first & 0x80)) {
        my $packet = $$bytes;
        $$bytes = '';

        return ('application', $packet, 1 + length $self->{name});
    }

    my ($server, $rest) = unpack 'x5 C/x C/a a*', $$bytes;
    my $type = $first >> 4 & 3;
    my $level = $type == 0 ? 'initial' : $type == 2 ? 'handshake' : return;

    substr $rest, 0, take_number(\$rest), '' if $level eq 'initial';

    my $length = take_number(\$rest);
    my $place = length($$bytes) - length $rest;

    $self->{server} = $server;

    return ($level, substr($$bytes, 0, $place + $length, ''), $place);
}


# what frames there are, and what is in each of them: numbers, and N bytes

my %frames = (
    0x01 => [], 0x04 => [qw(id error size)], 0x05 => [qw(id error)],
    0x06 => [qw(offset bytes)], 0x07 => [qw(bytes)], 0x10 => [qw(limit)],
    0x11 => [qw(id limit)], 0x12 => [qw(limit)], 0x13 => [qw(limit)],
    0x14 => [qw(limit)], 0x15 => [qw(id limit)], 0x16 => [qw(limit)],
    0x17 => [qw(limit)], 0x18 => [qw(sequence retire name)],
    0x19 => [qw(sequence)], 0x1a => [qw(challenge)], 0x1b => [qw(challenge)],
    0x1c => [qw(error frame bytes)], 0x1d => [qw(error bytes)], 0x1e => [],
);


# returns whether there is one that is to be acknowledged

sub frames {
    my ($self, $level, $payload) = @_;

    my $eliciting = 0;

    # what fills a datagram may be most of it
    while ($payload =~ s/\A\0*(?=[^\0])//) {
        my $type = take_number(\$payload);

        if ($type == 0x02 || $type == 0x03) {
            $self->acknowledged($level, \$payload, $type == 0x03);
            next;
        }

        my %frame = (type => $type, level => $level);

        read_frame(\%frame, \$payload);

        $eliciting = 1 if $type != 0x1c && $type != 0x1d;
        $self->frame_came(\%frame);
    }

    return $eliciting;
}


sub read_frame {
    my ($frame, $payload) = @_;

    my $type = $frame->{type};

    if ($type >= 0x08 && $type <= 0x0f) {
        $frame->{id} = take_number($payload);
        $frame->{offset} = $type & 4 ? take_number($payload) : 0;
        $frame->{bytes} = substr $$payload, 0,
            $type & 2 ? take_number($payload) : length $$payload, '';
        $frame->{end} = $type & 1;
        return;
    }

    for my $part (@{$frames{$type} // die "a frame of type $type"}) {
        $frame->{$part} = $part eq 'bytes'
            ? substr $$payload, 0, take_number($payload), ''
            : $part eq 'challenge' ? substr $$payload, 0, 8, ''
            : $part eq 'name'
                ? substr $$payload, 0, 16 + ord(substr $$payload, 0, 1, ''), ''
                : take_number($payload);
    }
}


sub acknowledged {
    my ($self, $level, $payload, $counts) = @_;

    my $sent = $self->{packets}{$level}{sent};
    my ($largest, undef, $ranges, $first) = map { take_number($payload) }
                                            1 .. 4;
    my @ranges = [$largest - $first, $largest];

    for (1 .. $ranges) {
        my $high = $ranges[-1][0] - take_number($payload) - 2;
        push @ranges, [$high - take_number($payload), $high];
    }

    take_number($payload) for 1 .. ($counts ? 3 : 0);

    for my $n (keys %$sent) {
        next if !grep { $n >= $_->[0] && $n <= $_->[1] } @ranges;

        my (undef, @frames) = @{delete $sent->{$n}};
        $_->[1]->() for grep { ref } @frames;
    }
}


sub frame_came {
    my ($self, $frame) = @_;

    my $type = $frame->{type};

    $self->crypto_came($frame) if $type == 0x06;
    $self->stream_came($frame) if $type >= 0x08 && $type <= 0x0f;
    $self->{limits}{all} = $frame->{limit} if $type == 0x10;
    $self->stream($frame->{id})->{limit} = $frame->{limit} if $type == 0x11;
    $self->{limits}{streams} = $frame->{limit} if $type == 0x12;
    $self->queue('application', "\x1b$frame->{challenge}") if $type == 0x1a;

    if ($type == 0x04) {
        $self->stream($frame->{id})->{reset} = $frame->{error};
        $self->{on_reset}->($frame->{id}) if $self->{on_reset};
    }

    # nobody is there to acknowledge anything
    if ($type == 0x1c || $type == 0x1d) {
        $self->{closed} = $frame->{error} . " $frame->{bytes}";
        $_->{sent} = {} for values %{$self->{packets}};
    }

    # the first levels are over
    if ($type == 0x1e) {
        for my $level (qw(initial handshake)) {
            $self->{packets}{$level}{sent} = {};
            $self->{queue}{$level} = [];
        }
    }
}


# calls back with what follows what has come so far

sub in_order {
    my ($stream, $frame, $call) = @_;

    $stream->{in}{$frame->{offset}} = $frame
        if !$stream->{in}{$frame->{offset}}
           || length $frame->{bytes}
              >= length $stream->{in}{$frame->{offset}}{bytes};

    for my $offset (sort { $a <=> $b } keys %{$stream->{in}}) {
        last if $offset > $stream->{read};

        my $next = delete $stream->{in}{$offset};
        my $skip = $stream->{read} - $offset;

        next if $skip > length $next->{bytes};

        my $bytes = substr $next->{bytes}, $skip;

        $stream->{read} += length $bytes;
        $call->($bytes, $next->{end})
            if $bytes ne '' || $next->{end} && !$stream->{over}++;
    }
}


sub crypto_came {
    my ($self, $frame) = @_;

    my $crypto = $self->{crypto}{$frame->{level}} //= { in => {}, read => 0 };

    in_order($crypto, $frame, sub { $self->{tls}->received($_[0]) });
}


sub stream_came {
    my ($self, $frame) = @_;

    in_order($self->stream($frame->{id}), $frame,
             sub { $self->{on_stream}->($frame->{id}, @_) });
}


# with a word to the server, or without

sub leave {
    my ($self, $error) = @_;

    my $fh = delete $self->{fh} or return;
    my $packets = $self->{packets}{application};

    # it is not acknowledged, and may be lost
    if (defined $error && $packets->{out}) {
        $fh->send(($packets->seal("\x1d" . number($error) . "\0",
                                  $self->{server}, $self->{name}))[0])
            for 1 .. 3;
    }

    $self->{closed} = 'left';
    unwatch($fh);
    close $fh;
}


sub DESTROY {
    my ($self) = @_;

    $self->leave();
}


1;
