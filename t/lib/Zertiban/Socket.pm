package Zertiban::Socket;

# Test::Nginx::Socket for this module: loads it, looks for alarm in the error
# log after each block and again after nginx has stopped, and chooses free
# ports and a directory of its own, so that tests can run side by side. The
# directory, build/servroot-..., stays if a test has failed.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(basename);
use File::Path qw(make_path remove_tree);
use File::Temp;
use Test::More ();

use Zertiban::Nginx;

my $pid = $$;

# live as long as the test, or the ports would be free for others
our ($reserved, $tmp);

BEGIN {
    $reserved = Zertiban::Nginx->new();

    $ENV{"TEST_NGINX_${_}_PORT"} //= $reserved->port($_)
        for qw(SERVER IDP API);

    $ENV{TEST_NGINX_LOAD_MODULES} = $reserved->module();
    $ENV{TEST_NGINX_SERVROOT} //= abs_path('.') . '/build/servroot';
    $ENV{TEST_NGINX_SERVROOT} .= '-' . basename($0, '.t') . "-$$";

    make_path($ENV{TEST_NGINX_SERVROOT}) if !$^C;

    # Test::Nginx leaves what its servers were sent in temporary files

    $tmp = File::Temp->newdir('zertiban-XXXXXX', TMPDIR => 1);
    $ENV{TMPDIR} = "$tmp";
}

# before Test::Nginx::Socket comes, so that this runs after nginx has stopped

END {
    remove_tree($ENV{TEST_NGINX_SERVROOT})
        if $$ == $pid && Test::More->builder->is_passing();
}

use Test::Nginx::Socket -Base;

our @EXPORT = qw(crlf secret_file);

my $alarm = join '|', '\[(?:alert|emerg)\]', 'exited on signal',
                      'exited with code [1-9]', 'Sanitizer',
                      'runtime error';

master_on();
log_level('info');

add_block_preprocessor(sub {
    my ($block) = @_;

    my $given = $block->no_error_log // [];

    $given = [split /\n+/, $given] if !ref $given;
    $given = [$given] if ref $given eq 'Regexp';

    $block->set_value(no_error_log => [@$given, qr/$alarm/]);
    $block->set_value(no_shutdown_error_log => [qr/$alarm/]);
});


# A filter for "--- tcp_query" and "--- tcp_reply": the text with line ends as
# HTTP has them, an empty line after the headers, no line end after the body.

sub crlf (@) {
    my ($text) = @_;

    $text =~ s/\$(TEST_NGINX_\w+)/$ENV{$1}/g;
    $text =~ s/\n\z//;
    $text .= "\n\n" if $text !~ /\n\n/;
    $text =~ s/\n/\r\n/g;

    return $text;
}


# For "--- post_setup_server_root": html/secret, for nobody else to read.

sub secret_file (@) {
    my ($bytes) = @_;

    my $path = server_root() . '/html/secret';

    open my $out, '>:raw', $path or die "$path: $!";
    print $out $bytes;
    close $out or die "$path: $!";

    chmod 0600, $path or die "$path: $!";
}


1;
