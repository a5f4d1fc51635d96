# Tests for many gateways: what they cost the token endpoint, and what becomes
# of them where an endpoint allows one token at a time.
#
# Environment: FLEET_GATEWAYS, FLEET_WORKERS (processes of each), FLEET_LIFE
# (of a token, seconds). "make fleet" has larger numbers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw(max min);

use Zertiban::Fleet;
use Zertiban::Test;
use Zertiban::Traffic;

my $n = $ENV{FLEET_GATEWAYS} || 12;
my $workers = $ENV{FLEET_WORKERS} || 4;
my $life = $ENV{FLEET_LIFE} || 10;
my $lives = 2;

my $api = Zertiban::API->new();


# the exchanges of each gateway, by its scope

sub exchanges {
    my ($idp) = @_;

    my %times;

    for (@{$idp->{requests}}) {
        my ($scope) = $_->raw() =~ /&scope=(\S+)/;
        push @{$times{$scope}}, $_->{time};
    }

    return \%times;
}


sub most_in {
    my ($seconds, @times) = @_;

    @times = sort { $a <=> $b } @times;

    return max(map { my $first = $_;
                     scalar grep { $_ >= $first && $_ < $first + $seconds }
                            @times } @times);
}


# many of them, that begin at once

{
    my $idp = Zertiban::IdP->new(expires_in => $life);
    my $fleet = Zertiban::Fleet->new($api, $idp);

    $idp->hold();

    my @gateways = map { $fleet->gateway(workers => $workers,
                                         scope => "gateway-$_") } 1 .. $n;

    my $clients = sub {
        my ($uri) = @_;

        return map { $_->start('GET', $uri) } @gateways;
    };

    wait_until { $idp->count() == $n };

    my @waiting = map { $clients->("/start/$_") } 1 .. 4;

    is(scalar(my @held = $idp->held()), $n,
       "$n gateways of $workers workers that begin at once ask once each");

    $idp->release();

    is(count_of(map { $_->response()->{status} } @waiting),
       '200: ' . 4 * $n, 'and all requests that wait there are answered');

    my $start = $idp->{released};

    # a token is refreshed behind the middle of its life, give or take 10 %

    wait_until { now() > $start + ($lives + 0.4) * $life * 0.6 } 600;

    my $times = exchanges($idp);
    my (@gaps, @second);

    for (values %$times) {
        my @times = @$_;

        push @second, $times[1] if @times > 1;
        push @gaps, map { $times[$_] - $times[$_ - 1] } 2 .. $#times;
    }

    is(scalar keys %$times, $n, 'all are still there');
    is(scalar @second, $n, 'each has asked for another token');
    cmp_ok(min(@gaps), '>', 0.45 * $life,
           'but not before the old one has lived half of its life');

    is(count_of(map { $_->response()->{status} } $clients->('/later')),
       "200: $n", 'nobody is without a token');

    my $in = $life / 100;

    note(sprintf '%d gateways, %d workers, tokens of %d s:', $n, $n * $workers,
         $life);
    note(sprintf '  %d exchanges in %.1f s, %.2f for each gateway',
         $idp->count(), now() - $start, $idp->count() / $n);
    note(sprintf '  at most %d in %.2f s at the start, %d of the refreshes',
         $n, $in, most_in($in, @second));

    $_->finish() for @gateways;
}


# an endpoint whose tokens end with the next one

sub one_at_a_time {
    my ($idp) = @_;

    $api->answer(sub {
        my ($request) = @_;

        return $api->text(200, "fine\n")
            if $request->token() eq ($idp->tokens())[-1];

        $idp->{refused}++;
        return $api->text(401, "not the last one\n");
    });
}


sub traffic {
    my ($seconds, @gateways) = @_;

    my @traffic = map { Zertiban::Traffic->new($_) } @gateways;

    $_->every(0.1, '/one') for @traffic;

    my $end = now() + $seconds;
    wait_until { now() > $end } $seconds + 10;

    $_->finish() for @traffic;

    return map { $_->{status} } map { $_->requests() } @traffic;
}


my $idp = Zertiban::IdP->new(expires_in => 24);
my $fleet = Zertiban::Fleet->new($api, $idp);

one_at_a_time($idp);

my @alone = map { $fleet->gateway() } 1 .. 3;
my @statuses = traffic(16, @alone);

my $lost = grep { $_ == 401 } @statuses;

note(sprintf 'one token at a time, 3 gateways that ask for themselves, 16 s:');
note(sprintf '  %d of %d calls are refused, %d exchanges', $lost,
     scalar @statuses, $idp->count());

cmp_ok($lost, '>', @statuses / 3,
       'gateways that ask for themselves take the token from each other');

$_->finish() for @alone;

$idp = Zertiban::IdP->new(expires_in => 24);
$fleet = Zertiban::Fleet->new($api, $idp);

one_at_a_time($idp);

my $root = $fleet->root();
my @leaves = map { $fleet->leaf() } 1 .. 3;

@statuses = traffic(30, @leaves);

note(sprintf 'the same with one that shares its token, 30 s:');
note(sprintf '  %d of %d calls are refused, %d exchanges, %d were replayed',
     scalar(grep { $_ == 401 } @statuses), scalar @statuses, $idp->count(),
     $idp->{refused} // 0);

is(count_of(@statuses), '200: ' . @statuses,
   'gateways that share a token lose no call');
cmp_ok($idp->count(), '>=', 3, 'while it was replaced');
cmp_ok($idp->count(), '<=', 5, 'as often as one gateway does that');
cmp_ok($idp->{refused} // 0, '<=', 10 * $idp->count(),
       'and few calls were made twice');

$_->finish() for @leaves;
$root->finish();

done_testing();
