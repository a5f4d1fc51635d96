# Tests for Debian's echo and headers-more modules in a server with the gate.

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
my $t = Zertiban::Nginx->new(
    load => [beside(qw(echo zertiban headers-more-filter))]);
my $elsewhere = Zertiban::Elsewhere->new();
my $callers = Zertiban::Callers->new($t, idp => $idp, api => $api,
                                     elsewhere => $elsewhere, http1 => 1);

$t->run(<<'EOC' =~ s/%%GATE%%\n/$gate/r,
    %%MAP%%

    client_body_buffer_size 4k;

    server {
        listen 127.0.0.1:%%PORT%%;

%%GATE%%
        # handlers

        location /content {
            echo '%%SHOWN%%';
        }

        location /content/slow {
            echo_sleep 0.01;
            echo '%%SHOWN%%';
        }

        location /exec {
            echo_exec /gated $args;
        }

        location /exec/named {
            echo_exec @named;
        }

        location /exec/open {
            echo_exec /open/exec $args;
        }

        location /exec/named/open {
            echo_exec @open;
        }

        location /body {
            echo_read_request_body;
            echo_request_body;
        }

        # other requests

        location /ask {
            echo_location /one $args;
            echo_location /open/two $args;
            echo_subrequest POST /three -q $args -b 'a body';
        }

        location /ask/at/once {
            echo_location_async /one $args;
            echo_location_async /open/two $args;
            echo_subrequest_async POST /three -q $args -b 'a body';
        }

        location /ask/open {
            zertiban off;
            echo_location /one $args;
            echo_location /open/two $args;
            echo_subrequest POST /three -q $args -b 'a body';
        }

        location /around {
            echo_before_body '%%SHOWN%%';
            echo_after_body '%%SHOWN%%';
            proxy_pass http://%%API%%;
        }

        # headers

        location /set {
            more_set_input_headers 'Authorization: Bearer a'
                                   'X-Tenant-Id: forged'
                                   'x_tenant_id: forged';
            proxy_pass http://%%API%%;
        }

        location /replace {
            more_set_input_headers -r 'authorization: Bearer a'
                                      'x-tenant-id: forged';
            proxy_pass http://%%API%%;
        }

        location /clear {
            more_clear_input_headers Authorization x-tenant-id;
            proxy_pass http://%%API%%;
        }

        location /clear/all {
            more_clear_input_headers 'Auth*' 'x-t*';
            proxy_pass http://%%API%%;
        }

        location /copy {
            more_set_input_headers 'X-Copy: %%SHOWN%%';
            more_set_headers 'X-Copy: %%SHOWN%%' 'Server: gate';
            proxy_pass http://%%API%%;
        }
    }
EOC
    API => $api->address(), IDP => $idp->url(),
    ELSEWHERE => $elsewhere->address(), Zertiban::Callers::config());


# handlers

for my $uri (qw(/content /content/slow)) {
    my @answers = $callers->goes($uri, "a handler in the gate ($uri)", 200,
                                 0, 0);

    $callers->shows('shows its client',
                    map { [$_->{kind}, $_->{body}] } @answers);
}

$callers->goes("/exec$_", "a handler that goes to the gate (exec$_)", 200,
               1, 0)
    for '', '/named';
$callers->goes("/exec$_", "a handler that leaves the gate (exec$_)", 200,
               0, 1)
    for '/open', '/named/open';

my $body = 'b' x 3000;

is(count_of(map { $_->{body} eq $body }
            $callers->call('POST', '/body?client=1', body => $body)),
   '1: ' . $callers->n(), 'a handler that reads the body');


# other requests

for my $uri (qw(/ask /ask/at/once /ask/open)) {
    my @answers = $callers->goes($uri, "requests of a handler ($uri)", 200,
                                 2, 1);

    is(count_of(map { $_->{body} } @answers),
       "GET /one?client=1\nGET /open/two?client=1\nPOST /three?client=1\n: "
       . $callers->n(), 'have their own answers');
    is($api->last('/three?client=1')->{digest}, md5_hex('a body'), 'and body');
}

my @answers = $callers->goes('/around', "lines around the API's", 200, 1, 0);

$callers->shows('show the client before',
    map { [$_->{kind}, $_->{body} =~ /\A(.*)\nGET/] } @answers);
$callers->shows('and after',
    map { [$_->{kind}, $_->{body} =~ /^GET.*\n(.*)\n\z/m] } @answers);


# headers

$callers->goes($_, "headers that are changed ($_)", 200, 1, 0)
    for qw(/set /replace /clear /clear/all);

@answers = $callers->goes('/copy', 'headers that are copied', 200, 1, 0);

$callers->shows('show the client in the answer',
    map { [$_->{kind}, $_->{head} =~ /^x-copy: (.*?)\r?$/mi] } @answers);
$callers->shows('and in the request',
    map { [($_->header('X-Kind'))[0], $_->header('X-Copy')] }
    $callers->requests('/copy?client=1', 'api'));
is(count_of(map { $_->{head} =~ /^server: (.*?)\r?$/mi } @answers), 'gate: 3',
   'others are set as well');

is($elsewhere->leaks(), 0, 'no token has gone elsewhere');

$t->finish();

done_testing();
