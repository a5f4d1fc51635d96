package Zertiban::JWT;

# A signed JWT, verified by the openssl tool rather than by the library that
# made it.

use strict;
use warnings;

use File::Temp;
use JSON::PP qw(decode_json);
use MIME::Base64 qw(decode_base64url encode_base64);

use Zertiban::CA;

my %verified;


# The claims of a token that is signed with one of the keys, a JWK set, by an
# issuer for an audience, and has not expired; or nothing.

sub claims {
    my ($token, %o) = @_;

    my ($header, $payload, $signature) = split /\./, $token, 3;

    return if !defined $signature;

    my $head = decode_json(decode_base64url($header));
    my $claims = decode_json(decode_base64url($payload));

    return if $head->{alg} ne 'RS256' || $head->{typ} ne 'at+jwt';

    my ($key) = grep { $_->{kid} eq $head->{kid} } @{$o{keys}{keys}};

    return if !$key || $claims->{iss} ne $o{iss} || $claims->{aud} ne $o{aud};
    return if time() >= $claims->{exp};

    $verified{"$token $key->{n}"} //= signed(
        "$header.$payload", decode_base64url($signature), $key);

    return $verified{"$token $key->{n}"} ? $claims : undef;
}


sub signed {
    my ($text, $signature, $key) = @_;

    my ($pem, $sig, $data) = map { my $file = File::Temp->new();
                                   print $file $_;
                                   close $file;
                                   $file } pem($key), $signature, $text;

    return eval {
        Zertiban::CA::openssl('dgst', '-sha256', '-verify', "$pem",
                              '-signature', "$sig", "$data");
        1;
    } // 0;
}


# RSAPublicKey, in a SubjectPublicKeyInfo

sub pem {
    my ($key) = @_;

    # an INTEGER whose first bit is set would be negative
    my $rsa = der(0x30, map { der(0x02, s/\A(?=[\x80-\xff])/\0/r) }
                        map { decode_base64url($_) } @{$key}{qw(n e)});

    # 1.2.840.113549.1.1.1, and NULL for its parameters
    my $algorithm = der(0x30, pack 'H*', '06092a864886f70d0101010500');
    my $info = der(0x30, $algorithm, der(0x03, "\0$rsa"));

    return "-----BEGIN PUBLIC KEY-----\n" . encode_base64($info)
           . "-----END PUBLIC KEY-----\n";
}


sub der {
    my ($tag, @content) = @_;

    my $content = join '', @content;
    my $length = length $content;

    return pack('CC', $tag, $length) . $content if $length < 128;
    return pack('CCn', $tag, 0x82, $length) . $content;
}


1;
