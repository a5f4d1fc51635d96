package Demo::Processes;

# Processes that the demo starts, stopped by their ids in reverse order, however
# the demo ends.

use strict;
use warnings;

use POSIX qw(WNOHANG _exit);
use Time::HiRes qw(sleep time);

sub new {
    my ($class) = @_;

    for my $signal (qw(INT TERM HUP)) {
        $SIG{$signal} = sub { die "interrupted\n" };
    }

    return bless { owner => $$, pids => [] }, $class;
}

# Starts a command with its output in a file.

sub start {
    my ($self, $output, @command) = @_;

    my $pid = fork // die "could not fork: $!\n";

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);

        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $output;
        open STDERR, '>&', \*STDOUT;

        { no warnings 'exec'; exec @command }

        print STDERR "could not start $command[0]: $!\n";
        _exit(127);
    }

    push @{ $self->{pids} }, $pid;

    return $pid;
}

# Waits until the check returns something true, and returns that.

sub wait_for {
    my ($self, $pid, $what, $check) = @_;

    my $end = time + 15;

    while (time < $end) {
        my $result = $check->();

        return $result if $result;
        die "$what did not start\n" if $self->ended($pid);

        sleep 0.05;
    }

    die "$what did not start in time\n";
}

sub ended {
    my ($self, $pid) = @_;

    return 0 if waitpid($pid, WNOHANG) == 0;

    @{ $self->{pids} } = grep { $_ != $pid } @{ $self->{pids} };

    return 1;
}

sub stop {
    my ($self) = @_;

    return if $$ != $self->{owner};

    local $SIG{INT}  = 'IGNORE';
    local $SIG{TERM} = 'IGNORE';
    local $SIG{HUP}  = 'IGNORE';

    $self->end($_) for reverse @{ $self->{pids} };

    $self->{pids} = [];
}

# Terminates one of them, and kills it if it does not end.

sub end {
    my ($self, $pid) = @_;

    kill TERM => $pid;

    my $end = time + 5;
    my $gone;

    until ($gone = waitpid($pid, WNOHANG)) {
        last if time > $end;
        sleep 0.02;
    }

    if (!$gone) {
        kill KILL => $pid;
        waitpid $pid, 0;
    }

    @{ $self->{pids} } = grep { $_ != $pid } @{ $self->{pids} };
}

sub DESTROY {
    my ($self) = @_;

    local ($?, $@);

    $self->stop;
}

1;
