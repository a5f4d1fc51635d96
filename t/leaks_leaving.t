# Tests for the token going nowhere else when clients leave, at each stage of
# a request: the log, and what post_action passes on, have what they sent.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::IP;

use Zertiban::Callers;
use Zertiban::Elsewhere;
use Zertiban::H2;
use Zertiban::Loop;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();
my $elsewhere = Zertiban::Elsewhere->new();
my $callers = Zertiban::Callers->new($t, idp => $idp, api => $api,
                                     elsewhere => $elsewhere);

# a listener whose queue is full: a connection to it is never made

my $full = IO::Socket::IP->new(LocalHost => '127.0.0.1', Listen => 1,
                               Type => Socket::SOCK_STREAM) or die $@;
my @queue = map {
    IO::Socket::IP->new(PeerHost => '127.0.0.1',
                        PeerPort => $full->sockport(), Blocking => 0,
                        Type => Socket::SOCK_STREAM)
} 1 .. 4;

my %stages = (
    token => 'waits for the token',
    late => 'waits for a token that does not come',
    body => 'sends its body',
    stream => 'sends its body, which is not buffered',
    connect => 'waits for a connection to the API',
    answer => 'waits for the answer',
    response => 'is sent the answer',
);

my $locations = join '', map {
    my $after = $_;

    map {
        my $address = $_ eq 'connect' ? '127.0.0.1:%%FULL%%' : '%%API%%';
        my $more = ($_ eq 'stream' ? 'proxy_request_buffering off;' : '')
                   . ($_ eq 'late' ? 'zertiban_timeout 5s;' : '')
                   . ($after eq 'after' ? 'post_action @open;' : '');

        "        location /$after/$_ { proxy_pass http://$address; $more }\n"
    } sort keys %stages;
} qw(plain after);

$t->run(<<'EOF' =~ s/%%LOCATIONS%%/$locations/r,
    %%MAP%%

    log_format client '$http_x_case $status %%SHOWN%%';
    access_log %%DIR%%/logs/access-client.log client;

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_h2%% http2;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id client-$arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant$arg_tenant;

        location / {
            proxy_pass http://%%API%%;
        }

%%LOCATIONS%%

        location @open {
            zertiban off;
            proxy_pass http://%%ELSEWHERE%%;
            proxy_pass_request_body off;
            proxy_set_header Content-Length '';
        }
    }
EOF
    API => $api->address(), IDP => $idp->url(), FULL => $full->sockport(),
    ELSEWHERE => $elsewhere->address(), Zertiban::Callers::config());

$idp->answer(sub {
    my ($request) = @_;

    return if $request->{client_id} =~ /token|late/;
    return $idp->issue($request);
});

$api->answer(sub {
    my ($request) = @_;

    return if $request->{uri} =~ /answer/;
    return $api->text(200, 'x' x 8_000_000) if $request->{uri} =~ /response/;
    return $api->default($request);
});

my @held;

$elsewhere->answer(sub {
    my ($request) = @_;

    push @held, $request and return if $request->{uri} =~ /token|late/;
    return $elsewhere->default($request);
});


# clients of all kinds, that leave in four ways

sub start {
    my ($uri) = @_;

    my $partial = $uri =~ /body|stream/;
    my @length = $partial ? ('Content-Length: 99') : ();
    my @part = $partial ? ('part') : (undef);
    my @h2 = map { Zertiban::H2->new($t->port('h2')) } 1 .. 2;
    my (@h1, @cancel);

    for my $kind (@Zertiban::Callers::kinds) {
        my @fields = ($callers->fields($kind, $uri), @length);

        push @h1, map {
            $t->start($partial ? 'POST' : 'GET', $uri, headers => \@fields)
        } 1 .. 2;
        push @cancel, $h2[0]->get($uri, @part, @fields);
        $h2[1]->get($uri, @part, @fields);
    }

    for my $client (@h1) {
        $client->{stream}->write('part') if $partial;
        Zertiban::Loop::unwatch($client->{stream}{fh}) if $uri =~ /response/;
    }

    $_->ping() for @h2;

    return { uri => $uri, h1 => \@h1, h2 => \@h2, cancel => \@cancel };
}


sub leave {
    my ($group) = @_;

    $_->leave(reset => $_ % 2) for @{$group->{h1}};
    $group->{h2}[0]->cancel($_) for @{$group->{cancel}};
    $group->{h2}[1]->leave();
}


sub start_both {
    my ($stage) = @_;

    return map {
        my $client = $stage =~ /token|late/ ? "$stage-$_" : 1;
        start("/$_/$stage?client=$client");
    } qw(plain after);
}


# nginx has seen all that came before on their HTTP/2 connections

sub seen {
    return !grep { !$_->{pong} } map { @{$_->{h2}} } @_;
}


# the status and the rest of the lines of a case, so far, or of all its clients

sub lines {
    my ($uri) = @_;

    return map { /^\Q$uri\E (\d+ .*)/ ? $1 =~ s/\[-\]/[]/gr : () }
           split /^/, $t->read_file('logs/access-client.log');
}


sub logged {
    my ($uri) = @_;

    my @lines;

    wait_until { @lines = lines($uri); @lines >= 12 };

    return @lines;
}


is($t->get('/?client=1')->{status}, 200, 'there is a token');

# those that must leave before zertiban_timeout come last

my @others = map { start_both($_) } grep { $_ ne 'late' } sort keys %stages;

ok(wait_until(sub {
    $api->count('/plain/answer?client=1') == 12
        && $api->count('/after/answer?client=1') == 12
        && $api->count('/plain/response?client=1') == 12
        && $api->count('/after/response?client=1') == 12
        && $idp->count() == 3
        && seen(@others)
        && !grep { $_->{out} ne '' } values %{$api->{streams}};
}, 30), 'clients are at each stage');

my @late = start_both('late');

wait_until { $idp->count() == 5 && seen(@late) };

# whatever came before is read
$t->get('/?client=1') for 1 .. 2;

my @groups = (@late, @others);

leave($_) for @groups;

my $shown = count_of(map { ($callers->shown($_)) x 4 }
                     @Zertiban::Callers::kinds);

# while the pages after them are held back

ok(wait_until(sub {
    @held == 24 && lines('/plain/token?client=token-plain') == 12
                && lines('/plain/late?client=late-plain') == 12;
}), 'clients that waited have left');

$idp->release(sub {
    my ($request) = @_;

    return if $request->{client_id} =~ /late/;
    return $idp->issue($request);
});

# later than zertiban_timeout
Zertiban::Loop::after(5.3, sub {
    $_->answer($elsewhere->text(200, "late\n")) for splice @held;
});

for my $group (@groups) {
    my $uri = $group->{uri};
    my ($after, $stage) = $uri =~ m{^/(\w+)/(\w+)};
    my @lines = logged($uri);

    my $status = $after eq 'after' || $stage eq 'response' ? 200
                 : $stage =~ /body|stream/ ? '(?:400|499)' : 499;

    is(count_of(map { s/^$status //r } @lines), $shown,
       "a client leaves while it $stages{$stage}: the log shows what it"
       . ' sent');
    is($callers->whose($uri, $after eq 'after' ? 12 : 0, 'elsewhere'),
       $after eq 'after' ? 'client: 12' : '',
       $after eq 'after' ? 'post_action passes on what it sent'
                         : 'nothing comes elsewhere');

    my $n = $stage =~ /answer|response/ ? 12 : 0;

    is($callers->whose($uri, $n, 'api'), $n ? 'gate: 12' : '',
       $n ? 'the API got token and tenant' : 'the API gets nothing');
}

is($t->get('/?client=token-after')->{status}, 200,
   'later clients are served');

is(join(', ', $callers->on_disk()), '', 'no file holds a token or a secret');
is($elsewhere->leaks(), 0, 'no token and no secret has come elsewhere');

$t->finish();

done_testing();
