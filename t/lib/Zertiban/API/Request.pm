package Zertiban::API::Request;

use strict;
use warnings;


sub new {
    my ($class, %o) = @_;

    return bless { %o }, $class;
}


# all values of one field; of a CGI kind of request, those of its parameter

sub header {
    my ($self, $name) = @_;

    if ($self->{params}) {
        ($name = uc "HTTP_$name") =~ tr/-/_/;

        return $self->param($name);
    }

    return map { $_->[1] } grep { lc $_->[0] eq lc $name }
           @{$self->{headers}};
}


sub param {
    my ($self, $name) = @_;

    return map { $_->[1] } grep { $_->[0] eq $name } @{$self->{params}};
}


# the token, joined to a line that shows what came more than once

sub token {
    my ($self) = @_;

    return join ' | ', map { s/^Bearer //r } $self->header('Authorization');
}


# the tenant, likewise; a CGI program cannot tell x_tenant_id from it

sub tenant {
    my ($self) = @_;

    return join ' | ', $self->header('x-tenant-id'),
                       $self->header('x_tenant_id')
        if !$self->{params};

    return join ' | ', $self->header('x-tenant-id');
}


sub answer {
    my ($self, $bytes) = @_;

    my $wrap = $self->{wrap};

    $self->{stream}->write($wrap ? $wrap->($bytes) : $bytes);
    $self->{stream}->finish()
        if $wrap || grep { /close/ } $self->header('Connection');
}


1;
