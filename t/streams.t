# Tests for streams of HTTP/2, and of HTTP/3 where nginx has it, that end while
# their requests wait for a token, and before their bodies were read: nginx
# takes what it has of a body for the whole of it then.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::CA;
use Zertiban::H2;
use Zertiban::H3;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();

my %protocols = (h2 => 'Zertiban::H2');
my $quic = '';

if (Zertiban::Nginx::has('http_v3_module')) {
    $protocols{h3} = 'Zertiban::H3';
    $quic = <<'EOF';
        ssl_certificate %%DIR%%/server.crt;
        ssl_certificate_key %%DIR%%/server.key;
        listen 127.0.0.1:%%PORT_quic%% quic;
EOF

    Zertiban::CA->new($t->dir(), 'ca')->sign('server', san => 'DNS:localhost');
}

my %port = (h2 => '', h3 => 'quic');

$t->run(<<'EOF' =~ s/%%QUIC%%\n/$quic/r,
    server {
        listen 127.0.0.1:%%PORT%% http2;
%%QUIC%%
        listen 127.0.0.1:%%PORT_1%%;

        zertiban_token_endpoint %%IDP%%;
        zertiban_client_secret secret;
        zertiban_tenant_id tenant;
        zertiban_timeout 20s;

        location / {
            zertiban on;
            zertiban_client_id waiting;
            proxy_pass http://%%API%%;
        }

        location /ignore {
            zertiban on;
            zertiban_client_id waiting;
            proxy_ignore_client_abort on;
            proxy_pass http://%%API%%;
        }

        location /store {
            zertiban on;
            zertiban_client_id waiting;
            root %%DIR%%;
            proxy_store on;
            proxy_pass http://%%API%%;
        }

        # it is a subrequest that waits
        location /asked {
            auth_request /ask;
            zertiban on;
            zertiban_client_id there;
            proxy_pass http://%%API%%;
        }

        location = /ask {
            zertiban on;
            zertiban_client_id waiting;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_pass http://%%API%%;
        }

        location = /there {
            zertiban on;
            zertiban_client_id there;
            proxy_pass http://%%API%%;
        }
    }
EOF
    API => $api->address(), IDP => $idp->url());

my $amount = 'amount' x 100;

# what comes before nginx looks; "more" is more than it has allowed, which the
# client of HTTP/3 keeps to itself
my %ends = (
    whole   => sub { $_[0]->end($_[1], $amount) },
    cancel  => sub { $_[0]->cancel($_[1]) },
    more    => sub { $_[0]->data($_[1], 'x' x 16384) for 1 .. 5 },
    leave   => sub { $_[0]->leave() },
);

my @cases;

for my $protocol (sort keys %protocols) {
    for my $place (qw(plain ignore store asked)) {
        for my $end (sort keys %ends) {
            push @cases, map { { protocol => $protocol, place => $place,
                                 end => $end, body => $_,
                                 uri => "/$place/$end/$_/$protocol" } }
                         qw(none declared chunked);
        }
    }
}

@cases = grep { ($_->{body} ne 'none' || $_->{end} =~ /cancel|leave/)
                && !($_->{protocol} eq 'h3' && $_->{end} eq 'more') } @cases;

# nginx ends all requests of a connection of HTTP/3 that is closed

sub paid {
    my ($case) = @_;

    return 1 if $case->{end} eq 'whole';
    return 0 if $case->{protocol} eq 'h3' && $case->{end} eq 'leave';
    return $case->{body} eq 'none' && $case->{place} =~ /ignore|store/;
}


$idp->answer(sub { $_[0]{client_id} eq 'there' ? $idp->issue($_[0]) : () });

is($t->get('/there', port => 1)->{status}, 200, 'a token is there');

for my $case (@cases) {
    my $protocol = $case->{protocol};
    my $client = $case->{client} =
        $protocols{$protocol}->new($t->port($port{$protocol}));

    if ($case->{body} eq 'none') {
        $case->{id} = $client->get($case->{uri});

    } else {
        $case->{id} = $client->request('POST', $case->{uri}, 0,
            $case->{body} eq 'declared'
            ? 'content-length: ' . 2 * length $amount : ());
        $client->data($case->{id}, $amount);
    }

    $client->ping();
}

ok(wait_until(sub { !grep { !$_->{client}{pong} } @cases }), 'nginx has them');
ok(wait_until(sub { $idp->held() == 1 }), 'they wait for a token');

for my $case (@cases) {
    delete $case->{client}{pong};
    $ends{$case->{end}}->($case->{client}, $case->{id});
    $case->{client}->ping() if $case->{end} ne 'leave';
}

ok(wait_until(sub { !grep { !$_->{client}{pong} && $_->{end} ne 'leave' }
                         @cases }), 'and what comes then');

$t->barrier('/there', port => 1);

is($api->count($_->{uri}), 0, "$_->{uri}: not sent without a token")
    for grep { $_->{place} ne 'asked' } @cases;

$idp->release(sub { $idp->issue($_[0]) });

ok(wait_until(sub { !grep { paid($_) && !$api->count($_->{uri}) } @cases }),
   'whole requests are sent');

my @whole = grep { $_->{end} eq 'whole' } @cases;

ok(wait_until(sub { !grep { !$_->{client}->statuses($_->{id}) } @whole }),
   'and answered');
is(count_of(map { $_->{client}->statuses($_->{id}) } @cases), '200: ' . @whole,
   'all with 200');

ok($t->stop(), 'nothing waits any more');

for my $case (@cases) {
    my $length = $case->{body} eq 'none' ? 0 : 2 * length $amount;

    is(join(' ', map { $_->{length} } $api->requests($case->{uri})),
       paid($case) ? $length : '', "$case->{uri}: sent whole or not at all");
}

$t->finish();

done_testing();
