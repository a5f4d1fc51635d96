package Zertiban::Try;

# An operator who has credentials tried by POST to a status.

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();

our @EXPORT = qw(fingerprint start_try try_now outcome);

my @type = ('Content-Type: application/x-www-form-urlencoded');


# of the credential of a file, or of a client id, from the status at $uri

sub fingerprint {
    my ($t, $name, $uri) = @_;

    my $body = $t->get($uri // '/status')->{body};

    my ($found) = $body =~ m{^(\w{12}) (?:.*/)?\Q$name\E$}m;

    return $found // die "no credential \"$name\" in $body";
}


# start_try($t, $fingerprint, uri => '/status', on => $client); the other
# options are those of $t->start()

sub start_try {
    my ($t, $fingerprint, %o) = @_;

    my $uri = delete $o{uri} // '/status';
    my $client = delete $o{on};
    my $body = delete $o{body} // "action=refresh&credential=$fingerprint";

    $o{headers} = [@type, @{$o{headers} // []}];

    return $t->start('POST', $uri, body => $body, %o) if !$client;

    return $client->send(join "\r\n", "POST $uri HTTP/1.1",
                         'Host: localhost', 'Connection: close',
                         'Content-Length: ' . length $body,
                         @{$o{headers}}, '', $body);
}


# the response, and what it says

sub try_now {
    my ($t, $fingerprint, %o) = @_;

    return outcome(start_try($t, $fingerprint, %o), $o{seconds});
}


sub outcome {
    my ($client, $seconds) = @_;

    my $response = $client->response($seconds // 15);
    my $said = eval { JSON::PP::decode_json($response->{body}) } // {};

    return ($response, $said);
}


1;
