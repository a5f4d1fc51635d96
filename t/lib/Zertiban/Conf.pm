package Zertiban::Conf;

# What "nginx -t" says of a configuration: it is refused, warned about or
# accepted, with one test a case.

use strict;
use warnings;

use Exporter qw(import);
use File::Temp qw(tempdir);
use Test::More;

use Zertiban::Nginx;

our @EXPORT = qw($dir $load $uuid accepted check content file gate http location
                 refused same save secret settings source_line warned);

our $dir  = tempdir(CLEANUP => 1);
our $load = Zertiban::Nginx::load_module();
our $uuid = '7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11';

my $nginx = $ENV{TEST_NGINX_BINARY} // 'nginx';
my $files = 0;

my %gate = (
    zertiban               => 'on',
    zertiban_client_id     => 'gateway',
    zertiban_client_secret => 's3cret',
    zertiban_tenant_id     => $uuid,
    zertiban_token_endpoint => 'http://127.0.0.1:9/token',
);


# The one line that refuses names the directive, the file and a line of it
# that has to do with the directive or the location.

sub refused {
    my ($name, $directive, $conf, $why) = @_;

    my ($status, $lines) = check($conf);
    my @emerg = grep { /\[emerg\]/ } @$lines;

    subtest $name => sub {
        is($status, 1, 'nginx -t fails');
        is(@emerg, 1, 'it says so in one line') or diag(@$lines);
        blames($emerg[0], $directive, $why);
    };
}


sub warned {
    my ($name, $directive, $conf, $why) = @_;

    my ($status, $lines) = check($conf);
    my @warn = grep { /\[warn\]/ } @$lines;

    subtest $name => sub {
        is($status, 0, 'nginx -t succeeds') or diag(@$lines);
        is(@warn, 1, 'it warns in one line') or diag(@$lines);
        blames($warn[0], $directive, $why);
    };
}


sub accepted {
    my ($name, $conf) = @_;

    my ($status, $lines) = check($conf);

    subtest $name => sub {
        is($status, 0, 'nginx -t succeeds') or diag(@$lines);
        is(scalar(grep { /\[(?:warn|error|emerg)\]/ } @$lines), 0,
           'it warns about nothing') or diag(@$lines);
    };
}


# what nginx says of itself, it says with the module, too

sub same {
    my ($name, $conf) = @_;

    return if !$load;

    my ($with, @with) = map { ref ? @$_ : $_ } check($conf);
    my ($without, @without) = do {
        local $load = '';
        map { ref ? @$_ : $_ } check($conf);
    };

    # times and processes
    s/^\S+ \S+ (\[\w+\]) \S+/$1/ for @with, @without;

    is(join("\n", $with, @with), join("\n", $without, @without),
       "$name: nginx says the same");
}


sub blames {
    my ($line, $directive, $why) = @_;

    $line //= '';

    like($line, qr/"$directive".* in \Q$dir\E\/nginx\.conf:\d+$/,
         'the line names the directive, the file and the line');
    like($line, $why, 'the line says what is wrong') if $why;

    my ($number) = $line =~ /nginx\.conf:(\d+)$/;

    like(source_line($number // 0), qr/zertiban|location/,
         'the line is one of the configuration to change');
}


sub check {
    my ($conf) = @_;

    $conf = http([], [], $conf) if $conf !~ /^http/;

    save("$dir/nginx.conf", join "\n", "pid $dir/nginx.pid;",
         Zertiban::Nginx::user(), $load, 'events { }', $conf, '');

    my $out = qx($nginx -t -p $dir/ -e stderr -c nginx.conf 2>&1);
    my $status = $?;

    $status = "signal $status" if $status & 127;
    $status = 'a report: ' . $out if $out =~ /Sanitizer|\[alert\]/;

    return ($status =~ /\D/ ? $status : $status >> 8, [split /\n/, $out]);
}


sub source_line {
    my ($number) = @_;

    return (split /^/, content("$dir/nginx.conf"))[$number - 1] // '';
}


sub content {
    my ($path) = @_;

    open my $in, '<:raw', $path or die "$path: $!";

    return do { local $/; <$in> };
}


# what configurations are made of

sub gate {
    return %gate;
}


sub http {
    my ($http, $server, $location) = @_;

    my $temp = join "\n", map { "${_}_temp_path $dir/$_;" }
                          qw(client_body proxy fastcgi uwsgi scgi);

    return join "\n", 'http {', 'access_log off;', $temp, @{ $http // [] },
        'server {', 'listen 127.0.0.1:8080;', @{ $server // [] },
        $location // '', '}', '}';
}


sub location {
    my %settings = (%gate, proxy_pass => 'http://127.0.0.1:9', @_);

    return join "\n", 'location /t {', settings(%settings), '}';
}


sub file {
    my ($path) = @_;

    return location(zertiban_client_secret => undef,
                    zertiban_client_secret_file => $path);
}


sub settings {
    my %settings = @_;

    return map { $settings{$_} =~ /^\{/ ? "$_ $settings{$_}"
                                        : "$_ $settings{$_};" }
           grep { defined $settings{$_} }
           sort keys %settings;
}


sub secret {
    my ($bytes, $mode) = @_;

    my $path = "$dir/secret" . $files++;

    save($path, $bytes);
    chmod $mode // 0600, $path or die "$path: $!";

    return $path;
}


sub save {
    my ($path, $bytes) = @_;

    open my $out, '>:raw', $path or die "$path: $!";
    print $out $bytes;
    close $out or die "$path: $!";
}


1;
