# Tests for many credentials, and for zones that are full.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Secrets;
use Zertiban::Test;

my $pad = 'x' x 1187;
my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $far = Zertiban::Nginx->new(workers => 1);

# for many, another nginx is the IdP, whose tokens have 1,200 bytes and begin
# with the client's id, and the API, which answers with that

secret($pad);

$far->run(<<"EOF");
    log_format idp '\$remote_user';

    map \$http_authorization \$owner {
        default none;
        "~^Bearer (?<id>client-\\d\\d\\d\\d\\d)\\.x{1187}\$" \$id;
    }

    server {
        listen 127.0.0.1:%%PORT_idp%% backlog=1024;
        access_log %%DIR%%/logs/access-idp.log idp;

        location /idp/oauth2/token {
            return 200 '{"access_token":"\$remote_user.$pad",
                         "token_type":"Bearer","expires_in":86400}';
        }
    }

    server {
        listen 127.0.0.1:%%PORT_api%% backlog=1024;
        access_log off;
        keepalive_requests 1000000;

        location / {
            return 200 "\$owner\\n";
        }
    }
EOF

my %values = (API => $api->address(), IDP => $idp->url(),
              FAR_API => '127.0.0.1:' . $far->port('api'),
              FAR_IDP => '127.0.0.1:' . $far->port('idp'));

my $head = <<'EOF';
    zertiban_zone many:%%SIZE%%;

    upstream far {
        server %%FAR_API%%;
        keepalive 64;
    }

    server {
        listen 127.0.0.1:%%PORT%% backlog=1024;
        keepalive_requests 1000000;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_timeout 30s;
        zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;

        location /far {
            access_log off;
            zertiban_token_endpoint http://%%FAR_IDP%%/idp/oauth2/token;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://far;
        }

        location / {
            proxy_pass http://%%API%%;
        }
EOF


sub start_nginx {
    my ($size, %o) = @_;

    my $nginx = Zertiban::Nginx->new(workers => 2, %o);

    return $nginx->run($head . ($o{locations} // '') . "    }\n", %values,
                       SIZE => $size);
}


# asks for clients one after another, in so many ranges at once; says whose
# tokens reached the API, and how many token requests that took

sub ask {
    my ($nginx, $first, $last, $n) = @_;

    my $size = ($last - $first + 1) / ($n // 1);
    my $url = 'http://127.0.0.1:' . $nginx->port() . '/far?client=client-';
    my $before = exchanges();

    my @pids = map {
        start_curl(sprintf '%s[%05d-%05d]', $url, $first + $_ * $size,
                   $first + ($_ + 1) * $size - 1)
    } 0 .. ($n // 1) - 1;

    my $output = join '', map { curl_output($_, 60) } @pids;

    return ($output, exchanges() - $before);
}


sub exchanges {
    return $far->read_file('logs/access-idp.log') =~ tr/\n//;
}


# how many of some clients, in their order, have got an answer with their token

sub served {
    my ($first, $last, $output) = @_;

    my @owners = split /\n/, $output;

    return scalar grep { shift(@owners) eq sprintf 'client-%05d', $_ }
                  $first .. $last;
}


# one after another

my $t = start_nginx('45m');
my ($output, $n) = ask($t, 1, 20000, 4);

is(served(1, 20000, $output), 20000,
   'twenty thousand credentials are served with their own tokens');
is($n, 20000, 'after one exchange each');

($output, $n) = ask($t, 1, 20000, 4);

is(served(1, 20000, $output), 20000, 'they are served again');
is($n, 0, 'without any exchange, in a zone of 45 MB');

$t->finish();


$t = start_nginx('1m');
($output, $n) = ask($t, 1, 430);
is($n, 430, 'there are 430 credentials');

($output, $n) = ask($t, 1, 430);
is(served(1, 430, $output) . " $n", '430 0', 'one MB holds all of them');

$t->finish();


# who goes when the zone is full

my %held = map { $_ => 1 } qw(held left);

my $answer = sub {
    my ($request) = @_;

    my $id = $request->{client_id};

    return if $held{$id};
    return $idp->issue($request, token => "$id." . 'x' x (16383 - length $id))
        if $id =~ /^huge/;
    return $idp->issue($request, token => "$id." . 'x' x (1199 - length $id))
        if $id =~ /^crowd/;
    return $idp->issue($request);
};

$idp->answer($answer);

$t = start_nginx('256k', locations => <<'EOF');

        location /static {
            zertiban_client_id static;
            zertiban_client_secret secret-of-static;
            proxy_pass http://%%API%%;
        }
EOF

my @waiting = map { $t->start('GET', "/$_?client=$_") } qw(held left);

wait_until { $idp->held() == 2 && $idp->count('static') }
    or die 'exchanges are not in flight';

$waiting[1]->leave();

ask($t, 1, 100);
is((ask($t, 1, 100))[1], 0, 'a hundred credentials have room');

# the zone learns once a second that a token is in use
wait_until { 0 } 1.1;

is((ask($t, 1, 50))[1], 0, 'half of them are used again');
is((ask($t, 101, 160))[1], 60, 'sixty more come');
is((ask($t, 1, 50))[1], 0, 'those that were used again stay');
is((ask($t, 101, 160))[1], 0, 'so do those that came last');
is((ask($t, 51, 60))[1], 10, 'those unused for longest have gone');
is((ask($t, 1001, 1300))[1], 300, 'many others come and go');

%held = ();
$idp->release($answer);

is($waiting[0]->response()->{status}, 200,
   'a request is served whose exchange was in flight all the time');
is($t->get('/again?client=left')->{status}, 200,
   'so is one after an exchange that was given up');
is($t->get('/static')->{status}, 200, 'and a static credential');
is(count_of(map { $idp->count($_) } qw(held static)), '1: 2',
   'each with one token request');
is($idp->count('left'), 2, 'but for what nobody waited for');

$t->finish();


# a token for which nothing can go

my $held = <<'EOF';

        location /held {
            zertiban_client_id huge-%s;
            zertiban_client_secret secret-of-static;
            proxy_pass http://%%%%API%%%%;
        }
EOF

# the one that is to be held is there first

$idp->release(sub {
    my ($request) = @_;

    return if $request->{client_id} eq 'huge-static';
    return $answer->($request);
});

my $huge = start_nginx('32k', locations => sprintf($held, 'held') . <<'EOF');

        location /static {
            zertiban_client_id huge-static;
            zertiban_client_secret secret-of-static;
            proxy_pass http://%%API%%;
        }
EOF

$t = start_nginx('32k', locations => sprintf($held, 'held-too'));

wait_until { $huge->get('/held')->{status} == 200
             && $t->get('/held')->{status} == 200
             && $idp->count('huge-static') }
    or die 'there are no tokens';

$idp->release($answer);

my @static = map { $huge->get('/static') } 1 .. 20;
my @dynamic = $t->get('/any?client=huge-any');

# before the next attempt, which is a second later
push @dynamic, map { $_->response() }
               map { $t->start('GET', '/any?client=huge-any') } 1 .. 19;

is(count_of(map { $_->{status} } @static), '503: 20',
   'a token that the zone cannot hold');
is(count_of(map { $_->{status} } @dynamic), '200: 1, 503: 19',
   'is for the request that has waited for it');
is($huge->logged('/static')->{error}
   . ' ' . $t->logged('/any?client=huge-any')->{error},
   'zone_full zone_full', 'is called zone_full');
is(count_of(map { $idp->count("huge-$_") } qw(held held-too)), '1: 2',
   'and takes no place of what is static');
ok(wait_until(sub { $idp->count('huge-static') == 3 }),
   'a static credential is tried again');
ok(wait_until(sub { $t->get('/any?client=huge-any');
                    $idp->count('huge-any') == 3 }),
   'and a dynamic one, with requests');

for my $nginx ($huge, $t) {
    my @lines;

    wait_until { (@lines = $nginx->error_log(qr/no new token for/)) == 3 };

    is(count_of(map { /\[(\w+)\]/ } @lines), 'error: 1, info: 2',
       'which is an error only once');
    like($lines[0], qr/make "zertiban_zone" larger.*zertiban zone "many"/,
         'and the log names the zone and says what to do');

    $nginx->finish();
}


# many at once, in a zone far too small for them

$t = start_nginx('64k');

my @workers = $t->workers();

%held = map { ("crowd-$_" => 1) } 1 .. 400;

my @clients = map { $t->start('GET', "/crowd?client=crowd-$_") } 1 .. 400;

wait_until { $idp->held() + grep({ $_->done() } @clients) == 400 }
    or die 'requests are neither refused nor do they wait';

my $refused = grep { $_->done() } @clients;

%held = ();
$idp->release($answer);

my @responses = map { $_->response() } @clients;

my $exchanges = grep { $_->{client_id} =~ /^crowd/ } @{$idp->{requests}};

diag("400 at once in 64 KB: $refused refused, then "
     . count_of(map { $_->{status} } @responses)
     . "; $exchanges exchanges, "
     . scalar(my @errors = $t->error_log(qr/\[error\]/))
     . ' lines at error level');

like(count_of(map { $_->{status} } @responses), qr/^200: \d+(, 503: \d+)?$/,
     'all of many requests at once are answered');
cmp_ok($exchanges, '<', 800, 'with less than two exchanges each');
is(join(' ', $t->workers()), "@workers", 'no worker dies');
is($t->get('/later?client=later')->{status}, 200, 'the zone still serves');

$t->finish();
$far->finish();

done_testing();
