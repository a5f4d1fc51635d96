package Zertiban::Gateway;

# An nginx whose locations have clients of other people's providers, and an
# API that asks these about each token. A location is /KIND/NAME, where the
# kind says what the token is: "jwt" or "opaque" of one provider, "django" of
# another.

use strict;
use warnings;

use Zertiban::API;
use Zertiban::CA;
use Zertiban::Loop qw(now wait_until);
use Zertiban::Nginx;
use Zertiban::Provider::Django;
use Zertiban::Provider::OIDC;
use Zertiban::Secrets;

our @kinds = qw(jwt opaque django);

my $tenant = '7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11';


# new(ttl => seconds of a token)

sub new {
    my ($class, %o) = @_;

    my $nginx = Zertiban::Nginx->new(workers => 2);
    my $ca = Zertiban::CA->new($nginx->dir(), 'root');

    $ca->sign('idp', san => 'DNS:localhost,IP:127.0.0.1');

    my @about = (dir => $nginx->dir(), ca => $ca, ttl => $o{ttl});
    my $oidc = Zertiban::Provider::OIDC->new(@about);
    my $django = Zertiban::Provider::Django->new(@about);

    my $self = bless {
        nginx => $nginx, ca => $ca, api => Zertiban::API->new(),
        providers => { jwt => $oidc, opaque => $oidc, django => $django },
        locations => '',
    }, $class;

    $self->{api}->answer(sub { $self->answer($_[0]) });

    return $self;
}


sub provider {
    my ($self, $uri) = @_;

    my ($kind) = $uri =~ m{^/(\w+)} or die "no kind in $uri";

    return $self->{providers}{$kind};
}


# of a location's client

sub id {
    my ($self, $uri) = @_;

    return $uri =~ s{^/(\w+)/([\w-]+).*}{$1-$2}r;
}


# A location and its client. The provider is told scopes that are "allowed", a
# "grant", when the client "expires", and its secret, if that is "known" as
# something else than nginx has. The "scope" and "more" are for nginx.

sub location {
    my ($self, $uri, %o) = @_;

    my $id = $self->id($uri);
    my $provider = $self->provider($uri);
    my $secret = $o{secret} // 'secret-' . join '-', map { int rand 1e9 }
                                                     1 .. 3;
    my $file = $self->{nginx}->write_file("$id.secret", $secret);

    secret($secret);
    chmod 0600, $file;

    $provider->client($id,
        secret => $o{known} // $secret,
        scope => $o{allowed} // 'payments reports',
        format => $uri =~ m{^/jwt/} ? 'jwt' : 'opaque',
        map { $_ => $o{$_} } grep { $o{$_} } qw(grant expires));

    my $endpoint = $provider->url($provider->{paths}{token});
    my $scope = $o{scope} ? qq{zertiban_scope "$o{scope}";} : '';
    my $more = $o{more} // '';

    $self->{locations} .= <<"EOF";
        location = $uri {
            zertiban_token_endpoint $endpoint;
            zertiban_client_id $id;
            zertiban_client_secret_file $file;
            $scope
            $more
            proxy_pass http://%%API%%;
        }
EOF
}


# the same for each kind of token

sub locations {
    my ($self, $name, %o) = @_;

    $self->location("/$_/$name", %o) for @kinds;
}


sub run {
    my ($self) = @_;

    $self->{nginx}->run(<<'EOF' =~ s/%%LOCATIONS%%/$self->{locations}/r,
    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        zertiban on;
        zertiban_ssl_trusted_certificate %%CA%%;
        zertiban_tenant_id %%TENANT%%;

        add_header X-Cache $zertiban_cache always;
        add_header X-Error $zertiban_error always;

%%LOCATIONS%%
    }
EOF
        API => $self->{api}->address(), TENANT => $tenant,
        CA => $self->{ca}->certificate());
}


# what a careful API does: the provider has to vouch for each token

sub answer {
    my ($self, $request) = @_;

    my ($api, $uri, $token) = ($self->{api}, $request->{uri},
                               $request->token());
    my $provider = $self->provider($uri);

    secret($token);

    my $claims = $uri =~ m{^/jwt/} ? $provider->verify($token)
                                   : $provider->introspect($token);

    $request->{claims} = $claims // {};

    return $api->text(401, "invalid_token\n",
                      'WWW-Authenticate: Bearer error="invalid_token"')
        if !$claims || $claims->{client_id} ne $self->id($uri)
           || $request->tenant() ne $tenant;

    return $api->text(200, "served\n");
}


sub get {
    my ($self, $uri) = @_;

    return $self->{nginx}->get($uri);
}


# "200 hit", "502 error idp_rejected_client"

sub seen {
    my ($response) = @_;

    return join ' ', $response->{status},
                     grep { ($_ // '') ne '' }
                     map { $response->header($_) } qw(X-Cache X-Error);
}


# what has come to the API from a location, in its order

sub requests {
    my ($self, $uri) = @_;

    return grep { $_->{uri} =~ /^\Q$uri\E(?:\?|\z)/ }
           $self->{api}->requests();
}


# the tokens of these, each once

sub tokens {
    my ($self, $uri) = @_;

    my %known;

    return grep { !$known{$_}++ } map { $_->token() } $self->requests($uri);
}


# the lines of the error log about a location's client

sub lines {
    my ($self, $uri, $pattern) = @_;

    my $id = $self->id($uri);

    return grep { $_ =~ $pattern }
           $self->{nginx}->error_log(qr/client "\Q$id\E"/);
}


# asks all of some locations again and again, each until an answer is like
# this; returns what was seen of each

sub until_seen {
    my ($self, $pattern, $seconds, @uris) = @_;

    my $deadline = now() + $seconds;
    my %seen;

    while (@uris && now() < $deadline) {
        my @waiting = map { $self->{nginx}->start('GET', $_) } @uris;

        push @{$seen{$_}}, seen((shift @waiting)->response()) for @uris;
        @uris = grep { $seen{$_}[-1] !~ $pattern } @uris;

        wait_until { 0 } 0.1;
    }

    return %seen;
}


sub finish {
    my ($self) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $self->{nginx}->finish();
}


1;
