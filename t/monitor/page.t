# Tests for the page in a real browser: light and dark, narrow and wide, with
# one credential and with 300, and with what may be wrong. The pictures are in
# build/monitor.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";

use Compress::Zlib qw(uncompress);

use Zertiban::CA;
use Zertiban::Chromium;
use Zertiban::Site;
use Zertiban::Test;

use constant { NARROW => 400, WIDE => 1300 };

my $pictures = "$FindBin::Bin/../../build/monitor";

mkdir $_ for "$FindBin::Bin/../../build", $pictures;

# is there as long as the browser is
my $home = Zertiban::Nginx->new();
my $browser = Zertiban::Chromium->new($home->dir());


# red, green and blue of the first pixel of a PNG: filters leave it as it is

sub corner {
    my ($file) = @_;

    open my $fh, '<:raw', $file or die "$file: $!";
    my $bytes = do { local $/; <$fh> };
    my ($data, $place) = ('', 8);

    while ($place < length $bytes) {
        my ($length, $type) = unpack 'N a4', substr $bytes, $place, 8;

        $data .= substr $bytes, $place + 8, $length if $type eq 'IDAT';
        $place += $length + 12;
    }

    return unpack 'x C3', uncompress($data);
}


# the page as it is now

sub look {
    my ($name, $url, %o) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $browser->show($url, %o);
    $browser->picture("$pictures/$name.png");

    my ($title, $headline) = map { $browser->value($_) }
        'document.title', 'document.querySelector("h1").innerText';
    my $too_wide = 'document.documentElement.scrollWidth'
                   . ' - document.documentElement.clientWidth';

    like($title, qr/\Q$headline\E/, "$name: the title is the verdict");
    is(count_of($browser->urls()), "$url: 1", 'nothing else is asked for');
    is(join("\n", $browser->complaints()), '', 'there is nothing to see to');
    is($browser->value('document.scripts.length'), 0, 'no script');
    is($browser->value($too_wide), 0, 'it fits into the window');

    return $headline;
}


sub looks {
    my ($name, $url) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    for my $size ([narrow => NARROW], [wide => WIDE]) {
        my ($word, $width) = @$size;

        for my $scheme (qw(light dark)) {
            my $picture = "$name-$word-$scheme";

            look($picture, $url, width => $width, scheme => $scheme);

            my ($red, $green, $blue) = corner("$pictures/$picture.png");
            my $bright = ($red + $green + $blue) / 3;

            ok($scheme eq 'dark' ? $bright < 80 : $bright > 200, $scheme)
                or diag("the corner is $red, $green, $blue");
        }
    }
}


sub text {
    return $browser->value('document.body.innerText');
}


# the browser leaves the page, which would be asked for again, and nginx ends

sub finish {
    my ($site) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $browser->show('about:blank');
    $site->{nginx}->finish();
}


sub trusting {
    my ($ca) = @_;

    return 'zertiban_ssl_trusted_certificate ' . $ca->certificate() . ';';
}


sub url {
    my ($site, $path) = @_;

    return 'http://' . $site->address() . ($path // '/status');
}


# one credential, and some requests

my $one = Zertiban::Site->new();

$one->endpoint(good => 300, 'good');
$one->location('/good', 'good', 'good');
$one->run();

wait_until { $one->status('/good') == 200 } or die 'there is no token';
$one->status('/good') for 1 .. 20;

looks('one', url($one));

$browser->show(url($one, '/strict'));
like(text(), qr/credential/, 'a policy of an operator leaves all the text');
is(count_of($browser->urls()), url($one, '/strict') . ': 1',
   'and nothing is asked for then, either');


# the API refuses the token

$one->{api}->answer($one->{api}->text(401, 'no'));
$one->status('/good') for 1 .. 3;
look('case-unauthorized', url($one));
like($browser->value('document.title'), qr/the API refuses/,
     'answers with 401 are told');


# a credential is tried, by the button

sub press {
    $browser->forget();
    $browser->value('document.querySelector("form button").click()');
    $browser->loaded();
}


$browser->show(url($one));
press();
like($browser->value('document.title'), qr/works/, 'a credential that works');
is(join("\n", $browser->complaints()), '', 'and nothing keeps it from that');

$one->{accounts}{good}->revoke(Zertiban::Site::pair('good'));
wait_until { 0 } 10;    # until another exchange may be asked for

$browser->show(url($one));
press();
like($browser->value('document.title'), qr/no new token: idp_rejected_client/,
     'and one that does not, any more');
$browser->picture("$pictures/tried.png");

finish($one);


# three hundred credentials, of which some have troubles of all kinds

my $many = Zertiban::Site->new();
my $ca = Zertiban::CA->new($many->{nginx}->dir(), 'root');

$ca->sign('expired', san => 'IP:127.0.0.1', expired => 1);

$many->endpoint(good => 300, map { sprintf 'client-%03d', $_ } 1 .. 295);
$many->endpoint(down => 300);
$many->endpoint(broken => 300);

my $tls = Zertiban::IdP->new(tls => {
    SSL_cert_file => $ca->certificate('expired'),
    SSL_key_file => $ca->key('expired') });

$many->location("/$_", 'good', sprintf 'client-%03d', $_) for 1 .. 295;
$many->location('/down', 'down', 'down');
$many->location('/broken', 'broken', 'broken');
$many->location('/refused', 'good', 'refused');
$many->location('/name', 'http://nowhere.invalid/token', 'name');
$many->location('/clock', $tls->url(), 'clock', trusting($ca));

$many->{idp}{down}->shut();
$many->{idp}{broken}->answer(Zertiban::IdP::json(500));
$many->run();

wait_until { !grep { $many->status($_) == 200 || $many->status($_) == 504 }
                   qw(/down /broken /refused /name /clock) }
    or die 'what should fail does not';
wait_until { $many->{idp}{good}->count() >= 295 } 30
    or die 'there are too few tokens';

looks('many', url($many));

my $text = text();

like($text, qr/300/, 'all are counted');
like($text, qr/\b\Q$_\E\b/, "$_ is told") for qw(idp_unreachable
                                                 idp_rejected_client);

finish($many);


# each of these troubles alone

my %cases = (
    down => [qr/reach/i, sub {
        my ($site) = @_;
        $site->endpoint(down => 300);
        $site->{idp}{down}->shut();
        $site->location('/', 'down', 'client');
    }],
    refused => [qr/refuse/i, sub {
        my ($site) = @_;
        $site->endpoint(good => 300);
        $site->location('/', 'good', 'client');
    }],
    dns => [qr/DNS/, sub {
        my ($site) = @_;
        $site->location('/', 'http://nowhere.invalid/token', 'client');
    }],
    clock => [qr/clock/, sub {
        my ($site) = @_;
        $site->location('/', $tls->url(), 'client', trusting($ca));
    }],
);

for my $name (sort keys %cases) {
    my ($pattern, $prepare) = @{$cases{$name}};
    my $site = Zertiban::Site->new();

    $prepare->($site);
    $site->run();

    wait_until { $site->status('/') =~ /^50[023]/ } or die "$name works";
    look("case-$name", url($site));
    like(text(), $pattern, 'it says what it is');
    like($browser->value('document.title'), qr/no token/, 'first of all');

    finish($site);
}


# a zone that is too small

my $small = Zertiban::Site->new(zone => '64k', workers => 1);

$small->endpoint(good => 300, map { "client-$_" } 1 .. 200);
$small->location('/', 'good', '$arg_client');
$small->run();
$small->status("/?client=client-$_") for 1 .. 200;

look('case-zone', url($small));
like(text(), qr/zertiban_zone/, 'it says what to make larger');
finish($small);

$browser->stop();

done_testing();
