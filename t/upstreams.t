# Tests for one token and one tenant, in requests to all kinds of upstream.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::CA;
use Zertiban::CGI;
use Zertiban::DNS;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $bad = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();

my $ca = Zertiban::CA->new($t->dir(), 'ca');
my ($certificate, $key) = $ca->sign('api', san => 'DNS:localhost');
my $tls = Zertiban::API->new(tls => { SSL_cert_file => $certificate,
                                      SSL_key_file => $key });

my $dns = Zertiban::DNS->new(
    zone => { 'api.test' => { A => ['127.0.0.1'] } });

my @protocols = qw(fastcgi scgi uwsgi);
my %cgi = map { $_ => Zertiban::CGI->new(protocol => $_) } @protocols;

my $tenant = '7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11';

my $cgi = join '', map {
    my $pass = <<"EOF";
            ${_}_param CONTENT_LENGTH \$content_length;
            ${_}_param REQUEST_METHOD \$request_method;
            ${_}_param REQUEST_URI \$request_uri;
EOF

    <<"EOF";
        location /$_ {
            ${_}_pass %%$_%%;
$pass
        }

        location /$_/next {
            ${_}_pass ${_}_behind_dead;
$pass
        }
EOF
} @protocols;

my $behind = join '', map {
    my $address = $_ eq 'proxy' ? '%%API%%'
                : $_ eq 'grpc'  ? '127.0.0.1:%%PORT_grpc%%'
                :                 "%%$_%%";

    <<"EOF";
    upstream ${_}_behind_dead {
        server 127.0.0.1:%%PORT_dead%%;
        server $address backup;
    }
EOF
} qw(proxy grpc), @protocols;

$t->run(<<'EOF' =~ s/%%CGI%%/$cgi/r =~ s/%%BEHIND%%/$behind/r,
%%BEHIND%%

    upstream behind_bad {
        server %%BAD%%;
        server %%API%% backup;
    }

    upstream kept {
        server %%API%%;
        keepalive 4;
    }

    map $http_upgrade $connection_upgrade {
        '' close;
        default upgrade;
    }

    log_format client '$request_uri authorization="$http_authorization"'
                      ' tenant="$http_x_tenant_id"';

    underscores_in_headers on;
    proxy_connect_timeout 5s;

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_h2%% http2;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id client$arg_client;
        zertiban_client_secret secret-of-client;
        zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;

        location / {
            proxy_pass http://%%API%%;
            access_log %%DIR%%/logs/client.log client;
        }

        location /shown {
            proxy_pass http://%%API%%;
            proxy_set_header X-Seen "$http_authorization $http_x_tenant_id";
            access_log %%DIR%%/logs/client.log client;
        }

        location /open {
            zertiban off;
            proxy_pass http://kept;
            proxy_http_version 1.1;
            proxy_set_header Connection '';
        }

        location /tls {
            proxy_pass https://%%TLS%%;
            proxy_ssl_verify on;
            proxy_ssl_name localhost;
            proxy_ssl_trusted_certificate %%DIR%%/ca.crt;
        }

        location /variable {
            resolver %%DNS%%;
            set $api api.test:%%API_PORT%%;
            proxy_pass http://$api;
        }

        location /kept {
            proxy_pass http://kept;
            proxy_http_version 1.1;
            proxy_set_header Connection '';
        }

        location /upgrade {
            proxy_pass http://%%API%%;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }

        location /next {
            proxy_pass http://proxy_behind_dead;
        }

        location /bad {
            proxy_pass http://behind_bad;
            proxy_next_upstream http_502;
        }

        location /grpc {
            grpc_pass grpc://127.0.0.1:%%PORT_grpc%%;
        }

        location /grpc/next {
            grpc_pass grpc://grpc_behind_dead;
        }

%%CGI%%
    }

    # shows what the gRPC upstream got as HTTP/1
    server {
        listen 127.0.0.1:%%PORT_grpc%% http2;
        access_log off;

        location / {
            proxy_pass http://%%API%%;
        }
    }
EOF
    API => $api->address(), BAD => $bad->address(), IDP => $idp->url(),
    TLS => $tls->address(), DNS => $dns->address(), API_PORT => $api->{port},
    map { $_ => $cgi{$_}->address() } @protocols);

# what a client must not be able to say
my @hostile = ('AUTHORIZATION: Bearer forged', 'X-Tenant-ID: forged',
               'x-tenant-id: forged', 'x_tenant_id: forged',
               'X-Other: kept');

# the first request waits for it
my $token;


sub gated {
    my ($request, $name) = @_;

    $token //= ($idp->tokens())[0];

    is($request ? $request->token() . ', ' . $request->tenant() : 'none',
       "$token, $tenant", $name);
}


sub status {
    my ($method, $uri, %o) = @_;

    return $t->start($method, $uri, headers => \@hostile,
                     %o)->response()->{status};
}


sub h2 {
    my ($uri, @arguments) = @_;

    my $output = curl('--http2-prior-knowledge', '-o', '/dev/null',
                      '-w', '%{http_version} %{http_code}', @arguments,
                      (map { ('-H', $_) } @hostile),
                      'http://127.0.0.1:' . $t->port('h2') . $uri);

    is($output, '2 200', "HTTP/2 request for $uri");
}


# clients

is(status('GET', '/cold'), 200, 'the first request');
gated($api->got('/cold'), 'has token and tenant');
is(status('GET', '/warm'), 200, 'the second request');
gated($api->got('/warm'), 'has token and tenant');
is(join(' ', $api->last('/warm')->header('X-Other')), 'kept',
   'other fields are kept');

is($t->get('/bare')->{status}, 200, 'a request without the fields');
gated($api->got('/bare'), 'has token and tenant');

is(status('GET', '/one/zero', minor => 0), 200, 'an HTTP/1.0 request');
gated($api->got('/one/zero'), 'has token and tenant');

Zertiban::Client->new($t->port())->send("GET /zero/nine\r\n");
gated($api->got('/zero/nine'), 'an HTTP/0.9 request has token and tenant');

h2('/two');
gated($api->got('/two'), 'has token and tenant');

for my $method (qw(GET HEAD POST PUT PATCH DELETE OPTIONS PROPFIND)) {
    is(status($method, "/method/$method"), 200, "a $method request");
    is($api->got("/method/$method")->{method}, $method, 'is passed as it is');
    gated($api->last("/method/$method"), 'with token and tenant');
}

my $client = $t->start('GET', '/first', connection => 'keep-alive',
                       headers => \@hostile);
is($client->response()->{status}, 200, 'a connection\'s first request');
$client->send("GET /second HTTP/1.1\r\nHost: localhost\r\n\r\n"
              . "GET /third HTTP/1.1\r\nHost: localhost\r\n\r\n");
is(count_of(map { $client->response()->{status} } 1 .. 2), '200: 2',
   'and two more in a pipe');
gated($api->got($_), "$_ has token and tenant") for qw(/second /third);
$client->leave();

# since 1.23.0 nginx refuses it by itself
my $twice = status('GET', '/twice', headers => [
    'Authorization: Bearer forged', 'authorization: Basic forged']);
ok($twice == 400 || $twice == 200 && $api->got('/twice')->token() eq $token,
   'a repeated Authorization is not passed');


# what the client sent stays what it was

is(status('GET', '/shown'), 200, 'a request with variables of its fields');
gated($api->got('/shown'), 'has token and tenant');
like(join(' ', $api->last('/shown')->header('X-Seen')),
     qr/^Bearer forged forged(?:, forged)*$/,
     'the variables show what the client sent');

wait_until { $t->read_file('logs/client.log') =~ m{^/shown }m };
like($t->read_file('logs/client.log'),
     qr{^/cold authorization="Bearer forged" tenant="forged}m,
     'also in the log');
like($t->read_file('logs/client.log'),
     qr{^/shown authorization="Bearer forged" tenant="forged}m,
     'also after the request was built');
like($t->read_file('logs/client.log'),
     qr{^/bare authorization="-" tenant="-"}m, 'or did not send');


# TLS, and names that are looked up for each request

is(status('GET', '/tls'), 200, 'a request to an API with TLS');
gated($tls->got('/tls'), 'has token and tenant');
is(status('GET', '/variable'), 200, 'a request to a name in a variable');
gated($api->got('/variable'), 'has token and tenant');


# connections that are kept

is($t->get('/kept/1')->{status}, 200, 'a request on a new connection');
is(status('GET', '/kept/2'), 200, 'a request on a kept connection');
gated($api->got($_), 'has token and tenant') for qw(/kept/1 /kept/2);

is(status('GET', '/open', headers => ['Authorization: Basic own']), 200,
   'a request of a location that is not gated');
is($api->got('/open')->token() . $api->last('/open')->tenant(), 'Basic own',
   'has only what the client sent');
is(count_of(map { $api->last($_)->{connection} }
            qw(/kept/1 /kept/2 /open)),
   $api->last('/open')->{connection} . ': 3', 'on the same connection');


# Upgrade

$client = $t->start('GET', '/upgrade', connection => 'upgrade',
                    headers => ['Upgrade: echo', @hostile]);
is($client->response()->{status}, 101, 'an upgraded connection');
gated($api->got('/upgrade'), 'has token and tenant');

$client->{stream}->write('to and fro');
ok(wait_until(sub { $client->{stream}{in} eq 'to and fro' }),
   'and carries bytes');
$client->leave();


# the next upstream

is(status('GET', '/next'), 200, 'a request after a dead upstream');
gated($api->got('/next'), 'has token and tenant');

$bad->answer($bad->text(502, "bad\n"));

is(status('GET', '/bad'), 200, 'a request after a bad upstream');
gated($bad->got('/bad'), 'had token and tenant there');
gated($api->got('/bad'), 'and has them here');


# other protocols

for my $protocol (@protocols) {
    for my $uri ("/$protocol", "/$protocol/next") {
        is(status('POST', $uri, body => 'x' x 100000), 200,
           "a request to $uri");
        gated($cgi{$protocol}->got($uri), 'has token and tenant');
        is(join(' ', $cgi{$protocol}->last($uri)->header('X-Other')),
           'kept', 'and other fields');
        is($cgi{$protocol}->last($uri)->{length}, 100000, 'and its body');
    }
}

for my $uri (qw(/grpc /grpc/next /grpc/one)) {
    $uri =~ /one/ ? is(status('GET', $uri), 200, "a request for $uri")
                  : h2($uri, '-H', 'TE: trailers', '-d', 'frames');
    gated($api->got($uri), 'has token and tenant');
    is(join(' ', $api->last($uri)->header('X-Other')), 'kept',
       'and other fields');
}


is($idp->count(), 1, 'one token request for all');


# requests that have to wait for a token, to all kinds of upstream

my %upstreams = (
    (map { ("/$_" => $cgi{$_}, "/$_/next" => $cgi{$_}) } @protocols),
    (map { ($_ => $api) } qw(/bad /grpc /grpc/next /kept /next /variable)),
    '/tls' => $tls,
);

$idp->hold();

my %waiting = map {
    ($_ => $t->start('POST', "$_?client=$_", body => 'x' x 100000,
                     headers => \@hostile))
} keys %upstreams;

wait_until { $idp->held() == keys %upstreams };
$idp->release();

for my $uri (sort keys %upstreams) {
    is($waiting{$uri}->response()->{status}, 200, "a wait before $uri");

    ($token) = $idp->tokens("client$uri");
    my $request = $upstreams{$uri}->got("$uri?client=$uri");

    gated($request, 'ends with token and tenant');
    is($request->{length}, 100000, 'and its body');
}

$t->finish();

done_testing();
