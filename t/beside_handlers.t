# Tests for content handlers of Debian's modules: those that lead nowhere are
# left alone, and one that stands before proxy_pass has the gate behind it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw(md5_hex);

use Zertiban::Beside;
use Zertiban::Test;
use Zertiban::Twins;

my @modules = qw(echo js lua perl uploadprogress);

my $locations = <<'EOF';
        add_header X-Seen "$zertiban_cache$zertiban_error" always;

        location /barrier {
            return 204;
        }

        location /returned {
            return 200 "returned\n";
        }

        location /echo {
            echo "echo $request_method";
        }

        location /echo/body {
            echo_read_request_body;
            echo_request_body;
        }

        location /echo/part {
            echo_location_async /returned;
            echo end;
        }

        location /echo/exec {
            echo_exec /returned;
        }

        location /js {
            js_content handlers.text;
        }

        location /js/part {
            js_content handlers.part;
        }

        location /js/redirect {
            js_content handlers.redirect;
        }

        location /lua {
            content_by_lua_block { ngx.say('lua ', ngx.req.get_method()) }
        }

        location /lua/body {
            content_by_lua_block {
                ngx.req.read_body()
                ngx.sleep(0.001)
                ngx.say(ngx.req.get_body_data())
            }
        }

        location /lua/part {
            content_by_lua_block {
                ngx.print(ngx.location.capture('/returned').body)
            }
        }

        location /lua/exec {
            content_by_lua_block { ngx.exec('/returned') }
        }

        location /perl {
            perl 'sub {
                my $r = shift;
                $r->send_http_header("text/plain");
                $r->print("perl ", $r->request_method(), "\n");
                return OK;
            }';
        }

        location /perl/body {
            perl 'sub {
                my $r = shift;
                my $print = sub {
                    my $r = shift;
                    $r->send_http_header("text/plain");
                    $r->print("body ", $r->request_body() // "", "\n");
                    return OK;
                };
                return $r->has_request_body($print) ? OK : $print->($r);
            }';
        }

        location /progress {
            report_uploads uploads;
        }
EOF

my $http = <<'EOF';
    js_import handlers from %%DIR%%/handlers.js;
    upload_progress uploads 1m;

    server {
        listen 127.0.0.1:%%PORT_tracked%%;

        zertiban_tenant_id tracked;
        add_header X-Seen $zertiban_cache;

        location / {
            proxy_pass http://%%API%%;
            track_uploads uploads 5s;
        }

        location /open {
            zertiban off;
            proxy_pass http://%%API%%;
            track_uploads uploads 5s;
        }
    }

EOF

my $js = <<'EOF';
async function part(r) {
    let reply = await r.subrequest('/returned');
    r.return(200, reply.responseText);
}

export default {
    text: r => r.return(200, 'js ' + r.method + (r.requestText || '')),
    redirect: r => r.internalRedirect('/returned'),
    part
};
EOF

my @cases = qw(echo echo/body echo/part echo/exec js js/part js/redirect lua
               lua/body lua/part lua/exec perl perl/body progress);

for my $order (['zertiban', @modules], [@modules, 'zertiban']) {
    my $t = Zertiban::Nginx->new(load => [beside(@$order)]);
    my $api = Zertiban::API->new();
    my $idp = Zertiban::IdP->new();

    $idp->hold();
    $t->write_file('handlers.js', $js);
    $t->run(Zertiban::Twins::config($locations, $http),
            API => $api->address(), IDP => $idp->url());

    my $twins = Zertiban::Twins->new($t);

    note("in the order @$order");
    $twins->alike("/$_") for @cases;

    # of one that waits for its token, and for its body

    my $body = 'x' x 100_000;
    my @waiting = map {
        $t->start('POST', "/upload/$_?X-Progress-ID=$_", port => 'tracked',
                  body => $body);
    } 1 .. 3;
    my $open = $t->start('POST', '/open?X-Progress-ID=open', body => $body,
                         port => 'tracked', headers => ['x-tenant-id: own']);

    is($open->response()->{status}, 200, 'an upload without a gate');

    $idp->release();

    is(count_of(map { my $answer = $_->response();
                      join ' ', $answer->{status}, $answer->header('X-Seen')
                } @waiting), '200 wait: 3', 'uploads behind the gate');

    my ($token) = $idp->tokens();

    is(count_of(map { join ' ', $_->token() eq $token ? 'token' : 'none',
                                $_->tenant(), $_->{digest} }
                    $api->requests()),
       'none own ' . md5_hex($body) . ': 1, token tracked ' . md5_hex($body)
       . ': 3', 'the API gets the token, and each once');

    is($idp->count(), 1, 'with one exchange');

    # a timer of uploadprogress would keep its worker
    $t->stop('TERM');
    $t->finish();
}

done_testing();
