package Zertiban::Fleet;

# Several gateways, of which one may share its token with the others.

use strict;
use warnings;

use List::Util qw(max);

use Zertiban::CA;
use Zertiban::Loop qw(now wait_until);
use Zertiban::Nginx;

our $old = 10;    # seconds, of a token that is dropped


sub new {
    my ($class, $api, $idp) = @_;

    return bless { api => $api, idp => $idp }, $class;
}


# the gateway that shares, with a certificate; the others have one as well

sub root {
    my ($self, %o) = @_;

    my $root = $self->{root} = Zertiban::Nginx->new(workers => 2, %o);

    $self->{dir} = $root->dir();
    $self->{ca} = Zertiban::CA->new($self->{dir}, 'ca');

    $self->{ca}->sign('root', san => 'DNS:localhost');
    $self->{ca}->sign('leaf');

    return $root->run(<<'EOF', CA => $self->{dir}, IDP => $self->{idp}->url());
    ssl_certificate %%CA%%/root.crt;
    ssl_certificate_key %%CA%%/root.key;

    server {
        listen 127.0.0.1:%%PORT%% ssl;

        ssl_client_certificate %%CA%%/ca.crt;
        ssl_verify_client on;

        location = /token {
            zertiban_share;
            zertiban_token_endpoint %%IDP%%;
            zertiban_client_id the-business;
            zertiban_client_secret secret-of-the-business;
        }
    }
EOF
}


# one that asks the endpoint itself, with a scope

sub gateway {
    my ($self, %o) = @_;

    my $url = $self->{idp}->url();
    my $scope = delete $o{scope} // 'any';

    return $self->start(<<"EOF", %o);
zertiban_token_endpoint $url;
        zertiban_client_id the-business;
        zertiban_client_secret secret-of-the-business;
        zertiban_scope $scope;
EOF
}


# one that asks the gateway that shares

sub leaf {
    my ($self, %o) = @_;

    my $url = 'https://localhost:' . $self->{root}->port() . '/token';
    my $dir = $self->{dir};

    return $self->start(<<"EOF", %o);
zertiban_token_endpoint $url;
        zertiban_client_id leaf;
        zertiban_client_secret secret-of-leaf;
        zertiban_ssl_trusted_certificate $dir/ca.crt;
        zertiban_ssl_certificate $dir/leaf.crt;
        zertiban_ssl_certificate_key $dir/leaf.key;
EOF
}


sub start {
    my ($self, $how, %o) = @_;

    my $nginx = Zertiban::Nginx->new(workers => 2, %o);

    return $nginx->run(<<'EOF', HOW => $how, API => $self->{api}->address());
    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
        zertiban_tenant_id the-tenant;
        %%HOW%%

        location / {
            proxy_pass http://%%API%%;
        }

        location = /status {
            zertiban off;
            zertiban_status;
        }
    }
EOF
}


# returns as soon as all tokens are old enough to be dropped

sub grow_old {
    my ($self) = @_;

    my $youngest = max(map { $_->{expires} - $_->{lifetime} }
                       @{$self->{idp}{tokens}});

    wait_until { now() > $youngest + $old + 1.3 } 2 * $old;
}


1;
