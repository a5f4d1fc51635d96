# Tests for modules that refuse or delay a request before it comes to the gate:
# limits, addresses behind a proxy, PAM.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Beside;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new(load => [beside(qw(auth-pam zertiban))]);

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url());
    limit_req_zone $uri zone=fast:1m rate=2r/s;
    limit_req_zone $uri zone=never:1m rate=1r/m;
    limit_conn_zone $uri zone=connections:1m;

    set_real_ip_from 127.0.0.1;
    real_ip_header X-Real-IP;

    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant-of-$remote_addr;

        location / {
            proxy_pass http://%%API%%;
        }

        location /delayed {
            limit_req zone=fast burst=2;
            proxy_pass http://%%API%%;
        }

        location /rejected {
            limit_req zone=never;
            limit_req_status 429;
            proxy_pass http://%%API%%;
        }

        location /late {
            limit_req zone=never burst=2;
            proxy_pass http://%%API%%;
        }

        location /alone {
            limit_conn connections 1;
            proxy_pass http://%%API%%;
        }

        location /inside {
            allow 10.0.0.0/8;
            deny all;
            proxy_pass http://%%API%%;
            proxy_set_header X-Real-IP $remote_addr;
        }

        location /pam {
            auth_pam 'a realm';
            auth_pam_service_name zertiban-test;
            proxy_pass http://%%API%%;
        }

        location /pam/any {
            auth_pam 'a realm';
            auth_pam_service_name zertiban-test;
            satisfy any;
            allow 10.0.0.0/8;
            deny all;
            proxy_pass http://%%API%%;
        }
    }
EOF


# what comes of n requests at once, and how many of them had the token; they are
# there before nginx sees the first one

sub comes {
    my ($n, $uri, @headers) = @_;

    my ($client) = $uri =~ /client=(\w+)/;
    my ($worker) = $t->workers();

    kill 'STOP', $worker;
    my @clients = map { $t->start('GET', $uri, headers => \@headers) } 1 .. $n;
    kill 'CONT', $worker;

    my $statuses = count_of(map { $_->response()->{status} } @clients);
    my ($token) = $idp->tokens($client);

    return "$statuses, "
           . (grep { $_->token() eq $token } $api->requests($uri))
           . ' with a token';
}


# limits

my $start = now();

is(comes(4, '/delayed?client=delayed'), '200: 3, 503: 1, 3 with a token',
   'limit_req: requests in a row');
ok(now() - $start > 0.9, 'are delayed, but one, which is rejected');

is(comes(1, '/rejected?client=one'), '200: 1, 1 with a token', 'the first');
is(comes(3, '/rejected?client=two'), '429: 3, 0 with a token', 'and others');
is($idp->count('two'), 0, 'one that is rejected makes no token request');

is(comes(1, '/late?client=three'), '200: 1, 1 with a token', 'the first');

my $late = $t->start('GET', '/late?client=four');

is(comes(1, '/?client=five'), '200: 1, 1 with a token', 'another meanwhile');
$late->leave();
is($t->logged('/late?client=four')->{status}, 499, 'one that leaves');
is($idp->count('four'), 0, 'makes no token request either');

$idp->hold();

my $first = $t->start('GET', '/alone?client=six');

wait_until { $idp->held() };
is(comes(2, '/alone?client=seven'), '503: 2, 0 with a token',
   'limit_conn: a request that waits for a token counts');
is($idp->count('seven'), 0, 'others make no token request');

$first->leave();
is($t->logged('/alone?client=six')->{status}, 499, 'until it leaves');
$idp->release();
is(comes(1, '/alone?client=seven'), '200: 1, 1 with a token', 'the next');


# addresses

is(comes(1, '/inside?client=eight', 'X-Real-IP: 192.0.2.1'),
   '403: 1, 0 with a token', 'realip: an address that is denied');
is(comes(1, '/inside?client=eight'), '403: 1, 0 with a token', 'or without');
is($idp->count('eight'), 0, 'makes no token request');

is(comes(1, '/inside?client=nine', 'X-Real-IP: 10.1.2.3'),
   '200: 1, 1 with a token', 'an address that is allowed');
is(join(' ', map { ($_->header('X-Real-IP'), $_->tenant()) }
             $api->requests('/inside?client=nine')),
   '10.1.2.3 tenant-of-10.1.2.3', 'is what variables have');


# PAM

is(comes(1, '/pam?client=ten'), '401: 1, 0 with a token',
   'auth_pam: without a password');
is(comes(1, '/pam/any?client=ten'), '401: 1, 0 with a token', 'or address');
is($idp->count('ten'), 0, 'there is no token request');
is(comes(1, '/pam/any?client=eleven', 'X-Real-IP: 10.1.2.3'),
   '200: 1, 1 with a token', 'an address that needs none');

$t->finish();

done_testing();
