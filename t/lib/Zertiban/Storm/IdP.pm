package Zertiban::Storm::IdP;

# A token endpoint that is slow, fails, and issues tokens of short and of long
# life; and what it knows of each token. All tokens, and all secrets, have a
# beginning in common: that is what logs and answers are searched for.

use strict;
use warnings;

use parent qw(Zertiban::Server);

use MIME::Base64 qw(encode_base64);

use Zertiban::IdP;
use Zertiban::IdP::Request;
use Zertiban::Loop qw(now);
use Zertiban::Message;
use Zertiban::Secrets;
use Zertiban::Storm::Dice;

my @outcomes = (good => 89, error => 3, reset => 2, close => 1, busy => 2,
                garbage => 2, refused => 0.5, silent => 0.5);

my @delays = (0 => 40, 0.02 => 35, 0.2 => 20, 1 => 5);

my @lifetimes = (300 => 75, 40 => 10, 15 => 8, 6 => 4, 2 => 3);

# as of Zertiban::Revocation, and a little more
my $old = 10.4;


sub new {
    my ($class, %o) = @_;

    # ids have 8 characters: with the colon they end where base64 begins anew
    secret('storm-token', 'storm-secret',
           encode_base64('storm-secret', ''));

    return $class->SUPER::new(numbers => {}, tokens => {}, %o);
}


sub url {
    my ($self) = @_;

    return 'http://' . $self->address() . '/idp/oauth2/token';
}


sub received {
    my ($self, $stream) = @_;

    my $message = $stream->{message} //= Zertiban::Message->new();

    return if !$message->feed(\$stream->{in});

    $self->exchange(Zertiban::IdP::Request->new(
        stream => $stream, message => $message));
}


sub exchange {
    my ($self, $request) = @_;

    my $name = $request->{client_id} // '';
    my $number = $request->{number} = ++$self->{numbers}{$name};
    my $dice = Zertiban::Storm::Dice->new($self->{storm}{seed}, $number,
                                          unpack '%32N*', $name);

    $self->{storm}->exchange($name);

    my $outcome = $dice->weighted(@outcomes);
    my $delay = $dice->weighted(@delays) * $dice->between(0, 1);

    return if $outcome eq 'silent';
    return $request->$outcome() if $outcome eq 'reset' || $outcome eq 'close';

    my $answer = $self->$outcome($request, $dice, "storm-token.$name.$number");

    $request->reply_after($delay, $answer);
}


sub good {
    my ($self, $request, $dice, $token) = @_;

    # the one after a revocation, in many cases
    my $short = $request->{number} == 2 && $dice->chance(50);
    my $seconds = $short ? 3 : $dice->weighted(@lifetimes);

    $token .= '.' . join '', map { $dice->roll(10) } 1 .. 16;

    $self->{tokens}{$token} = {
        name => $request->{client_id}, born => now(),
        expires => now() + $seconds,
    };

    push @{$self->{order}}, $token;

    return Zertiban::IdP::json(200, access_token => $token,
                               token_type => 'Bearer',
                               expires_in => $seconds);
}


sub error {
    return "HTTP/1.1 500 Error\r\nContent-Length: 0\r\n\r\n";
}


sub busy {
    my ($self, $request, $dice) = @_;

    my $seconds = $dice->roll(2);

    return "HTTP/1.1 429 Busy\r\nRetry-After: $seconds\r\n"
           . "Content-Length: 0\r\n\r\n";
}


sub garbage {
    my ($self, $request, $dice, $token) = @_;

    return Zertiban::IdP::json(200, access_token => $token) =~ s/"\}\z//r;
}


sub refused {
    return Zertiban::IdP::json(401, error => 'invalid_client');
}


# whether a request would have the gate drop the token

sub old {
    my ($self, $token) = @_;

    my $known = $self->{tokens}{$token};

    return $known && now() > $known->{born} + $old;
}


sub revoke {
    my ($self, $token) = @_;

    my $known = $self->{tokens}{$token} or return;

    $self->{revoked}++ if !$known->{revoked};
    $known->{revoked} = 1;
}


sub revoked {
    my ($self, $token) = @_;

    my $known = $self->{tokens}{$token};

    return !$known || $known->{revoked};
}


# one of those that were issued not long ago, whoever has it

sub recent {
    my ($self, $dice) = @_;

    my $order = $self->{order} || [];
    my $n = @$order > 300 ? 300 : @$order or return;

    return $order->[-1 - $dice->roll($n)];
}


1;
