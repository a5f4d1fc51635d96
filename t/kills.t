# Tests for workers that are killed again and again while they use the zone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new(expires_in => 1);
my $t = Zertiban::Nginx->new(workers => 4);

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url());
    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        location / {
            zertiban on;
            zertiban_token_endpoint %%IDP%%;
            zertiban_client_id $arg_client;
            zertiban_client_secret secret-of-$arg_client;
            zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;
            zertiban_timeout 1s;
            proxy_pass http://%%API%%;
        }
    }
EOF


sub clients {
    return map { $t->start('GET', "/?client=client-$_") } @_;
}


# each token lives for a second, so the workers are busy with exchanges

my (@waiting, @statuses);

for my $turn (1 .. 400) {
    push @waiting, clients(map { int rand 20 } 1 .. 5);
    push @statuses, map { $_->response()->{status} }
                    splice @waiting, 0, @waiting / 2;

    next if $turn % 4;

    my @workers = $t->workers();
    $t->kill_worker($workers[rand @workers]) if @workers;
}

push @statuses, map { $_->response()->{status} } @waiting;

my $statuses = count_of(@statuses);

diag("statuses, 0 where the worker died: $statuses");
unlike($statuses, qr/\b(?!(?:0|200|503|504):)\d+:/,
       'requests are served, or die with their workers, or time out');
cmp_ok(scalar(grep { $_ == 200 } @statuses), '>', 1000, 'most are served');

is(join(' ', map { $_->{uri} } grep { $_->token() !~ /^token/ }
             $api->requests()), '', 'none reached the API without a token');


# what is left is whole

ok(wait_until(sub { $t->workers() == 4 }), 'killed workers are replaced');
ok(wait_until(sub {
    count_of(map { $_->response()->{status} } clients(0 .. 19)) eq '200: 20'
}), 'the zone still serves all credentials');

$t->finish(allow => qr/exited on signal 9|zone ".*" was locked by/);

done_testing();
