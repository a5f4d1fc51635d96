# Tests for the token staying out of files: caches, stored answers, temporary
# files. What waits there for other clients is what its client sent.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Callers;
use Zertiban::Elsewhere;
use Zertiban::Loop;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();
my $elsewhere = Zertiban::Elsewhere->new();
my $callers = Zertiban::Callers->new($t, idp => $idp, api => $api,
                                     elsewhere => $elsewhere);
my $n = $callers->n();

$t->run(<<'EOC',
    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m use_temp_path=off;
    %%MAP%%

    client_max_body_size 1m;
    client_body_buffer_size 16k;

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_h2%% http2;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id client-$arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant$arg_tenant;

        location / {
            proxy_pass http://%%API%%;
        }

        location /open/ {
            zertiban off;
            proxy_pass http://%%ELSEWHERE%%;
        }

        location /cached {
            proxy_pass http://%%API%%;
            proxy_cache cache;
            proxy_cache_key '$request_uri %%SHOWN%%';
            proxy_cache_valid 1m;
            mirror /open/mirror;
            add_header X-Cache $upstream_cache_status;
        }

        location /varied {
            proxy_pass http://%%API%%;
            proxy_cache cache;
            proxy_cache_key $request_uri;
            proxy_cache_valid 1m;
            proxy_cache_lock on;
            add_header X-Cache $upstream_cache_status;
        }

        location /stale {
            proxy_pass http://%%API%%;
            proxy_cache cache;
            proxy_cache_key '$request_uri %%SHOWN%%';
            proxy_cache_valid 1s;
            proxy_cache_use_stale updating;
            proxy_cache_background_update on;
            mirror /open/mirror;
            add_header X-Cache $upstream_cache_status;
        }

        location /slices {
            slice 1k;
            proxy_pass http://%%API%%;
            proxy_cache cache;
            proxy_cache_key '$request_uri $slice_range %%SHOWN%%';
            proxy_cache_valid 1m;
            proxy_set_header Range $slice_range;
            mirror /open/mirror;
            add_header X-Cache $upstream_cache_status;
        }

        location /stored {
            root %%DIR%%/stored;
            proxy_store on;
            proxy_pass http://%%API%%;
        }

        location /uploaded {
            client_body_in_file_only on;
            proxy_pass http://%%API%%;
        }
    }
EOC
    API => $api->address(), IDP => $idp->url(),
    ELSEWHERE => $elsewhere->address(), Zertiban::Callers::config());

my $slices = join '', map { chr 97 + $_ % 26 } 1 .. 3000;

$api->answer(sub {
    my ($request) = @_;

    return $api->text(200, "cached\n", 'Vary: Authorization, X-Tenant-Id')
        if $request->{uri} =~ m{^/varied};

    return $api->text(200, 'x' x 8_000_000)
        if $request->{uri} =~ m{^/large};

    return $api->default($request) if $request->{uri} !~ m{^/slices};

    my ($from, $to) = ($request->header('Range'))[0] =~ /(\d+)-(\d+)/;
    my $part = substr $slices, $from, $to - $from + 1;

    return $api->text(206, $part, 'ETag: "one"', sprintf
        'Content-Range: bytes %d-%d/3000', $from, $from + length($part) - 1);
});


# what the callers have from a cache, and the lengths of the bodies

sub cached {
    my ($uri, $case) = @_;

    my @answers = $callers->call('GET', "$uri?client=1", case => $case);
    my %lengths = map { length($_->{body}) => 1 } @answers;

    return join ' ', count_of(map { $_->{head} =~ /^x-cache: (\S+)\r?$/mi }
                              @answers), sort keys %lengths;
}


is($t->get('/?client=1')->{status}, 200, 'there is a token');

# will be too old at the end
cached('/stale', 'fresh');


# caches

like(cached('/cached', 'first'), qr/MISS/, 'an answer for a cache');
like($callers->whose('first', 2, 'api'), qr/^gate: \d$/,
     'the API gets token and tenant');
is(cached('/cached', 'again'), "HIT: $n 21", 'is served from there');
is($callers->whose('again', 0, 'api'), '', 'the API gets nothing');
is($callers->whose($_, $n, 'elsewhere'), "client: $n",
   'elsewhere there is what the client sent') for qw(first again);

like(cached('/varied', 'varied'), qr/MISS/, 'an answer that varies');
is(count_of(map { ($_->header('X-Kind'))[0] =~ s/many/bare/r }
            $callers->requests('varied', 'api')) =~ s/: \d//gr, 'bare, own',
   'is asked for with each of what clients send');
is(cached('/varied', 'varied-again'), "HIT: $n 7", 'and found by it');

like(cached('/slices', 'slices'), qr/ 3000$/, 'slices');
like($callers->whose('slices', 6, 'api'), qr/^gate: \d+$/,
     'the API gets token and tenant');
is($callers->whose('slices', $n, 'elsewhere'), "client: $n",
   'elsewhere there is what the client sent');

ok(wait_until(sub { cached('/stale', 'stale') =~ /STALE/ }),
   'an answer that is updated in the background');
like($callers->whose('stale', 1, 'api'), qr/^gate: \d+$/,
     'the API gets token and tenant');
like($callers->whose('stale', $n, 'elsewhere'), qr/^client: \d+$/,
     'elsewhere there is what the client sent');


# files that stay, and those that are there for a while

is(count_of(map { $_->{status} } $callers->call('GET', '/stored?client=1')),
   "200: $n", 'answers that are stored');

is(count_of(map { $_->{status} }
            $callers->call('POST', '/uploaded?client=1',
                           body => 'x' x 100000)),
   "200: $n", 'bodies that are kept');

my $large = $t->start('GET', '/large?client=1', headers => [
    $callers->fields('own', 'large')]);

Zertiban::Loop::unwatch($large->{stream}{fh});

# the name of the file has no end
ok(wait_until(sub { $t->error_log(qr/buffered to a temporary .*large/) }),
   'an answer that is too large for memory');

is(join(', ', $callers->on_disk()), '', 'no file holds a token or a secret');

for my $place (qw(cache stored client_body proxy logs)) {
    ok((grep { m{^$place/} } @{$callers->{searched}}),
       "there are files in $place");
}

is($callers->whose('large', 1, 'api'), 'gate: 1',
   'the API got token and tenant for each');
$large->leave();

my @keys = map { /^KEY: \S+ (?:bytes=\S+ )?(\[.*)$/m }
           map { $t->read_file($_) } grep { /^cache/ }
           @{$callers->{searched}};

is(count_of(@keys) =~ s/: \d+//gr,
   join(', ', sort map { $callers->shown($_) } qw(own bare)),
   'keys in a cache have what clients sent');


is($elsewhere->leaks(), 0, 'no token and no secret has come elsewhere');

$t->finish();

done_testing();
