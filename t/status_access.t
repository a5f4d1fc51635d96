# Tests for who may have a credential tried: clients of this machine, and those
# that access control has let in. What is no such request is told so, and
# nothing is asked for.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::CA;
use Zertiban::Test;
use Zertiban::Try;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();
my $ca = Zertiban::CA->new($t->dir(), 'ca');

$ca->sign($_, san => 'IP:127.0.0.1') for qw(server client);
$t->write_file('users', "me:{PLAIN}word\n");

my $config = <<'EOF';
    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_proxied%% proxy_protocol;
        listen 127.0.0.1:%%PORT_h2%% http2;
        listen 127.0.0.1:%%PORT_tls%% ssl;
        listen unix:%%DIR%%/socket;

        ssl_certificate server.crt;
        ssl_certificate_key server.key;
        ssl_client_certificate ca.crt;

        location / {
            zertiban on;
            zertiban_token_endpoint %%IDP%%;
            zertiban_client_id gateway;
            zertiban_client_secret secret-of-gateway;
            zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;
            proxy_pass http://%%API%%;
        }

        location /status {
            zertiban_status;
        }

        location /small {
            client_body_buffer_size 16;
            zertiban_status;
        }

        location /file {
            client_body_in_file_only clean;
            zertiban_status;
        }

        # from here on the clients are those of other machines

        location /far/ {
            set_real_ip_from 127.0.0.1;
            real_ip_header X-Client;
            zertiban_status;

            location /far/loopback {
                zertiban_status;
            }

            location /far/allow {
                allow 192.0.2.0/24;
                zertiban_status;
            }

            location /far/all {
                allow all;
                zertiban_status;
            }

            location /far/rules {
                allow 192.0.2.0/24;
                deny all;
                zertiban_status;
            }

            location /far/basic {
                auth_basic who;
                auth_basic_user_file users;
                zertiban_status;
            }

            location /far/basic/off {
                auth_basic off;
                zertiban_status;
            }

            location /far/request {
                auth_request /auth;
                zertiban_status;
            }

            location /far/any {
                satisfy any;
                allow 192.0.2.1;
                deny all;
                auth_basic who;
                auth_basic_user_file users;
                zertiban_status;
            }

            location /far/post {
                zertiban_status;

                limit_except GET {
                    allow 192.0.2.1;
                    deny all;
                }
            }
        }

        location /auth {
            return 204;
        }

        location /mirrored {
            mirror /mirror;
            proxy_pass http://%%API%%;
        }

        location /mirror {
            internal;
            allow 127.0.0.1;
            deny all;
            zertiban_status;
        }

        location /redirected {
            set_real_ip_from 127.0.0.1;
            real_ip_header X-Client;
            error_page 404 = /far/rules;
            return 404;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_certificate%% ssl;
        listen 127.0.0.1:%%PORT_plain%%;

        set_real_ip_from 127.0.0.1;
        real_ip_header X-Client;

        ssl_certificate server.crt;
        ssl_certificate_key server.key;
        ssl_client_certificate ca.crt;
        ssl_verify_client on;

        location /status {
            zertiban_status;
        }
    }
EOF

$t->run($config, API => $api->address(), IDP => $idp->url());

my $id = fingerprint($t, 'gateway');

wait_until { $idp->count() };


# the status of the answer, and whether an outcome was told

sub tried {
    my (%o) = @_;

    my ($response, $said) = try_now($t, $id, %o);

    return "$response->{status} " . ($said->{outcome} // 'nothing');
}


sub from {
    my ($address, @more) = @_;

    return headers => ["X-Client: $address", @more];
}


# -- whose client it is

is(tried(), '200 ok', 'a client of this machine');

for my $header ('X-Forwarded-For: 192.0.2.1', 'X-Forwarded-For: 127.0.0.1',
                'X-Real-IP: 192.0.2.1', 'Forwarded: for=192.0.2.1',
                'Via: 1.1 proxy')
{
    is(tried(headers => [$header]), '403 nothing',
       "a client behind a proxy: $header");
}

my $proxied = Zertiban::Client->new($t->port('proxied'));

$proxied->{stream}->write("PROXY TCP4 192.0.2.1 127.0.0.1 1000 80\r\n");

is((outcome(start_try($t, $id, on => $proxied)))[0]{status}, 403,
   'a client of the PROXY protocol');

is(tried(uri => '/far/loopback', from('127.0.0.2')), '200 ok',
   'the address that nginx was told is of this machine');
is(tried(uri => '/far/loopback', from('::1')), '200 ok', '... also of IPv6');
is(tried(uri => '/far/', from('192.0.2.1')), '403 nothing',
   '... or of another one');

my ($response, $said) = try_now($t, $id, uri => '/far/', from('192.0.2.1'));

like($said->{error}, qr/clients of this machine.*"allow" and "deny"/,
     'it is told why');
ok($t->error_log(qr/\[error\].*refused: its client is not of this machine,/),
   'and so is the log');
is(join(' ', $response->header('Cache-Control')), 'no-store',
   'the answer is not kept');

like(curl('--unix-socket', $t->dir() . '/socket', '-d',
          "action=refresh&credential=$id", 'http://localhost/status'),
     qr/"outcome": "ok"/, 'a client of a unix socket');


# -- what has let it in

my $basic = 'Authorization: Basic bWU6d29yZA==';

is(tried(uri => '/far/allow', from('192.0.2.1')), '403 nothing',
   '"allow" alone refuses nobody, and lets nobody in');
is(tried(uri => '/far/all', from('192.0.2.1')), '403 nothing',
   '"allow all" neither');
is(tried(uri => '/far/rules', from('192.0.2.1')), '200 ok',
   '"allow" and "deny"');
is(tried(uri => '/far/rules', from('198.51.100.1')), '403 nothing',
   '... refuse others');
is(tried(uri => '/far/basic', from('192.0.2.1', $basic)), '200 ok',
   'auth_basic');
is(tried(uri => '/far/basic', from('192.0.2.1')), '401 nothing',
   '... refuses others');
is(tried(uri => '/far/basic/off', from('192.0.2.1', $basic)), '403 nothing',
   '... unless it is off');
is(tried(uri => '/far/request', from('192.0.2.1')), '200 ok', 'auth_request');
is(tried(uri => '/far/any', from('192.0.2.1')), '200 ok', 'one of both');
is(tried(uri => '/far/any', from('192.0.2.2', $basic)), '200 ok',
   '... or the other');
is(tried(uri => '/far/any', from('192.0.2.2')), '401 nothing',
   '... but not none');
is(tried(uri => '/far/post', from('192.0.2.1')), '200 ok',
   'rules for all but GET');
is(tried(uri => '/far/post', from('192.0.2.2')), '403 nothing',
   '... refuse others');
is($t->get('/far/post', from('192.0.2.2'))->{status}, 200,
   '... that may look');

my @tls = ('--cacert', $t->dir() . '/ca.crt', '-H', 'X-Client: 192.0.2.1',
           '-d', "action=refresh&credential=$id");
my @certificate = ('--cert', $t->dir() . '/client.crt', '--key',
                   $t->dir() . '/client.key');
my $url = 'https://127.0.0.1:' . $t->port('certificate') . '/status';

like(curl(@tls, @certificate, $url), qr/"outcome": "ok"/, 'a certificate');
like(curl(@tls, $url), qr/No required SSL certificate/, '... or not');

is((try_now($t, $id, port => 'plain', from('192.0.2.1')))[0]{status}, 403,
   '... nor without TLS');

$url = 'https://127.0.0.1:' . $t->port('tls') . '/far/';

like(curl(@tls, @certificate, $url), qr/clients of this machine/,
     'one that nobody has asked for');


# -- where access control does not look

is($t->start('POST', '/mirrored', body => "action=refresh&credential=$id",
             headers => ['Content-Type: application/x-www-form-urlencoded'])
     ->response()->{status}, 200, 'a mirrored request is served');
is(scalar($t->error_log(qr/"POST": ok.*mirrored/)), '',
   '... and its mirror has nothing tried');
is(tried(uri => '/redirected', from('127.0.0.1')), '403 nothing',
   'a redirect is looked at where it has come to');


# -- pages of other sites

my $origin = 'Origin: http://localhost';

my %sites = (
    'no browser'                => [200],
    'the same site'             => [200, $origin,
                                    'Sec-Fetch-Site: same-origin'],
    'somebody who types'        => [200, 'Sec-Fetch-Site: none'],
    'an older browser'          => [200, $origin],
    'the same site without a referrer'
                                => [200, 'Origin: null',
                                    'Sec-Fetch-Site: same-origin'],
    'another site'              => [403, 'Origin: http://other.test',
                                    'Sec-Fetch-Site: cross-site'],
    'another host of the site'  => [403, 'Sec-Fetch-Site: same-site'],
    'another site of an older browser'
                                => [403, 'Origin: http://other.test'],
    'another port'              => [403, 'Origin: http://localhost:81'],
    'a site that hides'         => [403, 'Origin: null'],
    'a name that begins so'     => [403, 'Origin: http://localhost.test'],
    'nothing'                   => [403, 'Origin: '],
);

for my $site (sort keys %sites) {
    my ($status, @headers) = @{$sites{$site}};

    is((try_now($t, $id, headers => \@headers))[0]{status}, $status,
       "a request of $site");
}


# -- what it says

my $long = 'action=refresh&x=' . 'x' x 1100;
my $half = substr $id, 0, 6;
my $percent = join '', map { sprintf '%%%02x', ord } split //, $id;

my %bodies = (
    'nothing'               => [400, '&'],
    'no action'             => [400, "credential=$id"],
    'another action'        => [400, "action=drop&credential=$id"],
    'half an action'        => [400, "action=refres&credential=$id"],
    'no credential'         => [400, 'action=refresh'],
    'another credential'    => [404, 'action=refresh&credential=000000000000'],
    'half a credential'     => [404, "action=refresh&credential=$half"],
    'too much'              => [413, $long],
    'a name in capitals'    => [200, 'action=refresh&credential=' . uc $id],
    'percent signs'         => [200, "action=%72efresh&credential=$percent"],
    'more'                  => [200, "x=y&&=&action=refresh&z&credential=$id&"],
    'something twice'       => [200, "action=drop&credential=x&credential=$id"
                                     . '&action=refresh'],
    'too many digits'       => [404, "action=refresh&credential=${id}0"],
    'another one behind it' => [404, "action=refresh&credential=$id"
                                     . '&credential=x'],
);

for my $uri (qw(/status /small /file)) {
    for my $what (sort keys %bodies) {
        my ($status, $body) = @{$bodies{$what}};

        is((try_now($t, $id, uri => $uri, body => $body))[0]{status}, $status,
           "$what to $uri");
    }
}

# in chunks, whose length nobody knows before

sub chunked {
    my ($uri, $body, $size) = @_;

    my @chunks = unpack "(a$size)*", $body;
    my $client = Zertiban::Client->new($t->port());

    $client->send(join "\r\n", "POST $uri HTTP/1.1", 'Host: localhost',
        'Content-Type: application/x-www-form-urlencoded; charset=utf-8',
        'Transfer-Encoding: chunked', 'Connection: close', '',
        map({ sprintf "%x\r\n%s", length, $_ } @chunks), 0, '', '');

    return (outcome($client))[0]{status};
}

for my $uri (qw(/status /small)) {
    is(chunked($uri, "action=refresh&credential=$id", $_), 200,
       "chunks of $_ bytes to $uri") for 1, 7, 50;
    is(chunked($uri, $long, $_), 413, "too much in chunks of $_ bytes to $uri")
        for 7, 2000;
}

for my $type ('text/plain', 'multipart/form-data; boundary=x',
              'application/x-www-form')
{
    is($t->start('POST', '/status', body => "action=refresh&credential=$id",
                 headers => ["Content-Type: $type"])->response()->{status},
       415, "a body of the type $type");
}

like(curl('--http2-prior-knowledge', '-d', "action=refresh&credential=$id",
          '-w', '%{http_version}',
          'http://127.0.0.1:' . $t->port('h2') . '/status'),
     qr/"outcome": "ok".*\n2$/s, 'HTTP/2');


# -- after a configuration that nginx has not taken

$t->config("$config no_such_directive;");
kill 'HUP', $t->{pid};
wait_until { $t->error_log(qr/unknown directive "no_such_directive"/) };

is(tried(uri => '/far/rules', from('192.0.2.1')), '200 ok',
   'the one before is in use');

$t->reload($config);

is(tried(uri => '/far/rules', from('192.0.2.1')), '200 ok',
   'the next one is read as the first one was');
is(tried(uri => '/far/rules', from('198.51.100.1')), '403 nothing',
   '... with what it refuses');


# nothing of all that was worth an exchange

is(exchanges_too_soon($idp), 0, 'there was one exchange in ten seconds');

$t->finish(allow => qr/unknown directive/);

done_testing();
