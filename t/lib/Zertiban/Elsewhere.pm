package Zertiban::Elsewhere;

# An upstream that no token may reach: all its bytes are searched.

use strict;
use warnings;

use parent -norequire, qw(Zertiban::API);

use Zertiban::API;
use Zertiban::Secrets;


sub received {
    my ($self, $stream) = @_;

    $self->{got}++;

    # a head is here as a whole before it is taken apart
    push @{$self->{leaks}}, secrets_in($stream->{in});

    $self->SUPER::received($stream);
}


# whether it has got any bytes, TLS not counted

sub untouched {
    my ($self) = @_;

    return !$self->{got};
}


# how many have come here

sub leaks {
    my ($self) = @_;

    return scalar @{$self->{leaks} || []};
}


1;
