# Tests for names that a reader may take for "Authorization" or "x-tenant-id":
# what a client sends under them does not reach the API, and the rest does.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::CGI;
use Zertiban::H2;
use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();

my @protocols = qw(fastcgi scgi uwsgi);
my %cgi = map { $_ => Zertiban::CGI->new(protocol => $_) } @protocols;

my $cgi = join '', map { <<"EOF" } @protocols;
        location /$_ {
            ${_}_pass %%$_%%;
            ${_}_param CONTENT_LENGTH \$content_length;
            ${_}_param REQUEST_METHOD \$request_method;
            ${_}_param REQUEST_URI \$request_uri;
        }
EOF

# what a server makes of names that are not common

my %servers = (
    common     => '',
    underscore => 'underscores_in_headers on;',
    any        => 'ignore_invalid_headers off;',
    all        => 'underscores_in_headers on; ignore_invalid_headers off;',
);

my $servers = join '', map { <<"EOF" } sort keys %servers;
    server {
        listen 127.0.0.1:%%PORT_$_%%;
        listen 127.0.0.1:%%PORT_h2_$_%% http2;
        $servers{$_}

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id client;
        zertiban_client_secret secret-of-client;
        zertiban_tenant_id tenant;

        location /proxy {
            proxy_pass http://%%API%%;
        }

        location /grpc {
            grpc_pass grpc://127.0.0.1:%%PORT_grpc%%;
        }

$cgi
    }

EOF

$t->run($servers . <<'EOF',
    # shows what the gRPC upstream got as HTTP/1
    server {
        listen 127.0.0.1:%%PORT_grpc%% http2;
        underscores_in_headers on;
        ignore_invalid_headers off;
        access_log off;

        location / {
            proxy_pass http://%%API%%;
        }
    }
EOF
    API => $api->address(), IDP => $idp->url(),
    map { $_ => $cgi{$_}->address() } @protocols);

my @odd = (split(//, "._+!#\$%&'*^`|~"), '--', '-_', '-.-');

# names that are folded, and some that are near

my @folded = (
    qw(Authorization AUTHORIZATION x-tenant-id X-TENANT-ID),
    map {
        my $odd = $_;

        ((map { ($odd . $_, $_ . $odd, $odd . $_ . $odd) }
              qw(Authorization X-Tenant-Id)),
         "x${odd}tenant${odd}id", "x-tenant${odd}id", "x${odd}tenant-id");
    } @odd, '-',
);

my @near = qw(xx-tenant-id x-tenant-ids x-tenantid xtenant-id x-tenant-i-d
              x-tenant authorizations author-ization xauthorization
              proxy-authorization x-authorization a x 1-x-tenant-id);


sub fold {
    my ($name) = @_;

    return lc($name) =~ s/[^a-z0-9]+/-/gr =~ s/^-|-$//gr;
}


# the values that a reader of a request finds under a name

sub values_of {
    my ($request, $name) = @_;

    my @fields = $request->{params}
                 ? map { [$_->[0] =~ s/^HTTP_//r, $_->[1]] }
                   grep { $_->[0] =~ /^HTTP_/ } @{$request->{params}}
                 : @{$request->{headers}};

    return map { $_->[1] } grep { fold($_->[0]) eq $name } @fields;
}


sub requests {
    my ($uri) = @_;

    return map { $_->requests($uri) } $api, values %cgi;
}


is($t->get('/proxy', port => 'common')->{status}, 200, 'there is a token');

my ($token) = $idp->tokens();
my $own = "Bearer $token tenant";

for my $server (sort keys %servers) {
    for my $way (qw(proxy grpc), @protocols) {

        my (%sent, %statuses, @wrong);

        # nginx refuses some of these, and drops others

        for my $n (0 .. $#folded) {
            $sent{$n} = $t->start('GET', "/$way?$server-$n", port => $server,
                                  headers => ["$folded[$n]: of-the-client"]);
        }

        for my $n (0 .. $#folded) {
            my $status = $sent{$n}->response()->{status};

            $statuses{$status}++;
            push @wrong, "$folded[$n]: $status" if $status !~ /^(?:200|400)$/;

            for my $request (requests("/$way?$server-$n")) {
                my $has = join ' ', map { values_of($request, $_) }
                                    qw(authorization x-tenant-id);

                push @wrong, $folded[$n] if $has ne $own;
            }
        }

        is("@wrong", '', "$server, $way: no other token and tenant");
        ok($statuses{200} >= @folded / 2, 'most are served');

        my @kept = map { "$_: of-the-client" } @near;

        is($t->get("/$way?$server-near", port => $server,
                   headers => \@kept)->{status}, 200, 'names that are near');

        my ($request) = requests("/$way?$server-near");

        is(join(' ', grep { join(' ', values_of($request, fold($_)))
                            ne 'of-the-client' } @near), '',
           'reach the API');
    }
}

# HTTP/2, fewer at a time than nginx allows

for my $server (sort keys %servers) {
    my $h2 = Zertiban::H2->new($t->port("h2_$server"));
    my @left = 0 .. $#folded;

    while (my @some = splice @left, 0, 50) {
        my @ids = map {
            $h2->get("/proxy?h2-$server-$_", undef,
                     "$folded[$_]: of-the-client")
        } @some;

        wait_until { $h2->statuses(@ids) == @ids }
            or die 'not all are answered';
    }

    my @requests = map { requests("/proxy?h2-$server-$_") } 0 .. $#folded;
    my @wrong = grep {
        my $request = $_;

        join(' ', map { values_of($request, $_) }
                  qw(authorization x-tenant-id)) ne $own;
    } @requests;

    is(scalar(@wrong), 0, "HTTP/2, $server: no other token and tenant");
    ok(@requests >= @folded / 2, 'most are served');

    $h2->leave();
}

$t->finish();

done_testing();
