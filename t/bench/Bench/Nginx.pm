package Bench::Nginx;

# One nginx of the benchmark, in a directory of its own below build/bench.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use IO::Socket::INET;
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);

my $conf = dirname(abs_path(__FILE__)) . '/../conf';

my @running;
my @reserved;


# new(name => '...', frame => a file of conf, values => { ... }): those are put
# in the place of %%NAME%% in all files of conf. under => [...] is a command
# that nginx is run with.

sub new {
    my ($class, %o) = @_;

    my $self = bless { under => [], values => {}, %o }, $class;

    $self->{dir} = root() . "/$self->{name}";
    $self->{values}{DIR} = $self->{dir};

    remove_tree($self->{dir});
    make_path($self->{dir});

    return $self;
}


sub root {
    return abs_path("$conf/../../..") . '/build/bench';
}


# a port below those that the system gives out by itself; a UDP socket keeps
# it from others that look for one in the same way

sub free_port {
    while (1) {
        my @address = (LocalHost => '127.0.0.1',
                       LocalPort => 10000 + int rand 20000);
        my $udp = IO::Socket::INET->new(@address, Proto => 'udp') or next;
        my $tcp = IO::Socket::INET->new(@address, Proto => 'tcp',
                                        Listen => 1) or next;

        push @reserved, $udp;

        return $tcp->sockport();
    }
}


sub configure {
    my ($self) = @_;

    my $values = $self->{values};

    for my $file (glob "$conf/*.conf $conf/*.lua $conf/*.js") {
        my $name = $file =~ s{.*/}{}r;
        my $text = read_file($file);

        $text =~ s/%%(\w+)%%/$values->{$1} \/\/ "%%$1%%"/ge;

        $self->write_file($name, $text);
    }
}


sub start {
    my ($self) = @_;

    $self->configure();

    my $dir = $self->{dir};

    $self->{pid} = fork() // die "fork: $!\n";

    if ($self->{pid} == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/stdout";
        open STDERR, '>', "$dir/stderr";
        exec @{$self->{under}}, $ENV{TEST_NGINX_BINARY}, '-p', $dir,
             '-c', "$dir/$self->{frame}.conf", '-e', "$dir/error.log"
            or POSIX::_exit(127);
    }

    push @running, $self;

    for my $port (@{$self->{ports}}) {
        $self->wait_until(sub {
            IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port");
        });
    }

    return $self;
}


# dies if nginx has ended meanwhile

sub wait_until {
    my ($self, $condition, $seconds) = @_;

    my $deadline = time() + ($seconds // 60);

    while (1) {
        my $result = $condition->();

        return $result if $result;

        $self->fail('has ended') if $self->ended();
        $self->fail('does not do what it should') if time() > $deadline;

        sleep 0.01;
    }
}


sub fail {
    my ($self, $what) = @_;

    die "nginx \"$self->{name}\" $what:\n"
        . $self->file('stderr') . $self->file('error.log');
}


sub ended {
    my ($self) = @_;

    return 1 if !$self->{pid};
    return 0 if waitpid($self->{pid}, WNOHANG) == 0;

    delete $self->{pid};
    @running = grep { $_ != $self } @running;

    return 1;
}


# the processes that serve: the workers, or the only one

sub workers {
    my ($self) = @_;

    open my $fh, '<', "/proc/$self->{pid}/task/$self->{pid}/children"
        or return $self->{pid};

    my @children = split ' ', <$fh> // '';

    return @children ? @children : $self->{pid};
}


sub stop {
    my ($self) = @_;

    my $pid = $self->{pid} or return;

    kill 'TERM', $pid;

    # it may end between two looks, and is gone then as well
    eval { $self->wait_until(sub { $self->ended() }, 20) };
    kill 'KILL', $self->workers(), $pid if $self->{pid};

    waitpid $pid, 0 if $self->{pid};
    @running = grep { $_ != $self } @running;
    delete $self->{pid};

    my @alarm = grep { /\[(?:alert|emerg|crit|error)\]/ }
                split /^/, $self->file('error.log');

    die "nginx \"$self->{name}\" says:\n@alarm" if @alarm;
}


sub file {
    my ($self, $name) = @_;

    return -e "$self->{dir}/$name" ? read_file("$self->{dir}/$name") : '';
}


sub read_file {
    my ($path) = @_;

    open my $fh, '<', $path or die "$path: $!\n";
    local $/;

    return scalar(<$fh>) // '';
}


sub write_file {
    my ($self, $name, $text) = @_;

    open my $fh, '>', "$self->{dir}/$name" or die "$name: $!\n";
    print $fh $text;
    close $fh or die "$name: $!\n";
}


END {
    my $status = $?;

    for my $nginx (@running) {
        kill 'KILL', $nginx->workers(), $nginx->{pid} if $nginx->{pid};
    }

    $? = $status;
}


1;
