#!/usr/bin/perl

# Tests for the image of dist/Containerfile: it runs as nobody, with a root file
# system that is read-only, and does what production.conf does.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../demo";

use File::Temp;
use JSON::PP;

use Demo::Processes;
use Zertiban::CA;
use Zertiban::Test;

use constant {
    TENANT => '7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11',
    HOST   => 'nc-api.zertiban.com',
    NOBODY => 101,
    SECRET => 's3cret-of-the-image',
    NAME   => "zertiban-$$",
};

my $image = $ENV{ZERTIBAN_IMAGE} // die "ZERTIBAN_IMAGE is not set\n";

my $dir = File::Temp->newdir();
my $processes = Demo::Processes->new();


sub write_file {
    my ($name, $content) = @_;

    open my $out, '>', "$dir/$name" or die "$name: $!";
    print $out $content;
    close $out;

    return "$dir/$name";
}


sub read_file {
    my ($name) = @_;

    open my $in, '<', "$dir/$name" or return '';
    local $/;

    return scalar(<$in>) // '';
}


# what a command says, and its status

sub command {
    my (@command) = @_;

    my $pid = open(my $out, '-|') // die "fork: $!";

    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        exec @command or POSIX::_exit(127);
    }

    my $said = do { local $/; <$out> } // '';
    close $out;

    return ($said, $? >> 8);
}


# as docs/operations.md has it

sub run {
    my ($program, %o) = @_;

    my %env = (ZERTIBAN_TENANT_ID => TENANT,
               ZERTIBAN_CREDENTIALS_FILE =>
                   '/run/secrets/zertiban/zertiban.credentials',
               %{$o{env} // {}});

    return ('podman', 'run', '--rm', '--name', NAME, '--read-only',
            '--cap-drop', 'all', '--security-opt', 'no-new-privileges',
            '--add-host', HOST . ':127.0.0.1',
            (map { ('--env', "$_=$env{$_}") } sort keys %env),
            '--volume', "$dir/secrets:/run/secrets/zertiban:ro",
            '--volume', "$dir/ca.crt:/etc/ssl/certs/ca-certificates.crt:ro",
            @{$o{options} // []}, $image, $program);
}


sub inside {
    return command('podman', 'exec', NAME, @_);
}


# the sandbox, as the API that the image has for a default

my $ca = Zertiban::CA->new("$dir", 'ca');

$ca->sign('api', san => 'DNS:' . HOST);

write_file('sandbox.json', encode_json({
    clients => { gateway => SECRET }, tenant_id => TENANT, lifetime => 300,
    certificate => $ca->certificate('api'), key => $ca->key('api'),
    port => 443,
}));

my $sandbox = $processes->start("$dir/sandbox.log", $^X,
    "$FindBin::Bin/../sandbox/run", "$dir/sandbox.json", "$dir/journal");

$processes->wait_for($sandbox, 'the sandbox',
                     sub { read_file('sandbox.log') ne '' });

sub journal {
    my ($kind) = @_;

    return grep { $_->{kind} eq $kind } map { decode_json($_) }
           split /\n/, read_file('journal');
}


mkdir "$dir/secrets", 0700;

my $credentials = write_file('secrets/zertiban.credentials',
                             'gateway ' . SECRET . "\n");

chmod 0400, $credentials;
chown NOBODY, NOBODY, "$dir/secrets", $credentials;


# what is wrong is said, and nginx does not start

my @refused = (
    ['no tenant', qr/^zertiban-gateway: ZERTIBAN_TENANT_ID is "", and has to/,
     env => { ZERTIBAN_TENANT_ID => '' }],
    ['a tenant with more', qr/ZERTIBAN_TENANT_ID is "1; off", and has to be/,
     env => { ZERTIBAN_TENANT_ID => '1; off' }],
    ['a host with more', qr/ZERTIBAN_HOST is "\S+", and has to be a host's/,
     env => { ZERTIBAN_HOST => 'https://' . HOST }],
    ['a port that is none', qr/ZERTIBAN_LISTEN is "http", and has to be a/,
     env => { ZERTIBAN_LISTEN => 'http' }],
    ['the port of the status',
     qr/ZERTIBAN_LISTEN is "127.0.0.1:8081", and has to be another port/,
     env => { ZERTIBAN_LISTEN => '127.0.0.1:8081' }],
    ['a secret in the environment', qr/CLIENT_SECRET: the environment is no/,
     env => { ZERTIBAN_CLIENT_SECRET => SECRET }],
    ['no credentials', qr{/run/secrets/zertiban.credentials is missing},
     env => { ZERTIBAN_CREDENTIALS_FILE => '' }],
    ['no place to write', qr{/tmp has to be a directory for writing},
     options => ['--read-only-tmpfs=false']],
);

for my $refused (@refused) {
    my ($name, $message, %o) = @$refused;
    my ($said, $status) = command(run('run', %o));

    like($said, $message, "$name: said");
    is($status, 1, "$name: not started");
    unlike($said, qr/\Q${\SECRET}/, "$name: no secret is shown");
}

my ($said, $status) = command(run('check'));

is($status, 0, 'the configuration is right');
unlike($said, qr/\[(?:warn|error|emerg|alert)\]/, '... and warns of nothing');

# it runs

my $gateway = $processes->start("$dir/gateway.log", run('run'));

wait_until { (inside('zertiban-gateway', 'ready'))[1] == 0 } 20;

is((inside('zertiban-gateway', 'ready'))[1], 0, 'ready');

my $client = Zertiban::Client->new(8080);

sub call {
    my ($path) = @_;

    return $client->send("GET $path HTTP/1.1\r\nHost: gateway\r\n\r\n")
                  ->response(10)->{status};
}

is(call('/pagafactu/v1/flows'), 200, 'a call');
is_deeply([map { $_->{tenant} } journal('api')], [[TENANT]], '... its tenant');

# as nobody, in a file system that is read-only

is((inside('sh', '-c', 'cat /proc/[0-9]*/status | grep ^Uid: | sort -u'))[0],
   "Uid:\t101\t101\t101\t101\n", 'no process is of another user');
is((inside('sh', '-c', 'cat /proc/1/status | grep ^CapPrm'))[0],
   "CapPrm:\t0000000000000000\n", 'no capability');
like((inside('touch', '/etc/nginx/new'))[0], qr/Read-only file system/,
     'the file system is read-only');

# a reload

my $was = () = read_file('gateway.log') =~ /exited with code 0$/mg;

command('podman', 'kill', '--signal', 'HUP', NAME);

wait_until { my $n = () = read_file('gateway.log')
                         =~ /worker process \d+ exited with code 0$/mg;
             $n > $was } 20;

$client = Zertiban::Client->new(8080);

is(call('/pagafactu/v1/flows'), 200, 'a call after a reload');
is(scalar journal('token'), 1, '... with the same token');

# a stop, while a payment is on its way

my $body = join "\r\n", '--b',
    'Content-Disposition: form-data; name="file"; filename="a.pdf"',
    'Content-Type: application/pdf', '', '%PDF-1.4' . ' ' x 500_000 . '%%EOF',
    '--b--', '';

$client->send("POST /pagafactu/v1/flows/pagafactu HTTP/1.1\r\n"
              . "Host: gateway\r\nContent-Length: " . length($body) . "\r\n"
              . "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
              . substr $body, 0, 200_000);

my $stop = $processes->start("$dir/stop.log", 'podman', 'stop', '--time', 60,
                             NAME);

wait_until { read_file('gateway.log') =~ /gracefully shutting down/ } 20;

ok(!$client->done(), 'a stop waits for a call');

$client->send(substr $body, 200_000);

is($client->response(20)->{status}, 201, '... which is answered');

waitpid $gateway, 0;

is($? >> 8, 0, '... and ends');

waitpid $stop, 0;

is($? >> 8, 0, 'nothing was killed');

my $log = read_file('gateway.log');

like($log, qr/"POST \S+ HTTP.1.1" 201 .*tenant=${\TENANT} token=hit/,
     'the access log');
unlike($log, qr/\[(?:error|crit|alert|emerg)\]/, 'no alarm in the log');
unlike($log, qr/\Q${\SECRET}\E|Bearer|eyJ/, 'no secret, and no token');

done_testing();
