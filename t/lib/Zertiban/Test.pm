package Zertiban::Test;

# Everything that a test file of several processes needs.

use strict;
use warnings;

use Exporter qw(import);
use File::Temp;
use POSIX qw(ceil WNOHANG);
use Test::More;

use Zertiban::API;
use Zertiban::Client;
use Zertiban::IdP;
use Zertiban::Loop qw(now wait_until);
use Zertiban::Nginx;

our @EXPORT = (qw(now wait_until count_of gaps_between comes_again curl
                  start_curl curl_output),
               @Test::More::EXPORT);


# [1, 1, 2] is "1: 2, 2: 1"

sub count_of {
    my (@values) = @_;

    my %n;
    $n{$_ // ''}++ for @values;

    return join ', ', map { "$_: $n{$_}" } sort keys %n;
}


# seconds from each line of an error log to the next one

sub gaps_between {
    my (@lines) = @_;

    my @times = map { m{^\S+ (\d+):(\d+):(\d+) }
                      ? $1 * 3600 + $2 * 60 + $3 : () } @lines;

    return map { ($times[$_] - $times[$_ - 1]) % 86400 } 1 .. $#times;
}


# whether the Retry-After of a request, with start and end, tells a moment that
# is between two: in whole seconds, rounded up, by a clock of milliseconds

sub comes_again {
    my ($request, $from, $to) = @_;

    my $after = $request->{retry_after} // 0;

    return $after >= ceil($from - $request->{end} - 0.01)
           && $after <= ceil($to - $request->{start} + 0.01);
}


# a curl in the background; its output comes from curl_output($pid), after
# at most so many seconds

my %output;


sub start_curl {
    my (@arguments) = @_;

    my $file = File::Temp->new();
    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$file";
        exec 'curl', '-sS', '--noproxy', '*', @arguments
            or POSIX::_exit(127);
    }

    $output{$pid} = $file;

    return $pid;
}


sub curl_output {
    my ($pid, $seconds) = @_;

    wait_until { waitpid($pid, WNOHANG) != 0 } $seconds;

    my $file = delete $output{$pid};
    local $/;

    return scalar(<$file>) // '';
}


sub curl {
    return curl_output(start_curl(@_));
}


1;
