# Tests for a file of pairs that changes while nginx runs, in all the ways in
# which files change: new pairs are found, and whatever is wrong with them, no
# request is lost while there is a token or a pair that was good before.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Accounts;
use Zertiban::Test;
use Zertiban::Traffic;

use constant { NEW => 'new secret-of-new', OLD => 'old secret-of-old' };

# an exchange every second or two reads the file again

my $api = Zertiban::API->new();
my @names = qw(renamed written linked vanished garbage long half dated same
               added removed twice);
my %idp = map { $_ => Zertiban::IdP->new() } @names;
my %accounts = map { $_ => Zertiban::Accounts->new($idp{$_},
                                                   expires_in => 3) } @names;
my $t = Zertiban::Nginx->new(workers => 2);
my $traffic = Zertiban::Traffic->new($t);

my $config = <<'EOT' . join '', map { <<"EOT" } @names;
    zertiban on;
    zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;

    server {
        listen 127.0.0.1:%%PORT%%;
EOT
        location /$_ {
            zertiban_token_endpoint %%IDP_$_%%;
            zertiban_credentials_file $_/credentials;
            proxy_pass http://%%API%%;
        }
EOT

for my $name (@names) {
    mkdir $t->dir() . "/$name";
    put($name, OLD) if $name ne 'linked';
    $accounts{$name}->accept(OLD);
}


sub path {
    my ($name) = @_;

    return $t->dir() . "/$name/credentials";
}


# in place, as an editor may

sub put {
    my ($name, @lines) = @_;

    chmod 0600, $t->write_file("$name/credentials",
                               join "\n", @lines, '');
}


# another file of the same name, as all should

sub replace {
    my ($name, @lines) = @_;

    my $file = $t->write_file("$name/other", join "\n", @lines, '');

    chmod 0600, $file;
    rename $file, path($name) or die "rename: $!";
}


# as Kubernetes does: a link to a folder, by way of which the file is found

sub mount {
    my ($name, $folder, @lines) = @_;

    my $dir = $t->dir() . "/$name";

    mkdir "$dir/$folder";
    $t->write_file("$name/$folder/credentials", join "\n", @lines, '');
    symlink $folder, "$dir/..new" or die "symlink: $!";
    rename "$dir/..new", "$dir/..data" or die "rename: $!";
    symlink '..data/credentials', "$dir/credentials";
}


sub tokens_of {
    my ($name, $client) = @_;

    return scalar $idp{$name}->tokens($client);
}


# waits for the next exchange, and the one behind it: it has begun later

sub exchanges_pass {
    my ($name) = @_;

    my $n = $idp{$name}->count();

    return wait_until { $idp{$name}->count() >= $n + 2 } 15;
}


sub lines {
    my ($level, $name) = @_;

    my $path = path($name);
    my @lines = $t->error_log(qr/\[$level\].*credentials file "\Q$path\E"/);

    return @lines;
}


mount('linked', '..first', OLD);

$t->run("$config    }\n", API => $api->address(),
        map { ("IDP_$_" => $idp{$_}->url()) } @names);

$traffic->every(0.1, "/$_") for @names;

ok(wait_until(sub { !grep { tokens_of($_, 'old') < 2 } @names }),
   'tokens of the old pair are obtained, and refreshed');


# it is replaced

$accounts{$_}->accept(NEW) for qw(renamed written linked added dated);

replace('renamed', NEW, OLD);
put('written', NEW, OLD);
mount('linked', '..second', NEW, OLD);
replace('added', "# the next one\t", '', " \t" . NEW . "\t2099-12-31\r", OLD);

for my $name (qw(renamed written linked added)) {
    ok(wait_until(sub { tokens_of($name, 'new') }),
       "$name: the new pair is found without a reload");

    my $old = tokens_of($name, 'old');

    exchanges_pass($name);

    is(tokens_of($name, 'old'), $old, "$name: and used from then on");

    my @changed = lines('notice', $name);

    is(scalar @changed, 1, "$name: one line of the log says so");
    like($changed[0], qr/has changed, it has 2 pairs now/,
         "$name: of all workers");
}

# a date, or a comment, makes no other pair of it

replace('dated', OLD . ' 2099-12-31', '# the only one');
ok(exchanges_pass('dated'), 'a date is added to a pair');
is(scalar(() = lines('notice', 'dated')), 0, 'which stays what it is');

# without the old pair

replace('removed', NEW);
$accounts{removed}->accept(NEW);

ok(wait_until(sub { tokens_of('removed', 'new') }),
   'a pair takes the place of another one');
$accounts{removed}->revoke(OLD);
ok(exchanges_pass('removed'), 'that may be revoked');


# what is there is of no use: what was there before is

unlink path('vanished');
replace('garbage', 'only-one-word');
replace('long', NEW, '#' x 17408);

my %why = (
    vanished => qr/what it held before is used: open\(\) failed \(2: No such/,
    garbage => qr/has no secret behind the client id, in its line 1, what/,
    long => qr/has more than 16384 bytes/,
);

for my $name (sort keys %why) {
    ok(exchanges_pass($name), "$name: the last good pairs are used");

    my @errors = lines('error', $name);

    is(scalar @errors, 1, "$name: one error for all workers and exchanges");
    like($errors[0], $why{$name}, "$name: says why");

    $accounts{$name}->accept(NEW);
    replace($name, NEW);

    ok(wait_until(sub { tokens_of($name, 'new') }),
       "$name: a good one is found when it comes");
}

unlink path('vanished');
exchanges_pass('vanished');
is(scalar(() = lines('error', 'vanished')), 2,
   'that it is gone again is another error');
replace('vanished', NEW);

replace('garbage', 'bad:id secret-of-bad');
exchanges_pass('garbage');
is(scalar(() = lines('error', 'garbage')), 2,
   'another bad one is another error');
like((lines('error', 'garbage'))[1], qr/client id that has a colon.*line 1/,
     'with its reason');


# a half of it: what is there looks like a pair, and is none

put('half', 'new secret-o');

ok(wait_until(sub { $accounts{half}->tried('new secret-o') }),
   'a secret of which one half was written is tried');
ok(wait_until(sub {
       $t->error_log(qr/no new token for credentials file ".*half.*refused/)
   }), 'and refused');

$accounts{half}->accept(NEW);
put('half', NEW, OLD);

ok(wait_until(sub { tokens_of('half', 'new') }, 12),
   'the whole one is found before long');


# written again in so short a time that nothing else tells it: here the time is
# set, and is one that is always a short time ago

my $moment = time + 60;

for my $pair (map { "other secret-number-$_" } 1 .. 4) {
    $accounts{twice}->accept($pair);
    put('twice', $pair);
    utime $moment, $moment, path('twice') or die "utime: $!";

    ok(wait_until(sub { $accounts{twice}->tried($pair) }, 15),
       "a file of the same size and time is read: $pair");
}


# written again with the same bytes

put('same', OLD) for 1 .. 2;
ok(exchanges_pass('same'), 'a file is written again');
is(scalar(() = lines('notice', 'same')), 0, 'which changes nothing');

$traffic->finish();

for my $name (grep { $_ ne 'half' } @names) {
    is(count_of(map { $_->{status} } $traffic->requests("/$name")),
       '200: ' . (my @all = $traffic->requests("/$name")),
       "$name: no request was lost");
}

$t->finish();

done_testing();
