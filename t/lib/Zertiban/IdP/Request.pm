package Zertiban::IdP::Request;

use strict;
use warnings;

use MIME::Base64 qw(decode_base64);
use Socket qw(IPPROTO_TCP TCP_INFO);

use Zertiban::Loop qw(now after);


sub new {
    my ($class, %o) = @_;

    my $self = bless { time => came($o{stream}{fh}), %o }, $class;

    my ($authorization) = $self->{message}->header('Authorization');

    if (($authorization // '') =~ /^Basic (\S+)$/) {
        $self->{basic} = $1;
        @{$self}{qw(client_id client_secret)}
            = split /:/, decode_base64($1), 2;
    }

    return $self;
}


# when the last bytes came, also if this process was too busy to read them:
# by tcpi_last_data_recv, in milliseconds

sub came {
    my ($fh) = @_;

    return now() - unpack('x52 L', getsockopt $fh, IPPROTO_TCP, TCP_INFO)
                   / 1000;
}


sub raw {
    my ($self) = @_;

    return $self->{message}{head} . $self->{message}{body};
}


# the connection is closed after an answer, unless keep => 1

sub reply {
    my ($self, $bytes, %o) = @_;

    return if $self->{answered}++;

    $self->{stream}->write($bytes);
    $self->{stream}->finish() if !$o{keep};
}


sub reply_after {
    my ($self, $seconds, $bytes) = @_;

    after($seconds, sub { $self->reply($bytes) });

    return;
}


# without an answer: a clean end, a RST, or (TLS) an end without an alert

sub close {
    my ($self, %o) = @_;

    $self->{answered} = 1;
    $self->{stream}->close(%o);

    return;
}


sub reset {
    my ($self) = @_;

    $self->{answered} = 1;
    $self->{stream}->reset();

    return;
}


1;
