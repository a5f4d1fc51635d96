#!/usr/bin/perl

# A secret or a client id that looks wrong is refused or warned about, by its
# directive, file and line, and no part of it is shown.

use strict;
use warnings;

use lib 't/lib';
use Zertiban::Conf;

use Encode qw(encode);
use Test::More;

# no three characters of it are in any text

my $core = 'qZ7xJ9vK3wQ8';

my %gate = gate();
my $in_file = 'zertiban_client_secret_file';
my $literal = 'zertiban_client_secret';


# -- what is refused

my %marked = (
    'of UTF-8'               => "\xef\xbb\xbf$core\n",
    'of UTF-8, and CR LF'    => "\xef\xbb\xbf$core\r\n",
    'of UTF-16'              => encode('UTF-16LE', "\x{feff}$core\r\n"),
    'of UTF-16, big endian'  => encode('UTF-16BE', "\x{feff}$core\r\n"),
    'and nothing else'       => "\xef\xbb\xbf",
);

for my $name (sort keys %marked) {
    hidden(\&refused, "a file with a byte order mark $name is refused",
           $in_file, file(secret($marked{$name})),
           qr/begins with a byte order mark: save it as plain text/);
}

hidden(\&refused, 'UTF-16 without a mark is refused', $in_file,
       file(secret(encode('UTF-16LE', "$core\n"))), qr/control character/);

# nginx would show the name of the variable that it does not know

my %dollars = (
    'a "$"'                         => "$core\$$core",
    'a "$" at the end'              => "$core\$",
    'two "$"'                       => "$core\$\$$core",
    'a "$" and a bracket'           => "$core\${$core",
    'a "$" and empty brackets'      => "$core\${}$core",
    'a "$" and brackets'            => "$core\${$core}$core",
    'a "$" and bad brackets'        => "$core\${q-$core}",
    'a "$" and another character'   => "$core\$-$core",
    'a "$", behind a variable'      => "\$host$core\$$core",
    'a "$", before a variable'      => "$core\$$core-\$host",
);

for my $name (sort keys %dollars) {
    hidden(\&refused, "a secret with $name is refused", $literal,
           location($literal => qq('$dollars{$name}')),
           qr/"\$" with no variable .*"zertiban_client_secret_file"/);
}

hidden(\&refused, 'a "$" is not looked for in a gated location only', $literal,
       "location /t { $literal '$core\$$core'; }");


# -- files that cannot be read

refused('a secret file that is missing is to be created', $in_file,
        file("$dir/none"),
        qr{create it with "install -m 0600 /dev/null \Q$dir\E/none" and paste});

refused('a file that is missing is missing for a reason', $in_file,
        file("$dir/none"), qr/: open\(\) failed \(2: No such file/);

refused('a variable in the path of a file is none', $in_file,
        file("$dir/\$host"), qr/a "\$" is no variable/);

accepted('a path with a "$" may exist',
         file(rename_to(secret($core), "$dir/a\$b")));

refused('a path through a file is refused', $in_file,
        file(secret($core) . '/secret'), qr/write the path.*Not a directory/);

refused('a path that is too long is refused', $in_file,
        file("$dir/" . 'x' x 300), qr/write the path.*File name too long/);

refused('a secret file in a directory that is closed is refused', $in_file,
        file(closed($core)), qr/accessible for the user.*Permission denied/)
    if $> != 0;

refused('a directory is refused', $in_file, file($dir),
        qr/is not a regular file: write the path/);

# it is a regular file, and nothing is at its beginning

refused('a file that cannot be read is refused', $in_file,
        file('/proc/self/mem'),
        qr{cannot read "/proc/self/mem".*read\(\) failed \(5: });


# -- what looks wrong

my %odd = (
    'a space behind it'         => ["$core ", qr/white space/],
    'a space before it'         => [" $core", qr/white space/],
    'quotes around it'          => ["\"$core\"", qr/quotes around/],
    'single quotes around it'   => ["'$core'", qr/quotes around/],
    'a name before it'          => ["CLIENT_SECRET=$core", qr/NAME=value/],
    'a small name before it'    => ["secret2=$core", qr/NAME=value/],
    'a name and base64'         => ["KEY=$core==", qr/NAME=value/],
    'a no-break space behind it' => ["$core\xc2\xa0", qr/printable ASCII/],
    'a zero width space'        => ["$core\xe2\x80\x8b", qr/printable ASCII/],
    'curly quotes around it'    => ["\xe2\x80\x9c$core\xe2\x80\x9d",
                                    qr/printable ASCII/],
    'the client id before it'   => ["gateway:$core", qr/the client id and/],
);

for my $name (sort keys %odd) {
    my ($bytes, $why) = @{ $odd{$name} };
    my $quoted = $bytes =~ s/(["\\])/\\$1/gr;

    hidden(\&warned, "a secret file with $name is warned about", $in_file,
           file(secret("$bytes\n")), $why);
    hidden(\&warned, "a secret with $name is warned about", $literal,
           location($literal => qq("$quoted")), $why);
}

hidden(\&warned, 'a secret that begins with "file:" is warned about', $literal,
       location($literal => "file:/etc/$core"), qr/name of a file/);

hidden(\&warned, 'a secret that is a path is warned about', $literal,
       location($literal => rename_to(secret($core), "$dir/$core")),
       qr/name of a file.*"zertiban_client_secret_file"/);

hidden(\&warned, 'a "$" and a digit in a secret are warned about', $literal,
       location($literal => qq('$core\$4$core')), qr/"\$" and a digit/);

my %odd_id = (
    'a space behind it'         => ['"gateway "', qr/white space/],
    'a space before it'         => ['" gateway"', qr/white space/],
    'quotes around it'          => [q('"gateway"'), qr/quotes around/],
    'single quotes around it'   => [q("'gateway'"), qr/quotes around/],
    'a zero width space'        => ["gateway\xe2\x80\x8b", qr/printable ASCII/],
);

for my $name (sort keys %odd_id) {
    my ($value, $why) = @{ $odd_id{$name} };

    warned("a client id with $name is warned about", 'zertiban_client_id',
           location(zertiban_client_id => $value), $why);
}


# -- an id and a secret that meet somewhere

my $pair = "$literal gateway:$core;";
my $pass = 'proxy_pass http://127.0.0.1:9;';
my @others = settings(%gate, $literal => undef);
my $here = join ' ', $pass, @others;

hidden(\&warned, 'a pair is warned about once for all that inherit it',
       $literal,
       http([$pair, @others], [],
            "location /a { $pass } location /b { $pass location /b/c { $pass }"
            . " zertiban_timeout 5s; if (\$arg_x) { $pass } }"),
       qr/the client id and/);

hidden(\&warned, 'a pair is warned about where the id comes from', $literal,
       http([$pair], [], "location /t { $here }"), qr/the client id and/);

accepted('a pair with an id in a variable is accepted',
         http([$pair], [], "location /t { $pass "
              . join(' ', settings(%gate, $literal => undef,
                                   zertiban_client_id => '$remote_user'))
              . ' }'));

accepted('a pair with the id of another client is accepted',
         location($literal => "gateway2:$core"));

# what else is wrong is said once, where it is written

hidden(\&warned, 'a pair in quotes is warned about once', $literal,
       location($literal => qq('"gateway:$core"')), qr/quotes around/);

hidden(\&warned, 'each secret is warned about where it stands', $literal,
       http(["$literal $core;"], [],
            "location /t { $here $literal '$core '; }"),
       qr/white space/);


# -- what is right

my @right = ($core, "$core=", "$core==", '=', '==', '_==', "a$core=", "/$core",
             "$core:", "$core:$core", "9$core=$core", "-$core=$core",
             '"', "'", "\"$core", "$core'", "\"$core'", "$core $core",
             "$core#$core", "\\$core", '~!@#%^&*()_+{}|<>?,./`-',
             "gateway$core", 'gateway', 'file:');

for my $secret (@right) {
    accepted('a secret file is accepted: ' . substr($secret, 0, 40),
             file(secret("$secret\n")));

    $secret =~ s/(["\\])/\\$1/g;

    accepted('a secret is accepted: ' . substr($secret, 0, 40),
             location($literal => qq("$secret")));
}

accepted('a "$" in a file is a part of the secret',
         file(secret("\$$core\$\$1\${$core\n")));

my %variables = (
    'a variable'            => '$host',
    'a variable with text'  => 'a-$host-b$arg_c',
    'brackets'              => '${host}a',
    'a prefix'              => '$http_x_secret',
    'a map, defined later'  => '$later',
    'capitals'              => '$LATER',
    'a captured name'       => '$captured',
);

for my $name (sort keys %variables) {
    accepted("a secret with $name is accepted",
             http([], ['server_name ~^(?<captured>.+)\.example$;'],
                  location($literal => $variables{$name})
                  . '} map $host $later { default x; } server {'));
}

accepted('a client id may hold what is no quote around it',
         location(zertiban_client_id => qq("a'b c")));

done_testing();


# a case whose messages have no three bytes of the core in a row

sub hidden {
    my ($case, $name, $directive, $conf, $why) = @_;

    $case->($name, $directive, $conf, $why);

    my ($status, $lines) = check($conf);
    my $said = join '', @$lines;

    $said =~ s{"\Q$dir\E/[^"]*"}{}g;

    my @shown = grep { index(lc $said, lc $_) >= 0 }
                map { substr $core, $_, 3 } 0 .. length($core) - 3;

    is("@shown", '', "$name: nothing of it is shown");
}


sub rename_to {
    my ($path, $other) = @_;

    rename $path, $other or die "$other: $!";

    return $other;
}


sub closed {
    my ($bytes) = @_;

    mkdir "$dir/closed" or die "$dir/closed: $!";
    rename_to(secret($bytes), "$dir/closed/secret");
    chmod 0000, "$dir/closed" or die "$dir/closed: $!";

    return "$dir/closed/secret";
}
