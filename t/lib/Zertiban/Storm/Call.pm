package Zertiban::Storm::Call;

# One call: what its client sends, and does meanwhile, and what comes of it.
# All of it is decided here, by the seed and the call's number.

use strict;
use warnings;

use List::Util qw(max);

use Zertiban::Loop qw(after now);
use Zertiban::Storm::Bodies;
use Zertiban::Storm::Dice;
use Zertiban::Storm::Ways qw(@ways %ways);

my $credentials = 320;

my @own = ('Authorization: Basic b3duOm93bg==', 'x-tenant-id: of-the-client');

my @methods = (GET => 30, POST => 34, PUT => 10, PATCH => 8, DELETE => 6,
               HEAD => 6, OPTIONS => 3, PROPFIND => 3);

my @kinds = (none => 15, small => 55, medium => 29.5, large => 0.5);

# of the client, or "head1", "all2", ...: which attempt has come so far where
# the API, or what it does

my @early = (sending => 15, sent => 15, token => 40, head1 => 10, all1 => 15,
             refused1 => 10, answer1 => 5, time => 10);
my @late = (refused1 => 20, head2 => 15, all2 => 50, answer2 => 5,
            refused2 => 5, token => 5);

# a client that does something and stays is the one to be served once
my @does = (half => 35, more => 30, leave => 12, reset => 8, cancel => 10,
            stray => 5);

my @weights = map { $_ => $ways{$_}{weight} } @ways;


sub new {
    my ($class, $seed, $n, %o) = @_;

    my $dice = Zertiban::Storm::Dice->new($seed, $n, 1);
    my $way = $ways{$dice->weighted(@weights)};

    my $self = bless {
        n => $n, way => $way, dice => $dice, attempts => {}, %o,
        method => $way->{methods} ? $dice->one(@{$way->{methods}})
                                  : $dice->weighted(@methods),
        own => $dice->chance(30), forbidden => $dice->chance(4),
        if_match => $dice->chance($way->{filtered} ? 40 : 2),
        range => $way->{filtered} && $dice->chance(50),
    }, $class;

    $self->plan_credential();
    $self->plan_body();
    $self->plan_triggers();

    return $self;
}


# some are in demand

sub plan_credential {
    my ($self) = @_;

    my ($n, $dice) = @{$self}{qw(n dice)};

    my $i = $dice->chance(15) ? int($n / 40) % $credentials
                              : $dice->roll($credentials);

    $self->{name} = sprintf 'cred-%03d', $i;
    $self->{business} = sprintf 'tenant-%03d-%d', $i, $dice->roll(3);

    # a cache has the same key for a while, and again some seconds later
    $self->{uri} = "/$self->{way}{name}?c=$self->{name}&t=$self->{business}"
                   . "&n=$n&k=" . int($n / 200) % 4;

    @{$self}{qw(name business)} = ("static-$1", "tenant-of-static-$1")
        if $self->{way}{name} =~ /^static-(\d)$/;
}


sub plan_body {
    my ($self) = @_;

    my ($dice, $way, $method) = @{$self}{qw(dice way method)};

    my $kind = $method =~ /^P[^R]/                    ? $dice->weighted(@kinds)
             : $method eq 'DELETE' && $dice->chance(20) ? 'small'
             :                                            'none';

    my $largest = $way->{cached} || $way->{parts} ? 70_000 : $way->{largest};

    $self->{body} = Zertiban::Storm::Bodies::body($kind, $dice, $largest);
    $self->{chunked} = $self->{body}{size} && $dice->chance(30);
    $self->{expects} = $self->{body}{size} && $dice->chance(8);
    $self->{minor} = !$self->{chunked} && !$self->{expects}
                     && $dice->chance(2) ? 0 : 1;

    $self->{pace} = !$self->{body}{size} ? 'once'
                  : $dice->weighted(once => 60, apart => 14, halves => 14,
                                    drops => 10, slow => 2);
}


sub plan_triggers {
    my ($self) = @_;

    my $dice = $self->{dice};
    my @when = ($dice->chance(32) ? $dice->weighted(@early) : (),
                $dice->chance(75) ? $dice->weighted(@late) : (),
                $self->{way}{cached} && $dice->chance(20) ? 'time' : ());

    $self->{triggers} = [map { {
        when => $_, does => $dice->weighted(@does),
        delay => $dice->chance(50) ? 0 : $dice->between(0, 0.03),
    } } @when];

    $self->{time} = $dice->between(0.002, $dice->one(0.05, 0.6));
}


# "name: value", as HTTP/2 has them, too

sub fields {
    my ($self) = @_;

    return ("X-Call: $self->{n}", "X-Client: $self->{name}",
            "X-Business: $self->{business}",
            $self->{own} ? @own : (),
            $self->{if_match} ? 'If-Match: "another"' : (),
            $self->{range} ? 'Range: bytes=9999-' : (),
            $self->{way}{name} eq 'grpc'
                ? ('TE: trailers', 'Content-Type: application/grpc') : ());
}


# what the client's own field is, or nothing

sub own_authorization {
    my ($self) = @_;

    return $self->{own} ? $own[0] =~ /: (.*)/ : ();
}


# how many bytes go at a time, and how long the client waits before them

sub pieces {
    my ($self, @parts) = @_;

    my ($dice, $pace) = @{$self}{qw(dice pace)};
    my $head = shift @parts;
    my $body = join '', @parts;

    return [0, $head . $body] if $pace eq 'once';
    return ([0, $head], [$dice->between(0, 0.05), $body]) if $pace eq 'apart';

    my $parts = $pace eq 'halves' ? 2 : $pace eq 'drops' ? 6 : 3;
    my $longest = $pace eq 'slow' ? 0.7 : 0.04;
    my $size = max(1, int(length($body) / $parts + 1));
    my ($first, @more) = unpack "(a$size)*", $body;

    return ([0, $head . $first],
            map { [$dice->between(0, $longest), $_] } @more);
}


sub begin {
    my ($self, $session) = @_;

    $self->{session} = $session;
    $self->{begun} = now();

    after($self->{time}, sub { $self->event('time') })
        if grep { $_->{when} eq 'time' } @{$self->{triggers}};
}


# something has happened, and the client does what it would do then

sub event {
    my ($self, $name) = @_;

    $self->{seen} .= " $name";

    for my $trigger (@{$self->{triggers}}) {
        next if $trigger->{when} ne $name || $trigger->{fired}++;

        $trigger->{delay} ? after($trigger->{delay}, sub {
                                $self->act($trigger->{does});
                            })
                          : $self->act($trigger->{does});
    }
}


sub act {
    my ($self, $does) = @_;

    my $session = $self->{session};

    return if !$session || $self->{end};

    $self->{seen} .= " <$does>";
    $session->act($does, $self);
}


# "answered", "cut", "left" or "dropped"

sub end {
    my ($self, $end, $status, $body) = @_;

    return if $self->{end};

    @{$self}{qw(end status ended)} = ($end, $status // 0, now());

    $self->{storm}->ended($self, $body);

    delete @{$self}{qw(session dice triggers)};
}


# nginx closes the connection if a filter has the last word, or if it has not
# all of what it answers with, maybe before anything was sent; and in other
# cases, too, what is good if nothing unread is behind the call

sub may_be_cut {
    my ($self, $more) = @_;

    return $self->{if_match} || $self->{cut} || $self->{way}{parts}
           || $more && ($self->{way}{asks} || !$self->{minor});
}


sub waits_for_token {
    my ($self) = @_;

    return scalar grep { $_->{when} eq 'token' } @{$self->{triggers}};
}


sub describe {
    my ($self) = @_;

    my $body = $self->{body};

    my @attempts = map {
        my $key = $_;
        "$key: " . join ', ', map { ($_->{outcome} // 'not yet answered')
                                    . ($_->{style} ? " ($_->{style})" : '') }
                              @{$self->{attempts}{$key}};
    } sort keys %{$self->{attempts}};

    my @what = ("$self->{method} /$self->{way}{name}", $self->{protocol},
                "$body->{size} bytes" . ($self->{chunked} ? ' in chunks' : ''),
                $self->{expects} ? 'expects' : (), $self->{pace},
                $self->{behind} // (), $self->{end} // 'in flight',
                $self->{status} // ());

    return "call $self->{n}: " . join(', ', @what)
           . "\n  its way:" . ($self->{seen} // '')
           . "\n  at the API: " . join '; ', @attempts;
}


1;
