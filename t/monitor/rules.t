# Tests for what promtool says of the status for Prometheus, and of the rules of
# docs/monitoring.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";

use Zertiban::Site;
use Zertiban::Test;

my $folder = "$FindBin::Bin/../../docs/monitoring";
my $site = Zertiban::Site->new();

$site->endpoint(good => 300, qw(good first second));
$site->location('/good', 'good', 'good');
$site->location('/any', 'good', '$arg_client');
$site->file_location('/pairs', 'good', qw(first second));

my $t = $site->run();

wait_until { $site->status('/good') == 200 } or die 'there is no token';

# what promtool says, and its status

sub promtool {
    my ($input, @arguments) = @_;

    my $file = $t->write_file('input', $input);
    my $said = `promtool @arguments <$file 2>&1`;

    return ($said, $? >> 8);
}


my $response = $t->get('/status/metrics');
my ($said, $status) = promtool($response->{body}, qw(check metrics));

is($said, '', 'promtool finds nothing in the metrics');
is($status, 0, 'and is content');

# which it would

($said, $status) = promtool($response->{body} =~ s/^# HELP .*\n//mr,
                            qw(check metrics));
like($said, qr/no help text/, 'it does look');

($said, $status) = promtool('', 'check', 'rules',
                            "$folder/zertiban.rules.yml");
like($said, qr/SUCCESS: \d+ rules found/, 'rules are right');
is($status, 0, 'all of them');

($said, $status) = promtool('', 'test', 'rules', "$folder/zertiban.test.yml");
like($said, qr/SUCCESS/, 'and do what they should');
is($status, 0, 'in all cases') or diag($said);

$t->finish();

done_testing();
