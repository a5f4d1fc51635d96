package Zertiban::Prometheus;

# A real Prometheus that scrapes gateways, and knows the rules of
# docs/monitoring.

use strict;
use warnings;

use Zertiban::Client;
use Zertiban::Monitoring;
use Zertiban::Program;

my $json = JSON::PP->new->utf8;


# new($nginx, 'gw-1' => address, ...): its files are in nginx's directory. What
# an alert is for has not to last.

sub new {
    my ($class, $nginx, %targets) = @_;

    my $dir = $nginx->dir();
    my $self = bless { port => $nginx->port('prometheus') }, $class;

    $nginx->write_file('rules.yml',
        Zertiban::Monitoring::file('zertiban.rules.yml')
            =~ s/^ *for: .*\n//mgr);

    my $config = $nginx->write_file('prometheus.yml',
        <<'EOF' . join '', map { <<"EOF" } sort keys %targets);
global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files: [rules.yml]
scrape_configs:
- job_name: zertiban
  metrics_path: /status/metrics
  static_configs:
EOF
  - targets: ['$targets{$_}']
    labels: {instance: $_}
EOF

    $self->{program} = Zertiban::Program->start(
        "$dir/logs/prometheus", undef, 'prometheus',
        "--config.file=$config", "--storage.tsdb.path=$dir/tsdb",
        "--web.listen-address=127.0.0.1:$self->{port}", '--log.level=warn');

    $self->{program}->wait_for('is not ready', 30, sub { $self->ready() });

    return $self;
}


sub ready {
    my ($self) = @_;

    my $response = eval { $self->get('/-/ready') };

    return $response && $response->{status} == 200;
}


sub get {
    my ($self, $uri) = @_;

    return Zertiban::Client->new($self->{port})->send(
        "GET $uri HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        ->response();
}


sub data {
    my ($self, $uri) = @_;

    my $response = $self->get($uri);
    my $answer = $json->decode($response->{body});

    die "$uri: $response->{body}" if $answer->{status} ne 'success';

    return $answer->{data};
}


# the series of an expression now: { metric => { ... }, value => ... }, ...

sub query {
    my ($self, $expr) = @_;

    my $query = $expr =~ s/([^A-Za-z0-9_])/sprintf '%%%02X', ord $1/ger;

    return map { { metric => $_->{metric}, value => $_->{value}[1] } }
           @{$self->data("/api/v1/query?query=$query")->{result}};
}


# its value, if it is one series

sub value {
    my ($self, $expr) = @_;

    my @series = $self->query($expr);

    return @series == 1 ? $series[0]{value} : undef;
}


# the alerts that fire: the name, and what tells it from others

sub alerts {
    my ($self) = @_;

    return sort map {
        my $labels = $_->{labels};
        join ' ', grep { defined }
                  @{$labels}{qw(alertname instance credential result)}
    } grep { $_->{state} eq 'firing' }
      @{$self->data('/api/v1/alerts')->{alerts}};
}


sub stop {
    my ($self) = @_;

    $self->{program}->stop();
}


1;
