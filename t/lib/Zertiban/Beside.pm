package Zertiban::Beside;

# The modules that Debian has packages of, to be loaded beside this one.

use strict;
use warnings;

use Exporter qw(import);
use File::Temp;
use Test::More ();

use Zertiban::Nginx;

our @EXPORT = qw(beside $gate);

our @names = qw(auth-pam brotli-filter cache-purge echo geoip2
                headers-more-filter js lua);

# these take symbols from another one, which is to be loaded before them

our %needs = (lua => 'ndk');

# a gate, and where other modules may send a request from it

our $gate = <<'EOF';
        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id client-$arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant$arg_tenant;

        location / {
            proxy_pass http://%%API%%;
        }

        location /open/ {
            zertiban off;
            proxy_pass http://%%ELSEWHERE%%;
        }

        location @named {
            proxy_pass http://%%API%%;
        }

        location @open {
            zertiban off;
            proxy_pass http://%%ELSEWHERE%%;
        }

EOF

# dpkg is slow
my (%paths, $debian);


# The paths of modules for Zertiban::Nginx's load, with this one as "zertiban"
# and what they need. Debian's are made for Debian's nginx: a test file ends
# here, and says why, if another nginx does not take them.

sub beside {
    my (@order) = @_;

    my %loaded;
    my @paths = map { path($_) }
                grep { !$loaded{$_}++ }
                map { $needs{$_} // (), $_ } @order;

    return @paths if debian();

    my $refused = refused(grep { $_ ne Zertiban::Nginx::module() } @paths);

    Test::More::plan(skip_all => "this nginx is not Debian's: $refused")
        if $refused;

    return @paths;
}


sub path {
    my ($name) = @_;

    return Zertiban::Nginx::module() if $name eq 'zertiban';

    my $package = "libnginx-mod-http-$name";
    ($paths{$name}) = `dpkg-query -L $package 2>/dev/null` =~ m{^(/.*\.so)$}m
        if !$paths{$name};

    return $paths{$name} // die "$package is missing: run make test\n";
}


sub debian {
    my $binary = Zertiban::Nginx::binary();

    $debian //= system("dpkg-query -S '$binary' >/dev/null 2>&1") == 0;

    return $debian;
}


# what nginx says about modules that it cannot load

sub refused {
    my (@paths) = @_;

    my $dir = File::Temp->newdir();
    my $binary = Zertiban::Nginx::binary();

    open my $fh, '>', "$dir/nginx.conf" or die "nginx.conf: $!";
    print $fh 'pid nginx.pid;', (map { "load_module $_;\n" } @paths),
              'events { }';
    close $fh;

    my $said = `$binary -t -p $dir -c $dir/nginx.conf -e stderr 2>&1`;

    return if $? == 0;

    chomp $said;

    return $said;
}


1;
