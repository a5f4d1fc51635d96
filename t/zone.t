#!/usr/bin/perl

# A zone that is full: who goes, who stays, and what the request gets.

use strict;
use warnings;

use lib 't/lib';
use Zertiban::Test;

my $idp = Zertiban::IdP->new();
my $api = Zertiban::API->new();

# the client id says how long its token is

$idp->answer(sub {
    my ($request) = @_;

    my ($length) = $request->{client_id} =~ /^bytes(\d+)/;

    return $idp->issue($request) if !$length;
    return Zertiban::IdP::json(200, access_token => 'x' x $length);
});

my $settings = <<'EOC';
        zertiban                on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_secret  top-secret-1;
        zertiban_tenant_id      7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;
EOC


# -- credentials with variables

my $nginx = start(<<'EOC');
        location / {
            zertiban_client_id $arg_id;
            proxy_pass         http://%%API%%;
        }
EOC

my @ids = map { "id$_" } 1 .. 300;

is(count_of(map { $nginx->get("/?id=$_")->{status} } @ids), '200: 300',
   'three hundred credentials, one after another, in the smallest zone');
is($nginx->get('/again?id=id300')->{status} . $idp->count('id300'), '2001',
   'the one used last is still there');
is($nginx->get('/again?id=id1')->{status} . $idp->count('id1'), '2002',
   'the one unused for longest has gone');

is(count_of(map { $nginx->get("/?id=bytes$_")->{status} }
                1000, 2000, 4000, 8000), '200: 4',
   'what has gone makes room for larger tokens');

is($nginx->get('/?id=id1')->{status}, 200, 'and small ones come back');

$nginx->finish();


# -- credentials without variables

$nginx = start(join '', map { <<"EOC" } 1 .. 6);
        location /$_ {
            zertiban_client_id bytes6000-$_;
            proxy_pass         http://%%API%%;
        }
EOC

# those that wait for a token have it
wait_until { 6 == grep { $idp->count("bytes6000-$_") } 1 .. 6 };

my @first = map { $nginx->get("/$_") } 1 .. 6;
my @in    = grep { $first[$_ - 1]{status} == 200 } 1 .. 6;
my ($out) = grep { $first[$_ - 1]{status} == 503 } 1 .. 6;

like(count_of(map { $_->{status} } @first), qr/^200: [1-5], 503: [1-5]$/,
     'more than the zone can hold');
like(($first[$out - 1]->header('Retry-After'))[0], qr/^[1-9]/,
     'Retry-After');
is($nginx->logged("/$out")->{error}, 'zone_full', '$zertiban_error');
like($nginx->error_log(), qr/\[error\].*zone.*larger.*"tiny"/,
     'the log names the zone and says what to do');

is(count_of(map { $nginx->get("/$_?again")->{status} } @in),
   '200: ' . @in, 'those that are in it stay');
is(count_of(map { $idp->count("bytes6000-$_") } @in), '1: ' . @in,
   'and keep their tokens');

$nginx->finish();
done_testing();


sub start {
    my ($locations) = @_;

    my $config = "zertiban_zone tiny:32k;\n"
                 . "server {\nlisten 127.0.0.1:%%PORT%%;\n"
                 . "$settings$locations}\n";

    return Zertiban::Nginx->new()->run($config, IDP => $idp->url(),
                                       API => $api->address());
}
