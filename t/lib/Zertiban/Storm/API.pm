package Zertiban::Storm::API;

# The API in the storm. It checks what comes, keeps the ledger of it, revokes
# tokens, refuses calls before, while and after their bodies come, answers in
# many ways and dies in some.

use strict;
use warnings;

use parent qw(Zertiban::Storm::Server);

use Zertiban::Loop qw(after);
use Zertiban::Storm::Config;
use Zertiban::Storm::Ways qw(%ways);

my @refusal_styles = (whole => 45, slow => 12, split => 8, drops => 4,
    chunked => 6, unframed => 5, closing => 8, kept_short => 5, reset => 2,
    half_body => 2, large => 3);

my @styles = (whole => 62, slow => 12, split => 5, drops => 1.5, chunked => 6,
    unframed => 3, closing => 4, kept_short => 4, half_head => 0.5,
    half_body => 0.7, none => 2.5, error => 1.5);

# so that much may happen to a request that is sent again, and to those that
# wait for a cache
my @late_styles = (whole => 25, slow => 65, split => 5, closing => 3,
                   none => 2);

my $slices = join '', map { chr 97 + $_ % 26 } 1 .. 2500;


# the attempt: what the ledger has of a request

sub begun {
    my ($self, $request) = @_;

    my $ledger = $self->{storm}{ledger};
    my $attempt = $request->{attempt} = $ledger->attempt($request) or return;
    my $call = $attempt->{call};

    my $dice = $request->{dice} = $request->dice($self->{storm}{seed},
                                                 $attempt->{number});

    $call->event("head$attempt->{number}");

    if ($self->refuses($request)) {
        my $when = $request->has_body()
                   ? $dice->weighted(end => 55, middle => 15, begin => 20,
                                     leave => 10)
                   : 'end';

        $request->{when} = $when;
        $self->refuse($request) if $when eq 'begin' || $when eq 'leave';

    } elsif ($dice->chance(1.5)) {
        $attempt->{outcome} = 'died at once';
        $request->drop($dice);

    } elsif ($dice->chance(1)) {
        $attempt->{outcome} = 'forbidden at once';
        $request->answer(status => 403, style => 'whole', body => "no\n");
    }
}


# whether the token is not accepted, or not from now on

sub refuses {
    my ($self, $request) = @_;

    my $idp = $self->{storm}{idp};
    my ($attempt, $dice) = @{$request}{qw(attempt dice)};
    my $token = $attempt->{token};

    return 1 if $attempt->{call}{forbidden} || $idp->revoked($token)
                || $attempt->{again} && $dice->chance(10);

    my $revokes = $dice->chance($idp->old($token) ? 60 : 0.1);

    $idp->revoke($token) if $revokes;

    return $revokes;
}


# in the middle of the body, or of what came with the head

sub going {
    my ($self, $request) = @_;

    $self->refuse($request)
        if ($request->{when} // '') eq 'middle' && !$request->{answered};
}


sub complete {
    my ($self, $request) = @_;

    my $attempt = $request->{attempt} or return;

    return if $request->{answered};

    $request->{whole} = 1;
    $self->{storm}{ledger}->check_body($request);
    $attempt->{call}->event("all$attempt->{number}");

    return if $request->{stream}{closed};

    if ($request->{when} || $self->{storm}{idp}->revoked($attempt->{token})) {
        $self->refuse($request);

    } elsif ($request->{dice}->chance(2)) {
        $attempt->{outcome} = 'unavailable';
        $request->answer(status => 503, style => 'whole', body => "no\n");

    } else {
        $self->act($request);
    }
}


sub refuse {
    my ($self, $request) = @_;

    my ($attempt, $dice) = @{$request}{qw(attempt dice)};

    # it comes late: the next token may be there by then
    my $again = $attempt->{again} && $dice->chance(60);

    my $style = $again           ? 'slower'
              : $request->{wrap} ? $dice->one('whole', 'slow')
                                 : $dice->weighted(@refusal_styles);

    $style = 'closing' if ($request->{when} // '') eq 'leave';

    # a connection that ends with bytes unread takes the answer with it
    my $lost = $style eq 'reset' || $ways{$request->{way}}{timed}
               || !$request->{whole}
                  && $style =~ /^(?:closing|unframed|kept_short|half_body)$/;

    $attempt->{outcome} = $lost ? 'refused, perhaps' : 'refused';
    $self->{storm}{refused}++;

    $request->answer(status => 401, dice => $dice,
        style => $style eq 'large' ? 'whole' : $style,
        body => 'revoked ' x ($style eq 'large' ? 9000 : 1),
        fields => ['WWW-Authenticate: Bearer', 'Set-Cookie: of=a-refusal'],
        then => sub { $attempt->{call}->event("refused$attempt->{number}") });
}


sub act {
    my ($self, $request) = @_;

    my ($attempt, $dice) = @{$request}{qw(attempt dice)};
    my $way = $ways{$request->{way}};
    my $slow = $attempt->{number} > 1 && $dice->chance(75)
               || $way->{cached} && $dice->chance(30);
    my $style = $request->{wrap} ? $dice->weighted(whole => 70, slow => 20,
                                                   none => 10)
                                 : $dice->weighted($slow ? @late_styles
                                                         : @styles);

    $attempt->{acted} = 1;
    $self->{storm}{ledger}{acted}++;

    if ($style eq 'none') {
        $attempt->{outcome} = 'acted, no answer';
        after($dice->between(0, 0.03), sub { $request->drop($dice) });
        return;
    }

    $attempt->{outcome} = $style eq 'half_head' ? 'acted, no answer'
                        : $style eq 'error'     ? 'acted, error' : 'acted';

    $request->answer(style => $style eq 'error' ? 'whole' : $style,
        dice => $dice, $self->content($request, $style),
        then => sub { $attempt->{call}->event("answer$attempt->{number}") });
}


# what the answer says

sub content {
    my ($self, $request, $style) = @_;

    my ($n, $dice) = @{$request}{qw(n dice)};
    my $call = $request->{attempt}{call};
    my $name = $request->{way};
    my $body = "call $n at $name\n";

    return (status => 500, body => $body) if $style eq 'error';

    return (status => 200, fields => ['Content-Type: text/html'],
            body => $body . Zertiban::Storm::Config::page(
                $call->{uri} =~ s/.*\?//r)) if $name eq 'page';

    return (status => 200, body => $body, fields => [
                'X-Accel-Redirect: ' . $dice->one('/inner', '@instead',
                                                  '/open')]) if $name eq 'sent';

    return $self->slice($request) if $name eq 'sliced';

    return (status => 304, body => '', fields => ['ETag: "it"'])
        if $ways{$name}{cached} && $request->header('if-none-match')
           && $dice->chance(60);

    return (status => 204, body => '') if $name eq 'check';

    return (status => 200, body => $body, fields => ['ETag: "it"'],
            hints => $self->{storm}{hints} && !$request->{wrap}
                     && $dice->chance(5));
}


sub slice {
    my ($self, $request) = @_;

    my ($from, $to) = (join '', $request->header('range')) =~ /(\d+)-(\d+)/
        or return (status => 200, body => $slices, fields => ['ETag: "it"']);

    my $part = $from < length $slices
               ? substr $slices, $from, $to - $from + 1 : '';

    return (status => 206, body => $part, fields => ['ETag: "it"',
        sprintf 'Content-Range: bytes %d-%d/%d', $from,
                $from + length($part) - 1, length $slices]);
}


1;
