# Tests for gateways that get their tokens from one that shares its own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::CA;
use Zertiban::Fleet;
use Zertiban::Test;
use Zertiban::Try;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();

my $fleet = Zertiban::Fleet->new($api, $idp);

my $root = $fleet->root();
my @leaves = map { $fleet->leaf() } 1 .. 2;
my $leaf = $leaves[0];

# all get the token of one

is(count_of(map { $_->get('/first')->{status} } @leaves), '200: 2',
   'gateways behind the one that shares');
is(count_of(map { $_->token() eq ($idp->tokens())[-1] } $api->requests()),
   '1: 2', 'send its token');
is($idp->count(), 1, 'which has asked once for all');

my %refused;

$api->answer(sub {
    my ($request) = @_;

    if ($refused{$request->token()} && $request->{uri} eq '/cut') {
        $request->{stream}->reset();
        return;
    }

    return $refused{$request->token()} ? $api->text(401, "revoked\n")
                                       : $api->text(200, "fine\n");
});

# a token that the API does not accept any more

%refused = map { $_ => 1 } $idp->tokens();

is($leaf->get('/young')->{status}, 401, 'a token that is too young to go');

$fleet->grow_old();

my @clients = map { my $n = $_;
                    map { $leaves[$_]->start('GET', "/revoked/$n/$_") } 0, 1 }
              1 .. 20;

is(count_of(map { $_->response()->{status} } @clients), '200: 40',
   'a token that was revoked is replaced, for all who wait at any gateway');
is($idp->count(), 2, 'by one exchange');
is(count_of(map { $_->token() eq ($idp->tokens())[-1] }
            grep { $_->{uri} =~ /revoked/ } $api->requests()) =~ /1: (\d+)/,
   1, 'and is in use at both');
is($1, 40, 'each call was made with it once');

# the new one as well: it is not the token that the API objects to

%refused = map { $_ => 1 } $idp->tokens();

is(count_of(map { $_->get('/again')->{status} } @leaves), '401: 2',
   'a new token that is refused, too, reaches the clients');
is($idp->count(), 2, 'and nobody asks for another one');

# a gateway that is new, and gets a token that is not

$fleet->grow_old();

my $new = $fleet->leaf();

is($new->get('/new')->{status}, 200,
   'a token is not young because a gateway is');
is($idp->count(), 3, 'so it is replaced');

is(count_of(map { $_->get('/changed')->{status} } @leaves), '200: 2',
   'gateways that have the old token get the new one');
is($idp->count(), 3, 'which is there');

# one that only wants to know

$fleet->grow_old();

my ($response, $said) = try_now($leaf, fingerprint($leaf, 'leaf'));

is($said->{outcome}, 'ok', 'a token is asked for');
is($idp->count(), 3, 'of which nothing was wrong, so it is the same one');

# nobody has a token

%refused = map { $_ => 1 } $idp->tokens();
$idp->hold();

@clients = map { $_->start('GET', '/waiting') } @leaves;

wait_until { $idp->count() == 4 };
$idp->release();

is(count_of(map { $_->response()->{status} } @clients), '200: 2',
   'requests wait through both gateways');

# the one that shares is away

$root->stop('TERM');

is(count_of(map { $_->get('/alone')->{status} } @leaves), '200: 2',
   'gateways go on while the one that shares is away');

$root->run();

is(count_of(map { $_->get('/back')->{status} } @leaves), '200: 2',
   'and when it is back');

wait_until { $idp->count() == 5 };

is($idp->count(), 5, 'which has asked once');

# an upload that the API has cut off: its 401 may be lost

sub upload {
    return $leaf->start('POST', '/cut', body => 'amount')
                ->response()->{status};
}


$fleet->grow_old();

%refused = map { $_ => 1 } $idp->tokens();

is(upload(), 502, 'an upload is cut off');
ok(wait_until(sub { upload() == 200 }), 'the token is replaced for the next');
is($idp->count(), 6, 'once');

# the endpoint is away

$fleet->grow_old();

my @tokens = $idp->tokens();
pop @tokens;
%refused = map { $_ => 1 } @tokens;

is($leaf->get('/changed')->{status}, 200, 'its token is used by others');

%refused = map { $_ => 1 } $idp->tokens();

$idp->answer("HTTP/1.1 503 Status\r\nRetry-After: 7\r\n"
             . "Content-Length: 0\r\n\r\n");

my $down = $leaf->get('/down');

is($down->{status}, 503, 'the endpoint is down behind both');
like(join(' ', $down->header('Retry-After')), qr/^[67]$/,
     'and its delay is told to the client');

$_->finish() for @leaves, $new;
$root->finish();

# a token that was refused while it was asked for again: nobody was told

$idp = Zertiban::IdP->new();

my ($first, $second) = map { sprintf 'token.%06x', rand 0x1000000 } 1 .. 2;


sub shares {
    my ($token, $age, $next) = @_;

    return sub {
        my $answer = $idp->issue(shift, token => $token);

        $answer =~ s/\r\n/\r\nZertiban-Token-Age: $age\r\n/;
        $answer =~ s/\r\n/\r\nZertiban-Token-Next: $next\r\n/;

        return $answer;
    };
}


sub told {
    my ($request) = @_;

    return $request->raw() =~ /^Zertiban-Token-(\w+): \w+\r$/mi
           ? $1 : 'nothing';
}


$idp->answer(shares($first, 20, 0), sub { return });
%refused = ();

$leaf = Zertiban::Fleet->new($api, $idp)->gateway();

is($leaf->get('/before')->{status}, 200, 'a token that is shared');
wait_until { $idp->count() == 2 };

%refused = ($first => 1);

my $client = $leaf->start('GET', '/refused');
wait_until { grep { $_->{uri} eq '/refused' } $api->requests() };

$idp->release(shares($first, 22, 200), shares($second, 0, 200));
$client->response();

is($leaf->get('/after')->{status}, 200,
   'a token that was refused on the way is not taken for a new one');
is(join(' ', map { told($_) } @{$idp->{requests}}),
   'nothing nothing Refused', 'the exchange after that tells of it');

$leaf->finish();

# a token that may have been refused: it is told of once

$idp = Zertiban::IdP->new();
$idp->answer(shares($first, 20, 200), shares($second, 0, 0),
             shares($second, 2, 200));

%refused = ($first => 1);

$leaf = Zertiban::Fleet->new($api, $idp)->gateway();

is(upload(), 502, 'an upload that is cut off');
ok(wait_until(sub { $idp->count() == 3 }), 'another token, and a refresh');
is(join(' ', map { told($_) } @{$idp->{requests}}),
   'nothing Doubted nothing', 'of which one tells of the first token');

$leaf->finish();

done_testing();
