# Tests for clients that speak HTTP/3: token and tenant, bodies, requests that
# wait and streams that end meanwhile, replays, and a reload.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw(md5_hex);

use Zertiban::CA;
use Zertiban::Conf;
use Zertiban::H3;
use Zertiban::Revocation;
use Zertiban::Test;

if (!Zertiban::Nginx::has('http_v3_module')) {
    my (undef, $lines) = check(http([], ['listen 127.0.0.1:8081 quic;']));

    like("@$lines", qr/\[emerg\].*"quic"/, 'this nginx has no HTTP/3');
    done_testing();
    exit;
}

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();
my $tokens = Zertiban::Revocation->new($t, $idp);

Zertiban::CA->new($t->dir(), 'ca')->sign('server', san => 'DNS:localhost');

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url());
    ssl_certificate %%DIR%%/server.crt;
    ssl_certificate_key %%DIR%%/server.key;

    zertiban on;
    zertiban_token_endpoint %%IDP%%;
    zertiban_client_id $arg_client;
    zertiban_client_secret secret-of-$arg_client;
    zertiban_tenant_id tenant-$arg_client;
    zertiban_timeout 20s;

    client_max_body_size 16m;
    proxy_http_version 1.1;
    http3_max_concurrent_streams 300;
    underscores_in_headers on;

    # how long nothing is heard of a client, or nobody hears it: it may be the
    # new worker that does

    server {
        listen 127.0.0.1:%%PORT_quic_short%% quic;
        keepalive_timeout 1s;

        location / {
            proxy_pass http://%%API%%;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_quic_reload%% quic;
        keepalive_timeout 5s;

        location / {
            proxy_pass http://%%API%%;
        }
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_quic%% quic;

        location / {
            proxy_pass http://%%API%%;
        }

        location /streamed {
            proxy_request_buffering off;
            proxy_pass http://%%API%%;
        }
    }
EOF

$api->answer(sub { $tokens->answer($_[0]) // $api->default($_[0]) });


sub client {
    my ($name) = @_;

    return Zertiban::H3->new($t->port($name // 'quic'));
}


sub answers {
    my ($h3, @ids) = @_;

    wait_until { !grep { !defined $h3->answer($_) } @ids };

    return map { $h3->answer($_) // 'none' } @ids;
}


my $body = join '', map { chr($_ % 251) } 1 .. 1024 * 1024;
my $length = 'Content-Length: ' . length $body;

# headers

my $h3 = client();
my @own = ('Authorization: Bearer own', 'X-Tenant-Id: own', 'X_Tenant_Id: own');

for my $case (['none', ()], ['one of each', @own],
              ['several', @own, @own[1, 2]])
{
    my ($name, @fields) = @$case;
    my $uri = '/headers/' . ($name =~ tr/ /-/r) . '?client=headers';

    is(join('', answers($h3, $h3->get($uri, undef, 'X-Other: kept', @fields))),
       "200 GET $uri\n", "fields of the client's: $name: served");

    my $request = $api->last($uri);

    is($request->token(), ($idp->tokens('headers'))[0], 'with one token');
    is($request->tenant(), 'tenant-headers', 'and one tenant');
    is(join(' ', $request->header('X-Other')), 'kept', 'and all others');
}

# bodies

for my $place (qw(buffered streamed)) {
    my $uri = "/$place?client=headers";
    my $id = $h3->request('POST', $uri, 0, $length);

    $h3->end($id, $body);

    is(join('', answers($h3, $id)), "200 POST $uri\n", "$place: a large body");
    is(count_of(map { $_->{digest} } $api->requests($uri)),
       md5_hex($body) . ': 1', 'is sent once, and whole');
}

# requests that wait: without a body, with a part of it, and with all

$idp->hold();

my @many = map { "/many/$_?client=many" } 1 .. 200;
my %id = map { $_ => $h3->get($_) } @many;
my %left = (cancel => client(), leave => client(),
            silent => client('quic_short'));

for my $end (sort keys %left) {
    my $client = $left{$end};
    my $uri = "/$end?client=many";

    $client->get("$uri&n=none");
    $client->data($client->request('POST', "$uri&n=part", 0, $length),
                  substr $body, 0, 1000);
    $client->end($client->request('POST', "$uri&n=all", 0,
                                  'Content-Length: 1000'),
                 substr $body, 0, 1000);
    $client->ping();
}

$h3->ping();

ok(wait_until(sub { !grep { !$_->{pong} } $h3, values %left }),
   'nginx has the requests');
ok(wait_until(sub { $idp->count('many') == 1 }), 'which wait for a token');

delete $left{cancel}{pong};
$left{cancel}->cancel($_) for 0, 4, 8;
$left{cancel}->ping();
$left{leave}->leave();
$left{silent}->leave(silent => 1);

my @gone = map { my $end = $_; map { "/$end?client=many&n=$_" } qw(none all) }
           sort keys %left;

is(count_of(map { $t->logged($_)->{upstream} // 'none' } @gone), ': ' . @gone,
   'some are cancelled, or their client leaves, or says nothing any more');
is(scalar(grep { $_->{uri} =~ /client=many/ } $api->requests()), 0,
   'nothing is sent without a token');

$idp->release();

is(count_of(map { s/ .*//sr } answers($h3, @id{@many})), '200: 200',
   'the others are served when it is there');
is(count_of(map { $api->count($_) } @many), '1: 200', 'each of them once');
is($idp->count('many'), 1, 'after one exchange');
is(count_of(map { $api->count($_) } @gone), '0: ' . @gone,
   'and not those whose clients have gone');

# replays

$tokens->warm(qw(get post streaming));
$tokens->grow_old();
$tokens->revoke($_) for qw(get post streaming);

my $get = $h3->get('/replay?client=get');

is(join('', answers($h3, $get)), "200 GET /replay?client=get\n",
   'a 401 is not seen');
$tokens->replayed($api, '/replay?client=get', 'GET');

my $post = $h3->request('POST', '/replay?client=post', 0, $length);

$h3->end($post, $body);

is(join('', answers($h3, $post)), "200 POST /replay?client=post\n",
   'nor is that of a large body');
$tokens->replayed($api, '/replay?client=post', 'POST');

my $heads = $api->{heads};
my $streaming = $h3->request('POST', '/streamed?client=streaming', 0, $length);

$h3->data($streaming, substr $body, 0, 1000);
wait_until { $api->{heads} > $heads };
$h3->end($streaming, substr $body, 1000);

is(join('', answers($h3, $streaming)), "401 revoked\n",
   'but that of a body which is streamed');
is($api->count('/streamed?client=streaming'), 1, 'and sent once');

# a reload

$_->leave() for $h3, $left{cancel};

my $old = client('quic_reload');

$idp->hold();

my $waiting = $old->get('/reload?client=reload');

ok(wait_until(sub { $idp->count('reload') == 1 }), 'a request waits');

$t->reload();
$idp->release();

is(join('', answers($old, $waiting)), "200 GET /reload?client=reload\n",
   'and is served by the old worker after a reload');

my $new = client('quic_reload');

is(join('', answers($new, $new->get('/new?client=reload'))),
   "200 GET /new?client=reload\n", 'a new connection by the new one');

$_->leave() for $old, $new;

$t->finish();

done_testing();
