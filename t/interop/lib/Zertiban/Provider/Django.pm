package Zertiban::Provider::Django;

# Debian's django-oauth-toolkit.

use strict;
use warnings;

use parent qw(Zertiban::Provider);

use Cwd qw(abs_path);
use File::Basename qw(dirname);


sub new {
    my ($class, %o) = @_;

    return $class->SUPER::new(paths => {
        token => '/o/token/', introspection => '/o/introspect/',
        revocation => '/o/revoke_token/',
    }, %o);
}


# Debian's Python, whatever else is there, and without files in the sources

sub command {
    my ($self, @arguments) = @_;

    my $server = abs_path(dirname(__FILE__) . '/../../../django/server.py');

    return ('/usr/bin/python3', '-B', $server, @arguments,
            "$self->{dir}/django.db");
}


1;
