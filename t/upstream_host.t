# Tests for where a token may go: to a host that is named, over TLS that is
# verified, and to this machine. Nothing at all is sent to others.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::IP;

use Zertiban::CA;
use Zertiban::DNS;
use Zertiban::Elsewhere;
use Zertiban::Shim;
use Zertiban::Test;

my $shim = Zertiban::Shim->new();
my $t = Zertiban::Nginx->new(env => $shim->env());
my $ca = Zertiban::CA->new($t->dir(), 'ca');
my $stranger = Zertiban::CA->new($t->dir(), 'stranger');

$ca->sign('api', san => 'DNS:api.example, DNS:second.example');
$ca->sign('both', san => 'DNS:api.example, DNS:other.example');
$ca->sign('wild', san => 'DNS:*.wild.example');
$stranger->sign('api_of_stranger', san => 'DNS:api.example');


sub tls {
    my ($name) = @_;

    return (tls => { SSL_cert_file => $t->dir() . "/$name.crt",
                     SSL_key_file => $t->dir() . "/$name.key" });
}


# the API, in many places of this machine; nginx believes that 192.0.2.1 is
# another one

my %api = (
    PLAIN => Zertiban::API->new(),
    SECOND => Zertiban::API->new(host => '127.0.0.2'),
    UNIX => Zertiban::API->new(unix => $t->dir() . '/api.sock'),
    TLS => Zertiban::API->new(tls('api')),
    WILD => Zertiban::API->new(tls('wild')),
);

my %elsewhere = (
    ELSEWHERE => Zertiban::Elsewhere->new(),
    ELSEWHERE_TLS => Zertiban::Elsewhere->new(tls('both')),
    ELSEWHERE_STRANGER => Zertiban::Elsewhere->new(tls('api_of_stranger')),
    ELSEWHERE_WILD => Zertiban::Elsewhere->new(tls('wild')),
);

my $idp = Zertiban::IdP->new();
my $dns = Zertiban::DNS->new(zone => {
    map { $_ => { A => ['192.0.2.1'] } }
    qw(api.example other.example second.example a.wild.example),
});

my $verify = 'proxy_ssl_verify on;'
             . 'proxy_ssl_trusted_certificate %%DIR%%/ca.crt;';
my $name = 'proxy_ssl_name $arg_name;';

# what is sent: the directives of a location, the API that gets it, and the
# name in a variable

my %sent = (
    loopback => ['proxy_pass http://%%PLAIN%%;', 'PLAIN'],
    loopback_2 => ['proxy_pass http://%%SECOND%%;', 'SECOND'],
    localhost => ['proxy_pass http://localhost:%%PLAIN_PORT%%;', 'PLAIN'],
    local_variable => ['proxy_pass http://127.0.0.1:$arg_port;', 'PLAIN'],
    group => ['proxy_pass http://local;', 'PLAIN'],
    group_variable => ['set $to local; proxy_pass http://$to;', 'PLAIN'],
    unix => ['proxy_pass http://%%UNIX%%:;', 'UNIX'],
    unix_variable => ['set $to %%UNIX%%; proxy_pass http://$to:/unix_variable;',
                      'UNIX'],
    local_tls => ['proxy_pass https://%%TLS%%;', 'TLS'],

    named => ["$verify proxy_ssl_name api.example;"
              . 'proxy_pass https://192.0.2.1:%%TLS_PORT%%;', 'TLS'],
    sni => ["$verify proxy_ssl_name api.example; proxy_ssl_server_name on;"
            . 'proxy_pass https://192.0.2.1:%%TLS_PORT%%;', 'TLS'],
    case => ["$verify proxy_ssl_name API.Example:443;"
             . 'proxy_pass https://192.0.2.1:%%TLS_PORT%%;', 'TLS'],
    named_group => ["$verify proxy_pass https://api.example;", 'TLS'],
    named_group_variable => ["set \$to api.example; $verify"
                             . 'proxy_pass https://$to;', 'TLS'],
    resolved => ["$verify set \$to second.example:%%TLS_PORT%%;"
                 . 'zertiban_upstream_host second.example;'
                 . 'proxy_pass https://$to;', 'TLS'],
    scheme => ["$verify proxy_ssl_name api.example; set \$scheme_of https;"
               . 'proxy_pass $scheme_of://192.0.2.1:%%TLS_PORT%%;', 'TLS'],
    variable => ["$verify $name"
                 . 'proxy_pass https://192.0.2.1:%%TLS_PORT%%;', 'TLS',
                 'api.example'],
    variable_port => ["$verify $name"
                      . 'proxy_pass https://192.0.2.1:%%TLS_PORT%%;', 'TLS',
                      'API.EXAMPLE:443'],
    several => ['zertiban_upstream_host first.example SECOND.Example. x.y;'
                . "$verify proxy_ssl_name second.example;"
                . 'proxy_pass https://192.0.2.1:%%TLS_PORT%%;', 'TLS'],
    several_variable => ['zertiban_upstream_host a.b SECOND.Example. x.y;'
                         . "$verify $name"
                         . 'proxy_pass https://192.0.2.1:%%TLS_PORT%%;',
                         'TLS', 'second.example'],
    wild => ["zertiban_upstream_host a.wild.example; $verify $name"
             . 'proxy_pass https://192.0.2.1:%%WILD_PORT%%;', 'WILD',
             'a.wild.example'],

    any_plain => ['zertiban_upstream_host any;'
                  . 'proxy_pass http://192.0.2.1:%%PLAIN_PORT%%;', 'PLAIN'],
    any_tls => ['zertiban_upstream_host any;'
                . 'proxy_pass https://192.0.2.1:%%TLS_PORT%%;', 'TLS'],
    any_variable => ['zertiban_upstream_host any; set $to 192.0.2.1;'
                     . 'proxy_pass http://$to:%%PLAIN_PORT%%;', 'PLAIN'],
);

# what is not: the directives, whether that is known before any request, what
# the log advises, and the name in a variable

my $plain = qr{no TLS, write "proxy_pass https://\.\.\.", "proxy_ssl_ver};
my $unverified = qr/not verified, add "proxy_ssl_verify on" and "proxy_ssl_t/;

my %refused = (
    plain => ['proxy_pass http://192.0.2.1:%%ELSEWHERE_PORT%%;', 1, $plain],
    plain_group => ['proxy_pass http://elsewhere;', 0, $plain],
    plain_variable => ['set $to 192.0.2.1:%%ELSEWHERE_PORT%%;'
                       . 'proxy_pass http://$to;', 0, $plain],
    plain_named => ['set $to api.example:%%ELSEWHERE_PORT%%;'
                    . 'proxy_pass http://$to;', 0, $plain],
    plain_scheme => ['set $to http://192.0.2.1:%%ELSEWHERE_PORT%%;'
                     . 'proxy_pass $to;', 0, $plain],
    unverified => ['proxy_ssl_name api.example;'
                   . 'proxy_pass https://192.0.2.1:%%ELSEWHERE_TLS_PORT%%;',
                   1, $unverified],
    unverified_sni => ['proxy_ssl_name api.example; proxy_ssl_server_name on;'
                       . 'proxy_pass https://elsewhere_tls;', 0, $unverified],
    unverified_variable => ['set $to 192.0.2.1:%%ELSEWHERE_TLS_PORT%%;'
                            . 'proxy_ssl_name api.example;'
                            . 'proxy_pass https://$to;', 0, $unverified],
    other => ["$verify proxy_ssl_name other.example;"
              . 'proxy_pass https://192.0.2.1:%%ELSEWHERE_TLS_PORT%%;', 1,
              qr/is for "other\.example", add "zertiban_upstream_host o/],
    other_group => ["$verify proxy_ssl_name other.example;"
                    . 'proxy_pass https://elsewhere_tls;', 0,
                    qr/is for "other\.example", add "zertiban_upstream_host o/],
    other_variable => ["$verify $name"
                       . 'proxy_pass https://192.0.2.1:%%ELSEWHERE_TLS_PORT%%;',
                       0, qr/is for "other\.example", add "zertiban_upstream_/,
                       'other.example'],
    other_resolved => ["$verify set \$to other.example;"
                       . 'proxy_pass https://$to:%%ELSEWHERE_TLS_PORT%%;', 0,
                       qr/is for "other\.example", add "zertiban_upstream_ho/],
    other_list => ['zertiban_upstream_host second.example xapi.example;'
                   . "$verify proxy_ssl_name api.example;"
                   . 'proxy_pass https://elsewhere_tls;', 0,
                   qr/is for "api\.example", add this to "zertiban_upstream_/],
    wild_other => ["zertiban_upstream_host a.wild.example; $verify"
                   . 'proxy_ssl_name b.wild.example;'
                   . 'proxy_pass https://192.0.2.1:%%ELSEWHERE_WILD_PORT%%;',
                   1, qr/is for "b\.wild\.example", add this to/],
    host => ["$verify"
             . 'proxy_pass https://elsewhere.example:%%ELSEWHERE_TLS_PORT%%;',
             1, qr/is for "elsewhere\.example", add "zertiban_upstream_host e/],
    address => ["$verify proxy_pass https://192.0.2.1:443;", 1,
                qr/name of "zertiban_upstream_host", set "proxy_ssl_name"/],
);

# nginx itself refuses the certificate

my %untrusted = (
    stranger => "$verify proxy_ssl_name api.example;"
                . 'proxy_pass https://192.0.2.1:%%ELSEWHERE_STRANGER_PORT%%;',
    second => "$verify proxy_ssl_name second.example;"
              . 'zertiban_upstream_host second.example;'
              . 'proxy_pass https://192.0.2.1:%%ELSEWHERE_TLS_PORT%%;',
);

if (IO::Socket::IP->new(LocalHost => '::1', Listen => 1)) {
    $api{SIX} = Zertiban::API->new(host => '::1');

    $sent{six} = ['proxy_pass http://%%SIX%%;', 'SIX'];
    $sent{six_variable} = ['set $to %%SIX%%; proxy_pass http://$to;', 'SIX'];
    $sent{mapped} = ['proxy_pass http://[::ffff:127.0.0.1]:%%PLAIN_PORT%%;',
                     'PLAIN'];
    $refused{six} = ['proxy_pass http://[2001:db8::1]:%%ELSEWHERE_PORT%%;', 1,
                     $plain];
    $refused{six_mapped} = ['set $to [::ffff:192.0.2.1];'
                            . 'proxy_pass http://$to:%%ELSEWHERE_PORT%%;', 0,
                            $plain];
    $refused{six_tls} = ["$verify proxy_ssl_name other.example;"
                         . 'set $to [2001:db8::1];'
                         . 'proxy_pass https://$to:%%ELSEWHERE_TLS_PORT%%;',
                         0, qr/is for "other\.example"/];
}

my %conf = (%untrusted, map { $_->[1] => $_->[2][0] }
                        (map { ['sent', "sent/$_", $sent{$_}] } keys %sent),
                        (map { ['refused', "refused/$_", $refused{$_}] }
                         keys %refused));

my $locations = join '', map { "location /$_ { $conf{$_} }\n" } sort keys %conf;

$t->run(<<'EOF' =~ s/%%LOCATIONS%%/$locations/r,
    upstream local {
        server %%PLAIN%%;
    }

    upstream api.example {
        server 192.0.2.1:%%TLS_PORT%%;
    }

    upstream elsewhere {
        server 192.0.2.1:%%ELSEWHERE_PORT%%;
    }

    upstream elsewhere_tls {
        server 192.0.2.1:%%ELSEWHERE_TLS_PORT%%;
    }

    resolver %%DNS%% ipv6=off;

    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
        zertiban_token_endpoint http://%%ENDPOINT%%/idp/oauth2/token;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant;

        add_header X-Seen "$zertiban_cache $zertiban_error" always;

        %%LOCATIONS%%
    }
EOF
    DNS => $dns->address(), ENDPOINT => "Api.Example.:$idp->{port}",
    map {
        my $server = $api{$_} // $elsewhere{$_};
        ($_ => $server->address(), "${_}_PORT" => $server->{port})
    } keys %api, keys %elsewhere);


sub uri {
    my ($path, $arg, $client) = @_;

    return "/$path?client=" . ($client // 'sent') . '&port=' . $api{PLAIN}{port}
           . '&name=' . ($arg // '');
}


sub seen {
    my ($response) = @_;

    return join ' ', $response->{status}, $response->header('X-Seen');
}


sub said {
    my ($level, $path) = @_;

    my @lines = $t->error_log(qr/\[$level\] .*no token is sent .*"\/$path":/);

    return @lines;
}


for my $case (sort keys %sent) {
    my (undef, $api, $arg) = @{$sent{$case}};

    for my $method (qw(GET POST)) {
        my $uri = uri("sent/$case", $arg);
        my $before = $api{$api}->count();

        is($t->start($method, $uri, body => $method eq 'POST'
                                           ? 'x' x 100_000 : '')
             ->response()->{status}, 200, "$case: $method passes");

        my $request = ($api{$api}->requests())[-1];

        is($api{$api}->count() - $before . ' '
           . ($request ? $request->token() : ''),
           '1 ' . ($idp->tokens('sent'))[0], "$case: with the token");
    }
}

is(scalar(my @sent = said('error', 'sent/\w+')), 0,
   'of these the log says nothing');

for my $case (sort keys %refused) {
    my ($directives, $early, $advice, $arg) = @{$refused{$case}};
    my $client = "refused-$case";

    # a group as well, though its connections decide
    my $warned = $early || $directives =~ m{_pass https?://(?![\d\$])} || 0;

    is(count_of(map { seen($t->get(uri("refused/$case", $arg, $client))) }
                1 .. 2), '500 error upstream_refused: 2', "$case: refused");
    is(seen($t->start('POST', uri("refused/$case", $arg, $client),
                      body => 'x' x 100_000)->response()),
       '500 error upstream_refused', "$case: refused with a body");

    is($idp->count($client), $early ? 0 : 1,
       $early ? "$case: before a token is asked for"
              : "$case: at the connection");

    my @errors = said('error', "refused/$case");
    my @repeats = said('info', "refused/$case");
    my @warnings = said('warn', "refused/$case");

    is(@errors, 1, "$case: the log says so once");
    like($errors[0], $advice, "$case: and why");
    like($errors[0], qr/, in \S+\/nginx\.conf:\d+\b/, "$case: and where");
    is(@repeats, 2, "$case: repeats are of no interest");
    is(@warnings, $warned, "$case: " . ($warned ? 'the' : 'no')
                           . ' configuration is warned about');
}

for my $case (sort keys %untrusted) {
    is(seen($t->get(uri($case, undef, "untrusted-$case"))), '502 wait ',
       "$case: nginx does not accept the certificate");
}

ok($elsewhere{$_}->untouched(), "\L$_\E: not a byte has come there")
    for sort keys %elsewhere;

cmp_ok($elsewhere{ELSEWHERE}{connections}, '>', 0,
       'though there were connections');

is(scalar(my @any = $t->error_log(
       qr/\[warn\].*"zertiban_upstream_host" is "any"/)), 3,
   '"any" is warned about');

$t->finish();

done_testing();
