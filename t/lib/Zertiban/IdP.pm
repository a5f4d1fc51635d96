package Zertiban::IdP;

# A scripted token endpoint.

use strict;
use warnings;

use parent qw(Zertiban::Server);

use JSON::PP ();

use Zertiban::IdP::Request;
use Zertiban::Loop qw(now);
use Zertiban::Message;
use Zertiban::Secrets;


# the default answer issues a new token that carries the client id's name

sub new {
    my ($class, %o) = @_;

    return $class->SUPER::new(
        path => '/idp/oauth2/token', expires_in => 300, requests => [],
        tokens => [], script => [], %o);
}


sub url {
    my ($self, %o) = @_;

    my $host = $o{host} // ($self->{host} =~ /:/ ? "[$self->{host}]"
                                                 : $self->{host});

    return ($self->{tls} ? 'https' : 'http')
           . "://$host:$self->{port}$self->{path}";
}


# answer(raw bytes | sub { my ($request) = @_; ... }, ...): one for each
# request, the last one for all that follow; a sub that returns nothing
# holds the answer back; without arguments: the default answer

sub answer {
    my ($self, @script) = @_;

    $self->{script} = [@script];
}


sub hold {
    my ($self) = @_;

    $self->answer(sub { return });
}


# answers all that is held, and stops holding

sub release {
    my ($self, @script) = @_;

    $self->answer(@script);
    $self->reply($_) for $self->held();
    $self->{released} = now();
}


# all of it, or that of one client

sub held {
    my ($self, $client_id) = @_;

    return grep { !$_->{answered} && !$_->{stream}{closed}
                  && (!defined $client_id || $_->{client_id} eq $client_id) }
           @{$self->{requests}};
}


sub count {
    my ($self, $client_id) = @_;

    return scalar grep { !defined $client_id
                         || ($_->{client_id} // '') eq $client_id }
           @{$self->{requests}};
}


# the raw bytes of all requests

sub requests {
    my ($self) = @_;

    return map { $_->raw() } @{$self->{requests}};
}


# the tokens issued, all or to one client

sub tokens {
    my ($self, $client_id) = @_;

    return map { $_->{value} } grep { !defined $client_id
                                      || $_->{client_id} eq $client_id }
           @{$self->{tokens}};
}


# what the API would say about "Bearer <token>" now

sub accepts {
    my ($self, $authorization) = @_;

    return scalar grep { "Bearer $_->{value}" eq $authorization
                         && now() < $_->{expires} } @{$self->{tokens}};
}


# a token of its own, unless token => '...', for expires_in => n seconds

sub issue {
    my ($self, $request, %o) = @_;

    my $client_id = $request->{client_id} // 'none';
    my $seconds = $o{expires_in} // $self->{expires_in};
    my $value = $o{token}
                // join '.', 'token', $client_id, $request->{number},
                        map { sprintf '%06x', rand 0x1000000 } 1 .. 3;

    push @{$self->{tokens}}, {
        value => $value, client_id => $client_id, request => $request,
        lifetime => $seconds, expires => now() + $seconds,
    };

    secret($value);

    return json(200, access_token => $value, token_type => 'Bearer',
                expires_in => $seconds);
}


# a complete HTTP answer, as a function

sub json {
    my ($status, %members) = @_;

    my $body = JSON::PP->new->canonical->encode(\%members);

    return "HTTP/1.1 $status Status\r\nContent-Type: application/json\r\n"
           . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
}


sub reply {
    my ($self, $request) = @_;

    my $script = $self->{script};
    my $answer = @$script > 1 ? shift @$script : $script->[0];

    $answer = $self->issue($request) if !defined $answer;
    $answer = $answer->($request) if ref $answer;

    $request->reply($answer) if defined $answer;
}


sub received {
    my ($self, $stream) = @_;

    my $message = $stream->{message} //= Zertiban::Message->new();

    return if !$message->feed(\$stream->{in});

    delete $stream->{message};

    my $request = Zertiban::IdP::Request->new(
        stream => $stream, message => $message,
        number => $self->count() + 1);

    secret($request->{basic}, $request->{client_secret});

    push @{$self->{requests}}, $request;
    $self->reply($request);
}


1;
