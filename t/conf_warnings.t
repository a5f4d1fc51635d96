#!/usr/bin/perl

# What is likely to be a mistake is warned about, once, and what is right is
# not: the examples of the documents, and what looks like a mistake only.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Zertiban::CA;
use Zertiban::Conf;

my %gate = gate();
my @gate = settings(%gate);
my @closed = settings(%gate, zertiban => undef);
my $pass = 'proxy_pass http://127.0.0.1:9;';


# -- a tenant that the client chooses

for my $value (qw($arg_tenant $http_x_tenant_id $cookie_tenant ${arg_tenant}
                  $ARG_tenant $http_host))
{
    warned("the tenant $value is warned about", 'zertiban_tenant_id',
           location(zertiban_tenant_id => qq("$value")),
           qr/what the client says in "\$\w+".*: use "map"/);
}

my %tenants = (
    '$business'         => 'of a map over what the client sends',
    '$remote_user'      => 'that has a password',
    '$ssl_client_s_dn'  => 'of a certificate',
    'shop-$arg_shop'    => 'that is a part of it',
    '$argument'         => 'of another name',
    '$host'             => 'of a host',
);

for my $value (sort keys %tenants) {
    accepted("a tenant $tenants{$value} is accepted",
             location(zertiban_tenant_id => $value)
             . '} map $arg_x $business { default x; }'
             . ' map $arg_x $argument { default x; } server {');
}

for my $name (qw(client_id tenant_id)) {
    refused("a variable in $name that nobody defines is refused",
            "zertiban_$name", location("zertiban_$name" => 'a-$no_such'),
            qr/unknown variable "\$no_such": define it/);

    refused("... also where nothing is gated", "zertiban_$name",
            "location /t { zertiban_$name \$no_such; }",
            qr/unknown variable "\$no_such"/);
}


# -- a gate that nothing goes through

my %idle = (
    'a location without anything'   => location(proxy_pass => undef),
    'a location that returns'       => location(proxy_pass => undef,
                                                return => '204'),
    'a location of files'           => location(proxy_pass => undef,
                                                root => $dir),
    'a location of another handler' => location(proxy_pass => undef,
                                                empty_gif => ''),
    'a location of memcached'       => location(
        proxy_pass => undef, memcached_pass => '127.0.0.1:9',
        'set $memcached_key' => 'x'),
    '"if" in such a location'       => "location /t { @closed"
                                       . ' if ($arg_x) { zertiban on; } }',
    'a server without locations'    => http([], [@gate]),
    'a server that proxies nothing' => http([], [@gate], 'location /t { }'),
    'http that proxies nothing'     => http([@gate], [], 'location /t { }'),
    'a server beside one that proxies'
                                    => http([], [@gate], 'location /t { } }'
                                            . "server { location /t { $pass }"),
    'a location beside one that proxies'
                                    => "location /t { @gate }"
                                       . "location /p { $pass }",
);

for my $name (sort keys %idle) {
    warned("a gate in $name is warned about", 'zertiban', $idle{$name},
           qr/is on, but has no effect: it is for "proxy_pass"/);
}

my ($status, $lines) = check("location /a { @gate }\n"
                              . "location /b { @gate }");

is($status, 0, 'two gates that nothing goes through are accepted');
is(join(' ', sort grep { defined } map { /no effect.*:(\d+)$/ } @$lines),
   join(' ', sort map { line_of($_) } 1, 2), 'with a warning for each');

my %busy = (
    'a location'                => location(),
    '"if" in a location'        => "location /t { $pass @closed"
                                   . ' if ($arg_x) { zertiban on; } }',
    'a location with a pass in "if"'
                                => "location /t { @gate"
                                   . " if (\$arg_x) { $pass } }",
    'a location with a pass in "limit_except"'
                                => "location /t { @gate"
                                   . " limit_except GET { $pass } }",
    'a location around one that proxies'
                                => "location /t { @gate"
                                   . " location /t/p { $pass } }",
    'a server'                  => http([], [@gate], 'location /t { }'
                                        . " location /p { $pass }"),
    'http'                      => http([@gate], [], "location /t { $pass }"
                                        . ' } server {'),
    'http, and in a location again'
                                => http([@gate], [],
                                        "location /t { zertiban on; $pass }"),
    'http, closed in a location that proxies'
                                => http([@gate], [],
                                        "location /t { zertiban off; $pass }"),
    'none, where it is closed'  => 'location /t { zertiban off; }',
);

$busy{"a location with $_"} = location(proxy_pass => undef,
                                       $_ => '127.0.0.1:9')
    for qw(grpc_pass fastcgi_pass uwsgi_pass scgi_pass);

for my $name (sort keys %busy) {
    accepted("a gate in $name is accepted", $busy{$name});
}


# -- the token endpoint and its times

for my $url (qw(https://127.0.0.1 https://127.0.0.1/ http://127.0.0.1:9
                https://[::1] https://127.0.0.1:443/))
{
    warned("an endpoint without a path is warned about: $url",
           'zertiban_token_endpoint',
           location(zertiban_token_endpoint => qq("$url")),
           qr{no path in "\Q$url\E": .*/idp/oauth2/token});
}

for my $url (qw(https://127.0.0.1/t https://127.0.0.1/?t https://127.0.0.1?t
                https://127.0.0.1//))
{
    accepted("an endpoint with a path or a query is accepted: $url",
             location(zertiban_token_endpoint => $url));
}

for my $url (qw(http://unix:/run/idp.sock http://unix:/run/idp.sock:/token
                https://UNIX:/run/idp.sock http://unix: http://unix:80/token))
{
    refused("a unix domain socket is refused for what it is: $url",
            'zertiban_token_endpoint',
            location(zertiban_token_endpoint => $url),
            qr/unix domain socket cannot be/);
}

for my $time (qw(1ms 50ms 999ms)) {
    warned("a timeout of $time is warned about", 'zertiban_timeout',
           location(zertiban_timeout => $time), qr/write at least "1s"/);
}

for my $time (qw(1s 1000ms 10 1m)) {
    accepted("a timeout of $time is accepted",
             location(zertiban_timeout => $time));
}

accepted("refreshing $_ before the end is accepted",
         location(zertiban_refresh_before => $_)) for qw(0 1ms 1h 1d);


# -- what the documents show

my $docs = "$FindBin::Bin/..";
my $ca = Zertiban::CA->new($dir, 'ca');

mkdir "$dir/users";
private('zertiban.secret', "k2V/8v+1cQ==\n");
private('zertiban.credentials', "3f0c9e0a k2V/8v+1cQ==\n");

my %shown;

for my $path (glob("$docs/docs/examples/*"), glob("$docs/docs/*.md"),
              "$docs/README.md")
{
    my ($name) = $path =~ m{([^/]+)$};
    my $text = content($path);

    if ($name =~ /\.md$/) {
        my $n = 0;

        $shown{"$name, " . ++$n} = $_
            for grep { /^\s*zertiban(?:\s+on|_status\b.*);/m }
                     $text =~ /^```nginx\n(.*?)^```/msg;

    } elsif ($name =~ /\.conf$/) {
        $shown{$name} = $text;

    } else {
        private($name, $text);
    }
}

cmp_ok(scalar keys %shown, '>=', 8, 'the documents show what to configure');

for my $name (sort keys %shown) {
    accepted("what is shown is accepted: $name", complete($shown{$name}));
}

done_testing();


# the line of the n-th "zertiban on"

sub line_of {
    my ($n) = @_;

    my @lines = split /^/, content("$dir/nginx.conf");

    return (grep { $lines[$_ - 1] =~ /zertiban on;/ } 1 .. @lines)[$n - 1];
}


# a file of nginx's directory, for its owner only

sub private {
    my ($name, $text) = @_;

    save("$dir/$name", $text);
    chmod 0600, "$dir/$name" or die "$dir/$name: $!";
}


# an example with what it leaves to others: http, and a server around, names
# that are known, and files

sub complete {
    my ($text) = @_;

    my $api = 'nc-api(?:-sandbox)?\.zertiban\.com';

    $text =~ s/^load_module .*;$//mg;
    $text =~ s{https://$api/idp/}{https://127.0.0.1:9/idp/}g;
    $text =~ s/^( *server +)$api:443/${1}127.0.0.1:9/mg;
    $text =~ s{/etc/ssl/certs/ca-certificates\.crt}{$dir/ca.crt}g;
    $text =~ s{/etc/nginx/(?:gateway|shops-ca)\.(crt|key)}{$dir/ca.$1}g;
    $text =~ s{/etc/nginx/|/var/(?:log|cache|lib)/nginx/}{$dir/}g;
    $text =~ s/^( *zertiban +on;\n) *\.\.\.\n/join ' ', $1, @closed/me;
    $text =~ s/^ *\.\.\.\n//mg;
    $text =~ s/^http \{\n(.*)^\}/$1/ms;
    $text = "server {\n$text}\n" if $text !~ /^ *server \{/m;

    my @names = do {
        my %names = map { $_ => 1 }
                    $text =~ m{_pass +https://($api|zertiban_api)}g;
        grep { $text !~ /upstream \Q$_\E / } sort keys %names;
    };

    # the servers of http() are others

    $text =~ s/127\.0\.0\.1:\K8080/8081/g;

    return http([map { "upstream $_ { server 127.0.0.1:9; }" } @names], [],
                "}\n$text server { listen 127.0.0.1:8082;");
}
