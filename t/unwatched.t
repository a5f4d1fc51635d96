# Tests for connections whose events nginx cannot watch: the request is
# answered with an error, as it is without the gate.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Shim;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $shim = Zertiban::Shim->new();
my $t = Zertiban::Nginx->new(env => $shim->env());

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url());
    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id client;
        zertiban_client_secret secret-of-client;
        zertiban_tenant_id tenant;

        location / {
            proxy_pass http://%%API%%;
        }

        location /page {
            proxy_pass http://%%API%%;
            error_page 500 = /text;
        }

        location /other {
            zertiban_client_id $arg_client;
            proxy_pass http://%%API%%;
        }

        location /open {
            zertiban off;
            proxy_pass http://%%API%%;
        }

        location /text {
            return 200 "text\n";
        }
    }
EOF

is($t->get('/')->{status}, 200, 'there is a token');

my %cases = (
    'without the gate' => ['GET /open', '500'],
    'behind the gate'  => ['GET /', '500'],
    'with a body'      => ['POST /', '500'],
    'an error page'    => ['GET /page', '200'],
);

for my $name (sort keys %cases) {
    my ($request, $status) = @{$cases{$name}};
    my $client = Zertiban::Client->new($t->port());
    my $n = $api->count();

    # the connection has been accepted
    $t->get('/text');
    $shim->set_unwatched(1);

    $client->send("$request HTTP/1.1\r\nHost: localhost\r\n"
                  . "Connection: close\r\nContent-Length: 1\r\n\r\n1");
    is($client->response()->{status}, $status, "$name: an answer");

    $shim->set_unwatched(0);
    is($api->count(), $n, 'the API gets nothing');
}

is($t->get('/')->{status}, 200, 'later ones are served');

# the connection to the token endpoint

my $client = Zertiban::Client->new($t->port());

$t->get('/text');
$shim->set_unwatched(1);
$client->send("GET /other?client=other HTTP/1.1\r\nHost: localhost\r\n\r\n");
is($client->response()->{status}, 503, 'no connection to the endpoint');
$shim->set_unwatched(0);

like($t->error_log(qr/cannot get a token/), qr/: epoll_ctl\(.*\) failed \(12: /,
     'the log says why');

$t->finish(allow => qr/epoll_ctl\([\w, ]+\) failed/);

done_testing();
