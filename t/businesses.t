# Tests for the examples of docs/businesses.md, and for clients that want to be
# another business than they are.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::SSL ();
use List::Util qw(shuffle uniq);
use MIME::Base64 qw(encode_base64);

use Zertiban::CA;
use Zertiban::H2;
use Zertiban::Secrets;
use Zertiban::Test;

my $docs = "$FindBin::Bin/../docs";

my $shop_a = '7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11';
my $shop_b = '0d0c4a3e-9b59-4a7c-8c1a-64f0f9b5a2d7';
my $a_host = 'shop-a.gateway.example';
my $b_host = 'shop-b.gateway.example';

my $files = Zertiban::Nginx->new();    # not to be run
my $dir = $files->dir();

mkdir "$dir/users";
mkdir "$dir/stranger";

my $ca = Zertiban::CA->new($dir, 'shops-ca');
my $stranger = Zertiban::CA->new("$dir/stranger", 'stranger-ca');

$ca->sign('api', san => 'DNS:nc-api.zertiban.com');
$ca->sign('gateway', san => 'DNS:gateway.example');
$ca->sign($_) for qw(shop-a shop-b SHOP-A shop-c shop-a-b);
$stranger->sign('shop-b');

my $idp = Zertiban::IdP->new();

# one context for all connections, since it takes long to make one

my $api = Zertiban::API->new(tls => {
    SSL_reuse_ctx => IO::Socket::SSL::SSL_Context->new(
        SSL_server => 1, SSL_cert_file => $ca->certificate('api'),
        SSL_key_file => $ca->key('api')),
});


sub slurp {
    my ($name) = @_;

    open my $in, '<', "$docs/$name" or die "$name: $!";
    local $/;

    return scalar <$in>;
}


# a file of nginx's directory, for its owner only

sub etc {
    my ($name, $content) = @_;

    chmod 0600, $files->write_file($name, $content) or die "$name: $!";
}


my ($key_a, $key_b) = slurp('examples/zertiban.keys') =~ /^([0-9a-f]+) /mg;
my %secrets = slurp('examples/zertiban.secrets') =~ /^(\w+) +(\S+);/mg;

secret($key_a, $key_b, values %secrets);

# a third key may turn up in a log: as an argument of a query, or where nginx
# says that a header is not valid; and one is of a business without credentials

my ($key_c, $key_d) = ('c' x 32, 'd' x 32);

etc('zertiban.keys', slurp('examples/zertiban.keys') . "$key_c  $shop_b;\n"
                     . "$key_d  4e4b1a52-55c6-4f6f-8c7e-0f2f4a4b2c11;\n");
etc('zertiban.secrets', slurp('examples/zertiban.secrets'));
etc('zertiban.credentials', "3f0c9e0a secret-of-all-shops\n");
etc("users/$shop_a", "anna:{PLAIN}password-of-anna\n");
etc("users/$shop_b", "bert:{PLAIN}password-of-bert\n");

secret(qw(secret-of-all-shops password-of-anna password-of-bert));


# an example as it is, but for its paths, addresses and ports

sub example {
    my ($name) = @_;

    my $text = slurp("examples/$name.conf");

    $text =~ s{https://nc-api\.zertiban\.com/idp/oauth2/token}{%%IDP%%};
    $text =~ s{/etc/ssl/certs/ca-certificates\.crt}{$dir/shops-ca.crt};
    $text =~ s{/etc/nginx/}{$dir/}g;
    $text =~ s/listen +\K(?:127\.0\.0\.1:8080|443)\b/127.0.0.1:%%PORT%%/
        or die "$name does not listen";

    $text =~ s/server +\Knc-api\.zertiban\.com:443;/%%API%%;/
        or die "$name has no API";

    return $text;
}


# nginx -t

sub verdict {
    my ($nginx) = @_;

    my ($binary, $dir) = ($nginx->binary(), $nginx->dir());

    return `$binary -t -p $dir -c $dir/nginx.conf -e $dir/logs/test.log 2>&1`;
}


my $t;

# runs an example, with HTTP/2 and what else is given

sub run_example {
    my ($text, $name, %o) = @_;

    my $more = delete $o{more} // '';
    my @values = (API => $api->address(), IDP => $idp->url());

    $t = Zertiban::Nginx->new(%o);
    $t->config($text, @values);

    is(verdict($t) =~ s/^\w+: .* (?:is ok|is successful)\n//mgr, '',
       "nginx -t has no objection to $name");

    $text =~ s/listen\s+127.0.0.1:%%PORT%%(.*);
              /listen 127.0.0.1:%%PORT%%$1 reuseport backlog=1024;
               listen 127.0.0.1:%%PORT_h2%%$1 http2;/x;

    $t->run($more . $text, @values);
}


# requests by curl at once, [uri, arguments, ...]: their statuses

sub statuses {
    my (@requests) = @_;

    my @pids = map {
        my ($uri, @arguments) = @$_;
        start_curl('-o', '/dev/null', '-w', '%{http_code}', '-g', @arguments,
                   $uri);
    } @requests;

    return map { curl_output($_) } @pids;
}


# for whom the API was called by a request, and what it should not have got;
# nothing if it was not called

sub acted {
    my ($uri) = @_;

    my $path = $uri =~ s{^\w+://[^/]+}{}r;

    return join ', ', map {
        my $token = $_->token() =~ s/^token\.([^.]+)\.\S*$/$1/r;
        my @more = grep { defined && /\Q$key_a\E|\Q$key_b\E|password/i }
                   map { @$_ } @{$_->{headers}};

        join ' ', $token, $_->tenant(), @more, $_->header('x_tenant_id'),
                  grep { !/^close$/i } $_->header('Connection');
    } grep { $_->{uri} =~ m{^\Q$path\E(?:\?|$)} } $api->requests();
}


# what a client of the first business may try to be the other: headers, or
# arguments of a query

my @names = qw(business tenant tenant-id zertiban-tenant-id x-business
               client-id x-client-id ssl-client-s-dn x-ssl-client-s-dn
               remote-user x-remote-user x-forwarded-user http-x-api-key);

my @tricks = (
    ['nothing'],
    ['x-tenant-id', "x-tenant-id: $shop_b"],
    ['X-TENANT-ID, twice', "X-TENANT-ID: $shop_b", "X-Tenant-Id: $shop_b"],
    ['x_tenant_id', "x_tenant_id: $shop_b", "X_TENANT_ID: $shop_b"],
    ['an empty x-tenant-id', 'x-tenant-id;', 'X-Tenant-Id;'],
    ['cookies', 'Cookie: ' . join '; ', map { "$_=$shop_b" } @names],
    ['names of variables', map { ("$_: $shop_b", "$_: CN=shop-b") } @names],
    ['other hosts', "X-Forwarded-Host: $b_host", "X-Host: $b_host",
     "Forwarded: host=$b_host", "X-Original-URL: http://$b_host/"],
    ['Connection', 'Connection: x-tenant-id, authorization'],
    ['arguments', '?' . join '&', map { "$_=$shop_b" } @names, 'x-tenant-id',
                                                       'x-api-key'],
    ['variables', '?tenant=$business&business=${http_x_business}',
     'X-Business: $business'],
);

my @authorization = (
    ['Authorization', 'Authorization: Bearer token-of-shop-b'],
    ['AUTHORIZATION', 'AUTHORIZATION: Basic YmVydDpiZXJ0'],
);

my @twice = ['Authorization, twice', 'Authorization: Bearer token-of-shop-b',
             'authorization: Bearer token-of-shop-b'];

my @host = ['Host', "Host: $b_host"];


# each in HTTP/1.1 and in HTTP/2, by curl with what proves who the client is:
# [name, uri, arguments]

my $number = 0;

sub requests {
    my ($scheme, $host, $proof, @tricks) = @_;

    my @ways = (['HTTP/1.1', $t->port(), '--http1.1'],
                ['HTTP/2', $t->port('h2'),
                 $scheme eq 'http' ? '--http2-prior-knowledge' : '--http2']);

    return map {
        my ($version, $port, $option) = @$_;

        map {
            my ($name, @sent) = @$_;
            my ($query) = grep { /^\?/ } @sent;

            ["$name in $version",
             "$scheme://$host:$port/" . ++$number . ($query // ''), $option,
             '--resolve', "$host:$port:127.0.0.1", @$proof,
             map { ('-H', $_) } grep { !/^\?/ } @sent];
        } @tricks;
    } @ways;
}


# all of them at once: the status, and for whom the API was called

sub outcomes {
    my ($expected, $name, @requests) = @_;

    my @statuses = statuses(map { [@{$_}[1 .. $#$_]] } @requests);

    for my $request (@requests) {
        my ($trick, $uri) = @$request;
        my $outcome = join ' ', shift @statuses, acted($uri);

        like($outcome, qr/\A(?:$expected)\z/, "$name: $trick");
    }
}


my $as_a = "200 3f0c9e0a $shop_a";
my $refused = '403 ';


# the document

my %examples = map { $_ => slurp("examples/$_.conf") }
               qw(certificate api-key host-name credentials);

my @shown = slurp('businesses.md') =~ /^ *```nginx\n(.*?)^ *```$/msg;

cmp_ok(scalar @shown, '>', 5, 'businesses.md shows what to configure');

for my $shown (@shown) {
    my ($first) = split /\n/, $shown;

    ok((grep { index($_, $shown) >= 0 } values %examples),
       "an example has: $first");
}


# a certificate

sub certificate {
    my ($name, $from) = @_;

    $from //= $ca;

    return ['--cacert', $ca->certificate(), '--cert',
            $from->certificate($name), '--key', $from->key($name)];
}


sub of_certificates {
    my (%certificates) = @_;

    return map { requests('https', 'gateway.example', $certificates{$_},
                          [$_]) } sort keys %certificates;
}


run_example(example('certificate'), 'certificate.conf');

outcomes($as_a, 'a certificate',
         requests('https', 'gateway.example', certificate('shop-a'),
                  @tricks, @authorization, @host,
                  ['X-Api-Key', "X-Api-Key: none"]));
outcomes("$as_a|400 ", 'a certificate',
         requests('https', 'gateway.example', certificate('shop-a'), @twice));
outcomes("200 3f0c9e0a $shop_b", 'the other certificate',
         requests('https', 'gateway.example', certificate('shop-b'),
                  ['x-tenant-id', "x-tenant-id: $shop_a"]));
outcomes($as_a, 'a certificate in other letters',
         requests('https', 'gateway.example', certificate('SHOP-A'),
                  ['nothing']));
outcomes($refused, 'a certificate that is not in the map', of_certificates(
    'another name' => certificate('shop-c'),
    'a longer name' => certificate('shop-a-b'),
));
outcomes('400 ', 'a wrong certificate', of_certificates(
    'none' => ['--cacert', $ca->certificate()],
    'of another CA' => certificate('shop-b', $stranger),
));

$t->finish();


# its fingerprint

sub fingerprint {
    my ($name) = @_;

    my $file = $ca->certificate($name);
    my ($digits) = `openssl x509 -noout -sha1 -fingerprint -in $file`
                   =~ /=([0-9A-F:]+)/;

    return lc $digits =~ s/://gr;
}


run_example(example('certificate') =~ s/\$ssl_client_s_dn/
                                        \$ssl_client_fingerprint/xr
            =~ s/CN=(shop-[ab])/fingerprint($1)/ger, 'fingerprints');

outcomes($as_a, 'a fingerprint',
         requests('https', 'gateway.example', certificate('shop-a'), @host));
outcomes($refused, 'a fingerprint that is not in the map', of_certificates(
    'another name' => certificate('shop-c'),
    'the name in other letters' => certificate('SHOP-A'),
));

$t->finish();


# an API key

my @key_a = ('-H', "X-Api-Key: $key_a");
my @key_tricks = (@tricks, @authorization, @host,
                  ['x_api_key', "x_api_key: $key_c"]);

sub key_attempts {
    my ($expected, $name, @attempts) = @_;

    outcomes($expected, $name, requests('http', 'localhost', [], @attempts));
}


sub try_keys {
    my ($a, $b) = @_;

    outcomes($a, 'an API key',
             requests('http', 'localhost', \@key_a, @key_tricks));
    outcomes("$a|400 ", 'an API key',
             requests('http', 'localhost', \@key_a, @twice));
    key_attempts($a, 'an API key', ['another case', "x-aPI-kEY: $key_a"]);
    key_attempts($b, 'an API key', ['of the other', "X-Api-Key: $key_b"],
                                   ['in other letters',
                                    'X-Api-Key: ' . uc $key_c]);
    key_attempts($refused, 'no API key',
                 ['none'],
                 ['an empty one', 'X-Api-Key;'],
                 ['a wrong one', 'X-Api-Key: ' . '0' x 32],
                 ['a part of one', 'X-Api-Key: ' . substr $key_a, 0, 31],
                 ['more than one', "X-Api-Key: ${key_a}0"],
                 ['two in one', "X-Api-Key: $key_a,$key_a"],
                 ['in an argument', "?x-api-key=$key_c&api_key=$key_c"],
                 ['in a cookie', "Cookie: x-api-key=$key_a"],
                 ['with an underscore', "X_Api_Key: $key_c"],
                 ['a word of map', 'X-Api-Key: default'],
                 ['another word of map', 'X-Api-Key: include'],
                 ['the business', "X-Api-Key: $shop_a"]);

    # nginx 1.22 takes the first one, 1.23 and later all as one value
    key_attempts("$a|$refused", 'API keys',
                 ['a wrong one last', "X-Api-Key: $key_a", 'X-Api-Key: no'],
                 ['the same twice', "X-Api-Key: $key_a",
                  "x-api-key: $key_a"]);
    key_attempts($refused, 'API keys',
                 ['a wrong one first', 'X-Api-Key: no', "X-Api-Key: $key_a"]);
}


run_example(example('api-key'), 'api-key.conf');
try_keys($as_a, "200 3f0c9e0a $shop_b");
$t->finish();


# underscores, as the document says

run_example("underscores_in_headers on;\n" . example('api-key')
            =~ s/proxy_set_header\s.*
                /$& proxy_set_header X_Api_Key "";/xr, 'underscores');

outcomes($as_a, 'a key', requests('http', 'localhost', \@key_a, @tricks));
key_attempts($as_a, 'a key', ['with an underscore', "X_Api_Key: $key_a"]);
$t->finish();


# a host name

run_example(example('host-name'), 'host-name.conf');

my @anna = ('-u', 'anna:password-of-anna');
my @bert = ('-u', 'bert:password-of-bert');

sub host_attempts {
    my ($expected, $name, $proof, @attempts) = @_;

    outcomes($expected, $name, requests('http', $a_host, $proof, @attempts));
}


host_attempts($as_a, 'a host', \@anna, @tricks,
              ['upper case', 'Host: SHOP-A.GATEWAY.EXAMPLE'],
              ['a port', "Host: $a_host:80"],
              ['a dot', "Host: $a_host."]);
host_attempts("200 3f0c9e0a $shop_b", 'the other host', \@bert,
              ['nothing', "Host: $b_host"]);
host_attempts('401 ', 'the password of another host', \@anna, @host,
              ['upper case', 'Host: SHOP-B.Gateway.Example'],
              ['a port', "Host: $b_host:80"],
              ['a dot', "Host: $b_host."]);
host_attempts('401 ', 'no password', [], ['nothing'], @authorization, @host);
host_attempts('401 ', 'the user of another host', \@bert, ['nothing']);
host_attempts($refused, 'a host that is not in the map', \@anna,
              ['another one', 'Host: shop-c.gateway.example'],
              ['an address', 'Host: 127.0.0.1'],
              ['one that is longer', "Host: x.$a_host"]);

my $basic = 'Basic ' . encode_base64('anna:password-of-anna', '');

# requests that curl does not make: the line, and the headers

sub raw {
    my ($line, @headers) = @_;

    return Zertiban::Client->new($t->port())->send(
        join "\r\n", $line, "Authorization: $basic", 'Connection: close',
        @headers, '', ''
    )->response()->{status};
}


is(raw('GET /raw/1 HTTP/1.1', "Host: $a_host", "Host: $b_host"), 400,
   'two hosts');
is(raw('GET /raw/2 HTTP/1.1', "Host: $b_host", "Host: $a_host"), 400,
   'two hosts in the other order');
is(raw("GET http://$b_host/raw/3 HTTP/1.1", "Host: $a_host"), 401,
   'another host in the request line');
is(raw("GET http://$a_host/raw/4 HTTP/1.1", "Host: $b_host"), 200,
   'another host in the header, which does not count');
is(raw('GET /raw/5 HTTP/1.0'), 200,
   'no host: that of the first name of the server');
like(raw('GET /raw/6 HTTP/1.1', "Host: $b_host", "X: y\r\n Host: $a_host"),
     qr/^40[01]$/, 'a folded host');
is(join(', ', map { "$_->{uri} " . $_->tenant() }
              grep { $_->{uri} =~ m{^/raw/} } $api->requests()),
   "/raw/4 $shop_a, /raw/5 $shop_a", 'and nothing else reaches the API');

# HTTP/2 with two names: :method GET and :scheme http of the static table,
# then :path, :authority, host and authorization

sub status_of_names {
    my ($path, $authority, $host) = @_;

    my $h2 = Zertiban::H2->new($t->port('h2'));

    $h2->frame(1, 5, 1, "\x82\x86"
               . pack('CC/a CC/a CCC/a CCC/a', 4, $path, 1, $authority,
                      15, 38 - 15, $host, 15, 23 - 15, $basic));
    wait_until { $h2->statuses() };

    my ($status) = $h2->statuses();
    $h2->leave();

    return $status;
}


is(status_of_names('/names/1', $b_host, $a_host), 400,
   'another :authority than Host');
ok(status_of_names('/names/2', $a_host, $b_host),
   'another Host than :authority');
like(acted('/names/1') . acted('/names/2'), qr/\A(?:3f0c9e0a $shop_a)?\z/,
     'call the API for the business that logged in, if at all');

$t->finish();


# credentials of each business

my $directives = slurp('directives.md');
my ($path) = $directives =~ /^(proxy_cache_path .*)$/m;
my @cache = $directives =~ /^ +(proxy_cache(?:_key)? .*)$/mg;

is(scalar @cache, 2, 'directives.md shows a cache');

# the same server with that cache

my $example = example('credentials');
my ($cached) = $example =~ /^(server .*?^\})/ms;

$path =~ s{/var/cache/nginx}{%%DIR%%};
$cached =~ s/%%PORT%%/%%PORT_cache%% reuseport backlog=1024/;
$cached =~ s/(?=proxy_pass)/@cache /;

my $more = <<'EOF';
    geo $dollar {
        default "$";
    }

    server {
        listen 127.0.0.1:%%PORT_chosen%%;

        location / {
            zertiban on;
            zertiban_token_endpoint %%IDP%%;
            zertiban_client_id client-of-all;
            zertiban_client_secret secret-of-all-shops;
            zertiban_tenant_id $arg_tenant;
            proxy_pass https://zertiban_api;
        }
    }
EOF

$secrets{'client-of-all'} = 'secret-of-all-shops';

$idp->hold();
run_example($example, 'credentials.conf', workers => 4,
            more => "$path\n$more\n$cached\n");

# the IdP knows the secrets, the API says for whom it was called

my $strict = sub {
    my ($request) = @_;

    return $idp->issue($request)
        if $request->{client_secret} eq $secrets{$request->{client_id}};

    return Zertiban::IdP::json(401, error => 'invalid_client');
};

$api->answer(sub {
    my ($request) = @_;

    my ($id) = $request->token() =~ /^token\.([^.]+)\./;

    return $api->text(200, $request->tenant() . " $id",
                      'Cache-Control: max-age=60');
});


# requests of both businesses, to different or to the same paths: who got what

my %key = (a => $key_a, b => $key_b);

sub start_both {
    my ($n, $pattern, %o) = @_;

    return map {
        my ($business, $number) = @$_;
        my $uri = sprintf $pattern, $business, $number;

        [$business, $t->start('GET', $uri, %o, headers =>
                              ["X-Api-Key: $key{$business}"])];
    } shuffle map { (['a', $_], ['b', $_]) } 1 .. $n;
}


sub got {
    return count_of(map {
        my ($business, $client) = @$_;
        my $response = $client->response();

        my $said = $response->{status} == 200 ? $response->{body} : '';
        "$business $response->{status} $said";
    } @_);
}


my $got_a = "a 200 $shop_a 3f0c9e0a: 100";
my $got_b = "b 200 $shop_b 91b2d4e7: 100";
my %before = map { $_ => $idp->count($_) } keys %secrets;

sub exchanges {
    return join ', ', map { "$_: " . ($idp->count($_) - $before{$_}) }
                      qw(3f0c9e0a 91b2d4e7);
}


my @clients = start_both(100, '/%s/cold/%d');

wait_until { exchanges() eq '3f0c9e0a: 1, 91b2d4e7: 1' };
$idp->release($strict);

is(got(@clients), "$got_a, $got_b", '200 requests at once, without a token');
is(got(start_both(100, '/%s/warm/%d')), "$got_a, $got_b", 'and with one');
is(exchanges(), '3f0c9e0a: 1, 91b2d4e7: 1', 'with one exchange for each');
is(scalar(uniq(map { $t->logged($_)->{pid} }
               map { ("/a/cold/$_", "/b/cold/$_") } 1 .. 100)), 4,
   'in four workers');

is(got(start_both(100, '/same/%2$d', port => 'cache')), "$got_a, $got_b",
   'the same paths through a cache');

my $asked = $api->count();

is(got(start_both(100, '/same/%2$d', port => 'cache')), "$got_a, $got_b",
   'and from the cache');
is($api->count(), $asked, 'which does not ask the API');

try_keys($as_a, "200 91b2d4e7 $shop_b");
key_attempts('400 ', 'a business without credentials',
             ['in the map', "X-Api-Key: $key_d"]);

is($t->get("/chosen?tenant=$shop_b", port => 'chosen')->{body},
   "$shop_b client-of-all",
   'a tenant from an argument is what the client says');


# a secret that is wrong, and one that is new

sub change_secret {
    my ($from, $to) = @_;

    etc('zertiban.secrets',
        $files->read_file('zertiban.secrets') =~ s/\Q$from\E/$to/r);
    $t->reload();
}


change_secret('secret-of-shop-b', 'wrong-secret');

is(got(start_both(100, '/%s/wrong/%d')), "$got_a, b 502 : 100",
   'a wrong secret affects its business only');
is(exchanges(), '3f0c9e0a: 1, 91b2d4e7: 2', 'after an exchange for that');

$secrets{'91b2d4e7'} = 'new;secret $of#shop-b';
change_secret('wrong-secret', '"new;secret ${dollar}of#shop-b"');

is(got(start_both(100, '/%s/new/%d')), "$got_a, $got_b",
   'a new secret of any characters works');
is(exchanges(), '3f0c9e0a: 1, 91b2d4e7: 3', 'after one more');

$t->finish();

done_testing();
