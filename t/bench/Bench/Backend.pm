package Bench::Backend;

# The API and the token endpoint, as fast as nginx can play them.

use strict;
use warnings;

use parent qw(Bench::Nginx);

use Bench::Values;


sub new {
    my ($class, %o) = @_;

    my ($api, $idp) = map { Bench::Nginx::free_port() } 1 .. 2;

    return $class->SUPER::new(
        name => 'backend', frame => 'backend', ports => [$api, $idp],
        under => $o{under} || [],
        values => { %values, API => $api, IDP => $idp,
                    %{$o{values} || {}} });
}


# how many tokens it has issued; the process that writes that down is the one
# that answers as the API afterwards

sub exchanges {
    my ($self) = @_;

    return -s "$self->{dir}/exchanges.log" || 0;
}


1;
