# Tests for a worker that lacks something of its own: that is no failure of the
# token endpoint, and of no concern to other workers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::CA;
use Zertiban::DNS;
use Zertiban::Shim;
use Zertiban::Test;

my $shim = Zertiban::Shim->new();
my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $far = Zertiban::IdP->new();
my $dns = Zertiban::DNS->new(zone => { 'idp.test' => { A => ['127.0.0.1'] } });
my $t = Zertiban::Nginx->new(workers => 2, env => $shim->env());

my ($certificate, $key) = Zertiban::CA->new($t->dir(), 'root')->sign('far');

$far->{tls} = { SSL_cert_file => $certificate, SSL_key_file => $key };

my %values = (API => $api->address(), IDP => $idp->url(), FAR => $far->url(),
              NAMED => $idp->url(host => 'idp.test'), DNS => $dns->address());

$t->run(<<'EOF', %values);
    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        zertiban on;
        zertiban_timeout 3s;
        zertiban_ssl_verify off;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id a-tenant;

        location / {
            zertiban_token_endpoint %%IDP%%;
            proxy_pass http://%%API%%;
        }

        location /tls {
            zertiban_token_endpoint %%FAR%%;
            proxy_pass http://%%API%%;
        }

        location /named {
            resolver %%DNS%%;
            resolver_timeout 1s;
            zertiban_token_endpoint %%NAMED%%;
            proxy_pass http://%%API%%;
        }
    }
EOF

my ($poor, $rich) = $t->workers();
my %to = ($poor => [], $rich => []);


sub ask {
    my ($worker, $uri) = @_;

    if (!@{$to{$worker}}) {
        push @{$to{$_->{worker}}}, $_ for $t->connect_workers(4);
    }

    my $client = shift @{$to{$worker}};

    $client->send("GET $uri HTTP/1.1\r\nHost: localhost\r\n"
                  . "Connection: close\r\n\r\n");

    return $client->response();
}


# what the log says of it

my %said = (
    sockets => qr/socket\(\) failed \(24: /,
    ports => qr/connect\(\) to [\d.:]+ failed \(99: /,
    tls => qr/SSL_new\(\) failed/,
    json => qr/not enough memory/,
    named => qr/the resolver could not be asked/,
);

for my $case (qw(sockets ports tls json named)) {
    my $path = $case =~ /tls|named/ ? "/$case" : '/';
    my $uri = "$path?client=$case";
    my $from = $case eq 'tls' ? $far : $idp;
    my $before = $t->error_log();
    my $n = 0;

    # after a failure it rests for a second
    wait_until { $n++; ask($poor, "/?client=well-$case-$n")->{status} == 200 }
        or die 'the worker is not well';

    $shim->set_lack($case eq 'named' ? 'sockets' : $case, $poor);

    my $response = ask($poor, $uri);

    is($response->{status}, 503, "$case: a request to the poor worker");
    is(($response->header('Retry-After'))[0], 1, 'may come again soon');
    is($t->logged($uri)->{error}, 'busy', 'and is told what it is');

    is(ask($rich, "$uri&rich")->{status}, 200,
       'another worker serves at once');
    is($from->count($case), $case eq 'json' ? 2 : 1,
       'with a token that it has asked for');

    $shim->set_lack();

    is(ask($poor, "$uri&again")->{status}, 200, 'which is for both');

    my $log = substr $t->error_log(), length $before;

    like($log, qr/cannot get a token for client "$case"/, 'the log says so');
    like($log, $said{$case}, 'and why');
    unlike($log, qr/no new token/, 'and of no failure of the endpoint');
}

my @lines = $t->error_log(qr/cannot get a token/);
my @loud = grep { /\[error\]/ } @lines;

is(scalar @lines, 5, 'each time');
ok(@loud && !grep({ $_ < 9 } gaps_between(@loud)),
   'at error only the first time in ten seconds') or diag(@loud);


# a poor worker alone

$shim->set_lack('sockets', $poor);

my $lacked = now();

is(ask($poor, '/?client=alone')->{status}, 503, 'a worker that nobody helps');

$shim->set_lack();

ok(wait_until(sub { ask($poor, '/?client=alone')->{status} == 200 }),
   'tries again when it is asked');
cmp_ok(now() - $lacked, '<', 4.5, 'and has rested for a second only');


# the other one refreshes what both need

$idp->{expires_in} = 4;

$t->reload(<<'EOF', %values);
    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id static;
        zertiban_client_secret secret-of-static;
        zertiban_tenant_id a-tenant;

        location / {
            proxy_pass http://%%API%%;
        }
    }
EOF

($poor) = $t->workers();
$shim->set_lack('sockets', $poor);

my $n = $idp->count('static');

ok(wait_until(sub { $idp->count('static') >= $n + 3 }, 15),
   'a static credential is refreshed by the other worker');
is(join('', $t->error_log(qr/no new token/)), '', 'without any failure');

$shim->set_lack();
$t->finish(allow => qr/\[alert\].*(?:socket\(\)|SSL_new\(\)) failed/);

done_testing();
