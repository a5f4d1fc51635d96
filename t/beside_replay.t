# Tests for requests that are replayed after a 401 where other modules have a
# part: bodies from scripts and in files, balancers, other requests, filters.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw(md5_hex);

use Zertiban::Beside;
use Zertiban::Revocation;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $bad = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new(
    load => [beside(qw(lua echo zertiban js headers-more-filter))]);
my $tokens = Zertiban::Revocation->new($t, $idp);

$t->write_file('part.js', <<'EOF');
async function ask(r) {
    const answer = await r.subrequest('/part', { args: r.variables.args,
                                                 method: 'POST',
                                                 body: 'of a script' });

    r.return(answer.status, answer.responseText);
}

function header(r) {
    r.headersOut['X-Js'] = `${r.headersOut['X-Js'] || ''}once`;
}

export default { ask, header };
EOF

$t->run(<<'EOF',
    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;
    js_import part from %%DIR%%/part.js;

    client_body_buffer_size 4k;

    init_by_lua_block {
        balancer = require 'ngx.balancer'
        ports = { %%PORT_dead%%, %%PORT_BAD%%, %%PORT_API%% }

        -- a server that is dead, one that is bad, and then the API

        function pick()
            local ctx = ngx.ctx

            if not ctx.tries then
                balancer.set_more_tries(2)
            end

            ctx.tries = (ctx.tries or 0) + 1

            assert(balancer.set_current_peer('127.0.0.1',
                                             ports[ctx.tries] or ports[3]))
        end
    }

    upstream picked {
        server 127.0.0.1:1;
        balancer_by_lua_block { pick() }
    }

    upstream made_again {
        server 127.0.0.1:1;
        balancer_by_lua_block {
            pick()
            ngx.req.set_header('X-Try', ngx.ctx.tries)
            if balancer.recreate_request then
                assert(balancer.recreate_request())
            end
        }
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant-$arg_client;

        proxy_http_version 1.1;
        proxy_next_upstream error http_502 non_idempotent;

        add_header X-Seen "$zertiban_cache $upstream_status" always;

        location / {
            proxy_pass http://%%API%%;
        }

        # bodies

        location /body/read {
            access_by_lua_block { ngx.req.read_body() }
            proxy_pass http://%%API%%;
        }

        location /body/made {
            access_by_lua_block {
                ngx.req.read_body()
                ngx.req.set_body_data(string.rep('l', 20000))
            }
            proxy_pass http://%%API%%;
        }

        location /body/file {
            access_by_lua_block {
                ngx.req.read_body()
                ngx.req.set_body_file('%%DIR%%/body')
            }
            proxy_pass http://%%API%%;
        }

        location /body/threads {
            aio threads;
            aio_write on;
            sendfile on;
            client_body_in_file_only clean;
            proxy_pass http://%%API%%;
        }

        # balancers

        location /picked {
            proxy_pass http://picked;
        }

        location /made/again {
            proxy_pass http://made_again;
        }

        # other requests

        location /ask/lua {
            content_by_lua_block {
                local answer = ngx.location.capture(
                    '/part?' .. ngx.var.args,
                    { method = ngx.HTTP_POST, body = 'of a script' })
                ngx.status = answer.status
                ngx.print(answer.body)
            }
        }

        location /ask/js {
            js_content part.ask;
        }

        location /ask/echo {
            echo_subrequest POST /part -q $args -b 'of a script';
        }

        # headers and filters

        location /headers {
            rewrite_by_lua_block { ngx.req.set_header('Authorization', 'x') }
            more_set_input_headers 'x-tenant-id: y' 'X-More: more';
            access_by_lua_block { ngx.req.set_header('X-Lua', 'lua') }
            header_filter_by_lua_block {
                ngx.header['X-Lua'] = (ngx.header['X-Lua'] or '') .. 'once'
            }
            js_header_filter part.header;
            proxy_pass http://%%API%%;
        }

        location /kept {
            aio threads;
            proxy_pass http://%%API%%;
            proxy_cache cache;
            proxy_cache_lock on;
            proxy_cache_valid 1m;
            proxy_cache_key $uri$zertiban_tenant_id;
        }
    }
EOF
    API => $api->address(), PORT_API => $api->{port},
    PORT_BAD => $bad->{port}, IDP => $idp->url());

my %body = (client => 'c' x 30_000, made => 'l' x 20_000, file => 'f' x 9_000,
            script => 'of a script');

$t->write_file('body', $body{file});

$api->answer(sub { $tokens->answer($_[0]) // $api->default($_[0]) });
$bad->answer($bad->text(502, "bad\n"));

my @bodies = qw(read made file threads);
my @groups = qw(picked again);
my @asking = qw(lua js echo);

$tokens->warm(@bodies, @groups, @asking, 'headers', 'kept');
$tokens->grow_old();
$tokens->revoke();


# bodies

for my $name (@bodies) {
    my $uri = "/body/$name?client=$name";

    $tokens->healed($api, $uri,
        $t->start('POST', $uri, body => $body{client})->response(),
        "a body ($name)", "POST $uri\n");

    is(count_of(map { $_->{digest} } $api->requests($uri)),
       md5_hex($body{$name} // $body{client}) . ': 2', 'with the body twice');
}


# balancers

my %tries;

for my $name (@groups) {
    my $uri = $name eq 'again' ? '/made/again?client=again'
                               : '/picked?client=picked';
    my $response = $t->start('POST', $uri, body => $body{client})->response();

    is(join(' ', $response->{status}, $response->header('X-Seen')),
       '200 replay 502, 502, 401 : 200', "a balancer ($name): served");
    is($tokens->tokens($api, $uri), '1 2', 'with a new token');
    is($tokens->tokens($bad, $uri), '1', 'and an old one before');

    my @requests = ($bad->requests($uri), $api->requests($uri));

    is(count_of(map { $_->{digest} } @requests),
       md5_hex($body{client}) . ': 3', 'with the same body');
    is(count_of(map { $_->tenant() } @requests), "tenant-$name: 3",
       'and tenant');

    $tries{$name} = join ' ', map { $_->header('X-Try') } @requests;
}

SKIP: {
    skip 'this Lua cannot make a request again', 1 if $tries{again} eq '';

    is($tries{again}, '2 3 4', 'a request that a script makes again');
}


# other requests

for my $name (@asking) {
    my $uri = "/ask/$name?client=$name";
    my $part = "/part?client=$name";

    is($t->get($uri)->{body}, "POST $part\n",
       "a request of a handler ($name): served");
    $tokens->replayed($api, $part, 'after a 401');
    is($api->last($part)->{digest}, md5_hex($body{script}), 'with its body');
}


# headers and filters

my $uri = '/headers?client=headers';
my $response = $t->get($uri, headers => ['Authorization: z']);

$tokens->healed($api, $uri, $response, 'headers of scripts', "GET $uri\n");
is(join(' ', map { $api->last($uri)->header($_) } qw(X-Lua X-More)),
   'lua more', 'are sent again');
is(join(' ', map { $response->header($_) } qw(X-Lua X-Js)), 'once once',
   'filters have seen one answer');


# a cache that threads read

$uri = '/kept?client=kept';

my @clients = map { $t->start('GET', $uri) } 1 .. 5;

is(count_of(map { "$_->{status} $_->{body}" } map { $_->response() } @clients),
   "200 GET $uri\n: 5", 'requests that wait for the cache: served');
$tokens->replayed($api, $uri, 'one of them');

$t->finish();

done_testing();
