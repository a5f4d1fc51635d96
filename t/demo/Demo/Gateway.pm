package Demo::Gateway;

# nginx with docs/examples/production.conf and monitoring.conf, in front of the
# embedded sandbox or, where the environment holds a credential, of the real
# service.

use strict;
use warnings;

use File::Temp;
use IO::Socket::INET;
use JSON::PP;

use Demo::Processes;
use Zertiban::CA;

use constant {
    FOLDER   => 'docs/examples',
    EXAMPLES => ['production.conf', 'monitoring.conf'],
    CA_FILE  => '/etc/ssl/certs/ca-certificates.crt',
    TENANT   => '7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11',
    WORKERS  => 2,

    # what production.conf has, where its certificates are
    REAL     => 'nc-api.zertiban.com',
};

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

    $self->{ca_file} = $self->{real} ? CA_FILE : $self->start_sandbox;

    -e $self->{ca_file} or die "no CA certificates in $self->{ca_file}\n";

    $self->credentials([$self->{client_id}, delete $self->{client_secret}]);
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
        return {
            client_id     => '3f0c9e0a',
            client_secret => random_secret(),
            tenant_id     => TENANT,
        };
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

# The embedded sandbox, with a certificate of a CA made for it; returns the path
# of the CA's.

sub start_sandbox {
    my ($self) = @_;

    $self->{sandbox} = {
        clients   => { $self->{client_id} => $self->{client_secret} },
        tenant_id => $self->{tenant_id},
        lifetime  => $self->{lifetime},
    };

    my ($port, $ca) = $self->run_sandbox('sandbox');

    $self->{base} = "https://localhost:$port";
    $self->{sandbox_address} = $self->{api} = "127.0.0.1:$port";

    return $ca;
}

# Calls by several at a time, until end_calls(), which returns the statuses of
# all answers.

sub start_calls {
    my ($self, $n, $path) = @_;

    $self->{callers} = [map {
        my $file = "calls.$_";

        [$file, $self->{processes}->start($self->path($file), $^X,
                                          "$self->{root}/t/demo/load",
                                          $self->url . $path)];
    } 1 .. $n];
}

sub end_calls {
    my ($self) = @_;

    my $callers = delete $self->{callers};

    $self->{processes}->end($_->[1]) for @$callers;

    return map { split /\n/, $self->read_file($_->[0]) } @$callers;
}

# Starts one, returns its port and the path of its CA's certificate.

sub run_sandbox {
    my ($self, $name) = @_;

    my $ca = Zertiban::CA->new("$self->{dir}", "$name-ca");

    $ca->sign($name, san => 'DNS:localhost');

    $self->write_json("$name.json", {
        %{ $self->{sandbox} },
        certificate => $ca->certificate($name),
        key         => $ca->key($name),
    });

    my $pid = $self->{processes}->start($self->path("$name.log"),
        $^X, "$self->{root}/t/sandbox/run",
        $self->path("$name.json"), $self->path("$name.journal"));

    my $port = $self->{processes}->wait_for($pid, $name,
        sub { $self->read_file("$name.log") =~ /^(\d+)\n/ && $1 });

    return ($port, $ca->certificate);
}

# Changes what the sandbox goes by, such as its clients.

sub change_sandbox {
    my ($self, %settings) = @_;

    $self->write_json('sandbox.json', {
        %{ decode_json($self->read_file('sandbox.json')) }, %settings
    });
}

sub write_json {
    my ($self, $name, $value) = @_;

    $self->write_file($name, encode_json($value));
}

# What the sandbox has seen so far, all or of one kind.

sub journal {
    my ($self, $kind, $name) = @_;

    my @lines = grep { /\}$/ && (!$kind || /"kind":"$kind"/) }
                split /\n/, $self->read_file(($name // 'sandbox') . '.journal');

    return map { decode_json($_) } @lines;
}

# nginx.

sub start_nginx {
    my ($self) = @_;

    $self->{port} = free_port();
    $self->{status_port} = free_port();
    $self->configure;

    # the module verifies the token endpoint by the system's CA certificates
    local $ENV{SSL_CERT_FILE} = $self->{ca_file};

    $self->{pid} = $self->{processes}->start($self->path('nginx.log'),
        $self->{nginx}, '-p', "$self->{dir}/", '-e', 'error.log',
        '-c', $self->path('nginx.conf'));

    $self->{processes}->wait_for($self->{pid}, 'nginx', sub {
        IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                              PeerPort => $self->{port});
    });
}

# With another address of the API, if api is given; returns when the old workers
# have gone.

sub reload {
    my ($self, %args) = @_;

    my $ended = $self->ended + WORKERS;

    $self->{api} = $args{api} if $args{api};

    $self->configure;
    kill HUP => $self->{pid};

    $self->{processes}->wait_for($self->{pid}, 'nginx with another'
        . ' configuration', sub { $self->ended >= $ended });
}

# The workers that have ended so far.

sub ended {
    my ($self) = @_;

    my $n = () = $self->read_file('error.log')
                 =~ /worker process \d+ exited with code 0$/mg;

    return $n;
}

sub url {
    my ($self) = @_;

    return "http://127.0.0.1:$self->{port}";
}

# Where the gateway tells of itself.

sub status_url {
    my ($self) = @_;

    return "http://127.0.0.1:$self->{status_port}";
}

# What stands in the examples, and what the demo has in its place.

sub changes {
    my ($self) = @_;

    my ($scheme, $host, $port)
        = $self->{base} =~ m{^(https?)://(.*?)(?::(\d+))?$};

    $port //= $scheme eq 'http' ? 80 : 443;

    my @changes = (
        ['https://' . REAL,      $self->{base}],
        [REAL . ':443',          $self->{api} // "$host:$port"],
        [REAL,                   $host],
        ['https://zertiban_api', "$scheme://zertiban_api"],
        [TENANT,                 $self->{tenant_id}],
        [CA_FILE,                $self->{ca_file}],
        ['/etc/nginx/',          $self->path('')],
        ['/var/log/nginx/',      $self->path('')],
        ['127.0.0.1:8080',       "127.0.0.1:$self->{port}"],
        ['127.0.0.1:8081',       "127.0.0.1:$self->{status_port}"],
    );

    return grep { $_->[0] ne $_->[1] } @changes;
}

# The rest is what lets nginx run in a directory of its own, as any user.

sub configure {
    my ($self) = @_;

    my %to = map { @$_ } $self->changes;
    my $from = join '|', map { quotemeta }
               sort { length $b <=> length $a } keys %to;

    $self->write_file($_,
        $self->example($_) =~ s/(?<![\w.-])($from)/$to{$1}/gr)
        for @{ +EXAMPLES };

    $self->write_file('nginx.conf', $self->surroundings);
}

sub example {
    my ($self, $name) = @_;

    open my $file, '<', "$self->{root}/@{[ FOLDER ]}/$name"
        or die "could not read @{[ FOLDER ]}/$name: $!\n";

    return do { local $/; <$file> };
}

sub surroundings {
    my ($self) = @_;

    my $user = $> == 0 ? 'user root;' : '';

    return <<"END";
load_module $self->{module};

$user
daemon off;
worker_processes @{[ WORKERS ]};
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

    include production.conf;
    include monitoring.conf;
}
END
}

sub version {
    my ($self) = @_;

    my ($version) = `'$self->{nginx}' -V 2>&1`
                    =~ m{^nginx version: \w+/([\d.]+)}m;

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

# The client that nginx is, as [id, secret], and one that the sandbox does not
# know yet.

sub client {
    my ($self) = @_;

    return [%{ $self->{sandbox}{clients} }];
}

sub another_client {
    return ['91b2d4e7', random_secret()];
}

# Puts a file with these pairs in the place of the old one, the newest first.

sub credentials {
    my ($self, @pairs) = @_;

    $self->write_file('zertiban.credentials',
                      join '', map { "$_->[0] $_->[1]\n" } @pairs);
}

# Files in the gateway's directory.

sub path {
    my ($self, $name) = @_;

    return "$self->{dir}/$name";
}

sub write_file {
    my ($self, $name, $content) = @_;

    my $umask = umask 0077;

    my $path = $self->path($name);

    # who reads it meanwhile sees the old file or the new one
    open my $file, '>:raw', "$path.new" or die "could not write $name: $!\n";
    print $file $content;
    close $file or die "could not write $name: $!\n";
    rename "$path.new", $path or die "could not write $name: $!\n";

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
