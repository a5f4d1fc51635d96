package Zertiban::Storm::CGI;

# The API behind FastCGI, SCGI or uwsgi: protocol => name.

use strict;
use warnings;

use parent qw(Zertiban::Storm::API);

use Zertiban::CGI;
use Zertiban::Storm::Request;


# what has come is shown to the API as if it were HTTP

sub received {
    my ($self, $stream) = @_;

    my $read = Zertiban::CGI->can("read_$self->{protocol}");
    my ($params, $body, $wrap) = $self->$read($stream) or return;
    my %param = map { @$_ } @$params;

    my @fields = map { $_->[0] =~ /^HTTP_(?!TRANSFER)(.*)/
                       ? ($1 =~ tr/_/-/r) . ": $_->[1]" : () } @$params;

    my $request = Zertiban::Storm::Request->new($stream, join("\r\n",
        "$param{REQUEST_METHOD} $param{REQUEST_URI} CGI", @fields,
        'Content-Length: ' . length $body, '', ''), wrap => $wrap);

    $stream->{in} = '';

    $self->begun($request);
    $request->feed(\$body);
    $self->complete($request);
}


1;
