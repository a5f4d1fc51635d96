package Zertiban::Storm::Request;

# A request as a server of the storm gets it, while it comes, and the answer to
# it, in all the ways in which answers come and do not come.

use strict;
use warnings;

use Digest::MD5;

use Zertiban::Loop qw(after);
use Zertiban::Storm::Dice;

# what is not sent as a whole, and at once
my %styles = map { $_ => "send_$_" }
              qw(slow slower split drops kept_short half_head half_body reset);

my @ends = qw(close reset);


# takes its head from a buffer, or returns nothing

sub take {
    my ($class, $stream) = @_;

    my $end = index $stream->{in}, "\r\n\r\n";
    return if $end < 0;

    return $class->new($stream, substr $stream->{in}, 0, $end + 4, '');
}


sub new {
    my ($class, $stream, $head, %o) = @_;

    my $self = bless { stream => $stream, head => $head, left => 0,
                       got => 0, %o }, $class;

    ($self->{method}, $self->{uri}) = $head =~ /^(\S+) (\S+)/;
    ($self->{n}) = $head =~ /^x-call: (\d+)\r$/mi;
    ($self->{way}) = $head =~ /^x-way: (\S+)\r$/mi;

    if ($head =~ /^transfer-encoding: chunked\r$/mi) {
        $self->{chunked} = 1;

    } elsif ($head =~ /^content-length: (\d+)\r$/mi) {
        $self->{left} = $self->{length} = $1;
    }

    $self->{sum} = Digest::MD5->new();
    $stream->{last} = $self;

    return $self;
}


# all values of one field

sub header {
    my ($self, $name) = @_;

    return $self->{head} =~ /^$name:[ \t]*(.*?)\r$/gmi;
}


sub has_body {
    my ($self) = @_;

    return $self->{chunked} || $self->{length};
}


# takes what is of its body from a buffer; true when it is complete

sub feed {
    my ($self, $in) = @_;

    while (1) {
        $self->take_bytes($in) if $self->{left};

        return 0 if $self->{left};
        return 1 if !$self->{chunked};

        if ($$in =~ s/\A(?:\r\n)?0\r\n\r\n//) {
            $self->{chunked} = 0;
            return 1;
        }

        $$in =~ s/\A(?:\r\n)?([1-9a-f][0-9a-f]*)\r\n//i or return 0;
        $self->{left} = hex $1;
    }
}


sub take_bytes {
    my ($self, $in) = @_;

    my $bytes = substr $$in, 0, $self->{left}, '';

    $self->{sum}->add($bytes);
    $self->{left} -= length $bytes;
    $self->{got} += length $bytes;
}


sub digest {
    my ($self) = @_;

    return $self->{sum}->hexdigest();
}


# that is not to be changed by the order in which requests come

sub dice {
    my ($self, $seed, $attempt) = @_;

    return Zertiban::Storm::Dice->new($seed, $self->{n}, $attempt,
                                      unpack '%32N*', "$self->{way}    ");
}


# a whole answer: status, body, style, dice, fields; then() is called as soon
# as it is on its way

sub answer {
    my ($self, %o) = @_;

    my $style = $o{style};
    my $close = $style eq 'closing' || $style eq 'unframed';

    $self->{attempt}{style} = $style;
    $self->{answered} = 1;
    $self->{closes} = $close || $self->{wrap};

    my $body = $self->{method} eq 'HEAD' || $o{status} =~ /^(204|304)/
               ? '' : $o{body};
    my @length = $style eq 'unframed' || $self->{wrap} ? ()
               : $style eq 'chunked' ? 'Transfer-Encoding: chunked'
               : $o{status} =~ /^204/ ? ()
               : 'Content-Length: ' . length $o{body};

    $body = sprintf "%x\r\n%s\r\n0\r\n\r\n", length $body, $body
        if $style eq 'chunked' && $body ne '';

    my $bytes = join "\r\n",
        $self->{wrap} ? "Status: $o{status}" : "HTTP/1.1 $o{status} It",
        @{$o{fields} || []}, @length, $close ? 'Connection: close' : (), '',
        $body;

    $bytes = $self->{wrap}->($bytes) if $self->{wrap};
    $bytes = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n$bytes"
        if $o{hints};

    my $method = $styles{$style} // 'send_whole';
    $self->$method($bytes, $o{dice}, $o{then});
}


sub send_whole {
    my ($self, $bytes, $dice, $then) = @_;

    my $stream = $self->{stream};

    $self->{sent} = 1;
    $stream->write($bytes);
    $stream->finish() if $self->{closes};
    $then->() if $then;
}


sub send_slow {
    my ($self, $bytes, $dice, $then) = @_;

    after($dice->between(0.01, 0.4), sub {
        $self->send_whole($bytes, $dice, $then);
    });
}


sub send_slower {
    my ($self, $bytes, $dice, $then) = @_;

    after($dice->between(0.1, 3), sub {
        $self->send_whole($bytes, $dice, $then);
    });
}


sub send_split {
    my ($self, $bytes, $dice, $then) = @_;

    my $first = substr $bytes, 0, $dice->roll(length $bytes), '';

    $self->{stream}->write($first);
    after($dice->between(0.001, 0.05), sub {
        $self->send_whole($bytes, $dice, $then);
    });
}


# its first bytes come one by one

sub send_drops {
    my ($self, $bytes, $dice, $then, $n) = @_;

    $n //= 0;

    return $self->send_whole($bytes, $dice, $then) if $n == 25;

    $self->{stream}->write(substr $bytes, 0, 1, '');
    after(0.002, sub { $self->send_drops($bytes, $dice, $then, $n + 1) });
}


# the connection seems to be kept, and is not for long

sub send_kept_short {
    my ($self, $bytes, $dice, $then) = @_;

    $self->send_whole($bytes, $dice, $then);
    after($dice->between(0, 0.02), sub { $self->close('finish') });
}


# ends the connection, while another request is on it already, perhaps, which
# nginx then has no answer to, or not all of it

sub close {
    my ($self, $way) = @_;

    my $last = $self->{stream}{last} or return;

    $last->lost() if !$last->{sent} || $way eq 'reset';
    $self->{stream}->$way();
}


sub lost {
    my ($self) = @_;

    my $attempt = $self->{attempt};

    return if ($attempt->{outcome} // '') !~ /^(?:acted|refused)/;

    $attempt->{outcome} = $attempt->{acted} ? 'acted, no answer'
                                            : 'refused, perhaps';
    $attempt->{call}{cut} = 1;
}


sub send_half_head {
    my ($self, $bytes, $dice) = @_;

    $self->die_after(substr($bytes, 0, 12), $dice);
}


# the body is the rest that does not come

sub send_half_body {
    my ($self, $bytes, $dice, $then) = @_;

    # which nginx may have kept for itself until then
    $self->{attempt}{call}{cut} = 1;

    $self->die_after(substr($bytes, 0, index($bytes, "\r\n\r\n") + 5), $dice);
    $then->() if $then;
}


sub die_after {
    my ($self, $bytes, $dice) = @_;

    $self->{stream}->write($bytes);
    after($dice->one(0, 0.01), sub { $self->close($dice->one(@ends)) });
}


sub send_reset {
    my ($self, $bytes, $dice, $then) = @_;

    $self->{sent} = 1;
    $self->{stream}->write($bytes);
    $then->() if $then;
    after($dice->one(0, 0.005), sub { $self->close('reset') });
}


# no answer at all

sub drop {
    my ($self, $dice) = @_;

    $self->{answered} = 1;
    $self->close($dice->one(@ends));
}


1;
