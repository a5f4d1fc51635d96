# Tests for the variables: $zertiban_cache, $zertiban_error,
# $zertiban_tenant_id and $zertiban_wait_time.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();

# seconds that the IdP holds an answer for a client whose name says so
my $held = 0.4;

# a token has to be so old before a 401 of the API makes it go
my $age = 10.2;

my (%down, %revoked);


# what a file of the docs shows

sub documented {
    my ($name, $part) = @_;

    open my $in, '<', "$FindBin::Bin/../docs/$name" or die $!;
    local $/;

    my ($text) = <$in> =~ $part or die "$name shows nothing like $part";

    return $text;
}


sub replace {
    my ($text, %by) = @_;

    for my $old (keys %by) {
        $text =~ s/\Q$old\E/$by{$old}/g or die "the docs have no $old";
    }

    return $text;
}


my $log = replace(documented('examples/production.conf',
                             qr/^(log_format .*?;\n)/ms),
    'log_format zertiban_calls' => 'log_format documented');

my $cache = documented('directives.md',
                       qr/^```nginx\n(proxy_cache_path .*?)^```$/ms);

# the settings of the gate, and at the end those of the upstream

$cache =~ s/.*\K^ *\.\.\.\n//ms;

$cache = replace($cache,
    '/var/cache/nginx/zertiban' => '%%DIR%%/cache',
    'server {' => 'server { listen 127.0.0.1:%%PORT_cache%%;',
    'https://zertiban_api' => 'http://%%API%%',
    '...' => <<'EOF');
zertiban_token_endpoint %%IDP%%;
        zertiban_client_id client-cache;
        zertiban_client_secret secret-of-cache;
        zertiban_tenant_id $http_x_business;
        add_header X-Status $upstream_cache_status;
EOF

# the same as it should not be

my $mixed = replace($cache, '$zertiban_tenant_id$' => '$',
                    '%%DIR%%/cache' => '%%DIR%%/mixed',
                    'answers' => 'mixed', 'PORT_cache' => 'PORT_mixed');

mkdir $t->dir() . '/html';

$t->write_file('html/page.html',
               '<!--#include virtual="/part/file?client=hit&tenant=p" -->');

$t->run("$log$cache$mixed" . <<'EOF', API => $api->address(),
    map $zertiban_cache $mapped {
        volatile;
        default of-$zertiban_cache;
        '' of-none;
    }

    log_format seen '$request_uri status=$status %%VARIABLES%%';
    log_format part '$uri %%VARIABLES%%';

    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/html;

        access_log %%DIR%%/logs/access.log seen;
        access_log %%DIR%%/logs/access-documented.log documented;
        access_log %%DIR%%/logs/access-errors.log seen if=$zertiban_error;

        add_header X-Seen '%%VARIABLES%% mapped=$mapped' always;
        proxy_set_header X-Seen '%%VARIABLES%%';

        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id client-$arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant-$arg_tenant;

        location / {
            zertiban on;
            proxy_pass http://%%API%%;
        }

        location /short {
            zertiban on;
            zertiban_timeout 500ms;
            proxy_pass http://%%API%%;
        }

        location /once {
            zertiban on;
            zertiban_replay off;
            proxy_pass http://%%API%%;
        }

        location /no/tenant {
            zertiban on;
            zertiban_tenant_id $arg_none;
            proxy_pass http://%%API%%;
        }

        location /no/client {
            zertiban on;
            zertiban_client_id $arg_none;
            proxy_pass http://%%API%%;
        }

        location /open {
            proxy_pass http://%%API%%;
        }

        location /returned {
            zertiban on;
            return 204;
        }

        # not gated any more

        location /to/name {
            zertiban on;
            proxy_pass http://%%DEAD%%;
            error_page 502 503 = @open;
        }

        location /to/uri {
            zertiban on;
            proxy_pass http://%%DEAD%%;
            error_page 502 503 = /open/page;
        }

        location /to/if {
            zertiban on;
            proxy_pass http://%%DEAD%%;
            error_page 502 503 = @why;
        }

        location /to/name/no/tenant {
            zertiban on;
            zertiban_tenant_id $arg_none;
            proxy_pass http://%%API%%;
            error_page 400 = @open;
        }

        location /to/uri/no/client {
            zertiban on;
            zertiban_client_id $arg_none;
            proxy_pass http://%%API%%;
            error_page 400 = /open/page;
        }

        location /broken {
            zertiban on;
            proxy_pass http://%%API%%;
            error_page 502 = @open;
        }

        location @open {
            proxy_pass http://%%API%%;
        }

        location @why {
            if ($zertiban_error = idp_unreachable) {
                return 503 "because of the IdP\n";
            }

            if ($zertiban_cache = hit) {
                return 502 "because of the API\n";
            }

            return 500;
        }

        location /internal/open {
            internal;
            proxy_pass http://%%API%%;
        }

        location /internal/file {
            internal;
            alias %%DIR%%/html/page.html;
        }

        # gated again

        location /to/gate {
            zertiban on;
            proxy_pass http://%%DEAD%%;
            error_page 502 503 = @gate;
        }

        location /to/gate/and/on {
            zertiban on;
            recursive_error_pages on;
            proxy_pass http://%%DEAD%%;
            error_page 502 503 = @further;
        }

        location /intercepted {
            zertiban on;
            proxy_pass http://%%API%%;
            proxy_intercept_errors on;
            error_page 401 = @gate;
        }

        location @gate {
            zertiban on;
            zertiban_client_id client-$arg_second;
            zertiban_client_secret secret-of-$arg_second;
            zertiban_tenant_id second-$arg_tenant;
            proxy_pass http://%%API%%;
            proxy_set_header X-Seen '%%VARIABLES%%';
            proxy_set_header X-Place gate;
        }

        location @further {
            zertiban on;
            recursive_error_pages on;
            zertiban_client_id client-$arg_second;
            zertiban_client_secret secret-of-$arg_second;
            zertiban_tenant_id second-$arg_tenant;
            proxy_pass http://%%DEAD%%;
            error_page 502 = @open;
        }

        # before the gate

        location /tried/gate {
            try_files /none @gate;
        }

        location /rewritten/gate {
            rewrite ^ /internal/gate last;
        }

        location /rewritten/open {
            zertiban on;
            rewrite ^ /internal/open last;
            proxy_pass http://%%API%%;
        }

        location /internal/gate {
            internal;
            zertiban on;
            proxy_pass http://%%API%%;
        }

        # subrequests

        location /page {
            zertiban on;
            ssi on;
            proxy_pass http://%%API%%;
        }

        location = /page.html {
            ssi on;
        }

        location /tried/page {
            try_files /none /page.html;
        }

        location /part/ {
            log_subrequest on;
            access_log %%DIR%%/logs/access-parts.log part;
            zertiban on;
            ssi on;
            proxy_pass http://%%API%%;
        }

        location /part/open {
            log_subrequest on;
            access_log %%DIR%%/logs/access-parts.log part;
            ssi on;
            proxy_pass http://%%API%%;
        }

        location /asks {
            zertiban on;
            auth_request /check;
            auth_request_set $asked $zertiban_cache,$zertiban_tenant_id;
            add_header X-Asked $asked;
            proxy_pass http://%%API%%;
        }

        location = /check {
            internal;
            zertiban on;
            zertiban_client_id client-check;
            zertiban_client_secret secret-of-check;
            zertiban_tenant_id tenant-check;
            proxy_pass http://%%API%%;
        }
    }
EOF
    IDP => $idp->url(), DEAD => '127.0.0.1:' . $t->port('dead'),
    VARIABLES => 'cache=$zertiban_cache error=$zertiban_error'
                 . ' tenant=$zertiban_tenant_id wait=$zertiban_wait_time');


$idp->answer(sub {
    my ($request) = @_;

    my $client = $request->{client_id} =~ s/^client-//r;

    return if $client =~ /^silent/ || $client eq 'left' && $revoked{left};
    return $request->reply_after($revoked{$client} ? $held : 0, sorry(500))
        if $down{$client};
    return sorry(401) if $client eq 'wrong';
    return sorry(429) if $client eq 'often';
    return Zertiban::IdP::json(200) if $client eq 'odd';

    my $answer = $idp->issue($request);

    return $answer if $client !~ /^slow/ && !$revoked{$client};
    return $request->reply_after($held, $answer);
});


sub sorry {
    my ($status) = @_;

    return Zertiban::IdP::json($status, error => 'some_error');
}


# the client of a token, and whether it is the first one that it got

sub client_of {
    my ($token) = @_;

    my (undef, $id) = split /\./, $token;

    return ('', 0) if !$id;
    return ($id =~ s/^client-//r, ($idp->tokens($id))[0] eq $token);
}


$api->answer(sub {
    my ($request) = @_;

    my $uri = $request->{uri};
    my ($client, $first) = client_of($request->token());

    # until the test answers
    return if $uri =~ m{^/held} && $first;

    return $api->text(401, "unauthorized\n")
        if $uri =~ m{^/(?:young|twice)} || $first && $revoked{$client}
           || $uri =~ m{^/intercepted} && !$request->header('X-Place');

    if ($uri =~ m{^/broken} && $client) {
        $request->{stream}->close();
        return;
    }

    return page($uri) if $uri =~ m{^/(?:page|part)};

    return $api->text(200, $request->tenant(), 'Cache-Control: max-age=60',
                      'ETag: "same"')
        if $uri =~ m{^/same};

    return $api->text(200, "text\n", $client && $uri =~ m{[?&]to=([\w/.]+)}
                                     ? "X-Accel-Redirect: $1" : ());
});


# a page of the parts that its URI names, or a part with its own variables

sub page {
    my ($uri) = @_;

    my ($parts) = $uri =~ /parts=([-\w,.]+)/;
    my @parts = map { [split /\./] } split /,/, $parts // '';

    my $text = join '', map {
        qq{<!--#include virtual="/part/$_->[1]?client=$_->[0]}
        . qq{&tenant=$_->[1]" -->}
    } @parts;

    $text ||= join ',', map { qq{<!--#echo var="zertiban_$_" -->} }
                        qw(cache tenant_id);

    return $api->text(200, "$text;", 'Content-Type: text/html');
}


# "hit - tenant-a 0.000"; a time that is "long", enough and not too long, or
# what is said of it

sub values_of {
    my ($fields, $least) = @_;

    my ($cache, $error, $tenant, $wait)
        = map { ($_ // '') eq '' ? '-' : $_ }
          @{$fields}{qw(cache error tenant wait)};

    $wait = 'long' if defined $least && $wait =~ /^\d+\.\d{3}$/
                      && $wait >= $least - 0.05 && $wait < $least + 2;

    return "$cache $error $tenant $wait";
}


sub fields_of {
    my ($text) = @_;

    return { ($text // '') =~ /(\w+)=(\S*)/g };
}


# what the log line of a request and its response have to say, and the map;
# least is the time of a wait

sub check {
    my ($uri, $response, $expected, $name, $least) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $logged = $t->logged($uri);
    my $seen = fields_of(($response->header('X-Seen'))[0]);
    my $mapped = 'of-' . ($logged->{cache} || 'none');

    is("$logged->{status} " . values_of($logged, $least), $expected, $name);

    # an "if" or a location has headers of its own
    return if !$response->header('X-Seen');

    is(values_of($seen) . " $seen->{mapped}",
       values_of($logged) . " $mapped", '... in headers and maps as well');
}


sub request {
    my ($uri, @expected) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $response = $t->get($uri);

    check($uri, $response, @expected);

    return $response;
}


# requests in flight that are to be replayed when their tokens are old enough

my @old = qw(plain failing twice once broken accel gate behind page part
             left);
my @late = ('/held?client=slow-sum&tenant=sum',
            map { "/held?client=newer&tenant=$_" } 1, 2);
my @primed = map { $t->start('GET', "/prime?client=$_") } @old, qw(hit newer);

$_->response() for @primed;

my %late = map { $_ => $t->start('GET', $_) } @late;

$api->got($_) for @late;

my $start = now();


# one gate

request('/one?client=slow-one&tenant=a', '200 wait - tenant-a long',
        'a request that waits', $held);
is(values_of(fields_of(($api->last()->header('X-Seen'))[0]), $held),
   'wait - tenant-a long', 'and what is known when it is sent to the API');

request('/two?client=slow-one&tenant=b', '200 hit - tenant-b 0.000',
        'a request that finds a token');
request('/young?client=hit&tenant=a', '401 hit - tenant-a 0.000',
        'a request that is not replayed');
request('/open/one?client=hit&tenant=a', '200 - - - -', 'no gate');
request('/returned?client=hit&tenant=a', '204 - - tenant-a -',
        'a gated location that passes nothing');

$down{down} = 1;

my @errors = (
    ['/one?client=down&tenant=a', '503 error idp_unreachable tenant-a',
     'the IdP fails'],
    ['/one?client=wrong&tenant=a', '502 error idp_rejected_client tenant-a',
     'the IdP refuses the client'],
    ['/one?client=odd&tenant=a', '502 error idp_bad_response tenant-a',
     'the answer of the IdP is not usable'],
    ['/one?client=often&tenant=a', '503 error idp_rate_limited tenant-a',
     'the IdP asks to slow down'],
    ['/no/tenant?client=hit', '400 error bad_tenant -', 'no tenant'],
    ['/no/client?client=hit&tenant=a', '400 error bad_credential tenant-a',
     'no client id'],
);

for my $case (@errors) {
    my ($uri, $expected, $name) = @$case;

    request($uri, "$expected long", $name, 0);
    request("$uri&again", "$expected 0.000", "$name, still")
}

request('/short?client=silent&tenant=a',
        '504 error idp_timeout tenant-a long', 'the IdP says nothing', 0.5);

# it is written last
my @refused;

wait_until {
    @refused = $t->read_file('logs/access-errors.log') =~ / error=(\S+)/g;
    grep { $_ eq 'idp_timeout' } @refused;
};

is(count_of(@refused),
   'bad_credential: 2, bad_tenant: 2, idp_bad_response: 2,'
   . ' idp_rate_limited: 2, idp_rejected_client: 2, idp_timeout: 1,'
   . ' idp_unreachable: 2', 'a log of refused requests only');


# a client that leaves

my $uri = '/one?client=silent-left&tenant=left';
my $client = $t->start('GET', $uri);

wait_until { $idp->count('client-silent-left') };

my $until = now() + $held;

wait_until { now() >= $until };
$client->leave();

my $logged = $t->logged($uri);

is("$logged->{status} " . values_of($logged, $held),
   '499 wait - tenant-left long', 'a request whose client leaves it waiting');


# out of the gate

for my $to (qw(name uri)) {
    request("/to/$to?client=hit&tenant=a", '200 hit - tenant-a 0.000',
            "an error page by $to after a hit");
    request("/to/$to?client=slow-$to&tenant=b", '200 wait - tenant-b long',
            "an error page by $to after a wait", $held);
    request("/to/$to?client=down&tenant=c",
            '200 error idp_unreachable tenant-c long',
            "an error page by $to after a failure", 0);
}

request('/to/name/no/tenant?client=hit', '200 error bad_tenant - 0.000',
        'an error page by name after no tenant');
request('/to/uri/no/client?client=hit&tenant=a',
        '200 error bad_credential tenant-a 0.000',
        'an error page by uri after no client id');

is(request('/to/if?client=down&tenant=a',
           '503 error idp_unreachable tenant-a long', 'an "if"', 0)->{body},
   "because of the IdP\n", 'knows an error');
is(request('/to/if?client=hit&tenant=a', '502 hit - tenant-a 0.000',
           'an "if"')->{body}, "because of the API\n", 'knows a hit');

for my $to (qw(open file)) {
    request("/accel?client=hit&tenant=a&to=/internal/$to",
            '200 hit - tenant-a 0.000', "X-Accel-Redirect to $to");
}

request('/accel?client=slow-accel&tenant=b&to=/internal/open',
        '200 wait - tenant-b long', 'X-Accel-Redirect after a wait', $held);


# into a gate again

request('/to/gate?client=hit&tenant=a&second=slow-gate',
        '200 wait - second-a long', 'a second gate, where it waits', $held);
request('/to/gate?client=slow-first&tenant=a&second=hit',
        '200 hit - second-a 0.000', 'a second gate after a wait');
request('/to/gate?client=down&tenant=a&second=hit',
        '200 hit - second-a 0.000', 'a second gate after a failure');
request('/to/gate?client=hit&tenant=a&second=down',
        '503 error idp_unreachable second-a long',
        'a second gate that fails', 0);
request('/to/gate/and/on?client=slow-far&tenant=a&second=hit',
        '200 hit - second-a 0.000', 'an error page after two gates');
request('/tried/gate?client=none&second=hit&tenant=a',
        '200 hit - second-a 0.000', 'try_files before the gate');
request('/rewritten/gate?client=hit&tenant=a', '200 hit - tenant-a 0.000',
        'a rewrite before the gate');
request('/rewritten/open?client=hit&tenant=a', '200 - - - -',
        'a rewrite past the gate');


# subrequests: their lines in the log, and a part of an answer

sub part {
    my ($tenant, $expected, $name, $least) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $line = wait_until {
        (grep { m{^/part/$tenant } }
         split /^/, $t->read_file('logs/access-parts.log'))[0]
    };

    is(values_of(fields_of($line), $least), $expected, $name);
}


is(request('/page?client=hit&tenant=page&parts=hit.b,slow-part.c,hit.open',
           '200 hit - tenant-page 0.000', 'a page')->{body},
   'hit,tenant-b;wait,tenant-c;(none),(none);;', 'has parts');
part('b', 'hit - tenant-b 0.000', 'a part that finds a token');
part('c', 'wait - tenant-c long', 'a part that waits', $held);
part('open', '- - - -', 'a part that is not gated');

request('/page?client=slow-page&tenant=page&parts=hit.e',
        '200 wait - tenant-page long', 'a page that waits', $held);
part('e', 'hit - tenant-e 0.000', 'and its part');

request('/page?client=hit&tenant=page&parts=down.f',
        '200 hit - tenant-page 0.000', 'a page');
part('f', 'error idp_unreachable tenant-f long', 'a part that fails', 0);

for my $page (qw(/page.html /tried/page)) {
    is(request($page, '200 - - - -', "a page that is not gated")->{body},
       'hit,tenant-p;', 'has a part');
}

my ($asked) = request('/asks?client=hit&tenant=a', '200 hit - tenant-a 0.000',
                      'a request that asks another gate')->header('X-Asked');

is($asked, 'hit,tenant-check', 'auth_request_set has those of the other gate');

request('/accel?client=hit&tenant=a&to=/page.html',
        '200 hit - tenant-a 0.000', 'X-Accel-Redirect to a page');
request('/accel?client=slow-walk&tenant=a&to=/page.html',
        '200 wait - tenant-a long', 'X-Accel-Redirect to one after a wait',
        $held);


# a log as directives.md shows it

my ($line) = grep { m{GET /two} }
             split /^/, $t->read_file('logs/access-documented.log');

like($line, qr{^127\.0\.0\.1\ \[[-+:T\d]+\]
               \ "GET\ /two\?client=slow-one&tenant=b\ HTTP/1\.1"\ 200
               \ id=\w{32}\ time=[\d.]+
               \ tenant=tenant-b\ token=hit\ wait=0\.000\ error=-\ api=200$}x,
     'the log format of production.conf');

# two businesses and the cache key of directives.md

sub answers {
    my ($port) = @_;

    return join ' ', map {
        my $response = $t->get('/same', port => $port,
                               headers => ["X-Business: $_"]);
        join ' ', $response->header('X-Status'), $response->{body};
    } qw(a b a b);
}


is(answers('cache'), 'MISS a MISS b HIT a HIT b',
   'the cache key of directives.md keeps businesses apart');
is(answers('mixed'), 'MISS a HIT a HIT a HIT a',
   'without the tenant they get what is not theirs');

$t->get('/same?match', port => 'cache', headers =>
                  ['X-Business: a', 'If-Match: "other"']);
$logged = $t->logged('/same?match');

is(join(' ', @{$logged}{qw(status cache error tenant)}), '412 hit  a',
   'an answer that a filter of nginx replaces');


# replays, as soon as the tokens are old enough

wait_until { now() >= $start + $age } $age;

@revoked{@old, qw(slow-sum newer)} = (1) x (@old + 2);
$down{failing} = 1;

my @replays = (
    ['/one?client=plain&tenant=a', '200 replay - tenant-a long',
     'a replay', $held],
    ['/one?client=failing&tenant=a',
     '503 error idp_unreachable tenant-a long',
     'a replay for which there is no token', $held],
    ['/twice?client=twice&tenant=a', '401 replay - tenant-a long',
     'a replay that the API does not accept', $held],
    ['/once?client=once&tenant=a', '401 hit - tenant-a 0.000',
     'zertiban_replay off'],
    ['/broken?client=broken&tenant=a', '200 replay - tenant-a long',
     'an error page after a replay', $held],
    ['/accel?client=accel&tenant=a&to=/internal/open',
     '200 replay - tenant-a long', 'X-Accel-Redirect after a replay', $held],
    ['/intercepted?client=gate&tenant=a&second=hit',
     '200 hit - second-a 0.000', 'a second gate after a replay'],
    ['/to/gate?client=down&tenant=a&second=behind',
     '200 replay - second-a long', 'a second gate with a replay', $held],
    ['/page?client=page&tenant=page&parts=hit.i',
     '200 replay - tenant-page long', 'a page that is replayed', $held],
    ['/page?client=hit&tenant=page&parts=part.j',
     '200 hit - tenant-page 0.000', 'a page with a part that is replayed'],
);

my @clients = map { $t->start('GET', $_->[0]) } @replays;

check($_->[0], (shift @clients)->response(), @{$_}[1 .. $#$_])
    for @replays;

part('i', 'hit - tenant-i 0.000', 'the part of a page that is replayed');
part('j', 'replay - tenant-j long', 'a part that is replayed', $held);

is(join(', ', map { values_of(fields_of(($_->header('X-Seen'))[0]), $held) }
              $api->requests('/one?client=plain&tenant=a')),
   'hit - tenant-a 0.000, replay - tenant-a long',
   'what is known when a request is replayed');


# 401s one after the other, of requests that are in flight for long

for my $uri (@late) {
    $api->last($uri)->answer($api->text(401, "unauthorized\n"));
    $late{$uri} = $late{$uri}->response();
}

check($late[0], $late{$late[0]}, '200 replay - tenant-sum long',
      'a wait and one more for a replay', 2 * $held);
check($late[1], $late{$late[1]}, '200 replay - tenant-1 long',
      'a replay with a new token', $held);
check($late[2], $late{$late[2]}, '200 replay - tenant-2 0.000',
      'a replay with a token that is there already');


# a client that leaves before its request is replayed

$uri = '/one?client=left&tenant=left';
$client = $t->start('GET', $uri);

wait_until { $idp->count('client-left') == 2 };
$until = now() + $held;
wait_until { now() >= $until };
$client->leave();

$logged = $t->logged($uri);

is("$logged->{status} " . values_of($logged, $held),
   '499 replay - tenant-left long', 'a replay whose client leaves');

$t->finish();


# a zone that is full

my $full = Zertiban::Nginx->new();

$idp->answer(sub {
    my ($request) = @_;

    return $idp->issue($request, token => "token.$request->{client_id}."
                                          . 'x' x 6000);
});

my $locations = join '', map { <<"EOF" } 1 .. 6;
        location /$_ {
            zertiban_client_id client-$_;
            proxy_pass http://%%API%%;
        }
EOF

$full->run(<<'EOF' . "$locations    }\n", %{$t->{values}});
    zertiban_zone tiny:32k;
    log_format seen '$request_uri status=$status %%VARIABLES%%';

    server {
        listen 127.0.0.1:%%PORT%%;
        access_log %%DIR%%/logs/access.log seen;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_secret top-secret-1;
        zertiban_tenant_id tenant;
EOF

# those that wait for a token have it
wait_until { 6 == grep { $idp->count("client-$_") } 1 .. 6 };

my ($out) = grep { $full->get("/$_")->{status} == 503 } 1 .. 6;

is(values_of($full->logged("/$out"), 0), 'error zone_full tenant long',
   'a credential for which there is no memory');

$full->finish();

done_testing();
