# Tests for requests that are not replayed, for replays that get no token, and
# for clients that leave while their replay waits for one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::H2;
use Zertiban::Loop;
use Zertiban::Revocation;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $open = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();
my $tokens = Zertiban::Revocation->new($t, $idp);

$t->run(<<'EOF',
    client_body_buffer_size 1k;

    upstream one {
        server %%API%% max_fails=1 fail_timeout=60s;
        server %%OPEN%% backup;
    }

    server {
        listen 127.0.0.1:%%PORT%% backlog=1024;
        listen 127.0.0.1:%%PORT_h2%% http2;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant-$arg_client;

        proxy_http_version 1.1;
        proxy_next_upstream error timeout invalid_header http_500 http_502
            http_503 http_504 http_403 http_404 http_429 non_idempotent;

        add_header X-Seen "$zertiban_cache $upstream_status" always;
        add_header X-Error $zertiban_error always;

        location / {
            proxy_pass http://%%API%%;
        }

        location /status/open {
            zertiban off;
            proxy_pass http://%%API%%/status;
        }

        location /off {
            zertiban_replay off;
            proxy_pass http://one;
        }

        location /streamed {
            proxy_request_buffering off;
            proxy_pass http://%%API%%;
        }

        location /grpc {
            grpc_pass grpc://127.0.0.1:%%PORT_grpc%%;
        }

        location /upgrade {
            proxy_pass http://%%API%%;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }

        location /brief {
            zertiban_timeout 1s;
            proxy_pass http://%%API%%;
        }

        location /paged {
            error_page 503 = /sorry;
            proxy_pass http://%%API%%;
        }

        location /sorry {
            zertiban off;
            proxy_pass http://%%OPEN%%;
        }

        location = /status {
            zertiban off;
            stub_status;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_grpc%% http2;
        access_log off;

        location / {
            proxy_pass http://%%API%%;
        }
    }
EOF
    API => $api->address(), OPEN => $open->address(), IDP => $idp->url());

# what the IdP says to a client whose token is revoked: status, error, and
# the answer; nothing is no answer

my %cases = (
    down => [503, 'idp_unreachable', Zertiban::IdP::json(500, error => 'x')],
    paged => [503, 'idp_unreachable', Zertiban::IdP::json(503, error => 'x')],
    gone => [503, 'idp_unreachable', sub { $_[0]->close() }],
    limited => [503, 'idp_rate_limited',
                Zertiban::IdP::json(429, error => 'slow_down')],
    rejected => [502, 'idp_rejected_client',
                 Zertiban::IdP::json(401, error => 'invalid_client')],
    forbidden => [502, 'idp_rejected_client',
                  Zertiban::IdP::json(403, error => 'access_denied')],
    strange => [502, 'idp_bad_response', Zertiban::IdP::json(200, a => 1)],
    brief => [504, 'idp_timeout', sub { return }],
);

my %said;    # what the IdP says to a client now

$idp->answer(sub {
    my ($request) = @_;

    my $answer = $said{$request->{client_id}}
                 // return $idp->issue($request);

    return ref $answer ? $answer->($request) : $answer;
});

my @statuses = qw(400 402 403 404 405 407 408 409 429 500 502 503 504);

$api->answer(sub {
    my ($request) = @_;

    return $api->text($1, "no $1\n", 'WWW-Authenticate: Bearer own')
        if $request->{uri} =~ m{^/status/(\d+)};

    my $refusal = $tokens->answer($request)
                  // return $api->default($request);

    # until all of them are there
    return $request->{uri} =~ m{^/leaving} ? undef : $refusal;
});


# says 401 as soon as the head of a streamed request is there

$api->{on_head} = sub {
    my ($stream, $message) = @_;

    my ($token) = $message->header('Authorization');

    $stream->write($api->text(401, "revoked\n", 'WWW-Authenticate: Bearer'))
        if $message->{uri} =~ /early/
           && $tokens->{revoked}{$token =~ s/^Bearer //r};
};


sub seen {
    my ($response) = @_;

    return join ' ', $response->{status},
                map { split ' ' } map { $response->header($_) }
                qw(X-Seen X-Error);
}


# the API's own answer has reached the client, and its token was dropped

sub passed {
    my ($client, $uri, $response, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is(seen($response) . " $response->{body}", "401 hit 401 revoked\n",
       "$name: the 401 is passed");
    like(($response->header('WWW-Authenticate'))[0] // '', qr/^Bearer/,
         'with its headers');
    dropped($client, $uri, $name);
}


sub dropped {
    my ($client, $uri, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($idp->count($client), 1, "$name: no exchange");
    is(seen($t->get("/then?client=$client")), '200 wait 200',
       'until the next request');
    is($tokens->tokens($api, "/then?client=$client"), '2',
       'which has a new token');
    ok($api->count($uri) <= 1, 'while this one is not sent again');
}


sub active {
    my ($n) = $t->get('/status')->{body} =~ /Active connections: (\d+)/;

    # without the one that asks
    return $n - 1;
}


# without the connections that the API has not closed either

sub sockets {
    return $t->sockets() - map { $_->streams() } $api, $open;
}


my @streamed = qw(stream stream-early h2 h2-early grpc);
my @leaving = qw(close reset upload h2-close h2-cancel moment);

# with more than a second for each
$tokens->warm(qw(off status upgrade), @streamed, @leaving, keys %cases);
is($t->get('/brief/warm?client=brief')->{status}, 200,
   'each client has a token');

$tokens->grow_old();
$tokens->revoke();

my $sockets = sockets();
my $uri;
my $response;
my $client;


# zertiban_replay off

$uri = '/off?client=off';
passed('off', $uri, $t->start('POST', $uri, body => 'body')->response(),
       'zertiban_replay off');
is(count_of(map { seen($t->get("$uri&n=$_")) } 1 .. 4), '200 hit 200: 4',
   'the server is not one that failed');
is($open->count(), 0, 'so the other one is not asked');


# bodies that were streamed

my @part = (headers => ['Content-Length: 9']);

$uri = '/streamed?client=stream';

my $heads = $api->{heads};

$client = $t->start('POST', $uri, @part);
$client->{stream}->write('one');
wait_until { $api->{heads} > $heads };
$client->{stream}->write('twothr');

passed('stream', $uri, $client->response(), 'a streamed body');

$uri = '/streamed/early?client=stream-early';
$client = $t->start('POST', $uri, @part);
$client->{stream}->write('one');

passed('stream-early', $uri, $client->response(),
       'a body that is still coming');

my $h2 = Zertiban::H2->new($t->port('h2'));
my $stream = $h2->get('/streamed/early?client=h2-early', 'part');

wait_until { $h2->statuses($stream) };
is(join('', $h2->statuses($stream)), 401,
   'an HTTP/2 body that is still coming: the 401 is passed');
dropped('h2-early', '/streamed/early?client=h2-early', 'and');

for my $case (['h2', '/streamed?client=h2', 'an HTTP/2 body'],
              ['grpc', '/grpc?client=grpc', 'gRPC with a body'])
{
    my ($client, $uri, $name) = @$case;
    my $heads = $api->{heads};
    my $pid = start_curl('--http2-prior-knowledge', '-i', '-d', 'part',
                         '-H', 'TE: trailers',
                         'http://127.0.0.1:' . $t->port('h2') . $uri);
    my $output = curl_output($pid);

    $output =~ s/^HTTP\/2 100.*?\r\n\r\n//s;

    is($api->{heads} - $heads, 1, "$name: the 401 is passed");
    like($output, qr/^HTTP\/2 401.*x-seen: hit 401\r\n.*revoked\n\z/s,
         'as it is');
    dropped($client, $uri, $name);
}

$h2->leave();


# after an upgrade

$uri = '/upgrade?client=upgrade';
$client = $t->start('GET', $uri, connection => 'upgrade',
                    headers => ['Upgrade: echo']);

is(seen($client->response()), '101 replay 401 : 101',
   'a 401 before an upgrade is replayed');

my $bytes = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";

$client->{stream}->write($bytes);
ok(wait_until(sub { $client->{stream}{in} eq $bytes }),
   'after it there are only bytes');
$client->{stream}->write('more');
ok(wait_until(sub { $client->{stream}{in} eq "${bytes}more" }),
   'in both directions');
is($api->count($uri), 2, 'nothing is replayed');
is($idp->count('upgrade'), 2, 'and no token dropped');
$client->leave();


# other answers: as without a gate, which may have nginx's own page in the
# place of what "proxy_next_upstream" names

for my $status (@statuses) {
    $uri = "/status/$status?client=status";
    $response = $t->start('POST', $uri, body => 'body')->response();

    my $open = $t->start('POST', "/status/open/$status", body => 'body')
                 ->response();

    is(seen($response), "$status hit $status", "$status is passed");
    is($response->{body}, $open->{body}, 'with its body');
    like($response->{body}, qr/$status/, 'which is that of the status');
    is($api->count($uri), 1, 'and not replayed');
}

is($idp->count('status'), 1, 'none of them drops the token');


# no new token

for my $name (sort keys %cases) {
    my ($status, $error, $answer) = @{$cases{$name}};
    my $path = $name =~ /brief|paged/ ? "/$name" : '/';

    $said{$name} = $answer;
    $uri = "$path?client=$name";

    my $start = now();
    my $response = $t->start('POST', $uri, body => 'x' x 20000)->response();
    my $took = now() - $start;

    my $page = $name eq 'paged';

    is($page ? "$response->{status} $response->{body}" : seen($response),
       $page ? "200 GET /sorry\n" : "$status error 401 $error",
       "$name: no new token");
    is($t->logged($uri)->{error}, $error, 'the access log says why');
    is(join(' ', map { $response->header($_) }
                     qw(WWW-Authenticate Set-Cookie)), '',
       'nothing of the API\'s answer is left');
    unlike($response->{body}, qr/revoked/, 'nor its body');
    ok(($response->header('Retry-After'))[0], 'when to come again')
        if $status == 503;
    cmp_ok($took, '>=', 0.95, 'after zertiban_timeout') if $name eq 'brief';

    is($api->count($uri), 1, 'the API has seen one request');
    is($idp->count($name), 2, 'and the IdP one more');

    # what took a second may be tried again at once
    next if $page || $name eq 'brief';

    is(seen($t->get("$uri&then")), "$status error $error",
       'the next request sees the same');

    # a second later the IdP may be asked again
    my @times = map { $_->{time} } grep { $_->{client_id} eq $name }
                @{$idp->{requests}};

    is($api->count("$uri&then") . grep({ $_ < $times[1] + 0.95 } @times), '02',
       'at once');
}

is($open->last('/sorry') && $open->last('/sorry')->token(), '',
   'the error page has no token');

%said = ();
ok(wait_until(sub { $t->get('/?client=down')->{status} == 200 }),
   'a later attempt heals');
is($tokens->tokens($api, '/?client=down') =~ /^1( 2)+$/, 1,
   'with a new token');


# clients that leave while the replay waits

$said{$_} = sub { return } for @leaving;

my $before = active();

my %clients = map {
    my $name = $_;
    my $body = $name eq 'upload' ? 'x' x 99999 : '';

    $name => [map { $t->start($body ? 'POST' : 'GET',
                              "/leaving/$_?client=$name", body => $body) }
              1 .. 10]
} grep { !/^h2/ } @leaving;

my %connections = map { $_ => Zertiban::H2->new($t->port('h2')) }
                  grep { /^h2/ } @leaving;

my %streams = map {
    my $name = $_;

    $name => [map { $connections{$name}->get("/leaving/$_?client=$name") }
              1 .. 10]
} keys %connections;


# requests of a client that have reached the API, and with which token

sub arrived {
    my ($name) = @_;

    return count_of(map { $tokens->tokens($api, "/leaving/$_?client=$name") }
                    1 .. 10);
}


# temporary files that are open

sub files {
    return scalar grep { (readlink($_) // '') =~ /client_body/ }
           map { glob "/proc/$_/fd/*" } $t->workers();
}


ok(wait_until(sub { @leaving == grep { arrived($_) eq '1: 10' } @leaving }),
   'requests that have a 401');

my @requests = grep { $_->{uri} =~ m{^/leaving} } $api->requests();

$_->answer($tokens->answer($_)) for @requests;

ok(wait_until(sub { @leaving == $idp->held()
                    && !grep { !$_->{stream}{closed} } @requests }),
   'wait for another token');
is(active() - $before, 42, 'their connections are open');
is(files(), 10, 'and the files of their bodies');

$_->leave(reset => 1) for map { @{$clients{$_}} } qw(reset upload);
$_->leave() for @{$clients{close}};
$connections{'h2-close'}->leave();
$connections{'h2-cancel'}->cancel($_) for @{$streams{'h2-cancel'}};
$connections{'h2-cancel'}->ping();

ok(wait_until(sub { active() - $before == 11 }),
   'connections of clients that leave are freed');
ok(wait_until(sub { files() == 0 }), 'and the files of their bodies');
wait_until { $connections{'h2-cancel'}{pong} };

%said = ();
$_->reply($idp->issue($_)) for $idp->held();
$_->leave(reset => 1) for @{$clients{moment}};

for my $name (@leaving) {
    is(seen($t->get("/then?client=$name")), '200 hit 200',
       "the exchange of $name has ended") if wait_until {
           $t->get("/fence?client=$name")->{status} == 200
       };
    is($idp->count($name), 2, 'it was one for all');
    is(arrived($name), '1: 10', 'nothing reached the API afterwards')
        if $name ne 'moment';
}

is(join(' ', $connections{'h2-cancel'}->statuses()), '',
   'streams that were cancelled have no answer');
$connections{'h2-cancel'}->leave();


# nothing is left over

ok(wait_until(sub { active() == 0 }), 'all connections are freed');
ok(wait_until(sub { sockets() <= $sockets }),
   'and all sockets, but those that are kept');

$t->finish();

done_testing();
