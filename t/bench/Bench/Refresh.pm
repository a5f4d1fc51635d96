package Bench::Refresh;

# Whether requests are slower while a token is refreshed: a token endpoint
# whose tokens live for some seconds, and which takes its time to answer,
# under a steady load.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp;
use POSIX qw(WNOHANG);

use Bench::Backend;
use Bench::Client;
use Bench::Gateway;
use Bench::Values;
use Zertiban::IdP;
use Zertiban::Loop qw(now wait_until);

use constant {
    WORKERS     => 2,
    CONNECTIONS => 4,
    LIFETIME    => 4,
    DELAY       => 0.1,     # of the token endpoint's answer
    MARGIN      => 0.05,    # before and after a refresh
    PRETENDED   => 2,       # so often, if there is nothing to refresh
};

use constant LENGTH => DELAY + 2 * MARGIN;

# measure([names], rounds => n, seconds => n): for each name { requests,
# with => [slowest request of each time with a refresh], without => [of each
# time of the same length without one] }, in milliseconds; a gateway that
# refreshes nothing has times that are chosen, to compare with

sub measure {
    my ($names, %o) = @_;

    my $backend = Bench::Backend->new()->start();
    my %results = map { $_ => { requests => 0, with => [], without => [] } }
                  @$names;

    for (1 .. $o{rounds}) {
        run($_, $backend, $o{seconds}, $results{$_}) for @$names;
    }

    $backend->stop();

    return \%results;
}


sub run {
    my ($name, $backend, $seconds, $result) = @_;

    my $idp = Zertiban::IdP->new();
    my @refreshes;

    $idp->answer(sub {
        my ($request) = @_;

        push @refreshes, now();

        $request->reply_after(DELAY, $idp->issue($request,
            token => $values{TOKEN}, expires_in => LIFETIME));
    });

    my $gateway = Bench::Gateway->new($name, $backend, workers => WORKERS,
                                      cold => 1,
                                      values => { IDP => $idp->{port} });

    $gateway->start();

    my $file = File::Temp->new();
    my $child = fork() // die "fork: $!\n";

    if ($child == 0) {
        eval { load($gateway, $seconds, "$file"); 1 } or warn $@;
        POSIX::_exit($@ ? 1 : 0);
    }

    wait_until { waitpid($child, WNOHANG) == $child } $seconds + 60
        or die "the load does not end\n";

    die "the load has failed\n" if $?;

    $gateway->stop();
    $idp->shut();

    my $bytes = Bench::Nginx::read_file("$file");

    # the first one is for the first token
    shift @refreshes
        or @refreshes = map { unpack('d', $bytes) + $_ * PRETENDED }
                        1 .. $seconds / PRETENDED;

    sort_out($result, \@refreshes, $bytes);
}


# one request after the other on each connection; for each, when it was sent
# and how long it took go to a file

sub load {
    my ($gateway, $seconds, $file) = @_;

    my $request = Bench::Client::request($gateway->{values}{KEY});
    my (%clients, %sent);
    my $out = '';

    for (1 .. CONNECTIONS) {
        my $client = Bench::Client->new($gateway->{port});

        # the first token has come with the first answer
        $client->send($request) == 200 or die "an answer is not 200\n";
        $clients{fileno $client->{fh}} = $client->{fh};
    }

    my $end = now() + $seconds;

    while (my ($fd, $fh) = each %clients) {
        $sent{$fd} = now();
        syswrite $fh, $request;
    }

    while (%clients) {
        my $ready = '';

        vec($ready, $_, 1) = 1 for keys %clients;

        select $ready, undef, undef, 30 or die "no answer\n";

        for my $fd (grep { vec $ready, $_, 1 } keys %clients) {
            my $fh = $clients{$fd};

            sysread $fh, my $answer, 65536;

            my $now = now();

            $answer =~ m{^HTTP/1\.1 200 } or die "an answer is not 200\n";
            $out .= pack 'dd', $sent{$fd}, $now - $sent{$fd};

            if ($now > $end) {
                delete $clients{$fd};
                next;
            }

            $sent{$fd} = $now;
            syswrite $fh, $request;
        }
    }

    open my $fh, '>:raw', $file or die "$file: $!\n";
    print $fh $out;
    close $fh or die "$file: $!\n";
}


# a request belongs to each time in which it was under way

sub sort_out {
    my ($result, $refreshes, $bytes) = @_;

    my @values = unpack 'd*', $bytes;
    my @windows = windows($refreshes, @values[0, -2]);
    my %near;

    for my $window (@windows) {
        push @{$near{$_}}, $window
            for slot($window->{at}) .. slot($window->{at} + LENGTH);
    }

    for (my $i = 0; $i < @values; $i += 2) {
        my ($sent, $took) = @values[$i, $i + 1];

        for my $window (map { @{$near{$_} || []} }
                        slot($sent) .. slot($sent + $took))
        {
            next if $sent > $window->{at} + LENGTH
                    || $sent + $took < $window->{at};

            $window->{slowest} = $took
                if $took > ($window->{slowest} // 0);
        }
    }

    for my $window (grep { defined $_->{slowest} } @windows) {
        push @{$result->{$window->{with} ? 'with' : 'without'}},
             1000 * $window->{slowest};
    }

    $result->{requests} += @values / 2;
}


# those with a refresh, and as many of the same length as fit in between

sub windows {
    my ($refreshes, $begin, $end) = @_;

    my @windows = map { { with => 1, at => $_ } }
                  grep { $_ > $begin && $_ + LENGTH < $end }
                  map { $_ - MARGIN } @$refreshes;

    # the beginning of the load belongs to none
    my @taken = ($begin, (map { $_->{at} } @windows), $end);

    for my $i (0 .. $#taken - 1) {
        for (my $at = $taken[$i] + LENGTH; $at + LENGTH <= $taken[$i + 1];
             $at += LENGTH)
        {
            push @windows, { at => $at };
        }
    }

    return @windows;
}


sub slot {
    my ($time) = @_;

    return int $time / LENGTH;
}


1;
