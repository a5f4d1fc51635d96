# Tests for the Debian package: it is installed, ten lines of configuration are
# written, a call goes through.
#
# Environment: ZERTIBAN_ROOT, a root directory with the package in
# /debs/VERSION, and ZERTIBAN_VERSIONS, which begins with that VERSION.  Without
# both, the package is installed already, and the system is this one.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use Test::More;

use Packages::Gateway;

my $gateway = Packages::Gateway->new();
my ($version) = split / /, $ENV{ZERTIBAN_VERSIONS} // '';

if ($version) {
    my $said = $gateway->install($version);

    unlike($said, qr/^libnginx-mod-http-zertiban: /m,
           'the package has nothing to say as it is installed');
}

like($gateway->must('nginx', '-T'),
     qr{^load_module modules/ngx_zertiban_module\.so;$}m,
     'the module is enabled, and accepted');

$gateway->service('start') if !$gateway->master();

$gateway->prepare();
$gateway->configure();

is($gateway->must('nginx', '-t', '-q'), '',
   'nginx has nothing to say of ten lines of configuration');

$gateway->service('reload');
$gateway->wait_for('the gateway', sub { $gateway->call() eq 200 });

is(scalar $gateway->journal('token'), 1, 'calls go through, with one token');
is(join('', $gateway->alarms()), '', 'the error log has no alert');

if (!$version) {
    $gateway->clear();
    $gateway->service('reload');
}

done_testing();
