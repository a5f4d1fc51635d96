package Zertiban::Storm::Ledger;

# What the API got of each call, and acted on; and whether that is right.

use strict;
use warnings;

use List::Util qw(max);

use Zertiban::Loop;
use Zertiban::Storm::Ways qw(%ways);

my $nothing = 'd41d8cd98f00b204e9800998ecf8427e';    # MD5 of it

# nginx sends these again only where "non_idempotent" tells it to
my %not_idempotent = map { $_ => 1 } qw(POST LOCK PATCH);


sub new {
    my ($class, $storm) = @_;

    return bless { storm => $storm, acted => 0, attempts => 0, replays => 0,
                   replayed => {}, largest => 0 }, $class;
}


sub fault {
    my ($self, @fault) = @_;

    $self->{storm}->fault(@fault);
}


# whose call a request is

sub call {
    my ($self, $request) = @_;

    my $call = $self->{storm}{calls}{$request->{n} // 0};

    $self->fault(late => "$request->{method} $request->{uri}: no such call, "
                         . 'or one that ended long ago') if !$call;

    return $call;
}


# A new one in the ledger: call, number, token, outcome. Slices, the parts of a
# page, and what else leads from one location to another, are on their own.

sub attempt {
    my ($self, $request) = @_;

    my $call = $self->call($request) or return;
    my $key = join ' ', $request->{way}, $request->header('range');
    my $attempts = $call->{attempts}{$key} //= [];

    my $attempt = {
        call => $call, number => @$attempts + 1, method => $request->{method},
        token => $self->check_fields($call, $request),
    };

    $self->check_place($call, $request);
    $self->check_before($call, $attempt, @$attempts);

    push @$attempts, $attempt;
    $self->{attempts}++;
    $call->{seen} .= " [$key]" if $request->{way} ne $call->{way}{name};

    return $attempt;
}


# returns the token, or nothing if it is none that the request may have

sub check_fields {
    my ($self, $call, $request) = @_;

    my @authorization = $request->header('authorization');
    my @tenant = $request->header('x[-_]tenant[-_]id');
    my ($token) = ($authorization[0] // '') =~ /^Bearer (\S+)$/;
    my $known = $self->{storm}{idp}{tokens}{$token // ''};

    $self->fault(fields => $call, "at $request->{way}: "
                 . @authorization . ' Authorization, of '
                 . ($known ? $known->{name} : 'nobody') . ', and '
                 . @tenant . " x-tenant-id, @tenant")
        if @authorization != 1 || !$known || $known->{name} ne $call->{name}
           || @tenant != 1 || $tenant[0] ne $call->{business};

    $self->fault(own => $call, "at $request->{way}")
        if grep { $_ eq ($call->own_authorization() // '') } @authorization;

    # the nginx behind grpc_pass keeps a request until its body is there
    my $kept = $request->{way} eq 'grpc' && $call->{pace} ne 'once';

    # when it was sent at the earliest
    $self->fault(expired => $call, "at $request->{way}")
        if $known && !$kept && $known->{expires} < Zertiban::Loop::since();

    return $token // '';
}


# a redirect may make a GET of it, and a cache of HEAD

sub check_place {
    my ($self, $call, $request) = @_;

    my $way = $call->{way};

    return if $request->{way} ne $way->{name};

    $self->fault(body => $call, "it is a $request->{method} of "
                                . $request->{uri})
        if $request->{uri} ne $call->{uri}
           || $request->{method} ne $call->{method}
              && !($way->{cached} && $call->{method} eq 'HEAD');
}


# what came to the same place before

sub check_before {
    my ($self, $call, $attempt, @before) = @_;

    my @refused = grep { ($_->{outcome} // '') eq 'refused' } @before;

    return if !@refused;

    $attempt->{again} = 1;
    $self->{replays}++;
    $self->{replayed}{$call->{way}{name}}++;

    $self->fault(same => $call, 'a token that was refused comes again')
        if grep { $_->{token} eq $attempt->{token} } @refused;

    $self->fault(again => $call, 'it is sent again after two refusals')
        if @refused > 1;

    $self->fault(again => $call, 'it is sent again, in spite of "off"')
        if $call->{way}{once};
}


sub check_body {
    my ($self, $request) = @_;

    my $call = $request->{attempt}{call};
    my $way = $ways{$request->{way}};
    my $digest = $request->digest();

    $self->{largest} = max($self->{largest}, $request->{got});

    # a redirect, and what a page includes, may come without it
    my $may_lack = $request->{way} ne $call->{way}{name};

    $self->fault(body => $call, "at $request->{way}: $request->{got} bytes")
        if $digest ne ($way->{bodiless} ? $nothing : $call->{body}{digest})
           && !($may_lack && $digest eq $nothing);
}


# as soon as nothing more can come of it

sub judge {
    my ($self, $call) = @_;

    my %acted;

    for my $key (sort keys %{$call->{attempts}}) {
        my ($name) = $key =~ /^(\S+)/;
        my @acted = grep { $_->{acted} } @{$call->{attempts}{$key}};

        $acted{$name} += @acted;

        $self->fault(twice => $call, "at $key: " . @acted . ' times')
            if @acted > 1 && !$self->may_repeat($ways{$name}, @acted);
    }

    $self->judge_answer($call, %acted);
}


# whether nginx was left without an answer each time but the last, and may try
# again in the location

sub may_repeat {
    my ($self, $way, @acted) = @_;

    pop @acted;

    return 0 if $way->{retries} eq 'none';
    return 0 if $way->{retries} ne 'all'
                && grep { $not_idempotent{$_->{method}} } @acted;

    return 1 if $way->{timed};
    return !grep { $_->{outcome} ne 'acted, no answer' } @acted;
}


# what the client was told

sub judge_answer {
    my ($self, $call, %acted) = @_;

    my $way = $call->{way};
    my ($end, $status) = @{$call}{qw(end status)};

    return if $end ne 'answered' || !$way->{acts};

    my $acted = grep { $acted{$_} } @{$way->{acts}};

    $self->fault(unacted => $call, 'it was not acted on')
        if $status =~ /^2/ && !$acted && !$way->{cached};

    # what came from another place says nothing of this one
    return if $status != 401 || $way->{parts};

    my @outcomes = map { $_->{outcome} // '' }
                   map { @{$call->{attempts}{$_}} }
                   grep { /^\Q$way->{name}\E(?: |\z)/ }
                   keys %{$call->{attempts}};

    $self->fault(acted => $call, 'it was acted on')
        if grep { $_ eq 'acted' } @outcomes;
}


1;
