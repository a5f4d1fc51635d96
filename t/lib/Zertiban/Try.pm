package Zertiban::Try;

# An operator who has credentials tried by POST to a status.

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();

our @EXPORT = qw(fingerprint start_try try_now outcome exchanges_too_soon);

my @type = ('Content-Type: application/x-www-form-urlencoded');


# of the credential of a file, or of a client id, from the status at $uri

sub fingerprint {
    my ($t, $name, $uri) = @_;

    my $said = JSON::PP::decode_json($t->get($uri // '/status')->{body});

    for my $credential (@{$said->{credentials}}) {
        my ($file, $id) = map { $_ // '' } @{$credential}{qw(file client_id)};

        return $credential->{fingerprint}
            if $file =~ m{(?:^|/)\Q$name\E$} || $file eq '' && $id eq $name;
    }

    die "no credential \"$name\"";
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


# how many exchanges had one within ten seconds before them: until then, a token
# that works is not replaced when it is tried

sub exchanges_too_soon {
    my ($idp) = @_;

    my @times = map { $_->{time} } @{$idp->{requests}};

    return scalar grep { $times[$_] - $times[$_ - 1] < 9.9 } 1 .. $#times;
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
