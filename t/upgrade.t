# Tests for the upgrade of nginx's binary while it runs.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new(workers => 2, daemon => 'on');

# the first exchange of one credential is never answered

my $answer = sub {
    my ($request) = @_;

    return if $request->{client_id} eq 'background'
              && $idp->count('background') == 1;
    return $idp->issue($request);
};

$idp->answer($answer);

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url());
    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_timeout 30s;
        zertiban_client_id client-$arg_n;
        zertiban_client_secret secret-of-client;
        zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;

        location / {
            proxy_pass http://%%API%%;
        }

        location /static {
            zertiban_client_id static;
            proxy_pass http://%%API%%;
        }

        location /background {
            zertiban_client_id background;
            proxy_pass http://%%API%%;
        }
    }
EOF


sub start_many {
    my ($uri) = @_;

    return map { $t->start('GET', $uri) } 1 .. 20;
}


sub statuses {
    return count_of(map { $_->response()->{status} } @_);
}


my $master = $t->{pid};

is(statuses(start_many('/?n=1')), '200: 20', 'the old binary serves');
ok(wait_until(sub { $idp->count('static') && $idp->held() }),
   'with an exchange in flight in the background');

$idp->hold();

my @clients = start_many('/?n=2');
wait_until { $idp->count('client-2') };

$idp->answer($answer);
$t->upgrade();
isnt($t->{pid}, $master, 'another process takes over');
ok(wait_until(sub { $idp->tokens('static') == 2
                    && $idp->tokens('background') }),
   'it asks for static credentials by itself');

my @later = (start_many('/?n=1'), start_many('/?n=3'));

is(statuses(@later), '200: 40', 'it serves while the old one leaves');
is($idp->count('client-1'), 2, 'with a token of its own');

$idp->reply($_) for $idp->held('client-2');

is(statuses(@clients), '200: 20', 'requests of the old one are served');
ok(wait_until(sub { $t->gone($master) }),
   'which leaves, whatever is in flight in the background');


# a new binary that is given up: the old workers have left, and come back

my $exchanges = $idp->count();

$master = $t->{pid};
kill 'USR2', $master;

my $new = wait_until {
    my ($pid) = $t->read_file('nginx.pid') =~ /\d+/g;
    $pid && $pid != $master && $t->read_file('nginx.pid.oldbin') && $pid;
} or die "nginx has not been upgraded:\n" . $t->error_log();

ok(wait_until(sub { $idp->count() == $exchanges + 2 }),
   'another binary asks for static credentials');

kill 'WINCH', $master;

ok(wait_until(sub { !$t->processes() }), 'old workers leave');
is(statuses(start_many('/static')), '200: 20', 'new ones serve');

kill 'HUP', $master;
wait_until { $t->workers() == 2 };
kill 'QUIT', $new;
wait_until { $t->gone($new) }
    or die 'the new binary does not leave';

is(statuses(map { start_many($_) } '/?n=1', '/?n=3', '/static',
                                   '/background'), '200: 80',
   'the old binary serves again');
is($idp->count(), $exchanges + 2, 'with the tokens that it had');

$t->finish();

done_testing();
