package Zertiban::API;

# A recording upstream: HTTP/1.1 with keep-alive, bodies and Upgrade.
# on_head($stream, $message) comes as soon as the head of a request is there.

use strict;
use warnings;

use parent qw(Zertiban::Server);

use Digest::MD5 qw(md5_hex);

use Zertiban::API::Request;
use Zertiban::Loop qw(wait_until);
use Zertiban::Message;


sub new {
    my ($class, %o) = @_;

    return $class->SUPER::new(requests => [], heads => 0, %o);
}


# answer(raw bytes | sub { my ($request) = @_; ... }); a sub that returns
# nothing holds the answer back; without arguments: the default answer

sub answer {
    my ($self, $answer) = @_;

    $self->{answer} = $answer;
}


# all requests, or those to one path, in the order of their ends

sub requests {
    my ($self, $path) = @_;

    return grep { !defined $path || $_->{uri} eq $path }
           @{$self->{requests}};
}


sub count {
    my ($self, $path) = @_;

    return scalar(my @all = $self->requests($path));
}


sub last {
    my ($self, $path) = @_;

    return ($self->requests($path))[-1];
}


# waits until a whole request to a path is there

sub got {
    my ($self, $path) = @_;

    wait_until { $self->count($path) };

    return $self->last($path);
}


sub text {
    my ($self, $status, $body, @fields) = @_;

    return "HTTP/1.1 $status Status\r\nContent-Length: " . length($body)
           . "\r\n" . join('', map { "$_\r\n" } @fields) . "\r\n$body";
}


sub received {
    my ($self, $stream) = @_;

    while ($stream->{in} ne '') {

        if ($stream->{tunnel}) {
            my $bytes = $stream->{in};
            $stream->{in} = '';
            $stream->write($bytes);
            return;
        }

        my $message = $stream->{message} //= Zertiban::Message->new();
        my $complete = $message->feed(\$stream->{in});

        if ($message->{head} && !$message->{counted}++) {
            $self->{heads}++;
            $self->{on_head}->($stream, $message) if $self->{on_head};
        }

        return if !$complete;

        delete $stream->{message};
        $self->record($stream, $message);
    }
}


sub record {
    my ($self, $stream, $message) = @_;

    my $request = Zertiban::API::Request->new(
        stream => $stream, connection => $stream->{number},
        digest => md5_hex($message->{body}),
        length => length $message->{body},
        map { $_ => $message->{$_} } qw(head method uri headers));

    push @{$self->{requests}}, $request;

    my $answer = $self->{answer} // $self->default($request);
    $answer = $answer->($request) if ref $answer;

    $request->answer($answer) if defined $answer;
}


sub default {
    my ($self, $request) = @_;

    if ($request->header('upgrade')) {
        $request->{stream}{tunnel} = 1;

        return "HTTP/1.1 101 Switching Protocols\r\n"
               . "Upgrade: echo\r\nConnection: upgrade\r\n\r\n";
    }

    my $answer = $self->text(200, "$request->{method} $request->{uri}\n");
    $answer =~ s/\n\K[^\n]*\n\z// if $request->{method} eq 'HEAD';

    return $answer;
}


1;
