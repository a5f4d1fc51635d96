# Tests for modules of others that guard a location: what their directives are
# called says so, whatever the order in which they are loaded, and nginx reads
# one configuration after the other, with the modules or without.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Beside;
use Zertiban::Conf qw(accepted same warned);
use Zertiban::Test;
use Zertiban::Try;

my %orders = map { join(', ', @$_) => [beside(@$_)] }
             [qw(zertiban auth-pam)], [qw(auth-pam zertiban)];

sub status {
    my (@lines) = @_;

    return Zertiban::Conf::http([], ['listen 8081;'],
                          "location /status { zertiban_status; @lines }");
}

for my $order (sort keys %orders) {
    # nginx may have this one built in
    local $Zertiban::Conf::load = join ' ', map { "load_module $_;" }
                                            grep { $_ ne '' }
                                            @{$orders{$order}};

    accepted("$order: a directive of another module guards",
             status('auth_pam "a realm";'));
    warned("$order: unless it is off", 'zertiban_status',
           status('auth_pam off;'), qr/sees it/);
    warned("$order: its settings do not", 'zertiban_status',
           status('auth_pam_service_name login;'), qr/sees it/);
}


# one configuration after the other

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new(workers => 1);

sub config {
    my (@lines) = @_;

    return <<"EOF";
    server {
        listen 127.0.0.1:%%PORT%%;

        set_real_ip_from 127.0.0.1;
        real_ip_header X-Client;

        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id gateway;
        zertiban_client_secret secret-of-gateway;
        zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;

        location / {
            zertiban on;
            proxy_pass http://%%API%%;
        }

        location /status {
            zertiban_status;
        }

        location /guarded {
            @lines
            zertiban_status;
        }
    }
EOF
}

my @guard = ('allow 192.0.2.1;', 'deny all;');
my @pam = ('satisfy any;', 'auth_pam "a realm";', @guard);
my ($alone) = grep { !/pam/ } @{$orders{'zertiban, auth-pam'}};

$t->{load} = [$alone];
$t->run(config(@guard), API => $api->address(), IDP => $idp->url());

my $id = fingerprint($t, 'gateway');


sub tried {
    my ($address) = @_;

    return (try_now($t, $id, uri => '/guarded',
                    headers => ["X-Client: $address"]))[0]{status};
}


# a configuration that nginx does not take

sub refused {
    my (@lines) = @_;

    my $n = () = $t->error_log(qr/\[emerg\]/);

    $t->config(config(@lines));
    kill 'HUP', $t->{pid};

    return wait_until { (() = $t->error_log(qr/\[emerg\]/)) > $n };
}


for my $round (1 .. 2) {
    is(tried('192.0.2.1'), 200, "$round: guarded by nginx's own");
    is(tried('192.0.2.2'), 403, '... who refuse others');

    $t->{load} = $orders{'zertiban, auth-pam'};

    ok(refused(@pam, 'no_such_directive;'),
       "$round: a mistake, and another module");
    is(tried('192.0.2.1'), 200, '... change nothing');

    $t->{load} = [$alone];

    ok(refused(@pam), "$round: a directive of a module that has gone");
    like(join('', $t->error_log(qr/\[emerg\]/)),
         qr/unknown directive "auth_pam"/, '... is not known');

    $t->{load} = $orders{'auth-pam, zertiban'};
    $t->reload(config(@pam));

    is(tried('192.0.2.1'), 200, "$round: guarded by both");

    $t->{load} = [$alone];
    $t->reload(config(@guard));
}

is(exchanges_too_soon($idp), 0,
   'all that was worth one exchange in ten seconds');

$t->finish(allow => qr/\[emerg\].*directive/);

done_testing();
