package Zertiban::Provider;

# An identity provider that others wrote, in a process of its own, which is
# told by lines of JSON what to do; see oidc-provider/server.mjs. Children say
# what its command is, and where it has its endpoints.

use strict;
use warnings;

use HTTP::Tiny;
use IO::Select;
use IPC::Open3;
use JSON::PP ();
use MIME::Base64 qw(encode_base64);

use Zertiban::Secrets;

my $json = JSON::PP->new->canonical->allow_nonref;
my @running;


# new(dir => ..., ca => ..., ttl => seconds)

sub new {
    my ($class, %o) = @_;

    my $self = bless { port => 0, %o, clients => {
        api => { id => 'api', secret => 'secret-of-the-api',
                 scope => 'reports', format => 'opaque' },
    } }, $class;

    $self->{http} = HTTP::Tiny->new(
        timeout => 10, verify_SSL => 1,
        SSL_options => { SSL_ca_file => $self->{ca}->certificate() },
        proxy => undef, http_proxy => undef, https_proxy => undef);

    $self->start();

    return $self;
}


sub start {
    my ($self) = @_;

    my @command = $self->command(
        $self->{port}, $self->{ca}->certificate('idp'),
        $self->{ca}->key('idp'), $self->{ttl});

    my $name = $self->{dir} . '/' . lc(ref($self) =~ s/.*:://r) . '.stderr';

    open my $errors, '>>', $name or die "$name: $!";

    $self->{errors} = $name;
    $self->{pid} = open3($self->{in}, $self->{out}, '>&' . fileno $errors,
                         @command);
    push @running, $self;
}


# it is waited for as late as possible, so that two may start at a time

sub ready {
    my ($self) = @_;

    return if $self->{ready}++;

    $self->{port} = $self->line(60);
    $self->client($_) for sort keys %{$self->{clients}};
}


sub line {
    my ($self, $seconds) = @_;

    # a whole line is written at once
    my $line = IO::Select->new($self->{out})->can_read($seconds)
               && readline $self->{out};

    return $line =~ s/\n//r if $line;

    open my $errors, '<', $self->{errors};

    die ref($self) . " says nothing:\n", <$errors>;
}


sub ask {
    my ($self, %command) = @_;

    $self->ready();
    $self->{in}->say($json->encode(\%command));
    $self->{in}->flush();

    return $self->line(20);
}


# makes a client, or changes some of it

sub client {
    my ($self, $id, %o) = @_;

    my $client = $self->{clients}{$id} //= { id => $id };

    %$client = (%$client, %o);
    secret($client->{secret});

    $self->ask(%$client);
}


# it keeps what the client was, so that client($id) makes it again

sub remove {
    my ($self, $id) = @_;

    $self->ask(id => $id, remove => JSON::PP::true);
}


# how many tokens a client was given

sub issued {
    my ($self, $id) = @_;

    return $self->ask(id => $id, issued => JSON::PP::true);
}


sub url {
    my ($self, $path) = @_;

    $self->ready();

    return "https://localhost:$self->{port}$path";
}


sub post {
    my ($self, $path, $id, %form) = @_;

    my $basic = encode_base64("$id:$self->{clients}{$id}{secret}", '');
    my $answer = $self->{http}->post_form($self->url($path), \%form, {
        headers => { Authorization => "Basic $basic" } });

    die ref($self) . "$path: $answer->{status}" if !$answer->{success};

    return $answer->{content};
}


sub get {
    my ($self, $path) = @_;

    my $answer = $self->{http}->get($self->url($path));

    die ref($self) . "$path: $answer->{status}" if !$answer->{success};

    return $json->decode($answer->{content});
}


# what the provider says about a token, or nothing of one that is not valid

sub introspect {
    my ($self, $token) = @_;

    my $claims = $json->decode($self->post($self->{paths}{introspection},
                                           'api', token => $token));

    return $claims->{active} ? $claims : undef;
}


sub revoke {
    my ($self, $id, $token) = @_;

    $self->post($self->{paths}{revocation}, $id, token => $token);
}


# all of its memory is lost, but the clients

sub restart {
    my ($self) = @_;

    $self->stop();
    $self->start();
    $self->ready();
}


# It ends when its input does, and so does its output then. No handler of the
# loop is to run here, as the test may have died in one.

sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;

    @running = grep { $_ != $self } @running;
    delete $self->{ready};
    close $self->{in};

    kill 'KILL', $pid if !IO::Select->new($self->{out})->can_read(10);
    waitpid $pid, 0;
}


END {
    my $status = $?;

    $_->stop() for my @left = @running;
    $? = $status;
}


1;
