# Tests for $zertiban_tenant_id before a request comes to the gate: limits,
# maps and scripts see the tenant that it will act for.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Test;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url());
    limit_req_zone $zertiban_tenant_id zone=tenants:1m rate=1r/m;

    map $zertiban_tenant_id $kind {
        default some;
        "" none;
        tenant-big big;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id client;
        zertiban_client_secret secret-of-client;
        zertiban_tenant_id tenant-$arg_tenant;

        add_header X-Seen "[$zertiban_tenant_id] [$seen] $kind" always;
        set $seen "";

        location / {
            set $seen $zertiban_tenant_id;
            proxy_pass http://%%API%%;
        }

        location /limited {
            limit_req zone=tenants;
            limit_req_status 429;
            proxy_pass http://%%API%%;
        }

        location /denied {
            deny all;
            proxy_pass http://%%API%%;
        }

        location /header {
            zertiban_tenant_id $http_x_business;
            set $seen $zertiban_tenant_id;
            proxy_pass http://%%API%%;
        }

        location /first {
            set $seen $zertiban_tenant_id;
            error_page 404 = /second?tenant=$arg_tenant;
            proxy_intercept_errors on;
            proxy_pass http://%%API%%;
        }

        location /second {
            zertiban_tenant_id second-$arg_tenant;
            limit_req zone=tenants burst=10 nodelay;
            set $seen $zertiban_tenant_id;
            proxy_pass http://%%API%%;
        }

        location /open {
            zertiban off;
            set $seen $zertiban_tenant_id;
            proxy_pass http://%%API%%;
        }
    }
EOF

$api->answer(sub {
    my ($request) = @_;

    return $api->text(404, "none\n") if $request->{uri} =~ /first/;
    return $api->default($request);
});


sub seen {
    my ($uri, @headers) = @_;

    my $answer = $t->get($uri, headers => \@headers);

    return join ' ', $answer->{status}, $answer->header('X-Seen');
}


is(seen('/?tenant=one'), '200 [tenant-one] [tenant-one] some',
   'a script sees the tenant');
is(seen('/?tenant=big'), '200 [tenant-big] [tenant-big] big',
   'and so does a map');
is(seen('/open?tenant=one'), '200 [] [] none', 'where there is no gate, none');
is(seen('/denied?tenant=one'), '403 [tenant-one] [] some',
   'of a request that is denied');

is(seen('/header', 'x-business: two'), '200 [two] [two] some',
   'a tenant of a header');
is(seen('/header'), '400 [] [] none', 'a missing one is empty');
is(seen('/header', 'x-business: a b'), '400 [] [] none',
   'and so is one that cannot be used');

is(count_of(map { seen('/limited?tenant=one') =~ /^(\d+)/ } 1 .. 4),
   '200: 1, 429: 3', 'each tenant has a limit');
is(count_of(map { seen("/limited?tenant=$_") =~ /^(\d+)/ } 1 .. 4),
   '200: 4', 'of its own');

is(seen('/first?tenant=one'),
   '200 [second-one] [second-one] some',
   'behind a redirect it is the other location\'s');
is(count_of(map { $_->tenant() } grep { $_->{uri} =~ /first|second/ }
            $api->requests()), 'second-one: 1, tenant-one: 1',
   'and the API gets each');

$t->finish();

done_testing();
