package Zertiban::Callers;

# Clients that send Authorization and x-tenant-id themselves ("own"), that
# send neither ("bare"), and that send neither among more fields than one part
# of nginx's list holds ("many"); each by HTTP/1.1 and by HTTP/2. Their fields
# X-Kind and X-Case tell any server which of them a request comes from, and
# why.

use strict;
use warnings;

use File::Find ();
use Test::More;

use Zertiban::Client;
use Zertiban::H2;
use Zertiban::Loop qw(wait_until);
use Zertiban::Secrets;
use Zertiban::Test ();

our @kinds = qw(own bare many);

my %sent = (own => ['Basic am9lOnBhc3M=', 'of-the-client', 'joe', 'basic']);


# values for the nginx's configuration

sub config {
    return (
        SHOWN => '[$http_authorization] [$http_x_tenant_id] [$remote_user]'
                 . ' [$kind]',
        MAP => 'map $http_authorization $kind { default other; "" none;'
               . ' ~*^basic basic; ~*^bearer bearer; }',
    );
}


# new($nginx, idp => ..., api => [servers that the gate leads to],
# elsewhere => a server that no gate leads to); http1 => 1 is by HTTP/1.1 only

sub new {
    my ($class, $nginx, %o) = @_;

    return bless { nginx => $nginx, %o }, $class;
}


# how many they are

sub n {
    my ($self) = @_;

    return ($self->{http1} ? 1 : 2) * @kinds;
}


# what %%SHOWN%% is for a kind of client

sub shown {
    my ($self, $kind) = @_;

    return join ' ', map { "[$_]" } @{$sent{$kind} || ['', '', '', 'none']};
}


# each [kind, text] is what %%SHOWN%% is

sub shows {
    my ($self, $name, @shown) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my %wrong;

    for (@shown) {
        my ($kind, $text) = @$_;

        $wrong{$kind}++
            if ($text // '') =~ s/\n\z//r ne $self->shown($kind);
    }

    is(join(' ', @shown > 0, sort keys %wrong), '1', $name);
}


sub fields {
    my ($self, $kind, $case) = @_;

    return ("X-Kind: $kind", "X-Case: $case",
            $kind eq 'many' ? map { "X-Field-$_: $_" } 1 .. 25 : (),
            $kind eq 'own'  ? ("Authorization: $sent{own}[0]",
                               "x-tenant-id: $sent{own}[1]") : ());
}


# one request of each, all at a time; returns their answers: kind, status,
# head, body

sub call {
    my ($self, $method, $uri, %o) = @_;

    my $nginx = $self->{nginx};
    my $case = $o{case} // $uri;
    my (@calls, @answers);

    for my $kind (@kinds) {
        my @fields = ($self->fields($kind, $case), @{$o{headers} || []});

        push @calls, [$kind, $nginx->start($method, $uri, %o,
                                           headers => \@fields)];

        push @{$calls[-1]}, Zertiban::Test::start_curl('-i',
            '--no-show-error', '--http2-prior-knowledge', '-X', $method,
            (map { ('-H', $_) } @fields),
            defined $o{body} ? ('--data-binary', $o{body}) : (),
            'http://127.0.0.1:' . $nginx->port('h2') . $uri)
            if !$self->{http1};
    }

    for my $call (@calls) {
        my ($kind, $client, $pid) = @$call;
        my $response = $client->response();

        push @answers, { kind => $kind, map { $_ => $response->{$_} }
                                        qw(status head body) };

        next if !$pid;

        my ($head, $body)
            = split /\r\n\r\n/, Zertiban::Test::curl_output($pid), 2;

        push @Zertiban::Client::leaks, secrets_in(join '', grep { defined }
                                                  $head, $body);

        push @answers, {
            kind => $kind, head => $head // '', body => $body // '',
            status => ($head // '') =~ m{^HTTP/2 (\d+)} ? $1 : 0,
        };
    }

    return @answers;
}


# all requests that have come to the API, or elsewhere, for a case

sub requests {
    my ($self, $case, $where) = @_;

    my $servers = $self->{$where};

    return grep { (($_->header('X-Case'))[0] // '') eq $case }
           map { $_->requests() } ref $servers eq 'ARRAY' ? @$servers
                                                          : $servers;
}


# whose credentials these have, counted, as soon as there are n

sub whose {
    my ($self, $case, $n, $where) = @_;

    wait_until { (my @all = $self->requests($case, $where)) >= $n };

    return Zertiban::Test::count_of(map { $self->owner($_) }
                                    $self->requests($case, $where));
}


# A request of each caller to a URI: the status of the answers, how many
# requests for each come to the API with the token, and how many elsewhere
# with what the client sent. Returns the answers.

sub goes {
    my ($self, $uri, $name, $status, $there, $elsewhere, %o) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $uri .= ($uri =~ /\?/ ? '&' : '?') . 'client=1' if $uri !~ /client=/;

    my $n = $self->n();
    my @answers = $self->call($o{method} // 'GET', $uri, %o);

    is(Zertiban::Test::count_of(map { $_->{status} } @answers), "$status: $n",
       $name);
    is($self->whose($uri, $n * $there, 'api'),
       $there ? 'gate: ' . $n * $there : '',
       $there ? 'the API gets token and tenant' : 'the API gets nothing');
    is($self->whose($uri, $n * $elsewhere, 'elsewhere'),
       $elsewhere ? 'client: ' . $n * $elsewhere : '',
       $elsewhere ? 'elsewhere there is what the client sent'
                  : 'nothing comes elsewhere');

    return @answers;
}


# never says what a token is

sub owner {
    my ($self, $request) = @_;

    my ($kind) = $request->header('X-Kind');
    my @values = ($request->header('Authorization'), $request->tenant());
    my $has = join ', ', grep { $_ ne '' } @values;

    return 'client' if $has eq join ', ', @{$sent{$kind} || []}[
                                  $sent{$kind} ? (0, 1) : ()];

    my @tokens = $self->{idp}->tokens();

    return 'gate' if grep { $has eq "Bearer $_, tenant" } @tokens;
    return 'gate and more' if secrets_in($has);

    return "[$has]";
}


# The files of the nginx that hold a token or a secret, but for those of its
# configuration; also what its workers have open, and nobody else can name.
# {searched} has the names of all.

sub on_disk {
    my ($self) = @_;

    my $dir = $self->{nginx}->dir();
    my (%files, @found);

    File::Find::find({ no_chdir => 1, wanted => sub {
        $files{$_} = $_ if -f && !/nginx\.conf$/;
    } }, $dir);

    for my $fd (map { glob "/proc/$_/fd/*" } $self->{nginx}->processes()) {
        my $name = readlink($fd) // next;
        $files{$name} = $fd if -f $fd && $name =~ /^\Q$dir\E/;
    }

    for my $name (sort keys %files) {
        open my $fh, '<:raw', $files{$name} or next;
        local $/;
        push @found, $name if secrets_in(scalar(<$fh>) // '');
    }

    $self->{searched} = [map { s{^\Q$dir\E/}{}r } sort keys %files];

    return map { s{^\Q$dir\E/}{}r } @found;
}


1;
