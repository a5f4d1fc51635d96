#!/usr/bin/perl

# What "nginx -t" says of a file of pairs: it is refused, warned about or
# accepted, by the directive, the file and its line, and no secret is shown.

use strict;
use warnings;

use lib 't/lib';
use Zertiban::Conf;

use POSIX qw(strftime);
use Test::More;

my $directive = 'zertiban_credentials_file';
my $core = 'qZ7xJ9vK3wQ8';
my $pair = "client $core";


sub pairs {
    my ($content, $mode) = @_;

    return gated(secret($content, $mode));
}


sub gated {
    my ($path, %more) = @_;

    return location(zertiban_client_id => undef,
                    zertiban_client_secret => undef,
                    $directive => $path, %more);
}


sub day {
    return strftime('%Y-%m-%d', gmtime(time + 86400 * $_[0]));
}


# no line has a part of the secret

sub hidden {
    my ($test, $name, @rest) = @_;

    $test->($name, @rest);

    my (undef, $lines) = check($rest[-1] =~ /^Regexp|^\(\?/ ? $rest[-2]
                                                            : $rest[-1]);

    unlike(join('', @$lines), qr/\Q$core/, "$name: without the secret");
}


# -- what is refused

my %refused = (
    'nothing in it'        => ["", qr/no pair/],
    'only comments'        => ["# $core\n\n", qr/no pair/],
    'an id alone'          => ["$pair\nclient\n", qr/no secret .*line 2/],
    'a colon in an id'     => ["\n\na:b $core\n", qr/colon.* line 3/],
    'a control character'  => ["$pair\nclient $core\x01\n",
                               qr/secret that has a control.* line 2/],
    'a null'               => ["client $core\0\n", qr/control.* line 1/],
    'a word for a date'    => ["$pair soon\n", qr/no date YYYY-MM-DD.* line 1/],
    'a day that is none'   => ["$pair 2027-02-29\n", qr/no date/],
    'a month that is none' => ["$pair 2027-13-01\n", qr/no date/],
    'words behind a date'  => ["$pair 2099-01-01 # $core\n",
                               qr/behind the date/],
    'nine pairs'           => [join('', map { "c$_ $core\n" } 1 .. 9),
                               qr/more than 8 pairs.* line 9/],
    'a long secret'        => ["client " . 'x' x 4097 . "\n",
                               qr/longer than 4096/],
    'more than 16 KiB'     => ["$pair\n" . "#\n" x 8192, qr/more than 16384/],
    'a mark of UTF-8'      => ["\xef\xbb\xbf$pair\n", qr/byte order mark/],
    'UTF-16'               => ["\xff\xfec\0l\0 \0x\0\n\0", qr/byte order mark/],
);

for my $name (sort keys %refused) {
    my ($content, $why) = @{$refused{$name}};

    hidden(\&refused, "$name is refused", $directive, pairs($content), $why);
}

refused('a file that is missing is to be created', $directive,
        gated("$dir/none"), qr/install -m 0600/);
refused('a directory is refused', $directive, gated($dir), qr/regular file/);
refused('a "$" in the path is no variable', $directive, gated("$dir/\$host"),
        qr/no variable/);


# -- one way to name a credential on a level

for my $other (qw(zertiban_client_id zertiban_client_secret
                  zertiban_client_secret_file))
{
    my $value = $other =~ /file/ ? secret("$core\n") : 'other';
    my @both = ("$other $value;", "$directive " . secret("$pair\n") . ';');

    refused("$other and a file of pairs at one level are refused",
            qr/$other|$directive/, http([], [@both], 'location /t { }'),
            qr/both set/);
    refused("a file of pairs and $other as well",
            qr/$other|$directive/, http([], [reverse @both], 'location /t { }'),
            qr/both set/);
}

refused('two files are refused', $directive,
        gated(secret("$pair\n"), " $directive" => secret("$pair\n")),
        qr/duplicate/);

my @pass = ("zertiban on;", "zertiban_tenant_id $uuid;",
            'zertiban_token_endpoint http://127.0.0.1:9/token;');
my $proxied = 'proxy_pass http://127.0.0.1:9;';

accepted('a file replaces an outer client',
         http([@pass, 'zertiban_client_id a;', 'zertiban_client_secret b;'],
              ["$directive " . secret("$pair\n") . ';'],
              "location /t { $proxied }"));
accepted('a client replaces an outer file',
         http([@pass, "$directive " . secret("$pair\n") . ';'],
              ['zertiban_client_id a;', 'zertiban_client_secret b;'],
              "location /t { $proxied }"));
refused('an inner id needs a secret beside it', 'zertiban_client_secret',
        http([@pass, 'zertiban_client_secret b;'],
             ["$directive " . secret("$pair\n") . ';'],
             "location /t { zertiban_client_id a; $proxied }"), qr/set it/);


# -- what is warned about

hidden(\&warned, 'a file that others can read', $directive,
       pairs("$pair\n", 0644), qr/others can read/);
hidden(\&warned, 'a pair that has ended', $directive,
       pairs("$pair " . day(-1) . "\n"), qr/"client" is past/);
hidden(\&warned, 'a pair that ends today', $directive,
       pairs("$pair " . day(0) . "\n"), qr/"client" is in 0 days/);
hidden(\&warned, 'a pair that ends soon', $directive,
       pairs("$pair " . day(13) . "\n"), qr/"client" is in 1[23] days/);
hidden(\&warned, 'a secret in quotes', $directive,
       pairs(qq(client "$core"\n)), qr/"client" has quotes/);
hidden(\&warned, 'a secret behind a name', $directive,
       pairs("client SECRET=$core\n"), qr/NAME=value/);
hidden(\&warned, 'an id with other characters', $directive,
       pairs("cli\xc3\xa9nt $core\n"), qr/a client id has characters/);


# -- what is right

accepted('two pairs', pairs("new $core\nold $core\n"));
accepted('a date', pairs("$pair " . day(15) . "\n"));
accepted('a leap day', pairs("$pair 2096-02-29\n"));
accepted('tabs, CR LF, comments, and no line end',
         pairs("# first\r\n\r\n\tnew \t $core\t2099-01-01 \r\nold $core"));
accepted('eight pairs', pairs(join '', map { "c$_ $core\n" } 1 .. 8));
accepted('a pair that is there twice', pairs("$pair\n$pair\n"));
accepted('16 KiB', pairs("$pair\n" . '#' x (16384 - length("$pair\n"))));
accepted('a "$" in a secret', pairs("client $core\$$core\n"));


# -- secrets of one client

sub secrets {
    my ($n) = @_;

    return join "\n", map {
        location(zertiban_client_secret => "other-$_") =~ s{/t }{/t$_ }r
    } 1 .. $n;
}

warned('two secrets of a client', 'zertiban_client_secret', secrets(2),
       qr/another secret of client "gateway"/);

my ($status, $lines) = check(secrets(9));

is($status, 1, 'nine secrets of a client are refused');
like($lines->[-2], qr/"zertiban_client_secret" is one more than 8 secrets of /,
     'by the ninth');

done_testing();
