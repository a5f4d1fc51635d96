# Tests for a token that is handed to those who have waited for it: nobody else
# gets it in the place of what the zone has, and they do get it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Revocation;
use Zertiban::Shim;
use Zertiban::Test;
use Zertiban::Try;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $shim = Zertiban::Shim->new();
my $t = Zertiban::Nginx->new(workers => 1, env => $shim->env());
my $tokens = Zertiban::Revocation->new($t, $idp);

my %values = (API => $api->address(), IDP => $idp->url());

$api->answer(sub { $tokens->answer($_[0]) // $api->default($_[0]) });

$t->run(<<'EOF', %values);
    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant-$arg_client;

        add_header X-Seen "$zertiban_cache $upstream_status" always;

        location / {
            proxy_pass http://%%API%%;
        }

        location /short {
            zertiban_timeout 3s;
            proxy_pass http://%%API%%;
        }

        location /tried {
            zertiban_client_id tried;
            zertiban_client_secret secret-of-tried;
            proxy_pass http://%%API%%;
        }

        location = /status {
            zertiban off;
            zertiban_status json;
        }
    }
EOF

my ($worker) = $t->workers();


# a token that came for an operator alone

wait_until { $idp->tokens('tried') } or die 'there is no token';

my $credential = fingerprint($t, 'tried');

$tokens->grow_old();
is((try_now($t, $credential))[1]{outcome}, 'ok', 'a token for an operator');
$tokens->grow_old();

# requests look behind another one, and the token is refused

$idp->hold();
$tokens->revoke('tried');

my $try = start_try($t, $credential);

wait_until { $idp->held() } or die 'there is no exchange';

my $uri = '/tried?client=tried';
my $client = $t->start('POST', $uri, body => 'amount');

wait_until { $t->error_log(qr/replaying the request/) };
$idp->release();

is($client->response()->{status}, 200, 'a request that comes meanwhile');
is($tokens->tokens($api, $uri), '2 3', 'is replayed with the next token');
is((outcome($try))[0]{status}, 200, 'as is told to the operator');


# a worker that is late: the token comes in the moment when waits end

$idp->hold();

my @uris = map { "/short?client=late&n=$_" } 1 .. 3;
my $start = now();
my @waiting = map { $t->start('POST', $_, body => 'amount') } @uris;
my $other = $t->start('GET', '/?client=other');

wait_until { $idp->held() == 2 } or die 'there are no exchanges';

$shim->strike('STOP', 'publish', 'other-');

$_->reply($idp->issue($_, token => 'other-token-of-it'))
    for $idp->held('other');

wait_until { $shim->hit() == $worker } or die 'the worker goes on';

$_->reply($idp->issue($_)) for $idp->held('late');
wait_until { now() > $start + 3.5 };
kill 'CONT', $worker;

is(count_of(map { $_->response()->{status} } @waiting, $other), '200: 4',
   'requests that have waited get a token that came in time');
is(count_of(map { $api->count($_) } @uris), '1: 3', 'each is sent once');
is($idp->count('late'), 1, 'after one exchange');

$t->finish();

done_testing();
