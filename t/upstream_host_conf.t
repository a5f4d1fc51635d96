#!/usr/bin/perl

# What "nginx -t" says about where a token may go: one configuration a case.

use strict;
use warnings;

use lib 't/lib';
use Zertiban::Nginx;

use File::Temp qw(tempdir);
use Test::More;
use Zertiban::CA;

my $nginx = Zertiban::Nginx::binary();
my $load = Zertiban::Nginx::load_module();
my $user = Zertiban::Nginx::user();
my $dir = tempdir(CLEANUP => 1);
my $ca = Zertiban::CA->new($dir, 'ca');

my $verify = verify('proxy');
my $named = "$verify proxy_ssl_name api.example;";
my $pass = 'proxy_pass https://192.0.2.1;';


sub verify {
    my ($prefix) = @_;

    return "${prefix}_ssl_verify on;"
           . "${prefix}_ssl_trusted_certificate $dir/ca.crt;";
}


# -- names

accepted('one name', 'zertiban_upstream_host api.example;');
accepted('several names, in any case, with a final dot, and again',
         'zertiban_upstream_host API.Example. a-b.c_d.example 1.x api.example'
         . ';');
accepted('a name with one label', 'zertiban_upstream_host api;');
accepted('a host that is called "any"', 'zertiban_upstream_host any.;');
accepted('a name of each level',
         'zertiban_upstream_host a; location /t/in { zertiban_upstream_host b;'
         . 'proxy_pass http://127.0.0.1; }');

my %bad = (
    "''" => qr/"" is empty: write a name/,
    '.' => qr/is empty/,
    '.example' => qr/is no name of a host/,
    'api..' => qr/is no name of a host/,
    'api.example:443' => qr/has a port: write the name alone/,
    'https://api.example' => qr/has a scheme: write the name alone/,
    'https://api.example/' => qr/has a scheme: write the name alone/,
    'api.example/v1' => qr/has a path: write the name alone/,
    '$host' => qr/has variables: write the name itself/,
    'api.${tld}' => qr/has variables: write the name itself/,
    '*.example' => qr/is a pattern: write each name in full/,
    '~^api' => qr/has a character that is in no name of a host/,
    '"api example"' => qr/has a character that is in no name of a host/,
    "api\x7f" => qr/has a character that is in no name of a host/,
    "b\xc3\xbccher.example" => qr/has a character that is in no name/,
    '192.0.2.1' => qr/is an address, .*write the name that is in the cert/,
    '2001:db8::1' => qr/is an address/,
    '[2001:db8::1]' => qr/is an address/,
    'any api.example' => qr/"any" stands alone/,
    'api.example any' => qr/"any" stands alone/,
    'Any' => qr/write "any"/,
);

for my $value (sort keys %bad) {
    refused("the value $value", "zertiban_upstream_host $value;",
            qr/"zertiban_upstream_host" has an invalid value: .*$bad{$value}/);
    refused("the value $value behind another", "zertiban_upstream_host a.b "
                                               . "$value;", $bad{$value})
        if $value !~ /^any/;
}

refused('no value', 'zertiban_upstream_host;',
        qr/invalid number of arguments in "zertiban_upstream_host"/);
refused('the directive twice',
        'zertiban_upstream_host a.b; zertiban_upstream_host c.d;',
        qr/"zertiban_upstream_host" directive is duplicate: write all names/);
refused('the directive in "if"', 'if ($arg_x) { zertiban_upstream_host a.b; }',
        qr/"zertiban_upstream_host" directive is not allowed here/);

warned('any', 'zertiban_upstream_host any;',
       qr/"zertiban_upstream_host" is "any": .*name the hosts instead/);
warned('any, and the way to another machine',
       'zertiban_upstream_host any; proxy_pass http://192.0.2.1;',
       qr/"zertiban_upstream_host" is "any"/);


# -- ways that may do

accepted('the way to this machine', "proxy_pass $_;")
    for qw(http://127.0.0.1 http://127.1.2.3:8080 http://localhost
           https://127.0.0.1 http://unix:/tmp/socket http://local);
accepted('FastCGI and the like to this machine', "$_;")
    for 'fastcgi_pass 127.0.0.1:9000', 'fastcgi_pass unix:/tmp/socket',
        'scgi_pass localhost:9000', 'uwsgi_pass uwsgi://127.0.0.1:9000',
        'grpc_pass 127.0.0.1:9000', 'grpc_pass unix:/tmp/socket';
accepted('a way that a request chooses', "resolver 127.0.0.1; $_;")
    for 'proxy_pass http://$arg_to', 'proxy_pass https://$arg_to',
        'proxy_pass $arg_to', 'fastcgi_pass $arg_to', 'grpc_pass $arg_to';
accepted('a group that has a server of this machine', "proxy_pass $_;")
    for qw(http://local https://local http://mixed https://mixed);
accepted('a group of which another balancer chooses', "$_;")
    for 'proxy_pass https://hashed', 'grpc_pass grpcs://hashed',
        'uwsgi_pass hashed';
accepted('a group by a name that is in the list', "$named proxy_pass $_;")
    for qw(https://group https://kept);
accepted('a name that is in the list', "$named $pass");
accepted('a name that is in an explicit list',
         'zertiban_upstream_host x.y Other.Example.;'
         . "$verify proxy_ssl_name other.example:443; $pass");
accepted('a name that a request chooses',
         "$verify proxy_ssl_name \$arg_name; $pass");
accepted('settings of an outer level', "proxy_pass https://192.0.2.1;",
         "$named");
accepted('a way without a gate', "zertiban off; proxy_pass http://192.0.2.1;");
accepted('another kind of way',
         'zertiban off; set $memcached_key x;'
         . 'memcached_pass 192.0.2.1:11211;');


# -- ways that certainly do not

my $plain = qr/no TLS, write "proxy_pass https:\/\/\.\.\.", "proxy_ssl_verify/;

warned("the way to another machine: $_", "proxy_pass $_;",
       qr/no token is sent to "\S+" from the location "\/t": .*$plain/)
    for qw(http://192.0.2.1 http://192.0.2.1:8080/x http://0.0.0.0
           http://[2001:db8::1] http://128.0.0.1 http://[::ffff:192.0.2.1]);

warned("the way to a group of other machines: $_", "proxy_pass http://$_;",
       qr/no token is sent to "$_" from the location "\/t": .*$plain/)
    for qw(group kept);
warned('the way to a group that is not verified', 'proxy_pass https://group;',
       qr/is not verified, add "proxy_ssl_verify on" and "proxy_ssl_trusted/);
warned('the way to a group whose name is not that of a host',
       "$verify proxy_pass https://group;",
       qr/not verified for a name of "zertiban_upstream_host", set "proxy_ssl/);
warned('the way to a group by another name',
       "$verify proxy_ssl_name other.example; proxy_pass https://group;",
       qr/is for "other.example", add "zertiban_upstream_host other\.example"/);
warned("the way to a group by $_->[0]", "$_->[0]_pass $_->[1];",
       qr/no token is sent to "group"/)
    for ['grpc', 'grpcs://group'], ['uwsgi', 'group'], ['fastcgi', 'group'],
        ['scgi', 'group'];

warned("the way to another machine by $_", "$_;", qr/lead "\w+_pass" to a/)
    for 'fastcgi_pass 192.0.2.1:9000', 'scgi_pass 192.0.2.1:9000';
warned('the way to another machine by gRPC', 'grpc_pass grpc://192.0.2.1:9;',
       qr{write "grpc_pass grpcs://\.\.\.", "grpc_ssl_verify on" and "grpc_ss});
warned('the way to another machine by uwsgi', 'uwsgi_pass 192.0.2.1:9000;',
       qr{write "uwsgi_pass suwsgi://\.\.\.", "uwsgi_ssl_verify on" and});

warned('a certificate that is not verified', "$_;",
       qr/add "\w+_ssl_verify on"/)
    for 'proxy_pass https://192.0.2.1', 'grpc_pass grpcs://192.0.2.1:443',
        'uwsgi_pass suwsgi://192.0.2.1:443';
warned('a certificate whose verification is switched off',
       "proxy_ssl_verify off; $pass", qr/add "proxy_ssl_verify on"/, $named);
warned('a name that is not in the list',
       "$verify proxy_ssl_name other.example; $pass",
       qr/is for "other\.example", add "zertiban_upstream_host other\.exampl/);
warned('a name that is not in an explicit list',
       "zertiban_upstream_host x.y; $named $pass",
       qr/is for "api\.example", add this to "zertiban_upstream_host"/);
warned('a name that is like one of the list',
       "$verify proxy_ssl_name xapi.example; $pass", qr/is for "xapi\.ex/);
warned('no name', "$verify $pass", qr/set "proxy_ssl_name" to one/);
warned('no name, but an address of six',
       "$verify proxy_pass https://[2001:db8::1];",
       qr/set "proxy_ssl_name" to one/);

warned('a way in "if"',
       'if ($arg_x) { proxy_pass http://192.0.2.1; }'
       . 'proxy_pass http://127.0.0.1;', $plain);
warned('a way that an "if" opens the gate for',
       'zertiban off; if ($arg_x) { zertiban on; }'
       . 'proxy_pass http://192.0.2.1;', $plain);
warned('blocks in the location', 'proxy_pass http://192.0.2.1;'
       . 'limit_except GET { allow all; } if ($arg_x) { set $x y; }', $plain);
warned('a forgotten location', 'proxy_pass http://127.0.0.1; } location /old {'
       . 'proxy_pass http://192.0.2.1;', qr/from the location "\/old"/);

done_testing();


# the directives are those of the location; before them, of the server

sub check {
    my ($location, $server) = @_;

    $server //= '';
    $location .= ' proxy_pass http://127.0.0.1;' if $location !~ /_pass/;

    my $temp = join "\n", map { "${_}_temp_path $dir/$_;" }
                          qw(client_body proxy fastcgi uwsgi scgi);

    open my $out, '>', "$dir/nginx.conf" or die "$dir/nginx.conf: $!";
    print $out <<"EOF";
pid $dir/nginx.pid;
$user
$load
events { }
http {
    access_log off;
    resolver 127.0.0.1;
    $temp
    upstream group { server 192.0.2.1; server 192.0.2.2 backup; }
    upstream kept { least_conn; server 192.0.2.1; keepalive 8; }
    upstream local { server 127.0.0.1; }
    upstream mixed { server 192.0.2.1; server unix:/tmp/socket backup; }
    upstream hashed { hash \$uri; server 192.0.2.1; }
    server {
        listen 127.0.0.1:8080;
        zertiban on;
        zertiban_client_id gateway;
        zertiban_client_secret s3cret;
        zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;
        zertiban_token_endpoint https://api.example:8443/token;
        $server
        location /t {
            $location
        }
    }
}
EOF
    close $out;

    my $said = qx($nginx -t -p $dir/ -e stderr -c nginx.conf 2>&1);

    return ($? >> 8, [grep { !/no "ssl_|syntax is ok|test is suc/ }
                      split /\n/, $said]);
}


sub accepted {
    my ($name, @conf) = @_;

    my ($status, $lines) = check(@conf);

    is($status . join('', @$lines), 0, "$name is accepted: $conf[0]");
}


sub warned {
    my ($name, $location, $why, $server) = @_;

    my ($status, $lines) = check($location, $server);

    is("$status " . scalar @$lines, '0 1', "$name is warned about")
        or diag(@$lines);
    like($lines->[0] // '', qr/\[warn\].*$why.* in \S+\/nginx\.conf:\d+$/,
         'in one line');
}


sub refused {
    my ($name, $location, $why) = @_;

    my ($status, $lines) = check($location);
    my @emerg = grep { /\[emerg\]/ } @$lines;

    is("$status " . scalar @emerg, '1 1', "$name is refused") or diag(@$lines);
    like($emerg[0] // '', qr/$why.* in \S+\/nginx\.conf:\d+$/, 'in one line');
}
