package Zertiban::Memory;

# What is in the memory of a process.

use strict;
use warnings;
no warnings qw(portable);    # addresses have 64 bits

use Exporter qw(import);

our @EXPORT_OK = qw(found);


# how often a text is in the memory that a process has for itself

sub found {
    my ($pid, $text) = @_;

    my $n = 0;

    open my $maps, '<', "/proc/$pid/maps" or die "maps: $!";
    open my $memory, '<:raw', "/proc/$pid/mem" or die "mem: $!";

    while (defined(my $line = <$maps>)) {
        my ($from, $to, $mode, $name)
            = $line =~ /^(\w+)-(\w+) (\S+) \S+ \S+ \d+\s*(.*)/ or next;

        my $size = hex($to) - hex $from;

        # a sanitizer's own memory is larger than that of the machine
        next if $mode !~ /^rw.p/ || $name =~ /^\[v/ || $size > 1 << 30;

        sysseek $memory, hex $from, 0;
        sysread $memory, my $bytes, $size or next;

        $n++ while $bytes =~ /\Q$text\E/g;
    }

    return $n;
}


1;
