# Tests for connections that are kept, and that other locations have made: a
# token goes only where the certificate was verified for a name of the list.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::CA;
use Zertiban::Shim;
use Zertiban::Test;

my $shim = Zertiban::Shim->new();
my $t = Zertiban::Nginx->new(env => $shim->env());
my $ca = Zertiban::CA->new($t->dir(), 'ca');
my $stranger = Zertiban::CA->new($t->dir(), 'stranger');
my $anonymous = 'aNULL:@SECLEVEL=0';

$ca->sign('good', san => 'DNS:api.example, DNS:other.example');
$ca->sign('bad', san => 'DNS:other.example');
$stranger->sign('strange', san => 'DNS:api.example');


sub api {
    my ($name, %tls) = @_;

    return Zertiban::API->new(tls => {
        SSL_cert_file => $t->dir() . "/$name.crt",
        SSL_key_file => $t->dir() . "/$name.key", %tls,
    });
}


my $idp = Zertiban::IdP->new();

# each case has a group of its own: what its server can prove, the TLS of a
# location without a gate, and what the gated location gets on a connection
# that this one has made

my $verified = 'proxy_ssl_verify on;'
               . 'proxy_ssl_trusted_certificate %%DIR%%/ca.crt;';
my $same = "$verified proxy_ssl_name api.example;";
my $other = "$verified proxy_ssl_name other.example;";
my $no = '500 error upstream_refused';
my $yes = '200 hit ';

my %cases = (
    same => [api('good'), $same, $yes],
    same_sni => [api('good'), "$same proxy_ssl_server_name on;", $yes],
    unverified => [api('good'), 'proxy_ssl_verify off;', $no],
    unverified_sni => [api('good'), 'proxy_ssl_verify off;'
                                    . 'proxy_ssl_server_name on;', $no],
    strange => [api('strange'), 'proxy_ssl_verify off;', $no],
    strangers => [api('strange'), 'proxy_ssl_verify on; proxy_ssl_name'
                  . ' api.example; proxy_ssl_trusted_certificate'
                  . ' %%DIR%%/stranger.crt;', $yes],
    bad => [api('bad'), $other, $no],

    # it has proven the name as well, but was asked for another one
    other => [api('good'), $other, $yes],
    other_sni => [api('good'), "$other proxy_ssl_server_name on;", $no],

    # without a certificate nothing fails
    anonymous => [api('good', SSL_version => 'TLSv1_2',
                      SSL_cipher_list => $anonymous),
                  "proxy_ssl_verify off; proxy_ssl_protocols TLSv1.2;"
                  . "proxy_ssl_ciphers '$anonymous';",
                  $no],
);

my $groups = join '', map { <<"EOF" } sort keys %cases;
    upstream $_ {
        server 192.0.2.1:%%$_%%;
        keepalive 4;
    }

    upstream variable_$_ {
        server 192.0.2.1:%%$_%%;
        keepalive 4;
    }
EOF

my $locations = join '', map { <<"EOF" } sort keys %cases;
        location /open/$_ {
            zertiban off;
            $cases{$_}[1]
            proxy_pass https://$_;
        }

        location /gated/$_ {
            proxy_pass https://$_;
        }

        location /list/$_ {
            zertiban_upstream_host first.example api.example last.example;
            proxy_pass https://$_;
        }

        location /open_variable/$_ {
            zertiban off;
            set \$to variable_$_;
            $cases{$_}[1]
            proxy_pass https://\$to;
        }

        location /gated_variable/$_ {
            proxy_pass https://variable_$_;
        }
EOF

$t->run(<<'EOF' =~ s/%%GROUPS%%/$groups/r =~ s/%%LOCATIONS%%/$locations/r,
%%GROUPS%%

    # all that lead there verify it alike, in words that differ
    upstream api.example {
        server 192.0.2.1:%%same%%;
        keepalive 4;
    }

    proxy_http_version 1.1;
    proxy_set_header Connection '';
    proxy_ssl_session_reuse off;

    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_upstream_host api.example;
        zertiban_client_id client;
        zertiban_client_secret secret-of-client;
        zertiban_tenant_id tenant;

        proxy_ssl_verify on;
        proxy_ssl_name api.example;
        proxy_ssl_trusted_certificate %%DIR%%/ca.crt;

        add_header X-Seen "$zertiban_cache $zertiban_error" always;

        %%LOCATIONS%%

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
    }
EOF
    IDP => $idp->url(),
    map { $_ => $cases{$_}[0]{port} } keys %cases);


sub seen {
    my ($uri) = @_;

    my $response = $t->get($uri);

    return join ' ', $response->{status}, $response->header('X-Seen');
}


# the number of the connection that a request came on

sub connection {
    my ($api, $uri) = @_;

    my $request = $api->last($uri);

    return $request ? $request->{connection} : 0;
}


wait_until { $idp->count() };
wait_until { seen('/alike/one') eq $yes };

for my $case (sort keys %cases) {
    my ($api, undef, $expected) = @{$cases{$case}};

    for my $pair ([qw(open gated)], [qw(open list)],
                  [qw(open_variable gated_variable)])
    {
        my ($open, $gated) = map { "/$_/$case" } @$pair;
        my $name = "$case, " . join ' and ', @$pair;

        # one that is kept from before is not of interest
        $_->close() for $api->streams();
        $t->get($open) for 1 .. 2;

        my $number = connection($api, $open);
        my $count = $api->count($gated);

        is(seen($gated), $expected, "$name: on a kept connection");

        if ($expected eq $yes) {
            is(connection($api, $gated), $number, "$name: on that one");
            ok($api->last($gated)->token(), "$name: with a token");
            next;
        }

        is($api->count($gated), $count, "$name: nothing was sent");
        is($api->{connections}, $number, "$name: no other one was made");
    }
}

# a refused connection is kept for nobody, and the next one is its own

$_->close() for $cases{unverified}[0]->streams();
$t->get('/open/unverified');

is(join(', ', map { seen('/gated/unverified') } 1 .. 3), "$no, $yes, $yes",
   'a refused connection is not kept');

my @errors = $t->error_log(qr/\[error\] .*no token is sent .*unverified"/);

like($errors[0], qr/was kept by a location that did not verify.*"proxy_ssl_ver/,
     'the log says why');

# the same, in all the words for it

my $same_api = $cases{same}[0];

is(join(', ', map { seen("/alike/$_") } qw(one two one two)),
   join(', ', ($yes) x 4), 'locations that verify alike');
is(count_of(map { connection($same_api, "/alike/$_") } qw(one two)),
   connection($same_api, '/alike/one') . ': 2', 'share a connection');

$t->finish();

done_testing();
