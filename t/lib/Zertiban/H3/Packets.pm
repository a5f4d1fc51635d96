package Zertiban::H3::Packets;

# QUIC's packets of one level: sealed, opened, and what was received.

use strict;
use warnings;

use Crypt::AuthEnc::GCM qw(gcm_decrypt_verify gcm_encrypt_authenticate);
use Crypt::Cipher;
use Crypt::KeyDerivation qw(hkdf_extract);
use Exporter qw(import);

use Zertiban::H3::TLS;

our @EXPORT_OK = qw(number take_number);

my %type = (initial => 0, handshake => 2);
my $salt = pack 'H*', '38762cf7f55934b34d179ae6a4c80cadccbb7f0a';


# level is "initial", "handshake" or "application"

sub new {
    my ($class, $level) = @_;

    return bless { level => $level, next => 0, largest => -1, got => {},
                   sent => {} }, $class;
}


# the secrets of the first level come from the server's first name

sub initial {
    my ($class, $name) = @_;

    my $secret = hkdf_extract($name, $salt, 'SHA256');

    return $class->new('initial')->secrets(
        map { Zertiban::H3::TLS::expand($secret, "$_ in", 32) }
        qw(client server));
}


sub secrets {
    my ($self, @secrets) = @_;

    @$self{qw(out in)} = map { keys_of($_) } @secrets;

    return $self;
}


sub keys_of {
    my ($secret) = @_;

    my ($key, $iv, $hp) = map {
        Zertiban::H3::TLS::expand($secret, "quic $_->[0]", $_->[1])
    } ['key', 16], ['iv', 12], ['hp', 16];

    return { key => $key, iv => $iv,
             cipher => Crypt::Cipher->new('AES', $hp) };
}


# numbers of variable length

sub number {
    my ($n) = @_;

    return pack 'C', $n if $n < 0x40;
    return pack 'n', 0x4000 | $n if $n < 0x4000;
    return pack 'N', 0x80000000 | $n if $n < 0x40000000;
    return pack 'Q>', (3 << 62) | $n;
}


sub take_number {
    my ($bytes) = @_;

    my $length = 1 << (ord($$bytes) >> 6);

    return if length $$bytes < $length;

    my $n = substr $$bytes, 0, $length, '';

    return unpack('Q>', "\0" x (8 - $length) . $n)
           & ((1 << (8 * $length - 2)) - 1);
}


sub nonce {
    my ($keys, $n) = @_;

    return $keys->{iv} ^ "\0\0\0\0" . pack 'Q>', $n;
}


# a packet of frames, to "to" from "from"; returns its number, too

sub seal {
    my ($self, $payload, $to, $from) = @_;

    my $keys = $self->{out};
    my $n = $self->{next}++;

    # what protects the header takes a sample of 16 bytes behind the number
    $payload .= "\0" x (4 - length $payload) if length $payload < 4;

    my $head = $self->{level} eq 'application'
        ? "\x43$to"
        : pack('C N C/a C/a', 0xc3 | $type{$self->{level}} << 4, 1, $to, $from)
          . ($self->{level} eq 'initial' ? "\0" : '')
          . number(4 + 16 + length $payload);

    my $place = length $head;
    $head .= pack 'N', $n & 0xffffffff;

    my $packet = $head . join '', gcm_encrypt_authenticate(
        'AES', $keys->{key}, nonce($keys, $n), $head, $payload);

    mask($keys, \$packet, $place, 4);

    return ($packet, $n);
}


sub mask {
    my ($keys, $packet, $place, $length) = @_;

    # a copy: newer ones do not read what substr() stands for
    my $sample = substr $$packet, $place + 4, 16;
    my $mask = $keys->{cipher}->encrypt($sample);
    my $bits = ord($$packet) & 0x80 ? 0x0f : 0x1f;

    substr($$packet, 0, 1) ^= chr(ord($mask) & $bits);

    $length //= 1 + (ord($$packet) & 3);
    substr($$packet, $place, $length) ^= substr $mask, 1, $length;

    return $length;
}


# the frames of a packet whose number is at "place"; nothing if it is none of
# this connection, or was there before

sub open {
    my ($self, $packet, $place) = @_;

    my $keys = $self->{in} or return;

    return if length $packet < $place + 20;

    my $length = mask($keys, \$packet, $place);
    my $n = $self->whole(unpack('N', "\0" x (4 - $length)
                                     . substr $packet, $place, $length),
                         8 * $length);
    my $head = substr $packet, 0, $place + $length, '';
    my $tag = substr $packet, -16, 16, '';

    my $payload = gcm_decrypt_verify('AES', $keys->{key}, nonce($keys, $n),
                                     $head, $packet, $tag);

    return if !defined $payload || $self->{got}{$n}++;

    $self->{largest} = $n if $n > $self->{largest};

    return $payload;
}


# a number of which only so many bits were sent

sub whole {
    my ($self, $n, $bits) = @_;

    my $window = 1 << $bits;
    my $expected = $self->{largest} + 1;

    $n |= $expected & ~($window - 1);

    return $n + $window if $n <= $expected - $window / 2;
    return $n - $window if $n > $expected + $window / 2 && $n >= $window;
    return $n;
}


# the frame that says what has come, the last 32 ranges of it

sub ack {
    my ($self) = @_;

    my @ranges;

    for my $n (sort { $b <=> $a } keys %{$self->{got}}) {
        if (@ranges && $ranges[-1][0] == $n + 1) {
            $ranges[-1][0] = $n;

        } else {
            last if @ranges == 32;
            push @ranges, [$n, $n];
        }
    }

    my $first = shift @ranges;
    my $low = $first->[0];
    my $frame = "\x02" . join '', map { number($_) }
                $first->[1], 0, scalar @ranges, $first->[1] - $first->[0];

    for my $range (@ranges) {
        $frame .= number($low - $range->[1] - 2)
                  . number($range->[1] - $range->[0]);
        $low = $range->[0];
    }

    return $frame;
}


1;
