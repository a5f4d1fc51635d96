# Tests for uploads that the API cuts off with a 401 that nobody reads: the
# token is replaced in the background, and not again and again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Revocation;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new(workers => 2);
my $tokens = Zertiban::Revocation->new($t, $idp);

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url());
    client_max_body_size 16m;

    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant-$arg_client;

        add_header X-Seen $zertiban_cache always;

        location / {
            proxy_pass http://%%API%%;
        }

        location /streamed {
            proxy_request_buffering off;
            proxy_pass http://%%API%%;
        }

        location /static {
            zertiban_client_id static;
            zertiban_client_secret secret-of-static;
            zertiban_tenant_id tenant-static;
            proxy_pass http://%%API%%;
        }
    }
EOF

# as soon as the head is there, or the whole of a small one

$api->{on_head} = sub {
    my ($stream, $message) = @_;

    my ($token) = $message->{head} =~ /^Authorization: Bearer (\S+)/mi;

    $stream->reset() if $tokens->{revoked}{$token}
                        && $message->{uri} !~ /small|none/;
};

$api->answer(sub {
    my ($request) = @_;

    return $api->default($request) if !$tokens->revoked($request);

    $request->{stream}->reset();
    return;
});

my $pdf = 'x' x 8_000_000;

my @names = qw(dynamic static streamed small);
my %uris = map {
    $_ => '/' . ($_ eq 'dynamic' ? 'pay' : $_) . "?client=$_"
} @names, 'none';


my %cut_off;


sub upload {
    my ($name, $body) = @_;

    my $status = $t->start('POST', $uris{$name}, body => $body // $pdf)
                   ->response(30)->{status};

    $cut_off{$name}++ if $status == 502;

    return $status;
}


sub body_of {
    my ($name) = @_;

    return $name eq 'small' ? 'amount' : $pdf;
}


$tokens->warm((grep { $_ ne 'static' } @names), 'none');
wait_until { $idp->count() == @names + 1 } or die 'not all have a token';
$tokens->grow_old();
$tokens->revoke($_) for @names, 'none';

for my $name (@names) {
    is(upload($name, body_of($name)), 502, "$name: cut off");
    ok(wait_until(sub { $idp->count($name) == 2 }), 'the token is replaced');
    ok(wait_until(sub { upload($name, body_of($name)) == 200 }),
       'and the next one is served');

    # of the large ones the API has seen none whole; the new token may come late
    is(scalar(grep { $tokens->revoked($_) } $api->requests($uris{$name})),
       $name eq 'small' ? $cut_off{small} : 0,
       'none is replayed, nor a part of one');

    # the new token is too young to be at fault
    $tokens->revoke($name);

    is(count_of(map { upload($name, body_of($name)) } 1 .. 3), '502: 3',
       'new ones are cut off as well');
    is($idp->count($name), 2, 'that makes no exchanges');
}

# a request without a body has nothing to lose a 401 to

is($t->get($uris{none})->{status}, 502, 'no body: cut off');

$t->get('/?client=none') for 1 .. 3;

is($idp->count('none'), 1, 'that makes no exchange');

$t->finish();

done_testing();
