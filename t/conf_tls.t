#!/usr/bin/perl

# What OpenSSL cannot use is refused by its directive, file and line.

use strict;
use warnings;

use lib 't/lib';
use Zertiban::CA;
use Zertiban::Conf;

use Test::More;

my $ca = Zertiban::CA->new($dir, 'ca');

$ca->sign($_) for qw(client other);

my $crl = $ca->crl('other');

my %tls = (
    zertiban_token_endpoint          => 'https://127.0.0.1:9/token',
    zertiban_ssl_trusted_certificate => $ca->certificate(),
    zertiban_ssl_crl                 => $crl,
    zertiban_ssl_certificate         => $ca->certificate('client'),
    zertiban_ssl_certificate_key     => $ca->key('client'),
    zertiban_ssl_ciphers             => 'HIGH',
);

my $bad = "$dir/bad.pem";
my $empty = "$dir/empty.pem";

save($bad, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
save($empty, '');

my %pem = (
    'that is missing'   => "$dir/none.pem",
    'that is empty'     => $empty,
    'that is no PEM'    => $bad,
    'that is a directory' => $dir,
);

my %directives = (
    zertiban_ssl_trusted_certificate => qr/PEM file of CA certificates/,
    zertiban_ssl_crl                 => qr/PEM file of revocation lists/,
    zertiban_ssl_certificate         => qr/PEM files that belong together/,
    zertiban_ssl_certificate_key     => qr/PEM files that belong together/,
);

accepted('files that fit are accepted', location(%tls));

for my $directive (sort keys %directives) {
    for my $name (sort keys %pem) {
        named("$directive with a file $name is refused", $directive,
              location(%tls, $directive => $pem{$name}),
              $directives{$directive});
    }
}

named('a key of another certificate is refused',
      'zertiban_ssl_certificate_key',
      location(%tls, zertiban_ssl_certificate_key => $ca->key('other')),
      $directives{zertiban_ssl_certificate_key});

named('ciphers that OpenSSL does not know are refused', 'zertiban_ssl_ciphers',
      location(%tls, zertiban_ssl_ciphers => 'NONE-SUCH'),
      qr/NONE-SUCH.*is a list of ciphers/);


# -- where it stands

my $trusted = 'zertiban_ssl_trusted_certificate';

for my $level (qw(http server)) {
    my @outer = $level eq 'http' ? (["$trusted $dir/none.pem;"], [])
                                 : ([], ["$trusted $dir/none.pem;"]);

    my $line = named("a file named in the $level block is refused there",
                     $trusted,
                     http(@outer, location(%tls, $trusted => undef)),
                     $directives{$trusted});

    like($line, qr/^$trusted /, 'the line is that of the directive');
}

save("$dir/included.conf", "\n\n$trusted $dir/none.pem;\n");

my ($status, $lines) = check(http([], ["include $dir/included.conf;"],
                                  location(%tls, $trusted => undef)));

is($status, 1, 'a file named in an included one is refused');
like(join("\n", @$lines), qr/, in \Q$dir\E\/included\.conf:3$/m,
     'by the place in the included one');

accepted('files are not looked at where nothing is gated',
         "location /t { $trusted $dir/none.pem; }");

accepted('files are not looked at for plain http',
         location(%tls, $trusted => "$dir/none.pem",
                  zertiban_token_endpoint => 'http://127.0.0.1:9/token'));

done_testing();


# one line, which has the path and the reason of OpenSSL as well; returns the
# line of the configuration

sub named {
    my ($name, $directive, $conf, $why) = @_;

    refused($name, $directive, $conf, $why);

    my ($line) = grep { /\[emerg\]/ } @{ (check($conf))[1] };
    my ($number) = $line =~ /nginx\.conf:(\d+)$/;

    like($line, qr/failed|cannot load/, "$name: the line has the reason");

    return source_line($number);
}
