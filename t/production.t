# Tests for docs/examples/production.conf, as it is but for paths, addresses
# and ports: over TLS to an API and a token endpoint with a CA of their own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::SSL ();
use JSON::PP qw(decode_json);

use Zertiban::CA;
use Zertiban::DNS;
use Zertiban::Secrets;
use Zertiban::Test;

my $docs = "$FindBin::Bin/../docs";
my $host = 'nc-api.zertiban.com';
my $tenant = '7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11';

my $files = Zertiban::Nginx->new();    # not to be run
my $dir = $files->dir();

mkdir "$dir/$_" for qw(stranger log);

my $ca = Zertiban::CA->new($dir, 'ca');
my $stranger = Zertiban::CA->new("$dir/stranger", 'stranger');

$ca->sign('real', san => "DNS:$host");
$ca->sign('other', san => 'DNS:nc-api.zertiban.example');
$ca->sign('expired', san => "DNS:$host", expired => 1);
$stranger->sign('real', san => "DNS:$host");


# one context for all connections, since it takes long to make one

sub tls {
    my ($from, $name) = @_;

    return { SSL_reuse_ctx => IO::Socket::SSL::SSL_Context->new(
        SSL_server => 1, SSL_cert_file => $from->certificate($name),
        SSL_key_file => $from->key($name)) };
}


my $real = tls($ca, 'real');

my %wrong = (
    'of another CA' => tls($stranger, 'real'),
    'of another name' => tls($ca, 'other'),
    'that has expired' => tls($ca, 'expired'),
);

my $api = Zertiban::API->new(tls => $real);
my $idp = Zertiban::IdP->new(tls => $real);
my $dns = Zertiban::DNS->new(zone => { $host => { A => ['127.0.0.1'] } });

chmod 0600, $files->write_file('zertiban.credentials',
                               "3f0c9e0a secret-of-the-shop\n");
secret('secret-of-the-shop');


sub slurp {
    my ($name) = @_;

    open my $in, '<', "$docs/$name" or die "$name: $!";
    local $/;

    return scalar <$in>;
}


# what has to be there is there once

sub change {
    my ($text, $from, $to) = @_;

    my $n = () = $text =~ /$from/g;
    is($n, 1, "there is one $to") if $n != 1;

    return $text =~ s/$from/$to/r;
}


sub example {
    my ($text) = @_;

    $text = change($text, qr{https://\Q$host\E(?=/idp)},
                   "https://$host:$idp->{port}");
    $text = change($text, qr{^ +server +\K\Q$host\E:443(?=;)}m,
                   $api->address()) if $text =~ /^ +server .*:443;/m;
    $text = change($text, qr{127\.0\.0\.1:8080}, '127.0.0.1:%%PORT%%');
    $text = change($text, qr{^ +listen .*\K}m, ' resolver %%DNS%%;')
        if $text !~ /^ +resolver /m;

    $text =~ s{/etc/ssl/certs/ca-certificates\.crt}{$dir/ca.crt}g;
    $text =~ s{/etc/nginx/}{$dir/}g;
    $text =~ s{/var/log/nginx/}{%%DIR%%/logs/access-}g;

    return $text;
}


# the lines for a name that is looked up again take the place of those that
# look it up once

sub resolving {
    my ($text) = @_;

    $text =~ s/^ +server +\Q$host\E:443;\n//m;
    $text =~ s/^( +)# (?=(?:zone|resolver|server) )/$1/mg;
    $text =~ s/resolver +\K127\.0\.0\.53/%%DNS%%/g;
    $text =~ s/^ +server +\Q$host\E:\K443(?= resolve;)/$api->{port}/m;

    return $text;
}


my $production = slurp('examples/production.conf');

# the CA of the token endpoint is the system's, which this is for nginx

my %system = (env => { SSL_CERT_FILE => $ca->certificate() });
my $t = Zertiban::Nginx->new(%system, workers => 1);

sub verdict {
    my ($nginx, $text) = @_;

    $nginx->config($text, DNS => $dns->address());

    my ($binary, $dir) = ($nginx->binary(), $nginx->dir());

    return `SSL_CERT_FILE=$dir/ca.crt $binary -t -p $dir -c $dir/nginx.conf \\
            -e $dir/logs/test.log 2>&1` =~ s/ in \S+nginx\.conf:\d+//gr;
}


is(verdict($t, example($production))
   =~ s/^\w+: .* (?:is ok|is successful)\n//mgr, '',
   'nginx -t has no objection');

$t->run(example($production), DNS => $dns->address());


# calls

sub post {
    my ($uri, $length, @more) = @_;

    return $t->start('POST', $uri, body => 'x' x $length, @more);
}


is(join(' ', map { $t->get("/calls/$_")->{status} } 1 .. 20),
   join(' ', (200) x 20), 'calls are answered');
is(post('/pdf', 8_000_000)->response()->{status}, 200,
   'so is one with 8 MB');
is($api->last('/pdf')->{length}, 8_000_000, 'which arrives whole');
is($api->{connections}, 1, 'all of them take one connection to the API');
is(count_of(map { $_->tenant() } $api->requests()), "$tenant: 21",
   'with the tenant');
is(count_of(map { $_->token() } $api->requests()),
   ($idp->tokens('3f0c9e0a'))[0] . ': 21', 'and the token');
is($idp->count(), 1, 'for which there was one request');
is(count_of(map { $_->header('Host') } $api->requests()), "$host: 21",
   'to the host that is meant');
is(join(' ', @{$api->{server_names}}, @{$idp->{server_names}}),
   "$host $host", 'which is the name in TLS as well');
is(count_of(map { $_->header('Connection') } $api->requests()), '',
   'and no header closes the connection');
is(count_of(map { $_->{head} =~ /(\S+)\r\n/ } $api->requests()),
   'HTTP/1.1: 21', 'by HTTP/1.1');
is(($api->streams())[0]{fh}->get_sslversion(), 'TLSv1_3', 'and TLS 1.3');

my $logged = sub {
    my ($uri) = @_;
    my $line;

    wait_until {
        ($line) = grep { index($_, " $uri ") > 0 }
                  split /^/, $t->read_file('logs/access-zertiban.log');
    };

    return $line;
};

like($logged->('/calls/1'),
     qr/^\S+\ \[\S+\]\ "GET\ \S+\ HTTP\S+"\ 200\ id=[0-9a-f]{32}\ time=\S+
        \ tenant=$tenant\ token=\w+\ wait=\S+\ error=-\ api=200$/x,
     'the log says what became of it');


# a payment is sent once

my $cut = sub { $_[0]{stream}->reset(); return };

$api->answer($cut);
is(post('/payment', 1000)->response()->{status}, 502,
   'a POST whose connection is cut is an error');
is($api->count('/payment'), 1, 'and was sent once');
$api->answer();
$t->get('/keep');
$api->answer(sub {
    my ($request) = @_;

    $api->answer();
    $request->{stream}->reset();

    return;
});
is($t->get('/question')->{status}, 200,
   'a GET on a kept connection that is cut is sent again');
is($api->count('/question'), 2, 'on a new one');


# what the gateway says itself is JSON

sub refused {
    my ($response, $status, $error, $name) = @_;

    my $body = eval { decode_json($response->{body}) } // {};

    is($response->{status}, $status, "$name: the status");
    is(join(' ', $response->header('Content-Type')), 'application/json',
       "$name: JSON");
    is(join(' ', map { $_ // '' } @$body{qw(status error)}),
       "$status $error", "$name: which says so");
    like($body->{request} // '', qr/^[0-9a-f]{32}$/, "$name: by number");
}


refused(post('/large', 0, headers => ['Content-Length: 17000000'])->response(),
        413, 'gateway', 'a body that is too large');
refused($t->get('/zertiban-error'), 404, 'gateway', 'the page for errors');
refused(Zertiban::Client->new($t->port())->send("GET / HTTP/1.1\r\n\r\n")
        ->response(), 400, 'gateway', 'a request without a host');
refused(Zertiban::Client->new($t->port())->send("nonsense\r\n\r\n")
        ->response(), 400, 'gateway', 'what is no request');

$api->answer($api->text(422, '{"error":"of the API"}',
                        'Content-Type: application/problem+json'));
my $response = $t->get('/unprocessable');
is("$response->{status} $response->{body}", '422 {"error":"of the API"}',
   'what the API says reaches the client as it is');
$api->answer($api->text(503, 'down'));
$response = $t->get('/down');
is("$response->{status} $response->{body}", '503 down', 'errors too');
$api->answer();


# an API that is not the real one

for my $kind (sort keys %wrong) {
    my $before = $api->count();

    $_->close() for $api->streams();
    $api->{tls} = $wrong{$kind};

    refused($t->get('/wrong'), 502, 'gateway',
            "an API with a certificate $kind");
    is($api->count(), $before, "an API with a certificate $kind gets nothing");
}

is(scalar(my @lines = $t->error_log(qr/upstream SSL certificate/)), 3,
   'and the log says why');

$api->{tls} = $real;
is($t->get('/real')->{status}, 200, 'the real one is asked again');
$t->finish();


# a token endpoint that is not

for my $kind (sort keys %wrong) {
    my $before = $api->count();

    $idp->{tls} = $wrong{$kind};
    $t = Zertiban::Nginx->new(%system);
    $t->run(example($production), DNS => $dns->address());

    my $response = $t->get('/wrong');

    refused($response, 503, 'idp_unreachable',
            "a token endpoint with a certificate $kind");
    like(join(' ', $response->header('Retry-After')), qr/^\d+$/,
         "a token endpoint with a certificate $kind: when to try again");
    is($api->count(), $before,
       "a token endpoint with a certificate $kind: nothing is sent");
    $t->finish();
}

is($idp->count(), 1, 'and none of them got the secret');
$idp->{tls} = $real;


# DNS that is down at the start, and comes

sub early_and_late {
    my ($name, $text) = @_;

    my $zone = delete $dns->{zone}{$host};

    $t = Zertiban::Nginx->new(%system);

    is(verdict($t, $text) =~ s/^\w+: .* (?:is ok|is successful)\n//mgr, '',
       "$name: nginx -t has no objection");

    $t->run($text, DNS => $dns->address());
    refused($t->get('/early'), 503, 'idp_unreachable', "$name: without DNS");

    $dns->{zone}{$host} = $zone;
    $dns->{queries} = [];

    wait_until { $dns->count($host) } 60;
    ok(wait_until(sub { $t->get('/late')->{status} == 200 }, 60),
       "$name: and with it");

    $_->close() for $api->streams();
    $api->{tls} = $wrong{'of another CA'};
    refused($t->get('/wrong'), 502, 'gateway',
            "$name: an API with a wrong certificate");
    $api->{tls} = $real;

    $t->finish();
}


# the way of operations.md that every version has

my ($set) = slurp('operations.md') =~ /^ +(set +\$zertiban_api .*;)$/m;
my ($pass) = slurp('operations.md') =~ /^ +(proxy_pass +.*\$zertiban_api);$/m;

my $variable = $production =~ s/^upstream .*?^}\n//msr
                           =~ s/^ +listen .*\K/ $set/mr
                           =~ s/proxy_pass .*(?=;)/$pass:$api->{port}/r;

early_and_late('a variable', example($variable));

# "resolve"

$t = Zertiban::Nginx->new(%system);

if (Zertiban::Nginx::version() < 1027003) {
    like(verdict($t, example(resolving($production))),
         qr/^\w+: \[emerg\] .*resolve/m,
         'nginx has no "resolve" before 1.27.3');

} else {
    early_and_late('resolve', example(resolving($production)));
}

done_testing();
