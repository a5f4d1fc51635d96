# Tests for requests that a worker finds when it begins: their exchange uses the
# pairs of the file, which is not read anew meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new(workers => 1);

$idp->hold();
chmod 0600, $t->write_file('pairs', "client the-secret-itself\n");

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url());
    server {
        listen 127.0.0.1:%%PORT%% deferred;

        location / {
            zertiban on;
            zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;
            zertiban_token_endpoint %%IDP%%;
            zertiban_credentials_file pairs;
            proxy_pass http://%%API%%;
        }
    }
EOF

ok(wait_until(sub { $idp->count() == 1 }), 'an exchange is in flight');

# the next worker has requests before it has done anything

my ($worker) = $t->workers();

kill 'STOP', $worker;

my @clients = map { $t->start('GET', '/') } 1 .. 3;

chmod 0600, $t->write_file('pairs', "client the-secret-itself\n");
kill 'KILL', $worker;

ok(wait_until(sub { $idp->count() == 2 }), 'another worker begins one');

$idp->release(Zertiban::IdP::json(401, error => 'invalid_client',
              error_description => 'it is not the-secret-itself'));

is(count_of(map { $_->response()->{status} } @clients), '502: 3',
   'which is refused');
ok(wait_until(sub { $t->error_log(qr/no new token/) }), 'the log says so');
is(scalar(() = $t->error_log(qr/the-secret-itself/)), 0,
   'without the secret that is in the answer');

$t->finish(allow => qr/exited on signal 9/);

done_testing();
