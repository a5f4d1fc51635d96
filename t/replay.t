# Tests for requests of all kinds that the API answers with 401, and that
# are replayed with another token.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw(md5_hex);

use Zertiban::CGI;
use Zertiban::H2;
use Zertiban::Loop;
use Zertiban::Revocation;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $early = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();
my $tokens = Zertiban::Revocation->new($t, $idp);

my @protocols = qw(fastcgi scgi uwsgi);
my %cgi = map { $_ => Zertiban::CGI->new(protocol => $_) } @protocols;

my $cgi = join '', map { <<"EOF" } @protocols;
        location /$_ {
            ${_}_pass %%$_%%;
            ${_}_param CONTENT_LENGTH \$content_length;
            ${_}_param REQUEST_METHOD \$request_method;
            ${_}_param REQUEST_URI \$request_uri;
        }
EOF

$t->run(<<'EOF' =~ s/%%CGI%%/$cgi/r,
    client_max_body_size 16m;
    client_body_buffer_size 64k;

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_h2%% http2;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant-$arg_client;

        add_header X-Seen "$zertiban_cache $upstream_status" always;

        location / {
            proxy_pass http://%%API%%;
        }

        location /static {
            zertiban_client_id static;
            zertiban_client_secret secret-of-static;
            zertiban_tenant_id tenant-static;
            proxy_pass http://%%API%%;
        }

        location /memory {
            client_body_buffer_size 16m;
            proxy_pass http://%%API%%;
        }

        location /streamed {
            proxy_request_buffering off;
            proxy_pass http://%%API%%;
        }

        location /chunked {
            proxy_http_version 1.1;
            proxy_pass http://%%API%%;
        }

        location /early {
            proxy_pass http://%%EARLY%%;
        }

        location /grpc {
            grpc_pass grpc://127.0.0.1:%%PORT_grpc%%;
        }

%%CGI%%
    }

    # shows what the gRPC upstream got as HTTP/1
    server {
        listen 127.0.0.1:%%PORT_grpc%% http2;
        access_log off;

        location / {
            proxy_pass http://%%API%%;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_status%%;
        access_log off;

        location / {
            stub_status;
        }
    }
EOF
    API => $api->address(), EARLY => $early->address(), IDP => $idp->url(),
    map { $_ => $cgi{$_}->address() } @protocols);

# a path whose requests with an old token are held back
my $held = '/two/streams';

$api->answer(sub {
    my ($request) = @_;

    my $refusal = $tokens->answer($request)
                  // return $api->default($request);

    return $request->{uri} =~ /^$held/ ? undef : $refusal;
});

for my $server (values %cgi) {
    $server->answer(sub {
        my ($request) = @_;

        return $tokens->answer($request)
               // "Status: 200 OK\r\n\r\n$request->{method} $request->{uri}\n";
    });
}

my @methods = qw(GET HEAD POST PUT PATCH DELETE OPTIONS PROPFIND);
my @names = ((map { lc } @methods),
             qw(static old empty kept pipe file memory chunk stream
                slow slow-chunk h2 h2-file h2-streams early early-two grpc),
             @protocols);

# a payment

my $pdf = join '', map { chr rand 256 } 1 .. 65536;
my $boundary = 'boundary-of-the-parts';
my $payment = join "\r\n",
    "--$boundary", 'Content-Disposition: form-data; name="amount"', '',
    '12.50',
    "--$boundary", 'Content-Disposition: form-data; name="pdf"; filename="a"',
    'Content-Type: application/pdf', '', substr($pdf x 130, 0, 8_000_000),
    "--$boundary--", '';

my $digest = md5_hex($payment);
my @multipart = ("Content-Type: multipart/form-data; boundary=$boundary");


sub uri {
    my ($path, $client) = @_;

    return "$path?client=$client&x=%41%2f..";
}


sub healed {
    my ($uri, $response, $name, %o) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $method = $o{method} // 'GET';
    my $server = $o{server} // $api;

    $tokens->healed($server, $uri, $response, $name,
                    $method eq 'HEAD' ? '' : "$method $uri\n");

    is(count_of(map { $_->{digest} } $server->requests($uri)),
       "$o{digest}: 2", 'with its body') if $o{digest};
}


sub chunked {
    my ($body, $size) = @_;

    return join '', map { sprintf "%x;extension\r\n%s\r\n", length, $_ }
                    unpack("(a$size)*", $body), '';
}


sub h2_payment {
    my ($uri) = @_;

    return start_curl('--http2-prior-knowledge', '-i', '-H', @multipart,
                      '--data-binary', '@' . $t->dir() . '/payment',
                      'http://127.0.0.1:' . $t->port('h2') . $uri);
}


sub active {
    my ($n) = $t->get('/', port => 'status')->{body}
              =~ /Active connections: (\d+)/;

    # without the one that asks
    return $n - 1;
}


$t->write_file('payment', $payment);
$tokens->warm(grep { $_ ne 'static' } @names);
is($t->get('/static?client=static')->{status}, 200,
   'each client has a token');

my $sockets = $t->sockets();


# uploads that are slow enough to see the end of their tokens

my %slow = (
    slow => $t->start('POST', uri('/slow', 'slow'),
                      headers => ['Content-Length: 24']),
    'slow-chunk' => $t->start('POST', uri('/slow', 'slow-chunk'),
                              headers => ['Transfer-Encoding: chunked']),
);

$slow{slow}{stream}->write('the first, ');
$slow{'slow-chunk'}{stream}->write("b\r\nthe first, \r\n");

for my $seconds (2, 4, 6) {
    Zertiban::Loop::after($seconds, sub {
        $slow{slow}{stream}->write('one');
        $slow{'slow-chunk'}{stream}->write("3\r\none\r\n");
    });
}

$tokens->grow_old();
$tokens->revoke();

is($idp->count(), @names, 'one token request for each');


# methods

for my $method (@methods) {
    my $uri = uri('/method', lc $method);
    my $body = $method =~ /^P/ ? 'a body' : '';
    my $response = $t->start($method, $uri, body => $body, headers => [
        'X-One: 1', 'x-two: a, b', 'Cookie: c=d', 'Authorization: Basic own',
    ])->response();

    healed($uri, $response, $method, method => $method,
           digest => md5_hex($body));
}

my $uri = uri('/old', 'old');

healed($uri, $t->start('GET', $uri, minor => 0)->response(), 'HTTP/1.0');

$uri = uri('/empty', 'empty');
healed($uri, $t->start('POST', $uri, headers => ['Content-Length: 0'])
               ->response(), 'an empty body', method => 'POST');

$uri = uri('/static', 'static');
healed($uri, $t->get($uri), 'a credential without variables');
is($t->logged($uri)->{cache}, 'replay', 'which the access log shows');


# connections of clients

$uri = uri('/kept', 'kept');

my $client = $t->start('GET', $uri, connection => 'keep-alive');

healed($uri, $client->response(), 'a connection that is kept');
$client->send("POST $uri&again HTTP/1.1\r\nHost: localhost\r\n"
              . "Content-Length: 4\r\n\r\nbody");
is(join(' ', $client->response()->header('X-Seen')), 'hit 200',
   'another request on it needs no replay');
is($api->last("$uri&again")->{digest}, md5_hex('body'), 'and has its body');
$client->leave();

$uri = uri('/pipe', 'pipe');
$client = $t->start('POST', $uri, connection => 'keep-alive',
                    body => 'the body');
$client->send("GET $uri&next HTTP/1.1\r\nHost: localhost\r\n\r\n");

healed($uri, $client->response(), 'a request with another one behind it',
       method => 'POST', digest => md5_hex('the body'));
is($client->response()->{body}, "GET $uri&next\n", 'which comes next');
$client->leave();


# payments of 8 MB

for my $kind (qw(file memory)) {
    my $uri = uri("/$kind", $kind);

    healed($uri, $t->start('POST', $uri, body => $payment,
                           headers => \@multipart)->response(),
           "a payment in $kind", method => 'POST', digest => $digest);
}

is(count_of(map { m{"POST /(\w+)} } $t->error_log(qr/temporary file/)),
   'file: 1', 'one of them was in a file');

$uri = uri('/chunked', 'chunk');
$client = $t->start('POST', $uri, headers => ['Transfer-Encoding: chunked',
                                              @multipart]);
$client->{stream}->write(chunked($payment, 98765));

healed($uri, $client->response(), 'a payment in chunks', method => 'POST',
       digest => $digest);

$uri = uri('/streamed', 'stream');
healed($uri, $t->start('POST', $uri, body => 'at once')->response(),
       'a body that would be streamed, but came at once', method => 'POST',
       digest => md5_hex('at once'));


# slow uploads

$slow{slow}{stream}->write('last');
$slow{'slow-chunk'}{stream}->write("4\r\nlast\r\n0\r\n\r\n");

for my $name (sort keys %slow) {
    healed(uri('/slow', $name), $slow{$name}->response(), $name,
           method => 'POST', digest => md5_hex('the first, oneoneonelast'));
}


# HTTP/2

$uri = uri('/two', 'h2');

my $output = curl('--http2-prior-knowledge', '-i',
                  'http://127.0.0.1:' . $t->port('h2') . $uri);

like($output, qr{^HTTP/2 200 .*^x-seen: replay 401 : 200.*^GET \Q$uri\E$}ms,
     'an HTTP/2 request: served after a 401');
unlike($output, qr/revoked|first-answer/, 'with the second answer only');
$tokens->replayed($api, $uri, 'HTTP/2');

$uri = uri('/two', 'h2-file');
like(curl_output(h2_payment($uri)),
     qr{^HTTP/2 200 .*^x-seen: replay 401 : 200.*^POST \Q$uri\E$}ms,
     'a payment by HTTP/2: served after a 401');
$tokens->replayed($api, $uri, 'a payment by HTTP/2');
is(count_of(map { $_->{digest} } $api->requests($uri)), "$digest: 2",
   'with its body');

my $connection = Zertiban::H2->new($t->port('h2'));
my @uris = map { uri("$held/$_", 'h2-streams') } 1 .. 20;
my @streams = map { $connection->get($_) } @uris;

wait_until { @uris == grep { $api->count($_) } @uris };
$_->answer($tokens->answer($_)) for map { $api->requests($_) } @uris;
wait_until { $connection->statuses() == 20 };

is(count_of($connection->statuses(@streams)), '200: 20',
   'streams of a connection: served');
is(count_of(map { $tokens->tokens($api, $_) } @uris), '1 2: 20',
   'each after its own 401');
is($idp->count('h2-streams'), 2, 'after one exchange for all');
$connection->leave();


# an API that does not wait for the body before it says 401: nginx cannot
# have sent all of it by then

my @heads;

$early->{on_head} = sub {
    my ($stream, $message) = @_;

    push @heads, $message->{head} =~ s/Bearer \K\S+/.../r;

    return if $message->{head} !~ /client=early.*Bearer (\S+)/s
              || !$tokens->{revoked}{$1};

    $stream->write("HTTP/1.1 401 Unauthorized\r\nContent-Length: 8\r\n\r\n"
                   . "revoked\n");
    Zertiban::Loop::unwatch($stream->{fh});
};

for my $name (qw(early early-two)) {
    $uri = uri('/early', $name);
    @heads = ();

    my ($head) = $name eq 'early'
        ? map { $_->{head} } $t->start('POST', $uri, body => $payment,
                                       headers => \@multipart)->response()
        : curl_output(h2_payment($uri));

    like($head, qr{^HTTP/\S+ 200 .*^x-seen: replay 401 : 200}msi,
         "$name: served after a 401 before the end of its body");
    is($tokens->tokens($early, $uri), '2', 'with another token');
    is($early->last($uri) && $early->last($uri)->{digest}, $digest,
       'and all of its body');
    is(@heads . " $heads[1]", "2 $heads[0]", 'and the same headers');
}


# other protocols

for my $protocol (@protocols) {
    my $uri = uri("/$protocol", $protocol);

    healed($uri, $t->start('POST', $uri, body => 'x' x 100000,
                           headers => ['X-Other: kept'])->response(),
           $protocol, server => $cgi{$protocol}, method => 'POST',
           digest => md5_hex('x' x 100000));
}

# gRPC streams its bodies, but not one that came at once

$uri = uri('/grpc', 'grpc');
healed($uri, $t->start('POST', $uri, body => 'frames', headers => [
           'TE: trailers', 'Content-Type: application/grpc'])->response(),
       'grpc', method => 'POST', digest => md5_hex('frames'));


# nothing is left over

is($idp->count(), 2 * @names, 'two token requests for each client');
ok(wait_until(sub { active() == 0 }), 'all connections are freed');
ok(wait_until(sub { $t->sockets() <= $sockets }), 'and all sockets');

$t->finish();

done_testing();
