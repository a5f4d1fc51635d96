# Tests for connections that are kept, and that other locations have made: a
# token goes only where the certificate was verified for a name of the list.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::CA;
use Zertiban::DNS;
use Zertiban::Shim;
use Zertiban::Test;

my $shim = Zertiban::Shim->new();
my $idp = Zertiban::IdP->new();
my $dns = Zertiban::DNS->new(zone => {
    'api.example' => { A => ['127.0.0.1'] },
});

# variables may lead any location to any group; without them some connections
# are known to be good before they are there

my %nginx = map { $_ => Zertiban::Nginx->new(env => $shim->env()) }
            qw(literal variable scheme covered);

my $dir = $nginx{literal}->dir();
my $ca = Zertiban::CA->new($dir, 'ca');
my $stranger = Zertiban::CA->new($dir, 'stranger');
my $anonymous = 'aNULL:@SECLEVEL=0';

$ca->sign('good', san => 'DNS:api.example, DNS:other.example');
$ca->sign('bad', san => 'DNS:other.example');
$stranger->sign('strange', san => 'DNS:api.example');


sub api {
    my ($name, %tls) = @_;

    return Zertiban::API->new(tls => {
        SSL_cert_file => "$dir/$name.crt", SSL_key_file => "$dir/$name.key",
        %tls,
    });
}


# each case has a group of its own: what its server can prove, the TLS of a
# location without a gate, and what the gated location gets on a connection
# that this one has made

my $verify = "proxy_ssl_verify on; proxy_ssl_trusted_certificate $dir";
my $same = "$verify/ca.crt; proxy_ssl_name api.example;";
my $other = "$verify/ca.crt; proxy_ssl_name other.example;";
my $no = '500 error upstream_refused';
my $yes = '200 hit ';

my %cases = (
    same => [api('good'), $same, $yes],
    same_sni => [api('good'), "$same proxy_ssl_server_name on;", $yes],
    unverified => [api('good'), 'proxy_ssl_verify off;', $no],
    unverified_sni => [api('good'), 'proxy_ssl_verify off;'
                                    . 'proxy_ssl_server_name on;', $no],
    unverified_other => [api('bad'), 'proxy_ssl_verify off;', $no],
    strange => [api('strange'), 'proxy_ssl_verify off;', $no],
    strangers => [api('strange'), "$verify/stranger.crt;"
                                  . 'proxy_ssl_name api.example;', $yes],
    bad => [api('bad'), $other, $no],

    # it has proven the name as well, but was asked for another one
    other => [api('good'), $other, $yes],
    other_sni => [api('good'), "$other proxy_ssl_server_name on;", $no],

    # without a certificate nothing fails
    anonymous => [api('good', SSL_version => 'TLSv1_2',
                      SSL_cipher_list => $anonymous),
                  'proxy_ssl_verify off; proxy_ssl_protocols TLSv1.2;'
                  . "proxy_ssl_ciphers '$anonymous';", $no],
);

my $groups = join '', map { <<"EOF" } sort keys %cases;
    upstream $_ {
        server 192.0.2.1:%%$_%%;
        keepalive 4;
    }

EOF

my %locations;

for my $case (sort keys %cases) {
    my %open = (
        literal => "proxy_pass https://$case;",
        variable => "set \$to $case; proxy_pass https://\$to;",
        scheme => "set \$to https://$case; proxy_pass \$to;",

        # "limit_except" goes the first way, the location the second one
        covered => "proxy_pass https://$case; grpc_pass 127.0.0.1:9;"
                   . 'limit_except PUT { allow all; }',
    );

    $locations{$_} .= <<"EOF" for keys %open;
        location /open/$case {
            zertiban off;
            $cases{$case}[1]
            $open{$_}
        }

        location /default/$case {
            proxy_pass https://$case;
        }

        location /list/$case {
            zertiban_upstream_host first.example API.example. last.example;
            proxy_pass https://$case;
        }

EOF

    $locations{variable} .= <<"EOF";
        location /variable/$case {
            $open{variable}
        }

EOF
}

for my $kind (keys %nginx) {
    $nginx{$kind}->run(<<'EOF'
    # all that lead there verify it alike, in words that differ
    upstream api.example {
        server 192.0.2.1:%%same%%;
        keepalive 4;
    }

    resolver %%DNS%% ipv6=off;

    proxy_http_version 1.1;
    proxy_set_header Connection '';
    proxy_ssl_session_reuse off;

EOF
        . $groups . <<'EOF'
    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
        zertiban_token_endpoint http://%%ENDPOINT%%/idp/oauth2/token;
        zertiban_client_id client-%%KIND%%;
        zertiban_client_secret secret-of-client;
        zertiban_tenant_id tenant;

        proxy_ssl_verify on;
        proxy_ssl_name api.example;
        proxy_ssl_trusted_certificate %%CA%%;

        add_header X-Seen "$zertiban_cache $zertiban_error" always;

        location /alike/one {
            proxy_ssl_name API.example:443;
            proxy_pass https://api.example;
        }

        location /alike/two {
            zertiban_upstream_host other.example api.example;
            proxy_ssl_verify on;
            proxy_ssl_name Api.Example;
            proxy_pass https://api.example;
        }

EOF
        . $locations{$kind} . "    }\n",
        ENDPOINT => "API.Example.:$idp->{port}", DNS => $dns->address(),
        CA => $ca->certificate(), KIND => $kind,
        map { $_ => $cases{$_}[0]{port} } keys %cases);

    wait_until { seen($kind, '/alike/one') eq $yes };
}


sub seen {
    my ($kind, $uri) = @_;

    my $response = $nginx{$kind}->get($uri);

    return join ' ', $response->{status}, $response->header('X-Seen');
}


# the number of the connection that the last request came on

sub connection {
    my ($api, $uri) = @_;

    my $request = $api->last($uri);

    return $request ? $request->{connection} : 0;
}


sub check {
    my ($kind, $case, $uri) = @_;

    my ($api, undef, $expected) = @{$cases{$case}};
    my $open = "/open/$case";

    # one that is kept from before is not of interest
    $_->close() for $api->streams();
    $nginx{$kind}->get($open) for 1 .. 2;

    my $number = connection($api, $open);
    my $count = $api->count($uri);

    is(seen($kind, $uri), $expected, "$kind: $uri on a kept connection");
    is($api->{connections}, $number, "$kind: $uri makes no other one");

    if ($expected eq $no) {
        is($api->count($uri), $count, "$kind: $uri sends nothing");
        return;
    }

    is(connection($api, $uri), $number, "$kind: $uri uses that one");
    is($api->last($uri)->token(), ($idp->tokens("client-$kind"))[0],
       "$kind: $uri sends the token");
}


for my $case (sort keys %cases) {
    for my $kind (sort keys %nginx) {
        check($kind, $case, "/$_/$case") for qw(default list);
    }

    check('variable', $case, "/variable/$case");
}

# a refused connection is kept for nobody, and the next one is its own

for my $kind (sort keys %nginx) {
    $_->close() for $cases{unverified}[0]->streams();
    $nginx{$kind}->get('/open/unverified');

    is(join(', ', map { seen($kind, '/default/unverified') } 1 .. 3),
       "$no, $yes, $yes", "$kind: a refused connection is not kept");

    my ($said) = $nginx{$kind}->error_log(
        qr/\[error\] .*no token is sent .*"\/default\/unverified"/);

    like($said, qr/kept by a location that did not verify.*"proxy_ssl_verify/,
         "$kind: the log says why");

    # the same, in all the words for it

    my $api = $cases{same}[0];

    is(count_of(map { seen($kind, "/alike/$_") } qw(one two one two)),
       "$yes: 4", "$kind: locations that verify alike");
    is(count_of(map { connection($api, "/alike/$_") } qw(one two)),
       connection($api, '/alike/one') . ': 2',
       "$kind: share a connection");
}

$_->finish() for values %nginx;

done_testing();
