# Tests for error logs in JSON, which Angie can write: a failure has its reason
# there as in others.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Conf;
use Zertiban::Test;

my (undef, $lines) = check(http(["error_log $dir/json.log info format=json;"]));

if ("@$lines" !~ /syntax is ok/) {
    like("@$lines", qr/invalid (?:log level|parameter) "format=json"/,
         'this nginx writes no such logs');
    done_testing();
    exit;
}

my $t = Zertiban::Nginx->new();

$t->run(<<'EOF', LEVEL => 'info format=json');
    server {
        listen 127.0.0.1:%%PORT%%;

        location / {
            zertiban on;
            zertiban_token_endpoint http://127.0.0.1:9/token;
            zertiban_client_id client;
            zertiban_client_secret secret;
            zertiban_tenant_id tenant;
            proxy_pass http://127.0.0.1:9;
        }
    }
EOF

is($t->get('/')->{status}, 503, 'there is no token');

my ($line) = grep { /no new token/ } split /^/, $t->read_file('logs/error.log');

like($line, qr/"level":"error"/, 'the log says so, as JSON');
like($line, qr/: connect\(\) failed \(111: Connection refused\), attempt 1,/,
     'and why');

$t->finish();

done_testing();
