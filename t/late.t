# Tests for requests that do not reach the API while their token lives: it is
# never sent past its expiry, to no server and by no protocol.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::IP;

use Zertiban::CA;
use Zertiban::CGI;
use Zertiban::DNS;
use Zertiban::Loop;
use Zertiban::Revocation;
use Zertiban::Test;

use constant LIFETIME => 4;

my $idp = Zertiban::IdP->new(expires_in => LIFETIME);
my $dns = Zertiban::DNS->new(zone => { 'late.example' => undef });
my $t = Zertiban::Nginx->new(workers => 2);
my $ca = Zertiban::CA->new($t->dir(), 'root');
my $tokens = Zertiban::Revocation->new($t, $idp);

$ca->sign('api', san => 'DNS:api.example');

# what never answers; what takes its time for a handshake; and the API

my $mute = Zertiban::API->new();
my $api = Zertiban::API->new();
my $handshake = Zertiban::API->new(tls => {
    SSL_cert_file => $ca->certificate('api'), SSL_key_file => $ca->key('api'),
});
my $cgi = Zertiban::CGI->new(protocol => 'fastcgi');
my $mute_cgi = Zertiban::CGI->new(protocol => 'fastcgi');

$_->answer(sub { return }) for $mute, $mute_cgi;
$api->answer(sub { $tokens->answer($_[0]) // $api->default($_[0]) });
Zertiban::Loop::unwatch($handshake->{listener});

# a listener whose queue is full: a connection to it is not made before there
# is room again

my $full = IO::Socket::IP->new(LocalHost => '127.0.0.1', Listen => 1,
                               Type => Socket::SOCK_STREAM) or die $@;
my @queue = map {
    IO::Socket::IP->new(PeerHost => '127.0.0.1',
                        PeerPort => $full->sockport(), Blocking => 0,
                        Type => Socket::SOCK_STREAM)
} 1 .. 4;

my %servers = (API => $api, MUTE => $mute, HANDSHAKE => $handshake,
               CGI => $cgi, MUTE_CGI => $mute_cgi);

$t->run(<<'EOF', FULL => '127.0.0.1:' . $full->sockport(),
    upstream behind_mute {
        server %%MUTE%% max_fails=0;
        server %%API%% backup;
    }

    upstream behind_full {
        server %%FULL%%;
        server %%API%% backup;
    }

    upstream before_full {
        server %%API%%;
        server %%FULL%%;
    }

    upstream cgi_behind_mute {
        server %%MUTE_CGI%%;
        server %%CGI%% backup;
    }

    # may be down for a while if it has failed once
    upstream api {
        server %%API%% max_fails=1 fail_timeout=60s;
        server %%API%% max_fails=1 fail_timeout=60s;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant-$arg_client;

        proxy_read_timeout 4s;
        proxy_connect_timeout 4s;
        fastcgi_read_timeout 4s;
        fastcgi_param REQUEST_METHOD $request_method;
        fastcgi_param REQUEST_URI $request_uri;

        add_header X-Seen "$zertiban_cache $zertiban_error $upstream_status"
                          always;

        location / {
            proxy_pass http://api;
        }

        location /mute {
            proxy_pass http://behind_mute;
        }

        location /soon {
            proxy_read_timeout 1s;
            proxy_pass http://behind_mute;
        }

        location /full {
            proxy_pass http://behind_full;
        }

        location /again {
            proxy_connect_timeout 20s;
            proxy_next_upstream off;
            proxy_pass http://before_full;
        }

        location /fastcgi {
            fastcgi_pass cgi_behind_mute;
        }

        location /grpc {
            grpc_connect_timeout 4s;
            grpc_pass grpc://behind_full;
        }

        location /connect {
            proxy_connect_timeout 20s;
            proxy_pass http://%%FULL%%;
        }

        location /handshake {
            proxy_ssl_verify on;
            proxy_ssl_name api.example;
            proxy_ssl_trusted_certificate %%DIR%%/root.crt;
            proxy_pass https://%%HANDSHAKE%%;
            proxy_connect_timeout 20s;
        }

        location /resolve {
            resolver %%DNS%%;
            set $name late.example;
            proxy_pass http://$name:%%API_PORT%%;
        }

        location /error {
            error_page 504 = @error;
            proxy_pass http://behind_mute;
        }

        location @error {
            zertiban_client_id late;
            zertiban_client_secret secret-of-late;
            zertiban_tenant_id tenant-late;
            proxy_pass http://api;
        }
    }
EOF
    IDP => $idp->url(), DNS => $dns->address(), API_PORT => $api->{port},
    map { $_ => $servers{$_}->address() } keys %servers);

# lifetimes end at the API, too

my @late;

for my $server (values %servers) {
    $server->{on_head} = sub {
        my ($stream, $message) = @_;

        my ($token) = $message->{head} =~ /^Authorization: Bearer (\S+)/mi;

        push @late, $message->{uri}
            if !$idp->accepts('Bearer ' . ($token // ''));
    };
}

# how each of them ends; a balancer that has waited for a server that does not
# answer shows that

my %ends = (
    mute      => '504 error idp_timeout 504, 502',
    full      => '504 error idp_timeout 504, 502',
    again     => '504 error idp_timeout 401 : 502',
    fastcgi   => '504 error idp_timeout 504, 502',
    grpc      => '504 error idp_timeout 504, 502',
    connect   => '504 error idp_timeout 502',
    handshake => '504 error idp_timeout 502',
    resolve   => '504 error idp_timeout 502',
);


sub seen {
    my ($response) = @_;

    return join ' ', $response->{status}, $response->header('X-Seen');
}


# it is sent to a server, and the replay is not

$idp->answer(sub { $idp->issue($_[0], expires_in => 60) });
$tokens->warm('again');
$tokens->grow_old();
$tokens->revoke('again');
$idp->answer();

my %clients = map { $_ => $t->start('GET', "/$_?client=$_") } keys %ends;
my $page = $t->start('GET', '/error?client=error');
my $put = $t->start('PUT', '/mute/put?client=put', body => 'x' x 100_000);

wait_until { $idp->count() >= keys(%ends) + 3 };

# what all these wait for comes when the tokens have expired

my @accepted;

Zertiban::Loop::after(LIFETIME, sub {
    Zertiban::Loop::watch($full, in => sub { push @accepted, $full->accept() });

    $handshake->accept();
    Zertiban::Loop::watch($handshake->{listener},
                          in => sub { $handshake->accept() });
    $dns->{zone}{'late.example'} = { A => ['127.0.0.1'] };
});

is(seen($clients{$_}->response(20)), $ends{$_}, "$_: refused")
    for sort keys %ends;

is(seen($put->response()), '504 error idp_timeout 504, 502',
   'a body: refused');
is($page->response()->{body}, "GET /error?client=error\n",
   'an error page has a token of its own');

is("@late", '', 'no server has seen a token that has expired');
is(join(' ', map { $_->{uri} } $api->requests(), $handshake->requests()),
   '/warm?client=again /again?client=again /error?client=error',
   'the API has that page only');

is(scalar(my @said = $t->error_log(qr/token has expired before/)),
   keys(%ends) + 2, 'the log says so');

is(count_of(map { $t->get('/?client=later')->{status} } 1 .. 4), '200: 4',
   'no server is taken for one that has failed');
is(seen($t->get('/soon?client=later')), '200 hit  504, 200',
   'a token that lives goes to the next server');

$t->finish();

done_testing();
