# Tests for early hints before a 401: a request is replayed unless they went to
# the client.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Conf;
use Zertiban::Revocation;
use Zertiban::Test;

if (Zertiban::Nginx::version() < 1029000) {
    my (undef, $lines) = check(http(['early_hints 1;']));

    like("@$lines", qr/\[emerg\].* unknown directive "early_hints"/,
         'this nginx takes early hints for an answer');
    done_testing();
    exit;
}

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $t = Zertiban::Nginx->new();
my $tokens = Zertiban::Revocation->new($t, $idp);

$t->run(<<'EOF', API => $api->address(), IDP => $idp->url());
    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id $arg_client;
        zertiban_client_secret secret-of-$arg_client;
        zertiban_tenant_id tenant-$arg_client;

        proxy_http_version 1.1;
        add_header X-Seen $zertiban_cache always;

        location / {
            proxy_pass http://%%API%%;
        }

        location /passed {
            early_hints $arg_hints;
            proxy_pass http://%%API%%;
        }
    }
EOF

my $hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";

$api->answer(sub {
    my ($request) = @_;

    return $hints . ($tokens->answer($request) // $api->default($request));
});


sub seen {
    my ($response) = @_;

    return join ' ', $response->{status}, $response->header('X-Seen'),
                     $response->{body};
}


my @clients = qw(dropped unwanted passed);

$tokens->warm(@clients);
$tokens->grow_old();
$tokens->revoke();

for my $case (['dropped', '/', 'hints that nginx drops'],
              ['unwanted', '/passed', 'hints that a client does not want'])
{
    my ($client, $path, $name) = @$case;
    my $uri = "$path?client=$client";

    is(seen($t->get($uri)), "200 replay GET $uri\n", "$name: served");

    $tokens->replayed($api, $uri, $name);
}

my $client = $t->start('GET', '/passed?client=passed&hints=1');

is($client->response()->{status}, 103, 'hints that are passed on');

is(seen($client->response()), "401 hit revoked\n",
   'the request is not replayed');
is($tokens->tokens($api, '/passed?client=passed&hints=1'), '1',
   'the API has it once');
is($t->get('/?client=passed')->{status}, 200, 'the next one is served');

$t->finish();

done_testing();
