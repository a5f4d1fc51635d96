package Zertiban::Storm::HTTP1;

# A client of HTTP/1.1: one call after the other, or several without waiting.

use strict;
use warnings;

use parent qw(Zertiban::Storm::Session);

use Zertiban::Loop qw(after);
use Zertiban::Message;
use Zertiban::Storm::Bodies;

# what is done without leaving
my %methods = (half => 'half_close', more => 'more', stray => 'stray');


# {due} are calls that have been sent, at least in part, and not answered

sub start {
    my ($self) = @_;

    $self->{due} = [];
    $self->next_call();
}


sub next_call {
    my ($self) = @_;

    my $call = shift @{$self->{calls}} or return;

    push @{$self->{due}}, $call;
    $self->{sending} = $call;
    $call->{protocol} = $self->{pipelined} ? 'pipelined' : 'HTTP/1.1';
    $call->{behind} = "behind $self->{before}{n}, /$self->{before}{way}{name}"
        if $self->{before};
    $call->begin($self);

    my ($head, @body) = $self->bytes($call);

    if ($call->{expects}) {
        $self->{waiting} = [$call, $call->pieces('', @body)];
        $self->{stream}->write($head);
        after(1, sub { $self->continue() if $self->waits($call) });

    } else {
        $self->send_pieces($call, $call->pieces($head, @body));
    }
}


sub bytes {
    my ($self, $call) = @_;

    my $body = $call->{body};
    my $sized = $body->{size} || $call->{method} =~ /^P[^R]/;

    my $head = join "\r\n",
        "$call->{method} $call->{uri} HTTP/1.$call->{minor}",
        'Host: localhost', $call->fields(),
        $call->{chunked} ? 'Transfer-Encoding: chunked'
            : $sized     ? "Content-Length: $body->{size}" : (),
        $call->{expects} ? 'Expect: 100-continue' : (), '', '';

    return ($head, $body->{bytes}) if !$call->{chunked};

    my $size = $call->{dice}->one(700, 5000, 60_000);

    return ($head, Zertiban::Storm::Bodies::chunks($body->{bytes}, $size),
            "0\r\n\r\n");
}


# whether a call's body waits for a word of nginx

sub waits {
    my ($self, $call) = @_;

    my $waiting = $self->{waiting};

    return $waiting && $waiting->[0] == $call;
}


# 100, or nothing for a second

sub continue {
    my ($self) = @_;

    my $waiting = delete $self->{waiting} or return;

    $self->send_pieces(@$waiting);
}


sub send_pieces {
    my ($self, $call, @pieces) = @_;

    return if $self->{stream}{closed} || $self->{half};

    my $piece = shift @pieces;

    if ($piece->[0]) {
        $call->event('sending');

        return after($piece->[0], sub {
            $self->send_pieces($call, [0, $piece->[1]], @pieces);
        });
    }

    $self->alive();
    $self->{stream}->write($piece->[1]);

    return $self->send_pieces($call, @pieces) if @pieces;

    delete $self->{sending};
    $call->event('sent');
    $self->proceed();
}


sub proceed {
    my ($self) = @_;

    return if $self->{sending} || $self->{half} || $self->{stream}{closed};

    my $due = @{$self->{due}};

    return $self->leave('close')
        if $self->{last} || !$due && ($self->{partial} || !@{$self->{calls}});

    # whatever nginx takes for no request ends the connection
    $self->next_call() if !$self->{stray} && ($self->{pipelined} || !$due);
}


sub received {
    my ($self, $eof) = @_;

    my $in = \$self->{stream}{in};

    while ($$in ne '' || $eof) {
        my $call = $self->{due}[0];
        my $message = $self->{message} //= Zertiban::Message->new(
            head_only => $call && $call->{method} eq 'HEAD');

        $message->feed($in, $eof) or last;
        delete $self->{message};

        $self->response($message);
        last if $$in eq '';
    }
}


sub response {
    my ($self, $message) = @_;

    my $status = $message->{status} // 0;

    $self->search($message->{head} . $message->{body});

    return $self->continue() if $status == 100;
    return if $status > 100 && $status < 200;

    my $call = shift @{$self->{due}};

    $self->{storm}->fault(answers => $call // (), "it is told $status, "
                          . length($message->{head}) . ' bytes of head')
        if !$status || !$call && !$self->{stray};

    return if !$call;

    # nginx does not keep a connection on which a filter has the last word
    $self->{last} = 1 if $call->{if_match} || $call->{way}{streams}
        || grep { lc eq 'close' } $message->header('Connection');

    # a client that is told so early sends no body
    if ($self->waits($call)) {
        delete @{$self}{qw(waiting sending)};
        $self->{last} = 1;
    }

    $self->{before} = $call;
    $call->end('answered', $status, $message->{body});
    $self->proceed();
}


# those that are in flight

sub calls {
    my ($self) = @_;

    return @{$self->{due}};
}


sub gone {
    my ($self) = @_;

    $self->received(1);

    my @due = @{$self->{due}};

    # of a response that has ended too early the status is known
    my $status = $self->{message} && $self->{message}{status};

    if (@due && $status) {
        (shift @due)->end('cut', $status);
        $self->{last} = 1;
    }

    # what nginx has to say may be lost with what it has not read, and what was
    # left of the call before, such as an update of the cache, may have failed
    $self->{last} ||= $self->may_be_cut(@due)
                      || $self->{before} && $self->{before}{cut} if @due;

    for my $call (@due) {
        my $may = $self->{left} || $self->{stray} || $self->{last}
                  || $self->{half} && $call != $self->{half};

        $call->end($may ? 'left' : 'dropped');
    }
}


# a reset takes with it what has come and was not read: it may be the end of a
# later call

sub may_be_cut {
    my ($self, @due) = @_;

    my $last = $self->{stream}{error} ? $#due : 0;

    return scalar grep { $due[$_]->may_be_cut($_ < $#due)
                         || $_ && $due[$_]{way}{streams} } 0 .. $last;
}


sub act {
    my ($self, $does) = @_;

    return if $self->{half} || $self->{stray} || $self->{stream}{closed};

    my $method = $methods{$does};

    return $self->$method() if $method;

    $self->leave($does eq 'reset' ? 'reset' : 'close');
}


# nginx serves a request that it has, if clients of the location may go; but it
# may still be at the one before, whose answer is there

sub half_close {
    my ($self) = @_;

    my ($call, $before) = ($self->{due}[0], $self->{before});
    my $served = !$self->{sending} && $call && $call->{way}{ignores}
                 && (!$before || $before->{way}{ignores});

    $self->SUPER::half_close();
    $self->{half} = $call if $served && $self->{half};
}


# the next request before its time, or a part of one

sub more {
    my ($self) = @_;

    return if $self->{sending};
    return $self->next_call() if @{$self->{calls}};

    $self->{stray} = $self->{partial} = 1;
    $self->{stream}->write("POST /kept HTTP/1.1\r\nHo");
}


sub stray {
    my ($self) = @_;

    return if $self->{sending};

    $self->{stray} = 1;
    $self->{stream}->write("\0\1 no request\r\n\r\n");
}


1;
