package Bench::Values;

# What stands in the place of %%NAME%% in the configurations of all.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw(token %values);

our %values = (
    CLIENT   => '3f0c9e0a',
    SECRET   => 'c1b1f7de4a0f4ea6b0f5e0f3f8c2a9d4',
    TENANT   => '7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11',
    KEY      => '5b9d2f0c7a6e4183b1d0c95e8f7a2b64',
    TOKEN    => token(1200),
    ZONE     => '1m',
    LIFETIME => 86400,
    PADDING  => '',

    # the workers might not be allowed to get at their files otherwise
    USER     => $> == 0 ? 'user root;' : '',
);


# of so many bytes, as a JWT looks

sub token {
    my ($length) = @_;

    my $token = 'eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.';
    my $state = 1;

    while (length $token < $length) {
        $state = ($state * 1103515245 + 12345) & 0x7fffffff;
        $token .= ('A' .. 'Z', 'a' .. 'z', 0 .. 9)[($state >> 16) % 62];
    }

    return substr $token, 0, $length;
}


1;
