package Packages::Gateway;

# nginx and the package as they are installed in a Debian system, in front of
# the embedded sandbox.  The system is the root directory in ZERTIBAN_ROOT, or
# else this machine's own; the sandbox runs outside of it, in the same network.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp;
use IO::Socket::INET;
use JSON::PP;
use Time::HiRes qw(sleep);

use lib map { dirname(__FILE__) . "/../../$_" } 'demo', 'lib';

use Demo::Processes;
use Zertiban::CA;

use constant {
    CONF        => '/etc/nginx/conf.d/zertiban.conf',
    CREDENTIALS => '/etc/nginx/zertiban.credentials',
    CLIENT      => '3f0c9e0a',
    TENANT      => '7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11',
    HOST        => 'api.zertiban.test',
    URL         => 'http://127.0.0.1:8080/pagafactu/v1/flows',
    CALLERS     => 2,
    TRIES       => 600,
};

# what is left of a system that this is to be run in, and nothing else

my %environment = (
    HOME            => '/root',
    LANG            => 'C.UTF-8',
    PATH            => '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin'
                       . ':/sbin:/bin',
    DEBIAN_FRONTEND => 'noninteractive',
);


sub new {
    my ($class) = @_;

    my $self = bless {
        root      => $ENV{ZERTIBAN_ROOT} // '',
        checkout  => abs_path(dirname(__FILE__) . '/../../..'),
        dir       => File::Temp->newdir(),
        processes => Demo::Processes->new(),
        secret    => join('', map { ('a' .. 'z')[rand 26] } 1 .. 40),
    }, $class;

    $self->start_sandbox();

    return $self;
}


# The sandbox.  The system knows its name, and its authority as it knows those
# of the world.

sub start_sandbox {
    my ($self) = @_;

    my $ca = Zertiban::CA->new("$self->{dir}", 'sandbox-ca');

    $ca->sign('sandbox', san => 'DNS:' . HOST);
    $self->{ca} = slurp($ca->certificate());

    write_file("$self->{dir}/sandbox.json", encode_json({
        clients     => { CLIENT, $self->{secret} },
        tenant_id   => TENANT,
        lifetime    => 300,
        certificate => $ca->certificate('sandbox'),
        key         => $ca->key('sandbox'),
    }));

    my $log = "$self->{dir}/sandbox.log";

    my $pid = $self->{processes}->start($log, $^X,
        "$self->{checkout}/t/sandbox/run", "$self->{dir}/sandbox.json",
        "$self->{dir}/journal");

    $self->{port} = $self->{processes}->wait_for($pid, 'the sandbox',
        sub { slurp($log) =~ /^(\d+)\n/ && $1 });
}


# What it has seen, of one kind.

sub journal {
    my ($self, $kind) = @_;

    return grep { $_->{kind} eq $kind }
           map { decode_json($_) } grep { /\}$/ }
           split /\n/, slurp("$self->{dir}/journal");
}


# Which versions of the module have asked for a token, in that order.

sub versions {
    my ($self) = @_;

    return map { $_->{agent} =~ m{^ngx_zertiban_module/(.+)$} }
           $self->journal('token');
}


# The system.

sub path {
    my ($self, $path) = @_;

    return "$self->{root}$path";
}


# Runs a command there, returns what it said and how it ended.

sub inside {
    my ($self, @command) = @_;

    my $pid = open(my $output, '-|') // die "could not fork: $!\n";

    if ($pid == 0) {
        if ($self->{root}) {
            chroot $self->{root} or die "chroot: $!\n";
            chdir '/';
        }

        %ENV = %environment;
        open STDIN, '<', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        exec @command or die "$command[0]: $!\n";
    }

    my $said = do { local $/; <$output> } // '';
    close $output;

    return wantarray ? ($said, $?) : $said;
}


# As above, but for what has to end well.

sub must {
    my ($self, @command) = @_;

    my ($said, $status) = $self->inside(@command);

    die "@command: $said\n" if $status;

    return $said;
}


# Without an init that runs, invoke-rc.d refuses to start something.

sub service {
    my ($self, $action) = @_;

    return $self->must('service', 'nginx', $action);
}


# Installs the package of that version of the module, and others, whatever there
# is.

sub install {
    my ($self, $version, @others) = @_;

    my ($deb) = glob $self->path("/debs/$version/*.deb");

    $deb =~ s/^\Q$self->{root}\E//;

    return $self->must('apt-get', 'install', '--yes', '--allow-downgrades',
                       '--reinstall', $deb, @others);
}


# That which is to be written down before a call goes through.

sub prepare {
    my ($self) = @_;

    my $hosts = $self->path('/etc/hosts');

    write_file($hosts,
               without_host(slurp($hosts)) . "127.0.0.1 @{[ HOST ]}\n");

    write_file($self->path('/usr/local/share/ca-certificates/sandbox.crt'),
               $self->{ca});

    $self->must('update-ca-certificates');

    write_file($self->path(CREDENTIALS), CLIENT . " $self->{secret}\n", 0600);
}


# Ten lines of configuration, and what else is to be in the location.

sub configure {
    my ($self, $more) = @_;

    my $url = 'https://' . HOST . ":$self->{port}";

    $more //= '';

    write_file($self->path(CONF), <<"EOF");
server {
    listen 127.0.0.1:8080;
    location / {
        zertiban                       on;
        zertiban_token_endpoint        $url/idp/oauth2/token;
        zertiban_credentials_file      @{[ CREDENTIALS ]};
        zertiban_tenant_id             @{[ TENANT ]};
        proxy_pass                     $url;
        proxy_ssl_verify               on;
        proxy_ssl_trusted_certificate  /etc/ssl/certs/ca-certificates.crt;
        $more
    }
}
EOF
}


# The pid of the master process, or nothing.

sub master {
    my ($self) = @_;

    my ($pid) = slurp($self->path('/run/nginx.pid')) =~ /(\d+)/;

    return $pid && kill(0, $pid) ? $pid : undef;
}


# Lines of the error log that tell of a crash, or worse.

sub alarms {
    my ($self) = @_;

    return grep { /\[(?:alert|emerg)\]|exited on signal/ }
           split /^/, slurp($self->path('/var/log/nginx/error.log'));
}


# One call, returns its status.

sub call {
    my ($self) = @_;

    return curl('GET', URL)->();
}


# Starts a call; what is returned waits for its end, and returns its status.

sub curl {
    my ($method, $url, @arguments) = @_;

    my @command = ('curl', '--silent', '--noproxy', '*', '--max-time', 60,
                   '--request', $method, '--output', '/dev/null',
                   '--write-out', '%{http_code}', @arguments, $url);

    open my $output, '-|', @command or die "could not start curl: $!\n";

    return sub { do { local $/; <$output> } // '' };
}


# Starts a call with a body, which is not complete before what is returned is
# called; that returns the call's status.

sub start_call {
    my ($self) = @_;

    my ($address, $path) = URL =~ m{^http://(.*?)(/.*)$};

    my $socket = IO::Socket::INET->new($address)
        or die "could not connect to $address: $!\n";

    $socket->syswrite("GET $path HTTP/1.1\r\nHost: $address\r\n"
                      . "Connection: close\r\nContent-Length: 2\r\n\r\n1");

    return sub {
        $socket->syswrite('2');

        return (<$socket> // '') =~ /^HTTP\S+ (\d+)/ ? $1 : '';
    };
}


# Calls all the time, one after the other by each of two, and an upload that
# takes a while.

sub start_load {
    my ($self) = @_;

    my $pdf = "$self->{dir}/invoice.pdf";

    write_file($pdf, "%PDF-1.4\n" . 'x' x 400_000 . "\n%%EOF\n");

    $self->{before} = $self->journal('api');

    $self->{callers} = [map {
        my $file = "$self->{dir}/calls.$_";

        [$file, $self->{processes}->start($file, $^X,
                                          "$self->{checkout}/t/demo/load",
                                          URL)];
    } 1 .. CALLERS];

    $self->{upload} = curl('POST', URL . '/pagafactu', '--limit-rate', '100k',
                           '--form', "file=\@$pdf;type=application/pdf");

    $self->wait_for('calls', sub { $self->arrived() > CALLERS });
}


# How many calls have come to the API since then.

sub arrived {
    my ($self) = @_;

    return $self->journal('api') - $self->{before};
}


# Returns how many calls there were, and the statuses that are not as they
# should be.

sub end_load {
    my ($self) = @_;

    my $uploaded = $self->{upload}->();
    my @callers = @{ delete $self->{callers} };

    $self->{processes}->end($_->[1]) for @callers;

    my @statuses = map { split /\n/, slurp($_->[0]) } @callers;
    my @wrong = grep { $_ ne 200 } @statuses;

    push @wrong, "upload: $uploaded" if $uploaded ne 201;

    return (@statuses + 1, "@wrong");
}


sub wait_for {
    my ($self, $what, $check) = @_;

    for (1 .. TRIES) {
        return if $check->();
        sleep 0.05;
    }

    die "waited for $what in vain\n";
}


# Takes away what was written into the system.

sub clear {
    my ($self) = @_;

    my $hosts = $self->path('/etc/hosts');

    write_file($hosts, without_host(slurp($hosts)));

    unlink map { $self->path($_) }
        CONF, CREDENTIALS, '/usr/local/share/ca-certificates/sandbox.crt';

    $self->must('update-ca-certificates');
}


sub without_host {
    my ($hosts) = @_;

    return $hosts =~ s/^.* \Q${\HOST}\E\n//gmr;
}


sub write_file {
    my ($path, $content, $mode) = @_;

    open my $file, '>:raw', $path or die "could not write $path: $!\n";
    chmod $mode, $path if defined $mode;
    print $file $content;
    close $file or die "could not write $path: $!\n";
}


sub slurp {
    my ($path) = @_;

    open my $file, '<:raw', $path or return '';

    return do { local $/; <$file> } // '';
}


1;
