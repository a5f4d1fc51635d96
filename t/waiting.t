# Tests for what happens to a client's connection while its request waits for
# a token: before it was read, when its body was, and after a 401.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Revocation;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();
my $tokens = Zertiban::Revocation->new($t, $idp);

$t->run(<<'EOF', API => $api->address(),
    client_body_buffer_size 1k;

    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant-$arg_client;
        zertiban_timeout 20s;

        location / {
            proxy_pass http://%%API%%;
        }

        location /ignore {
            proxy_ignore_client_abort on;
            proxy_pass http://%%API%%;
        }

        location /stored {
            root %%DIR%%;
            proxy_store on;
            proxy_pass http://%%API%%;
        }
    }
EOF
    IDP => $idp->url());

my %events = %Zertiban::Client::events;

my %leaves = map { $_ => 1 } qw(fin close reset);

# when they wait, and the bytes of a body, of which the last one comes late
# where it is to be waited for: a file holds them

my @moments = qw(first body again);
my $body = 'amount' x 1000;

my @cases = map {
    my $moment = $_;

    map {
        my $place = $_;

        map { { moment => $moment, place => $place, event => $_,
                client => "$moment-$place-$_" } } sort keys %events;
    } qw(plain ignore stored);
} @moments;

for my $case (@cases) {
    $case->{uri} = "/$case->{place}/pay?client=$case->{client}";

    # a client that leaves ends a request only if nginx looks at it
    $case->{gone} = $leaves{$case->{event}} && $case->{place} eq 'plain';
}

my %holding;

$idp->answer(sub {
    my ($request) = @_;

    return if $holding{$request->{client_id}};
    return $idp->issue($request);
});

$api->answer(sub { $tokens->answer($_[0]) // $api->default($_[0]) });


sub of {
    my ($moment) = @_;

    return grep { $_->{moment} eq $moment } @cases;
}


sub status_of {
    my ($case) = @_;

    my ($line) = grep { /^\Q$case->{uri}\E / }
                 split /^/, $t->read_file('logs/access.log');

    return $line && $line =~ /status=(\d+)/ ? $1 : '';
}


$tokens->warm('barrier', map { $_->{client} } of('body'), of('again'));
$tokens->grow_old();

# without a token; with a body that ends when the token has gone; and with a
# token that the API refuses

$holding{$_->{client}} = 1 for of('first');

for my $case (@cases) {
    my $client = $case->{client};

    $case->{sent} = $t->start('POST', $case->{uri}, body => $body,
                              connection => 'keep-alive')
        if $case->{moment} eq 'first';

    next if $case->{moment} ne 'body';

    my $all = length $body;
    $case->{sent} = Zertiban::Client->new($t->port())->send(
        "POST $case->{uri} HTTP/1.1\r\nHost: localhost\r\n"
        . "Content-Length: $all\r\n\r\n" . substr $body, 1);
}

$t->barrier();

$holding{$_->{client}} = 1 for of('body'), of('again');
$tokens->revoke($_->{client}) for of('body'), of('again');

for my $case (of('body')) {
    push @{$case->{others}}, $t->start('GET', "/other?client=$case->{client}");
}

$_->{sent} = $t->start('POST', $_->{uri}, body => $body,
                       connection => 'keep-alive') for of('again');

ok(wait_until(sub { $idp->held() == @cases }), 'each waits for an exchange');

$_->{sent}{stream}->write(substr $body, 0, 1) for of('body');

$t->barrier();

is(count_of(map { $api->count($_->{uri}) } @cases),
   '0: ' . (of('first') + of('body')) . ', 1: ' . of('again'),
   'the API has those that it has refused');

# the events

$events{$_->{event}}->($_->{sent}) for @cases;

$t->barrier();
$events{byte}->($_->{sent}) for grep { $_->{event} =~ /byte|next/ } @cases;
$t->barrier();

is(count_of(map { status_of($_) } grep { $_->{gone} } @cases),
   '499: ' . grep({ $_->{gone} } @cases), 'clients that leave are gone');
is(count_of(map { status_of($_) } grep { !$_->{gone} } @cases),
   ': ' . grep({ !$_->{gone} } @cases), 'the others wait');

%holding = ();
$idp->release(sub { $idp->issue($_[0]) });

for my $case (@cases) {
    next if $case->{event} =~ /close|reset/;

    is($case->{sent}->response()->{status}, $case->{gone} ? 0 : 200,
       "$case->{moment}, $case->{place}: the answer to a client that does"
       . " this: $case->{event}");
}

is(count_of(map { map { $_->response()->{status} } @{$_->{others}} } @cases),
   '200: ' . of('body'), 'those that have found the token refused');

ok(wait_until(sub { !grep { status_of($_) eq '' } @cases }),
   'all have ended');
$t->barrier();

for my $moment (@moments) {
    my $gone = grep { $_->{gone} } of($moment);
    my $paid = of($moment) - $gone;
    my $before = $moment eq 'again' ? 1 : 0;

    is(count_of(map { $api->count($_->{uri}) - $before } of($moment)),
       "0: $gone, 1: $paid", "$moment: each is sent once, or not at all");
}

is(count_of(map { $_->{length} } map { $api->requests($_->{uri}) } @cases),
   length($body) . ': ' . (grep({ !$_->{gone} } @cases) + of('again')),
   'with all of its body');

# what the log says of a request is what it does

my @buffered = $t->error_log(qr/body is buffered/);
my @replayed = $t->error_log(qr/replaying the request/);

ok(@buffered >= of('first') - grep({ $_->{gone} } of('first')),
   'bodies that were read after the wait');
is(scalar(grep { /while/ } @buffered, @replayed), 0,
   'nothing is said to happen while something else does');

$t->finish();

done_testing();
