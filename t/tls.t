# Tests for TLS towards the IdP.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::CA;
use Zertiban::DNS;
use Zertiban::Server;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $t = Zertiban::Nginx->new();
my $dir = $t->dir();

my $root = Zertiban::CA->new($dir, 'root');
my $stranger = Zertiban::CA->new($dir, 'stranger');
my $middle = Zertiban::CA->new($dir, 'middle', issuer => $root);
my $low = Zertiban::CA->new($dir, 'low', issuer => $middle);

my $both = 'DNS:localhost,IP:127.0.0.1';


sub idp {
    my ($name, $ca, %o) = @_;

    my ($certificate, $key)
        = $ca->sign($name, san => $o{san} // $both, expired => $o{expired},
                    self_signed => $o{self_signed});

    $certificate = chain($name, @{$o{chain}}) if $o{chain};

    return Zertiban::IdP->new(host => $o{host} // '127.0.0.1', tls => {
        SSL_cert_file => $certificate, SSL_key_file => $key,
        %{$o{tls} || {}},
    });
}


sub chain {
    my ($name, @cas) = @_;

    return $t->write_file("$name.chain", join '',
        map { $t->read_file("$_.crt") } $name, map { $_->{name} } @cas);
}


my %client = (SSL_verify_mode => 0x03,
              SSL_ca_file => $stranger->certificate());

# without a certificate on either side
my $anonymous = 'aNULL:@SECLEVEL=0';

my %idp = (
    good => idp('good', $root),
    named => idp('named', $root, san => 'DNS:localhost'),
    numbered => idp('numbered', $root, san => 'IP:127.0.0.1'),
    other => idp('other', $root, san => 'DNS:other.example'),
    elsewhere => idp('elsewhere', $root, san => 'IP:127.0.0.2'),
    dotted => idp('dotted', $root, san => 'DNS:idp.test'),
    wild => idp('wild', $root, san => 'DNS:*.wild.example'),
    partial => idp('partial', $root, san => 'DNS:i*.wild.example'),
    expired => idp('expired', $root, expired => 1),
    alone => idp('alone', $root, self_signed => 1),
    revoked => idp('revoked', $root),
    lower => idp('lower', $middle, chain => [$middle]),
    lowest => idp('lowest', $low, chain => [$low, $middle]),
    old => idp('old', $root, tls => { SSL_version => 'TLSv1_2' }),
    new => idp('new', $root, tls => { SSL_version => 'TLSv1_3' }),
    cipher => idp('cipher', $root, tls => {
        SSL_version => 'TLSv1_2',
        SSL_cipher_list => 'ECDHE-ECDSA-AES128-GCM-SHA256',
    }),
    anonymous => Zertiban::IdP->new(tls => {
        SSL_version => 'TLSv1_2', SSL_cipher_list => $anonymous,
        SSL_cert_file => undef,
    }),
    mutual => idp('mutual', $root, tls => \%client),
    mutual_old => idp('mutual_old', $root, tls => {
        SSL_version => 'TLSv1_2', %client,
    }),
    cut => idp('cut', $root),
    refusal => idp('refusal', $root),
    ended => idp('ended', $root),
    abrupt => idp('abrupt', $root),
);

$stranger->sign('me');

my $crl = $root->crl('revoked');

my $dns = Zertiban::DNS->new(zone => { 'idp.test' => { A => ['127.0.0.1'] } });
my $resolver = 'resolver ' . $dns->address() . ';';

# name of the case => IdP, host, more directives, pattern of the reason
my @cases = (
    ['passes a good certificate', 'good', 'localhost', ''],
    ['passes an address that the certificate names', 'numbered',
     '127.0.0.1', ''],
    ['passes TLS 1.2', 'old', 'localhost', ''],
    ['passes TLS 1.3', 'new', 'localhost', ''],
    ['passes one CA between', 'lower', 'localhost', ''],
    ['passes two CAs between at depth 2', 'lowest', 'localhost',
     'zertiban_ssl_verify_depth 2;'],
    ['passes a certificate not on the CRL', 'good', 'localhost',
     "zertiban_ssl_crl $crl;"],
    ['passes another name that is configured', 'other', '127.0.0.1',
     'zertiban_ssl_name other.example;'],
    ['passes a host with a final dot', 'dotted', 'idp.test.', $resolver],
    ['passes a configured name with a final dot', 'other', '127.0.0.1',
     'zertiban_ssl_name other.example.;'],
    ['passes a wildcard', 'wild', '127.0.0.1',
     'zertiban_ssl_name idp.wild.example;'],
    ['passes without SNI', 'good', 'localhost',
     'zertiban_ssl_server_name off;'],
    ['passes a self-signed certificate without verification', 'alone',
     'localhost', 'zertiban_ssl_verify off;'],
    ['passes a wrong name without verification', 'other', 'localhost',
     'zertiban_ssl_verify off;'],
    ['passes with a client certificate', 'mutual', 'localhost',
     "zertiban_ssl_certificate $dir/me.crt;"
     . "zertiban_ssl_certificate_key $dir/me.key;"],
    ['passes with a client certificate and TLS 1.2', 'mutual_old',
     'localhost', "zertiban_ssl_certificate $dir/me.crt;"
     . "zertiban_ssl_certificate_key $dir/me.key;"],
    ['passes a cipher of the list', 'cipher', 'localhost',
     'zertiban_ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;'],
    ['passes a peer without a certificate where nothing is verified',
     'anonymous', 'localhost', 'zertiban_ssl_verify off;'
     . "zertiban_ssl_ciphers '$anonymous';"],
    ['passes an answer that ends with the connection', 'ended',
     'localhost', ''],
    ['passes a whole answer after which the connection is cut off',
     'abrupt', 'localhost', ''],

    ['refuses a wrong name', 'other', 'localhost', '',
     qr/certificate|verify|mismatch/i],
    ['refuses a wildcard for a part of a label', 'partial', '127.0.0.1',
     'zertiban_ssl_name idp.wild.example;', qr/certificate|verify|mismatch/i],
    ['refuses a configured name that is not there', 'good', 'localhost',
     'zertiban_ssl_name other.example;', qr/certificate|verify|mismatch/i],
    ['refuses a name where the certificate has an address', 'numbered',
     'localhost', '', qr/certificate|verify|mismatch/i],
    ['refuses a wrong name with a final dot', 'other', 'idp.test.',
     $resolver, qr/certificate|verify|mismatch/i],
    ['refuses an address where the certificate has a name', 'named',
     '127.0.0.1', '', qr/certificate|verify|mismatch/i],
    ['refuses a wrong address', 'elsewhere', '127.0.0.1', '',
     qr/certificate|verify|mismatch/i],
    ['refuses an expired certificate', 'expired', 'localhost', '',
     qr/expired/],
    ['refuses a self-signed certificate', 'alone', 'localhost', '',
     qr/self.signed/],
    ['refuses a revoked certificate', 'revoked', 'localhost',
     "zertiban_ssl_crl $crl;", qr/revoked/],
    ['refuses an unknown CA', 'good', 'localhost',
     'zertiban_ssl_trusted_certificate ' . $stranger->certificate() . ';',
     qr/unable to get (?:local )?issuer/],
    ['refuses two CAs between at the default depth', 'lowest', 'localhost',
     '', qr/chain too long/],
    ['refuses TLS 1.2 where only TLS 1.3 is allowed', 'old', 'localhost',
     'zertiban_ssl_protocols TLSv1.3;', qr/SSL|handshake/],
    ['refuses TLS 1.3 where only TLS 1.2 is allowed', 'new', 'localhost',
     'zertiban_ssl_protocols TLSv1.2;', qr/SSL|handshake/],
    ['refuses ciphers that are not in the list', 'cipher', 'localhost',
     'zertiban_ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384;',
     qr/SSL|handshake/],
    ['refuses a peer without a certificate', 'anonymous', 'localhost',
     "zertiban_ssl_ciphers '$anonymous';",
     qr/"\S+:\d+" has sent no certificate/],
    ['fails without the client certificate', 'mutual', 'localhost', '',
     qr/./],
    ['fails without the client certificate in TLS 1.2', 'mutual_old',
     'localhost', '', qr/./],
);

# where there is IPv6

if (IO::Socket::IP->new(LocalHost => '::1', Listen => 1)) {
    $idp{six} = idp('six', $root, san => 'IP:::1', host => '::1');
    $idp{not_six} = idp('not_six', $root, host => '::1');

    push @cases, ['passes an IPv6 address that the certificate names',
                  'six', undef, ''];
    push @cases, ['refuses a wrong IPv6 address', 'not_six', undef, '',
                  qr/certificate|verify|mismatch/i];
}

my @plain = (
    ['fails when the IdP closes in the handshake', 'closing',
     sub { $_[0]->close() }],
    ['fails when the IdP resets in the handshake', 'resetting',
     sub { $_[0]->reset() }],
    ['fails when the IdP speaks plain HTTP', 'plain',
     sub {
         $_[0]->write(Zertiban::API->text(400, "plain\n"));
         $_[0]->finish();
     }],
);

my $hanging = Zertiban::IdP->new();
my $without_store = idp('store', $root);

my $config = <<'EOF';
    zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;
    zertiban_client_id $uri;
    zertiban_client_secret secret-of-$uri;

    server {
        listen 127.0.0.1:%%PORT%%;
        zertiban_ssl_trusted_certificate %%DIR%%/root.crt;
EOF

sub location {
    my ($uri, $url, $more) = @_;

    return <<"EOF";
        location = $uri {
            zertiban on;
            zertiban_token_endpoint $url;
            $more
            proxy_pass http://%%API%%;
        }
EOF
}


my $n = 0;

for my $case (@cases) {
    my (undef, $idp, $host, $more) = @$case;

    $config .= location('/' . $n++, $idp{$idp}->url(host => $host), $more);
}

my @servers;

for my $case (@plain) {
    my $server = Zertiban::Plain->new(received => $case->[2]);

    push @servers, $server;
    $config .= location("/$case->[1]",
                        'https://' . $server->address() . '/token', '');
}

$config .= location('/hanging', 'https://' . $hanging->address() . '/',
                    'zertiban_timeout 500ms;');
$config .= location("/$_", $idp{$_}->url(host => 'localhost'), '')
    for qw(cut refusal);
$config .= "    }\n    server {\n        listen 127.0.0.1:%%PORT_store%%;\n"
           . location('/store', $without_store->url(host => 'localhost'), '')
           . "    }\n";

$t->run($config, API => $api->address());

my $whole = Zertiban::IdP::json(200, access_token => 'any-token',
                                expires_in => 300);
my $endless = $whole =~ s/Content-Length.*\r\n//r;


# an answer, and no close_notify after it

sub cut {
    my ($answer) = @_;

    return sub {
        my ($request) = @_;

        $request->reply($answer, keep => 1);
        return $request->close(cut => 1);
    };
}


$idp{cut}->answer(cut($endless));
$idp{refusal}->answer(cut("HTTP/1.1 400 Bad Request\r\n\r\n"
                          . '{"error":"invalid_client"}'));
$idp{abrupt}->answer(cut($whole));
$idp{ended}->answer($endless);


sub passes {
    my ($name, $uri) = @_;

    my $response = $t->get($uri);
    my $request = $api->last($uri);

    ok($response->{status} == 200 && $request
       && $request->token() =~ /token/, $name)
        or diag("$response->{status}, ", $t->error_log());
}


sub fails {
    my ($name, $uri, $reason, %o) = @_;

    my @before = $t->error_log(qr/no new token/);
    my $response = $t->get($uri, port => $o{port});
    my $error = $t->logged($uri)->{error};

    my @lines = $t->error_log(qr/no new token/);
    splice @lines, 0, @before;

    like("$response->{status} $error",
         $o{verdict} // qr/^503 idp_unreachable$/, $name);
    is(scalar @lines, 1, 'with one line in the error log')
        or diag(@lines);
    like($lines[0] // '', $reason, 'that says why');
    is($api->count($uri), 0, 'and no request to the API');
}


$n = 0;

for my $case (@cases) {
    my ($name, undef, undef, undef, $reason) = @$case;

    my $uri = '/' . $n++;
    $reason ? fails($name, $uri, $reason) : passes($name, $uri);
}

fails($_->[0], "/$_->[1]", qr/handshake|closed|reset|SSL/i) for @plain;
fails('fails when the IdP hangs in the handshake', '/hanging',
      qr/tim/, verdict => qr/^504 idp_timeout$/);
fails('refuses an answer that is cut off', '/cut', qr/was cut short/,
      verdict => qr/^502 idp_bad_response$/);
fails('takes a refusal that is cut off for one', '/refusal',
      qr/status 400, error "invalid_client"/,
      verdict => qr/^502 idp_rejected_client$/);
fails('refuses a CA that is not in the system\'s store', '/store',
      qr/unable to get (?:local )?issuer|self.signed/, port => 'store');


# what was sent

is($idp{numbered}{server_names}[0], undef,
   'no server name is sent for an address');
is($idp{old}{server_names}[0], 'localhost', 'the host is the server name');
is($idp{dotted}{server_names}[0], 'idp.test', 'without a final dot');
like(($idp{dotted}->requests())[0], qr/^Host: idp\.test\.:\d+\r$/m,
     'that the Host keeps');
is(join(' ', @{$idp{other}{server_names}}[0, 1]),
   'other.example other.example', 'zertiban_ssl_name is the server name');
is(join(' ', map { $_ // 'none' } @{$idp{good}{server_names}}[0 .. 2]),
   'localhost localhost none', 'zertiban_ssl_server_name turns it off');

is($idp{other}->count(), 3,
   'only where nothing is verified, a wrong name gets the credential');
is($idp{anonymous}->count(), 1, 'or a peer without a certificate');
is($idp{expired}->count(), 0, 'an expired certificate does not');
is($idp{alone}->count(), 1, 'a self-signed one does not');

like(scalar $t->error_log(), qr/\[warn\].*zertiban_ssl_verify/,
     'zertiban_ssl_verify off is worth a warning');

$t->finish();

done_testing();


package Zertiban::Plain;

# a server without TLS, which does as it is told when bytes come

use parent -norequire, 'Zertiban::Server';


sub new {
    my ($class, %o) = @_;

    return $class->SUPER::new(%o);
}


sub received {
    my ($self, $stream) = @_;

    $stream->{in} = '';
    $self->{received}->($stream);
}
