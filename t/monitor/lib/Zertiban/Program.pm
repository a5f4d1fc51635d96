package Zertiban::Program;

# A program of others that runs beside the test, and ends with it.

use strict;
use warnings;

use POSIX qw(WNOHANG);

use Zertiban::Loop qw(wait_until);

my @running;


# start($log, $in_child, @command): its output goes to the file; $in_child is
# called before the command, in its process

sub start {
    my ($class, $log, $in_child, @command) = @_;

    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $log;
        open STDERR, '>>', $log;
        $in_child->() if $in_child;
        exec @command or POSIX::_exit(127);
    }

    my $self = bless { pid => $pid, log => $log, name => $command[0] },
                     $class;

    push @running, $self;

    return $self;
}


sub ended {
    my ($self) = @_;

    return 1 if !$self->{pid};
    return 0 if waitpid($self->{pid}, WNOHANG) == 0;

    delete $self->{pid};
    @running = grep { $_ != $self } @running;

    return 1;
}


sub said {
    my ($self) = @_;

    open my $fh, '<', $self->{log} or return '';
    local $/;

    return scalar(<$fh>) // '';
}


# waits until the condition holds, and dies if the program does before

sub wait_for {
    my ($self, $what, $seconds, $condition) = @_;

    return if wait_until { $self->ended() || $condition->() } $seconds
              and $self->{pid};

    die "$self->{name}: $what\n" . $self->said();
}


sub stop {
    my ($self) = @_;

    my $pid = $self->{pid} or return;

    kill 'TERM', $pid;
    wait_until { $self->ended() } 10 and return;

    kill 'KILL', $pid;
    wait_until { $self->ended() } 5;
}


END {
    my $status = $?;

    $_->stop() for my @left = @running;
    $? = $status;
}


1;
