package Zertiban::Traffic;

# Requests to one nginx at regular moments, and what became of each.

use strict;
use warnings;

use Zertiban::Loop qw(now after wait_until);


sub new {
    my ($class, $nginx) = @_;

    return bless { nginx => $nginx, sent => [], number => 0 }, $class;
}


# n requests at once, each with a number in its URI

sub send {
    my ($self, $path, $n) = @_;

    for (1 .. $n // 1) {
        my $uri = $path . ($path =~ /\?/ ? '&' : '?')
                  . 'n=' . ++$self->{number};

        push @{$self->{sent}}, {
            path => $path, uri => $uri, start => now(),
            client => $self->{nginx}->start('GET', $uri),
        };
    }
}


# the same again and again, until finish()

sub every {
    my ($self, $seconds, $path, $n) = @_;

    return if $self->{finished};

    $self->send($path, $n) if !$self->{paused};
    after($seconds, sub { $self->every($seconds, $path, $n) });
}


# none is in flight, until resume()

sub pause {
    my ($self) = @_;

    $self->{paused} = 1;

    wait_until { !grep { !$_->{client}->done() } @{$self->{sent}} }
        or die 'not all requests have ended';
}


sub resume {
    my ($self) = @_;

    $self->{paused} = 0;
}


# no more are sent

sub stop {
    my ($self) = @_;

    $self->{finished} = 1;
}


# returns as soon as all requests have ended and are logged; one whose worker
# was killed has no status, and no line in the log

sub finish {
    my ($self) = @_;

    my (%logged, %fields);

    $self->stop();

    for my $request (@{$self->{sent}}) {
        my $response = (delete $request->{client})->response();

        @{$request}{qw(status end)} = @{$response}{qw(status time)};
        ($request->{retry_after}) = $response->header('Retry-After');
    }

    wait_until {
        %logged = map { /^(\S+) (.*)/ }
                  split /^/, $self->{nginx}->read_file('logs/access.log');
        !grep { $_->{status} && !$logged{$_->{uri}} } @{$self->{sent}};
    } or die 'not all requests are logged';

    for my $request (@{$self->{sent}}) {
        %fields = ($logged{$request->{uri}} // '') =~ /(\w+)=(\S*)/g;
        @{$request}{qw(pid cache error)} = @fields{qw(pid cache error)};
    }
}


# in the order of their starts: path, uri, start, end, status, retry_after,
# pid, cache, error; to one path, or all

sub requests {
    my ($self, $path) = @_;

    return grep { !defined $path || $_->{path} eq $path } @{$self->{sent}};
}


1;
