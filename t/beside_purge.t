# Tests for caches behind the gate, and Debian's module that purges them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Beside;
use Zertiban::CGI;
use Zertiban::Test;

my $config = <<'EOF';
    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;
    fastcgi_cache_path %%DIR%%/fastcgi_cache keys_zone=fastcgi:1m;

    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id client;
        zertiban_client_secret secret-of-client;
        zertiban_tenant_id tenant-$arg_tenant;

        add_header X-Cache $upstream_cache_status;

        proxy_cache_valid 1m;
        fastcgi_cache_valid 1m;
        fastcgi_param REQUEST_METHOD $request_method;
        fastcgi_param REQUEST_URI $request_uri;

        location /proxied {
            zertiban on;
            proxy_pass http://%%API%%;
            proxy_cache cache;
            proxy_cache_key $uri/$zertiban_tenant_id;
        }

        location /purging {
            zertiban on;
            proxy_cache_purge cache $arg_uri/$zertiban_tenant_id;
        }

        location /purging/open {
            proxy_cache_purge cache $arg_uri/tenant-$arg_tenant;
        }

        location /purging/page {
            zertiban on;
            proxy_cache_purge cache $arg_uri/$zertiban_tenant_id;
            error_page 404 412 = $arg_page;
        }

        location /page/open {
            proxy_pass http://%%API%%;
            proxy_pass_request_body off;
            proxy_set_header Content-Length '';
        }

        location /page/gated {
            zertiban on;
            proxy_pass http://%%API%%;
            proxy_pass_request_body off;
            proxy_set_header Content-Length '';
        }

        location /page/file {
            alias %%DIR%%/page.txt;
        }

        location /purged {
            zertiban on;
            fastcgi_pass %%CGI%%;
            fastcgi_cache fastcgi;
            fastcgi_cache_key $uri/%%KEY%%;
            fastcgi_cache_purge PURGE from 127.0.0.1;
        }

        location /refused {
            zertiban on;
            fastcgi_pass %%CGI%%;
            fastcgi_cache fastcgi;
            fastcgi_cache_key $uri/%%KEY%%;
            fastcgi_cache_purge PURGE from 127.0.0.2;
        }
    }
EOF

# what is not in the cache

my $none = qr/^4(?:04|12)$/;

my ($t, $idp);


# $zertiban_tenant_id is there behind the gate only, where the handler is one
# of a module that was loaded before this one

test('purging behind the gate', '$zertiban_tenant_id',
     qw(cache-purge zertiban)) if Zertiban::Nginx::module();
test('purging before the gate', 'tenant-$arg_tenant',
     qw(zertiban cache-purge));

done_testing();


sub test {
    my ($name, $key, @order) = @_;

    my $api = Zertiban::API->new();
    my $cgi = Zertiban::CGI->new(protocol => 'fastcgi');

    $idp = Zertiban::IdP->new();
    $t = Zertiban::Nginx->new(load => [beside(@order)]);

    $t->run($config, API => $api->address(), CGI => $cgi->address(),
            IDP => $idp->url(), KEY => $key);

    $idp->hold();

    like(status('GET', '/purging/open?uri=/proxied'), $none,
         "$name: where there is no gate");
    is($idp->count(), 1, 'it waits for no token');
    $idp->release();

    purged('/proxied', 'GET', '/purging?uri=/proxied');
    purged('/proxied', 'GET', '/purging/open?uri=/proxied');
    purged('/purged', 'PURGE', '/purged?');

    is(join(' ', map { status($_, '/refused?tenant=1') }
                 qw(PURGE GET PURGE POST PURGE)), '403 200 403 200 403',
       'to purge can be refused');

    $t->write_file('page.txt', "a file\n");

    for my $page (qw(file open gated)) {
        is(status('GET', "/purging/page?page=/page/$page&tenant=1"), 200,
           "an error page ($page) for what is not in the cache");
    }

    slow("/purging/page?page=/page/$_&tenant=1") for qw(open gated);

    is(with_token($api->requests('/page/open')), '0 of 2',
       'where there is no gate it has no token');
    is(with_token(grep { $_->{uri} ne '/page/open' } $api->requests(),
                       $cgi->requests()), '13 of 13',
       'all other requests to the API have it');
    is($idp->count(), 1, 'all that takes one exchange');

    $t->finish();
}


sub purged {
    my ($uri, $method, $purge) = @_;

    my @uris = map { "$uri?tenant=$_" } 1, 2;

    is(join(' ', map { cached($_) } @uris, @uris), 'MISS MISS HIT HIT',
       "what is in the cache of two tenants");
    is(status($method, "$purge&tenant=1"), 200, 'is purged for one');
    is(join(' ', map { cached($_) } @uris, @uris), 'MISS HIT HIT HIT',
       'and is still there for the other');
    like(status($method, "$purge&tenant=3"), $none,
         'of a third there is nothing');

    status($method, "$purge&tenant=$_") for 1, 2;
}


# with a body, which is discarded, and comes when the request is over

sub slow {
    my ($uri) = @_;

    my $client = $t->start('POST', $uri, headers => ['Content-Length: 4'],
                           connection => 'keep-alive');

    is($client->response()->{status}, 200, 'the same before a body has come');

    $client->send("bodyGET /none HTTP/1.0\r\n\r\n");
    is($client->response()->{status}, 404, 'which is discarded');
}


sub with_token {
    my (@requests) = @_;

    return (grep { $_->token() eq ($idp->tokens())[0] } @requests)
           . ' of ' . @requests;
}


sub cached {
    return ($t->get($_[0])->header('X-Cache'))[0] // 'nothing';
}


# the connection is still good for another request

sub status {
    my ($method, $uri) = @_;

    my $client = $t->start($method, $uri, connection => 'keep-alive');
    my $status = $client->response()->{status};

    $client->send("GET /none HTTP/1.0\r\n\r\n");

    is($client->response()->{status}, 404, 'the connection is kept');
    return $status;
}
