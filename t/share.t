# Tests for a gateway that shares its token with others, "zertiban_share".

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::SSL ();
use JSON::PP ();

use Zertiban::CA;
use Zertiban::Memory qw(found);
use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();

my $root = Zertiban::Nginx->new(workers => 2);
my $dir = $root->dir();

my $ca = Zertiban::CA->new($dir, 'ca');
my $stranger = Zertiban::CA->new($dir, 'stranger');

$ca->sign('gateway', san => 'DNS:localhost,DNS:share.test');
$ca->sign('leaf');
$stranger->sign('nobody');

my %values = (API => $api->address(), IDP => $idp->url(), CA => $dir);

my $tls = <<'EOF';
    ssl_certificate %%CA%%/gateway.crt;
    ssl_certificate_key %%CA%%/gateway.key;
    ssl_protocols TLSv1.2 TLSv1.3;

EOF

my $server = <<'EOF';
    server {
        listen 127.0.0.1:%%PORT_tls%% ssl;
        listen 127.0.0.1:%%PORT%%;
        server_name localhost share.test;

        ssl_client_certificate %%CA%%/ca.crt;
        ssl_verify_client on;

        location = /token {
            zertiban_share;
            zertiban_token_endpoint %%IDP%%;
            zertiban_client_id the-business;
            zertiban_client_secret secret-of-the-business;
        }
EOF

my $others = <<'EOF';
        # with a credential that depends on who asks

        location = /token/of {
            zertiban_share;
            zertiban_token_endpoint %%IDP%%;
            zertiban_client_id $ssl_client_i_dn-$arg_id;
            zertiban_client_secret secret-of-$arg_id;
        }

        location = /token/scope {
            zertiban_share;
            zertiban_token_endpoint %%IDP%%;
            zertiban_client_id scoped;
            zertiban_client_secret secret-of-scoped;
            zertiban_scope "pay read";
        }

        location = /token/guarded {
            zertiban_share;
            zertiban_token_endpoint %%IDP%%;
            zertiban_client_id the-business;
            zertiban_client_secret secret-of-the-business;
            allow 127.0.0.2;
            deny all;
        }

        location = /token/lifted {
            zertiban_share;
            zertiban_token_endpoint %%IDP%%;
            zertiban_client_id the-business;
            zertiban_client_secret secret-of-the-business;

            if ($arg_if) {
                add_header X-If yes always;
            }

            limit_except POST {
                deny all;
            }
        }

        location = /token/excepted {
            zertiban_share;
            zertiban_token_endpoint %%IDP%%;
            zertiban_client_id the-business;
            zertiban_client_secret secret-of-the-business;

            limit_except GET {
                allow all;
            }
        }

        location = /page {
            ssi on;
            default_type text/html;
            root %%DIR%%;
        }

        location = /asked {
            auth_request /token;
            proxy_pass http://%%API%%;
        }

        location = /done {
            post_action /token;
            proxy_pass http://%%API%%;
        }
    }
EOF

my $first = <<'EOF';
    server {
        listen 127.0.0.1:%%PORT_tls%% ssl;
        server_name other.test;

        ssl_client_certificate %%CA%%/stranger.crt;
        ssl_verify_client on;
    }

EOF

$root->write_file('page', '<!--#include virtual="/token" -->');
$root->run("$tls$first$server$others", %values);


# a request by curl: its status, header and body; \'host' is another name

sub ask {
    my ($uri, @options) = @_;

    my $host = @options && ref $options[0] ? ${shift @options} : 'localhost';
    my $port = $root->port('tls');

    my $said = curl('-i', '--cacert', "$dir/ca.crt",
                    '--resolve', "$host:$port:127.0.0.1",
                    @options, "https://$host:$port$uri");
    my ($head, $body) = split /\r\n\r\n/, $said, 2;

    return { status => ($head // '') =~ /^\S+ (\d+)/ ? $1 : 0,
             head => $head // '', body => $body // '' };
}


sub certificate {
    my ($name) = @_;

    return ('--cert', "$dir/$name.crt", '--key', "$dir/$name.key");
}


sub said {
    my ($answer) = @_;

    return eval { JSON::PP::decode_json($answer->{body}) } || {};
}


# whether that is a token of a client, the last one; none is shown if not

sub has_token {
    my ($answer, $client) = @_;

    return (said($answer)->{access_token} // '')
           eq ($idp->tokens($client))[-1];
}


my @leaf = certificate('leaf');
my @form = ('-d', 'grant_type=client_credentials');

# what is told

my $answer = ask('/token', @leaf, @form);

is($answer->{status}, 200, 'a known gateway is answered');
ok(has_token($answer, 'the-business'), 'with the token of the location');
is(said($answer)->{token_type}, 'Bearer', 'its type');
like(said($answer)->{expires_in}, qr/^29[0-8]$/,
     'the rest of its life, without its last seconds');
like($answer->{head}, qr{^Content-Type: application/json\r?$}mi, 'JSON');
like($answer->{head}, qr/^Cache-Control: no-store\r?$/mi, 'not to be stored');
like($answer->{head}, qr/^Zertiban-Token-Age: \d\r?$/mi, 'its age');
like($answer->{head}, qr/^Zertiban-Token-Next: 2[3-6]\d\r?$/mi,
     'when there will be another one');

ok(has_token(ask('/token', @leaf, @form), 'the-business'),
   'the next one gets the same token');
is($idp->count('the-business'), 1, 'one exchange for all');

ok(has_token(ask("/token/of?id=$_", @leaf, @form), "CN=ca-$_"),
   "a credential of its own, $_")
    for qw(one two);

# what has been sent, to one that stays connected

my $stays = IO::Socket::SSL->new(
    PeerAddr => '127.0.0.1:' . $root->port('tls'), SSL_hostname => 'localhost',
    SSL_ca_file => "$dir/ca.crt", SSL_cert_file => "$dir/leaf.crt",
    SSL_key_file => "$dir/leaf.key") or die 'no connection';

print $stays join "\r\n", 'POST /token HTTP/1.1', 'Host: localhost',
                          'Content-Length: 29', '', $form[1];

my $line;

do { $line = <$stays> // die 'no answer' } until $line =~ /^{/;

my ($token) = $idp->tokens('the-business');

ok($line =~ /\Q$token\E","token_type"/, 'a token for one that stays connected');
ok(wait_until(sub {
       !grep { found($_, "$token\",\"token_type\"") } $root->workers();
   }), 'is not kept in memory as it was sent');

close $stays;

# who may not have it

is(ask('/token', @form)->{status}, 400, 'no certificate');
is(ask('/token', certificate('nobody'), @form)->{status}, 400,
   'a certificate of a stranger');

$answer = ask('/token', \'other.test', '-k', certificate('nobody'),
              '-H', 'Host: localhost', @form);

is($answer->{status}, 421, 'a certificate that another server knows');

$answer = ask('/token', \'127.0.0.1', '-k', certificate('nobody'),
              '-H', 'Host: localhost', @form);

is($answer->{status}, 403,
   'a certificate that another server knows, without SNI');
unlike($answer->{body}, qr/token/, 'nothing of the token');

is($root->start('POST', '/token', body => 'grant_type=client_credentials')
        ->response()->{status}, 403, 'a connection without TLS');
is(ask('/token/guarded', @leaf, @form)->{status}, 403,
   'access control comes first');

# TLS 1.3: a session that one server has begun may go on with another one

my $session = "$dir/session";


# a client that asks for the token by openssl: what becomes of it

sub goes_on {
    my ($name, $host, @options) = @_;

    my $file = $root->write_file('request', join "\r\n",
        'POST /token HTTP/1.1', "Host: $host", 'Content-Length: 29',
        'Connection: close', '', 'grant_type=client_credentials');

    my $command = join ' ', 'openssl s_client -ign_eof',
        '-connect 127.0.0.1:' . $root->port('tls'),
        "-cert $dir/$name.crt -key $dir/$name.key", @options;

    my $said = `$command <$file 2>&1`;

    return { resumed => scalar $said =~ /^Reused, /m,
             token => scalar $said =~ /access_token/,
             status => $said =~ m{HTTP/1.1 (\d+)} ? $1
                       : $said =~ /alert/ ? 'alert' : '' };
}


for my $begun ('-noservername', '-servername other.test') {

    for my $name ('-noservername', '-servername localhost',
                  '-servername any.test')
    {
        goes_on('nobody', 'other.test', $begun, '-sess_out', $session);
        ok(-s $session, "a session of another server, $begun");

        $answer = goes_on('nobody', 'localhost', $name, '-sess_in', $session);
        unlink $session;

        like($answer->{status}, qr/^(?:4\d\d|alert)$/, "goes on, $name");
        ok(!$answer->{token}, 'and gets nothing');
    }
}

my @localhost = ('leaf', 'localhost', '-servername localhost');

ok(goes_on(@localhost, '-sess_out', $session)->{token},
   'a session of this server');

$answer = goes_on(@localhost, '-sess_in', $session);

ok($answer->{resumed}, 'which goes on');
is($answer->{status}, 403, 'does not tell who has verified it');

# behind the back of the location's access control

unlike(ask('/page', @leaf)->{body}, qr/access_token/, 'not by an include');
is(ask('/asked', @leaf)->{status}, 403, 'not by auth_request');
unlike(ask('/done', @leaf, @form)->{body}, qr/access_token/,
       'not by post_action');

# what is no token request

$answer = ask('/token', @leaf);

is($answer->{status}, 405, 'GET');
like($answer->{head}, qr/^Allow: POST\r?$/mi, 'what is allowed');
is(ask('/token', @leaf, '-X', 'PUT', @form)->{status}, 405, 'PUT');

for (['nothing', '', 'invalid_request'],
     ['another form', 'a=b', 'invalid_request'],
     ['another grant', 'grant_type=password', 'unsupported_grant_type'],
     ['a longer grant', 'grant_type=client_credentials2',
      'unsupported_grant_type'],
     ['a scope', 'grant_type=client_credentials&scope=x', 'invalid_scope'])
{
    my ($what, $body, $error) = @$_;

    $answer = ask('/token', @leaf, '-d', $body);

    is($answer->{status}, 400, $what);
    is(said($answer)->{error}, $error, "$what, why");
}

is(ask('/token/scope', @leaf, '-d',
       'grant_type=client_credentials&scope=pay+read')->{status}, 200,
   'the scope of the location');
is(ask('/token/scope', @leaf, @form)->{status}, 200, 'no scope');
is(ask('/token/scope', @leaf, @form, '-d', 'scope=pay')->{status}, 400,
   'a part of the scope');
is(ask('/token', @leaf, '-d', 'x' x 1025)->{status}, 413, 'a long body');
is(ask('/token', @leaf, '-H', 'Transfer-Encoding: chunked', '-d',
       'x' x 5000)->{status}, 413, 'a long body of unknown length');

$answer = ask('/token/lifted?if=1', @leaf, @form);

is($answer->{status}, 200, 'in a location with "if"');
like($answer->{head}, qr/^X-If: yes\r?$/mi, 'which is obeyed');
is(ask('/token/lifted', @leaf)->{status}, 403, 'behind "limit_except"');
is(ask('/token/excepted', @leaf, @form)->{status}, 200, 'and within it');

# tokens that are said to be refused, but are not the one there is

for my $mark ('', '0', '0' x 16, 'x' x 16, 'f' x 16, '1' x 40, '-1') {
    $answer = ask('/token', @leaf, @form,
                  '-H', "Zertiban-Token-Refused: $mark",
                  '-H', "Zertiban-Token-Doubted: $mark");

    ok(has_token($answer, 'the-business'), "not its mark: \"$mark\"");
}

is($idp->count('the-business'), 1, 'no other exchange');

# a token that ends while the endpoint does not answer

$idp->{expires_in} = 8;

my @answers = ask('/token/of?id=ends', @leaf, @form);

$idp->hold();

push @answers, ask('/token/of?id=ends', @leaf, @form)
    while $answers[-1]{status} == 200;

$idp->release();
$idp->{expires_in} = 300;

$answer = pop @answers;

like($answer->{status}, qr/^50[34]$/, 'it is given as long as it can be used');
is(scalar(grep { !said($_)->{expires_in} } @answers), 0,
   'but not in its last second');
is(scalar(grep { $_->{head} !~ /^Zertiban-Token-Next: \d+\r?$/mi } @answers),
   0, 'what is late is due now');

# an endpoint that is a gateway of this kind itself, or says strange things

for (['a gateway that shares', 7, 100, 7, 10],
     ['an age alone', 7, undef, 0, 2],
     ['a moment alone', undef, 100, 0, 2],
     ['a moment that is none', 7, 'soon', 0, 2],
     ['a negative one', 7, -1, 0, 2],
     ['a moment behind the end', 7, 999_999_999_999, 7, 29])
{
    my ($what, $age, $next, $old, $then) = @$_;
    my $older = $old + 1;

    $idp->answer(sub {
        my ($request) = @_;
        my $told = '';

        $told .= "Zertiban-Token-Age: $age\r\n" if defined $age;
        $told .= "Zertiban-Token-Next: $next\r\n" if defined $next;

        return $idp->issue($request) =~ s/\r\n\K/$told/r;
    });

    $answer = ask("/token/of?id=" . $what =~ tr/ /-/r, @leaf, @form);

    like($answer->{head}, qr/^Zertiban-Token-Age: [$old$older]\r/mi,
         "$what, its age");
    like($answer->{head}, qr/^Zertiban-Token-Next: $then\d+\r?$/mi,
         "$what, when there will be another one");
}

$idp->answer();

# a client that leaves while it waits

$idp->hold();

my $leaving = start_curl('--cacert', "$dir/ca.crt", @leaf, @form,
                         'https://localhost:' . $root->port('tls')
                         . '/token/of?id=leaving');

wait_until { $idp->count('CN=ca-leaving') };

kill 'KILL', $leaving;
curl_output($leaving);

is($root->logged('/token/of?id=leaving')->{status}, 499,
   'a client that leaves takes its request with it');

$idp->release();

is(ask('/token', @leaf, @form)->{status}, 200, 'after one that has left');

$root->finish();

# what the configuration may not be

my %bad = (
    'no certificates of clients' => [
        'ssl_verify_client on;', '', qr/does not demand their certificates/],
    'certificates of clients that may be left out' => [
        'ssl_verify_client on;', 'ssl_verify_client optional;',
        qr/does not demand their certificates/],
    'any certificates of clients' => [
        'ssl_verify_client on;', 'ssl_verify_client optional_no_ca;',
        qr/does not demand their certificates/],
    'no endpoint' => [
        'zertiban_token_endpoint %%IDP%%;', '',
        qr/"zertiban_share" is in the location .*"zertiban_token_endpoint"/],
    'no secret' => [
        'zertiban_client_secret secret-of-the-business;', '',
        qr/"zertiban_client_secret" or "zertiban_client_secret_file"/],
    'proxy_pass behind it' => [
        'zertiban_share;', 'zertiban_share; proxy_pass http://127.0.0.1:1;',
        qr/"zertiban_share" has to be in a location of its own/],
    'stub_status behind it' => [
        'zertiban_share;', 'zertiban_share; stub_status;',
        qr/"zertiban_share" has to be in a location of its own/],
    'proxy_pass before it' => [
        'zertiban_share;', 'proxy_pass http://127.0.0.1:1; zertiban_share;',
        qr/"zertiban_share" directive has to be in a location of its own/],
    'two of them' => [
        'zertiban_share;', 'zertiban_share; zertiban_share;',
        qr/"zertiban_share" directive is duplicate/],
    'a value' => [
        'zertiban_share;', 'zertiban_share on;',
        qr/invalid number of arguments in "zertiban_share"/],
);

my $binary = Zertiban::Nginx::binary();

for my $name (sort keys %bad) {
    my ($old, $new, $pattern) = @{$bad{$name}};

    my $text = "$tls$server    }\n";
    $text =~ s/\Q$old\E/$new/ or die "no $old";

    my $nginx = Zertiban::Nginx->new();
    my $place = $nginx->config($text, %values)->dir();

    like(scalar `$binary -t -p $place -c $place/nginx.conf -e stderr 2>&1`,
         $pattern, "refused: $name");
}

done_testing();
