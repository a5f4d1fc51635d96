# Tests for a credential that is tried by POST to the status: after a rotation
# the answer says whether the new pair works, and requests go on meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Accounts;
use Zertiban::Test;
use Zertiban::Try;

use constant { NEW => 'new secret-of-new', OLD => 'old secret-of-old',
               WRONG => 'wrong secret-of-wrong' };

my $api = Zertiban::API->new();
my @names = qw(young right wrong garbage broken silent closed failing twice
               left gone held page again flip same);
my %idp = map { $_ => Zertiban::IdP->new() } @names;
my %accounts = map { $_ => Zertiban::Accounts->new($idp{$_}) } @names;
my $t = Zertiban::Nginx->new(workers => 2);

# answers when it is told to
my $elsewhere = Zertiban::IdP->new();

$elsewhere->hold();

Zertiban::Secrets::secret('secret-of-wrong');

my %better = (
    broken => Zertiban::IdP::json(500, error => 'server_error'),
    silent => sub { return },
    closed => sub { $_[0]->close() },
);

for my $name (@names) {
    put($name, OLD);
    $accounts{$name}->accept(NEW, OLD);
}

$accounts{failing}->answer_to(OLD, "HTTP/1.1 429 Status\r\n"
                                   . "Retry-After: 60\r\n"
                                   . "Content-Length: 0\r\n\r\n");

my $config = <<'EOT' . join('', map { <<"EOT" } @names) . "    }\n";
    zertiban on;
    zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;
    zertiban_timeout 20s;

    server {
        listen 127.0.0.1:%%PORT%%;

        location /status {
            zertiban_status;
        }

        location /html {
            zertiban_status html;
        }

        location /after {
            zertiban_status;
            post_action /elsewhere;
        }

        location /elsewhere {
            zertiban off;
            proxy_pass %%ELSEWHERE%%;
        }
EOT
        location /$_ {
            zertiban_timeout @{[ $_ eq 'silent' ? 1 : 20 ]}s;
            zertiban_token_endpoint %%IDP_$_%%;
            zertiban_credentials_file $_-file;
            proxy_pass http://%%API%%;
        }
EOT

$t->run($config, API => $api->address(), ELSEWHERE => $elsewhere->url(),
        map { ("IDP_$_" => $idp{$_}->url()) } @names);

my %id = map { $_ => fingerprint($t, "$_-file") } @names;


sub put {
    my ($name, @lines) = @_;

    my $file = $t->write_file("$name-other", join "\n", @lines, '');

    chmod 0600, $file;
    rename $file, $t->dir() . "/$name-file" or die "rename: $!";
}


# the client of the token that a request has carried

sub served_by {
    my ($name) = @_;

    my $n = @{$api->{requests}};
    my $response = $t->get("/$name");

    return $response->{status} if $response->{status} != 200;

    my ($request) = grep { ($_->{head} // '') =~ m{^GET /\Q$name\E } }
                    reverse @{$api->{requests}};

    return ($request->{head} =~ /token\.(\w+)\./)[0];
}


sub next_exchange {
    my ($name, $n) = @_;

    return wait_until { $idp{$name}->count() > $n };
}


is(served_by($_), 'old', "$_: a request is served")
    for grep { $_ ne 'failing' } @names;


# -- a token that has come just now

my ($response, $said) = try_now($t, $id{young});

is($response->{status}, 200, 'a young token: the credential works');
is($said->{outcome}, 'ok', 'the answer says so');
is($said->{credential}, $id{young}, '... of which credential');
cmp_ok($said->{age}, '<', 60, '... and how old the token is');
cmp_ok($said->{expires_in}, '>', 200, '... and how long it may be used');
is(join(' ', $response->header('Content-Type')), 'application/json',
   '... as JSON');
is(join(' ', $response->header('Cache-Control')), 'no-store',
   '... which is not kept');
is($idp{young}->count(), 1, 'there was no exchange');


# -- a pair that works

put('right', NEW, OLD);

($response, $said) = try_now($t, $id{right});

is($response->{status}, 200, 'a new pair that works: the answer says so');
is($said->{outcome}, 'ok', '... in its outcome');
is_deeply($said->{pair}, { used => 1, count => 2 }, '... and which is used');
is(served_by('right'), 'new', 'requests have its token');
is(join(', ', $accounts{right}->tried()), join(', ', OLD, NEW),
   'it was tried once, and the old one was not');


# -- one that does not

put('wrong', WRONG, OLD);

($response, $said) = try_now($t, $id{wrong});

is($response->{status}, 502, 'a new pair that is refused: the answer says so');
is($said->{outcome}, 'idp_rejected_client', '... in its outcome');
is($said->{status}, 401, '... and what the endpoint has answered');
like($said->{reason}, qr/invalid_client/, '... and why');
is_deeply($said->{pair}, { used => 2, count => 2 },
          '... and which one is used');
is(served_by('wrong'), 'old', 'requests have the token of the old one');

my $n = $idp{wrong}->count();

($response, $said) = try_now($t, $id{wrong});

is($response->{status}, 503, 'again at once: not now');
is($said->{outcome}, 'idp_rejected_client', '... for it was refused');
like(join(' ', $response->header('Retry-After')), qr/^(?:[1-9]|10)$/,
     '... but soon');
is($idp{wrong}->count(), $n, 'there was no other exchange');

put('wrong', NEW, OLD);

($response, $said) = try_now($t, $id{wrong});

is($response->{status}, 200, 'when the file was corrected it is tried at once');
is($said->{pair}{used}, 1, '... and used');
is(served_by('wrong'), 'new', '... for requests');


# -- a file that is no use

put('garbage', 'one');
$n = $idp{garbage}->count();

($response, $said) = try_now($t, $id{garbage});

is($response->{status}, 400, 'a file of no use: the answer says so');
is($said->{outcome}, 'bad_credential', '... in its outcome');
like($said->{reason}, qr/the file has changed/, '... and why');
is($idp{garbage}->count(), $n, 'nothing was asked for');
is(served_by('garbage'), 'old', 'requests have the token of the old pair');


# -- an endpoint that fails

my %failures = (
    broken => [503, 'idp_unreachable', qr/500/],
    closed => [503, 'idp_unreachable', qr/closed/],
    silent => [504, 'idp_timeout', qr/./],
);

for my $name (sort keys %failures) {
    my ($status, $error, $reason) = @{$failures{$name}};

    put($name, NEW, OLD);
    $accounts{$name}->answer_to(NEW, $better{$name});

    ($response, $said) = try_now($t, $id{$name});

    is($response->{status}, $status, "$name: the answer's status");
    is($said->{outcome}, $error, "$name: its outcome");
    like($said->{reason}, $reason, "$name: its reason");
    is(served_by($name), 'old', "$name: requests have the token of old");
}

# delays hold

put('failing', NEW, OLD);

($response, $said) = try_now($t, $id{failing});

is($response->{status}, 503, 'during a delay: not now');
is($said->{outcome}, 'idp_rate_limited', '... with the last failure');
is($said->{status}, 429, '... and what the endpoint has answered');
like(join(' ', $response->header('Retry-After')), qr/^[1-6]\d$/,
     '... and when it is worth trying again');
is($said->{expires_in}, undef, 'there is no token');
is($idp{failing}->count(), 1, 'there was no attempt for it');


# -- several at once, in all workers

put('twice', NEW, OLD);
$n = $idp{twice}->count();
$idp{twice}->hold();

my @clients = $t->connect_workers(2);

start_try($t, $id{twice}, on => $_) for @clients;

next_exchange('twice', $n);

is(served_by('twice'), 'old', 'requests do not wait meanwhile');

# what the others wait for is in flight until now
$t->barrier('/young') for 1 .. 3;

$idp{twice}->release(sub { $accounts{twice}->answer($_[0]) });

my @outcomes = map { join ' ', $_->[0]{status}, $_->[1]{pair}{used} // '' }
               map { [outcome($_)] } @clients;

is(count_of(@outcomes), '200 1: 4', 'all are told the same outcome');
is($idp{twice}->count(), $n + 1, '... of one exchange');


# one that is in flight with what the file had before

put('again', WRONG, OLD);
$n = $idp{again}->count();
$idp{again}->hold();

my $early = start_try($t, $id{again});

next_exchange('again', $n);
put('again', NEW, OLD);

my $late = start_try($t, $id{again});

$t->barrier('/young') for 1 .. 3;
$idp{again}->release(sub { $accounts{again}->answer($_[0]) });

for my $try ($early, $late) {
    ($response, $said) = outcome($try);

    is($response->{status}, 200, 'the file has changed meanwhile');
    is($said->{pair}{used}, 1, '... and the answer is about what it has now');
}

is(join(', ', $accounts{again}->tried()), join(', ', OLD, WRONG, NEW),
   'each pair was tried once');

# a worker that knew these pairs, and has not seen those of between

my ($one, $same, $other, $left) = sort { $a->{worker} <=> $b->{worker} }
                                  $t->connect_workers(2);

$left->leave();

for my $step ([$one, NEW, OLD], [$other, OLD], [$same, NEW, OLD]) {
    my ($worker, @pairs) = @$step;

    put('flip', @pairs);
    ($response, $said) = outcome(start_try($t, $id{flip}, on => $worker));

    is($response->{status}, 200, 'pairs come and go: ' . @pairs);
    is_deeply($said->{pair}, { used => 1, count => scalar @pairs },
              '... and the first one is used');
}


# -- a client that leaves

put('left', NEW, OLD);
$n = $idp{left}->count();
$idp{left}->hold();

my $client = start_try($t, $id{left});

next_exchange('left', $n);
$client->leave(reset => 1);

ok(wait_until(sub { $t->error_log(qr/closed connection.*trying a cred/) }),
   'a client that leaves is noticed');

$idp{left}->release(sub { $accounts{left}->answer($_[0]) });

ok(wait_until(sub { served_by('left') eq 'new' }),
   '... and the new pair is used');


# one whose request goes on elsewhere then

put('gone', NEW, OLD);
$n = $idp{gone}->count();
$idp{gone}->hold();

$client = start_try($t, $id{gone}, uri => '/after');

next_exchange('gone', $n);
$client->leave(reset => 1);
wait_until { $elsewhere->held() } or die 'there is no post_action';

$idp{gone}->release(sub { $accounts{gone}->answer($_[0]) });

ok(wait_until(sub { served_by('gone') eq 'new' }),
   'a client that leaves a post_action behind');

$t->barrier('/young') for 1 .. 3;
$elsewhere->release("HTTP/1.1 202 Later\r\nContent-Length: 0\r\n\r\n");

is($t->logged('/after')->{status}, 202, '... which is what goes on');


# -- a configuration that is loaded meanwhile

put('garbage', OLD);
put('held', NEW, OLD);
$n = $idp{held}->count();
$idp{held}->hold();

$client = start_try($t, $id{held});

next_exchange('held', $n);
$t->reload();
$idp{held}->release(sub { $accounts{held}->answer($_[0]) });

($response, $said) = outcome($client);

is($response->{status}, 200, 'a request is answered that waits at a reload');
is($said->{pair}{used}, 1, '... with what has come of it');


# -- for people

put('page', WRONG, OLD);
$response = (try_now($t, $id{page}, uri => '/html'))[0];

is($response->{status}, 502, 'a page has the same status');
like($response->{body}, qr{<title>no new token: idp_rejected_client },
     '... and says it in its title');
like($response->{body}, qr/invalid_client/, '... with the reason');
like($response->{body}, qr/go on with the token that is there/,
     '... and that no request fails');
like($response->{body}, qr{<b>the token endpoint refuses the newest secret},
     '... and what to do');
like($response->{body}, qr{<bdi>old</bdi> <code>$id{page}<},
     '... of which credential');
unlike($response->{body}, qr/<script|https?:|src=/,
       '... and needs nothing else');
like(join(' ', $response->header('Content-Type')), qr{^text/html},
     '... as HTML');

put('page', NEW, OLD);
$response = (try_now($t, $id{page}, uri => '/html'))[0];

like($response->{body}, qr{<h1 class="good">the credential works</h1>},
     'it says that a credential works');
unlike($response->{body}, qr/<li>/, '... with nothing to do');


# -- a token that is old enough

ok(wait_until(sub { (try_now($t, $id{same}))[1]{age} >= 9 }, 15),
   'the age of a token grows');
$n = $idp{same}->count();

ok(wait_until(sub {
       ($response, $said) = try_now($t, $id{same});
       $idp{same}->count() > $n;
   }, 10), 'a token of 10 s is replaced when somebody says so');

is($response->{status}, 200, 'the answer says that it works');
cmp_ok($said->{age}, '<', 9, '... with the token that has come');

for (1 .. 3) {
    try_now($t, $id{same});
}

is($idp{same}->count(), $n + 1, 'that is not done again and again');


# -- at the end

put('same', NEW, OLD);
$n = $idp{same}->count();
$idp{same}->hold();

$client = start_try($t, $id{same});

next_exchange('same', $n);
kill 'QUIT', $t->{pid};
wait_until { !$t->workers() };
$idp{same}->release(sub { $accounts{same}->answer($_[0]) });

($response, $said) = outcome($client);

is($response->{status}, 200, 'a request is answered that waits at the end');
is($said->{pair}{used}, 1, '... with what has come of it');

ok($t->error_log(qr/\[notice\].*credential $id{right} tried.*: ok/),
   'the log says who has tried what');

wait_until { $t->ended() } 15;
$t->finish();

done_testing();
