# Tests for docs/monitoring.md, and for what goes with it: the example runs, the
# access log is JSON, and alerts, dashboard and document speak of what there is.
# What Prometheus says to that is in t/monitor.

use strict;
use utf8;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(decode_json);
use List::Util qw(uniq);

use Zertiban::Monitoring;
use Zertiban::Test;

my $document = Zertiban::Monitoring::file('../monitoring.md');
my $example = Zertiban::Monitoring::file('../examples/monitoring.conf');


# the example beside a gateway

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();

$example =~ s/listen +\K127\.0\.0\.1:8081/127.0.0.1:%%PORT_status%%/
    or die 'the example listens elsewhere';

$t->run($example . <<'EOF', API => $api->address(), IDP => $idp->url());
    server {
        listen 127.0.0.1:%%PORT%%;
        access_log %%DIR%%/logs/access.json zertiban_json;

        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id gateway;
        zertiban_client_secret secret-of-gateway;
        zertiban_tenant_id tenant-$arg_tenant;

        location / {
            zertiban on;
            proxy_pass http://%%API%%;
        }

        location = /plain {
            return 200 plain;
        }
    }
EOF

my $log = "$t->{dir}/logs/access.json";


# the last line of the access log, as soon as there are n

sub logged {
    my ($n) = @_;

    my @lines;

    wait_until {
        @lines = split /^/, $t->read_file('logs/access.json');
        @lines == $n && $lines[-1] =~ /\n\z/;
    } or die 'the request is not logged';

    return decode_json($lines[-1]);
}


my ($sample) = $document =~ /^(\{"time":.*\})$/m;

$t->get('/pagafactu/v1/flows?state=open&tenant=one');

my $line = logged(1);

is(join(' ', sort keys %$line), join(' ', sort keys %{decode_json($sample)}),
   'a line of the log has what the document shows');
like(join(' ', @{$line}{qw(status token tenant error api_status)}),
     qr/^200 (?:wait|hit) tenant-one  200\z/,
     'and tells what became of the request');

$api->answer($api->text(401, 'no'));
$t->get('/%22%0a"\\\'&<');
is(logged(2)->{uri}, '/%22%0a"\\\'&<', 'whatever a client sends');
is(logged(2)->{api_status}, '401', 'and the API answers');
$api->answer();

$t->get('/plain');
is(join('', @{logged(3)}{qw(token tenant wait error)}), '',
   'also where there is no gate');

$t->get('/none?tenant=' . 'x' x 130);
is(join(' ', @{logged(4)}{qw(status token error tenant api)}),
   '400 error bad_tenant  ', 'and of a request that went nowhere');


# the locations

my %types = ('/status' => 'text/html; charset=utf-8',
             '/status/json' => 'application/json',
             '/status/metrics' => 'text/plain; version=0.0.4; charset=utf-8',
             '/status/ready' => 'text/plain');

for my $uri (sort keys %types) {
    my $response = $t->get($uri, port => 'status');

    is("$response->{status} " . join(' ', $response->header('Content-Type')),
       "200 $types{$uri}", "the example has $uri");
    like($document, qr{^\| `\Q$uri\E` \|}m, 'which the document knows');
}


# what scripts look for

my $status = decode_json($t->get('/status/json', port => 'status')->{body});
my $credential = $status->{credentials}[0];
my %members = map { $_ => 1 } map { keys %$_ } $status, $credential,
                                               $status->{configuration};

my ($scripts) = $document =~ /^## Scripts\n+```sh\n(.*?)^```/ms;
my @members = grep { !/^(?:error|reason)$/ } $scripts =~ /(?<!\d)\.([a-z_]+)/g;

cmp_ok(scalar @members, '>', 5, 'the scripts look at the status');
is(join(' ', grep { !$members{$_} } @members), '', 'which has all of that');


# metrics that are asked for

my $metrics = $t->get('/status/metrics', port => 'status')->{body};
my %there = map { $_ => 1 } $metrics =~ /^(\w+)/mg;
my @alerts = Zertiban::Monitoring::alerts();

cmp_ok(scalar @alerts, '>=', 10, 'there are alerts');

sub unknown {
    my ($text) = @_;

    # what is no metric are the job, the log's format, and directives
    return grep { !$there{$_} } grep { !/^zertiban_(?:json|status)$/ }
           Zertiban::Monitoring::metrics($text);
}


is(join(' ', map { unknown($_->[1]) } @alerts), '',
   'each metric of an alert exists');
is(join(' ', map { unknown($_) } Zertiban::Monitoring::panels()), '',
   'and of the dashboard');
is(join(' ', map { unknown($_) }
             Zertiban::Monitoring::file('zertiban.test.yml')), '',
   'and of the tests of the alerts');

my ($prometheus) = $document =~ /^## Prometheus\n(.*?)^## /ms;

is(join(' ', map { unknown($_) } $prometheus =~ /`(zertiban_\w+)`/g), '',
   'and of the document');

# which say what they look for by labels that exist

my %labels;

push @{$labels{$1}}, $2
    while $metrics =~ /^zertiban_\w+\{(?:.*,)?(\w+)="([^"]*)"\}/mg;

for my $alert (@alerts) {
    my ($name, $expr) = @$alert;

    while ($expr =~ /\b(result|action)=~?"([^"]*)"/g) {
        my ($label, $value) = ($1, $2);
        my @found = grep { /\A(?:$value)\z/ } @{$labels{$label}};

        ok(scalar @found, "$name: there is $label=\"$value\"");
    }
}


# each alert is documented, and tested both ways

my $tests = Zertiban::Monitoring::file('zertiban.test.yml');
my ($table) = $document =~ /^## Alerts\n(.*?)^## /ms;

is(join(' ', sort $table =~ /^\| `(\w+)` \|/mg),
   join(' ', sort map { $_->[0] } @alerts),
   'the document has each alert, and no other');

my %tested;

push @{$tested{$1}}, $2
    while $tests =~ /^ +alertname: (\w+)\n +exp_alerts:(.*)/mg;

for my $name (map { $_->[0] } @alerts) {
    my @ways = sort map { $_ eq ' []' ? 'silent' : 'fires' } @{$tested{$name}};

    is(join(' ', uniq @ways), 'fires silent',
       "$name is tested, also when it is not to fire");
}


# each has what those who are called need

my @rules = split /^ +- alert: /m,
            Zertiban::Monitoring::file('zertiban.rules.yml');

shift @rules;

for my $rule (@rules) {
    my ($name) = $rule =~ /\A(\w+)\n/;

    like($rule, qr/\n +severity: (?:critical|warning|info)\n/,
         "$name says how bad it is");
    like($rule, qr/\n +summary: \S/, 'and what');
}


# the dashboard

my $dashboard = Zertiban::Monitoring::dashboard();
my @panels = @{$dashboard->{panels}};

is(count_of(map { $_->{datasource}{uid} } @panels,
                map { @{$_->{targets}} } @panels),
   '${datasource}: ' . (@panels + map { @{$_->{targets}} } @panels),
   'each panel of the dashboard is of the data source that is chosen');
is(scalar(uniq map { $_->{id} } @panels), scalar @panels, 'each has an id');

my %taken;

for my $panel (@panels) {
    my ($x, $y, $w, $h) = @{$panel->{gridPos}}{qw(x y w h)};

    for my $row ($y .. $y + $h - 1) {
        $taken{"$row $_"}++ for $x .. $x + $w - 1;
    }
}

is(join(' ', grep { $taken{$_} > 1 } sort keys %taken), '',
   'and a place of its own');

$t->finish();

done_testing();
