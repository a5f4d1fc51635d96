# Tests for files of pairs that worker processes cannot read, or have read at
# different moments.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Zertiban::Accounts;
use Zertiban::Test;
use Zertiban::Traffic;

use constant { FIRST => 'first secret-of-first',
               SECOND => 'second secret-of-second',
               THIRD => 'third secret-of-third' };

my $root = $> == 0;

my $api = Zertiban::API->new();
my $idp = Zertiban::IdP->new();
my $accounts = Zertiban::Accounts->new($idp, expires_in => 3);
my $t = Zertiban::Nginx->new(workers => 2);
my $traffic = Zertiban::Traffic->new($t);

my $config = <<'EOT';
    server {
        listen 127.0.0.1:%%PORT%%;

        location / {
            zertiban on;
            zertiban_token_endpoint %%IDP%%;
            zertiban_credentials_file credentials;
            zertiban_tenant_id 7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;
            proxy_pass http://%%API%%;
        }
    }
EOT

# whoever runs master can read it, and worker processes cannot; without root
# they are the same user, so it is there only while master reads it

sub put {
    my (@pairs) = @_;

    my $file = $t->write_file('other', join "\n", @pairs, '');

    chmod $root ? 0600 : 0000, $file;
    rename $file, $t->dir() . '/credentials' or die "rename: $!";
}


# that of nobody has a name of its own on each system

sub group {
    return scalar getgrgid((getpwnam 'nobody')[3]);
}


sub show {
    my ($mode) = @_;

    chmod $mode, $t->dir() . '/credentials';
}


sub reload {
    show(0600);
    $t->reload();
    show(0000) if !$root;
}


sub unread {
    my @lines = $t->error_log(qr/credentials file .* cannot read it/);

    return @lines;
}


sub exchanges_pass {
    my ($n) = @_;

    my $count = $idp->count();

    return wait_until { $idp->count() >= $count + $n } 15;
}


$accounts->accept(FIRST, SECOND, THIRD);

chmod 0755, $t->dir();
put(FIRST);
show(0600);

$t->run($config, API => $api->address(), IDP => $idp->url(),
        $root ? (USER => 'user nobody ' . group() . ';') : ());

show(0000) if !$root;

$traffic->every(0.1, '/');

ok(wait_until(sub { $idp->count('first') >= 2 }), 'tokens are refreshed');
is(scalar unread(), 0, 'that nobody else can read it does no harm');


# another one, that they cannot read

put(SECOND, FIRST);

ok(exchanges_pass(4), 'after it has changed as well');
is($idp->count('second'), 0, 'with what master has read');

my @lines = unread();

is(scalar @lines, 1, 'one line for all workers');
like($lines[0], qr/\[info\].*, reload nginx to have it read: open\(\) failed/,
     'says that a reload is the way');

reload();

ok(wait_until(sub { $idp->count('second') }), 'after which it is used');


# as soon as they can read it

put(THIRD, SECOND);
ok(wait_until(sub { unread() == 2 }), 'another one that they cannot read');
is($idp->count('third'), 0, 'is not used');
show(0644);
ok(wait_until(sub { $idp->count('third') }), 'until they can');


# a worker that knows an older one, and cannot read the newer one

my ($stopped) = $t->workers();

kill 'STOP', $stopped;

my @clients;

put(FIRST, THIRD);
show(0644);

my $n = $idp->count('first');

# an exchange with the third one may be in flight
$accounts->answer_to(FIRST, sub { $idp->issue($_[0], expires_in => 300) });

ok(wait_until(sub { $idp->count('first') > $n }, 15),
   'one worker has read another file');

$accounts->{expires_in} = 300;

put(SECOND);
kill 'CONT', $stopped;
$accounts->forget();

is(count_of(map { $_->send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    ->response()->{status} } $t->connect_workers(3)),
   '200: 6', 'all workers serve');
is($idp->count(), 0, 'neither of them thinks that it knows better');


# a worker that is new, and knows what master has read long ago

show(0644);
$t->kill_worker($stopped);
ok(wait_until(sub { $t->workers() == 2 }), 'a worker is replaced');
ok(wait_until(sub { $idp->count('second') }),
   'it reads the file as it is now, and tries what is new');
is($idp->count('second'), 1, 'once');
is($idp->count(), 1, 'and nothing else');

$traffic->finish();

# of one that had just come to the worker that was killed nothing is known

my @answered = grep { $_->{status} } $traffic->requests();

is(count_of(map { $_->{status} } @answered), '200: ' . @answered,
   'no request was refused');

$t->finish(allow => qr/exited on signal 9/);

done_testing();
