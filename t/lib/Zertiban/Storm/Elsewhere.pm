package Zertiban::Storm::Elsewhere;

# The server that no gate leads to: mirrors, auth_request, error pages and the
# like may come here, with what the client sent, and never with a token.

use strict;
use warnings;

use parent qw(Zertiban::Storm::Server);


sub begun {
    my ($self, $request) = @_;

    my $storm = $self->{storm};
    my $call = $storm->{ledger}->call($request) or return;
    my @own = $call->own_authorization();
    my $way = $request->{way};

    $storm->fault(elsewhere => $call, "a token came to $way")
        if index($request->{head}, 'storm-') >= 0;

    $storm->fault(elsewhere => $call, "not what the client sent came to $way")
        if join(' ', $request->header('authorization')) ne join ' ', @own;

    $self->{storm}{elsewheres}++;
}


sub going {
}


sub complete {
    my ($self, $request) = @_;

    my $dice = $request->dice($self->{storm}{seed}, 1);
    my $check = $request->{way} eq 'open-check';

    return $request->drop($dice) if $dice->chance(2);

    $request->answer(dice => $dice,
        style => $dice->weighted(whole => 85, slow => 10, kept_short => 5),
        body => "call $request->{n} elsewhere\n",
        fields => $request->{way} eq 'filtered'
                  ? ['ETag: "it"', 'Accept-Ranges: bytes'] : [],
        status => !$check             ? 200
                : $dice->chance(6) ? $dice->one(401, 403) : 204);
}


1;
