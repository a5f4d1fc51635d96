# Tests that the numbers agree with what has happened, exactly: whoever counted
# it, and whatever became of the one that did.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Metrics;
use Zertiban::Revocation;
use Zertiban::Shim;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();

my $config = <<'EOF';
    zertiban_zone numbers:%%SIZE%%;

    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        location = /metrics {
            zertiban_status prometheus;
        }

        location / {
            zertiban on;
            zertiban_token_endpoint %%IDP%%;
            zertiban_timeout %%TIMEOUT%%;
            zertiban_client_id named;
            zertiban_client_secret secret-of-named;
            zertiban_tenant_id $arg_tenant;
            proxy_pass http://%%API%%;
        }

        location /any {
            zertiban on;
            zertiban_token_endpoint %%IDP%%;
            zertiban_timeout %%TIMEOUT%%;
            zertiban_client_id $arg_client;
            zertiban_client_secret secret-of-$arg_client;
            zertiban_tenant_id $arg_tenant;
            proxy_pass http://%%API%%;
        }

        location /once {
            zertiban on;
            zertiban_token_endpoint %%IDP%%;
            zertiban_client_id named;
            zertiban_client_secret secret-of-named;
            zertiban_tenant_id $arg_tenant;
            zertiban_replay off;
            proxy_pass http://%%API%%;
        }

        location /elsewhere {
            zertiban on;
            zertiban_token_endpoint %%IDP%%;
            zertiban_client_id named;
            zertiban_client_secret secret-of-named;
            zertiban_tenant_id $arg_tenant;
            proxy_pass http://192.0.2.1:81;
        }

        location /taken {
            zertiban on;
            zertiban_token_endpoint %%IDP%%;
            zertiban_client_id named;
            zertiban_client_secret secret-of-named;
            zertiban_tenant_id $arg_tenant;
            proxy_set_header Authorization '';
            proxy_pass http://%%API%%;
        }
    }
EOF

my $requests = qr/^zertiban_(?:requests_total|api_|token_missing)/;
my $exchanges = qr/^zertiban_exchanges_total/;


sub start_nginx {
    my (%o) = @_;

    my $t = Zertiban::Nginx->new(
        workers => $o{workers} // 4, daemon => $o{daemon} // 'off',
        env => $o{env} || {});

    $t->run($config, API => $api->address(), IDP => $idp->url(),
            SIZE => $o{size} // '1m', TIMEOUT => $o{timeout} // '10s');

    wait_until { $t->get('/?tenant=first')->{status} == 200 }
        or die 'there is no token';

    return $t;
}


sub statuses {
    return count_of(map { $_->response()->{status} } @_);
}


# what a gateway has counted since it was asked last

my %last;

sub since {
    my ($t, $pattern) = @_;

    my $new = metrics($t, '/metrics');
    my $text = changed($last{$t} || {}, $new, $pattern);

    $last{$t} = $new;

    return $text;
}


sub result {
    return "requests_total{result=\"$_[0]\"} $_[1]";
}


# all that may become of a request

my $t = start_nginx();

since($t, $requests);

is(statuses(map { $t->start('GET', '/?tenant=some') } 1 .. 100), '200: 100',
   'requests of a credential that is named');
is(since($t, $requests), result(hit => 100), 'are hits, of all workers');

$idp->hold();

my @waiting = map { $t->start('GET', '/any?tenant=some&client=held') } 1 .. 7;

ok(wait_until(sub {
       metrics($t, '/metrics')->{zertiban_requests_waiting} == 7 }),
   'those that wait are counted');
is(since($t, $requests), '', 'and have no result yet');

$_->leave() for @waiting[0, 1];

ok(wait_until(sub {
       metrics($t, '/metrics')->{zertiban_requests_waiting} == 5 }),
   'those that leave do not wait any more');

$idp->release();

is(statuses(@waiting[2 .. 6]), '200: 5', 'those that stay are served');
is(since($t, $requests), join(', ', result(aborted => 2), result(wait => 5)),
   'aborted, and waits');

my $now = $last{$t};
my $waits = $now->{'zertiban_requests_total{result="wait"}'};

is($now->{zertiban_request_wait_seconds_count}, $waits,
   'a time for each that has waited');
is($now->{'zertiban_request_wait_seconds_bucket{le="+Inf"}'}, $waits,
   'in the last bucket, which has all');
cmp_ok($now->{zertiban_request_wait_seconds_sum}, '<', 60, 'in seconds');
is($now->{zertiban_requests_waiting}, 0, 'nobody waits');

my %answers = (
    idp_bad_response => Zertiban::IdP::json(200, of => 'it'),
    idp_rate_limited => Zertiban::IdP::json(429, error => 'slow_down'),
    idp_rejected_client => Zertiban::IdP::json(401, error => 'invalid_client'),
    idp_unreachable => Zertiban::IdP::json(503, error => 'it is down'),
);

for my $error (sort keys %answers) {
    $idp->answer($answers{$error});

    like($t->get("/any?tenant=some&client=$error")->{status}, qr/50[23]/,
         "an exchange that ends with $error");
    like($t->get("/any?tenant=some&client=$error")->{status}, qr/50[23]/,
         'refuses a request that has waited, and one that comes then');
    is(since($t, $requests), result($error => 2), 'which are counted');
}

$idp->answer();

is($t->get('/?tenant=')->{status}, 400, 'no tenant');
is($t->get('/any?tenant=some')->{status}, 400, 'no credential');
is($t->get('/elsewhere?tenant=some')->{status}, 500, 'no host that is named');
is(since($t, $requests), join(', ', map { result($_ => 1) }
                                    qw(bad_credential bad_tenant
                                       upstream_refused)),
   'are results of their own');

$t->get('/taken?tenant=some') for 1 .. 40;

my $missing = since($t, $requests);

like($missing, qr/\Atoken_missing_total [1-4]\z|, token_missing_total [1-4]\z/,
     'a token that is missing is counted once in each worker');
like($missing, qr/result="hit"\} 40,/, 'beside the request');


# 401s

my $revocation = Zertiban::Revocation->new($t, $idp);

$api->answer($api->text(401, 'no'));

is(statuses(map { $t->start('GET', '/once?tenant=some') } 1 .. 6), '401: 6',
   '401s where no request is sent again');
is(since($t, $requests), 'api_unauthorized_total{action="passed"} 6, '
                         . result(hit => 6), 'are passed on');

$revocation->grow_old();

my $first = ($idp->tokens('named'))[-1];
my $exchanges_before = $idp->count('named');

$api->answer(sub {
    my ($request) = @_;

    return $api->text($request->token() eq $first ? 401 : 200, 'it');
});

is(statuses(map { $t->start('GET', '/?tenant=some') } 1 .. 8), '200: 8',
   'a token that the API does not accept any more');

my $replayed = since($t, $requests);

like($replayed, qr/api_unauthorized_total\{action="replayed"\} ([1-8])\b/,
     'replays are counted');
unlike($replayed, qr/passed/, 'and no 401 is passed on');
is(sum($replayed, qr/hit|wait/), 8, 'and each request once');
is($idp->count('named'), $exchanges_before + 1, 'for one exchange');

$api->answer();


# exchanges

my $named = join '', grep { /^zertiban_credential_info/ } keys %{$last{$t}};
my ($fingerprint) = $named =~ /credential="([0-9a-f]{12})"/;

ok($fingerprint, 'the credential that is named has a fingerprint');
is($last{$t}{"zertiban_exchanges_total{credential=\"$fingerprint\","
             . 'result="ok"}'}, $idp->count('named'), 'its exchanges');
is($last{$t}{"zertiban_exchange_duration_seconds_count"
             . "{credential=\"$fingerprint\"}"}, $idp->count('named'),
   'and times of all of them');

is(sum_of($last{$t}, qr/^zertiban_exchanges_total/), $idp->count(),
   'all exchanges, of other credentials, too');


# reloads and deaths

for my $turn (1 .. 12) {
    $t->get('/?tenant=some') for 1 .. 5;
    $t->reload();
    $t->get('/?tenant=some') for 1 .. 5;
}

is(since($t, $requests), result(hit => 120), 'reloads lose nothing');

for my $turn (1 .. 8) {
    $t->get('/?tenant=some') for 1 .. 10;
    $t->kill_worker(($t->workers())[0]);
    wait_until { $t->workers() == 4 };
}

is(since($t, $requests), result(hit => 80), 'nor do workers that are killed');

$idp->hold();

@waiting = map { $t->start('GET', '/any?tenant=some&client=doomed') } 1 .. 12;
wait_until { metrics($t, '/metrics')->{zertiban_requests_waiting} == 12 };

$t->kill_worker($_) for $t->workers();
wait_until { $t->workers() == 4 };

is(statuses(@waiting), '0: 12', 'requests that die with their workers');
is(since($t, $requests), result(aborted => 12), 'are aborted');
is($last{$t}{zertiban_requests_waiting}, 0, 'and do not wait');

$idp->answer();
$idp->release();

is($t->get('/any?tenant=some&client=doomed')->{status}, 200,
   'the exchange of a worker that has died is run again');
ok(wait_until(sub {
       metrics($t, '/metrics');
       sum_of(metrics($t, '/metrics'), $exchanges) == $idp->count() }),
   'and all that the endpoint has seen are counted')
    or diag(sum_of(metrics($t, '/metrics'), $exchanges) . ' of '
            . $idp->count());

$t->finish(allow => qr/exited on signal 9/);


# more processes than slots: a small zone has few

$idp = Zertiban::IdP->new();
$t = start_nginx(size => '32k', workers => 12);

my $served = served($t);

is(statuses(map { $t->start('GET', '/?tenant=some') } 1 .. 200), '200: 200',
   'requests in processes that have no slot');
ok(wait_until(sub { served($t) == $served + 200 }),
   'are counted a little later') or diag(served($t) - $served);

$t->get('/?tenant=some') for 1 .. 30;
$t->reload();

ok(wait_until(sub { served($t) == $served + 230 }),
   'also if the process has ended') or diag(served($t) - $served);

$t->finish();


# what waits in them, and was told: the zone is that of one process

$idp = Zertiban::IdP->new();
$t = start_nginx(workers => 1);

since($t, $requests);
$t->{workers} = 24;
$t->reload($config);

for my $end (qw(reload kill_worker)) {
    $idp->hold();

    my (%first, %second);

    for my $client ($t->connect_workers(2)) {
        my $of = $first{$client->{worker}} ? \%second : \%first;
        $of->{$client->{worker}} = $client;
    }

    @waiting = map { ask($_, "/any?tenant=some&client=$end") } values %first;

    wait_until { $idp->held() };
    ask($_, '/metrics')->response() for values %second;

    if ($end eq 'reload') {
        $idp->answer();
        $idp->release();

        is(statuses(@waiting), '200: 24', 'requests that have waited');
        $t->reload();

        # those that have no slot have told all that they counted
        wait_until { $t->processes() == 24 } or die 'old processes stay';

        is(since($t, $requests), result(wait => 24),
           'are none that were aborted when their processes end');

    } else {
        $t->kill_worker($_) for $t->workers();
        wait_until { $t->workers() == 24 };
        is(statuses(@waiting), '0: 24', 'requests of processes that die');
    }

    is(metrics($t, '/metrics')->{zertiban_requests_waiting}, 0,
       'nobody waits there');
}

$t->finish(allow => qr/exited on signal 9/);


# more credentials than records, a configuration that cannot be loaded, and one
# that names another credential before the others

$idp = Zertiban::IdP->new();
$t = Zertiban::Nginx->new(workers => 1);

my @names = map { "name-$_" } 1 .. 30;
my $ok = qr/^zertiban_exchanges_total\{credential="[0-9a-f]+",result="ok"/;

$t->run(named(@names), API => $api->address(), IDP => $idp->url());

wait_until { sum_of(metrics($t, '/metrics'), $exchanges) == 30 };

my $was = metrics($t, '/metrics');
my @recorded = grep { $_ =~ $ok } keys %$was;

cmp_ok(scalar @recorded, '<', 30, 'not all credentials have a record');
cmp_ok(scalar @recorded, '>', 3, 'but some have');

$t->config("server { listen unix:%%DIR%%/none/socket; }\n" . named(@names));
kill 'HUP', $t->{pid};
wait_until { $t->error_log(qr/bind\(\) to unix/) };
$t->reload(named('another', @names));

my $is = metrics($t, '/metrics');

is_deeply([map { $is->{$_} } @recorded], [(1) x @recorded],
          'who has a record keeps it while it is named');

$t->finish(allow => qr/bind\(\) to unix/);


# a zone that is emptied

$idp = Zertiban::IdP->new();

my $shim = Zertiban::Shim->new();

$t = start_nginx(workers => 2, env => $shim->env());

since($t, $requests);
$t->get('/?tenant=some') for 1 .. 20;

my $done = sum_of(metrics($t, '/metrics'), $exchanges);

$shim->strike('KILL', 'publish', 'token.killing.');
$t->start('GET', '/any?tenant=some&client=killing');
wait_until { $shim->hit() };
wait_until { $t->workers() == 2 };

ok(wait_until(sub {
       metrics($t, '/metrics')->{
           'zertiban_zone_resets_total{zone="numbers"}'} == 1 }),
   'a zone that a process has left locked is emptied');
like(since($t, $requests), qr/result="hit"\} 20\b/,
     'but what was counted stays');
cmp_ok(sum_of($last{$t}, $exchanges), '>=', $done, 'of exchanges, too');

$t->finish(allow => qr/exited on signal 9|zone ".*" was locked by/);


# an upgrade begins anew, with another zone

$idp = Zertiban::IdP->new();
$t = start_nginx(workers => 2, daemon => 'on');

$t->get('/?tenant=some') for 1 .. 9;

my $start = metrics($t, '/metrics')->{
    'zertiban_zone_start_time_seconds{zone="numbers"}'};

wait_until { time() > $start };

$t->upgrade();

$t->get('/?tenant=some') for 1 .. 3;

$now = metrics($t, '/metrics');

cmp_ok($now->{'zertiban_zone_start_time_seconds{zone="numbers"}'}, '>', $start,
       'another binary has another zone');
is($now->{'zertiban_requests_total{result="hit"}'}
   + $now->{'zertiban_requests_total{result="wait"}'}, 3,
   'and counts from nothing');

$t->finish();

# the time of the last success stays when its token has ended

$idp = Zertiban::IdP->new(expires_in => 1);
$t = start_nginx(workers => 1);

$idp->answer(Zertiban::IdP::json(503, error => 'it is down'));

my ($up, $obtained);

ok(wait_until(sub {
       $now = metrics($t, '/metrics');
       ($up) = grep { /^zertiban_credential_up/ } keys %$now;
       $now->{$up} == 0 }), 'a token ends, and no other one comes');

($obtained) = grep { /^zertiban_token_obtained/ } keys %$now;

cmp_ok($now->{$obtained}, '>', time() - 60,
       'but when the last one came is known');
cmp_ok($now->{$obtained =~ s/_obtained_/_expiry_/r}, '==', 0,
       'and that it has ended');

$t->finish();

done_testing();


sub ask {
    my ($client, $uri) = @_;

    return $client->send(join "\r\n", "GET $uri HTTP/1.1", 'Host: localhost',
                         'Connection: close', '', '');
}


# a configuration with a location for each client

sub named {
    return <<'EOF' . join('', map { <<"EOF" } @_) . "    }\n";
    zertiban_zone numbers:32k;

    zertiban on;
    zertiban_token_endpoint %%IDP%%;
    zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;

    server {
        listen 127.0.0.1:%%PORT%%;

        location = /metrics {
            zertiban_status prometheus;
        }
EOF
        location /$_ {
            zertiban_client_id $_;
            zertiban_client_secret secret-of-$_;
            proxy_pass http://%%API%%;
        }
EOF
}


# without a token or a wait, and the first one

sub served {
    my ($t) = @_;

    return sum_of(metrics($t, '/metrics'),
                  qr/^zertiban_requests_total.*"(?:hit|wait)"/);
}


# of "name{...} 3, other 4"

sub sum {
    my ($text, $pattern) = @_;

    my $sum = 0;

    $sum += $_ for map { / (\d+)\z/ } grep { $_ =~ $pattern }
                   split /, /, $text;

    return $sum;
}


sub sum_of {
    my ($values, $pattern) = @_;

    my $sum = 0;

    $sum += $values->{$_} for grep { $_ =~ $pattern } keys %$values;

    return $sum;
}
