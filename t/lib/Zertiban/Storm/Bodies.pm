package Zertiban::Storm::Bodies;

# The bodies of all calls, made once.

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);

my %sizes = (
    none   => [0],
    small  => [1, 17, 300, 1500, 9000],
    medium => [20_000, 70_000, 200_000],
    large  => [8_000_000],
);

my %bodies;


# one of a kind, in no need of more than its own numbers

sub body {
    my ($kind, $dice, $largest) = @_;

    my @fit = grep { $_ <= ($largest // $_) } @{$sizes{$kind}};
    my $size = $dice->one(@fit ? @fit : 1);

    return $bodies{$size} //= make($size);
}


sub make {
    my ($size) = @_;

    my $bytes = '';

    $bytes .= pack 'n*', map { ($_ * 40503 + length $bytes) & 0xffff }
                         1 .. 5000 while length $bytes < $size && $size;

    $bytes = substr $bytes, 0, $size;

    return { bytes => $bytes, size => $size, digest => md5_hex($bytes) };
}


# as chunks of this size

sub chunks {
    my ($bytes, $size) = @_;

    return map { sprintf "%x;of=it\r\n%s\r\n", length, $_ }
           unpack "(a$size)*", $bytes;
}


1;
