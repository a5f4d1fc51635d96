# Tests for the token staying out of variables, logs and error pages: these
# show what the client sent, or nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw(md5_hex);
use IO::Socket::IP;

use Zertiban::CA;
use Zertiban::CGI;
use Zertiban::Callers;
use Zertiban::Elsewhere;
use Zertiban::H2;
use Zertiban::Test;

my @levels = qw(info notice warn error crit);

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $elsewhere = Zertiban::Elsewhere->new();
my $t = Zertiban::Nginx->new(main => join '', map {
    "error_log %%DIR%%/logs/$_.log $_;\n" } @levels);

my @protocols = qw(fastcgi scgi uwsgi);
my %cgi = map { $_ => Zertiban::CGI->new(protocol => $_) } @protocols;

my $callers = Zertiban::Callers->new($t, idp => $idp,
                                     api => [$api, values %cgi],
                                     elsewhere => $elsewhere);
my $n = $callers->n();

my $ca = Zertiban::CA->new($t->dir(), 'ca');
my $other_ca = Zertiban::CA->new($t->dir(), 'other');
my ($certificate, $key) = $ca->sign('server', san => 'DNS:localhost');
my ($wrong, $wrong_key) = $other_ca->sign('client');

my $cgi = join '', map { <<"EOF" } @protocols;
        location /$_ {
            ${_}_pass %%$_%%;
            ${_}_param CONTENT_LENGTH \$content_length;
            ${_}_param REQUEST_METHOD \$request_method;
            ${_}_param REQUEST_URI \$request_uri;
            ${_}_param HTTP_X_COPY "%%SHOWN%%";
        }
EOF

# a listener whose queue is full: a connection to it is never made

my $full = IO::Socket::IP->new(LocalHost => '127.0.0.1', Listen => 1,
                               Type => Socket::SOCK_STREAM) or die $@;
my @queue = map {
    IO::Socket::IP->new(PeerHost => '127.0.0.1',
                        PeerPort => $full->sockport(), Blocking => 0,
                        Type => Socket::SOCK_STREAM)
} 1 .. 4;

$t->run(<<'EOF' =~ s/%%CGI%%/$cgi/r,
    %%MAP%%

    client_max_body_size 1m;
    client_body_buffer_size 16k;

    log_format client '$http_x_kind $http_x_case $status %%SHOWN%%';
    access_log %%DIR%%/logs/access-client.log client;

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_h2%% http2;
        root %%DIR%%/html;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id client-$arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant$arg_tenant;

        add_header X-Shown '%%SHOWN%%' always;
        proxy_set_header X-Copy '%%SHOWN%%';
        proxy_http_version 1.1;
        proxy_read_timeout 10s;

        error_page 494 =200 /open/early;

        location / {
            proxy_pass http://%%API%%;
        }

        location /open {
            zertiban off;
            proxy_pass http://%%ELSEWHERE%%;
        }

        location /open/head {
            zertiban off;
            proxy_pass http://%%ELSEWHERE%%;
            proxy_pass_request_body off;
            proxy_set_header Content-Length '';
        }

        location /locked {
            auth_basic closed;
            auth_basic_user_file %%DIR%%/users;
            proxy_pass http://%%API%%;
        }

        location /tenant {
            zertiban_tenant_id $arg_none;
            proxy_pass http://%%API%%;
        }

        location /small {
            client_max_body_size 10;
            proxy_pass http://%%API%%;
        }

        location /small/page {
            client_max_body_size 10;
            error_page 413 =200 /open/head;
            proxy_pass http://%%API%%;
        }

        # variables in what is sent

        location /passed {
            proxy_pass http://%%API%%/to/$kind/$remote_user?client=$kind;
            proxy_set_body '%%SHOWN%%';
        }

        location /echoed {
            ssi on;
            proxy_pass http://%%API%%;
        }

        location /said {
            rewrite_log on;
            proxy_pass http://127.0.0.1:%%PORT_dead%%;
            error_page 502 = /again;
        }

        location /again {
            zertiban off;
            rewrite_log on;

            if ($http_authorization ~* ^bearer) {
                return 500;
            }

            set $said '%%SHOWN%%';
            return 200 $said;
        }

        location /grpc {
            grpc_pass grpc://127.0.0.1:%%PORT_grpc%%;
            grpc_set_header X-Copy '%%SHOWN%%';
        }

%%CGI%%

        # errors

        location /error/refused {
            proxy_pass http://127.0.0.1:%%PORT_dead%%;
        }

        location /error/silent {
            proxy_read_timeout 200ms;
            proxy_pass http://%%API%%;
        }

        location /error/full {
            proxy_connect_timeout 200ms;
            proxy_pass http://127.0.0.1:%%FULL%%;
        }

        location /error/socket {
            proxy_pass http://unix:%%DIR%%/none;
        }

        location /error/tls {
            proxy_pass https://127.0.0.1:%%PORT_plain%%;
        }

        location /error/name {
            set $name none.test;
            proxy_pass http://$name;
        }

        location /error/unstored {
            root %%DIR%%/nginx.conf;
            proxy_store on;
            proxy_pass http://%%API%%;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_tls%% ssl;
        ssl_certificate %%CERTIFICATE%%;
        ssl_certificate_key %%KEY%%;
        ssl_client_certificate %%CERTIFICATE%%;
        ssl_verify_client on;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id client-$arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant$arg_tenant;

        error_page 495 496 497 =200 /open/early;

        location / {
            proxy_pass http://%%API%%;
        }

        location /open {
            zertiban off;
            proxy_pass http://%%ELSEWHERE%%;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_grpc%% http2;
        access_log off;

        location / {
            proxy_pass http://%%API%%;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_plain%%;
        access_log off;
        return 204;
    }
EOF
    API => $api->address(), IDP => $idp->url(), FULL => $full->sockport(),
    ELSEWHERE => $elsewhere->address(), CERTIFICATE => $certificate,
    KEY => $key, Zertiban::Callers::config(),
    map { $_ => $cgi{$_}->address() } @protocols);

$t->write_file('users', "nobody:{PLAIN}none\n");


# a token endpoint that repeats what it was sent, or names a token in an
# answer that cannot be used

my $json = \&Zertiban::IdP::json;

my %echoes = (
    text => sub { raw(401, "wrong: Basic $_[1], $_[2]") },
    description => sub {
        $json->(401, error => 'invalid_client',
                error_description => "$_[1], $_[2]");
    },
    code => sub { $json->(401, error => $_[2]) },
    basic => sub { $json->(400, error => "bad: Basic $_[1]") },
    server => sub { $json->(500, error => "for $_[2]") },
    'code-of-200' => sub { $json->(200, error => $_[2]) },
    'code-and-token' => sub {
        $json->(200, error => $_[0], access_token => $_[0]);
    },
    characters => sub { $json->(200, access_token => "$_[0] $_[0]") },
    type => sub {
        $json->(200, access_token => $_[0], token_type => $_[0]);
    },
    expired => sub { $json->(200, access_token => $_[0], expires_in => 0) },
    lifetime => sub {
        $json->(200, access_token => $_[0], expires_in => $_[0]);
    },
    json => sub { raw(200, "{\"access_token\":\"$_[0]\"") },
    cut => sub {
        raw(200, "{\"access_token\":\"$_[0]\"}") =~ s/-Length: /${&}9/r;
    },
    status => sub { "$_[0] $_[2]\r\n\r\n" },
    header => sub { "HTTP/1.1 200 OK\r\n$_[2] $_[0]\r\n\0$_[0]: 1\r\n\r\n" },
    length => sub { "HTTP/1.1 200 OK\r\nContent-Length: $_[0]\r\n\r\n" },
    chunk => sub {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n$_[2]$_[0]";
    },
    'large-header' => sub {
        "HTTP/1.1 200 OK\r\nX-Big: " . $_[0] x 9000 . "\r\n\r\n";
    },
    'large-body' => sub { raw(200, $_[0] x 9000) },
    redirect => sub {
        "HTTP/1.1 302 Found\r\nLocation: http://$_[2]/?$_[0]\r\n"
        . "Content-Length: 0\r\n\r\n";
    },
    limited => sub {
        $json->(429, error => $_[2]) =~ s/\r\n/\r\nRetry-After: $_[2]\r\n/r;
    },
);

$idp->answer(sub {
    my ($request) = @_;

    my $answer = $idp->issue($request);

    return $json->(500, error => 'server_error')
        if $request->{client_id} =~ /failing/;

    return $request->{client_id} !~ /^client-echo-(.*)/ ? $answer
           : $echoes{$1}->(($idp->tokens())[-1],
                           @{$request}{qw(basic client_secret)});
});

my %errors = (
    big => sub { $api->text(200, '', 'X-Big: ' . 'x' x 20000) },
    header => sub { $api->text(200, '', "X-Bad\0: 1") },
    status => sub { "nonsense\r\n\r\n" },
    chunk => sub {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense";
    },
    short => sub { "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort" },
    long => sub { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nlong" },
    reset => sub { $_[0]{stream}->reset(); undef },
    close => sub { $_[0]{stream}->close(); undef },
    silent => sub { undef },
);

$api->answer(sub {
    my ($request) = @_;

    my ($what) = $request->{uri} =~ m{^/error/(\w+)};
    my ($status) = $request->{uri} =~ m{^/status/(\d+)};

    if ($what && $errors{$what}) {
        my $answer = $errors{$what}->($request) // return;

        $request->{stream}->write($answer);
        $request->{stream}->finish();
        return;
    }

    return $api->text($status, "no\n") if $status;

    return $api->text(200, '<!--#echo var="http_authorization" --> '
                      . '<!--#echo var="http_x_tenant_id" --> '
                      . '<!--#echo var="remote_user" -->',
                      'Content-Type: text/html')
        if $request->{uri} =~ /echoed/;

    return $api->default($request);
});


sub raw {
    my ($status, $body) = @_;

    return "HTTP/1.1 $status Status\r\nContent-Length: " . length($body)
           . "\r\n\r\n$body";
}


# what two of each kind show, in count_of()'s way

sub shown {
    my ($before) = @_;

    return count_of(map { ($before . $callers->shown($_)) x 2 }
                    @Zertiban::Callers::kinds);
}


# the access log, in the same way

sub logged {
    my ($case) = @_;

    my @lines;

    wait_until {
        @lines = map { /^\w+ \Q$case\E (.*)/ }
                 split /^/, $t->read_file('logs/access-client.log');
        @lines >= $n;
    };

    return count_of(map { s/\[-\]/[]/gr } @lines);
}


# A request of each kind of client: the access log and a field of the answer
# show what it sent, and so does a field of the request, if the API gets one.

sub shows {
    my ($uri, $name, $status, $there, %o) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $uri .= ($uri =~ /\?/ ? '&' : '?') . 'client=1' if $uri !~ /client=/;

    my @answers = $callers->call($o{method} // 'GET', $uri, %o);

    is(logged($uri), shown("$status "),
       "$name: the log shows what the client sent");
    is(count_of(map { $_->{head} =~ /^x-shown: (.*?)\r?$/mi } @answers),
       shown(''), 'so does the answer');
    is($callers->whose($uri, $n * $there, 'api'), $there ? "gate: $n" : '',
       $there ? 'the API gets token and tenant' : 'the API gets nothing');
    is(count_of(map { $_->header('X-Copy') }
                $callers->requests($uri, 'api')), shown(''),
       'and in another field what the client sent') if $there;
}


is($t->get('/?client=1')->{status}, 200, 'there is a token');


# access logs, answers and requests

shows('/', 'a 200', 200, 1);
shows('/status/401', 'a 401 of the API', 401, 1);
shows('/locked', 'a 401 of access control', 401, 0);
shows('/status/500', 'a 500', 500, 1);
shows('/error/refused', 'a 502', 502, 0);
shows('/error/reset', 'a 502 of the API', 502, 1);
shows('/error/silent', 'a 504', 504, 1);
shows('/?client=failing', 'a 503 of the gate', 503, 0);
shows('/tenant', 'a 400 of the gate', 400, 0);
shows("/$_", $_, 200, 1, method => 'POST', body => 'body')
    for @protocols, 'grpc';


# variables elsewhere

$callers->call('POST', '/passed?client=1', body => 'x');

is($callers->whose('/passed?client=1', $n, 'api'), "gate: $n",
   'a request with variables in its URI and body: has token and tenant');
is(count_of(map { "$_->{uri} $_->{digest}" }
            $callers->requests('/passed?client=1', 'api')),
   count_of(('/to/basic/joe?client=basic '
             . md5_hex($callers->shown('own'))) x 2,
            ('/to/none/?client=none '
             . md5_hex($callers->shown('bare'))) x 4),
   'and in these what the client sent');

is(count_of(map { $_->{body} } $callers->call('GET', '/echoed?client=1')),
   '(none) (none) (none): 4, Basic am9lOnBhc3M= of-the-client joe: 2',
   'parts of an answer that show variables');

is(count_of(map { $_->{body} } $callers->call('GET', '/said?client=1')),
   shown(''), '"if", "set" and "return" behind an error page');


# the error log: failures of the API

for my $what (qw(refused full socket tls name unstored), sort keys %errors) {
    $callers->call('POST', "/error/$what?client=1", body => 'x' x 100000);

    ok(wait_until(sub {
        grep { !/client request body is buffered/ }
        $t->error_log(qr{\[(?:warn|error|crit)\].*/error/$what});
    }), "a failure of the API is logged: $what");
}


# of the token endpoint

my %clients = map { $_ => $t->get("/?client=echo-$_") } sort keys %echoes;

is(count_of(map { substr $_->{status}, 0, 2 } values %clients),
   '50: ' . keys %echoes,
   'no token from endpoints that repeat secrets and tokens');

for my $name (sort keys %echoes) {
    ok((grep { /no new token for client "client-echo-$name" / }
        $t->error_log()), "a failure of the endpoint is logged: $name");
}


# error pages of nginx's own

for my $kind (@Zertiban::Callers::kinds) {
    my @fields = $callers->fields($kind, 'early');

    is($t->get('/', headers => [@fields, 'X-Big: ' . 'x' x 40000])->{status},
       200, "a page for too large headers: $kind");

    my $response = $t->get('/', headers => [@fields, 'Host: a b']);

    like("$response->{status} $response->{body}",
         qr/^400 .*<center>(?:nginx|Angie)/s,
         "a page for a bad request: $kind");

    is($t->get('/', port => 'tls', headers => \@fields)->{status}, 200,
       "a page for plain HTTP: $kind");

    for my $file ('', $wrong) {
        my $output = curl('-k', '-i',
            $file ? ('--cert', $wrong, '--key', $wrong_key) : (),
            (map { ('-H', $_) } @fields),
            'https://127.0.0.1:' . $t->port('tls') . '/?client=1');

        like($output, qr{^HTTP/1.1 200 .*GET /open/early}s,
             'a page for ' . ($file ? 'a wrong' : 'no') . " certificate: "
             . $kind);
    }
}

is($callers->whose('early', 12, 'elsewhere'), 'client: 12',
   'pages have what the client sent');
is($callers->whose('early', 0, 'api'), '', 'the API gets nothing');

# curl may stumble over an answer that comes before the end of a body

for my $uri (qw(/small/body /small/page)) {
    my $body = 'x' x 100;
    my $h2 = Zertiban::H2->new($t->port('h2'));
    my $status = $uri =~ /page/ ? 200 : 413;

    $h2->end($h2->get($uri, $body, $callers->fields($_, $uri),
                      'Content-Length: 100'))
        for @Zertiban::Callers::kinds;

    is(count_of(map {
        $t->start('POST', $uri, body => $body,
                  headers => [$callers->fields($_, $uri)])
          ->response()->{status}
    } @Zertiban::Callers::kinds), "$status: 3", "a page for $uri");

    is(logged($uri), shown("$status "),
       'the log shows what the client sent');
    is($callers->whose($uri, 0, 'api'), '', 'the API gets nothing');
    $h2->leave();
}

is($callers->whose('/small/page', $n, 'elsewhere'), "client: $n",
   'a page elsewhere has what the client sent');


# all that is logged

for my $level (@levels) {
    like($t->read_file("logs/$level.log"), qr/\[$level\]/,
         "there are lines of the level $level");
}

is(join(', ', $callers->on_disk()), '', 'no log holds a token or a secret');
is($elsewhere->leaks(), 0, 'no token and no secret has come elsewhere');

$t->finish();

done_testing();
