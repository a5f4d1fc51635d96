package Zertiban::Metrics;

# What a gateway tells Prometheus, as numbers.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw(metrics changed);


# 'name{label="value",...}' => number, of the text exposition format; dies of
# what is none

sub metrics {
    my ($nginx, $uri, %o) = @_;

    my $response = $nginx->get($uri, %o);

    die "no metrics: $response->{status}" if $response->{status} != 200;

    my %value;

    for (split /\n/, $response->{body}) {
        next if /^# (?:HELP|TYPE) \S/;

        /^([a-z_]+(?:\{(?:[a-z_]+="(?:[^"\\]|\\.)*",?)+\})?) (\S+)$/
            or die "not a sample: $_";

        die "$1 comes twice" if exists $value{$1};

        $value{$1} = $2;
    }

    return \%value;
}


# "name 3, other 1": what differs, by how much, without the first part of names;
# only those that match

sub changed {
    my ($old, $new, $pattern) = @_;

    my %by = map { $_ => $new->{$_} - ($old->{$_} // 0) }
             grep { /$pattern/ } keys %$new;

    return join ', ', map { s/^zertiban_//r . " $by{$_}" }
                      sort grep { $by{$_} } keys %by;
}


1;
