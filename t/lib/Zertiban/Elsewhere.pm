package Zertiban::Elsewhere;

# An upstream that no token may reach: all its bytes are searched.

use strict;
use warnings;

use parent -norequire, qw(Zertiban::API);

use Zertiban::API;
use Zertiban::Secrets;


sub received {
    my ($self, $stream) = @_;

    # a head is here as a whole before it is taken apart
    push @{$self->{leaks}}, secrets_in($stream->{in});

    $self->SUPER::received($stream);
}


# how many have come here

sub leaks {
    my ($self) = @_;

    return scalar @{$self->{leaks} || []};
}


1;
