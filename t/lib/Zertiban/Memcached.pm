package Zertiban::Memcached;

# A memcached that has everything but "none".

use strict;
use warnings;

use parent -norequire, qw(Zertiban::Server);

use Zertiban::Server;


sub received {
    my ($self, $stream) = @_;

    while ($stream->{in} =~ s/^get (\S+)\r\n//) {
        $stream->write($1 eq 'none' ? "END\r\n"
                       : "VALUE $1 0 6\r\nvalue\n\r\nEND\r\n");
    }
}


1;
