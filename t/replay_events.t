# Tests for what happens to a client's connection while its request is
# replayed: whatever it is, the API gets the request once with a good token.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::CGI;
use Zertiban::H2;
use Zertiban::Revocation;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $cgi = Zertiban::CGI->new(protocol => 'fastcgi');
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();
my $tokens = Zertiban::Revocation->new($t, $idp);

$t->write_file('page.html', '<!--#include virtual="/open/first" -->'
                            . '<!--#include virtual="/ignore/pay?$args" -->');

# what is named without variables would be another credential

$t->run(<<'EOF', API => $api->address(), CGI => $cgi->address(),
    geo $after { default after; }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_h2%% http2;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant-$arg_client;

        location / {
            proxy_pass http://%%API%%;
        }

        location /ignore {
            proxy_ignore_client_abort on;
            proxy_pass http://%%API%%;
        }

        location /stored {
            root %%DIR%%;
            proxy_store on;
            proxy_pass http://%%API%%;
        }

        location /fastcgi {
            fastcgi_ignore_client_abort on;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param REQUEST_URI $request_uri;
            fastcgi_pass %%CGI%%;
        }

        location /after {
            proxy_pass http://%%API%%/open/answered;
            post_action /after/pay;
        }

        location /after/pay {
            zertiban_client_id $after;
            zertiban_client_secret secret-of-$after;
            zertiban_tenant_id tenant-after;
            proxy_pass http://%%API%%/after/pay?client=after;
        }

        location /mirrored {
            mirror /mirrored/pay;
            proxy_pass http://%%API%%/open/answered;
        }

        location /mirrored/pay {
            internal;
            proxy_pass http://%%API%%;
        }

        location /page {
            zertiban off;
            ssi on;
            ssi_types *;
            alias %%DIR%%/page.html;
        }

        location /open {
            zertiban off;
            proxy_pass http://%%API%%;
        }
    }
EOF
    IDP => $idp->url());

my %events = %Zertiban::Client::events;

# by the end of "fin", "close" and "reset" nginx has ended a request here

my %leaves = map { $_ => 1 } qw(plain);

my @places = qw(plain ignore stored fastcgi);
my @cases = map { my $place = $_; map { [$place, $_] } sort keys %events }
            @places;

$_->[2] = "/$_->[0]/pay?client=$_->[0]-$_->[1]" for @cases;

# requests that nginx makes itself, and a client of HTTP/2

my @more = map { "/$_/pay?client=$_" } qw(after mirrored);
my $included = '/ignore/pay?client=included';
my @streams = map { "/ignore/pay?client=stream-$_" } qw(cancel leave);

my @uris = ((map { $_->[2] } @cases), @more, $included, @streams);


# payments are held back, and so is what nginx shows before one

sub answer {
    my ($request) = @_;

    return if $request->{uri} =~ m{/pay|/open/first};
    return $api->default($request) if $request->{uri} =~ m{/open};
    return $tokens->answer($request)
           // ($request->{params} ? "Status: 200 OK\r\n\r\nother\n"
                                  : $api->default($request));
}

$_->answer(\&answer) for $api, $cgi;


# all requests for a payment, the first ones with a token that was revoked

sub payments {
    my ($uri) = @_;

    return $api->requests($uri), $cgi->requests($uri);
}


sub counts {
    return count_of(map { scalar(my @all = payments($_)) } @uris);
}


sub reply {
    my ($request, $status) = @_;

    $request->answer($request->{params}
                     ? "Status: $status Status\r\n\r\n$status\n"
                     : $api->text($status, "$status\n"));
}


sub logged {
    my ($uri) = @_;

    return scalar grep { /^\Q$uri\E / }
           split /^/, $t->read_file('logs/access.log');
}


$tokens->warm('barrier', map { /client=(.*)/ } @uris);
$tokens->grow_old();

# the payments are on their way when another request finds the token refused:
# their 401 comes when there is a new one

my %clients = map {
    $_->[2] => $t->start('POST', $_->[2], body => 'amount',
                         connection => 'keep-alive')
} @cases;

my @page = $t->start('GET', '/page?client=included');
push @page, map { $t->start('POST', "/$_?client=$_", body => 'amount') }
            qw(after mirrored);

my @h2 = map { Zertiban::H2->new($t->port('h2')) } @streams;
my @ids = map { $h2[$_]->get($streams[$_]) } 0 .. $#streams;

ok(wait_until(sub { counts() eq '1: ' . @uris }), 'payments are on their way');

$tokens->revoke();

is(count_of(map { $t->get("/other?client=$_")->{status} }
            map { /client=(.*)/ } @uris), '200: ' . @uris,
   'other requests have got new tokens');

reply($_, 401) for map { payments($_) } @uris;

ok(wait_until(sub { counts() eq '2: ' . @uris }), 'they are replayed');

# the events, and while the first part of the page is sent its second one
# becomes the request that they are for

for my $case (@cases) {
    my ($place, $event, $uri) = @$case;

    $events{$event}->($clients{$uri});
}

$h2[0]->cancel($ids[0]);
$h2[1]->leave();

$t->barrier();

reply($api->got('/open/first'), 200);
$t->barrier();

# some more of the same

for my $case (grep { $_->[1] =~ /byte|next/ } @cases) {
    $events{byte}->($clients{$case->[2]}) for 1 .. 2;
    $t->barrier();
}

is(counts(), '2: ' . @uris, 'none is sent again');

reply((payments($_))[1], 200) for @uris;

for my $case (@cases) {
    my ($place, $event, $uri) = @$case;
    my $stays = $event =~ /nothing|byte|next/;

    next if $event =~ /close|reset/;

    is($clients{$uri}->response()->{status},
       $stays || !$leaves{$place} ? 200 : 0,
       "$place: the answer to a client that does this: $event");
}

is($page[0]->response()->{body}, "200\n" x 2, 'a page of two parts');
is(count_of(map { $_->response()->{status} } @page[1, 2]), '200: 2',
   'answers beside which nginx makes requests');

ok(wait_until(sub { !grep { !logged($_) } @uris[0 .. $#cases] }),
   'all have ended');

$t->barrier();

is(counts(), '2: ' . @uris, 'and none is sent again');

for my $uri (@uris) {
    my ($client) = $uri =~ /client=(.*)/;
    my %number = do { my $n; map { $_ => ++$n } $idp->tokens($client) };

    is(join(' ', map { $number{$_->token()} // 'none' } payments($uri)),
       '1 2', "$client: each token once");
}

$t->finish();

done_testing();
