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
    { name => 'dynamic',
      title => 'ngx_zertiban_module, a credential by a map' },
    { name => 'lua',     title => 'Lua gateway',
      modules => [qw(ndk_http_module ngx_http_lua_module)] },
    { name => 'njs',     title => 'njs gateway',
      modules => ['ngx_http_js_module'] },
    { name => 'jsfixed', title => 'js_set, a fixed token',
      modules => ['ngx_http_js_module'] },
);

my %gateways = map { $_->{name} => $_ } @gateways;

sub title {
    my ($name) = @_;

    return $gateways{$name}{title} // die "there is no gateway \"$name\"\n";
}


# new('name', $backend, workers => n, or 0 for a single process, conf => a file
# of conf if its name is another one, n => how many credentials)

sub new {
    my ($class, $name, $backend, %o) = @_;

    my ($port, $status) = map { Bench::Nginx::free_port() } 1 .. 2;
    my $workers = $o{workers} // 1;

    my $conf = $o{conf} // $name;

    my @modules = ($ENV{TEST_ZERTIBAN_MODULE},
                   map { "$modules/$_.so" }
                   @{$gateways{$conf}{modules} || []});

    return $class->SUPER::new(
        name => $o{name} // $name, frame => 'nginx', ports => [$port],
        port => $port, status => $status, backend => $backend,
        under => $o{under} || [], cold => $o{cold}, n => $o{n} // 1,
        values => { %{$backend->{values}}, CONF => $conf, PORT => $port,
                    STATUS => $status,
                    MASTER => $workers ? 'on' : 'off',
                    WORKERS => $workers || 1,
                    MODULES => join("\n", map { "load_module $_;" } @modules),
                    %{$o{values} || {}} });
}


# what clients send to be told apart; one after the other is far away

sub keys {
    my ($self) = @_;

    my ($key, $n) = ($self->{values}{KEY}, $self->{n});

    # a step that has no divisor in common with n
    return $n == 1 ? $key
                   : map { sprintf "%s-%05d", substr($key, 0, 26),
                                   $_ * 7919 % $n } 1 .. $n;
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
        my $status = $client->status(($self->keys())[0], '/verify');

        return $status == ($plain ? 403 : 200);
    });

    return $self;
}


1;
