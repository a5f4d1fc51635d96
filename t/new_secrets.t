# Tests for reloads and upgrades that bring other secrets: the token that is
# there stays until one of the new ones has obtained another, and a wrong one
# loses no request.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Accounts;
use Zertiban::Test;
use Zertiban::Traffic;

use constant { OLD => 'client old-secret', WRONG => 'client wrong-secret',
               NEW => 'client new-secret' };

my $api = Zertiban::API->new();
my @names = qw(literal file pairs failing both any);
my %idp = map { $_ => Zertiban::IdP->new() } @names;
my %accounts = map { $_ => Zertiban::Accounts->new($idp{$_}) } @names;
my $t = Zertiban::Nginx->new(workers => 3, daemon => 'on');
my $traffic = Zertiban::Traffic->new($t);

my $config = <<'EOT';
    zertiban on;
    zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;
    zertiban_client_id client;

    server {
        listen 127.0.0.1:%%PORT%%;

        location /literal {
            zertiban_token_endpoint %%IDP_literal%%;
            zertiban_client_secret %%SECRET%%;
            proxy_pass http://%%API%%;
        }

        location /failing {
            zertiban_token_endpoint %%IDP_failing%%;
            zertiban_client_secret %%SECRET%%;
            proxy_pass http://%%API%%;
        }

        location /file {
            zertiban_token_endpoint %%IDP_file%%;
            zertiban_client_secret_file secret;
            proxy_pass http://%%API%%;
        }

        location /pairs {
            zertiban_token_endpoint %%IDP_pairs%%;
            zertiban_credentials_file pairs;
            proxy_pass http://%%API%%;
        }

        location /both {
            zertiban_token_endpoint %%IDP_both%%;
            zertiban_client_secret %%SECRET%%;
            proxy_pass http://%%API%%;

            location /both/other {
                zertiban_client_secret other-secret;
                zertiban_timeout 5s;
                proxy_pass http://%%API%%;
            }
        }

        location /any {
            zertiban_token_endpoint %%IDP_any%%;
            zertiban_client_secret $http_x_secret;
            proxy_pass http://%%API%%;
        }
    }
EOT

$_->accept(OLD) for values %accounts;
$accounts{failing}->revoke(OLD);
$accounts{both}->accept('client other-secret');

# all places where the secret of this test may be

sub set_secret {
    my ($pair, @pairs) = @_;

    my ($secret) = $pair =~ / (.*)/;

    chmod 0600, $t->write_file('secret', "$secret\n"),
                $t->write_file('pairs', join "\n", $pair, @pairs, '');

    return SECRET => $secret;
}


sub token_of {
    my ($name, $uri) = @_;

    $uri //= "/$name";

    return $t->get($uri)->{status} == 200 ? $api->last($uri)->token() : '';
}


sub errors {
    my ($name) = @_;

    my $url = $idp{$name}->url();
    my @lines = $t->error_log(qr/\[error\].*no new token .* from "\Q$url\E"/);

    return @lines;
}


my @kept = qw(literal file pairs);

$t->run($config, API => $api->address(), set_secret(OLD),
        map { ("IDP_$_" => $idp{$_}->url()) } @names);

my %token = map { $_ => token_of($_) } @kept;

is(scalar(grep { $_ ne '' } values %token), 3, 'requests are served');
is(token_of('both/other', '/both/other'), token_of('both'),
   'two secrets of a client have one token');
is_deeply([$accounts{both}->tried()], [OLD], 'of the first one');
is($t->get('/failing')->{status}, 502, 'where the secret is wrong, none is');

$accounts{both}->revoke(OLD);
$traffic->every(0.05, "/$_") for @kept, 'both';


# a reload without a change

$t->reload();
$accounts{$_}->forget() for @kept;

is(token_of($_), $token{$_}, "$_: a reload keeps the token") for @kept;


# a wrong secret

$t->reload($config, set_secret(WRONG, OLD));

for my $name (@kept) {
    ok(wait_until(sub { $accounts{$name}->tried(WRONG) }),
       "$name: a new secret is tried at once");
    is(token_of($name), $token{$name},
       "$name: which is wrong: the token stays");
}

ok(wait_until(sub { errors('literal') && errors('file') }),
   'an error says that it is refused');
is(scalar(() = errors('pairs')), 0, 'but not where the old one is there');
ok(wait_until(sub { $t->error_log(qr/\[warn\].*pair 1 of credentials file/) }),
   'which is a warning');
is($accounts{pairs}->tried(OLD), 0, 'the old one is not asked again');

# respawned workers have nothing new to try; what a killed one had is lost

$traffic->pause();

my $tried = $accounts{literal}->tried(WRONG);

$t->kill_worker(($t->workers())[0]);
ok(wait_until(sub { $t->workers() == 3 }), 'a worker is killed, and replaced');

$traffic->resume();

is(token_of('literal'), $token{literal}, 'the token stays');
ok(wait_until(sub { $accounts{literal}->tried(WRONG) == $tried + 1 }, 10),
   'the next attempt with the wrong secret is after its delay');

my @times = map { $_->{time} } @{$idp{literal}{requests}};

cmp_ok($times[1] - $times[0], '>=', 4.5, 'of 5 s');


# and back

$_->forget() for values %accounts;
$t->reload($config, set_secret(OLD));

is(token_of($_), $token{$_}, "$_: the old secret is back") for @kept;

# the workers have looked when they have had the time for a request

$t->barrier('/any') for 1 .. 3;
is($accounts{$_}->tried(OLD), 0, "$_: which needs no token request")
    for @kept;


# a good one

$accounts{$_}->accept(NEW) for @names;
$t->reload($config, set_secret(NEW, OLD));

for my $name (@kept) {
    ok(wait_until(sub { token_of($name) ne $token{$name} }),
       "$name: a new secret obtains a token");
    is($accounts{$name}->tried(NEW), 1, "$name: by one token request");

    $accounts{$name}->revoke(OLD);
}

ok(wait_until(sub { $t->get('/failing')->{status} == 200 }),
   'where there was none, the delay of the old secret is void');

my ($last) = $idp{failing}->tokens('client');

ok($last, 'there is a token');


# with secrets from variables nothing is shared

$accounts{any}->accept('client any-secret');

sub any {
    my ($secret) = @_;

    return $t->get('/any', headers => ["X-Secret: $secret"]);
}

is(any('any-secret')->{status}, 200,
   'a request whose own secret is right is served');
is(any('other-wrong-one')->{status}, 502,
   'a request whose own one is wrong is not');
is_deeply([$accounts{any}->tried()],
          ['client any-secret', 'client other-wrong-one'], 'both were sent');


# the binary is upgraded with another secret

$accounts{$_}->accept('client last-secret') for @names;
$t->config($config, set_secret('client last-secret', NEW));
$t->upgrade();

is($t->get("/$_")->{status}, 200, "$_: served after an upgrade") for @kept;
is($accounts{$_}->tried('client last-secret'), 1,
   "$_: with a token of the new secret") for @kept;

$traffic->finish();

for my $name (@kept, 'both') {
    is(count_of(map { $_->{status} } $traffic->requests("/$name")),
       '200: ' . (my @all = $traffic->requests("/$name")),
       "$name: no request was lost");
}

$t->finish(allow => qr/exited on signal 9/);

done_testing();
