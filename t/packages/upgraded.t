# Tests for the Debian package: it is upgraded, also where nginx refuses its
# configuration or does not run, and removed, while calls go on.
#
# Environment: ZERTIBAN_ROOT, a root directory with packages in /debs/VERSION,
# and ZERTIBAN_VERSIONS, two of them: the older one is installed, and what
# installed.t has written is there.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use Test::More;

use Packages::Gateway;

my $gateway = Packages::Gateway->new();
my ($old, $new) = split / /, $ENV{ZERTIBAN_VERSIONS};
my $package = 'libnginx-mod-http-zertiban';
my $enabled = '/etc/nginx/modules-enabled';


# What was said while that was done, during which no call is to be lost.

sub under_load {
    my ($what, $do) = @_;

    $gateway->start_load();

    my $said = $do->();
    my ($calls, $wrong) = $gateway->end_load();

    is($wrong, '', "$what: no call is lost");
    is($gateway->arrived(), $calls, "$what: each came to the API once");

    return $said;
}


# Whether the master process of before is there.

sub upgrading {
    return -e $gateway->path('/run/nginx.pid.oldbin');
}


# The version of the module that serves when all upgrades have ended.

sub serves {
    $gateway->wait_for('the end of the upgrade', sub { !upgrading() });

    is($gateway->call(), 200, 'a call goes through');

    return ($gateway->versions())[-1];
}


$gateway->prepare();
$gateway->configure();
$gateway->service('reload');
$gateway->wait_for('the gateway', sub { $gateway->call() eq 200 });
is(serves(), $old, 'the old version serves');

my $master = $gateway->master();

under_load('upgrade', sub {
    my $said = $gateway->install($new);

    unlike($said, qr/^$package: /m, 'the package has nothing to say');
    isnt($gateway->master(), $master, 'another nginx takes over');
});

is(serves(), $new, 'the new version serves');


# nginx itself at the same time, which its own package upgrades

under_load('with nginx', sub { $gateway->install($old, 'nginx') });
is(serves(), $old, 'the old version serves');


# an upgrade before the last one has ended

$master = $gateway->master();

under_load('one upgrade after the other', sub {
    $gateway->install($old);
    $gateway->install($new);
});

is(serves(), $new, 'the new version serves');


# an upgrade while requests of the one before are in flight, which nginx does
# not notice

my $held = $gateway->start_call();

$gateway->install($old);

like($gateway->install($new), qr/^$package: nginx has not ended its last/m,
     'the package says that nginx is not ready for an upgrade');
is($held->(), 200, 'the request in flight is served');

$gateway->wait_for('the end of the upgrade', sub { !upgrading() });
$gateway->service('upgrade');
is(serves(), $new, 'the new version serves');


# what nginx refuses

$gateway->configure('nonsense on;');
$master = $gateway->master();

my $said = under_load('a wrong configuration', sub {
    $gateway->install($old);
});

like($said, qr/^$package: nginx refuses .*\n.*"nonsense"/m,
     'the package says that it is wrong');
is($gateway->master(), $master, 'nginx goes on');

$gateway->configure();

under_load('a configuration put right', sub { $gateway->service('upgrade') });
is(serves(), $old, 'the old version serves');


# a nginx that does not run

$gateway->service('stop');
$gateway->install($new);
is($gateway->master(), undef, 'nginx is not started');

$gateway->service('start');
is(serves(), $new, 'the new version serves');


# a nginx that its init script does not find

my $file = $gateway->path('/run/nginx.pid');

$master = $gateway->master();
rename $file, "$file.away" or die "rename: $!\n";

like($gateway->install($old), qr/^$package: the nginx with pid \d+, .*restart/m,
     'the package says that it goes on with the old module');

rename "$file.away", $file or die "rename: $!\n";

is($gateway->master(), $master, 'and so it does');
$gateway->service('upgrade');
is(serves(), $old, 'until it is upgraded');


# what was installed by hand before

my $by_hand = $gateway->path("$enabled/60-zertiban.conf");

Packages::Gateway::write_file($by_hand,
    "load_module modules/ngx_zertiban_module.so;\n");

$said = under_load('installed twice', sub { $gateway->install($new) });

like($said, qr{60-zertiban\.conf}, 'the package names the other one');

unlink $by_hand;
$gateway->service('upgrade');
is(serves(), $new, 'without the other one it serves');


# gone

my @files = grep { -f $gateway->path($_) }
            split /\n/, $gateway->must('dpkg', '-L', $package);

$said = under_load('removed', sub {
    $gateway->must('apt-get', 'remove', '--yes', $package);
});

like($said, qr/^$package: .*without the module/m,
     'the package says what to do');

$gateway->must('apt-get', 'purge', '--yes', $package);

my @left = (grep({ -e $gateway->path($_) } @files),
            $gateway->path("/usr/share/doc/$package"),
            glob $gateway->path("$enabled/*zertiban*"));

is("@{[ grep { -e || -l } @left ]}", '', 'nothing is left');
unlike($gateway->inside('dpkg', '-l', $package), qr/^[a-z]{2} /m,
       'dpkg knows nothing of it');

is($gateway->call(), 200, 'nginx goes on');

$gateway->clear();

is($gateway->must('nginx', '-t', '-q'), '',
   'nginx accepts a configuration without it');

$gateway->service('restart');
ok($gateway->master(), 'and starts');
is(join('', $gateway->alarms()), '', 'the error log has no alert');

done_testing();
