package Zertiban::Revocation;

# Tokens that the API does not accept any more, and the requests that came
# to it twice for that reason. The client id of a request is its argument
# "client", and its tenant "tenant-" with the same.

use strict;
use warnings;

use List::Util qw(max min);
use Test::More;

use Zertiban::Loop qw(now wait_until);

our $old = 10;    # seconds, of a token that is dropped


sub new {
    my ($class, $nginx, $idp) = @_;

    return bless { nginx => $nginx, idp => $idp, revoked => {} }, $class;
}


# gets a token for each of some clients

sub warm {
    my ($self, @clients) = @_;

    my @waiting = map { $self->{nginx}->start('GET', "/warm?client=$_") }
                  @clients;
    my @missing = grep { $_->response()->{status} != 200 } @waiting;

    die @missing . ' clients have no token' if @missing;
}


# returns as soon as all tokens are old enough to be dropped; nginx got them
# a little after they were issued, and before this is called

sub grow_old {
    my ($self) = @_;

    my $youngest = max(map { $_->{expires} - $_->{lifetime} }
                       @{$self->{idp}{tokens}});
    my $got = min(now(), $youngest + 1);

    wait_until { now() > $got + $old + 0.3 } 2 * $old;
}


# the API does not accept any token that a client has, or all clients have

sub revoke {
    my ($self, $client) = @_;

    $self->{revoked}{$_} = 1 for $self->{idp}->tokens($client);
}


sub revoked {
    my ($self, $request) = @_;

    return $self->{revoked}{$request->token()};
}


# to be called by the API's answer: 401, or nothing

sub answer {
    my ($self, $request) = @_;

    return if !$self->revoked($request);

    my @fields = ('WWW-Authenticate: Bearer error="invalid_token"',
                  'Set-Cookie: of=the-first-answer');

    return join "\r\n", 'Status: 401 Unauthorized', @fields, '', "revoked\n"
        if $request->{params};

    return join "\r\n", 'HTTP/1.1 401 Unauthorized', 'Content-Length: 8',
                @fields, '', $request->{method} eq 'HEAD' ? '' : "revoked\n";
}


# which of its client's tokens each request to a URI had: "1 2"

sub tokens {
    my ($self, $api, $uri) = @_;

    my ($client) = $uri =~ /client=([\w-]+)/;
    my $n = 1;
    my %numbers = map { $_ => $n++ } $self->{idp}->tokens($client);

    return join ' ', map { $numbers{$_->token()} // 'none of its own' }
                     $api->requests($uri);
}


# all of a request but the token

sub shape {
    my ($request) = @_;

    my $head = $request->{head}
               // join '', map { "$_->[0]: $_->[1]\r\n" }
                           @{$request->{params}};

    $head =~ s/^((?:HTTP_)?Authorization: Bearer )\S+/$1.../mi;

    return "$head$request->{length} bytes, $request->{digest}";
}


# the request to a URI has reached the API twice, with the client's first and
# second token, and is otherwise the same

sub replayed {
    my ($self, $api, $uri, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($client) = $uri =~ /client=([\w-]+)/;
    my ($first, $second) = $api->requests($uri);

    is($self->tokens($api, $uri), '1 2', "$name: a new token");
    is($second && shape($second), $first && shape($first),
       'and otherwise the same request');
    is($second && $second->tenant(), "tenant-$client", 'for its tenant');
    is($self->{idp}->count($client), 2, 'after one exchange');
}


# and the client sees the second answer only; the nginx adds a field X-Seen
# with $zertiban_cache and $upstream_status

sub healed {
    my ($self, $api, $uri, $response, $name, $body) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is(join(' ', $response->{status}, $response->header('X-Seen')),
       '200 replay 401 : 200', "$name: served after a 401");
    is($response->{body}, $body, 'with the second answer');
    is(join(' ', map { $response->header($_) }
                 qw(WWW-Authenticate Set-Cookie)), '',
       'and nothing of the first one');

    $self->replayed($api, $uri, $name);
}


1;
