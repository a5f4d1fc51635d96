# Tests for request bodies of all kinds.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw(md5_hex);

use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $brief = Zertiban::IdP->new(expires_in => 3);
my $lost = Zertiban::IdP->new(expires_in => 3);
my $t = Zertiban::Nginx->new();

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url(),
    client_max_body_size 16m;

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_h2%% http2;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id client$arg_client;
        zertiban_client_secret secret-of-client;
        zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;

        location / {
            proxy_pass http://%%API%%;
        }

        location /memory {
            client_body_buffer_size 16m;
            proxy_pass http://%%API%%;
        }

        location /streamed {
            proxy_request_buffering off;
            proxy_http_version 1.1;
            proxy_pass http://%%API%%;
        }

        location /brief {
            zertiban_token_endpoint %%BRIEF%%;
            proxy_pass http://%%API%%;
        }

        location /lost {
            zertiban_token_endpoint %%LOST%%;
            proxy_pass http://%%API%%;
        }
    }
EOF
    BRIEF => $brief->url(), LOST => $lost->url());

my $body = join '', map { chr rand 256 } 1 .. 65536;
$body = substr $body x 145, 0, 9_000_000;

my $digest = md5_hex($body);


sub intact {
    my ($uri, $name, $length) = @_;

    my $request = $api->got($uri);

    is($request->{length}, $length // length $body, "$name is whole");
    is($request->{digest}, $digest, 'and intact') if !defined $length;
    like($request->token(), qr/^token\.client[\w.-]+$/,
         'it comes with a token');
}


# bodies that come at once

for my $uri (qw(/file /memory /streamed)) {
    is($t->start('POST', $uri, body => $body)->response()->{status}, 200,
       "a body of 9 MB for $uri");
    intact($uri, 'the body');

    my $chunked = "$uri/chunked";
    my $client = $t->start('POST', $chunked,
                           headers => ['Transfer-Encoding: chunked']);
    $client->{stream}->write(join '', map {
        sprintf("%x;extension\r\n%s\r\n", length, $_)
    } unpack('(a98765)*', $body), '');

    is($client->response()->{status}, 200, "a chunked body for $uri");
    intact($chunked, 'the body');
}

my $file = $t->write_file('body', $body);

for my $uri (qw(/two /streamed/two)) {
    is(curl('--http2-prior-knowledge', '-o', '/dev/null', '-w',
            '%{http_code}', '--data-binary', "\@$file",
            'http://127.0.0.1:' . $t->port('h2') . $uri), 200,
       "an HTTP/2 body for $uri");
    intact($uri, 'the body');
}

is($t->start('POST', '/empty', headers => ['Content-Length: 0'])
     ->response()->{status}, 200, 'an empty body');
intact('/empty', 'the body', 0);


# bodies that come while the request waits

for my $name (qw(file memory streamed)) {
    my $uri = "/$name/waits?client=-$name";

    $idp->hold();

    my $client = $t->start('POST', $uri, body => $body);
    wait_until { $idp->count("client-$name") };

    is($api->count($uri), 0, "a request for /$name waits");

    $idp->release();

    is($client->response()->{status}, 200, 'until there is a token');
    intact($uri, 'the body');
}


$idp->hold();

my $pid = start_curl('--http2-prior-knowledge', '-o', '/dev/null', '-w',
                     '%{http_code}', '--data-binary', "\@$file",
                     'http://127.0.0.1:' . $t->port('h2')
                     . '/two/waits?client=-two');

wait_until { $idp->count('client-two') };
$idp->release();

is(curl_output($pid), 200, 'an HTTP/2 request waits with its body');
intact('/two/waits?client=-two', 'the body');


# bodies that come slowly

for my $uri (qw(/slow /streamed/slow)) {
    my $heads = $api->{heads};
    my $client = $t->start('POST', $uri, headers => ['Content-Length: 9']);

    $client->{stream}->write('one');

    ok(wait_until(sub { $api->{heads} > $heads }),
       'a streamed body is passed as it comes') if $uri =~ /streamed/;

    $client->{stream}->write('two');
    $client->{stream}->write('end');

    is($client->response()->{status}, 200, "a slow body for $uri");
    intact($uri, 'the body', 9);
}


# Expect

for my $uri (qw(/expect?client=-expect /streamed/expect)) {
    my $client = $t->start('POST', $uri, headers => [
        'Content-Length: 5', 'Expect: 100-continue']);

    is($client->response()->{status}, 100, 'a client that asks may send');
    $client->{stream}->write('hello');
    is($client->response()->{status}, 200, 'and is served');
    intact($uri, 'the body', 5);
}

$idp->answer(Zertiban::IdP::json(500, error => 'server_error'));

my $refused = $t->start('POST', '/expect?client=-failing', headers => [
    'Content-Length: 5', 'Expect: 100-continue']);

is($refused->response()->{status}, 503,
   'a client that asks need not send when there is no token');

$idp->answer();


# a token that expires while the body comes

my %accepted;

$api->answer(sub {
    my ($request) = @_;

    ($accepted{$request->{uri}}) = map { $brief->accepts($_) }
                                   $request->header('Authorization');
    return $api->text(200, "ok\n");
});

is($t->get($_)->{status}, 200, "a token of three seconds for $_")
    for qw(/brief /lost);

my ($first) = $brief->tokens();

ok($brief->accepts("Bearer $first"), 'is good when an upload begins');

$lost->answer(Zertiban::IdP::json(500, error => 'server_error'));

my @uploads = map {
    $t->start('POST', "$_/upload", headers => ['Content-Length: 8'])
} qw(/brief /lost);

$_->{stream}->write('half') for @uploads;
wait_until { !$brief->accepts("Bearer $first") };
$_->{stream}->write('full') for @uploads;

is($uploads[0]->response()->{status}, 200, 'an upload that outlives it');
ok($accepted{'/brief/upload'}, 'comes with a good token');
isnt($api->got('/brief/upload')->token(), $first, 'a new one');
is($uploads[1]->response()->{status}, 503,
   'an upload that outlives the last token is refused');
is($api->count('/lost/upload'), 0, 'and does not reach the API');

$t->finish();

done_testing();
