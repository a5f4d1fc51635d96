# Tests for pairs that were refused, and are left out for a while: when somebody
# asks for it they are tried before their time, but not again and again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(decode_json);

use Zertiban::Accounts;
use Zertiban::Test;
use Zertiban::Try;

use constant { NEW => 'new secret-of-new', OLD => 'old secret-of-old' };

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $accounts = Zertiban::Accounts->new($idp);
my $t = Zertiban::Nginx->new(workers => 2);

$accounts->accept(OLD);

chmod 0600, $t->write_file('credentials', join "\n", NEW, OLD, '');

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url());
    server {
        listen 127.0.0.1:%%PORT%%;

        location / {
            zertiban on;
            zertiban_token_endpoint %%IDP%%;
            zertiban_credentials_file credentials;
            zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;
            proxy_pass http://%%API%%;
        }

        location /status {
            zertiban_status;
        }
    }
EOF

my $id = fingerprint($t, 'credentials');

is($t->get('/')->{status}, 200, 'a request is served, by the second pair');

# at once, after 5 s, and after 10 s more it is tried without anybody's help,
# and then it is left out for 20 s

my ($response, $said) = try_now($t, $id);

is($response->{status}, 503, 'it was tried a moment ago: not now');
is($said->{outcome}, 'idp_rejected_client', '... and refused');
is_deeply($said->{pair}, { used => 2, count => 2 }, 'the other one is used');

ok(wait_until(sub { $accounts->tried(NEW) == 3 && at_rest() }, 30),
   'the refused one is tried after 5 and 10 s');

my $last = $idp->{requests}[-1]{time};
my $n = @{$idp->{requests}};
my @statuses;

ok(wait_until(sub {
       ($response, $said) = try_now($t, $id);
       push @statuses, $response->{status};
       $response->{status} != 503;
   }, 18), 'it is tried before its time, if somebody asks for it');

cmp_ok(now() - $last, '>', 9, '... but not within 10 s');
is(count_of(@statuses), '502: 1, 503: ' . (@statuses - 1),
   'it is refused again');
is($said->{status}, 401, '... by the endpoint');
is(@{$idp->{requests}}, $n + 1, 'that was one request');
is($accounts->tried(OLD), 1, 'the pair in use was not asked for anything');

# the endpoint takes it, and the next attempt of its own is far

$accounts->accept(NEW);

ok(wait_until(sub {
       ($response, $said) = try_now($t, $id);
       $response->{status} == 200;
   }, 18), 'when it is taken, that is found out as well');
is($said->{pair}{used}, 1, '... and it is used');
is($accounts->tried(NEW), 5, '... with one attempt');

$t->finish();

done_testing();


# no exchange is in flight, whose outcome would be that of a request to try

sub at_rest {
    my $status = decode_json($t->get('/status')->{body});

    return $status->{credentials}[0]{state} eq 'valid';
}
