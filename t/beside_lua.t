# Tests for Lua in a server with the gate: handlers, other requests, and what
# each phase can see.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw(md5_hex);

use Zertiban::Beside;
use Zertiban::Callers;
use Zertiban::Elsewhere;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new(load => [beside(qw(lua zertiban))]);
my $elsewhere = Zertiban::Elsewhere->new();
my @servers = (idp => $idp, api => $api, elsewhere => $elsewhere);
my $callers = Zertiban::Callers->new($t, @servers);

# ngx.location.capture() is not there for HTTP/2
my $http1 = Zertiban::Callers->new($t, @servers, http1 => 1);

$t->run(<<'EOC' =~ s/%%GATE%%\n/$gate/r,
    %%MAP%%

    client_body_buffer_size 16k;
    lua_shared_dict seen 1m;

    init_by_lua_block {
        local names = { 'authorization', 'x-tenant-id' }

        function see(phase)
            local var, headers = ngx.var, ngx.req.get_headers(0)
            local shown = { phase }

            for _, name in ipairs(names) do
                local value = headers[name] or ''
                if type(value) == 'table' then
                    value = table.concat(value, ',')
                end
                shown[#shown + 1] = '[' .. value .. ']'
            end

            shown[#shown + 1] = '[' .. (var.http_authorization or '') .. ']'
            shown[#shown + 1] = '[' .. (var.http_x_tenant_id or '') .. ']'
            shown[#shown + 1] = '[' .. (var.remote_user or '') .. ']'

            return table.concat(shown, ' ') .. '\n'
        end

        function note(phase)
            local seen, id = ngx.shared.seen, ngx.var.http_x_kind
            seen:set(id, (seen:get(id) or '') .. see(phase))
        end

        function forge()
            ngx.req.set_header('Authorization', { 'Bearer a', 'Bearer b' })
            ngx.req.set_header('X-Tenant-Id', 'forged')
            ngx.req.set_header('x_tenant_id', 'forged')
        end
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_h2%% http2;

%%GATE%%
        # handlers

        location /content {
            content_by_lua_block { ngx.print(see('content')) }
        }

        location /content/slow {
            content_by_lua_block { ngx.sleep(0.01) ngx.print(see('content')) }
        }

        location /content/exec {
            content_by_lua_block { ngx.exec('/gated', ngx.var.args) }
        }

        location /content/named {
            content_by_lua_block { ngx.exec('@named') }
        }

        location /content/open {
            content_by_lua_block { ngx.exec('/open/exec', ngx.var.args) }
        }

        location /content/named/open {
            content_by_lua_block { ngx.exec('@open') }
        }

        location /content/late {
            content_by_lua_block {
                ngx.sleep(0.01)
                ngx.exec('/gated', ngx.var.args)
            }
        }

        location /content/late/open {
            content_by_lua_block { ngx.sleep(0.01) ngx.exec('@open') }
        }

        location /access/exec {
            access_by_lua_block { ngx.exec('/open/exec', ngx.var.args) }
            proxy_pass http://%%API%%;
        }

        # other requests

        location /capture {
            content_by_lua_block {
                local args = '?' .. ngx.var.args
                local all = { ngx.location.capture_multi {
                    { '/one' .. args }, { '/open/two' .. args },
                    { '/three' .. args, { method = ngx.HTTP_POST,
                                          body = 'a body' } },
                } }
                for _, answer in ipairs(all) do
                    ngx.print(answer.status, ' ', answer.body)
                end
            }
        }

        location /capture/open {
            zertiban off;
            content_by_lua_block {
                local args = '?' .. ngx.var.args
                ngx.print(ngx.location.capture('/one' .. args).body,
                          ngx.location.capture('/open/two' .. args).body)
            }
        }

        location /access/capture {
            access_by_lua_block {
                ngx.location.capture('/one?' .. ngx.var.args)
                ngx.location.capture('/open/two?' .. ngx.var.args)
            }
            proxy_pass http://%%API%%;
        }

        # headers that scripts set

        location /rewrite/set {
            rewrite_by_lua_block { forge() }
            proxy_pass http://%%API%%;
        }

        location /access/set {
            access_by_lua_block { forge() }
            proxy_pass http://%%API%%;
        }

        location /access/clear {
            access_by_lua_block {
                ngx.req.clear_header('Authorization')
                ngx.req.clear_header('x-tenant-id')
            }
            proxy_pass http://%%API%%;
        }

        location /access/twice {
            access_by_lua_block {
                forge()
                ngx.req.clear_header('Authorization')
                ngx.req.set_header('Authorization', 'Bearer c')
            }
            proxy_pass http://%%API%%;
        }

        location /access/refuse {
            access_by_lua_block { ngx.exit(403) }
            proxy_pass http://%%API%%;
        }

        # bodies

        location /body {
            access_by_lua_block {
                ngx.req.read_body()
                ngx.req.set_body_data(string.rep('l', tonumber(ngx.var.arg_n)))
            }
            proxy_pass http://%%API%%;
        }

        location /body/read {
            access_by_lua_block { ngx.req.read_body() }
            proxy_pass http://%%API%%;
        }

        # what each phase can see

        location /phases {
            rewrite_by_lua_block { note('rewrite') }
            access_by_lua_block { note('access') }
            header_filter_by_lua_block { note('header') }
            body_filter_by_lua_block { if ngx.arg[2] then note('body') end }
            log_by_lua_block { note('log') }
            proxy_pass http://%%API%%;
        }

        location /seen {
            zertiban off;
            content_by_lua_block { ngx.print(ngx.shared.seen:get(
                                                 ngx.var.arg_kind) or '') }
        }
    }
EOC
    API => $api->address(), IDP => $idp->url(),
    ELSEWHERE => $elsewhere->address(), Zertiban::Callers::config());


# handlers

for my $uri (qw(/content /content/slow)) {
    my @answers = $callers->goes($uri, "a handler in the gate ($uri)", 200,
                                 0, 0);

    is(count_of(map { $_->{body} eq shown($_->{kind}, 'content') }
                @answers), '1: ' . $callers->n(), 'sees its client');
}

$callers->goes("/content/$_", "a handler ($_) that goes to the gate", 200,
               1, 0)
    for qw(exec named late);
$callers->goes("/content/$_", "a handler ($_) that leaves the gate", 200,
               0, 1)
    for qw(open named/open late/open);
$callers->goes('/access/exec', 'a script that leaves before the gate', 200,
               0, 1);


# other requests

my @captured = $http1->goes('/capture', 'requests of a handler', 200, 2, 1);

is(count_of(map { $_->{body} } @captured),
   join("\n200 ", '200 GET /one?client=1', 'GET /open/two?client=1',
        'POST /three?client=1') . "\n: 3", 'have their own answers');
is($api->last('/three?client=1')->{digest}, md5_hex('a body'), 'and body');

$http1->goes('/capture/open', 'requests of a handler without a gate', 200,
             1, 1);
$http1->goes('/access/capture', 'requests before the gate', 200, 2, 1);


# headers that scripts set

$callers->goes("/$_", "headers that a script changes ($_)", 200, 1, 0)
    for qw(rewrite/set access/set access/clear access/twice);

$callers->goes('/access/refuse?client=refused', 'a script that refuses', 403,
               0, 0);
is($idp->count('client-refused'), 0, 'makes no token request');


# bodies

for my $n (10, 20_000, 40_000) {
    my @body = (method => 'POST', body => 'c' x (50_000 - $n));
    my $uri = "/body?client=1&n=$n";

    $callers->goes($uri, "a script's body of $n bytes", 200, 1, 0, @body);
    is(count_of(map { $_->{digest} } $callers->requests($uri, 'api')),
       md5_hex('l' x $n) . ': ' . $callers->n(), 'is what the API gets');

    $uri = "/body/read?client=1&n=$n";
    $callers->goes($uri, 'a body that a script has read', 200, 1, 0, @body);
    is(count_of(map { $_->{digest} } $callers->requests($uri, 'api')),
       md5_hex('c' x (50_000 - $n)) . ': ' . $callers->n(), 'gets there');
}


# what each phase can see

$callers->goes('/phases', 'scripts in all phases', 200, 1, 0);

for my $kind (@Zertiban::Callers::kinds) {
    my $phases = join '', map { shown($kind, $_) }
                 qw(rewrite access header body log);
    my $seen;

    wait_until {
        $seen = $t->get("/seen?kind=$kind")->{body};
        length $seen >= 2 * length $phases;
    };

    is(count_of($seen =~ /^(.*\n)/mg), count_of(($phases =~ /^(.*\n)/mg) x 2),
       "see the client ($kind)");
}

is($elsewhere->leaks(), 0, 'no token has gone elsewhere');

$t->finish();

done_testing();


# what see() shows

sub shown {
    my ($kind, $phase) = @_;

    my @sent = $callers->shown($kind) =~ /(\[.*?\])/g;

    return join(' ', $phase, @sent[0, 1, 0, 1, 2]) . "\n";
}
