# A status that anybody may see is warned about, and one that is guarded is
# not: by where its server listens, or by whatever guards its location. The
# directives that guard are nginx's own as before, with all that nginx says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Zertiban::CA;
use Zertiban::Conf;
use Zertiban::Nginx;

my $why = qr/anybody who reaches this server at .* sees it, add "allow/;
my $guard = 'allow 127.0.0.1; deny all;';

save("$dir/users", "me:{PLAIN}word\n");

my $ca = Zertiban::CA->new($dir, 'ca');

$ca->sign('gateway');

my $tls = 'ssl_certificate ' . $ca->certificate('gateway')
          . '; ssl_certificate_key ' . $ca->key('gateway')
          . '; ssl_client_certificate ' . $ca->certificate() . ';';


# the status of a server that others reach, in a block of the given ones

sub status {
    my (%o) = @_;

    my $listen = $o{listen} // 'listen 8081;';
    my $location = "location /status { zertiban_status; "
                   . ($o{location} // '') . ' }';

    return http([$o{http} // ''], [$listen, $o{server} // ''],
                $o{around} ? "$o{around} $location }" : $location);
}


# -- where the server listens

my %open = (
    'all addresses'          => 'listen 8081;',
    'a wildcard'             => 'listen *:8081;',
    'all of IPv6'            => 'listen [::]:8081;',
    'one of this machine as well'
                             => 'listen 127.0.0.1:8081; listen 8082;',
    'an address that is the default of another server'
                             => 'listen 8081; } server { listen 8081; '
                                . 'server_name other;',
);

for my $where (sort keys %open) {
    warned("a server that listens on $where is warned about",
           'zertiban_status', status(listen => $open{$where}), $why);
}

my %local = (
    'a loopback address'         => 'listen 127.0.0.1:8081;',
    'another loopback address'   => 'listen 127.1.2.3:8081;',
    'that of IPv6'               => 'listen [::1]:8081;',
    'that of IPv4 in IPv6'       => 'listen [::ffff:127.0.0.1]:8081'
                                    . ' ipv6only=off;',
    'a unix socket'              => "listen unix:$dir/socket;",
    'both'                       => "listen unix:$dir/socket;"
                                    . ' listen 127.0.0.1:8081;',
);

for my $where (sort keys %local) {
    accepted("a server that listens on $where only is accepted",
             status(listen => $local{$where}));
}

accepted('another server that listens for others is nothing to the status',
         http([], [], 'location /status { zertiban_status; } } '
                      . 'server { listen 8081; location / { }'));

my (undef, $lines) = check(http([], ['listen 8081;'],
    "location /a { zertiban_status; }\nlocation /b { zertiban_status; }\n"
    . "location /c { zertiban_status; $guard }"));

my @warned = grep { /\[warn\]/ } @$lines;

is(scalar @warned, 2, 'each status that is open is warned about');
like($warned[0], qr/at 0\.0\.0\.0:8081 sees it, add "allow 127.0.0.1; deny/,
     'with an address, and what to add');


# -- what guards it

my %guards = (
    '"allow" and "deny"'    => $guard,
    '"deny" alone'          => 'deny 192.0.2.0/24;',
    '"allow all"'           => 'allow all;',
    'auth_basic'            => 'auth_basic who;'
                               . " auth_basic_user_file $dir/users;",
    'auth_basic by a variable'
                            => "auth_basic \$arg_x;"
                               . " auth_basic_user_file $dir/users;",
    'auth_request'          => 'auth_request /auth;',
);

my %idle = (
    'auth_basic off'        => 'auth_basic off;',
    'auth_request off'      => 'auth_request off;',
    'auth_basic_user_file'  => "auth_basic_user_file $dir/users;",
    'auth_request_set'      => 'auth_request_set $x $upstream_status;',
    'auth_delay'            => 'auth_delay 1s;',
    '"allow", which refuses nobody'
                            => 'allow 10.0.0.0/8;',
    'satisfy'               => 'satisfy any;',
);

for my $name (sort keys %guards) {
    accepted("$name in the location guards it",
             status(location => $guards{$name}));
    accepted("$name in the server does", status(server => $guards{$name}));
    accepted("$name in http does", status(http => $guards{$name}));
    accepted("$name in a location around it does",
             status(around => "location / { $guards{$name}"));
}

for my $name (sort keys %idle) {
    warned("$name does not guard it", 'zertiban_status',
           status(location => $idle{$name}), $why);
}

warned('"auth_basic off" ends what is around it', 'zertiban_status',
       status(server => $guards{auth_basic}, location => 'auth_basic off;'),
       $why);
warned('"auth_request off" as well', 'zertiban_status',
       status(server => $guards{auth_request}, location => 'auth_request off;'),
       $why);
warned('"allow" ends what "deny" has said around it', 'zertiban_status',
       status(server => 'deny all;', location => 'allow 10.0.0.0/8;'), $why);
warned('... and what "allow all" has', 'zertiban_status',
       status(server => 'allow all;', location => 'allow 10.0.0.0/8;'), $why);
accepted('one guard stays when another one ends',
         status(server => $guards{auth_basic},
                location => 'auth_request off;'));
warned('a guard of another location is none', 'zertiban_status',
       status(server => "location /other { $guard }"), $why);
warned('one of another method is none', 'zertiban_status',
       status(location => "limit_except GET { $guard }"), $why);


# -- certificates of clients

accepted('a server that asks for a certificate is guarded',
         status(listen => "listen 8081 ssl; $tls ssl_verify_client on;"));
warned('one that takes any is not', 'zertiban_status',
       status(listen => "listen 8081 ssl; $tls ssl_verify_client optional;"),
       $why);
warned('nor is one that listens without TLS as well', 'zertiban_status',
       status(listen => "listen 8081 ssl; listen 8082; $tls"
                        . ' ssl_verify_client on;'), $why);
accepted('unless only this machine reaches that',
         status(listen => "listen 8081 ssl; listen 127.0.0.1:8082; $tls"
                          . ' ssl_verify_client on;'));


# -- the directives are nginx's

my %right = (allow => '127.0.0.1', deny => 'all', auth_basic => 'who',
             auth_request => '/auth');

for my $name (sort keys %right) {
    my $value = $right{$name};

    same("$name in a location", "location /t { $name $value; }");
    same("$name in a server", "$name $value;");
    same("$name in http", http(["$name $value;"]));
    same("$name in \"if\"", "location /t { if (\$arg_x) { $name $value; } }");
    same("$name in limit_except",
         "location /t { limit_except GET { $name $value; } }");
    same("$name in upstream",
         http(["upstream u { server 127.0.0.1:9; $name $value; }"]));
    same("$name in no block", "location /t { $name $value }");
    same("$name with a block", "location /t { $name { } }");
    same("$name twice", "location /t { $name $value; $name $value; }");
    same("$name without a value", "location /t { $name; }");
    same("$name with two values", "location /t { $name $value $value; }");
    same("$name in main", "http { } $name $value;");
}

same('a bad address', "location /t { $_ 10.0.0.0/33; }") for qw(allow deny);
same('an address with bits behind the mask', "location /t { $_ 10.0.0.1/8; }")
    for qw(allow deny);
same('a directive that no module has', "location /t { $_ on; }")
    for qw(auth_jwt auth_ldap auth_);

done_testing();
