package Zertiban::Site;

# A gateway with a status, an API, and token endpoints that do what they are
# told.

use strict;
use warnings;

use Zertiban::API;
use Zertiban::Accounts;
use Zertiban::IdP;
use Zertiban::Nginx;

my $tenant = '7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11';


# new(zone => size, workers => n)

sub new {
    my ($class, %o) = @_;

    return bless {
        nginx => Zertiban::Nginx->new(workers => $o{workers} // 2),
        api => Zertiban::API->new(), idp => {}, accounts => {},
        zone => $o{zone} // '1m', locations => '',
    }, $class;
}


# A token endpoint of some name, whose tokens last for so many seconds; it
# knows the clients "NAME secret-of-NAME".

sub endpoint {
    my ($self, $name, $seconds, @clients) = @_;

    my $idp = $self->{idp}{$name} = Zertiban::IdP->new();
    my $accounts = Zertiban::Accounts->new($idp, expires_in => $seconds);

    $self->{accounts}{$name} = $accounts;
    $accounts->accept(map { pair($_) } @clients);

    return $accounts;
}


sub pair {
    my ($client) = @_;

    return "$client secret-of-$client";
}


# a gated location of a client, with what else there is to say of it

sub location {
    my ($self, $path, $endpoint, $client, $more) = @_;

    $self->gated($path, $endpoint, <<"EOF" . ($more // ''));
            zertiban_client_id $client;
            zertiban_client_secret secret-of-$client;
EOF
}


# the same with a file of the clients' pairs, whose name is returned

sub file_location {
    my ($self, $path, $endpoint, @clients) = @_;

    my $name = 'pairs' . $path =~ tr{/}{-}r;
    my $file = $self->{nginx}->write_file($name, join '',
                                          map { pair($_) . "\n" } @clients);

    chmod 0600, $file;
    $self->gated($path, $endpoint,
                 "            zertiban_credentials_file $file;\n");

    return $file;
}


sub gated {
    my ($self, $path, $endpoint, $more) = @_;

    my $idp = $self->{idp}{$endpoint};
    my $url = $idp ? $idp->url() : $endpoint;

    $self->{locations} .= <<"EOF";
        location $path {
            zertiban on;
            zertiban_token_endpoint $url;
$more
            proxy_pass http://%%API%%;
        }
EOF
}


sub run {
    my ($self, %values) = @_;

    my $config = <<'EOF' =~ s/%%LOCATIONS%%/$self->{locations}/r;
    zertiban_zone zertiban:%%ZONE%%;

    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        zertiban_tenant_id %%TENANT%%;

        # a browser keeps connections for what it may ask for next
        client_header_timeout 2s;

%%LOCATIONS%%
        location = /status {
            zertiban_status html;
        }

        location = /strict {
            zertiban_status html;
            add_header Content-Security-Policy "default-src 'none'" always;
        }

        location = /status/json {
            zertiban_status json;
        }

        location = /status/metrics {
            zertiban_status prometheus;
        }
    }
EOF

    return $self->{nginx}->run($config, API => $self->{api}->address(),
                               TENANT => $tenant, ZONE => $self->{zone},
                               %values);
}


sub address {
    my ($self) = @_;

    return '127.0.0.1:' . $self->{nginx}->port();
}


sub status {
    my ($self, $uri) = @_;

    return $self->{nginx}->get($uri)->{status};
}


1;
