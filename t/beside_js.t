# Tests for JavaScript in a server with the gate: handlers, other requests,
# filters, and what variables can see.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Beside;
use Zertiban::Callers;
use Zertiban::Elsewhere;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new(load => [beside(qw(js zertiban))]);
my $elsewhere = Zertiban::Elsewhere->new();
my $callers = Zertiban::Callers->new($t, idp => $idp, api => $api,
                                     elsewhere => $elsewhere, http1 => 1);

$t->write_file('part.js', <<'EOF');
function see(r) {
    return `[${r.headersIn['Authorization'] || ''}]`
           + ` [${r.headersIn['x-tenant-id'] || ''}]`
           + ` [${r.variables.remote_user || ''}]`
           + ` [${r.variables.kind}]`;
}

function show(r) {
    r.return(200, see(r));
}

function timer(r) {
    setTimeout(() => r.return(200, see(r)), 10);
}

function redirect(r) {
    r.internalRedirect(r.variables.arg_to);
}

function redirect_later(r) {
    setTimeout(redirect, 10, r);
}

async function ask(r) {
    const args = r.variables.args;
    const one = await r.subrequest('/one', { args });
    const two = await r.subrequest('/open/two', { args });
    const three = await r.subrequest('/three', { args, method: 'POST',
                                                 body: 'a body' });
    const all = [one, two, three];

    r.return(200, all.map(a => a.status + ' ' + a.responseText).join(''));
}

function ask_at_once(r) {
    const asked = ['/one', '/open/two', '/three'].map(uri =>
        r.subrequest(uri, { args: r.variables.args }));

    Promise.all(asked).then(all =>
        r.return(200, all.map(a => a.status + ' ' + a.responseText).join('')));
}

async function fetch(r) {
    const answer = await ngx.fetch(`http://${r.variables.elsewhere}/fetched`);
    const text = await answer.text();

    r.return(answer.status, text);
}

function header(r) {
    r.headersOut['X-Seen'] = see(r);
    delete r.headersOut['Content-Length'];
}

function body(r, data, flags) {
    r.sendBuffer(data, flags);

    if (flags.last) {
        r.sendBuffer(see(r), flags);
    }
}

export default { see, show, timer, redirect, redirect_later, ask, ask_at_once,
                 fetch, header, body };
EOF

$t->run(<<'EOC' =~ s/%%GATE%%\n/$gate/r,
    %%MAP%%

    js_import part from %%DIR%%/part.js;
    js_set $seen part.see;
    js_set $seen_by_log part.see;

    log_format seen '$request_uri $http_x_kind $seen_by_log';
    access_log %%DIR%%/logs/access_seen.log seen;

    server {
        listen 127.0.0.1:%%PORT%%;

%%GATE%%
        set $elsewhere %%ELSEWHERE%%;

        location /content {
            js_content part.show;
        }

        location /content/slow {
            js_content part.timer;
        }

        location /content/to {
            js_content part.redirect;
        }

        location /content/later {
            js_content part.redirect_later;
        }

        location /fetch {
            js_content part.fetch;
        }

        location /ask {
            js_content part.ask;
        }

        location /ask/at/once {
            js_content part.ask_at_once;
        }

        location /ask/open {
            zertiban off;
            js_content part.ask;
        }

        location /filtered {
            js_header_filter part.header;
            js_body_filter part.body;
            proxy_pass http://%%API%%;
        }

        location /variable {
            proxy_pass http://%%API%%;
            proxy_set_header X-Seen $seen;
        }

        location /variable/before {
            set $before $seen;
            proxy_pass http://%%API%%;
            proxy_set_header X-Seen $before;
        }
    }
EOC
    API => $api->address(), IDP => $idp->url(),
    ELSEWHERE => $elsewhere->address(), Zertiban::Callers::config());


# handlers

for my $uri (qw(/content /content/slow)) {
    my @answers = $callers->goes($uri, "a handler in the gate ($uri)", 200,
                                 0, 0);

    $callers->shows('sees its client',
                    map { [$_->{kind}, $_->{body}] } @answers);
}

for my $way (qw(to later)) {
    $callers->goes("/content/$way?client=1&to=$_",
                   "a handler that goes to the gate ($way, $_)", 200, 1, 0)
        for qw(/gated?client=1 @named);
    $callers->goes("/content/$way?client=1&to=$_",
                   "a handler that leaves the gate ($way, $_)", 200, 0, 1)
        for qw(/open/by @open);
}

is(count_of(map { $_->{status} } $callers->call('GET', '/fetch?client=1')),
   '200: ' . $callers->n(), 'a handler that fetches something');
is(count_of(map { $_->token() . $_->tenant() }
            $elsewhere->requests('/fetched')), ': ' . $callers->n(),
   'does so without the token');


# other requests

for my $uri (qw(/ask /ask/at/once /ask/open)) {
    my $method = $uri =~ /once/ ? 'GET' : 'POST';
    my @answers = $callers->goes($uri, "requests of a handler ($uri)", 200,
                                 2, 1);

    is(count_of(map { $_->{body} } @answers),
       join("\n200 ", '200 GET /one?client=1', 'GET /open/two?client=1',
            "$method /three?client=1") . "\n: " . $callers->n(),
       'have their own answers');
}


# filters

my @answers = $callers->goes('/filtered', 'filters', 200, 1, 0);

$callers->shows('see their client in the header',
    map { [$_->{kind}, $_->{head} =~ /^x-seen: (.*?)\r?$/mi] } @answers);
$callers->shows('and in the body',
    map { [$_->{kind}, $_->{body} =~ /\n(.*)\z/] } @answers);


# variables: README.md warns of the first

my $uri = '/variable?client=1';

$callers->goes($uri, 'a variable of the upstream request', 200, 1, 0);
is(count_of(map { map { /^\[.*?\] \[(.*?)\]/ } $_->header('X-Seen') }
            $callers->requests($uri, 'api')), 'tenant: ' . $callers->n(),
   'sees what the gate has put there');

$uri = '/variable/before?client=1';
$callers->goes($uri, 'a variable of before', 200, 1, 0);
$callers->shows('sees its client',
    map { [($_->header('X-Kind'))[0], $_->header('X-Seen')] }
    $callers->requests($uri, 'api'));
$callers->shows('so does one of the access log',
    map { [/^\S+ (\S+) (.*)/] } grep { m{^/variable} }
    split /\n/, $t->read_file('logs/access_seen.log'));

is($elsewhere->leaks(), 0, 'no token has gone elsewhere');

$t->finish();

done_testing();
