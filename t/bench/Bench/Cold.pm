package Bench::Cold;

# Many clients at once at a gateway that has just been started, and has no
# token yet. The token endpoint does not answer before all of them wait.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Bench::Backend;
use Bench::Client;
use Bench::Crowd;
use Bench::Gateway;
use Bench::Values;
use Zertiban::IdP;
use Zertiban::Loop qw(now wait_until);

use constant { WORKERS => 4, CLIENTS => 300 };

# measure([names], rounds => n): for each name { exchanges => [n, ...],
# median => [milliseconds, ...], last => [milliseconds, ...] }, where the times
# begin with the answer of the token endpoint

sub measure {
    my ($names, %o) = @_;

    my $backend = Bench::Backend->new()->start();
    my %results = map { $_ => {} } @$names;

    for (1 .. $o{rounds}) {
        for my $name (@$names) {
            my $round = start($name, $backend);

            push @{$results{$name}{$_}}, $round->{$_} for keys %$round;
        }
    }

    $backend->stop();

    return \%results;
}


sub start {
    my ($name, $backend) = @_;

    my $idp = Zertiban::IdP->new();

    $idp->hold();

    my $gateway = Bench::Gateway->new($name, $backend, workers => WORKERS,
                                      cold => 1,
                                      values => { IDP => $idp->{port} });

    $gateway->start();

    my $crowd = Bench::Crowd->new($gateway->{port}, CLIENTS);

    $crowd->send(Bench::Client::request($gateway->{values}{KEY}));

    wait_until { $idp->count() && writing($gateway) > CLIENTS } 60
        or die "not all clients wait\n";

    my $begin = now();

    $idp->release(sub {
        $idp->issue($_[0], token => $values{TOKEN});
    });

    $crowd->collect(sub { Zertiban::Loop::turn(0) });

    my @times = map { 1000 * ($_ - $begin) } $crowd->times();

    $gateway->stop();
    $idp->shut();

    return { exchanges => $idp->count(), last => $times[-1],
             median => $times[@times / 2] };
}


# how many connections have a request that has not been answered, that of this
# question included

sub writing {
    my ($gateway) = @_;

    my $fh = IO::Socket::INET->new(
        PeerAddr => "127.0.0.1:$gateway->{status}") or die "no status: $@\n";

    print $fh "GET / HTTP/1.0\r\n\r\n";

    my $answer = do { local $/; <$fh> };

    return ($answer =~ /Writing: (\d+)/)[0];
}


1;
