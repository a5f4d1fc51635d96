# Tests for static credentials in a zone that is full: they never go, and a
# reload changes nothing about that.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Test;

my $n = 40;
my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new(workers => 2);

$idp->answer(sub {
    my ($request) = @_;

    my $client = $request->{client_id};

    return $idp->issue($request, token => "$client."
                                          . 'x' x (1199 - length $client));
});

my %values = (API => $api->address(), IDP => $idp->url());

my $config = <<'EOF' . join '', map { <<"EOL" } 1 .. $n;
    zertiban_zone full:128k;

    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id $arg_client;
        zertiban_client_secret a-secret-of-all;
        zertiban_tenant_id a-tenant;

        location / {
            proxy_pass http://%%API%%;
        }

EOF
        location = /static-$_ {
            zertiban_client_id static-$_;
            proxy_pass http://%%API%%;
        }
EOL

$t->run("$config    }\n", %values);

wait_until { $n == grep { $idp->count("static-$_") } 1 .. $n }
    or die 'there are no static tokens';


# all static credentials

sub statuses {
    return count_of(map { $t->get("/static-$_")->{status} } 1 .. $n);
}


sub crowd {
    my ($name, $size) = @_;

    return map { $t->get("/?client=$name-$_")->{status} } 1 .. $size;
}


sub exchanges {
    return scalar grep { ($_->{client_id} // '') =~ /^static/ }
                  @{$idp->{requests}};
}


is(statuses(), "200: $n", 'static credentials');

crowd('first', 200);

is(statuses(), "200: $n", 'in a zone that is full of others');
is(exchanges(), $n, 'with one token request each');


# others take all the places that they get, from the first moment on

my $flood = sub {
    my ($name) = @_;

    my @clients = map { $t->start('GET', "/?client=$name-$_") } 1 .. 200;

    $_->response() for @clients;
};

$idp->answer(Zertiban::IdP::json(503, error => 'down'));

for my $turn (1 .. 3) {
    kill 'HUP', $t->{pid};
    $flood->("reload-$turn");
}

$t->reload();
$flood->('reloaded');

is(statuses(), "200: $n", 'after reloads while others come, and no IdP');
is(exchanges(), $n, 'without a token request');


# reloads that fail are nothing

$t->write_file('nginx.conf', $t->read_file('nginx.conf')
                             . "unknown_directive on;\n");

for my $turn (1 .. 3) {
    kill 'HUP', $t->{pid};
    wait_until { (my @lines = $t->error_log(qr/unknown_directive/)) == $turn }
        or die 'nginx has not read its configuration';
}

$flood->('failed');
is(statuses(), "200: $n", 'after reloads that fail');

$t->reload("$config    }\n");
$flood->('mended');

is(statuses(), "200: $n", 'and one that does not');
is(exchanges(), $n, 'without a token request');


# one that the configuration does not name any more may go

$t->reload(($config =~ s/static-1;/static-none;/r) . "    }\n");
$idp->answer();
crowd('last', 400);

is($t->get('/?client=static-1')->{status}, 200, 'what is static no more');
is($idp->count('static-1'), 2, 'goes like any other');

$t->finish(allow => qr/\[emerg\].*unknown_directive/);

done_testing();
