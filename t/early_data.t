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


sub s_client {
    my ($port, $stdin, @options) = @_;

    my $dir = $t->dir();
    my $output = File::Temp->new();
    my $pid = fork() // die "fork: $!";

    $t->write_file('stdin', $stdin);

    if ($pid == 0) {
        open STDIN, '<', "$dir/stdin";
        open STDOUT, '>', "$output";
        open STDERR, '>&', \*STDOUT;
        exec 'openssl', 's_client', '-tls1_3', '-ign_eof', '-connect',
             '127.0.0.1:' . $t->port($port), @options or POSIX::_exit(127);
    }

    wait_until { waitpid($pid, POSIX::WNOHANG()) != 0 };

    local $/;

    return scalar(<$output>) // '';
}


sub request {
    my ($uri) = @_;

    return "POST $uri HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
           . "Content-Length: 6\r\n\r\namount";
}


# says the status, and what became of the early data

sub early {
    my ($port, $uri) = @_;

    my $dir = $t->dir();
    my $session = "$dir/$port.session";

    s_client($port, request("/session-of-$port"), '-sess_out', $session)
        if !-e $session;

    $t->write_file('early', request($uri));

    my $output = s_client($port, request("/later-$port"), '-sess_in', $session,
                          '-early_data', "$dir/early");

    return join ' ', $output =~ m{^HTTP/1\.1 (\d+)}m,
                     $output =~ /^Early data was (.*)/m;
}


is(early('default', '/default'), '200 not sent', 'nginx takes no early data');
is($api->count('/default'), 0, 'which nobody gets');
is($api->count('/later-default'), 1, 'but what comes later');

is(early('on', '/refused'), '425 accepted', 'where it does, a gate refuses it');
is($api->count('/refused'), 0, 'and sends nothing');

is(early('on', '/told'), '200 accepted', 'or the API is told');
is(join('', $api->last('/told')->header('Early-Data')), '1', 'by a field');

is(early('on', '/told'), '200 accepted', 'what is sent again');
is($api->count('/told'), 2, 'is a second payment otherwise');

is(join('', $api->last('/session-of-on')->header('Early-Data')), '',
   'all else has no such field');

$t->finish();

done_testing();
