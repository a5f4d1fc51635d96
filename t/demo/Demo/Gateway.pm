package Demo::Gateway;

# nginx with ngx_zertiban_module in front of the embedded sandbox or, where
# environment variables hold a credential, of the real service.

use strict;
use warnings;

use File::Path qw(remove_tree);
use File::Temp;
use IO::Socket::INET;
use JSON::PP;

use Demo::Processes;

use constant CA_FILE => '/etc/ssl/certs/ca-certificates.crt';
use constant VERIFY  => <<"END";

    proxy_ssl_verify               on;
    proxy_ssl_verify_depth         3;
    proxy_ssl_trusted_certificate  @{[ CA_FILE ]};
END

my %embedded = (
    client_id => '3f0c9e0a',
    tenant_id => '7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11',
);

my @secret_chars = ('A' .. 'Z', 'a' .. 'z', 0 .. 9, '-', '_', '+', '/');

# root is the checkout, nginx and module are absolute paths.

sub new {
    my ($class, %args) = @_;

    my $self = bless { %args, %{ settings() } }, $class;

    mkdir "$self->{root}/build";

    # mode 0700, the secret is in it
    $self->{dir} = File::Temp->newdir("$self->{root}/build/demo.XXXXXX");
    $self->{processes} = Demo::Processes->new;

    return $self;
}

sub start {
    my ($self) = @_;

    $self->start_sandbox if !$self->{real};

    $self->write_file('zertiban.secret', delete $self->{client_secret});
    $self->start_nginx;
}

sub stop {
    my ($self) = @_;

    $self->{processes}->stop;
}

# What to talk to, and as whom.

sub settings {
    my %given = map { $_ => delete $ENV{$_} }
                qw(ZERTIBAN_CLIENT_ID ZERTIBAN_CLIENT_SECRET
                   ZERTIBAN_TENANT_ID ZERTIBAN_BASE_URL);

    my $base = delete $given{ZERTIBAN_BASE_URL}
             || 'https://nc-api-sandbox.zertiban.com';

    my @missing = grep { ($given{$_} // '') eq '' } sort keys %given;

    if (@missing == keys %given) {
        return { %embedded, client_secret => random_secret() };
    }

    die "missing in the environment: @missing\n" if @missing;

    $base =~ s{/+$}{};
    $base =~ m{^https?://[\w.:\[\]-]+$}
        or die "ZERTIBAN_BASE_URL must look like https://host\n";

    for my $name (qw(ZERTIBAN_CLIENT_ID ZERTIBAN_TENANT_ID)) {
        $given{$name} =~ /^[^\s"'\\\$;{}]+$/
            or die "$name holds a character that it cannot have\n";
    }

    return {
        real          => 1,
        base          => $base,
        client_id     => $given{ZERTIBAN_CLIENT_ID},
        client_secret => $given{ZERTIBAN_CLIENT_SECRET},
        tenant_id     => $given{ZERTIBAN_TENANT_ID},
    };
}

sub random_secret {
    open my $random, '<:raw', '/dev/urandom' or die "no /dev/urandom: $!\n";
    read($random, my $bytes, 40);

    return join '', map { $secret_chars[$_ & 63] } unpack 'C*', $bytes;
}

# The embedded sandbox.

sub start_sandbox {
    my ($self) = @_;

    $self->write_file('sandbox.json', encode_json({
        map { $_ => $self->{$_} } qw(client_id client_secret tenant_id)
    }));

    my $output = $self->path('sandbox.log');

    my $pid = $self->{processes}->start($output,
        $^X, "$self->{root}/t/sandbox/run",
        $self->path('sandbox.json'), $self->path('journal'));

    my $port = $self->{processes}->wait_for($pid, 'the sandbox',
        sub { $self->read_file('sandbox.log') =~ /^(\d+)\n/ && $1 });

    $self->{base} = "http://127.0.0.1:$port";
}

# What the sandbox has seen so far.

sub journal {
    my ($self) = @_;

    return map { decode_json($_) }
           grep { /\}$/ }
           split /\n/, $self->read_file('journal');
}

# nginx.

sub start_nginx {
    my ($self) = @_;

    $self->{port} = free_port();
    $self->write_file('nginx.conf', $self->configuration);

    my $pid = $self->{processes}->start($self->path('nginx.log'),
        $self->{nginx}, '-p', "$self->{dir}/", '-e', 'error.log',
        '-c', $self->path('nginx.conf'));

    $self->{processes}->wait_for($pid, 'nginx', sub {
        IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                              PeerPort => $self->{port});
    });
}

sub url {
    my ($self) = @_;

    return "http://127.0.0.1:$self->{port}";
}

# The lines that a user writes.

sub location {
    my ($self) = @_;

    my $secret = $self->path('zertiban.secret');
    my $verify = $self->{base} =~ /^https/ && -e CA_FILE ? VERIFY : '';

    return <<"END";
location / {
    zertiban                     on;
    zertiban_token_endpoint      $self->{base}/idp/oauth2/token;
    zertiban_client_id           $self->{client_id};
    zertiban_client_secret_file  $secret;
    zertiban_tenant_id           $self->{tenant_id};

    proxy_pass                   $self->{base};
    proxy_ssl_server_name        on;
    client_max_body_size         16m;
$verify}
END
}

# The rest is what lets nginx run in a directory of its own, as any user.

sub configuration {
    my ($self) = @_;

    my $location = $self->location =~ s/^(?=.)/        /gmr;
    my $user = $> == 0 ? 'user root;' : '';

    return <<"END";
load_module $self->{module};

$user
daemon off;
worker_processes 2;
pid nginx.pid;
error_log error.log notice;

events {
}

http {
    client_body_temp_path client_body_temp;
    proxy_temp_path       proxy_temp;
    fastcgi_temp_path     fastcgi_temp;
    uwsgi_temp_path       uwsgi_temp;
    scgi_temp_path        scgi_temp;

    log_format zertiban 'cache=\$zertiban_cache wait=\$zertiban_wait_time '
                        'error=\$zertiban_error';
    access_log access.log zertiban;

    server {
        listen 127.0.0.1:$self->{port};

$location    }
}
END
}

sub version {
    my ($self) = @_;

    my ($version) = `'$self->{nginx}' -v 2>&1` =~ m{nginx/([\d.]+)};

    return $version // 'of unknown version';
}

# What nginx has to say about a failure; it never holds anything secret.

sub error_log {
    my ($self) = @_;

    for my $name (qw(error.log nginx.log)) {
        my @lines = grep { /\[(?:warn|error|crit|alert|emerg)\]/ }
                    split /^/, $self->read_file($name);

        return @lines if @lines;
    }

    return;
}

# Files in the gateway's directory.

sub path {
    my ($self, $name) = @_;

    return "$self->{dir}/$name";
}

sub write_file {
    my ($self, $name, $content) = @_;

    my $umask = umask 0077;

    open my $file, '>:raw', $self->path($name)
        or die "could not write $name: $!\n";
    print $file $content;
    close $file or die "could not write $name: $!\n";

    umask $umask;
}

sub read_file {
    my ($self, $name) = @_;

    open my $file, '<:raw', $self->path($name) or return '';

    return do { local $/; <$file> } // '';
}

sub free_port {
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
        or die "no free port on 127.0.0.1: $!\n";

    return $socket->sockport;
}

1;
