# Tests for modules that change the answer: parts before and after it,
# replaced text, compression.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Compress::Gzip qw(gzip);
use IO::Uncompress::Gunzip qw(gunzip);

use Zertiban::Beside;
use Zertiban::Callers;
use Zertiban::Elsewhere;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new(load => [beside(qw(brotli-filter zertiban))]);
my $elsewhere = Zertiban::Elsewhere->new();
my $callers = Zertiban::Callers->new($t, idp => $idp, api => $api,
                                     elsewhere => $elsewhere);

$t->run(<<'EOC',
    %%MAP%%

    gzip_types text/plain;
    gzip_min_length 1;
    brotli_types text/plain;
    brotli_min_length 1;
    addition_types text/plain;

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_h2%% http2;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id client;
        zertiban_client_secret secret-of-client;
        zertiban_tenant_id tenant;

        location / {
            proxy_pass http://%%API%%;
        }

        location /open/ {
            zertiban off;
            proxy_pass http://%%ELSEWHERE%%;
        }

        location /added {
            add_before_body /open/before;
            add_after_body /after;
            proxy_pass http://%%API%%;
        }

        location /added/open {
            zertiban off;
            add_before_body /before;
            add_after_body /open/after;
            proxy_pass http://%%ELSEWHERE%%;
        }

        location /replaced {
            sub_filter GET '%%SHOWN%%';
            sub_filter_types text/plain;
            proxy_pass http://%%API%%;
        }

        location /gzip {
            gzip on;
            proxy_pass http://%%API%%;
        }

        location /gunzip {
            gunzip on;
            proxy_pass http://%%API%%;
        }

        location /brotli {
            brotli on;
            gzip on;
            proxy_pass http://%%API%%;
        }

        location /all {
            add_before_body /open/before;
            add_after_body /after;
            sub_filter all '%%SHOWN%%';
            sub_filter_types text/plain;
            gunzip on;
            gzip on;
            brotli on;
            proxy_pass http://%%API%%;
        }
    }
EOC
    API => $api->address(), IDP => $idp->url(),
    ELSEWHERE => $elsewhere->address(), Zertiban::Callers::config());

for my $server ($api, $elsewhere) {
    $server->answer(sub {
        my ($request) = @_;

        my $body = "$request->{method} $request->{uri}\n";
        my @fields = ('Content-Type: text/plain');

        if ($request->{uri} =~ /gunzip/) {
            gzip(\$body => \my $packed);
            ($body, @fields) = ($packed, @fields, 'Content-Encoding: gzip');
        }

        return $server->text(200, $body, @fields);
    });
}


# parts: all requests for a client count as of the URI that it has asked for

my @answers = $callers->goes('/added', 'an answer with parts', 200, 2, 1);

is(count_of(map { $_->{body} } @answers),
   "GET /open/before\nGET /added?client=1\nGET /after\n: " . $callers->n(),
   'which are before and after');

@answers = $callers->goes('/added/open', 'an answer without a gate', 200,
                          1, 2);

is(count_of(map { $_->{body} } @answers),
   "GET /before\nGET /added/open?client=1\nGET /open/after\n: "
   . $callers->n(), 'with a part that has one');


# text

@answers = $callers->goes('/replaced', 'text that is replaced', 200, 1, 0);

$callers->shows('by what the client has sent',
    map { [$_->{kind}, $_->{body} =~ m{^(.*) /replaced}] } @answers);


# compression

for my $path (qw(/gzip /brotli)) {
    my @answers = $callers->goes($path, "an answer is compressed ($path)", 200,
                                 1, 0, headers => ['Accept-Encoding: gzip']);

    is(count_of(map { unpacked($_->{body}) } @answers),
       "GET $path?client=1\n: " . $callers->n(), 'as a whole');
}

@answers = $callers->goes('/gunzip', 'an answer is unpacked', 200, 1, 0);
is(count_of(map { $_->{body} } @answers),
   "GET /gunzip?client=1\n: " . $callers->n(), 'as a whole');

@answers = $callers->goes('/brotli?br', 'brotli', 200, 1, 0,
                          headers => ['Accept-Encoding: br']);
is(count_of(map { $_->{head} =~ /^content-encoding: (.*?)\r?$/mi } @answers),
   'br: ' . $callers->n(), 'is what the client gets');

@answers = $callers->goes('/all/gunzip', 'parts, text, and packed', 200, 2, 1);
$callers->shows('in one answer',
    map { [$_->{kind}, $_->{body} =~ m{\AGET\ /open/before\nGET\ /(.*)/gunzip\?
                                       client=1\nGET\ /after\n\z}x] }
    @answers);

is($elsewhere->leaks(), 0, 'no token has gone elsewhere');

$t->finish();

done_testing();


sub unpacked {
    my ($packed) = @_;

    gunzip(\$packed => \my $text);

    return $text // '';
}
