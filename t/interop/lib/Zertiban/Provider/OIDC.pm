package Zertiban::Provider::OIDC;

# The npm package oidc-provider, where t/interop/run has installed it.

use strict;
use warnings;

use parent qw(Zertiban::Provider);

use Zertiban::JWT;


sub new {
    my ($class, %o) = @_;

    return $class->SUPER::new(paths => {
        token => '/token', introspection => '/token/introspection',
        revocation => '/token/revocation',
    }, %o);
}


sub command {
    my ($self, @arguments) = @_;

    my $dir = $ENV{TEST_OIDC_PROVIDER}
              || die "TEST_OIDC_PROVIDER is not set: use t/interop/run\n";

    return ('node', "$dir/server.mjs", @arguments);
}


# by its signature, as this provider has no introspection of such tokens

sub verify {
    my ($self, $token) = @_;

    return Zertiban::JWT::claims($token, keys => $self->get('/jwks'),
                                 iss => $self->url(''), aud => 'urn:api');
}


1;
