# Tests for pages that are behind the gate and take the place of an answer:
# while the body of the request is still discarded, or could not be read, of an
# answer that a filter does not let through, and of one that comes from the
# cache.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::H2;
use Zertiban::Memcached;
use Zertiban::Revocation;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $memcached = Zertiban::Memcached->new();
my $t = Zertiban::Nginx->new();
my $tokens = Zertiban::Revocation->new($t, $idp);

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url(),
    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;
    proxy_cache_valid 1m;
    proxy_cache_key $request_method$uri;
    proxy_cache_methods GET POST;

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_h2%% http2;

        client_body_buffer_size 64k;
        recursive_error_pages on;

        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant-$arg_client;
        zertiban_timeout 20s;

        location / {
            zertiban on;
            proxy_pass http://%%API%%;
        }

        # the argument says which page takes the place of an answer

        # memcached has nothing, and the body is discarded
        location /missing {
            set $memcached_key none;
            memcached_pass %%MEMCACHED%%;
            error_page 404 = @$arg_page;
        }

        # nginx closes the connection afterwards
        location /large {
            client_max_body_size 100;
            error_page 413 = @$arg_page;
        }

        # it is that of an answer for the cache that is filtered
        location /filtered {
            proxy_cache cache;
            proxy_pass http://%%API%%/open/tagged;
            error_page 412 = @$arg_page;
        }

        location /cached {
            proxy_cache cache;
            proxy_pass http://%%API%%/open/ranges;
            error_page 416 = @$arg_page;
        }

        # what is found while the body is read
        location /read {
            zertiban on;
            client_max_body_size 1k;
            error_page 413 = @$arg_page;
            proxy_pass http://%%API%%;
        }

        location @ignoring {
            zertiban on;
            proxy_ignore_client_abort on;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_pass http://%%API%%;
        }

        location @waiting {
            zertiban on;
            zertiban_client_id $arg_client-page;
            zertiban_client_secret secret-of-$arg_client-page;
            proxy_ignore_client_abort on;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_pass http://%%API%%;
        }

        location @static {
            limit_rate 100;
            return 200 "a page\n";
        }

        location @page {
            zertiban on;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            max_ranges 0;
            proxy_pass http://%%API%%;
        }

        location @bypassing {
            zertiban on;
            proxy_cache cache;
            max_ranges 0;
            proxy_cache_bypass 1;
            proxy_no_cache 1;
            proxy_pass http://%%API%%;
        }

        location @fallen {
            zertiban on;
            proxy_pass http://%%API%%;
            error_page 503 = @open;
        }

        location @open {
            proxy_ignore_client_abort on;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_pass http://%%API%%;
        }

        location @refused {
            zertiban on;
            zertiban_tenant_id "not a tenant$arg_nothing";
            proxy_pass http://%%API%%;
        }

        location @returned {
            return 400;
        }
    }
EOF
    MEMCACHED => $memcached->address());

my $body = 'amount' x 100;

# how the page comes: with a token that is waited for; from the second gate,
# since there is no token for the first one; and after a 401

my @kinds = qw(waiting fallen replayed);

# when the rest of the body comes, and then another request; or what the client
# does in place of that

my %rests = (
    during => 1, after => 1, late => 1,
    %Zertiban::Client::events{qw(fin reset)},
);

my @cases = map {
    my $path = $_;

    map {
        my $kind = $_;

        map {
            my $client = join '-', $path =~ /(\w+)/, $kind, $_;
            my $page = $kind eq 'fallen' ? 'fallen' : 'page';

            { path => $path, kind => $kind, rest => $_, client => $client,
              uri => "$path/$kind/$_?client=$client&page=$page" };
        } sort keys %rests;
    } @kinds;
} qw(/missing /large);

# and those of filters and of the cache

my @filtered = map { { method => $_, client => "filtered-$_",
                       uri => "/filtered?client=filtered-$_&page=page" } }
               qw(GET POST);

my %holding = map { $_->{client} => 1 } @cases, @filtered;
my $warm = 0;

$idp->answer(sub {
    return if $warm && $holding{$_[0]{client_id}};
    return $idp->issue($_[0]);
});

$api->answer(sub {
    my ($request) = @_;

    return $api->text(200, "tagged\n", 'ETag: "one"')
        if $request->{uri} =~ /tagged/;
    return $api->text(200, "ranges\n", 'Accept-Ranges: bytes')
        if $request->{uri} =~ /ranges/;

    return $tokens->answer($request)
           // ($request->{uri} =~ m{^/(missing|large|read)} ? ()
               : $api->default($request));
});


sub of {
    my ($rest) = @_;

    return grep { $_->{rest} eq $rest } @cases;
}


sub send_rest {
    my ($case) = @_;

    $case->{sent}{stream}->write(substr $body, 50);
}


sub send_next {
    my ($case) = @_;

    $case->{sent}{stream}->write(
        "GET /next?client=next HTTP/1.1\r\nHost: localhost\r\n\r\n");
}


my @cached = qw(cached-bypassing cached-page);
my @old = map { $_->{client} } grep { $_->{kind} eq 'replayed' } @cases;

$tokens->warm('barrier', 'next', @cached, @old);
$tokens->grow_old();
$tokens->revoke($_) for @old, @cached;

$warm = 1;

for my $case (@cases) {
    $case->{sent} = Zertiban::Client->new($t->port())->send(
        "GET $case->{uri} HTTP/1.1\r\nHost: localhost\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n"
        . substr $body, 0, 50);
}

$_->{sent} = $t->start($_->{method}, $_->{uri},
                       headers => ['If-Match: "two"'],
                       $_->{method} eq 'POST' ? (body => $body) : ())
    for @filtered;

ok(wait_until(sub { $idp->held() == @cases + @filtered }),
   'each waits for a token');

send_rest($_) for of('during');
$rests{$_->{rest}}->($_->{sent}) for of('fin'), of('reset');
$t->barrier();

$idp->release(sub {
    return $_[0]{client_id} =~ /fallen/
           ? "HTTP/1.1 500 Error\r\nContent-Length: 0\r\n\r\n"
           : $idp->issue($_[0]);
});

is($_->{sent}->response()->{body}, "$_->{method} $_->{uri}\n",
   "$_->{method}: in the place of an answer that was filtered")
    for @filtered;

my @stay = grep { $_->{rest} !~ /fin|reset/ } @cases;


sub asked {
    my ($case) = @_;

    return $api->count($case->{uri}) - ($case->{kind} eq 'replayed');
}


ok(wait_until(sub { !grep { asked($_) < 1 } @stay }), 'the API is asked');
send_rest($_) for of('after');
send_next($_) for of('during');
$t->barrier();

$_->answer($api->text(200, "page $_->{uri}\n"))
    for map { $api->last($_->{uri}) // () } @cases;

is($_->{sent}->response()->{body}, "page $_->{uri}\n",
   "$_->{path}, $_->{kind}, the rest $_->{rest}: the page") for @stay;

send_rest($_) for of('late');
send_next($_) for of('after'), of('late');

is($_->{sent}->response()->{body} // '',
   $_->{path} eq '/large' ? '' : "GET /next?client=next\n",
   "$_->{path}, $_->{kind}, the rest $_->{rest}: the next request") for @stay;

is(count_of(map { asked($_) } @stay), '1: ' . @stay, 'each was asked once');

# a body that is too large, which nginx sees when some of it has come

my @pages = qw(page ignoring waiting open static);
my @read = map { my $page = $_;
                 map { { page => $page, protocol => $_, client => "read-$page",
                         uri => "/read?client=read-$page&page=$page&$_" } }
                 qw(one two) } @pages;

$tokens->warm(map { "read-$_" } @pages);
$idp->answer(sub { $_[0]{client_id} =~ /-page$/ ? () : $idp->issue($_[0]) });

my $part = 'x' x 10_000;

for my $case (@read) {
    if ($case->{protocol} eq 'one') {
        $case->{sent} = Zertiban::Client->new($t->port())->send(
            "POST $case->{uri} HTTP/1.1\r\nHost: localhost\r\n"
            . "Transfer-Encoding: chunked\r\n\r\n");

    } else {
        $case->{h2} = Zertiban::H2->new($t->port('h2'));
        $case->{id} = $case->{h2}->request('POST', $case->{uri}, 0);
    }
}

$t->barrier();


sub send_part {
    my ($first) = @_;

    for my $case (@read) {
        $case->{h2} ? $case->{h2}->data($case->{id}, $part)
                    : $case->{sent}{stream}->write($first . $part);
    }

    $t->barrier();
}


send_part(sprintf "%x\r\n", 3 * length $part);

my @proxied = grep { $_->{page} ne 'static' } @read;
my @at_once = grep { $_->{page} ne 'waiting' } @proxied;

ok(wait_until(sub { !grep { !$api->count($_->{uri}) } @at_once }),
   'the body is too large: the API is asked for the page');
ok(wait_until(sub { $idp->held() == 1 }), 'or a token is waited for');

send_part('');
$idp->release();

ok(wait_until(sub { !grep { !$api->count($_->{uri}) } @proxied }),
   'the API is asked for all pages');

for my $case (@read) {
    $case->{h2} ? $case->{h2}->end($case->{id}, $part)
                : $case->{sent}{stream}->write("$part\r\n0\r\n\r\n");
}

$t->barrier();

$_->answer($api->text(200, "a page\n"))
    for map { $api->requests($_->{uri}) } @proxied;

for my $case (@read) {
    my $name = "$case->{page}, HTTP/$case->{protocol}";

    $case->{h2} ? ok(wait_until(sub { $case->{h2}->statuses($case->{id}) }),
                     "$name: a page")
                : is($case->{sent}->response()->{body}, "a page\n",
                     "$name: the page");
}

$t->barrier();
is(count_of(map { $api->count($_->{uri}) } @read), '0: 2, 1: ' . @proxied,
   'and each was asked for once');

# an error page that is refused is an error as any other

sub shape {
    my ($response) = @_;

    return join ' ', $response->{status}, $response->{body};
}


my ($refused, $returned) = map {
    shape($t->get("/filtered/$_?page=$_", headers => ['If-Match: "two"']))
} qw(refused returned);

is($refused, $returned, 'a page that is refused');

# its 401 is not the cache's

for my $page (qw(bypassing page)) {
    my $client = "cached-$page";
    my $uri = "/cached/$page?client=$client&page=$page";

    $t->get($uri) for 1 .. 2;
    is($t->get($uri, headers => ['Range: bytes=100-200'])->{body},
       "GET $uri\n", "$client: in the place of an answer from the cache");
    $tokens->replayed($api, $uri, $client);
}

$t->finish();

done_testing();
