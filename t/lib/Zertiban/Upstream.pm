package Zertiban::Upstream;

# What holds for upstreams of any version of HTTP: their locations answer with
# X-Seen, "$zertiban_cache $upstream_status", and what the API says.

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use Exporter qw(import);
use Test::More;

use Zertiban::Test qw(count_of);

our @EXPORT_OK = qw(seen);

my $body = join '', map { chr($_ % 251) } 1 .. 1024 * 1024;


sub new {
    my ($class, $nginx, $api, $tokens) = @_;

    return bless { nginx => $nginx, api => $api, tokens => $tokens }, $class;
}


sub seen {
    my ($response) = @_;

    return join ' ', $response->{status}, $response->header('X-Seen'),
                     $response->{body};
}


# a request with other fields, and one with fields of the module's names

sub passes_headers {
    my ($self, @own) = @_;

    my ($t, $api, $tokens) = @{$self}{qw(nginx api tokens)};

    $tokens->warm('headers');

    for my $case (['no fields', ()], ['fields of these names', @own]) {
        my ($name, @fields) = @$case;
        my $uri = '/' . ($name =~ tr/ /-/r) . '?client=headers';

        is(seen($t->get($uri, headers => ['X-Other: kept', @fields])),
           "200 hit 200 GET $uri\n", "$name: served");

        my $request = $api->last($uri);

        is($request->token(), ($tokens->{idp}->tokens('headers'))[0],
           'with one token');
        is($request->tenant(), 'tenant-headers', 'and one tenant');
        is(join(' ', $request->header('X-Other')), 'kept', 'and all others');
    }

    is(scalar $t->error_log(qr/the token is missing/), '',
       'nobody looks for the token in what is compressed');
}


sub passes_body {
    my ($self, $uri, $name) = @_;

    is(seen($self->{nginx}->start('POST', $uri, body => $body)->response()),
       "200 hit 200 POST $uri\n", $name);
    is(count_of(map { $_->{digest} } $self->{api}->requests($uri)),
       md5_hex($body) . ': 1', 'is sent once, and whole');
}


# with tokens of these clients, and of more, that the API does not accept

sub replays {
    my ($self, @more) = @_;

    my ($t, $api, $tokens) = @{$self}{qw(nginx api tokens)};
    my @clients = (qw(get post kept), @more);

    $tokens->warm(@clients);
    $tokens->grow_old();
    $tokens->revoke($_) for @clients;

    my $uri = '/replay?client=get';
    $tokens->healed($api, $uri, $t->get($uri), 'GET', "GET $uri\n");

    $uri = '/replay?client=post';
    $tokens->healed($api, $uri,
                    $t->start('POST', $uri, body => $body)->response(),
                    'a large body', "POST $uri\n");

    $uri = '/kept/replay?client=kept';
    is(seen($t->get($uri)), "200 replay 401 : 200 GET $uri\n",
       'connections that are kept');
    is($tokens->tokens($api, $uri), '1 2', 'with the next token');
}


1;
