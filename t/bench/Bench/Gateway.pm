package Bench::Gateway;

# The gateways that are compared, and what they have in common.

use strict;
use warnings;

use parent qw(Bench::Nginx);

use Bench::Client;

my $modules = '/usr/lib/nginx/modules';

# "module" is what a gateway loads besides ngx_zertiban_module

our @gateways = (
    { name => 'plain',   title => 'nginx without the two headers' },
    { name => 'fixed',   title => 'proxy_set_header, a fixed token' },
    { name => 'map',     title => 'proxy_set_header, a fixed token by a map' },
    { name => 'static',  title => 'ngx_zertiban_module, one credential' },
    { name => 'dynamic', title => 'ngx_zertiban_module, a credential by a map' },
    { name => 'lua',     title => 'Lua gateway',
      modules => [qw(ndk_http_module ngx_http_lua_module)] },
    { name => 'njs',     title => 'njs gateway',
      modules => ['ngx_http_js_module'] },
    { name => 'jsfixed', title => 'js_set, a fixed token',
      modules => ['ngx_http_js_module'] },
);

my %gateways = map { $_->{name} => $_ } @gateways;

our %common = (
    CLIENT => '3f0c9e0a',
    SECRET => 'c1b1f7de4a0f4ea6b0f5e0f3f8c2a9d4',
    TENANT => '7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11',
    KEY    => '5b9d2f0c7a6e4183b1d0c95e8f7a2b64',
    TOKEN  => token(1200),
    ZONE   => '1m',
    LIFETIME => 86400,
);


# of so many bytes, as a JWT looks like

sub token {
    my ($length) = @_;

    my $token = 'eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.';
    my $state = 1;

    while (length $token < $length) {
        $state = ($state * 1103515245 + 12345) & 0x7fffffff;
        $token .= ('A' .. 'Z', 'a' .. 'z', 0 .. 9)[($state >> 16) % 62];
    }

    return substr $token, 0, $length;
}


sub title {
    my ($name) = @_;

    return $gateways{$name}{title} // die "there is no gateway \"$name\"\n";
}


# new('name', $backend, workers => n, or 0 for a single process)

sub new {
    my ($class, $name, $backend, %o) = @_;

    my ($port, $status) = map { Bench::Nginx::free_port() } 1 .. 2;
    my $workers = $o{workers} // 1;

    my @modules = ($ENV{TEST_ZERTIBAN_MODULE},
                   map { "$modules/$_.so" }
                   @{$gateways{$name}{modules} || []});

    return $class->SUPER::new(
        name => $o{name} // $name, frame => 'nginx', ports => [$port],
        port => $port, status => $status, backend => $backend,
        under => $o{under} || [], cold => $o{cold},
        values => { %{$backend->{values}}, CONF => $name, PORT => $port,
                    STATUS => $status,
                    MASTER => $workers ? 'on' : 'off',
                    WORKERS => $workers || 1,
                    MODULES => join("\n", map { "load_module $_;" } @modules),
                    %{$o{values} || {}} });
}


# returns as soon as it has the token, unless cold => 1; dies if the API does
# not get it

sub start {
    my ($self) = @_;

    $self->SUPER::start();

    return $self if $self->{cold};

    my $client = Bench::Client->new($self->{port});
    my $plain = $self->{values}{CONF} eq 'plain';

    $self->wait_until(sub {
        my $status = $client->status('/verify', $self->{values}{KEY});

        return $status == ($plain ? 403 : 200);
    });

    return $self;
}


1;
