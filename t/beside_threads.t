# Tests for files that threads read and write: caches, stored answers, request
# bodies, what a redirect leads to.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw(md5_hex);

use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new(main => 'thread_pool one threads=1;');

my %files = map { $_ => join '', map { chr 97 + rand 26 } 1 .. $_ }
            20_000, 500_000;
my $file = $files{20_000};

mkdir $t->dir() . "/$_" for qw(html stored);

$t->write_file('html/file', $file);
$t->write_file('html/page.html', join '', map {
    "<!--#include virtual=\"/kept/$_?client=ssi\" -->" } 1 .. 3);

$t->run(<<'EOF',
    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m use_temp_path=off;

    aio threads=one;
    aio_write on;
    output_buffers 2 4k;

    client_max_body_size 1m;
    client_body_in_file_only clean;
    proxy_buffers 4 4k;
    proxy_busy_buffers_size 8k;

    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/html;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id client-$arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant-$arg_client;

        proxy_cache_valid 200 206 1m;
        proxy_cache_key $uri$zertiban_tenant_id$slice_range;

        add_header X-Cache "$upstream_cache_status" always;

        location / {
            proxy_pass http://%%API%%;
        }

        location /kept {
            proxy_pass http://%%API%%;
            proxy_cache cache;
            proxy_cache_lock on;
        }

        location /kept/direct {
            proxy_pass http://%%API%%;
            proxy_cache cache;
            directio 4k;
        }

        location /kept/sendfile {
            proxy_pass http://%%API%%;
            proxy_cache cache;
            sendfile on;
        }

        location /kept/stale {
            proxy_pass http://%%API%%;
            proxy_cache cache;
            proxy_cache_valid 200 1s;
            proxy_cache_use_stale updating;
            proxy_cache_background_update on;
        }

        location /kept/slices {
            slice 4k;
            proxy_pass http://%%API%%;
            proxy_cache cache;
            proxy_set_header Range $slice_range;
        }

        location /stored {
            proxy_pass http://%%API%%;
            proxy_store %%DIR%%/stored/answer;
        }

        location /error {
            proxy_pass http://%%API%%;
            proxy_intercept_errors on;
            error_page 404 /file;
        }

        location = /file {
            zertiban off;
        }

        location = /page.html {
            zertiban off;
            ssi on;
        }
    }
EOF
    API => $api->address(), IDP => $idp->url());

$api->answer(sub {
    my ($request) = @_;

    my ($path, $n) = $request->{uri} =~ /^([^?]+).*?(?:n=(\d+))?$/;
    my $body = $files{$n // 20_000};

    return $api->text(404, "none\n") if $path eq '/error';
    return $api->text(200, "no\n", 'X-Accel-Redirect: /file')
        if $path eq '/accel';
    return $api->text(200, $body) if $path ne '/kept/slices';

    my ($from, $to) = ($request->header('Range'))[0] =~ /(\d+)-(\d+)/;
    my $part = substr $body, $from, $to - $from + 1;

    return $api->text(206, $part, 'ETag: "one"', sprintf
        'Content-Range: bytes %d-%d/%d', $from, $from + length($part) - 1,
        length $body);
});


# whose token and tenant each of the requests to a URI had

sub sent {
    my ($uri) = @_;

    my ($client) = $uri =~ /client=(\w+)/;

    return count_of(map {
        my $request = $_;
        (grep { $_ eq $request->token() } $idp->tokens("client-$client"))
            && $request->tenant() eq "tenant-$client" ? 'gate' : 'other'
    } $api->requests($uri));
}


sub cached {
    my ($uri, $body) = @_;

    my $response = $t->get($uri);

    return join ' ', $response->header('X-Cache'),
                     $response->{body} eq $body ? 'whole' : 'other';
}


# caches

for my $path (qw(kept kept/direct kept/sendfile kept/slices)) {
    for my $n (sort keys %files) {
        my $uri = "/$path?client=cache$n&n=$n";
        my $requests = $path =~ /slices/ ? int(($n + 4095) / 4096) : 1;

        is(cached($uri, $files{$n}), 'MISS whole', "to the cache ($path, $n)");
        is(count_of(map { cached($uri, $files{$n}) } 1 .. 3), 'HIT whole: 3',
           'and from there');
        is(sent($uri), "gate: $requests", 'the API gets the token');
    }
}

my $uri = '/kept?client=locked';

$idp->hold();

my @clients = map { $t->start('GET', $uri) } 1 .. 10;

wait_until { $idp->held() };
$idp->release();

is(count_of(map { $_->response()->{body} eq $file } @clients), '1: 10',
   'requests that wait for a token, and for the cache');
is(sent($uri), 'gate: 1', 'are one to the API');

$uri = '/kept/stale?client=stale';
is(cached($uri, $file), 'MISS whole', 'what is kept for a second');
ok(wait_until(sub { cached($uri, $file) =~ /STALE/ })
   && wait_until(sub { $api->count($uri) == 2 }), 'is updated later');
is(sent($uri), 'gate: 2', 'with the token');

for my $turn (qw(MISS HIT)) {
    is($t->get('/page.html')->{body}, $file x 3, "parts of a page ($turn)");
}

is(sent("/kept/$_?client=ssi"), 'gate: 1', 'each was asked for once')
    for 1 .. 3;


# other files

$uri = '/stored?client=stored&n=500000';
is($t->get($uri)->{body} eq $files{500_000}, 1, 'an answer that is stored');
ok(wait_until(sub { $t->read_file('stored/answer') eq $files{500_000} }),
   'is in its file');
is(sent($uri), 'gate: 1', 'the API gets the token');

for my $path (qw(error accel)) {
    $uri = "/$path?client=$path";
    is($t->get($uri)->{body}, $file, "an $path page that is a file");
    is(sent($uri), 'gate: 1', 'the API gets the token');
}

$idp->hold();

my $body = 'b' x 300_000;
my @posts = map { "/post/$_?client=post" } 1 .. 3;

@clients = map { $t->start('POST', $_, body => $body) } @posts;

wait_until { $idp->held() };
$idp->release();

is(count_of(map { $_->response()->{status} } @clients), '200: 3',
   'bodies in files');
is(count_of(map { $api->last($_)->{digest} } @posts), md5_hex($body) . ': 3',
   'reach the API');
is(count_of(map { sent($_) } @posts), 'gate: 1: 3', 'with the token');


# clients that leave while a thread works

$uri = '/kept?client=cache500000&n=500000';
$_->leave(reset => 1) for map { $t->start('GET', $uri) } 1 .. 50;
is(cached($uri, $files{500_000}), 'HIT whole', 'clients have left');

ok(switches() > 100, 'threads have done that');

$t->finish();

done_testing();


# how often the workers' other threads have waited for work

sub switches {
    my $n = 0;

    for my $pid ($t->processes()) {
        for my $task (grep { !m{/$pid\z} } glob "/proc/$pid/task/*") {
            open my $fh, '<', "$task/status" or next;
            $n += $_ for map { /^voluntary_ctxt_switches:\s*(\d+)/ } <$fh>;
        }
    }

    return $n;
}
