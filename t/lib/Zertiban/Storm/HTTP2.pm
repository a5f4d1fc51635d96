package Zertiban::Storm::HTTP2;

# A client of HTTP/2: several calls at a time on one connection.

use strict;
use warnings;

use parent qw(Zertiban::Storm::Session Zertiban::H2);

use List::Util qw(min);

use Zertiban::Loop qw(after);

my ($DATA, $HEADERS, $RST_STREAM, $SETTINGS, $WINDOW_UPDATE) = (0, 1, 3, 4, 8);
my ($END_STREAM, $INITIAL_WINDOW_SIZE) = (1, 4);
my $largest_frame = 16384;


# {open} are calls by the number of their streams; {windows} what the server
# takes at present, 0 for the connection

sub start {
    my ($self) = @_;

    @{$self}{qw(next open windows initial)} = (1, {}, { 0 => 65535 }, 65535);

    # answers need no updates of windows
    $self->preface(pack 'nN', $INITIAL_WINDOW_SIZE, 1 << 20);
    $self->frame($WINDOW_UPDATE, 0, 0, pack 'N', 1 << 24);

    $self->next_call();
}


# the next one follows soon

sub next_call {
    my ($self) = @_;

    return if $self->{stream}{closed} || $self->{half} || $self->{stray};

    my $call = shift @{$self->{calls}} or return $self->leave_if_done();

    $call->{protocol} = 'HTTP/2';
    $call->begin($self);

    my $body = $call->{body};
    my $id = $self->request($call->{method}, $call->{uri},
                            $body->{size} ? 0 : $END_STREAM, $call->fields(),
                            !$body->{size} || $call->{chunked}
                                ? () : "content-length: $body->{size}");

    $call->{stream} = $id;
    $self->{open}{$id} = $call;
    $self->{windows}{$id} = $self->{initial};
    $self->alive();

    my @pieces = $body->{size} ? $call->pieces('', $body->{bytes}) : ();
    my $delay = $call->{dice}->one(0, 0.001, 0.02, 0.1);

    $self->send_pieces($call, @pieces);
    after($delay, sub { $self->next_call() });
}


sub send_pieces {
    my ($self, $call, @pieces) = @_;

    while (!$call->{end} && !$self->{half} && !$self->{stream}{closed}) {
        my $piece = shift @pieces or return $call->event('sent');

        if ($piece->[0]) {
            $call->event('sending');

            return after($piece->[0], sub {
                $self->send_pieces($call, [0, $piece->[1]], @pieces);
            });
        }

        my $window = min(@{$self->{windows}}{0, $call->{stream}});
        my $size = min($largest_frame, length $piece->[1], $window);

        if (length $piece->[1] && $size <= 0) {
            $self->{blocked}{$call->{stream}} = [$call, $piece, @pieces];
            return;
        }

        # a copy of the rest for each frame would take long
        my $bytes = substr $piece->[1], 0, $size, '';
        unshift @pieces, $piece if $piece->[1] ne '';

        $self->{windows}{$_} -= $size for 0, $call->{stream};
        $self->alive();
        @pieces ? $self->data($call->{stream}, $bytes)
                : $self->end($call->{stream}, $bytes);
    }
}


sub arrived {
    my ($self, $type, $flags, $id, $payload) = @_;

    $self->SUPER::arrived($type, $flags, $id, $payload);

    $self->set_windows($payload) if $type == $SETTINGS && !($flags & 1);
    $self->widen($id, unpack 'N', $payload) if $type == $WINDOW_UPDATE;

    my $call = $self->{open}{$id} or return;

    $call->{answer} .= $payload if $type == $DATA;

    # of an interim response nothing is said to be the end
    $self->ended($call, 'answered')
        if ($type == $DATA || $type == $HEADERS) && $flags & $END_STREAM;

    $self->ended($call, $self->{statuses}{$id} || $call->may_be_cut()
                        ? 'cut' : 'dropped')
        if $type == $RST_STREAM;
}


sub set_windows {
    my ($self, $settings) = @_;

    my %value = unpack '(nN)*', $settings;
    my $new = $value{$INITIAL_WINDOW_SIZE} // return;

    $self->{windows}{$_} += $new - $self->{initial} for keys %{$self->{open}};
    $self->{initial} = $new;
    $self->unblock();
}


sub widen {
    my ($self, $id, $bytes) = @_;

    $self->{windows}{$id} += $bytes if defined $self->{windows}{$id};
    $self->unblock();
}


sub unblock {
    my ($self) = @_;

    my $blocked = delete $self->{blocked} || {};

    $self->send_pieces(@{$blocked->{$_}})
        for sort { $a <=> $b } keys %$blocked;
}


sub ended {
    my ($self, $call, $end) = @_;

    my $id = $call->{stream};

    delete $self->{$_}{$id} for qw(open windows blocked);

    $call->end($end, delete $self->{statuses}{$id}, delete $call->{answer});
    $self->leave_if_done();
}


sub leave_if_done {
    my ($self) = @_;

    $self->leave('close')
        if !@{$self->{calls}} && !%{$self->{open}} && !$self->{half}
           && !$self->{stray} && !$self->{stream}{closed};
}


# those that are in flight

sub calls {
    my ($self) = @_;

    return map { $self->{open}{$_} } sort { $a <=> $b } keys %{$self->{open}};
}


sub gone {
    my ($self) = @_;

    $_->end($self->{left} || $self->{half} || $self->{stray} ? 'left'
                                                             : 'dropped')
        for values %{$self->{open}};
}


sub act {
    my ($self, $does, $call) = @_;

    return if $self->{half} || $self->{stray} || $self->{stream}{closed};

    if ($does eq 'cancel') {
        $self->cancel($call->{stream});
        $self->ended($call, 'left');

    } elsif ($does eq 'half') {
        $self->half_close();

    } elsif ($does eq 'more') {
        $self->ping();

    } elsif ($does eq 'stray') {
        $self->{stray} = 1;
        $self->frame($SETTINGS, 0, 0, 'x');

    } else {
        $self->leave($does eq 'reset' ? 'reset' : 'close');
    }
}


1;
