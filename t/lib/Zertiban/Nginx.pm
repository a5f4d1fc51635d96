package Zertiban::Nginx;

# One nginx with the module, in a directory of its own.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Temp;
use IO::Socket::IP;
use POSIX qw(WNOHANG);
use Test::More;

use Zertiban::Client;
use Zertiban::Loop qw(wait_until now);
use Zertiban::Secrets;

my @running;


# new(workers => n, main => '...'); daemon => 'on' is what an upgrade needs;
# load => [...] are the modules to load, if it is not this one alone;
# env => { ... } is added to nginx's environment

sub new {
    my ($class, %o) = @_;

    my $dir = File::Temp->newdir('zertiban-XXXXXX', TMPDIR => 1,
                                 CLEANUP => !$ENV{TEST_ZERTIBAN_KEEP});

    mkdir "$dir/logs";

    return bless { workers => 1, connections => 4096, daemon => 'off',
                   main => '', env => {}, dir => $dir, ports => {}, %o },
                 $class;
}


sub dir {
    my ($self) = @_;

    return "$self->{dir}";
}


sub write_file {
    my ($self, $name, $content) = @_;

    open my $fh, '>', "$self->{dir}/$name" or die "$name: $!";
    print $fh $content;
    close $fh;

    return "$self->{dir}/$name";
}


sub read_file {
    my ($self, $name) = @_;

    open my $fh, '<', "$self->{dir}/$name" or return '';
    local $/;

    return scalar(<$fh>) // '';
}


# %%NAME%% stands for a value of the hash, %%DIR%%, or a free port:
# %%PORT%%, %%PORT_x%%

sub config {
    my ($self, $http, %values) = @_;

    $self->{values} = { %{$self->{values} || {}}, %values,
                        DIR => $self->dir() };

    my $text = <<'EOT' . $http . "}\n";
daemon %%DAEMON%%;
%%USER%%
worker_processes %%WORKERS%%;
pid %%DIR%%/nginx.pid;
lock_file %%DIR%%/nginx.lock;
error_log %%DIR%%/logs/error.log %%LEVEL%%;
%%LOAD%%
env ASAN_OPTIONS;
env LSAN_OPTIONS;
env UBSAN_OPTIONS;
%%MAIN%%

events {
    worker_connections %%CONNECTIONS%%;
}

http {
    log_format zertiban '$request_uri status=$status pid=$pid'
                        ' cache=$zertiban_cache error=$zertiban_error'
                        ' tenant=$zertiban_tenant_id'
                        ' upstream=$upstream_status';
    access_log %%DIR%%/logs/access.log zertiban;

    client_body_temp_path %%DIR%%/client_body;
    proxy_temp_path %%DIR%%/proxy;
    fastcgi_temp_path %%DIR%%/fastcgi;
    uwsgi_temp_path %%DIR%%/uwsgi;
    scgi_temp_path %%DIR%%/scgi;

EOT

    $text =~ s/%%MAIN%%/$self->{main}/;
    $text =~ s/%%(\w+)%%/$self->value($1)/ge;

    secret($text =~ /zertiban_client_secret\s+([^\s;\$]+);/g);

    $self->write_file('nginx.conf', $text);

    return $self;
}


sub value {
    my ($self, $name) = @_;

    return $self->{values}{$name} if defined $self->{values}{$name};

    return $self->port($1 // '') if $name =~ /^PORT(?:_(\w+))?$/;
    return user() if $name eq 'USER';
    return $self->{workers} if $name eq 'WORKERS';
    return $self->{connections} if $name eq 'CONNECTIONS';
    return $self->{daemon} if $name eq 'DAEMON';
    return $ENV{TEST_NGINX_LOG_LEVEL} || 'info' if $name eq 'LEVEL';
    return $self->load() if $name eq 'LOAD';

    die "no value for %%$name%%";
}


# the user that nginx was built for may not be there

sub user {
    return $> == 0 ? 'user root;' : '';
}


# the directives that load what load => [...] names, or the module alone, or
# another file in its place, as MODULE

sub load {
    my ($self) = @_;

    return join "\n", map { load_module($_) }
                      @{$self->{load} || [$self->{values}{MODULE}]};
}


# empty if it is built in, which an empty TEST_ZERTIBAN_MODULE says

sub module {
    my $path = $ENV{TEST_ZERTIBAN_MODULE}
               // 'build/ngx_zertiban_module.so';

    return '' if $path eq '';
    return abs_path($path) || die "no module at $path: run make";
}


# the directive that loads it, or the one at another path

sub load_module {
    my ($path) = @_;

    $path //= module();

    return $path eq '' ? '' : "load_module $path;";
}


# an upgrade takes the whole path

sub binary {
    my $name = $ENV{TEST_NGINX_BINARY} || 'nginx';

    return abs_path($name) if $name =~ m{/};

    my ($path) = grep { -x } map { "$_/$name" }
                 split(/:/, $ENV{PATH}), qw(/usr/sbin /usr/local/sbin);

    return $path || die "no $name in PATH";
}


# 1022001 is 1.22.1; what is made from nginx tells its version, too

sub version {
    my ($version) = says() =~ m{^nginx version: \w+/([\d.]+)}m;

    return sprintf '%d%03d%03d', split /\./, $version;
}


# whether it has been configured --with what is named

sub has {
    my ($option) = @_;

    return says() =~ / --with-\Q$option\E(?!\S)/;
}


# once for a test file

my $says;


sub says {
    my $binary = binary();

    return $says //= `$binary -V 2>&1`;
}


# a port below those that the system gives out by itself; a UDP socket
# keeps it from other test files that run at the same time, or a TCP socket the
# ports for QUIC, whose names begin so

sub port {
    my ($self, $name) = @_;

    until ($self->{ports}{$name // ''}) {
        my @address = (LocalHost => '127.0.0.1',
                       LocalPort => 10000 + int rand 20000);
        my $udp = IO::Socket::IP->new(@address, Proto => 'udp') or next;
        my $tcp = IO::Socket::IP->new(@address, Proto => 'tcp',
                                      Listen => 1) or next;

        $self->{ports}{$name // ''} = $tcp->sockport();
        push @{$self->{reserved}}, ($name // '') =~ /^quic/ ? $tcp : $udp;
    }

    return $self->{ports}{$name // ''};
}


sub run {
    my ($self, @config) = @_;

    $self->config(@config) if @config;

    my $binary = binary();
    my $dir = $self->dir();

    $self->{pid} = fork() // die "fork: $!";

    if ($self->{pid} == 0) {
        %ENV = (%ENV, %{$self->{env}});
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', '/dev/null';
        open STDERR, '>>', "$dir/stderr";
        exec $binary, '-p', $dir, '-c', "$dir/nginx.conf",
             '-e', "$dir/logs/error.log" or POSIX::_exit(127);
    }

    push @running, $self;

    if ($self->{daemon} eq 'on') {
        waitpid $self->{pid}, 0;
        $self->{pid} = $? == 0 && wait_until {
            ($self->read_file('nginx.pid') =~ /(\d+)/)[0]
        };
    }

    wait_until { $self->ended() || $self->workers() == $self->{workers} };

    return $self if !$self->ended()
                    && $self->workers() == $self->{workers};

    die "nginx has not started:\n" . $self->read_file('stderr')
        . $self->error_log();
}


sub ended {
    my ($self) = @_;

    my $pid = $self->{pid} or return 1;
    my $ended = waitpid($pid, WNOHANG);

    # after an upgrade it is no child of this process
    return 0 if $ended == 0 || $ended < 0 && !$self->gone($pid);

    $self->{status} = $ended == $pid ? $? : 0;
    delete $self->{pid};
    @running = grep { $_ != $self } @running;

    return 1;
}


# the pids of the processes that say that they are workers, in any state

sub processes {
    my ($self) = @_;

    my $pid = $self->{pid} or return;

    open my $fh, '<', "/proc/$pid/task/$pid/children" or return;

    return grep { $self->title($_) =~ /^\w+: worker process/ }
           split ' ', <$fh> // '';
}


# empty if the process has ended; under valgrind only the log has it

sub title {
    my ($self, $pid) = @_;

    open my $fh, '<', "/proc/$pid/cmdline" or return '';

    my $title = <$fh> // '';

    return $title if $title !~ m{/valgrind};

    my $log = $self->read_file('logs/error.log');

    return $title if $log !~ / start (.*process) $pid$/m;
    return "nginx: $1" . ($log =~ / $pid#\d+: gracefully shutting down$/m
                          ? ' is shutting down' : '');
}


# whether a process has ended: until it has, it may have no title any more, and
# is still the parent of its children, and holds its sockets

sub gone {
    my ($self, $pid) = @_;

    open my $fh, '<', "/proc/$pid/stat" or return 1;

    my ($state) = (<$fh> // '') =~ /\) ([A-Za-z]) /;

    return ($state // 'Z') =~ /[ZX]/;
}


# those that accept connections

sub workers {
    my ($self) = @_;

    # one that leaves may have no title by now
    return grep { $self->title($_) =~ /process(?! is shutting down)/ }
           $self->processes();
}


# the workers at the other ends of some streams: a port alone may be that of
# another connection, which goes elsewhere, as well

sub workers_of {
    my ($self, @streams) = @_;

    my @ends = map { $_->{fh}->peerport() . ' ' . $_->{fh}->sockport() }
               @streams;
    my %workers;

    wait_until { %workers = $self->find_workers(); !grep { !$workers{$_} }
                                                       @ends };

    return map { $workers{$_} } @ends;
}


# the machine's sockets that processes hold: the name in /proc/PID/fd, the
# state, the local and the remote port

sub tcp_sockets {
    open my $fh, '<', '/proc/net/tcp' or die "/proc/net/tcp: $!";

    return map {
        /:(\w{4}) \w+:(\w{4}) (\w\w) (?:\S+ +){5}([1-9]\d*) /
            ? ["socket:[$4]", $3, hex $1, hex $2] : ()
    } <$fh>;
}


# by the ports of all connections at once, their own and the other one, since
# there may be thousands of old ones

sub find_workers {
    my ($self) = @_;

    my (%ends, %workers);

    for (tcp_sockets()) {
        my ($socket, $state, @ports) = @$_;
        $ends{$socket} = "@ports" if $state ne '0A';
    }

    for my $pid ($self->processes()) {
        for my $socket (map { readlink($_) // () } glob "/proc/$pid/fd/*") {
            $workers{$ends{$socket}} = $pid if $ends{$socket};
        }
    }

    return %workers;
}


# n connections to each of the workers that accept

sub connect_workers {
    my ($self, $n) = @_;

    my %missing = map { $_ => $n } $self->workers();
    my (@chosen, $rounds);

    while (grep { $_ > 0 } values %missing) {
        die 'a worker gets no connection' if ++$rounds > 50;

        my @clients = map { Zertiban::Client->new($self->port()) } 1 .. 20;
        my @workers = $self->workers_of(map { $_->{stream} } @clients);

        for my $client (@clients) {
            $client->{worker} = shift @workers;

            if (($missing{$client->{worker}} // 0) > 0) {
                $missing{$client->{worker}}--;
                push @chosen, $client;

            } else {
                $client->leave();
            }
        }
    }

    return @chosen;
}


sub sockets {
    my ($self) = @_;

    return scalar grep { (readlink($_) // '') =~ /^socket:/ }
           map { glob "/proc/$_/fd/*" } $self->processes();
}


# whether one of these processes can still be given a new connection: what
# a worker is called says that it is about to close its listening sockets

sub listens {
    my ($self, @pids) = @_;

    my %listening = map { $_->[0] => 1 } grep { $_->[1] eq '0A' }
                    tcp_sockets();

    return scalar grep { $listening{readlink($_) // ''} }
           map { glob "/proc/$_/fd/*" } @pids;
}


# returns as soon as only the new workers accept connections

sub reload {
    my ($self, @config) = @_;

    my %old = map { $_ => 1 } $self->processes();

    $self->config(@config) if @config;
    kill 'HUP', $self->{pid};

    wait_until {
        my @workers = $self->workers();
        @workers == $self->{workers} && !grep { $old{$_} } @workers
            and !$self->listens(keys %old);
    } or die "nginx has not reloaded:\n" . $self->error_log();
}


# returns as soon as only the workers of the new master process accept
# connections; the old one quits

sub upgrade {
    my ($self) = @_;

    my $old = $self->{pid};
    my @old = $self->processes();

    kill 'USR2', $old;

    wait_until {
        ($self->{pid}) = $self->read_file('nginx.pid') =~ /\d+/g;
        ($self->{pid} // $old) != $old
            && $self->workers() == $self->{workers};
    } or die "nginx has not been upgraded:\n" . $self->error_log();

    kill 'QUIT', $old;

    wait_until { !$self->listens(@old) }
        or die "old workers accept:\n" . $self->error_log();
}


sub kill_worker {
    my ($self, $pid) = @_;

    kill 'KILL', $pid;
    wait_until { $self->gone($pid) };
}


# without the debug messages, some of which have more than one line

sub error_log {
    my ($self, $pattern) = @_;

    my @lines = grep { !/\A\S+ \S+ \[debug\]/ }
                split m{^(?=\d{4}/\d\d/\d\d )}m,
                $self->read_file('logs/error.log');
    @lines = grep { $_ =~ $pattern } @lines if $pattern;

    return wantarray ? @lines : join '', @lines;
}


# the fields of the access log's line for a request, which comes a little
# after the response

sub logged {
    my ($self, $uri) = @_;

    my %fields;

    wait_until {
        my ($line) = reverse grep { /^\Q$uri\E / }
                     split /^/, $self->read_file('logs/access.log');
        %fields = $line =~ /(\w+)=(\S*)/g if $line;
    };

    $_ eq '-' and $_ = '' for values %fields;

    return \%fields;
}


# a request in flight

sub start {
    my ($self, $method, $uri, %o) = @_;

    my $body = $o{body} // '';
    my @length = $body ne '' ? ('Content-Length: ' . length $body) : ();

    return Zertiban::Client->new($self->port($o{port}))->send(
        join "\r\n", "$method $uri HTTP/1." . ($o{minor} // 1),
        'Host: localhost', 'Connection: ' . ($o{connection} // 'close'),
        @length, @{$o{headers} || []}, '', $body);
}


sub get {
    my ($self, $uri, %o) = @_;

    return $self->start('GET', $uri, %o)->response($o{seconds});
}


# returns as soon as all that has come to the only worker before was seen: a
# new connection comes after that, and some turns of the event loop pass

sub barrier {
    my ($self, $uri, %o) = @_;

    $self->get($uri // '/barrier?client=barrier', %o) for 1 .. 3;
}


sub stop {
    my ($self, $signal) = @_;

    return if !$self->{pid};

    kill $signal // 'QUIT', $self->{pid};

    return 1 if wait_until { $self->ended() } 15;

    my $pid = $self->{pid};
    kill 'KILL', $self->processes(), $pid;
    wait_until { $self->ended() } 5;

    return 0;
}


# stops nginx, and checks what each test file promises; allow => what the
# error log may hold

sub finish {
    my ($self, %o) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    Zertiban::Client::leave_all();

    ok($self->stop() && ($self->{status} // 1) == 0, 'nginx ended by itself')
        if $self->{pid};

    my $wrong = qr/\[(?:alert|emerg)\]|Sanitizer|runtime[ ]error
                   |exited[ ](?:on[ ]signal|with[ ]code[ ][1-9])/x;

    my $output = $self->error_log() . $self->read_file('stderr');

    # a report may come right behind a debug message
    my @wrong = grep { $_ =~ $wrong && !($o{allow} && $_ =~ $o{allow}) }
                grep { !/\A\S+ \S+ \[debug\]/ }
                map { split /^/, $self->read_file($_) }
                qw(logs/error.log stderr);

    is(join('', @wrong), '', 'no alert, no crash');

    my @leaks = secrets_in($output . join '', map { $self->read_file($_) }
                           map { 'logs/' . s/.*\///r }
                           glob "$self->{dir}/logs/access*");

    is("@leaks", '', 'no token and no secret in a log');
    is("@Zertiban::Client::leaks", '', 'no token in a response');
}


END {
    my $status = $?;

    my @left = @running;

    for my $nginx (grep { $_->{pid} } @left) {
        kill 'TERM', $nginx->{pid};
        wait_until { $nginx->ended() } 5
            or kill 'KILL', $nginx->processes(), $nginx->{pid};
    }

    $? = $status;
}


1;
