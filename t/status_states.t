# Tests for the states of a credential: what JSON and Prometheus say of it while
# its token is refreshed, cannot be, and has ended.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use POSIX qw(strftime);

use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new(expires_in => 12);
my $late = Zertiban::IdP->new();
my $asleep = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new(workers => 1);

# an hour behind, and one that wants to be left alone
$late->answer(sub {
    my $date = strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime time - 3600);

    return $late->issue($_[0]) =~ s/\r\n/\r\nDate: $date\r\n/r;
});

$asleep->answer("HTTP/1.1 429 No\r\nRetry-After: 200\r\n"
                . "Content-Length: 0\r\n\r\n");

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url(),
    zertiban_client_secret secret-of-all;
    zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;

    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;

        location /one {
            zertiban_token_endpoint %%IDP%%;
            zertiban_client_id one;
            zertiban_refresh_before 5s;
            proxy_pass http://%%API%%;
        }

        location /asleep {
            zertiban_token_endpoint %%ASLEEP%%;
            zertiban_client_id asleep;
            proxy_pass http://%%API%%;
        }

        location /late {
            zertiban_token_endpoint %%LATE%%;
            zertiban_client_id late;
            proxy_pass http://%%API%%;
        }

        location /any {
            zertiban_token_endpoint %%LATE%%;
            zertiban_client_id $arg_client;
            proxy_pass http://%%API%%;
        }

        location /json { zertiban_status; }
        location /metrics { zertiban_status prometheus; }
        location /ready { zertiban_status ready; }
    }
EOF
        LATE => $late->url(), ASLEEP => $asleep->url());


# the credential in JSON, and its gauges

sub look {
    my ($name) = @_;

    my $json = decode_json($t->get('/json')->{body});
    my ($one) = grep { ($_->{client_id} // '') eq $name }
                @{$json->{credentials}};
    my %gauges = $t->get('/metrics')->{body} =~
        /^zertiban_(\w+)\{credential="$one->{fingerprint}"\} (\S+)$/mg;

    return ($one, \%gauges, $json);
}


sub becomes {
    my ($state) = @_;

    return wait_until { (look('one'))[0]{state} eq $state } 15;
}


ok(becomes('valid'), 'a token');

my ($one, $gauges) = look('one');

is("$gauges->{credential_up} $gauges->{credential_failures}", '1 0',
   'Prometheus is told the same');
cmp_ok(abs($gauges->{token_expiry_timestamp_seconds} - $one->{expires_at}),
       '<', 0.1, 'and until when');

my $obtained = $one->{obtained_at};

$idp->hold();
ok(becomes('refreshing'), 'its refresh is in flight');

($one, $gauges) = look('one');

is($gauges->{credential_up}, 1, 'it is up');
is($one->{next_in}, undef, 'nothing is planned beside it');

$idp->release(Zertiban::IdP::json(500));
ok(becomes('delayed'), 'its refresh fails');

($one, $gauges) = look('one');

ok($one->{up}, 'there is a token still');
cmp_ok($gauges->{credential_failures}, '>', 0, 'failures are counted');
is($gauges->{credential_up}, 1, 'it is up');

ok(becomes('failing'), 'its token ends');

($one, $gauges) = look('one');

is($gauges->{credential_up}, 0, 'it is not up any more');
cmp_ok($gauges->{token_expiry_timestamp_seconds}, '==', 0, 'there is no end');
cmp_ok(abs($one->{obtained_at} - $obtained), '<', 0.1,
       'when the last exchange was successful is known');
cmp_ok(abs($gauges->{token_obtained_timestamp_seconds} - $obtained), '<', 0.1,
       'to Prometheus, too');
is($one->{expires_at}, undef, 'but no end');

my ($asleep_one, $asleep_gauges) = look('asleep');

cmp_ok($asleep_gauges->{token_obtained_timestamp_seconds}, '==', 0,
       'one that never had a token');
is($asleep_one->{obtained_at}, undef, 'says so');


# two have none: the next attempt of all counts

my $ready = $t->get('/ready');

is($ready->{status}, 503, 'not ready');
cmp_ok(($ready->header('Retry-After'))[0], '<', 60,
       'when the first of those may have a token again');


# clocks

my ($ahead) = look('late');

cmp_ok($ahead->{clock_ahead}, '>', 3500, 'this clock is ahead');
cmp_ok($ahead->{clock_ahead}, '<', 3700, 'by an hour');


# what a credential takes

my $before = (look('late'))[2]{zone};

$t->get('/any?client=another');

my $after = (look('late'))[2]{zone};

cmp_ok($after->{used}, '>', $before->{used}, 'one more takes some room');
cmp_ok($after->{used} - $before->{used}, '<', 4096, 'of less than a page');

$t->finish();

done_testing();
