package Zertiban::Accounts;

# The pairs "client_id client_secret" that a token endpoint knows; it refuses
# all others.

use strict;
use warnings;

use Zertiban::IdP;
use Zertiban::Secrets;


# new($idp, expires_in => seconds): $idp->answer() is taken

sub new {
    my ($class, $idp, %o) = @_;

    my $self = bless { idp => $idp, valid => {}, answers => {},
                       expires_in => 300, %o }, $class;

    $idp->answer(sub { $self->answer($_[0]) });

    return $self;
}


sub accept {
    my ($self, @pairs) = @_;

    secret(map { (split ' ')[1] } @pairs);
    $self->{valid}{$_} = 1 for @pairs;
}


# from now on, and the tokens that it has obtained stay valid

sub revoke {
    my ($self, @pairs) = @_;

    delete $self->{valid}{$_} for @pairs;
}


# another answer to a pair than that it is refused: bytes, or a function

sub answer_to {
    my ($self, $pair, $answer) = @_;

    $self->{answers}{$pair} = $answer;
}


sub answer {
    my ($self, $request) = @_;

    my $pair = pair($request);
    my $answer = $self->{answers}{$pair};

    return $answer->($request) if ref $answer;
    return $answer if defined $answer;
    return refusal() if !$self->{valid}{$pair};
    return $self->{idp}->issue($request, expires_in => $self->{expires_in});
}


sub refusal {
    return Zertiban::IdP::json(401, error => 'invalid_client');
}


sub pair {
    my ($request) = @_;

    return join ' ', map { $_ // '' } @{$request}{qw(client_id client_secret)};
}


# the pairs that were sent, in their order; or how often one was

sub tried {
    my ($self, $pair) = @_;

    my @tried = map { pair($_) } @{$self->{idp}{requests}};

    return defined $pair ? scalar grep { $_ eq $pair } @tried : @tried;
}


# forgets what was sent

sub forget {
    my ($self) = @_;

    $self->{idp}{requests} = [];
}


1;
