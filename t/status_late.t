# Tests for a status that is asked for as its worker shuts down: it is told to
# the end.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(decode_json);

use Zertiban::Test;

use constant MANY => 500;    # more than a worker goes through at once

my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();

my $config = <<'EOF' . join('', map { <<"EOF" } 1 .. MANY) . "    }\n";
    zertiban on;
    zertiban_token_endpoint %%IDP%%;
    zertiban_client_secret secret-of-all;
    zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;

    server {
        listen 127.0.0.1:%%PORT%%;

        location = /status {
            zertiban_status;
        }

EOF
        location /$_ {
            zertiban_client_id client-$_;
            proxy_pass http://127.0.0.1:1;
        }
EOF

$t->run($config, IDP => $idp->url());
$idp->wait_for(MANY, 30) or die 'there are too few exchanges';

# of a request that has begun to come, a worker waits for the rest

my $client = Zertiban::Client->new($t->port())->send(
    "GET /status HTTP/1.1\r\n");

$t->barrier('/status');

kill 'QUIT', $t->{pid};
wait_until { $t->error_log(qr/gracefully shutting down/) }
    or die 'the worker does not shut down';

$client->{stream}->write("Host: localhost\r\n\r\n");

my $response = $client->response();

is($response->{status}, 200, 'a status that is asked for late');
is(decode_json($response->{body} || '{}')->{total}, MANY, 'is told whole');

$t->finish();

done_testing();
