# Tests for early data of TLS 1.3, which whoever has recorded it may send again:
# nginx takes none, and where it does, a gate may refuse it, or tell the API.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::CA;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();

Zertiban::CA->new($t->dir(), 'ca')->sign('server', san => 'DNS:localhost');

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url());
    ssl_certificate %%DIR%%/server.crt;
    ssl_certificate_key %%DIR%%/server.key;
    ssl_protocols TLSv1.3;

    zertiban on;
    zertiban_token_endpoint %%IDP%%;
    zertiban_client_id client;
    zertiban_client_secret secret;
    zertiban_tenant_id tenant;

    server {
        listen 127.0.0.1:%%PORT_default%% ssl;

        location / {
            proxy_pass http://%%API%%;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_on%% ssl;
        ssl_early_data on;

        location / {
            proxy_set_header Early-Data $ssl_early_data;
            proxy_pass http://%%API%%;
        }

        location /refused {
            if ($ssl_early_data) {
                return 425;
            }

            proxy_pass http://%%API%%;
        }
    }
EOF


my $session = $t->dir() . '/session';


# an openssl that sends bytes to a port

sub s_client {
    my ($port, $stdin, @options) = @_;

    my $dir = $t->dir();
    my $pid = fork() // die "fork: $!";

    $t->write_file('stdin', $stdin);

    if ($pid == 0) {
        open STDIN, '<', "$dir/stdin";
        open STDOUT, '>', "$dir/stdout";
        open STDERR, '>&', \*STDOUT;
        exec 'openssl', 's_client', '-tls1_3', '-ign_eof', '-connect',
             "127.0.0.1:$port", @options or POSIX::_exit(127);
    }

    return $pid;
}


sub request {
    my ($uri) = @_;

    return "POST $uri HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
           . "Content-Length: 6\r\n\r\namount";
}


# a call, and what openssl says of it

sub call {
    my ($port, $uri, @options) = @_;

    my $pid = s_client($t->port($port), request($uri), @options);

    wait_until { waitpid($pid, POSIX::WNOHANG()) != 0 };

    return $t->read_file('stdout');
}


# whether there is a record of early data, which is of type 23

sub early {
    my ($bytes) = @_;

    while (length $bytes >= 5) {
        my ($type, $length) = unpack 'C x2 n', $bytes;

        return 0 if length $bytes < 5 + $length;
        return 1 if $type == 23;

        substr $bytes, 0, 5 + $length, '';
    }

    return 0;
}


# what a client of a session sends before it has heard anything

sub recorded {
    my ($uri) = @_;

    my $bytes = '';
    my $listener = IO::Socket::IP->new(LocalHost => '127.0.0.1', Listen => 1)
        or die "listen: $@";

    $t->write_file('early', request($uri));

    my $pid = s_client($listener->sockport(), '', '-sess_in', $session,
                       '-early_data', $t->dir() . '/early');
    my $fh = $listener->accept();

    until (early($bytes)) {
        sysread $fh, $bytes, 65536, length $bytes or die 'openssl has ended';
    }

    kill 'TERM', $pid;
    waitpid $pid, 0;

    return $bytes;
}

call('on', '/first', '-sess_out', $session);

is(join('', $api->got('/first')->header('Early-Data')), '',
   'no early data in a first call');

# as somebody in the network has it, who cannot end the handshake

sub play {
    my ($port, $bytes) = @_;

    return Zertiban::Client->new($t->port($port))->send($bytes);
}

my $refused = recorded('/refused');

play('on', $refused);

is($t->logged('/refused')->{status}, 425, 'a gate refuses it');
is($api->count('/refused'), 0, 'and sends nothing');

my $told = recorded('/told');

play('on', $told) for 1 .. 2;

ok(wait_until(sub { $api->count('/told') == 2 }),
   'where it does not, what is sent again is a second payment');
is(count_of(map { $_->header('Early-Data') } $api->requests('/told')), '1: 2',
   'of which a field tells the API');

# nginx by itself

my $none = $t->dir() . '/none';

call('default', '/second', '-sess_out', $none);

like(call('default', '/later', '-sess_in', $none,
          '-early_data', $t->write_file('early', request('/early'))),
     qr/^Early data was not sent/m, 'nginx lets its clients send none');

my $client = play('default', $told);

is($api->got('/later')->{length}, 6, 'but later');
is($api->count('/early'), 0, 'nothing before');

$client->leave();

is($api->count('/told'), 2, 'nor is any taken that was meant for another');

$t->finish();

done_testing();
