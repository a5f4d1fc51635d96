package Bench::Machine;

# What was measured, and where.

use strict;
use warnings;

use POSIX qw(strftime);

use Bench::Nginx;
use Bench::Throughput;


sub describe {
    my ($cpu) = Bench::Nginx::read_file('/proc/cpuinfo')
                =~ /^model name\s*:\s*(.*)$/m;
    my ($nginx) = Bench::Throughput::output('sh', '-c',
                      "$ENV{TEST_NGINX_BINARY} -v 2>&1") =~ m{(nginx/\S+)};

    return {
        date       => strftime('%Y-%m-%d', gmtime),
        cpu        => $cpu // 'a processor without a name',
        processors => Bench::Throughput::processors(),
        kernel     => (POSIX::uname())[2] =~ s/-.*//r,
        debian     => Bench::Nginx::read_file('/etc/debian_version')
                      =~ s/\s+$//r,
        nginx      => $nginx,
        commit     => commit(),
        packages   => { map { $_ => version($_) }
                        qw(libnginx-mod-http-lua libnginx-mod-http-js
                           valgrind wrk) },
    };
}


# of the module; "+" if it has been changed since

sub commit {
    my $root = Bench::Nginx::root() . '/../..';
    my $git = "git -C '$root' 2>/dev/null";

    my $commit = `$git rev-parse --short HEAD` =~ s/\s+$//r;
    my $changes = `$git status --porcelain ngx_zertiban_module`;

    return $commit . ($changes ne '' ? '+' : '');
}


sub version {
    my ($package) = @_;

    my $version = Bench::Throughput::output('dpkg-query', '-W', '-f',
                                            '${Version}', $package);

    return $version =~ s/^\d+://r;
}


1;
