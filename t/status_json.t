# Tests for the status as JSON: what it says of each credential is so.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use POSIX qw(strftime);

use Zertiban::Accounts;
use Zertiban::Test;

use constant { NEW => 'new secret-of-new', OLD => 'old secret-of-old' };

my $api = Zertiban::API->new();
my %idp = map { $_ => Zertiban::IdP->new() } qw(plain pairs held refused);
my $accounts = Zertiban::Accounts->new($idp{pairs});
my $t = Zertiban::Nginx->new(workers => 1);

my $until = strftime('%Y-%m-%d', gmtime time + 100 * 86400);

chmod 0600, $t->write_file('pairs', NEW . "\n" . OLD . " $until\n");

$accounts->accept(OLD);
$idp{held}->hold();

# what it says may be anything
$idp{refused}->answer(Zertiban::IdP::json(400, error => "a\"\\b\x07c",
                                         error_description => "<i>\n</i>"));

my $config = <<'EOF';
    zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;
    zertiban_client_secret secret-of-all;

    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;

        location /plain {
            zertiban_token_endpoint %%IDP_plain%%;
            zertiban_client_id plain;
            zertiban_scope "a \"b\" \\c";
            proxy_pass http://%%API%%;
        }

        # the same in the zone
        location /twin {
            zertiban_token_endpoint %%IDP_plain%%;
            zertiban_client_id plain;
            zertiban_scope "a \"b\" \\c";
            zertiban_timeout 3s;
            proxy_pass http://%%API%%;
        }

        location /pairs {
            zertiban_token_endpoint %%IDP_pairs%%;
            zertiban_credentials_file pairs;
            proxy_pass http://%%API%%;
        }

        location /held {
            zertiban_token_endpoint %%IDP_held%%;
            zertiban_client_id "h\u00e9ld \xff";
            proxy_pass http://%%API%%;
        }

        location /refused {
            zertiban_token_endpoint %%IDP_refused%%;
            zertiban_client_id refused;
            proxy_pass http://%%API%%;
        }

        location /any {
            zertiban_token_endpoint %%IDP_plain%%;
            zertiban_client_id $arg_client;
            proxy_pass http://%%API%%;
        }

        location /status { zertiban_status max=%%MAX%%; }
        location /metrics { zertiban_status prometheus max=%%MAX%%; }
    }
EOF

# bytes that are no UTF-8, and some that are

$config =~ s/h\\u00e9ld \\xff/h\xc3\xa9ld \xff/;

my %values = (API => $api->address(),
              map { ("IDP_$_" => $idp{$_}->url()) } keys %idp);

$t->run($config, %values, MAX => 100);


my %by;

sub look {
    my $json = decode_json($t->get('/status')->{body});

    %by = map { ($_->{client_id} // 'none') => $_ } @{$json->{credentials}};

    return $json;
}


my $before = time;

$t->get('/plain') for 1 .. 3;
$t->get($_) for qw(/pairs /refused);
$t->get("/any?client=$_") for qw(one two two);

my @waiting = map { $t->start('GET', '/held') } 1 .. 2;

ok(wait_until(sub { look()->{waiting} == 2 }), 'requests wait');

my $json = look();
my $after = time;


# what is around the credentials

like(($idp{plain}->requests())[0],
     qr{ngx_zertiban_module/\Q$json->{version}\E\r\n}, 'the version');
cmp_ok($json->{now}, '>=', $before, 'its clock');
cmp_ok($json->{now}, '<=', $after + 1, 'is the time');
is($json->{date}, strftime('%Y-%m-%dT%H:%M:%SZ', gmtime $json->{now}),
   'the same as a date');
is("$json->{zone}{name} $json->{zone}{size}", 'zertiban 1048576', 'the zone');
is("$json->{total} $json->{shown}", '6 6', 'all credentials are shown');
is($json->{configuration}{credentials}, 4, 'twins are one in the zone');
is($json->{configuration}{without_token}, 2, 'two have no token');
is_deeply($json->{states}, { empty => 0, fetching => 1, valid => 4,
                             refreshing => 0, delayed => 0, failing => 1 },
          'how many are in each state');
is($json->{requests}{hit} + $json->{requests}{wait}, 7,
   'requests that got a token');
is($json->{requests}{idp_rejected_client}, 1, 'and that did not');


# each of them

my $held = "h\x{e9}ld \x{fffd}";

is(join(',', map { $_->{client_id} } @{$json->{credentials}}[0 .. 3]),
   "plain,old,$held,refused", 'those of the configuration, in its order');
is(join(',', sort map { $_->{client_id} } @{$json->{credentials}}[4, 5]),
   'one,two', 'then those of requests');

my $plain = $by{plain};

is($plain->{endpoint}, $idp{plain}->url(), 'the token endpoint');
is($plain->{scope}, 'a "b" \c', 'the scope');
like($plain->{fingerprint}, qr/^[0-9a-f]{12}$/, 'a fingerprint');
is($plain->{state}, 'valid', 'the state');
ok($plain->{up} && $plain->{configured}, 'there is a token');
cmp_ok($plain->{expires_in}, '>', 290, 'how long it is used');
cmp_ok($plain->{expires_in}, '<=', 298, 'which is shorter than it is good');
cmp_ok(abs($plain->{expires_at} - $json->{now} - $plain->{expires_in}), '<',
       0.01, 'until when');
cmp_ok($plain->{next_in}, '<', $plain->{expires_in}, 'the refresh is before');
cmp_ok($plain->{next_in}, '>', 200, 'but not now');
cmp_ok($plain->{obtained_at}, '>', $before - 2, 'when it was obtained');
is("$plain->{failures} " . ($plain->{last_failure} // 'none'), '0 none',
   'nothing has failed');
is($plain->{requests}{hit} + $plain->{requests}{wait}, 3, 'its requests');
is($plain->{exchanges}{ok}, 1, 'its exchange');
is($plain->{exchange_time}{count}, 1, 'of which the time is known');
is($plain->{exchange_time}{buckets}{'+Inf'}, 1, 'in a histogram');

my $pairs = $by{old};

is($pairs->{file}, $t->dir() . '/pairs', 'a file of pairs');
is("$pairs->{pairs}{used} $pairs->{pairs}{count}", '2 2', 'which is used');
is($pairs->{pairs}{expires}, $until, 'and until when');
is(join(' ', map { "$_->{pair} $_->{refusals}" } @{$pairs->{pairs}{refused}}),
   '1 1', 'which is refused');
cmp_ok($pairs->{pairs}{refused}[0]{next_in}, '<=', 5,
       'and when it is tried again');
is($pairs->{last_failure}{error}, 'idp_rejected_client', 'why');

is($by{$held}{state}, 'fetching', 'an exchange in flight');
is($by{$held}{waiting}, 2, 'for which requests wait');
is($by{$held}{next_in}, undef, 'nothing is planned');
is($by{$held}{expires_in}, undef, 'there is no token');

my $refused = $by{refused};

is($refused->{state}, 'failing', 'one that is refused');
is($refused->{failures}, 1, 'so often');
is("$refused->{last_failure}{error} $refused->{last_failure}{status}",
   'idp_rejected_client 400', 'with the error and the status');
like($refused->{last_failure}{reason}, qr/error "a.*<i>/s, 'and the reason');
unlike($refused->{last_failure}{reason}, qr/[\x00-\x1f]/,
       'without control characters');
cmp_ok($refused->{last_failure}{at}, '>=', $before - 2, 'and the time');
cmp_ok($refused->{next_in}, '>', 3, 'the next attempt');
is($refused->{exchanges}{idp_rejected_client}, 1, 'its exchange');

is($by{two}{requests}, undef, 'others are not counted one by one');
is($json->{others}{exchanges}{ok}, 2, 'but together');

$idp{held}->release(sub { $idp{held}->issue($_[0], token => 'token-of-held') });
$_->response() for @waiting;


# at most so many: those in trouble are shown

$t->reload($config, %values, MAX => 1);

my $one = look();

is("$one->{total} $one->{shown}", '6 1', 'one of them is shown');
is($one->{credentials}[0]{client_id}, 'refused', 'which fails');
is($one->{others}{exchanges}{ok}, 5, 'others are all that are not shown');
is($one->{credentials}[0]{exchanges}{idp_rejected_client},
   $idp{refused}->count(), 'a reload loses nothing');

my $metrics = $t->get('/metrics')->{body};
my %labels = map { $_ => 1 } $metrics =~ /credential="(\w+)"/g;

# those that come first in the configuration, or all others would be fewer
# whenever one is in trouble

my $first = $json->{credentials}[0];

isnt($first->{client_id}, 'refused', 'the first one of all does not fail');
is(join(' ', sort keys %labels),
   join(' ', sort 'other', $first->{fingerprint}),
   'there is a label for it, and one for all others');

my ($others) = $metrics =~ /total\{credential="other",result="ok"\} (\d+)$/m;

is($others, 5 - $first->{exchanges}{ok}, 'which counts them');

$t->reload($config, %values, MAX => 0);

is_deeply(look()->{credentials}, [], 'or none');
is($one->{total}, 6, 'which are counted all the same');

$t->finish();

done_testing();
