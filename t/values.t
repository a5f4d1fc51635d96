#!/usr/bin/perl

# Values with variables: one alone, in braces, with text around it, more than
# one, and what looks like a variable and is none.

use strict;
use warnings;

use MIME::Base64 qw(decode_base64);

use lib 't/lib';
use Zertiban::Test;

my $idp = Zertiban::IdP->new();
my $api = Zertiban::API->new();

# a location's path, its tenant, what is asked for and what arrives

my @tenants = (
    [alone    => '$arg_t',         '?t=one',       'one'],
    [braces   => '${arg_t}',       '?t=one',       'one'],
    [before   => 'shop-$arg_t',    '?t=one',       'shop-one'],
    [after    => '${arg_t}-shop',  '?t=one',       'one-shop'],
    [around   => 'a${arg_t}b',     '?t=one',       'aoneb'],
    [two      => '$arg_t$arg_u',   '?t=one&u=two', 'onetwo'],
    [twice    => '$arg_t$arg_t',   '?t=one',       'oneone'],
    [set      => '$chosen',        '?t=one',       'one'],
    [mapped   => '$mapped',        '?t=one',       'first'],
    [changing => '$volatile',      '?t=one',       'one'],
);

my $locations = join '', map { <<"EOC" } @tenants;
        location = /$_->[0] {
            set                \$chosen \$arg_t;
            zertiban_tenant_id $_->[1];
            proxy_pass         http://%%API%%;
        }
EOC

my $nginx = Zertiban::Nginx->new()->run(<<'EOC' . "$locations}\n",
map $arg_t $mapped {
    one first;
}

map $arg_t $volatile {
    volatile;
    default $arg_t;
}

server {
    listen 127.0.0.1:%%PORT%%;

        zertiban                on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id      client-1;
        zertiban_client_secret  top-secret-1;

        location ~ ^/capture/(?<name>\w+)/(\w+)$ {
            zertiban_tenant_id $2;
            proxy_pass         http://%%API%%;
        }

        location ~ ^/named/(?<name>\w+)$ {
            zertiban_tenant_id $name;
            proxy_pass         http://%%API%%;
        }

        location = /credential {
            zertiban_client_id     id-$arg_id;
            zertiban_client_secret ${arg_secret}-secret;
            zertiban_tenant_id     one;
            proxy_pass             http://%%API%%;
        }
EOC
    IDP => $idp->url(), API => $api->address());

for (@tenants) {
    my ($name, $value, $arguments, $expected) = @$_;

    $nginx->get("/$name$arguments");
    is($api->last()->tenant(), $expected, "a tenant of \"$value\"");
}

$nginx->get('/capture/one/two');
is($api->last()->tenant(), 'two', 'a tenant of a capture');

$nginx->get('/named/one');
is($api->last()->tenant(), 'one', 'a tenant of a named capture');

for my $name (qw(alone braces set mapped changing)) {
    my $n = $api->count();

    is($nginx->get("/$name")->{status}, 400, "/$name: no value is refused");
    is($api->count(), $n, 'and nothing is sent');
}

is($nginx->get('/credential?id=a&secret=b')->{status}, 200,
   'a credential with text around its variables');
is(join(' ', map { /^Authorization: Basic (\S+)/m ? decode_base64($1) : '' }
             ($idp->requests())[-1]), 'id-a:b-secret', 'is sent as evaluated');

$nginx->finish();
done_testing();
