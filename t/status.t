# Tests for the location of zertiban_status: methods, headers, and that each of
# its formats is what it claims to be, with all that it promises.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw(md5_hex);
use Digest::SHA qw(sha1_hex sha256_base64 sha256_hex);
use JSON::PP;
use MIME::Base64 qw(encode_base64);

use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $bad = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new(workers => 1);
my $none = Zertiban::Nginx->new(workers => 1);

my $status = <<'EOF';
        location /json { zertiban_status; }
        location /prometheus { zertiban_status prometheus; }
        location /html { zertiban_status html; }
        location /ready { zertiban_status ready; }
EOF

$bad->answer(Zertiban::IdP::json(401, error => 'invalid_client'));

mkdir $t->dir() . "/$_" for qw(html html/ssi);

$t->write_file('html/ssi/page', '<!--#include virtual="/json" -->');

my %values = (API => $api->address(), IDP => $idp->url(), BAD => $bad->url());

$t->run(<<"EOF", %values);
    zertiban_zone  tokens:2m;

    zertiban_token_endpoint  %%IDP%%;
    zertiban_client_secret  secret-of-all;
    zertiban_tenant_id  7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;

    server {
        listen 127.0.0.1:%%PORT%%;

        # what is around it does not gate it
        zertiban on;

        location /good {
            zertiban_client_id good;
            proxy_pass http://%%API%%;
        }

        location /bad {
            zertiban_token_endpoint %%BAD%%;
            zertiban_client_id bad;
            proxy_pass http://%%API%%;
        }

        location /any {
            zertiban_client_id \$arg_client;
            proxy_pass http://%%API%%;
        }

$status
        location /if {
            zertiban_status ready;

            if (\$arg_x) {
                set \$y z;
            }
        }

        location /instead {
            zertiban_client_id good;
            proxy_pass http://%%API%%;
            zertiban_status ready;
        }

        location /ssi {
            ssi on;
            ssi_types *;
            root %%DIR%%/html;
        }
    }
EOF

$none->run("    server {\n        listen 127.0.0.1:%%PORT%%;\n$status    }\n");

wait_until {
    $t->get('/good')->{status} == 200 && $t->get('/bad')->{status} == 502
} or die 'there are no outcomes';

$t->get("/any?client=$_") for qw(one two);

my @formats = qw(json prometheus html ready);


# methods and headers

my %type = (
    json       => 'application/json',
    prometheus => 'text/plain; version=0.0.4; charset=utf-8',
    html       => 'text/html; charset=utf-8',
    ready      => 'text/plain',
);

for my $format (@formats) {
    my $code = $format eq 'ready' ? 503 : 200;

    my $get = $t->get("/$format");
    my $head = $t->start('HEAD', "/$format")->response();

    is("$get->{status} $head->{status}", "$code $code",
       "GET and HEAD of $format");

    for my $response ($get, $head) {
        is(join(' ', map { $response->header($_) }
                     qw(Content-Type Cache-Control X-Content-Type-Options)),
           "$type{$format} no-store nosniff",
           'what it is, not to be kept, nor to be taken for something else');
    }

    is(($get->header('Content-Length'))[0], length $get->{body},
       'the length is that of the body');

    my $body = $t->start('GET', "/$format", body => 'x' x 100_000);

    is($body->response()->{status}, $code, 'a body is discarded');

    for my $method (qw(PUT DELETE OPTIONS)) {
        my $other = $t->start($method, "/$format", body => 'x')->response();

        is($other->{status}, 405, "$method is not allowed");
        like(($other->header('Allow'))[0], qr/^GET, HEAD/, 'it says what is');
    }
}

is(() = $t->get('/ready')->header('Content-Security-Policy'), 0,
   'only the page has a policy');
is($t->get('/if?x=1')->{status}, 503, 'an "if" has the status around it');
is($t->get('/instead')->{status}, 503, 'it may come behind a proxy_pass');
is($api->count('/instead'), 0, 'which it takes the place of');


# JSON

my $json = decode_json($t->get('/json')->{body});

is($json->{zone}{name}, 'tokens', 'the zone is named in JSON');
is(scalar @{$json->{credentials}}, 4, 'with all credentials');
is(join(' ', map { $_->{client_id} } grep { $_->{configured} }
             @{$json->{credentials}}),
   'good bad', 'those of the configuration in its order');


# ready

my $ready = $t->get('/ready');
my ($retry) = $ready->header('Retry-After');
my ($down) = grep { $_->{client_id} eq 'bad' } @{$json->{credentials}};

like($ready->{body}, qr/^not ready: 1 of 2 .*\n\Q$down->{fingerprint}\E\n\z/,
     'who is not ready is named');
cmp_ok($retry, '>=', 1, 'Retry-After is a second at least');
cmp_ok($retry, '<=', 6, "and not after the next attempt: $retry");

$bad->answer();

ok(wait_until(sub { $t->get('/ready')->{status} == 200 }, 10),
   'it becomes ready');
is($t->get('/ready')->{body}, "ready\n", 'and says so');


# Prometheus: all families with their types and help, in this order

my @families = map { [split / /, s/\n +/ /gr, 3] } split /\n(?! )/, <<'EOF';
build_info gauge Version of the module and of nginx; the value is always 1.
zone_start_time_seconds gauge Unix time at which the zone was made; counters
    began then.
config_load_time_seconds gauge Unix time at which this worker's configuration
    was loaded.
zone_size_bytes gauge Size of the shared memory zone.
zone_free_bytes gauge Memory of the zone in pages that are free.
zone_evictions_total counter Credentials that were evicted to make room for
    others.
zone_resets_total counter Times the zone was emptied because a process had
    died with its mutex.
credentials gauge Credentials in the zone, by state.
requests_total counter Requests that came to the gate, by result.
requests_waiting gauge Requests that wait for a token now.
request_wait_seconds histogram Time that requests waited for a token, of those
    that waited.
api_unauthorized_total counter Answers of the API with status 401, by what was
    done.
token_missing_total counter First requests of a location in a worker whose
    upstream request did not carry the token.
credential_info gauge A credential that the configuration names; the value is
    always 1.
credential_up gauge Whether the credential has a token that can be used.
token_expiry_timestamp_seconds gauge Unix time until which the token is used;
    0 if there is none.
token_refresh_timestamp_seconds gauge Unix time at which the next exchange is
    due.
token_obtained_timestamp_seconds gauge Unix time of the last successful
    exchange; 0 if there was none.
credential_failures gauge Failed exchanges in a row.
exchanges_total counter Exchanges with the token endpoint, by result.
exchange_duration_seconds histogram Time that exchanges took, from the name
    look-up to the last byte.
credential_loaded_timestamp_seconds gauge Unix time at which the secret in use
    was read or last changed.
credential_fallback gauge Whether the previous pair of a rotation is in use.
EOF

sub families {
    my ($text) = @_;

    my @lines = grep { /^#/ } split /\n/, $text;
    my @found;

    while (my ($help, $type) = splice @lines, 0, 2) {
        my ($name, $says) = $help =~ /^# HELP zertiban_(\w+) (.*)$/;

        push @found, [$name, $type =~ /^# TYPE zertiban_$name (\w+)$/, $says];
    }

    return @found;
}


# lines that are none, belong to another family, or are there twice

sub malformed {
    my ($text) = @_;

    my ($family, @malformed) = ('');
    my %seen;

    for my $line (split /\n/, $text) {
        if ($line =~ /^# TYPE (\w+)/) {
            $family = $1;

        } elsif ($line !~ /^# HELP/) {
            push @malformed, $line
                if $line !~ /^$family(?:_bucket|_sum|_count)?
                             (?:\{(?:\w+="(?:[^"\\\n]|\\[\\"n])*",?)+\})?
                             [ ]-?\d+(?:\.\d+)?$/x
                   || $seen{$line =~ s/ \S+$//r}++;
        }
    }

    return join "\n", @malformed;
}


my $text = $t->get('/prometheus')->{body};

is_deeply([families($text)], \@families, 'all families, and what they are');
is(malformed($text), '', 'each line belongs to one, and is there once');
like($text, qr/\n\z/, 'the last line ends');

is(join(' ', $text =~ /^zertiban_requests_total\{result="(\w+)"\} \d+$/mg),
   'hit wait idp_unreachable idp_rejected_client idp_bad_response'
   . ' idp_rate_limited idp_timeout bad_tenant bad_credential zone_full busy'
   . ' upstream_refused aborted', 'all results are there, at 0, too');

my %labels = map { $_ => 1 } $text =~ /credential="(\w+)"/g;

is(join(' ', sort keys %labels),
   join(' ', sort 'other', map { $_->{fingerprint} }
                  grep { $_->{configured} } @{$json->{credentials}}),
   'what the configuration names has a label, and all others have one');
unlike($text, qr/7f3bb5f0/, 'there is no tenant');


# HTML

my $html = $t->get('/html')->{body};
my ($wrong, @open) = ('');

while ($html =~ m{<(/?)(\w+)[^>]*>}g) {
    next if $2 =~ /^(?:meta|br|input)$/;

    if ($1) {
        $wrong .= " $2" if (pop(@open) // '') ne $2;

    } else {
        push @open, $2;
    }
}

is($wrong . join(' ', @open), '', 'elements of the page are closed in order');
like($html, qr/\A<!DOCTYPE html>\n<html lang="en">/, 'it is a page');


# without any gate

for my $format (@formats) {
    is($none->get("/$format")->{status}, 200, "$format without any gate");
}

is_deeply(decode_json($none->get('/json')->{body})->{credentials}, [],
          'which names no credential');
is(malformed($none->get('/prometheus')->{body}), '', 'nor has wrong lines');
like($none->get('/html')->{body}, qr/<h1[^>]*>no location has/,
     'the page says so');
is($none->get('/ready')->{body}, "ready\n", 'nothing is missing');


# nothing of what is secret, in any form; the text itself is looked for in all
# responses

my %digests = map { $_ => 1 } map {
    my $secret = $_;
    map { $_->($secret) } \&sha256_hex, \&sha256_base64, \&sha1_hex, \&md5_hex,
                          sub { encode_base64($_[0], '') =~ s/=+$//r };
} 'secret-of-all', $idp->tokens();

my @formatted = map { $t->get("/$_")->{body} } @formats;

is(join(' ', grep { my $digest = $_; grep { /\Q$digest\E/i } @formatted }
             keys %digests),
   '', 'there is no digest of a secret or a token');
unlike($t->get('/json')->{body}, qr/7f3bb5f0/, 'nor a tenant');


# as a part of another answer

is(scalar @{decode_json($t->get('/ssi/page')->{body})->{credentials}}, 4,
   'it can be included');

$none->finish();
$t->finish();

done_testing();
