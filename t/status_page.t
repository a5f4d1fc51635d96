# Tests for the page of zertiban_status: it says whether all is well, and if
# not, what is wrong and what to do; it needs nothing but itself.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha256_base64);
use File::Temp qw(tempdir);
use POSIX qw(strftime);

use Zertiban::Accounts;
use Zertiban::CA;
use Zertiban::Shim;
use Zertiban::Test;

use constant { NEW => 'new secret-of-new', OLD => 'old secret-of-old' };

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();

my $dir = tempdir(CLEANUP => 1);
my $authorities = 0;

my $uuid = '7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11';


# a gateway whose locations are for these clients, with other settings or not

sub start_nginx {
    my ($clients, %o) = @_;

    my $locations = join '', map { <<"EOF" } sort keys %$clients;

        location /$_ {
            zertiban_client_id $_;
            $clients->{$_}
            proxy_pass http://%%API%%;
        }
EOF

    my $t = Zertiban::Nginx->new(workers => 1, env => $o{env} || {});

    chmod 0600, $t->write_file('pairs', $o{pairs}) if $o{pairs};

    return $t->run(<<"EOF", API => $api->address(), IDP => $idp->url());
    zertiban_token_endpoint %%IDP%%;
    zertiban_client_secret secret-of-all;
    zertiban_tenant_id \$arg_tenant$uuid;
    @{[$o{http} // '']}

    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
$locations
        location /file {
            return 404;
        }
        @{[$o{server} // '']}

        location = /status { zertiban_status html @{[$o{status} // '']}; }
    }
EOF
}


my $page;

sub look {
    my ($t) = @_;

    $page = $t->get('/status');

    return $page->{body};
}


# what the title and the headline say, which is the same

sub verdict {
    my ($t) = @_;

    my $text = look($t);
    my ($title) = $text =~ m{<title>(.*?) – zertiban – .*?</title>};
    my ($headline) = $text =~ m{<h1 class="\w+">(.*?)</h1>};

    return $title eq $headline ? $title : "\"$title\" and \"$headline\"";
}


# waits until the verdict is as expected

sub verdict_is {
    my ($t, $expected, $name, $seconds) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $verdict;

    wait_until { ($verdict = verdict($t)) eq $expected } $seconds;

    is($verdict, $expected, $name);
}


# what is to be done, one by one, as people read it

sub items {
    return map { s/<[^>]+>//gr =~ s/&#39;/'/gr =~ s/\s+/ /gr }
           $page->{body} =~ m{<li>(.*?)</li>}gs;
}


sub advice {
    return join ' ', items();
}


# looks until it is told what is to be done: an attempt may be in flight

sub advice_is {
    my ($t, $expected, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    wait_until { look($t); advice() =~ $expected };

    like(advice(), $expected, $name);
}


# all is well

my $t = start_nginx({ one => '', two => '' });

verdict_is($t, 'all 2 credentials have a token', 'a page of a good day');
is(advice(), 'There is nothing to do.', 'says that nothing is to be done');
like($page->{body}, qr/<h1 class="good">/, 'in green');
like($page->{body}, qr{<meta http-equiv="refresh" content="5">},
     'it comes again by itself');
is(scalar(() = $page->{body} =~ /<tr>/g), 3, 'with a row for each');
like($page->{body}, qr/"token\ ends\ in">4\ min\ \d\d\ s<.*
                       "next\ attempt\ in">(?:3\ min|4\ min\ [0-2])/x,
     'the next token comes before the end of the present one');


# it is by itself, and says so

my ($policy) = $page->header('Content-Security-Policy');
my ($style) = $page->{body} =~ m{<style>(.*?)</style>}s;

is($policy, "default-src 'none'; style-src 'sha256-" . sha256_base64($style)
            . "='; form-action 'self'; base-uri 'none';"
            . " frame-ancestors 'none'",
   'its policy allows its own style and nothing else');
unlike($page->{body}, qr/<script|<link|<img|<iframe|javascript:|\bon\w+=/i,
       'it has no script and no other files');
unlike($page->{body}, qr/\bstyle=|\bsrc=|\bhref=|url\(|\@import/i,
       'nor what the policy would forbid');
unlike($page->{body}, qr/\Q$uuid\E/, 'nor a tenant');

$t->finish();


# nothing that a token is for

$t = Zertiban::Nginx->new(workers => 1)->run(<<'EOF');
    server {
        listen 127.0.0.1:%%PORT%%;

        location = /status { zertiban_status html; }
    }
EOF

verdict_is($t, 'no location has "zertiban on"' =~ s/"/&quot;/gr,
           'a gateway that is none yet');
like(advice(), qr/zertiban on/, 'says what makes it one');

$t->finish();


# credentials that requests name

my $asked = Zertiban::IdP->new(expires_in => 12);
my $asked_down = 0;

$asked->answer(sub {
    my ($request) = @_;

    return Zertiban::IdP::json(500) if $asked_down;
    return $asked->issue($request) if $request->{client_id} =~ /good/;
    return Zertiban::IdP::json(401, error => 'invalid_client');
});

$t = start_nginx({ }, server => "location /any {
                                     zertiban_token_endpoint @{[$asked->url()]};
                                     zertiban_client_id \$arg_client;
                                     proxy_pass http://%%API%%;
                                 }");

verdict_is($t, 'no credential is in use', 'before the first request');
like($page->{body}, qr{<dt>credentials</dt><dd>none<}, 'there are none');

$t->get('/any?client=good');
verdict_is($t, '1 credential that requests name has a token', 'one');
is(scalar(() = $page->{body} =~ /try now/g), 0, 'which cannot be tried');

$t->get('/any?client=good2');
verdict_is($t, '2 credentials that requests name have a token', 'two');

$asked_down = 1;
ok(wait_until(sub {
       $t->get('/any?client=good');
       verdict($t) =~ /^refresh fails for \d credentials? that requests name$/;
   }, 12), 'of which the tokens will end');
like($page->{body}, qr/<h1 class="care">/, 'in yellow');

$asked_down = 0;
$t->get('/any?client=good3');
$t->get('/any?client=wrong');
verdict_is($t, 'no token for 1 credential that requests name',
           'of which one is refused', 12);
like(advice(), qr/^wrong: .* refuses .*, no token so far/,
     'and never had a token');

$t->finish();


# one is refused, and what is said is dangerous

my $hostile = '<script>alert(1)</script>&"\'';

$idp->answer(sub {
    my ($request) = @_;

    return $idp->issue($request) if $request->{client_id} eq 'good';
    return Zertiban::IdP::json(401, error => 'invalid_client',
                               error_description => $hostile);
});

$t = start_nginx({ bad => '', good => '',
                   'evil' => "zertiban_scope '<b>&\"';" });

verdict_is($t, '2 of 3 credentials have no token', 'secrets are refused');
advice_is($t, qr/bad, evil: .* refuses the client id.*new pair/,
          'says which, and what to do');
like($page->{body}, qr/<h1 class="bad">/, 'in red');
like($page->{body}, qr/<tbody>\n<tr>.*bad.*\n<tr>.*evil.*\n<tr>.*good/,
     'those that fail come first');
like($page->{body}, qr/&lt;script&gt;alert\(1\)&lt;\/script&gt;&amp;/,
     'what the endpoint says is shown as it is');
like($page->{body}, qr/scope <bdi>&lt;b&gt;&amp;&quot;</, 'a scope, too');
unlike($page->{body}, qr/<script|<b>&/, 'and is no part of the page');

$t->finish();


# other troubles: what the page says of each

sub tls_idp {
    my (@sign) = @_;

    my $n = ++$authorities;
    my $ca = Zertiban::CA->new($dir, "ca$n");
    my ($certificate, $key) = $ca->sign("idp$n", san => 'IP:127.0.0.1',
                                        @sign);
    my $idp = Zertiban::IdP->new(tls => { SSL_cert_file => $certificate,
                                          SSL_key_file => $key });

    return ($idp, $ca->certificate());
}


my ($expired, $expired_ca) = tls_idp(expired => 1);
my ($unknown) = tls_idp();
my %other = map { $_ => Zertiban::IdP->new() }
            qw(broken limited slow moved odd);

$other{broken}->answer(Zertiban::IdP::json(502));
$other{limited}->answer(Zertiban::IdP::json(429));
$other{slow}->hold();
$other{moved}->answer(Zertiban::IdP::json(404));
$other{odd}->answer("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>");
$idp->answer();

my %trouble = (
    down    => ['zertiban_token_endpoint http://127.0.0.1:9/token;',
                qr/cannot be reached.*curl -v/],
    name    => ['zertiban_token_endpoint http://nowhere.invalid/token;',
                qr/name of the token endpoint cannot be resolved.*resolver/],
    expired => ["zertiban_ssl_trusted_certificate $expired_ca;
                 zertiban_token_endpoint " . $expired->url() . ';',
                qr/is not valid at this machine's time.*set the clock/],
    unknown => ['zertiban_token_endpoint ' . $unknown->url() . ';',
                qr/certificate is not accepted.*Never switch/],
    slow    => ['zertiban_timeout 1s;
                 zertiban_token_endpoint ' . $other{slow}->url() . ';',
                qr/does not answer in time.*zertiban_timeout/],
    (map { ($_->[0] => ['zertiban_token_endpoint ' . $other{$_->[0]}->url()
                        . ';', $_->[1]]) }
     ['broken', qr/is out of order.*by themselves/],
     ['limited', qr/asks to slow down/],
     ['moved', qr/URL may be wrong.*zertiban_token_endpoint/],
     ['odd', qr/not understood as a token endpoint/]),
);

$t = start_nginx({ map { $_ => $trouble{$_}[0] } keys %trouble });

verdict_is($t, '9 of 9 credentials have no token', 'nothing works');

for my $name (sort keys %trouble) {
    my $expected = qr/^$name: .*$trouble{$name}[1]/;

    ok(wait_until(sub { look($t); grep { $_ =~ $expected } items() }),
       "$name: what is wrong, and what to do") or diag(join "\n", items());
}

$t->finish();


# a token that cannot be refreshed

my $ends = Zertiban::IdP->new(expires_in => 12);

$t = start_nginx({ one => 'zertiban_token_endpoint ' . $ends->url() . ';
                           zertiban_refresh_before 5s;' });

verdict_is($t, 'the credential has a token', 'a token');

$ends->answer(Zertiban::IdP::json(500));

verdict_is($t, 'refresh fails for the credential', 'that will end', 12);
like($page->{body}, qr/<h1 class="care">/, 'in yellow');
like($page->{body}, qr/valid, refresh fails/, 'while calls go on');
like(advice(), qr/, last token \d+ s ago, good for \d+ s$/, 'for how long');

verdict_is($t, 'the credential has no token', 'that has ended', 12);
like(advice(), qr/^one: .*out of order.*, last token 1\d s ago$/,
     'and since when');
like($page->{body}, qr/ok, \d+ failed<br><small>last token 1\d s ago</,
     'in its row, too');

$t->finish();


# pairs

my $soon = strftime('%Y-%m-%d', gmtime time + 5 * 86400);
my $accounts = Zertiban::Accounts->new(my $pairs_idp = Zertiban::IdP->new());

$accounts->accept(OLD);

$t = start_nginx({ }, pairs => NEW . "\n" . OLD . " $soon\n",
                 server => "location /pairs {
                                zertiban_token_endpoint @{[$pairs_idp->url()]};
                                zertiban_credentials_file pairs;
                                proxy_pass http://%%API%%;
                            }");

verdict_is($t, 'the credential has a token, but the newest secret is refused',
           'an older pair is used');
like(advice(), qr/old: the token endpoint refuses the newest secret/,
     'and why is said');
like($page->{body}, qr/old<.*pair 2 of 2.*until $soon.*refused: <bdi>new</,
     'in its row, too');

$accounts->accept(NEW);
$accounts->revoke(NEW);
chmod 0600, $t->write_file('pairs', OLD . " $soon\n");
$t->reload();

verdict_is($t, 'the credential has a token, but a secret ends soon',
           'a pair that ends soon');
like(advice(), qr/ends in less than 14 days/, 'is told of in time');

my $past = strftime('%Y-%m-%d', gmtime time - 2 * 86400);

chmod 0600, $t->write_file('pairs', OLD . " $past\n");
$t->reload();

verdict_is($t, 'the credential has a token, but a secret is past its date',
           'and one that should have ended');
like(advice(), qr/is past the date in its file/, 'is told of as well');

$t->finish();


# what has happened to requests

my $refusing = Zertiban::API->new();

$refusing->answer("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n");

$t = start_nginx({ one => 'proxy_set_header Authorization nothing;' });
$t->get('/one');

verdict_is($t, 'the credential has a token, but the token does not reach the'
               . ' API', 'a token that is lost');
like(advice(), qr/did not carry the token: 1, the last.*proxy_set_header.*log/,
     'which the error log says where');

$t->finish();

my $address = $refusing->address();

my $shim = Zertiban::Shim->new();

$t = start_nginx({ }, env => $shim->env(),
                 server => "location /401 {
                                zertiban_client_id one;
                                proxy_pass http://$address;
                            }");
$t->get('/401') for 1 .. 3;

verdict_is($t, 'the credential has a token, but the API refuses it',
           'a token that the API refuses');
like(advice(), qr/status 401.*: 3, the last.*permission.*zertiban_tenant_id/,
     'how often, and what may be wrong');

$shim->set_clock(3000);

verdict_is($t, 'the credential has a token, but the API refuses it',
           'so it is for an hour');

$shim->set_clock(4000);

verdict_is($t, 'the credential has a token', 'and not any more then');
like(advice(), qr/status 401.*: 3, the last/, 'though it is told of');

$shim->set_clock(90000);

verdict_is($t, 'the credential has a token', 'after a day');
unlike(advice(), qr/status 401/, 'it is not told of either');

$t->finish();

$t = start_nginx({ one => '' }, http => 'zertiban_zone zertiban:32k;',
                 server => 'location /any {
                                zertiban_client_id $arg_client;
                                proxy_pass http://%%API%%;
                            }');
$t->get("/any?client=$_") for 1 .. 60;

verdict_is($t, 'the credential has a token, but the zone is too small',
           'a zone that is too small');
like(advice(), qr/thrown out.*Make zertiban_zone larger/,
     'which is to be larger');

$t->finish();


# clocks that differ

my $late = Zertiban::IdP->new();

$late->answer(sub {
    my $date = strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime time - 3600);

    return $late->issue($_[0]) =~ s/\r\n/\r\nDate: $date\r\n/r;
});

$t = start_nginx({ one => 'zertiban_token_endpoint ' . $late->url() . ';' });

verdict_is($t, 'the credential has a token, but the clock of this machine may'
               . ' be wrong', 'a clock that differs');
like(advice(), qr/clocks of this machine.*: 3,[56]\d\d .*set the clock/,
     'by so much');

$t->finish();


# more than are shown

$t = start_nginx({ map { ("client$_" => '') } 1 .. 5 }, status => 'max=2');

verdict_is($t, 'all 5 credentials have a token', 'five credentials');
like($page->{body}, qr/2 of 5 are shown/, 'of which two are shown');
is(scalar(() = $page->{body} =~ /<tr>/g), 3, 'in two rows');

$t->finish();

done_testing();
