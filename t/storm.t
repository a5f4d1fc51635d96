# A storm: clients of all kinds, whose calls take all ways through nginx at a
# time, while tokens are revoked and whatever may fail does. No call is acted
# on twice.
#
# STORM_SECONDS is how long clients come, STORM_SEED what they do.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Find ();

use Zertiban::Storm;
use Zertiban::Test;

my $seconds = $ENV{STORM_SECONDS} || 30;
my $seed = $ENV{STORM_SEED} || 1 + int rand 1e9;

diag("STORM_SEED=$seed STORM_SECONDS=$seconds");

my $storm = Zertiban::Storm->new(seed => $seed);
my $t = $storm->{nginx};
my @workers = $t->workers();


# what nginx says of its connections, but for the one that asks

sub connections {
    my ($said) = $t->get('/', port => 'status')->{body};

    my ($active) = $said =~ /Active connections: (\d+)/;
    my ($waiting) = $said =~ /Waiting: (\d+)/;

    return $active - 1 . ", $waiting of them waiting";
}


# files of bodies and answers that are on their way

sub temporary_files {
    my @files;

    File::Find::find(sub { push @files, $File::Find::name if -f },
                     grep { -d } map { $t->dir() . "/$_" }
                     qw(client_body proxy fastcgi uwsgi scgi));

    return scalar @files;
}


$storm->run($seconds);

my $rest;

ok(wait_until(sub { ($rest = connections()) =~ /^0/ }, 30),
   'no connection is left') or diag($rest);
is(temporary_files(), 0, 'and no file');

$storm->judge('all');
diag($storm->report());

is($storm->faults($_->[0]), '', $_->[1]) for
    [twice     => 'no call is acted on twice'],
    [again     => 'none is sent again but once, after a 401'],
    [same      => 'with another token'],
    [body      => 'and the same body'],
    [fields    => 'each request has a token and a tenant, its own'],
    [own       => 'and not what its client sent'],
    [expired   => 'no token comes after its end'],
    [elsewhere => 'and none comes elsewhere'],
    [late      => 'nothing comes of calls that have ended'],
    [hang      => 'no client waits in vain'],
    [dropped   => 'and none is left without an answer'],
    [unacted   => 'what it is told was acted on was'],
    [acted     => 'what it is told was not was not'],
    [answers   => 'and it is told of its own call'],
    [internal  => 'nginx has no fault of its own'];

is(join(' ', $t->workers()), "@workers", 'no worker has died');

SKIP: {
    skip 'it was too short, or too slow', 3
        if $seconds < 20 || $storm->{called} < 5000;

    cmp_ok($storm->{ledger}{replays}, '>', 20, 'there were replays');
    cmp_ok($storm->{elsewheres}, '>', 20, 'and requests elsewhere');
    is($storm->{ledger}{largest}, 8_000_000, 'and large bodies');
}

$t->finish();

done_testing();
