# Tests for secrets that are put back, or corrected, after wrong ones: what the
# wrong ones have caused does not hold up the good ones.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Accounts;
use Zertiban::Test;
use Zertiban::Traffic;

use constant { GOOD => 'client good-secret', WRONG => 'client wrong-secret' };

my $api = Zertiban::API->new();
my @names = qw(reloaded file watched);
my %idp = map { $_ => Zertiban::IdP->new() } @names;
my %accounts = map { $_ => Zertiban::Accounts->new($idp{$_},
                                                   expires_in => 16) } @names;
my $t = Zertiban::Nginx->new(workers => 2);
my $traffic = Zertiban::Traffic->new($t);

my $config = <<'EOT';
    zertiban on;
    zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;

    server {
        listen 127.0.0.1:%%PORT%%;

        location /reloaded {
            zertiban_token_endpoint %%IDP_reloaded%%;
            zertiban_client_id client;
            zertiban_client_secret_file secret;
            proxy_pass http://%%API%%;
        }

        location /file {
            zertiban_token_endpoint %%IDP_file%%;
            zertiban_credentials_file file;
            proxy_pass http://%%API%%;
        }

        location /watched {
            zertiban_token_endpoint %%IDP_watched%%;
            zertiban_credentials_file watched;
            proxy_pass http://%%API%%;
        }
    }
EOT

sub put {
    my ($name, $content) = @_;

    my $file = $t->write_file("$name.new", "$content\n");

    chmod 0600, $file;
    rename $file, $t->dir() . "/$name" or die "rename: $!";
}


sub wrong {
    my ($name, $n) = @_;

    return wait_until { $accounts{$name}->tried(WRONG) >= $n } 30;
}


$_->accept(GOOD) for values %accounts;

put('secret', 'good-secret');
put('file', GOOD);
put('watched', WRONG);

$t->run($config, API => $api->address(),
        map { ("IDP_$_" => $idp{$_}->url()) } @names);

is($t->get("/$_")->{status}, 200, "$_: a request is served")
    for qw(reloaded file);
is($t->get('/watched')->{status}, 502, 'watched: one without a token is not');

$traffic->every(0.1, "/$_") for @names;


# a wrong one, and back before the token's time to be refreshed

put('secret', 'wrong-secret');
put('file', WRONG);
$t->reload();

ok(wrong($_, 2), "$_: a wrong secret is refused twice") for qw(reloaded file);

put('secret', 'good-secret');
put('file', GOOD);
$t->reload();

ok(wait_until(sub { $idp{$_}->tokens('client') >= 3 }, 30),
   "$_: the good one goes on to obtain tokens") for qw(reloaded file);


# requests in each moment do not put off that the file is looked at, which is
# after 10 s at most: after three refusals the delay is 18 s at least

ok(wrong('watched', 3), 'watched: a wrong pair is refused three times');

my $start = now();

put('watched', GOOD);

ok(wait_until(sub { $idp{watched}->tokens('client') }, 30),
   'watched: the good one is found');
cmp_ok(now() - $start, '<', 16, 'watched: before the delay has ended');

$traffic->finish();

for my $name (qw(reloaded file)) {
    is(count_of(map { $_->{status} } $traffic->requests("/$name")),
       '200: ' . (my @all = $traffic->requests("/$name")),
       "$name: no request was lost");
}

$t->finish();

done_testing();
