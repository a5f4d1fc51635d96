package Zertiban::Storm::Server;

# What the API and the server elsewhere have in common: they take requests as
# they come. Children implement begun($request), going($request), in the middle
# of its body, and complete($request).

use strict;
use warnings;

use parent qw(Zertiban::Server);

use Zertiban::Storm::Request;
use Zertiban::Stream;


# without what Zertiban::Server wants to know of each connection

sub accept {
    my ($self) = @_;

    while (CORE::accept my $fh, $self->{listener}) {
        my $stream = Zertiban::Stream->new($fh,
            on_data => sub { $self->received($_[0]) },
            on_close => sub { $self->gone($_[0]) });

        $self->{streams}{$stream} = $stream;
    }
}


sub gone {
    my ($self, $stream) = @_;

    delete $self->{streams}{$stream};
    delete @{$stream}{qw(request last)};
}


sub received {
    my ($self, $stream) = @_;

    while ($stream->{fh} && ($stream->{in} ne '' || $stream->{request})) {
        my $request = $stream->{request};

        if (!$request) {
            $request = Zertiban::Storm::Request->take($stream) or return;
            $stream->{request} = $request;
            $self->begun($request);
        }

        my $complete = $request->feed(\$stream->{in});

        $self->going($request) if !$request->{going}++;

        return if !$complete;

        delete $stream->{request};
        $self->complete($request);
    }
}


1;
