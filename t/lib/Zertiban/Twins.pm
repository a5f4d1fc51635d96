package Zertiban::Twins;

# Two servers of one nginx with the same locations: "zertiban" is on around
# one of them, and off around the other. What no gate has to do with is
# answered alike by both.

use strict;
use warnings;

use Test::More;

use Zertiban::Client;
use Zertiban::Test ();

# how a request comes: the head behind the method and the URI, and the pieces
# of its body, between which nginx has seen the ones before

my $length = 'Content-Length: 10';
my $chunked = 'Transfer-Encoding: chunked';

my @kinds = (
    ['GET'],
    ['HEAD'],
    ['GET',  $length, '0123456789'],
    ['GET',  $length, '01', '23456789'],
    ['GET',  $chunked, "2\r\n01\r\n0\r\n\r\n"],
    ['GET',  $chunked, "3\r\n01", "2\r\n0\r\n\r\n"],
    ['POST', $length, '0123456789'],
    ['POST', $length, '01', '23456789'],
    ['POST', $chunked, "3\r\n01", "2\r\n0\r\n\r\n"],
    ['POST', "$length\r\nExpect: 100-continue", '', '0123456789'],
    ['POST', $length, '01'],
);


# the whole configuration; all of the gate is around the first server

sub config {
    my ($locations, $http) = @_;

    return ($http // '') . <<"EOF";
    zertiban on;
    zertiban_token_endpoint %%IDP%%;
    zertiban_client_id client;
    zertiban_client_secret secret-of-client;
    zertiban_tenant_id tenant;
    zertiban_timeout 60s;

    server {
        listen 127.0.0.1:%%PORT%%;

$locations
    }

    server {
        listen 127.0.0.1:%%PORT_open%%;

        zertiban off;

$locations
    }
EOF
}


sub new {
    my ($class, $nginx) = @_;

    return bless { nginx => $nginx }, $class;
}


# what is different about the answers to a URI, or nothing; same => sub { } is
# given the text of an answer, and changes in $_ what need not be the same

sub alike {
    my ($self, $uri, %o) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my @pairs = map { [$self->start($_, $uri), $self->start($_, $uri, 'open')] }
                grep { !$o{method} || $_->[0] eq $o{method} } @kinds;
    my @different;

    $self->{nginx}->barrier('/barrier', port => 'open');
    $_->{more}->() for map { @$_ } @pairs;
    $self->{nginx}->barrier('/barrier', port => 'open');

    for my $pair (@pairs) {
        my ($gated, $open) = map { $self->answer($_, %o) } @$pair;

        push @different, "$pair->[0]{name}: $gated; without: $open"
            if $gated ne $open;
    }

    is(join("\n", @different), '', $o{name} // "$uri is what it is");
}


# a request, of which the rest is sent by {more}; the last kind has none, and
# its client leaves

sub start {
    my ($self, $kind, $uri, $port) = @_;

    my ($method, $fields, @pieces) = @$kind;
    my $first = shift @pieces // '';
    my $leaves = $fields && $first eq '01' && !@pieces;

    my $client = Zertiban::Client->new($self->{nginx}->port($port // ''));

    $client->send(join "\r\n", "$method $uri HTTP/1.1", 'Host: localhost',
                  'Connection: close', defined $fields ? $fields : (), '',
                  $first);

    return {
        client => $client,
        name => join(' ', $method, map { s/\r\n/ /gr } grep { defined }
                     $fields, $first, @pieces),
        leaves => $leaves,
        more => sub {
            return $client->{stream}->close() if $leaves;
            $client->{stream}->write($_) for @pieces;
        },
    };
}


sub answer {
    my ($self, $request, %o) = @_;

    return 'left' if $request->{leaves};

    my $response = $request->{client}->response();

    # of the interim answer to Expect
    $response = $request->{client}->response()
        if ($response->{status} // 0) == 100;

    local $_ = "$response->{first}\r\n"
               . join("\r\n", map { "$_->[0]: $_->[1]" }
                              grep { $_->[0] !~ /^(?:Date|Connection)$/i }
                              @{$response->{headers}})
               . "\r\n\r\n" . ($response->{body} // '');

    $o{same}->() if $o{same};

    return $_;
}


1;
