# Tests for secrets with all kinds of characters. RFC 6749, section 2.3.1, has
# client id and secret form-encoded before they are put into HTTP Basic, and
# providers that others wrote decode them. nginx sends what it is given, as
# most clients do: a secret that the decoding would change has to be given
# as the provider expects it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";

use Zertiban::Gateway;
use Zertiban::Test;

my $gateway = Zertiban::Gateway->new(ttl => 300);

my %same = (
    unreserved => 'az-AZ_09.~az-AZ_09.~',
    reserved => q{a:secret/with?all#of[these]@and!these$&'()*,;=},
    others => q{a"secret<with>these\\^`{|}},
    spaces => 'a secret with spaces ',
    base64 => 'c2VjcmV0LW9mLWEtY2xpZW50/w==',
    long => join('', map { chr(ord('A') + $_ % 26) } 1 .. 200),
);

my %decoded = (
    plus => 'a+secret+with+pluses',
    percent => 'a-secret%41with%7Eescapes',
);

# what is no escape, which some providers take as it is

my $lone = 'a-secret-100%-safe';

$gateway->locations($_, secret => $same{$_}) for sort keys %same;

for my $name (sort keys %decoded) {
    $gateway->locations("raw-$name", secret => $decoded{$name});
    $gateway->locations("encoded-$name", known => $decoded{$name},
                        secret => encoded($decoded{$name}));
}

$gateway->locations('raw-lone', secret => $lone);
$gateway->locations('encoded-lone', known => $lone, secret => encoded($lone));

$gateway->run();


sub encoded {
    my ($text) = @_;

    return $text =~ s/([^A-Za-z0-9_.~-])/sprintf '%%%02X', ord $1/ger;
}


sub gives {
    my ($pattern, $uri, $name) = @_;

    like(Zertiban::Gateway::seen($gateway->get($uri)), $pattern,
         "$uri: $name");
}


for my $kind (@Zertiban::Gateway::kinds) {

    gives(qr/^200 /, "/$kind/$_", 'sent as it is') for sort keys %same;

    for my $name (sort keys %decoded) {
        gives(qr/^502 error idp_rejected_client$/, "/$kind/raw-$name",
              'refused, as the provider decodes it');
        gives(qr/^200 /, "/$kind/encoded-$name", 'encoded, it is right');
    }

    gives($kind eq 'django' ? qr/^200 / : qr/^502 error idp_rejected_client$/,
          "/$kind/raw-lone", 'as the provider takes it');
    gives(qr/^200 /, "/$kind/encoded-lone", 'encoded, it is right');
}

$gateway->finish();

done_testing();
