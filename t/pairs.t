# Tests for credentials that have several pairs of client id and secret: which
# one is used, and what becomes of those that the token endpoint refuses.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Accounts;
use Zertiban::Test;

use constant { NEW => 'new secret-of-new', OLD => 'old secret-of-old',
               OLDER => 'older secret-of-older' };

my @names = qw(best spare all slow rejected broken other limited known late
               telling);

my $api = Zertiban::API->new();
my %idp = map { $_ => Zertiban::IdP->new() } @names;
my %accounts = map { $_ => Zertiban::Accounts->new($idp{$_}) } keys %idp;
my $t = Zertiban::Nginx->new(workers => 2);

my $config = <<'EOT' . join '', map { <<"EOT" } @names;
    zertiban on;
    zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;

    server {
        listen 127.0.0.1:%%PORT%%;
EOT

        location /$_ {
            zertiban_token_endpoint %%IDP_$_%%;
            zertiban_credentials_file file-$_;
            zertiban_timeout 3s;
            proxy_pass http://%%API%%;
        }
EOT

my @pairs = (NEW, OLD, OLDER);

chmod 0600, $t->write_file("file-$_", join "\n", '# newest first', '',
                                                 @pairs, '') for @names;

$_->accept(@pairs) for values %accounts;


# what the endpoints refuse, and how

$accounts{spare}->revoke(NEW);
$accounts{all}->revoke(@pairs);

# a refusal that is not for who the client is
$accounts{other}->answer_to(NEW, Zertiban::IdP::json(400,
                                              error => 'invalid_scope'));
$accounts{broken}->answer_to(NEW, Zertiban::IdP::json(500));
$accounts{limited}->answer_to(NEW, Zertiban::IdP::json(429));
$accounts{rejected}->answer_to(NEW, Zertiban::IdP::json(403));
$accounts{rejected}->answer_to(OLD, Zertiban::IdP::json(400,
                                              error => 'invalid_client'));
$accounts{known}->answer_to(NEW, Zertiban::IdP::json(200,
                                              error => 'invalid_client'));

# time passes with the first, so that too little is left for the last

my %slow = (NEW, 0.7, OLD, 0.7, OLDER, 2.7);

for my $pair (@pairs) {
    $accounts{slow}->answer_to($pair, sub {
        $_[0]->reply_after($slow{$pair}, Zertiban::Accounts::refusal());
    });
}

# what is said of a pair, or of another one, may have its secret in it

my %said = (NEW, 'not secret-of-old', OLD, 'not secret-of-new',
            OLDER, 'neither secret-of-new nor secret-of-old');

$accounts{telling}->answer_to($_, Zertiban::IdP::json(401,
        error => 'invalid_client', error_description => $said{$_}))
    for @pairs;

# a pair that comes to be accepted

$accounts{late}->revoke(NEW);

$t->run("$config    }\n", API => $api->address(),
        map { ("IDP_$_" => $idp{$_}->url()) } keys %idp);


sub lines {
    my ($level, $name) = @_;

    my $url = $idp{$name}->url();

    return $t->error_log(qr/\[$level\].*\Q$url\E/);
}


# a request to each, to have it tried

sub status {
    my ($name) = @_;

    my $response = $t->get("/$name", seconds => 6);

    return $response->{status};
}


# the first pair is the one

is(status('best'), 200, 'a request is served');
is_deeply([$accounts{best}->tried()], [NEW],
          'with the first pair, and no other one is sent');
is($api->got('/best')->token(), ($idp{best}->tokens('new'))[0],
   'and with its token');


# the next one

is(status('spare'), 200, 'where the first pair is refused');
is_deeply([($accounts{spare}->tried())[0, 1]], [NEW, OLD],
          'the next one is tried at once');
is($api->got('/spare')->token(), ($idp{spare}->tokens('old'))[0],
   'and its token is used');

my @warned = lines('warn', 'spare');

is(scalar @warned, 1, 'one warning');
like($warned[0], qr/client "new", pair 1 of credentials file ".*file-spare"/,
     'says which pair is refused');
like($warned[0], qr/status 401, error "invalid_client"/, 'and why');
like($warned[0], qr/client "old" is used instead, .* in 5000 ms/,
     'which one is used, and when the first is tried again');
is(my @none = lines('error', 'spare'), 0, 'that is no error');

is(status('rejected'), 200, '403 and "invalid_client" with 400');
is_deeply([($accounts{rejected}->tried())[0 .. 2]], [NEW, OLD, OLDER],
          'are refusals as well');
like((lines('warn', 'rejected'))[0], qr/"new".*client "older"/,
     'the warning names the first and the last one');

is(status('known'), 200, 'so is "invalid_client" with 200');
is_deeply([($accounts{known}->tried())[0, 1]], [NEW, OLD], 'of the first');


# other failures are not those of a pair

for my $case (['broken', 503], ['other', 502], ['limited', 503]) {
    my ($name, $status) = @$case;

    is(status($name), $status, "$name: a failure of another kind is one");
    is($accounts{$name}->tried(OLD), 0, "$name: of all pairs");
}


# all refused

is(status('all'), 502, 'if all are refused, so is the request');
is_deeply([$accounts{all}->tried()], [@pairs], 'after one attempt with each');
is(status('all'), 502, 'then there is a delay');
is_deeply([$accounts{all}->tried()], [@pairs], 'without another attempt');

my @errors = lines('error', 'all');

is(scalar @errors, 1, 'one error');
like($errors[0], qr/credentials file ".*file-all".*attempt 1, next in (\d+) ms/,
     'names the file, and says when the next attempt is');
cmp_ok(($errors[0] =~ /next in (\d+) ms/)[0], '>=', 4500,
       'which is after the delay for a refused credential');


# nothing is told of a secret that is in the file

is(status('telling'), 502, 'a text that has the secret of another pair');
is(scalar(() = $t->error_log(qr/secret-of-/)), 0, 'is not in the log');


# zertiban_timeout is for all of them

is(status('slow'), 504, 'all attempts together have zertiban_timeout');
is(($accounts{slow}->tried())[2] // '', OLDER, 'the third one is sent still');
ok(wait_until(sub { lines('error', 'slow') }), 'and has what is left of that');
like((lines('error', 'slow'))[0], qr/did not answer in time/,
     'which is not enough for its answer');


# it is tried again

is(status('late'), 200, 'a request is served');

ok(wait_until(sub { $accounts{late}->tried(NEW) == 2 }, 10),
   'a refused pair is tried again');
is($accounts{late}->tried(OLD), 1,
   'for which the one in use is not asked again');

my @exchanges = @{$idp{late}{requests}}[0, 2];
my $after = $exchanges[1]{time} - $exchanges[0]{stream}{since};

cmp_ok($after, '>=', 4.9, "after 5 s: $after");

$accounts{late}->accept(NEW);

ok(wait_until(sub { $accounts{late}->tried(NEW) == 3 }, 15),
   'it is tried once more');
is($accounts{late}->tried(OLD), 1, 'by itself');

@exchanges = @{$idp{late}{requests}}[2, 3];
$after = $exchanges[1]{time} - $exchanges[0]{stream}{since};

cmp_ok($after, '>=', 9.9, "after 10 s: $after");

ok(wait_until(sub { lines('notice', 'late') }),
   'that it is accepted now is noticed');
like((lines('notice', 'late'))[0],
     qr/client "new", pair 1 .* accepted .* after 2 refusals/,
     'with the pair');
is(status('late'), 200, 'a request is served');
is($api->last('/late')->token(), ($idp{late}->tokens('new'))[0],
   'with the token of that pair');
is(my @late = lines('warn', 'late'), 1,
   'there was one warning');

# both workers know that it is refused, from the first attempt on

ok(wait_until(sub { $accounts{spare}->tried(NEW) == 3 }),
   'the other one was tried twice again');
is($accounts{spare}->tried(OLD), 1, 'as well, with a token that stays');
is(@warned = lines('warn', 'spare'), 1, 'without another warning');

is($accounts{best}->tried(), 1, 'the best pair is asked for once');

$t->finish();

done_testing();
