# Tests for alerts and dashboard with a real Prometheus: what they ask for is
# there, numbers are what they should be, and alerts fire for what is wrong, and
# for nothing else.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";

use Zertiban::Monitoring;
use Zertiban::Prometheus;
use Zertiban::Site;
use Zertiban::Test;
use Zertiban::Traffic;

# a gateway whose credentials will have troubles of their own, and a small one

my $site = Zertiban::Site->new();
my $small = Zertiban::Site->new(zone => '64k', workers => 1);

$site->endpoint(good => 300, 'good');
$site->endpoint(pairs => 20, qw(first second));
$site->endpoint(refuses => 20, 'refused');
$site->endpoint(down => 30, 'lost');
$small->endpoint(slow => 300, map { "client-$_" } 1 .. 200);

$site->location('/good', 'good', 'good');
$site->location('/refused', 'refuses', 'refused');
$site->location('/lost', 'down', 'lost');
$site->location('/tenant', 'good', 'good', 'zertiban_tenant_id $arg_tenant;');
$site->location('/bare', 'good', 'good',
                'proxy_set_header Authorization "";');

my $pairs = $site->file_location('/pairs', 'pairs', qw(first second));
my $old = time - 151 * 86400;

utime $old, $old, $pairs;

$small->location('/', 'slow', '$arg_client');

$_->run() for $site, $small;

for my $path (qw(/good /refused /lost /pairs)) {
    wait_until { $site->status($path) == 200 } or die "no token for $path";
}

my $prometheus = Zertiban::Prometheus->new($site->{nginx},
    'gw-1' => $site->address(), 'gw-2' => $small->address());


# like wait_until, without asking Prometheus all the time

sub poll {
    my ($seconds, $condition) = @_;

    my $end = now() + $seconds;

    until ($condition->()) {
        return if now() >= $end;
        wait_until { 0 } 0.3;
    }

    return 1;
}


# waits for a scrape of what was done before

sub scraped {
    my $scrapes = 'sum(count_over_time(up{instance="gw-1"}[1h]))';
    my $before = $prometheus->value($scrapes) // 0;

    poll(20, sub { ($prometheus->value($scrapes) // 0) >= $before + 2 })
        or die 'the gateway is not scraped';
}


# numbers

my $hits = 'zertiban_requests_total{instance="gw-1",result="hit"}';
my $traffic = Zertiban::Traffic->new($site->{nginx});

scraped();

my $before = $prometheus->value($hits);

$traffic->every(0.05, '/good', 3);
scraped();
scraped();
$traffic->finish();
scraped();

my $sent = $traffic->requests();

cmp_ok($sent, '>', 50, 'requests');
is($prometheus->value($hits) - $before, $sent, 'are counted exactly');
is($prometheus->value('sum(zertiban_requests_total{instance="gw-1"})'),
   scalar(my @gated = grep { !m{^/status} }
          map { (split)[0] } split /^/,
          $site->{nginx}->read_file('logs/access.log')),
   'and all requests that came to the gate');

# one may just have been made

my $exchanges = 'sum(zertiban_exchanges_total{instance="gw-1",result="ok"})';

ok(poll(20, sub {
    $prometheus->value($exchanges)
        == map { @{$_->{requests}} } values %{$site->{idp}}
}), 'as are exchanges');


# what is asked for is there

for my $alert (Zertiban::Monitoring::alerts()) {
    my ($name, $expr) = @$alert;
    my $compared = Zertiban::Monitoring::compared($expr);
    my @selectors = $expr =~ /\b((?:zertiban_\w+|up)\b(?:\{[^}]*\})?)/g;

    is(join("\n", grep { !$prometheus->query($_) } $compared, @selectors), '',
       "$name has something to look at");
}

my @panels = map { s/\$__rate_interval/1m/gr =~ s/\$(?:job|instance)/.*/gr }
             Zertiban::Monitoring::panels();

is(join("\n", grep { !$prometheus->query($_) } @panels), '',
   'each expression of the dashboard has a value');


# alerts

sub credential {
    my ($client) = @_;

    my ($series) = $prometheus->query(
        qq{zertiban_credential_info{instance="gw-1",client_id="$client"}});

    return $series->{metric}{credential};
}


# waits until these alerts fire, and no others

sub fires {
    my ($name, @expected) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $wanted = join "\n", sort @expected;

    poll(40, sub { join("\n", $prometheus->alerts()) eq $wanted });
    is(join("\n", $prometheus->alerts()), $wanted, $name);
}


my ($refused, $lost) = map { credential($_) } qw(refused lost);
my ($file) = map { $_->{metric}{credential} } $prometheus->query(
    'zertiban_credential_loaded_timestamp_seconds < time() - 86400');

my @always = ("ZertibanCredentialOld gw-1 $file");

fires('all is well, but for an old pair', @always);

$site->{api}->answer($site->{api}->text(401, 'no'));
is($site->status('/good'), 401, 'the API refuses a new token');
$site->{api}->answer();

push @always, 'ZertibanUnauthorizedPassed gw-1';
fires('which is told', @always);

is($site->status('/tenant?tenant='), 400, 'a request without a tenant');

push @always, 'ZertibanBadRequests gw-1 bad_tenant';
fires('is an alert of its own', @always);

is($site->status('/bare'), 200, 'a location that loses the token');

push @always, 'ZertibanTokenMissing gw-1';
fires('is found', @always);

$small->status("/?client=client-$_") for 1 .. 200;

push @always, 'ZertibanZoneFull gw-2';
fires('a zone that is too small for so many', @always);

# the endpoints fail, one by one in its way, and one of two gateways

$site->{accounts}{refuses}->revoke(Zertiban::Site::pair('refused'));
$site->{accounts}{pairs}->revoke(Zertiban::Site::pair('first'));
$site->{idp}{down}->shut();
$small->{nginx}->stop();

ok(poll(40, sub {
    grep { $_ eq "ZertibanTokenNotRefreshed gw-1 $lost" } $prometheus->alerts()
}), 'a token that is not refreshed in time');

poll(40, sub {
    $site->status('/refused') == 502 && $site->status('/lost') == 503;
}) or die 'tokens do not end';

fires('what has failed, and how',
      @always,
      'ZertibanNotScraped gw-2',
      (map { "ZertibanCredentialDown gw-1 $_" } $refused, $lost),
      "ZertibanClientRefused gw-1 $refused",
      "ZertibanFallbackInUse gw-1 $file",
      (map { "ZertibanRequestsRefused gw-1 $_" }
           qw(idp_rejected_client idp_unreachable)));

$site->{nginx}->stop();
ok(poll(20, sub {
    grep { $_ eq 'ZertibanStatusMissing' } $prometheus->alerts()
}), 'nobody reports any more');

$prometheus->stop();
$_->{nginx}->finish() for $site, $small;

done_testing();
