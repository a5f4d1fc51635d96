package Bench::Client;

# Sends one request after another on one connection: what nginx has to do is
# the same each time.

use strict;
use warnings;

use IO::Socket::INET;
use Socket qw(IPPROTO_TCP TCP_NODELAY);

use constant URI => '/pagafactu/v1/flows/0d0c4a3e-9b59-4a7c-8c1a-64f0f9b5a2d7';


sub new {
    my ($class, $port) = @_;

    my $fh = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port",
                                   Timeout => 10)
        or die "cannot connect to port $port: $@\n";

    setsockopt $fh, IPPROTO_TCP, TCP_NODELAY, 1;

    return bless { fh => $fh }, $class;
}


# what a service in a company's network sends

sub fields {
    my ($key) = @_;

    return ('Host: payments.gateway.example',
        'User-Agent: shop-backend/2.14.1 (Java/17.0.9)',
        'Accept: application/json',
        'Accept-Encoding: gzip, deflate',
        'Accept-Language: en',
        'Cache-Control: no-cache',
        "X-Api-Key: $key",
        'X-Request-Id: 2f9d7c1e-6a34-4a0b-9d0e-52c1b7e3a8f4',
        'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    );
}


sub request {
    my ($key, $uri) = @_;

    return join "\r\n", 'GET ' . ($uri // URI) . ' HTTP/1.1', fields($key),
                '', '';
}


sub status {
    my ($self, $key, $uri) = @_;

    return $self->send(request($key, $uri));
}


# sends a request, reads the answer, returns its status

sub send {
    my ($self, $request) = @_;

    my $fh = $self->{fh};
    my $in = '';
    my $head;

    syswrite($fh, $request) // die "cannot send a request: $!\n";

    while (($head = index $in, "\r\n\r\n") < 0) {
        sysread($fh, $in, 65536, length $in) or die "no answer\n";
    }

    my ($length) = $in =~ /^Content-Length: (\d+)\r$/im
        or die "an answer without a length\n";

    until (length $in >= $head + 4 + $length) {
        sysread($fh, $in, 65536, length $in) or die "no answer\n";
    }

    return ($in =~ m{^HTTP/1\.1 (\d+)})[0];
}


1;
