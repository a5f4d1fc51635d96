package Bench::Callgrind;

# Valgrind's callgrind around an nginx that runs as one process.

use strict;
use warnings;

use File::Path qw(make_path);
use Time::HiRes qw(sleep);

use Bench::Nginx;


# the files stay in build/bench/callgrind, for callgrind_annotate

sub new {
    my ($class, $name) = @_;

    my $dir = Bench::Nginx::root() . '/callgrind';

    make_path($dir);
    unlink glob "$dir/$name.out*";

    return bless { out => "$dir/$name.out" }, $class;
}


# code that is made at run time has to be noticed, wherever it is

sub command {
    my ($self) = @_;

    return ('valgrind', '-q', '--tool=callgrind', '--instr-atstart=no',
            "--callgrind-out-file=$self->{out}");
}


sub attach {
    my ($self, $nginx) = @_;

    $self->{nginx} = $nginx;
    $self->tell('instrumentation on');
}


sub begin {
    my ($self) = @_;

    $self->settle();
    $self->tell('zero');
}


sub end {
    my ($self) = @_;

    $self->settle();
    $self->tell('dump');

    return parse("$self->{out}.1");
}


# nginx still has something to do when a client has got its answer, and is done
# when it sleeps

sub settle {
    my ($self) = @_;

    for (1 .. 3) {
        $self->{nginx}->wait_until(sub {
            Bench::Nginx::read_file("/proc/$self->{nginx}{pid}/stat")
                =~ /\) S /;
        });

        sleep 0.05;
    }
}


sub tell {
    my ($self, $command) = @_;

    system("vgdb --pid=$self->{nginx}{pid} $command"
           . " >$self->{out}.vgdb 2>&1") == 0
        or die "vgdb: $command: "
               . Bench::Nginx::read_file("$self->{out}.vgdb");
}


# the instructions of each function, without those that it calls

sub parse {
    my ($file) = @_;

    my (%names, %functions, $function, $called, $total);

    open my $fh, '<', $file or die "$file: $!\n";

    while (defined(my $line = <$fh>)) {
        if ($line =~ /^(c?)fn=\((\d+)\)(?: (.*))?/) {
            $names{$2} = $3 if defined $3;
            $function = $names{$2} if !$1;

        } elsif ($line =~ /^calls=/) {
            # the next line is what the called function has cost
            <$fh>;

        } elsif ($line =~ /^[+*\d-]\S* (\d+)/) {
            $functions{$function} += $1;
            $total += $1;
        }
    }

    return { total => $total, functions => \%functions };
}


1;
