# Tests for where a token may go, by each of the protocols that nginx speaks
# to servers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::CA;
use Zertiban::CGI;
use Zertiban::Elsewhere;
use Zertiban::Shim;
use Zertiban::Test;

my $shim = Zertiban::Shim->new();
my $t = Zertiban::Nginx->new(env => $shim->env());
my $ca = Zertiban::CA->new($t->dir(), 'ca');

$ca->sign('api', san => 'DNS:api.example, DNS:other.example');

my $idp = Zertiban::IdP->new();
my $api = Zertiban::API->new();
my @tls = (tls => { SSL_cert_file => $t->dir() . '/api.crt',
                    SSL_key_file => $t->dir() . '/api.key' });

my @cgi = qw(fastcgi scgi uwsgi);
my %cgi = map { $_ => Zertiban::CGI->new(protocol => $_) } @cgi;
my %cgi_unix = map {
    $_ => Zertiban::CGI->new(protocol => $_, unix => $t->dir() . "/$_.sock")
} @cgi;
my $uwsgi_tls = Zertiban::CGI->new(protocol => 'uwsgi', @tls);

my $elsewhere = Zertiban::Elsewhere->new();
my $elsewhere_tls = Zertiban::Elsewhere->new(@tls);

my $there = "192.0.2.1:$elsewhere->{port}";
my $there_tls = "192.0.2.1:$elsewhere_tls->{port}";


# what verifies a certificate, for a name

sub verify {
    my ($prefix, $name) = @_;

    return "${prefix}_ssl_verify on; ${prefix}_ssl_name $name;"
           . "${prefix}_ssl_trusted_certificate %%DIR%%/ca.crt;";
}


my $params = join '', map { "${_}_param CONTENT_LENGTH \$content_length;"
                            . "${_}_param REQUEST_METHOD \$request_method;"
                            . "${_}_param REQUEST_URI \$request_uri;\n" } @cgi;

# directives of a location, and the server that gets the token

my %sent = (
    proxy => ['proxy_pass http://%%API%%;', $api],
    proxy_tls => [verify('proxy', 'api.example')
                  . 'proxy_pass https://192.0.2.1:%%PORT_tls%%;', $api],
    grpc => ['grpc_pass 127.0.0.1:%%PORT_grpc%%;', $api],
    grpc_unix => ['grpc_pass unix:%%DIR%%/grpc.sock;', $api],
    grpc_variable => ['set $to 127.0.0.1; grpc_pass $to:%%PORT_grpc%%;', $api],
    grpc_tls => [verify('grpc', 'api.example')
                 . 'grpc_pass grpcs://192.0.2.1:%%PORT_tls%%;', $api],
    grpc_tls_variable => [verify('grpc', 'api.example') . 'set $to 192.0.2.1;'
                          . 'grpc_pass grpcs://$to:%%PORT_tls%%;', $api],
    uwsgi_tls => [verify('uwsgi', 'api.example')
                  . "uwsgi_pass suwsgi://192.0.2.1:$uwsgi_tls->{port};",
                  $uwsgi_tls],
    uwsgi_tls_variable => [verify('uwsgi', '$arg_name') . 'set $to 192.0.2.1;'
                           . "uwsgi_pass suwsgi://\$to:$uwsgi_tls->{port};",
                           $uwsgi_tls],
    (map { $_ => ["${_}_pass %%$_%%;", $cgi{$_}],
           "${_}_variable" => ["set \$to %%$_%%; ${_}_pass \$to;", $cgi{$_}],
           "${_}_unix" => ["${_}_pass %%${_}_unix%%;", $cgi_unix{$_}] } @cgi),
);

# directives of a location, and what the log advises

my %refused = (
    proxy => ["proxy_pass http://$there;", qr/write "proxy_pass https:/],
    proxy_body => ["proxy_http_version 1.1; proxy_request_buffering off;"
                   . "proxy_pass http://elsewhere;", qr/"proxy_pass https:/],
    grpc => ["grpc_pass $there;", qr{write "grpc_pass grpcs://\.\.\.", "grpc}],
    grpc_group => ['grpc_pass elsewhere;', qr{"grpc_pass grpcs://\.\.\."}],
    grpc_variable => ["set \$to $there; grpc_pass grpc://\$to;",
                      qr{"grpc_pass grpcs://\.\.\."}],
    grpc_unverified => ["grpc_pass grpcs://$there_tls;",
                        qr/"grpc_ssl_verify on" and "grpc_ssl_trusted_certif/],
    grpc_unverified_group => ['grpc_pass grpcs://elsewhere_tls;',
                              qr/add "grpc_ssl_verify on"/],
    grpc_other => [verify('grpc', 'other.example')
                   . 'grpc_pass grpcs://elsewhere_tls;',
                   qr/add this to "zertiban_upstream_host"/],
    uwsgi_unverified => ["uwsgi_pass suwsgi://$there_tls;",
                         qr/"uwsgi_ssl_verify on" and "uwsgi_ssl_trusted_cer/],
    uwsgi_other => [verify('uwsgi', '$arg_name')
                    . 'uwsgi_pass suwsgi://elsewhere_tls;',
                    qr/is for "other\.example", add this to/],
    uwsgi => ["uwsgi_pass $there;", qr{write "uwsgi_pass suwsgi://\.\.\."}],
    uwsgi_group => ['uwsgi_pass elsewhere;',
                    qr{write "uwsgi_pass suwsgi://\.\.\."}],
    (map { $_ => ["${_}_pass $there;",
                  qr/lead "${_}_pass" to a loopback address or a unix socket/],
           "${_}_group" => ["${_}_pass elsewhere;", qr/lead "${_}_pass" to a/],
           "${_}_variable" => ["set \$to $there; ${_}_pass \$to;",
                               qr/lead "${_}_pass" to a loopback address/] }
         qw(fastcgi scgi)),
);

# since 1.29.4

if (Zertiban::Nginx::version() >= 1029004) {
    $sent{proxy_2} = ['proxy_http_version 2;'
                      . 'proxy_pass http://127.0.0.1:%%PORT_grpc%%;', $api];
    $sent{proxy_2_tls} = ['proxy_http_version 2;'
                          . verify('proxy', 'api.example')
                          . 'proxy_pass https://192.0.2.1:%%PORT_tls%%;', $api];
    $refused{proxy_2} = ['proxy_http_version 2; proxy_pass http://elsewhere;',
                         qr{write "proxy_pass https:}];
    $refused{proxy_2_tls} = ['proxy_http_version 2;'
                             . verify('proxy', 'other.example')
                             . 'proxy_pass https://elsewhere_tls;',
                             qr/is for "other\.example", add this to/];
}

my $locations = join '', (map { "location = /sent/$_ { $sent{$_}[0] }\n" }
                          sort keys %sent),
                         (map { "location = /refused/$_ { $refused{$_}[0] }\n" }
                          sort keys %refused);

$t->run(<<'EOF' =~ s/%%LOCATIONS%%/$locations/r =~ s/%%PARAMS%%/$params/r,
    upstream elsewhere {
        server %%THERE%%;
    }

    upstream elsewhere_tls {
        server %%THERE_TLS%%;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_upstream_host api.example;
        zertiban_client_id client;
        zertiban_client_secret secret-of-client;
        zertiban_tenant_id tenant;

        add_header X-Seen "$zertiban_cache $zertiban_error" always;

        %%PARAMS%%
        %%LOCATIONS%%
    }

    # show what was sent by HTTP/2 as HTTP/1
    server {
        listen 127.0.0.1:%%PORT_grpc%% http2;
        listen unix:%%DIR%%/grpc.sock http2;
        access_log off;

        location / {
            proxy_pass http://%%API%%;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_tls%% ssl http2;
        access_log off;

        ssl_certificate %%DIR%%/api.crt;
        ssl_certificate_key %%DIR%%/api.key;

        location / {
            proxy_pass http://%%API%%;
        }
    }
EOF
    IDP => $idp->url(), API => $api->address(), THERE => $there,
    THERE_TLS => $there_tls,
    (map { $_ => $cgi{$_}->address() } @cgi),
    map { ("${_}_unix" => $cgi_unix{$_}->address()) } @cgi);

wait_until { $idp->tokens() };

my ($token) = $idp->tokens();


sub post {
    my ($uri, $name) = @_;

    my $response = $t->start('POST', "$uri?name=$name", body => 'x' x 100_000)
                     ->response();

    return join ' ', $response->{status}, $response->header('X-Seen');
}


for my $case (sort keys %sent) {
    my $uri = "/sent/$case";
    my $server = $sent{$case}[1];

    is(post($uri, 'api.example'), '200 hit ', "$case: passes");

    my $request = $server->got("$uri?name=api.example");

    is($request ? $request->token() . " $request->{length}" : 'none',
       "$token 100000", "$case: with token and body");
}

my @said = $t->error_log(qr/no token is sent to .*"\/sent/);

is("@said", '', 'of these the log says nothing');

for my $case (sort keys %refused) {
    my $uri = "/refused/$case";

    is(count_of(map { post($uri, 'other.example') } 1 .. 3),
       '500 error upstream_refused: 3', "$case: refused");

    my @errors = $t->error_log(qr/\[error\] .*no token is sent .*"$uri":/);

    is(@errors, 1, "$case: the log says so once");
    like($errors[0], $refused{$case}[1], "$case: and what to do");
}

ok($elsewhere->untouched() && $elsewhere_tls->untouched(),
   'nothing has come there');
cmp_ok($_->{connections}, '>', 3, 'though there were connections')
    for $elsewhere, $elsewhere_tls;

$t->finish();

done_testing();
