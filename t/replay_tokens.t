# Tests for the token that the API answers with 401: when it is dropped, and
# by whom, and that all who had it share one exchange.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw(uniq);

use Zertiban::Loop;
use Zertiban::Revocation;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new(workers => 4);
my $tokens = Zertiban::Revocation->new($t, $idp);

# lifetimes of a client's tokens, the last one for all that follow; 0 is one
# that is held back

my %lifetimes = (
    renewed => [1, 300], late => [1, 300], twice => [1, 4, 300],
    map { $_ => [0, 0, 300] } qw(refreshed unrefreshed stale),
);

# those that are refreshed without requests

my @refreshed = grep { !$lifetimes{$_}[0] } sort keys %lifetimes;

my $static = join '', map { <<"EOF" } @refreshed;
        location /$_ {
            zertiban_client_id $_;
            zertiban_client_secret secret-of-$_;
            zertiban_tenant_id tenant-$_;
            proxy_pass http://%%API%%;
        }
EOF

$idp->answer(sub {
    my ($request) = @_;

    my $list = $lifetimes{$request->{client_id}} // [300];
    my $lifetime = @$list > 1 ? shift @$list : $list->[0];

    return $idp->issue($request, expires_in => $lifetime) if $lifetime;
    return;
});

$t->run(<<'EOF' =~ s/%%STATIC%%/$static/r,
    server {
        listen 127.0.0.1:%%PORT%% reuseport backlog=1024;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_timeout 30s;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant-$arg_client;

        proxy_read_timeout 60s;

        add_header X-Seen "$zertiban_cache $upstream_status" always;
        add_header X-Wait $zertiban_wait_time always;

        location / {
            proxy_pass http://%%API%%;
        }

        location /open {
            zertiban off;
            proxy_pass http://%%API%%;
        }

%%STATIC%%
    }
EOF
    API => $api->address(), IDP => $idp->url());

# a refusal that has nothing to do with the token

my $forbidden = $api->text(401, join('', map { chr } 0 .. 255),
    'WWW-Authenticate: Bearer error="insufficient_scope", scope="pay"',
    'WWW-Authenticate: Basic realm="other"', 'Content-Type: image/x-any',
    'Content-Language: es', 'X-Own: 1', 'x-own: 2', 'Set-Cookie: a=b',
    'Cache-Control: no-store', 'Retry-After: 7');

# paths whose requests with an old token are held back
my %held;

$api->answer(sub {
    my ($request) = @_;

    my ($path) = $request->{uri} =~ /^([^?]+)/;

    return if $held{$path};
    return $forbidden if $path =~ /forbidden/;
    return $tokens->answer($request) // $api->default($request);
});


sub unauthorized {
    my ($uri, $n) = @_;

    my @requests = $api->requests($uri);

    $_->answer($api->text(401, "revoked\n"))
        for defined $n ? $requests[$n] : @requests;
}


sub seen {
    my ($response) = @_;

    return join ' ', $response->{status}, $response->header('X-Seen');
}


# a worker has seen the 401 for it

sub replayed {
    my ($uri) = @_;

    return scalar $t->error_log(qr/replaying the request.*"GET \Q$uri\E /);
}


# another token for a client whose token ends soon

sub renew {
    my ($client, $n) = @_;

    wait_until {
        $t->get("/renew?client=$client");
        $idp->tokens($client) >= $n;
    } or die "no new token for $client";
}


# a client's exchange that is held back

sub exchange_of {
    my ($client) = @_;

    return ($idp->held($client))[0];
}


sub release {
    my ($exchange, %o) = @_;

    $exchange->reply($idp->issue($exchange, %o));
}


# what waits for the first token to grow old

my @names = qw(renewed late twice young forbidden burst slow);

%held = map { $_ => 1 } qw(/renewed/held /late/held /twice/held);

$tokens->warm(@names);

my %clients = map {
    $_ => $t->start('GET', "/$_/held?client=$_")
} qw(renewed late twice);

wait_until { !grep { !$api->count("/$_/held?client=$_") } keys %clients }
    or die 'not all requests are held';


# one 401 after another, until the token is not young any more and then some,
# and twenty at once for the next one

my (@forbidden, @twenty);
my $more = 6;

sub call_in_vain {

    # two that had the old token would both be replayed
    if (@forbidden && !$forbidden[-1]->done()) {
        Zertiban::Loop::after(0.05, \&call_in_vain);
        return;
    }

    push @forbidden, $t->start('GET', '/forbidden?client=forbidden');

    if ($idp->count('forbidden') == 2 && !$more--) {
        @twenty = map { $t->start('GET', '/forbidden/more?client=forbidden') }
                  1 .. 20;
        return;
    }

    Zertiban::Loop::after(0.5, \&call_in_vain);
}

call_in_vain();


# a young token

my $uri = '/forbidden/young?client=young';
my $response = $t->get($uri);

is(seen($response), '401 hit 401', 'a 401 for a young token');
is($api->count($uri), 1, 'is not replayed');
is($response->{body}, join('', map { chr } 0 .. 255),
   'the client sees its body');

is_deeply([grep { $_->[0] !~ /^(?:date|x-seen|x-wait)$/i }
                @{$response->{headers}}],
          [grep { $_->[0] !~ /^(?:date|x-seen)$/i }
                @{$t->get('/open/forbidden')->{headers}}],
          'and its headers, as if there were no gate');

is(count_of(map { seen($t->get("$uri&$_")) } 1 .. 20), '401 hit 401: 20',
   'twenty more');
is($idp->count('young'), 1, 'make no exchange');


# a 401 that comes after the token was renewed

renew('renewed', 2);

$uri = '/renewed/held?client=renewed';
delete $held{'/renewed/held'};

my $exchanges = $idp->count('renewed');

unauthorized($uri);
$response = $clients{renewed}->response();

is(seen($response), '200 replay 401 : 200',
   'a 401 for a token that is not current any more');
is($tokens->tokens($api, $uri), "1 $exchanges", 'is replayed');
is($idp->count('renewed'), $exchanges, 'without an exchange');
is(($response->header('X-Wait'))[0], '0.000', 'at once');


# the same, but its replay has a 401 for a token that is not current

renew('twice', 2);

$uri = '/twice/held?client=twice';
unauthorized($uri, 0);
wait_until { $api->count($uri) == 2 };
is($tokens->tokens($api, $uri), '1 2', 'a replay that takes long');

renew('twice', 3);
delete $held{'/twice/held'};
unauthorized($uri, 1);
$response = $clients{twice}->response();

is(seen($response), '401 replay 401 : 401', 'is not replayed again');
is($response->{body}, "revoked\n", 'but passed as it is');
is($api->count($uri), 2, 'there were two requests');

renew('late', 2);


# tokens that are old, but for those that would have ended until then

for my $name (@refreshed) {
    release(wait_until { exchange_of($name) }, expires_in => 22);

    ok(wait_until(sub {
        seen($t->get("/$name?client=$name")) eq '200 hit 200';
    }), "a token that is $name");
}

$tokens->grow_old();


# 401 while the token is refreshed

ok(wait_until(sub { @refreshed == grep { exchange_of($_) } @refreshed }),
   'tokens that are being refreshed');
is(count_of(map { seen($t->get("/$_/still?client=$_")) } @refreshed),
   '200 hit 200: 3', 'and serve until then');

$tokens->revoke($_) for @refreshed;
my @uris = map { "/$_?client=$_&n=$_" } @refreshed;
my %meanwhile = map {
    $_ => $t->start('GET', "/$_?client=$_&n=$_")
} @refreshed;

# another request finds that there is no token, as soon as the 401 is known
ok(wait_until(sub { @uris == grep { replayed($_) } @uris }),
   'a 401 in the meantime');
my $another = $t->start('GET', '/refreshed/another?client=refreshed');
wait_until { 0 } 0.5;

is(join(' ', map { $api->count($_) } @uris), '1 1 1',
   'waits for the exchange in flight');
is(count_of(map { $idp->count($_) } @refreshed), '2: 3',
   'and makes no other');

release(exchange_of('refreshed'));
is(seen($meanwhile{refreshed}->response()), '200 replay 401 : 200',
   'it is replayed when that ends');
is(seen($another->response()), '200 wait 200', 'others have waited for it');
is($tokens->tokens($api, $uris[0]), '1 2', 'with its token');
is($idp->count('refreshed'), 2, 'without another exchange');

exchange_of('unrefreshed')->reply(Zertiban::IdP::json(500, error => 'sorry'));
is(seen($meanwhile{unrefreshed}->response()), '503 error 401',
   'an exchange in flight that fails');
is(seen($t->get("$uris[2]&then")), '503 error ',
   'does not bring the old token back');
is($api->count("$uris[2]&then"), 0, 'it is not sent');

# an IdP that gives the old token again
release(exchange_of('stale'), token => ($idp->tokens('stale'))[0]);
is(seen($meanwhile{stale}->response()), '401 replay 401 : 401',
   'an old token that comes back');
is(seen($t->get("$uris[1]&then")), '401 hit 401', 'is kept for a while');
is($idp->count('stale'), 2, 'and makes no other exchange');


# a 401 for a token that was replaced long ago

$uri = '/late/held?client=late';
delete $held{'/late/held'};
$exchanges = $idp->count('late');

unauthorized($uri);
is(seen($clients{late}->response()), '200 replay 401 : 200',
   'a 401 for a token that has been replaced for long');
is($tokens->tokens($api, $uri), "1 $exchanges", 'is replayed');
is(seen($t->get("$uri&then")), '200 hit 200', 'the new one is not dropped');
is($idp->count('late'), $exchanges, 'and there is no other exchange');


# a permission that is missing

wait_until { @twenty } 15 or die 'its token stays';

my @responses = map { $_->response() } @forbidden;
my @exchanges = grep { $_->{client_id} eq 'forbidden' } @{$idp->{requests}};
my @issued = grep { $_->{client_id} eq 'forbidden' } @{$idp->{tokens}};

is(count_of(map { seen($_) } @responses),
   '401 hit 401: ' . $#responses . ', 401 replay 401 : 401: 1',
   'a 401 that stays is replayed once in a long time');
is(count_of(map { $_->{body} } @responses),
   join('', map { chr } 0 .. 255) . ': ' . @responses,
   'and always passed as it is');
is(scalar @exchanges, 2, 'it makes one exchange');
cmp_ok($exchanges[1]{time} - ($issued[0]{expires} - $issued[0]{lifetime}),
       '>=', 9.95, 'after ten seconds');
is($api->count('/forbidden?client=forbidden'), @responses + 1,
   'and one request more');

is(count_of(map { seen($_->response()) } @twenty), '401 hit 401: 20',
   'twenty more at once');
is($idp->count('forbidden'), 2, 'make no exchange');


# 200 at once, in all workers

my @clients = $t->connect_workers(50);
@uris = map { "/burst/$_?client=burst" } 1 .. @clients;

%held = map { $_ => 1 } map { s/\?.*//r } @uris;
$lifetimes{burst} = [0, 300];

$clients[$_]->send("GET $uris[$_] HTTP/1.1\r\nHost: localhost\r\n"
                   . "Connection: close\r\n\r\n") for 0 .. $#clients;

wait_until { @uris == grep { $api->count($_) } @uris }
    or die 'not all requests are held';

%held = ();
unauthorized($_) for @uris;

release(wait_until { exchange_of('burst') });

is(count_of(map { seen($_->response()) } @clients),
   '200 replay 401 : 200: 200', '200 requests with a 401 at once: served');
is(count_of(map { $tokens->tokens($api, $_) } @uris), '1 2: 200',
   'each by one replay');
is($idp->count('burst'), 2, 'after one exchange');
is(scalar uniq(map { $_->{worker} } @clients), 4, 'in four workers');

@uris = map { "/burst/later/$_?client=burst" } 1 .. 40;
@clients = map { $t->start('GET', $_) } @uris;

is(count_of(map { seen($_->response()) } @clients), '200 hit 200: 40',
   'later ones need none');
is(count_of(map { $tokens->tokens($api, $_) } @uris), '2: 40',
   'no worker has the old token');


# an exchange that takes its time

$lifetimes{slow} = [0];
$tokens->revoke('slow');

$uri = '/slow?client=slow';

my $client = $t->start('GET', $uri);
my $exchange = wait_until { exchange_of('slow') };

wait_until { 0 } 0.3;
release($exchange);

$tokens->healed($api, $uri, $response = $client->response(),
                'a slow exchange', "GET $uri\n");
cmp_ok(($response->header('X-Wait'))[0], '>=', 0.25,
       'the time of it is in $zertiban_wait_time');

$t->finish();

done_testing();
