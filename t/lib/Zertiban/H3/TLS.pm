package Zertiban::H3::TLS;

# The handshake of TLS 1.3 as QUIC has it, for a client that believes any
# server: X25519, AES with 128 bits and SHA-256, and nothing else.

use strict;
use warnings;

use Crypt::KeyDerivation qw(hkdf_expand hkdf_extract);
use Crypt::PK::X25519;
use Digest::SHA qw(hmac_sha256 sha256);

my ($SERVER_HELLO, $FINISHED) = (2, 20);
my ($ALPN, $VERSIONS, $KEY_SHARE, $PARAMETERS) = (16, 43, 51, 57);

my $zeros = "\0" x 32;


# parameters => those of the client's transport; on_secrets($level, $client,
# $server) comes with the secrets of the levels "handshake" and "application",
# on_finished($bytes) with the end of the client's handshake

sub new {
    my ($class, %o) = @_;

    my $key = Crypt::PK::X25519->new()->generate_key();
    my $self = bless { key => $key, in => '', %o }, $class;

    $self->{transcript} = $self->{hello} = $self->hello();

    return $self;
}


sub message {
    my ($type, $body) = @_;

    return pack('C', $type) . substr(pack('N', length $body), 1) . $body;
}


sub hello {
    my ($self) = @_;

    my @extensions = (
        [10, pack('n/a', pack 'n', 0x1d)],                # x25519
        [13, pack('n/a', pack 'n*', 0x403, 0x804, 0x401, 0x503, 0x805,
                                    0x501, 0x806, 0x601)],
        [$ALPN, pack('n/a', "\x02h3")],
        [$VERSIONS, pack('C/a', pack 'n', 0x304)],
        [$KEY_SHARE, pack('n/a', pack 'n n/a', 0x1d,
                          $self->{key}->export_key_raw('public'))],
        [$PARAMETERS, $self->{parameters}],
    );

    return message(1, pack('n a32 C/a n/a C/a n/a', 0x303,
                           join('', map { chr int rand 256 } 1 .. 32), '',
                           pack('n', 0x1301), "\0",
                           join '', map { pack 'n n/a', @$_ } @extensions));
}


# bytes of the server's handshake, in their order

sub received {
    my ($self, $bytes) = @_;

    $self->{in} .= $bytes;

    while (length $self->{in} >= 4) {
        my $length = 4 + unpack 'N', "\0" . substr $self->{in}, 1, 3;

        return if length $self->{in} < $length;

        $self->step(substr $self->{in}, 0, $length, '');
    }
}


sub step {
    my ($self, $message) = @_;

    my $type = ord $message;

    # tickets, for which there is no use
    return if $self->{done};

    $self->{transcript} .= $message;

    $self->server_hello($message) if $type == $SERVER_HELLO;
    $self->encrypted($message) if $type == 8;
    $self->finished() if $type == $FINISHED;
}


sub extensions {
    my ($bytes) = @_;

    return unpack '(n n/a)*', unpack 'n/a', $bytes;
}


sub server_hello {
    my ($self, $message) = @_;

    my ($cipher, $rest) = unpack 'x38 C/x n x a*', $message;

    die sprintf 'cipher %x', $cipher if $cipher != 0x1301;

    my %extensions = extensions($rest);
    my $public = Crypt::PK::X25519->new()->import_key_raw(
        substr($extensions{$KEY_SHARE}, 4), 'public');

    my $early = hkdf_extract($zeros, $zeros, 'SHA256');

    $self->{secret} = hkdf_extract($self->{key}->shared_secret($public),
                                   derive($early, 'derived', ''), 'SHA256');

    $self->{$_} = derive($self->{secret}, "$_ hs traffic",
                         $self->{transcript}) for qw(c s);
    $self->{on_secrets}->('handshake', @$self{qw(c s)});
}


# what the server says of its transport

sub encrypted {
    my ($self, $message) = @_;

    my %extensions = extensions(substr $message, 4);

    $self->{server_parameters} = $extensions{$PARAMETERS} // '';
}


sub finished {
    my ($self) = @_;

    my $master = hkdf_extract($zeros, derive($self->{secret}, 'derived', ''),
                              'SHA256');
    my @secrets = map { derive($master, "$_ ap traffic", $self->{transcript}) }
                  qw(c s);
    my $key = expand($self->{c}, 'finished', 32);

    $self->{done} = 1;
    $self->{on_finished}->(message($FINISHED, hmac_sha256(
        sha256($self->{transcript}), $key)));
    $self->{on_secrets}->('application', @secrets);
}


# HKDF-Expand-Label() and Derive-Secret() of RFC 8446

sub expand {
    my ($secret, $label, $length, $context) = @_;

    return hkdf_expand($secret, 'SHA256', $length,
                       pack 'n C/a C/a', $length, "tls13 $label",
                       $context // '');
}


sub derive {
    my ($secret, $label, $messages) = @_;

    return expand($secret, $label, 32, sha256($messages));
}


1;
