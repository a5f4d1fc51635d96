package Zertiban::Storm::Ways;

# The locations that Zertiban::Storm::Config has, and what "at most once"
# means in each.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(@ways %ways);

# weight    how often a call begins there; without one, others lead there
# retries   "none", "idempotent" or "all": what nginx sends again if a server
#           has not answered
# ignores   clients may go
# cached    the answer may be another call's
# asks      nginx has an error of its own if what it asks has one
# streams   nginx closes the connection if it has not read a body to its end
# once      the gate does not try again
# acts      where the call has been acted on if its client is told so, if not
#           there; undef: nobody knows
# parts     the answer may lack some of what it includes
# torn      nginx goes on behind an answer that has not all of its bytes
# timed     nginx waits for a second only
# filtered  clients ask for what the cache does not have
# bodiless  nothing of a body is passed on
# methods   but the usual ones
# largest   body that is sent there

our %ways = (
    plain       => { weight => 4, retries => 'none' },
    kept        => { weight => 6 },
    ignoring    => { weight => 12, ignores => 1 },
    stored      => { weight => 6, ignores => 1 },
    streamed    => { weight => 5, streams => 1 },
    pouring     => { weight => 5, ignores => 1, streams => 1 },
    memory      => { weight => 4 },
    threads     => { weight => 4, ignores => 1 },
    unbuffered  => { weight => 3, ignores => 1 },
    hinted      => { weight => 2 },
    never       => { weight => 2, once => 1 },
    'static-1'  => { weight => 2 },
    'static-2'  => { weight => 2, ignores => 1 },

    # groups of servers
    next        => { weight => 4, retries => 'all' },
    brave       => { weight => 3, retries => 'all', ignores => 1 },
    limping     => { weight => 3 },
    timed       => { weight => 2, timed => 1 },

    # caches
    locked      => { weight => 5, cached => 1 },
    posting     => { weight => 4, cached => 1, methods => ['POST'] },
    stale       => { weight => 5, cached => 1 },
    validated   => { weight => 4, cached => 1 },
    read        => { weight => 4, cached => 1, ignores => 1 },
    sliced      => { weight => 3, cached => 1, parts => 1, torn => 1 },

    # subrequests
    page        => { weight => 5, parts => 1 },
    file        => { weight => 3, acts => undef, parts => 1,
                     methods => ['GET'] },
    one         => {},
    two         => { ignores => 1 },
    three       => { retries => 'all' },
    mirroring   => { weight => 3 },
    mirrored    => { weight => 3, acts => undef },
    copy        => {},
    asking      => { weight => 2, asks => 1 },
    asked       => { weight => 3, acts => undef, asks => 1 },
    both        => { weight => 2, asks => 1 },
    check       => { bodiless => 1 },
    leaving     => { weight => 5 },
    behind      => { weight => 2, ignores => 1 },
    after       => { bodiless => 1 },

    # other places
    named       => { weight => 3, acts => ['named', 'instead'] },
    instead     => { ignores => 1 },
    opened      => { weight => 3, acts => undef },
    large       => { weight => 4, acts => ['large', 'small'], streams => 1 },
    small       => { bodiless => 1 },
    filtered    => { weight => 3, acts => undef, cached => 1, filtered => 1,
                     methods => ['GET', 'HEAD'] },
    turned      => { weight => 3, acts => ['turned', 'other'] },
    other       => { ignores => 1 },
    sent        => { weight => 4, parts => 1 },
    inner       => {},

    # other protocols
    fastcgi     => { weight => 2, largest => 200_000, ignores => 1 },
    uwsgi       => { weight => 2, largest => 200_000, ignores => 1 },
    scgi        => { weight => 2, largest => 200_000, ignores => 1 },
    grpc        => { weight => 2, largest => 2000, retries => 'none',
                     methods => ['POST'] },
);

our @ways = sort grep { $ways{$_}{weight} } keys %ways;

for my $name (keys %ways) {
    my $way = $ways{$name};

    $way->{name} = $name;
    $way->{retries} //= 'idempotent';
    $way->{acts} = [$name] if !exists $way->{acts};
}


1;
