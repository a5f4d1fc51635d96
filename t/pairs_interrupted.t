# Tests for exchanges that try one pair after the other, and are interrupted in
# the middle: by a reload, the end of a worker, an upgrade, or a client.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Accounts;
use Zertiban::Shim;
use Zertiban::Test;

use constant { NEW => 'new secret-of-new', OLD => 'old secret-of-old' };

my @ways = qw(reload kill upgrade changed leave emptied);
my $api = Zertiban::API->new();
my %idp = map { $_ => Zertiban::IdP->new() } @ways;
my %accounts = map { $_ => Zertiban::Accounts->new($idp{$_}) } @ways;

# the answer to the second pair is held back at first

my %held = map { $_ => 1 } @ways;

for my $way (@ways) {
    $accounts{$way}->accept(OLD);
    $accounts{$way}->answer_to(OLD, sub {
        return $held{$way} ? undef : $idp{$way}->issue($_[0]);
    });
}


# a gateway of its own for each; the location that waits has clients, and its
# worker cannot leave before them

sub gateway {
    my ($way, %o) = @_;

    my @more = @{delete $o{pairs} || []};
    my $t = Zertiban::Nginx->new(workers => 2, daemon => 'on', %o);

    chmod 0600, $t->write_file('pairs', join "\n", NEW, OLD, @more, '');

    $t->run(<<'EOT', API => $api->address(), IDP => $idp{$way}->url());
    server {
        listen 127.0.0.1:%%PORT%%;

        location / {
            zertiban on;
            zertiban_token_endpoint %%IDP%%;
            zertiban_credentials_file pairs;
            zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;
            zertiban_timeout 4s;
            proxy_pass http://%%API%%;
        }
    }
EOT

    ok(wait_until(sub { $idp{$way}->held() }), "$way: the second pair is sent");

    $held{$way} = 0;

    return $t;
}


sub owner {
    my ($t, $way) = @_;

    return ($t->workers_of(($idp{$way}->held())[0]{stream}))[0];
}


# the first pair is known to be refused, so the second one is first now

sub taken_over {
    my ($t, $way) = @_;

    ok(wait_until(sub { $t->get('/')->{status} == 200 }, 8),
       "$way: another exchange obtains a token");
    is_deeply([$accounts{$way}->tried()], [NEW, OLD, OLD],
              "$way: with the pair that is not refused");
}


# a reload: the old worker gives its exchange up

my $t = gateway('reload');

$t->reload();
taken_over($t, 'reload');
$t->finish();


# its worker is killed

$t = gateway('kill');
$t->kill_worker(owner($t, 'kill'));
taken_over($t, 'kill');
$t->finish(allow => qr/exited on signal 9/);


# another binary knows nothing of it

$t = gateway('upgrade');
$t->upgrade();

ok(wait_until(sub { $t->get('/')->{status} == 200 }, 8),
   'upgrade: the new binary obtains a token');
is_deeply([$accounts{upgrade}->tried()], [NEW, OLD, NEW, OLD],
          'upgrade: with an exchange of its own');
$t->finish();


# the file changes, and what is in flight goes on with what it was

$t = gateway('changed');

my $client = $t->start('GET', '/');

$t->write_file('pairs', "third secret-of-third\n");
$accounts{changed}->accept('third secret-of-third');
$idp{changed}->reply($_) for $idp{changed}->held();

is($client->response()->{status}, 200, 'changed: the exchange goes on');
is($api->last('/')->token(), ($idp{changed}->tokens('old'))[0],
   'changed: with the pair that was there when it began');

# a pair is refused: the file is looked at

ok(wait_until(sub { $accounts{changed}->tried('third secret-of-third') }, 15),
   'changed: another file is found before long');
ok(wait_until(sub {
       $t->get('/')->{status} == 200
           and $api->last('/')->token()
               eq (($idp{changed}->tokens('third'))[0] // '');
   }), 'changed: and its token used');
$t->finish();


# the client that waits leaves: the credential is named, and kept fresh anyway

$t = gateway('leave');
$client = $t->start('GET', '/');
$client->leave();
$idp{leave}->reply($_) for $idp{leave}->held();
is($t->get('/')->{status}, 200, 'leave: the exchange goes on without a client');
is_deeply([$accounts{leave}->tried()], [NEW, OLD], 'leave: to its end');
$t->finish();


# the zone is emptied, since a worker has died in it, so another one begins as
# well: the first one does not go on beside it

my $shim = Zertiban::Shim->new();

$t = gateway('emptied', workers => 3, env => $shim->env(),
             pairs => ['third secret-of-third']);
$held{emptied} = 1;
$shim->strike('KILL', 'look', '');

ok(wait_until(sub { $shim->hit() }), 'emptied: a worker is killed in the zone');
ok(wait_until(sub { $accounts{emptied}->tried() == 4 }),
   'emptied: another one begins an exchange');

my ($first) = grep { Zertiban::Accounts::pair($_) eq OLD }
              @{$idp{emptied}{requests}};

$accounts{emptied}->answer_to(OLD, Zertiban::Accounts::refusal());
$first->reply(Zertiban::Accounts::refusal());
$t->barrier('/');
is($accounts{emptied}->tried(), 4,
   'emptied: the first one tries no other pair');
$t->finish(allow => qr/exited on signal 9|was locked by/);

done_testing();
