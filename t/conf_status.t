#!/usr/bin/perl

# Where "zertiban_status" may stand, and what it may be told.

use strict;
use warnings;

use lib 't/lib';
use Zertiban::Conf;

use Test::More;


sub status {
    return "location /s { allow 127.0.0.1; deny all;\n"
           . join("\n", map { "zertiban_status $_;" } @_) . "\n}";
}


accepted("it takes \"$_\"", status($_))
    for '', qw(json prometheus html ready max=0 max=10000),
        'html max=5', 'max=5 prometheus';

for my $value ('xml', 'json html', 'json json', 'JSON', 'jso') {
    refused("\"$value\" is no format", 'zertiban_status', status($value),
            qr/use one of "json", "prometheus", "html" and "ready"/);
}

for my $value ('max=', 'max=x', 'max=-1', 'max=10001', 'max=1k') {
    refused("\"$value\" is no number of credentials", 'zertiban_status',
            status($value), qr/"\Q$value\E".*from 0 to 10000/);
}

refused('there is one number', 'zertiban_status', status('max=1 max=2'),
        qr/invalid parameter "max=2"/);
refused('it stands once in a location', 'zertiban_status',
        status('json', 'html'), qr/is duplicate/);
refused('not in a server', 'zertiban_status', "zertiban_status;",
        qr/is not allowed here/);

accepted('without any gate', status('html'));
accepted('beside a gate', location() . "\n" . status());
accepted('where an outer block has a gate',
         http([], [settings(gate()), 'proxy_ssl_verify on;'],
              location() . status()));

done_testing();
