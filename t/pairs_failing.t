# Tests for pairs that are refused, and later fail in another way: that is no
# fault of the pair in use, and requests do not suffer from it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Accounts;
use Zertiban::Test;
use Zertiban::Traffic;

use constant { BETTER => 'better secret-of-better', USED => 'used its-secret' };

# how the better one fails when it is tried again

my %ways = (
    broken  => Zertiban::IdP::json(500),
    limited => "HTTP/1.1 429 Status\r\nRetry-After: 60\r\n"
               . "Content-Length: 0\r\n\r\n",
    silent  => sub { return },
    closed  => sub { $_[0]->close() },
    unusual => Zertiban::IdP::json(400, error => 'invalid_scope'),
);

my @names = sort keys %ways;
my $api = Zertiban::API->new();
my %idp = map { $_ => Zertiban::IdP->new() } @names;
my %accounts = map { $_ => Zertiban::Accounts->new($idp{$_},
                                                   expires_in => 12) } @names;
my $t = Zertiban::Nginx->new(workers => 2);
my $traffic = Zertiban::Traffic->new($t);

for my $way (@names) {
    chmod 0600, $t->write_file($way, join "\n", BETTER, USED, '');
    $accounts{$way}->accept(USED);
}

$t->run(<<'EOT' . join('', map { <<"EOT" } @names) . "    }\n",
    zertiban on;
    zertiban_timeout 1s;
    zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;

    server {
        listen 127.0.0.1:%%PORT%%;
EOT
        location /$_ {
            zertiban_token_endpoint %%IDP_$_%%;
            zertiban_credentials_file $_;
            proxy_pass http://%%API%%;
        }
EOT
        API => $api->address(), map { ("IDP_$_" => $idp{$_}->url()) } @names);

is($t->get("/$_")->{status}, 200, "$_: a request is served") for @names;

$accounts{$_}->answer_to(BETTER, $ways{$_}) for @names;
$traffic->every(0.2, "/$_") for @names;

for my $way (@names) {
    ok(wait_until(sub { $accounts{$way}->tried(BETTER) >= 2 }, 10),
       "$way: the better pair is tried again");
    ok(wait_until(sub { $idp{$way}->tokens('used') >= 4 }, 40),
       "$way: the pair in use obtains one token after the other");
}

$traffic->finish();

for my $way (@names) {
    is(count_of(map { $_->{status} } $traffic->requests("/$way")),
       '200: ' . (my @all = $traffic->requests("/$way")),
       "$way: no request was lost");
}

is($accounts{limited}->tried(BETTER), 2, 'Retry-After is obeyed');

# the better one is well again

$accounts{$_}->answer_to(BETTER, undef) for @names;
$accounts{$_}->accept(BETTER) for @names;

ok(wait_until(sub { $idp{broken}->tokens('better') }, 30),
   'it is used as soon as it works');

$t->finish();

done_testing();
