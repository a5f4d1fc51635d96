# Tests for the status of many credentials: those in trouble are shown, all are
# counted, and the worker does other things meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;

use Zertiban::Secrets;
use Zertiban::Test;

use constant MANY => 6000;

my $pad = 'x' x 100;
my $far = Zertiban::Nginx->new(workers => 1);
my $t = Zertiban::Nginx->new(workers => 1);

# another nginx is the IdP, and the API

secret($pad);

$far->run(<<"EOF");
    access_log off;

    server {
        listen 127.0.0.1:%%PORT_idp%% backlog=1024;

        location /idp/oauth2/token {
            if (\$remote_user ~ ^bad) {
                return 401 '{"error":"invalid_client"}';
            }

            return 200 '{"access_token":"\$remote_user.$pad",
                         "token_type":"Bearer","expires_in":86400}';
        }
    }

    server {
        listen 127.0.0.1:%%PORT_api%% backlog=1024;
        keepalive_requests 1000000;

        location / {
            return 200 "served\\n";
        }
    }
EOF

# answers when it is told to
my $held = Zertiban::IdP->new();

$held->hold();

my %values = (HELD => $held->url(), API => '127.0.0.1:' . $far->port('api'),
              IDP => 'http://127.0.0.1:' . $far->port('idp')
                     . '/idp/oauth2/token');

$t->run(<<'EOF', %values);
    zertiban_zone many:8m;

    upstream api {
        server %%API%%;
        keepalive 16;
    }

    server {
        listen 127.0.0.1:%%PORT%% backlog=1024;
        keepalive_requests 1000000;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;

        location /many {
            access_log off;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://api;
        }

        location /named {
            zertiban_client_id bad-named;
            zertiban_client_secret secret-of-named;
            proxy_pass http://api;
        }

        location /other {
            return 204;
        }

        location /json { zertiban_status max=5; }
        location /all { zertiban_status max=10000; }
        location /html { zertiban_status html max=5; }
        location /prometheus { zertiban_status prometheus; }
        location /ready { zertiban_status ready; }

        location /after {
            zertiban_status html;
            post_action /proxied;
        }

        location /proxied {
            zertiban off;
            proxy_pass %%HELD%%;
        }
    }
EOF


# asks for clients one after another, in four ranges at once

sub ask {
    my ($name, $n) = @_;

    my $url = 'http://127.0.0.1:' . $t->port() . "/many?client=$name-";

    my @pids = map {
        start_curl('-o', '/dev/null', sprintf '%s[%d-%d]', $url,
                   $_ * $n / 4 + 1, ($_ + 1) * $n / 4)
    } 0 .. 3;

    curl_output($_, 60) for @pids;
}


ask('client', MANY);
ask('bad', 4);

my $json = decode_json($t->get('/json')->{body});

is("$json->{total} $json->{shown}", MANY + 5 . ' 5', 'five of many are shown');
is("$json->{states}{valid} $json->{states}{failing}", MANY . ' 5',
   'and all are counted');
is(join(' ', sort map { $_->{client_id} } @{$json->{credentials}}),
   'bad-1 bad-2 bad-3 bad-4 bad-named', 'those that fail are shown');
is($json->{credentials}[0]{client_id}, 'bad-named', 'the named one first');

my $all = decode_json($t->get('/all', seconds => 20)->{body});
my %seen;

$seen{$_->{fingerprint}}++ for @{$all->{credentials}};

is(keys(%seen), MANY + 5, 'each of them can be shown, once');

my %known = map { ($_->{client_id} // '') => 1 } @{$all->{credentials}};

ok($known{'client-' . MANY}, 'by its client id, if it was used of late');
is(scalar(grep { ($_->{client_id} // '') =~ /^client-/ }
          @{$all->{credentials}}), 4096 - 4, 'of so many');

like($t->get('/html')->{body}, qr/5 of 6,?005 are shown/, 'the page says so');
like($t->get('/prometheus')->{body},
     qr/^zertiban_credentials\{state="valid"\} @{[MANY]}$/m,
     'Prometheus counts them, too');
is(() = $t->get('/prometheus')->{body} =~ /_up\{/g, 1,
   'and has a label for what is named');
is($t->get('/ready')->{status}, 503, 'what is named is not ready');


# what comes while a worker goes through them: it gets all of it at once

sub at_once {
    my ($code) = @_;

    my ($worker) = $t->workers();

    kill 'STOP', $worker;
    my @clients = $code->();
    kill 'CONT', $worker;

    return @clients;
}


for my $format (qw(json html prometheus)) {
    my @responses = map { $_->response(20) } at_once(sub {
        map { $t->start('GET', "$_?$format") } "/$format", ('/other') x 3
    });

    is(count_of(map { $_->{status} } @responses), '200: 1, 204: 3',
       "$format, and other requests");

    # in the order in which they have ended
    $t->logged("/$format?$format");

    my @ended = $t->read_file('logs/access.log') =~ m{^(/\w+)\?$format }mg;

    is("@ended", "/other /other /other /$format", 'which are served before');
}


# a client that leaves meanwhile

my @events = sort grep { !/nothing|byte|next/ } keys %Zertiban::Client::events;

for my $event (@events) {
    at_once(sub {
        my $client = $t->start('GET', "/html?$event");
        $Zertiban::Client::events{$event}->($client);
        return $client;
    });

    $t->barrier('/other');

    is($t->logged("/html?$event")->{status}, 499, "$event is noticed");
}

# the request goes on elsewhere then

at_once(sub {
    my $client = $t->start('GET', '/after');
    $client->leave(reset => 1);
    return $client;
});

wait_until { $held->held() } or die 'there is no post_action';
$t->get('/html');
$held->release("HTTP/1.1 202 Later\r\nContent-Length: 0\r\n\r\n");

is($t->logged('/after')->{status}, 202, 'one that has a post_action');

my ($two) = at_once(sub {
    my $client = $t->start('GET', '/json', connection => 'keep-alive');
    $client->send("GET /other HTTP/1.1\r\nHost: x\r\n\r\n");
    return $client;
});

is($two->response(20)->{status} . ' ' . $two->response(20)->{status},
   '200 204', 'one that sends its next request has both answers');

# a worker that is told to shut down meanwhile

my ($worker) = $t->workers();

my @clients = at_once(sub {
    (map { $t->start('GET', '/json') } 1 .. 60), $t->start('GET', '/other')
});

(pop @clients)->response(20);
kill 'QUIT', $worker;

is(count_of(map { $_->response(20)->{status} } @clients), '200: 60',
   'those that it has begun with have their answers');

wait_until { grep { $_ != $worker } $t->workers() };


$t->finish();
$far->finish();

done_testing();
