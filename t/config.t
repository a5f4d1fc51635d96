#!/usr/bin/perl

# What "nginx -t" refuses, what it warns about, and what it accepts: one
# configuration a case.

use strict;
use warnings;

use lib 't/lib';
use Zertiban::Conf;

use Test::More;

my %gate = gate();


# -- a gated location that lacks something

for my $name (qw(token_endpoint client_id client_secret tenant_id)) {
    my $directive = "zertiban_$name";

    # of the two ways to give a secret either may be named

    refused("a gated location without $name is refused",
            qr/$directive(?:_file)?/, location($directive => undef), qr/set/);
}

refused('a gate opened by an outer level needs its client id as well',
        'zertiban_client_id',
        http(['zertiban on;'], [], location(zertiban => undef,
             zertiban_client_id => undef,
             proxy_pass => 'http://127.0.0.1:9')), qr/set/);

refused('a gate opened in "if" needs a client id as well',
        'zertiban_client_id',
        location(zertiban => undef, zertiban_client_id => undef,
                 'if ($arg_x)' => '{ zertiban on; }'), qr/set/);

accepted('a location that is not gated needs nothing',
         'location /t { zertiban off; }');

accepted('a module that nobody uses needs nothing', 'location /t { }');

accepted('each setting may come from another level',
         http(["zertiban_token_endpoint $gate{zertiban_token_endpoint};",
               'zertiban_client_id gateway;'],
              ['zertiban_client_secret s3cret;'],
              "location /t { zertiban on; zertiban_tenant_id $uuid;"
              . ' proxy_pass http://127.0.0.1:9; }'));

# a certificate of the client's own needs its key

for my $pair ([qw(certificate certificate_key)],
              [qw(certificate_key certificate)])
{
    my ($set, $missing) = map { "zertiban_ssl_$_" } @$pair;

    refused("$set alone is refused", $missing,
            location($set => "$dir/client.pem"), qr/no "$missing"/);
}

accepted('every setting at the http level gates everything',
         http([settings(%gate)], [],
              'location /t { proxy_pass http://127.0.0.1:9; }'));


# -- secrets

refused('a secret and a secret file at one level are refused',
        qr/zertiban_client_secret(?:_file)?/,
        location(zertiban_client_secret_file => secret('s3cret')),
        qr/remove|both|one of|either/i);

refused('a secret file and a secret at one level are refused',
        qr/zertiban_client_secret(?:_file)?/,
        join("\n", file(secret('s3cret')) =~ /(.*)\}/s,
             'zertiban_client_secret s3cret;', '}'),
        qr/remove|both|one of|either/i);

refused('a secret file that is missing is refused',
        'zertiban_client_secret_file', file("$dir/none"),
        qr/No such file/);

refused('a directory as secret file is refused',
        'zertiban_client_secret_file', file($dir), qr/director|regular/i);

refused('a secret file that may not be read is refused',
        'zertiban_client_secret_file',
        file(secret('s3cret', 0000)), qr/Permission denied/)
    if $> != 0;

my %bad_file = (
    'is empty'                      => ['', qr/empty/],
    'holds a line end only'         => ["\n", qr/empty/],
    'holds a CR LF only'            => ["\r\n", qr/empty/],
    'is over 4 KiB'                 => ['x' x 4099, qr/large|long|big|4096/],
    'is over 1 MiB'                 => ['x' x 1048577, qr/large|long|big|4096/],
    'holds a NUL'                   => ["a\0b", qr/control/],
    'holds a control character'     => ["a\x01b", qr/control/],
    'holds a tab'                   => ["a\tb", qr/control/],
    'holds a DEL'                   => ["a\x7fb", qr/control/],
    'holds two lines'               => ["a\nb\n", qr/control|line/],
    'ends in two line ends'         => ["a\n\n", qr/control|line/],
    'ends in two CR LF'             => ["a\r\n\r\n", qr/control|line/],
    'ends in LF CR'                 => ["a\n\r", qr/control|line/],
);

for my $name (sort keys %bad_file) {
    my ($bytes, $why) = @{ $bad_file{$name} };

    refused("a secret file that $name is refused",
            'zertiban_client_secret_file', file(secret($bytes)), $why);
}

accepted('a secret file of 4 KiB is accepted', file(secret('x' x 4096)));
accepted('a secret file may end in a line end', file(secret("s3cret\n")));
accepted('a secret file may end in CR LF', file(secret("s3cret\r\n")));
accepted('a secret file may hold a colon, a space and a quote',
         file(secret("a:b c'\n")));
accepted('a secret file may hold a "$"', file(secret("s\$3{cret\n")));

refused('an empty secret is refused', 'zertiban_client_secret',
        location(zertiban_client_secret => '""'), qr/empty/);

refused('a secret with a control character is refused',
        'zertiban_client_secret',
        location(zertiban_client_secret => qq("a\x01b")), qr/control/);

accepted('a secret may hold a colon and a space',
         location(zertiban_client_secret => qq("a:b c=")));

accepted('a secret may hold variables',
         location(zertiban_client_secret => '$http_x_secret'));


# -- client ids and tenants

refused('a client id with a colon is refused', 'zertiban_client_id',
        location(zertiban_client_id => 'a:b'), qr/colon|":"/);

refused('a client id with a control character is refused',
        'zertiban_client_id',
        location(zertiban_client_id => qq("a\x01b")), qr/control/);

refused('an empty client id is refused', 'zertiban_client_id',
        location(zertiban_client_id => '""'), qr/empty/);

accepted('a client id may hold variables',
         location(zertiban_client_id => 'a-$http_x_id'));

my %bad_tenant = (
    'an empty tenant'           => '""',
    'a tenant of 129 bytes'     => 'x' x 129,
    'a tenant with a space'     => '"a b"',
    'a tenant with a tab'       => qq("a\tb"),
    'a tenant with UTF-8'       => "p\xc3\xa4",
);

for my $name (sort keys %bad_tenant) {
    refused("$name is refused", 'zertiban_tenant_id',
            location(zertiban_tenant_id => $bad_tenant{$name}));
}

warned('a tenant that is no UUID is warned about', 'zertiban_tenant_id',
       location(zertiban_tenant_id => 'my-business'), qr/UUID/);

warned('a tenant that is nearly a UUID is warned about',
       'zertiban_tenant_id',
       location(zertiban_tenant_id => substr($uuid, 0, 35) . 'g'), qr/UUID/);

warned('a tenant of 128 bytes is accepted, with a warning',
       'zertiban_tenant_id',
       location(zertiban_tenant_id => 'x' x 128), qr/UUID/);

accepted('a UUID in upper case is accepted',
         location(zertiban_tenant_id => uc $uuid));

accepted('a tenant in a variable is accepted',
         location(zertiban_tenant_id => '$remote_user'));


# -- the URL of the token endpoint

my %bad_url = (
    'an empty URL'                      => '""',
    'a URL without a scheme'            => '127.0.0.1/token',
    'a URL with an unknown scheme'      => 'ftp://127.0.0.1/token',
    'a URL with a scheme only'          => 'http://',
    'a URL without a host'              => 'http:///token',
    'a URL with a port but no host'     => 'http://:80/token',
    'port 0'                            => 'http://127.0.0.1:0/token',
    'port 70000'                        => 'http://127.0.0.1:70000/token',
    'a port of 20 digits'               => 'http://127.0.0.1:'
                                           . '1' x 20 . '/token',
    'a port that is no number'          => 'http://127.0.0.1:x/token',
    'a negative port'                   => 'http://127.0.0.1:-1/token',
    'a user in the URL'                 => 'http://me@127.0.0.1/token',
    'a user and password in the URL'    => 'http://me:pw@127.0.0.1/token',
    'a fragment'                        => 'http://127.0.0.1/token#there',
    'a space in the path'               => '"http://127.0.0.1/to ken"',
    'a space in the host'               => '"http://127.0.0.1 /token"',
    'a control character in the path'   => qq("http://127.0.0.1/\x01"),
    'a line end in the path'            => qq("http://127.0.0.1/\nzertiban"),
    'a DEL in the path'                 => qq("http://127.0.0.1/\x7f"),
    'a control character in the host'   => qq("http://127.0.0.1\x01/"),
    'an open bracket'                   => '"http://[::1/token"',
    'an IPv6 address that is none'      => '"http://[::zz]/token"',
    'a variable in the host'            => 'http://$host/token',
    'a variable in the path'            => 'http://127.0.0.1/$arg_path',
    'a host that begins with a dot'     => 'http://.example.com/token',
);

for my $name (sort keys %bad_url) {
    refused("$name is refused", 'zertiban_token_endpoint',
            location(zertiban_token_endpoint => $bad_url{$name}));
}

my %good_url = (
    'a URL with a query'            => 'http://127.0.0.1:9/token?a=b&c=d',
    'a URL with an IPv6 address'    => '"http://[::1]:9/token"',
    'a URL with an IPv6 address and a query'
                                    => '"http://[::1]:9?a=b/c:d"',
    'a URL with a query and no path'
                                    => 'http://127.0.0.1:9?a=b/c:d',
    'a URL with the last port'      => 'http://127.0.0.1:65535/token',
    'an https URL'                  => 'https://127.0.0.1:9/token',
);

for my $name (sort keys %good_url) {
    accepted("$name is accepted",
             location(zertiban_token_endpoint => $good_url{$name}));
}

warned('a name without an address is warned about', 'zertiban_token_endpoint',
       location(zertiban_token_endpoint => 'https://no-such-idp.invalid/t'),
       qr/no-such-idp\.invalid/);

# a resolver keeps names from being looked up now

accepted('a name that will be looked up is not warned about',
         location(zertiban_token_endpoint => 'https://no-such-idp.invalid/t',
                  resolver => '127.0.0.1'));

for my $host (qw(192.0.2.1 [2001:db8::1] no-such-idp.invalid 128.0.0.1
                 localhost.invalid 127.example.invalid))
{
    warned("plain http to $host is warned about", 'zertiban_token_endpoint',
           location(zertiban_token_endpoint => "http://$host:9/token",
                    resolver => '127.0.0.1'), qr/https/);
}

for my $host (qw(127.0.0.1 127.1.2.3 [::1] localhost)) {
    accepted("plain http to $host is not warned about",
             location(zertiban_token_endpoint => "http://$host:9/token"));
}

warned('verification switched off is warned about', 'zertiban_ssl_verify',
       location(zertiban_token_endpoint => 'https://127.0.0.1:9/token',
                zertiban_ssl_verify => 'off'));


# -- files that others can read

for my $mode (0644, 0604, 0666) {
    warned(sprintf('a secret file of mode %04o is warned about', $mode),
           'zertiban_client_secret_file', file(secret("s3cret\n", $mode)),
           qr/chmod/);
}

for my $mode (0400, 0600, 0640) {
    accepted(sprintf('a secret file of mode %04o is not warned about', $mode),
             file(secret("s3cret\n", $mode)));
}


# -- the zone

my %bad_zone = (
    'a zone that is too small'      => 'zertiban:4k',
    'a zone without a name'         => ':1m',
    'a zone without a size'         => 'zertiban',
    'a zone with an empty size'     => 'zertiban:',
    'a zone with a bad size'        => 'zertiban:1x',
    'a zone of no bytes'            => 'zertiban:0',
    'a zone of a negative size'     => 'zertiban:-1m',
);

for my $name (sort keys %bad_zone) {
    refused("$name is refused", 'zertiban_zone',
            http(["zertiban_zone $bad_zone{$name};"], [], location()));
}

refused('two zones are refused', 'zertiban_zone',
        http(['zertiban_zone a:1m;', 'zertiban_zone b:1m;']));

refused('a zone outside of http is refused', 'zertiban_zone',
        http([], ['zertiban_zone a:1m;']), qr/not allowed here/);

accepted('a zone of another name and size is accepted',
         http(['zertiban_zone tokens:2m;'], [], location()));


# -- duplicates, bad values, other places

my %values = (
    %gate,
    zertiban_client_secret_file     => secret('s3cret'),
    zertiban_scope                  => 'openid',
    zertiban_refresh_before         => '30s',
    zertiban_replay                 => 'off',
    zertiban_timeout                => '5s',
    zertiban_ssl_verify             => 'on',
    zertiban_ssl_verify_depth       => '2',
    zertiban_ssl_trusted_certificate => "$dir/ca.pem",
    zertiban_ssl_crl                => "$dir/crl.pem",
    zertiban_ssl_name               => 'idp.example.com',
    zertiban_ssl_server_name        => 'on',
    zertiban_ssl_protocols          => 'TLSv1.3',
    zertiban_ssl_ciphers            => 'DEFAULT',
    zertiban_ssl_certificate        => "$dir/client.pem",
    zertiban_ssl_certificate_key    => "$dir/client.key",
);

for my $name (sort keys %values) {
    refused("$name given twice is refused", $name,
            "location /t { $name $values{$name}; $name $values{$name}; }",
            qr/is duplicate/);

    refused("$name without a value is refused", $name,
            "location /t { $name; }", qr/invalid number of arguments/);
}

for my $name (grep { $_ ne 'zertiban' } sort keys %values) {
    refused("$name is not allowed in \"if\"", $name,
            'location /t { if ($arg_x) {' . " $name $values{$name}; } }",
            qr/not allowed here/);
}

my @bad_values = (
    [zertiban                   => 'maybe'],
    [zertiban_replay            => 'maybe'],
    [zertiban_timeout           => 'soon'],
    [zertiban_timeout           => '0'],
    [zertiban_refresh_before    => '-1s'],
    [zertiban_ssl_verify        => '2'],
    [zertiban_ssl_verify_depth  => 'deep'],
);

for my $case (@bad_values) {
    my ($name, $value) = @$case;

    refused("$name $value is refused", $name, location($name => $value));
}

accepted('an empty scope is accepted', location(zertiban_scope => '""'));


# -- the name in the token endpoint's certificate

accepted("$_ is accepted", location(zertiban_ssl_name => $_))
    for qw("" idp IDP.Example.com. 192.0.2.1 2001:db8::1);

my %bad_name = (
    '.example.com' => qr/is no name of a host/,
    '.com'         => qr/is no name of a host/,
    'a.example:443' => qr/has a port: write the name alone/,
    '$host'        => qr/has variables: write the name itself/,
    '*.example.com' => qr/is a pattern: write each name in full/,
    '"a b"'        => qr/character that is in no name of a host: write the n/,
    '[2001:db8::1]' => qr/has brackets: write the address alone/,
);

for my $value (sort keys %bad_name) {
    refused("zertiban_ssl_name $value is refused", 'zertiban_ssl_name',
            location(zertiban_ssl_name => $value), $bad_name{$value});
}


# -- what the gate stands before

for my $handler ('stub_status', 'empty_gif') {
    my ($name, $value) = split / /, $handler;

    warned("a gate before $name is warned about", 'zertiban',
           location(proxy_pass => undef, $name => $value // ''),
           qr/no effect.*proxy_pass/);

    accepted("$name in a server that has a gate is accepted",
             http([settings(%gate)], [], "location /t { $handler; }"
                  . ' location /p { proxy_pass http://127.0.0.1:9; }'));
}

my %passes = map { ("${_}_pass" => '127.0.0.1:9') }
             qw(proxy grpc fastcgi uwsgi scgi);

$passes{proxy_pass} = 'http://127.0.0.1:9';

for my $name (sort keys %passes) {
    my $pass = "$name $passes{$name};";

    same("$name in a location", "location /t { $pass }");
    same("$name in \"$_\"", "location /t { $pass $_ { $pass } }")
        for 'if ($arg_x)', 'limit_except GET';
    same("$name given twice", "location /t { $pass $pass }");
    same("$name without a value", "location /t { $name; }");
    same("$name with two values", "location /t { $name a b; }");
    same("$name with a bad value", "location /t { $name 127.0.0.1:none; }");
    same("$name with a variable", "location /t { $name \$arg_x; }");
    same("$name in a server", $pass);
    same("$name in no block", "location /t { $name $passes{$name} }");
    same("$name after another handler", "location /t { empty_gif; $pass }");
}

# one that comes behind would not be asked

if ($load) {
    my ($path) = $load =~ /(\S+);/;
    my $last = content($path) =~ s/ngx_http_log_module/ngx_http_log_nodule/gr;

    isnt($last, content($path), 'a module that is put behind all others');
    save("$dir/last.so", $last);

    local $Zertiban::Conf::load = "load_module $dir/last.so;";

    my ($status, $lines) = check('location /t { }');

    is($status, 1, 'is refused');
    like(join("\n", @$lines), qr/has to come before ngx_http_\w+_module/,
         'and says before which it has to come');
}

done_testing();
