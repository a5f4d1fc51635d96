# Tests for content handlers of nginx that lead nowhere: "zertiban on" around
# them changes nothing, and nothing waits for a token.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Memcached;
use Zertiban::Test;
use Zertiban::Twins;

my $idp = Zertiban::IdP->new();
my $memcached = Zertiban::Memcached->new();
my $t = Zertiban::Nginx->new();

$idp->hold();

for my $server ('', '-open') {
    mkdir $t->dir() . "/dav$server" or die "dav$server: $!";
    $t->write_file("dav$server/old.txt", "old\n");
}

mkdir $t->dir() . '/files' or die "files: $!";
chmod 0777, glob $t->dir() . '/dav*';
$t->write_file("files/$_", "a file\n" x 100)
    for qw(file.txt video.flv video.mp4);
$t->write_file('files/page.html', '<!--#include virtual="/returned" -->'
                                  . '<!--#include virtual="/static/file.txt"'
                                  . ' -->');

my $locations = <<'EOF';
        add_header X-Seen "$zertiban_cache$zertiban_error" always;
        add_header X-Upstream "$upstream_addr$upstream_cache_status" always;
        add_header X-Modified "$upstream_cache_last_modified" always;
        client_max_body_size 100;

        location /barrier {
            return 204;
        }

        location /returned {
            return 200 "returned\n";
        }

        location /static/ {
            alias %%DIR%%/files/;
            autoindex on;
            autoindex_exact_size off;
        }

        location /page/ {
            alias %%DIR%%/files/;
            ssi on;
        }

        location /missing/ {
            alias %%DIR%%/files/;
            error_page 404 = /returned;
        }

        location /flv/ {
            alias %%DIR%%/files/;
            flv;
        }

        location /mp4/ {
            alias %%DIR%%/files/;
            mp4;
        }

        location /gif {
            empty_gif;
        }

        location /status {
            stub_status;
        }

        location /memcached {
            set $memcached_key $uri;
            memcached_pass %%MEMCACHED%%;
        }

        location /memcached/none {
            set $memcached_key none;
            memcached_pass %%MEMCACHED%%;
            error_page 404 = @named;
        }

        location @named {
            return 200 "named\n";
        }

        location /dav/ {
            alias %%DIR%%/dav$twin/;
            client_body_temp_path %%DIR%%/dav$twin;
            dav_methods PUT DELETE MKCOL COPY MOVE;
            dav_access user:rw group:rw all:rw;
        }
EOF

$t->run(Zertiban::Twins::config($locations, <<'EOF'),
    map $server_port $twin {
        default "";
        %%PORT_open%% "-open";
    }

EOF
    IDP => $idp->url(), MEMCACHED => $memcached->address());

my $twins = Zertiban::Twins->new($t);

$twins->alike('/returned', name => 'return');
$twins->alike('/static/file.txt', name => 'a file');
$twins->alike('/static/', name => 'a directory');
$twins->alike('/static/none', name => 'a file that is not there');
$twins->alike('/missing/none', name => 'an error page');
$twins->alike('/page/page.html', name => 'a page of parts');
$twins->alike('/gif', name => 'empty_gif');
$twins->alike('/flv/video.flv?start=10', name => 'flv');
$twins->alike('/mp4/video.mp4?start=1', name => 'mp4');
$twins->alike('/status', name => 'stub_status', same => sub { s/\d+/n/g });
$twins->alike('/memcached/one', name => 'memcached',
              same => sub { s/127\.0\.0\.1:\d+/server/g });
$twins->alike('/memcached/none', name => 'memcached without an answer',
              same => sub { s/127\.0\.0\.1:\d+/server/g });

# what is written

for my $case (
    ['MKCOL', 'new/'], ['PUT', 'new/a.txt', 'x' x 50],
    ['PUT', 'new/b.txt', 'x' x 200], ['COPY', 'old.txt', '', 'new/c.txt'],
    ['MOVE', 'old.txt', '', 'new/d.txt'], ['DELETE', 'new/a.txt'],
    ['GET', 'new/c.txt'],
) {
    my ($method, $path, $body, $to) = @$case;

    my @answers = map {
        my $answer = $t->start($method, "/dav/$path", body => $body // '',
            port => $_, headers => $to ? ["Destination: /dav/$to"] : [],
        )->response();

        "$answer->{status} $answer->{body}" =~ s/\d{5}/port/gr;
    } '', 'open';

    is($answers[0], $answers[1], "dav: $method $path");
}

my @files = map { my $dir = $t->dir() . "/dav$_";
                  join ' ', map { s{^\Q$dir/}{}r } sort glob "$dir/*/*" }
            '', '-open';

is($files[0], $files[1], 'the same files are there');
like($files[0], qr{new/c\.txt new/d\.txt}, 'some files');

is(scalar($idp->count()) <= 1, 1, 'no request has asked for a token');

$t->finish();

done_testing();
