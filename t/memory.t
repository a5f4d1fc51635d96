# Tests for what workers have lost after ten thousand requests: no memory, no
# connection, and no timer that keeps them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw(max min);

use Zertiban::CA;
use Zertiban::Heap;
use Zertiban::Secrets;
use Zertiban::Test;

# bytes that a worker may grow by in a round: not one for each of its requests
my $enough = 1024;

my $n = 30;    # clients of each way
my @ways = qw(granted refused broken garbage dead);

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();

# Another nginx is the IdP for most credentials, and their API. The client id
# says what becomes of the exchange, the path what the API answers.

my $far = Zertiban::Nginx->new();
my $ca = Zertiban::CA->new($far->dir(), 'root');
my ($certificate, $key) = $ca->sign('idp', san => 'IP:127.0.0.1');
my $pad = 'x' x 1000;

secret($pad);

$far->run(<<"EOF");
    map \$remote_user \$outcome {
        default                                   granted;
        "~^(?<way>refused|broken|garbage|dead)-"  \$way;
    }

    log_format exchange '\$remote_user';

    server {
        listen 127.0.0.1:%%PORT_idp%% backlog=1024;
        listen 127.0.0.1:%%PORT_tls%% ssl backlog=1024;
        access_log %%DIR%%/logs/access-exchange.log exchange;

        ssl_certificate $certificate;
        ssl_certificate_key $key;

        location / {
            rewrite ^ /\$outcome;
        }

        location /granted {
            return 200 '{"access_token":"\$remote_user.$pad",
                         "token_type":"Bearer","expires_in":86400}';
        }

        location /refused {
            return 401 '{"error":"invalid_client"}';
        }

        location /broken {
            return 500 'no token today';
        }

        location /garbage {
            return 200 '{"access_token":"\$remote_user"';
        }

        location /dead {
            return 444;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_api%% backlog=1024;
        access_log off;
        keepalive_requests 1000000;

        location / {
            return 200 "\$http_x_tenant_id\\n";
        }

        location /forbidden {
            return 401;
        }
    }
EOF

# the zone is too small for the credentials of a round: most requests find
# theirs gone

my $heap = Zertiban::Heap->new();
my $t = Zertiban::Nginx->new(workers => 2, env => $heap->env());

$t->run(<<'EOF',
    zertiban_zone small:96k;
    client_body_buffer_size 16k;

    upstream far {
        server %%FAR_API%%;
        keepalive 16;
        keepalive_timeout 1s;
    }

    server {
        listen 127.0.0.1:%%PORT%% reuseport backlog=1024;
        keepalive_requests 1000000;
        access_log off;

        zertiban on;
        zertiban_token_endpoint http://%%FAR_IDP%%/;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant-$arg_client;
        zertiban_ssl_trusted_certificate %%CA%%;

        proxy_http_version 1.1;
        proxy_set_header Connection "";

        location / {
            proxy_pass http://far;
        }

        location /tls {
            zertiban_token_endpoint https://%%FAR_TLS%%/;
            proxy_pass http://far;
        }

        location /held {
            zertiban_token_endpoint %%IDP%%;
            proxy_pass http://far;
        }

        # their tokens stay in the zone

        location /static {
            zertiban_client_id static;
            zertiban_client_secret secret-of-static;
            zertiban_tenant_id tenant;
            proxy_pass http://far;
        }

        location /second {
            zertiban_token_endpoint %%IDP%%;
            zertiban_client_id second;
            zertiban_client_secret secret-of-second;
            zertiban_tenant_id tenant;
            proxy_pass http://%%API%%;
        }

        location /third {
            zertiban_token_endpoint %%IDP%%;
            zertiban_client_id third;
            zertiban_client_secret secret-of-third;
            zertiban_tenant_id tenant;
            proxy_pass http://%%API%%;
        }
    }
EOF
    API => $api->address(), IDP => $idp->url(), CA => $ca->certificate(),
    FAR_API => '127.0.0.1:' . $far->port('api'),
    FAR_IDP => '127.0.0.1:' . $far->port('idp'),
    FAR_TLS => '127.0.0.1:' . $far->port('tls'));

my $address = '127.0.0.1:' . $t->port();
my @workers = $t->workers();

wait_until { exchanges() == 1 && $idp->count() == 2 && connections() == 0 }
    or die 'there are no tokens';

my $old = now() + 10.5;
my $files = files();
my @least;


sub exchanges {
    return $far->read_file('logs/access-exchange.log') =~ tr/\n//;
}


sub connections {
    my %workers = $t->find_workers();

    return scalar keys %workers;
}


sub files {
    return scalar grep { (readlink($_) // '') !~ /^socket:/ }
           map { glob "/proc/$_/fd/*" } @workers;
}


# how much each worker has grown

sub grown {
    my @bytes = $heap->bytes(@workers);

    return map { $bytes[$_] - $least[$_] } 0 .. $#bytes;
}


# how the requests of four clients to the same URIs end, which are a pattern
# that curl knows; what is last in it changes first

sub ask {
    my ($uris) = @_;

    my @pids = map {
        start_curl('-w', '%{http_code}\n', '-o', '/dev/null',
                   "http://$address$uris&of=$_")
    } 1 .. 4;

    return count_of(map { split /\n/, curl_output($_, 60) } @pids);
}


# each worker comes to know each credential and holds a copy of its token, if
# it has one

sub introduce {
    my @clients = map { my $way = $_; map { "$way-$_" } 1 .. $n } @ways;

    for my $connection ($t->connect_workers(1)) {
        for my $uri (map({ "/?client=$_" } @clients),
                     map { ("/tls?client=tls-$_", "/held?client=held-$_") }
                     1 .. $n)
        {
            $connection->send("GET $uri HTTP/1.1\r\nHost: localhost\r\n"
                              . "\r\n")->response();
        }

        $connection->leave();
    }
}


# of the requests that wait for a token most leave, in both ways, and some of
# the exchanges then serve nobody

sub leave {
    my (@leaving, @staying);

    $idp->hold();

    for my $turn (1 .. 8) {
        for my $id (1 .. $n) {
            push @{$turn <= 4 || $id <= 10 ? \@leaving : \@staying},
                $t->start('POST', "/held?client=held-$id",
                          body => 'x' x (100 * $id));
        }
    }

    wait_until { $idp->held() == $n } or die 'the IdP has not all requests';

    $leaving[$_]->leave(reset => $_ % 2) for 0 .. $#leaving;
    $idp->release();

    return count_of(map { $_->response()->{status} } @staying);
}


# a hundred requests are at the API while their token is revoked

sub replay {
    my ($client) = @_;

    my @requests;

    $api->answer(sub { push @requests, shift; return });

    my @clients = map {
        $t->start('POST', "/$client?n=$_", body => 'x' x (400 * $_))
    } 1 .. 100;

    wait_until { @requests == 100 } or die 'the API has not all requests';

    $api->answer();
    $_->answer($api->text(401, 'revoked')) for @requests;

    return count_of(map { $_->response()->{status} } @clients);
}


# all of it once

sub round {
    my ($name) = @_;

    my $each = "[1-$n]";

    is(ask('/static?n=[1-400]'), '200: 1600', "$name round: a token at hand");
    is(ask("/?n=[1-5]&client=granted-$each"), '200: 600', 'evicted ones');
    is(ask("/tls?client=tls-$each"), '200: 120', 'by TLS');
    is(ask("/forbidden?n=[1-2]&client=granted-$each"), '401: 240',
       'refused by the API');
    is(ask("/?client={refused,broken,garbage,dead}-$each"),
       '502: 240, 503: 240', 'failed exchanges');
    is(leave(), '200: 80', 'clients leave');
    introduce();

    if ($name ne 'first') {
        is(replay($name), '200: 100', 'requests are replayed');
        is($idp->count($name), 2, 'with another token');
    }

    ok(wait_until(sub { connections() == 0 }), 'all connections are closed');
    is(files(), $files, 'and all files');
}


round('first');
wait_until { now() > $old } 15;
round('second');

# what nobody uses is forgotten, and some clients might just come or go
wait_until {
    my @more = @least ? grown() : ();
    @least = @least ? map { $least[$_] + min(0, $more[$_]) } 0 .. $#least
                    : $heap->bytes(@workers);
    return 0;
} 16;

round('third');

my @grown;

ok(wait_until(sub { @grown = grown(); max(@grown) <= $enough }, 40),
   'no worker grows');
diag("workers with @least bytes have grown by @grown, after " . exchanges()
     . ' exchanges');

cmp_ok(exchanges(), '>', 1200, 'with all those exchanges');
is(join(' ', $t->workers()), "@workers", 'no worker has died');

my $start = now();

ok($t->stop(), 'they end');
cmp_ok(now() - $start, '<', 3, 'and no timer keeps them');
is($t->{status}, 0, 'and say that all is well');

$t->finish();
$far->finish();

done_testing();
