package Zertiban::CGI;

# A recording FastCGI, SCGI or uwsgi responder: protocol => name.

use strict;
use warnings;

use parent -norequire, qw(Zertiban::API);

use Digest::MD5 qw(md5_hex);

use Zertiban::API;
use Zertiban::API::Request;


sub received {
    my ($self, $stream) = @_;

    my $method = "read_$self->{protocol}";
    my ($params, $body, $wrap) = $self->$method($stream) or return;

    my %param = map { @$_ } @$params;

    my $request = Zertiban::API::Request->new(
        stream => $stream, connection => $stream->{number},
        wrap => $wrap, params => $params, method => $param{REQUEST_METHOD},
        uri => $param{REQUEST_URI}, digest => md5_hex($body),
        length => length $body);

    push @{$self->{requests}}, $request;

    my $answer = $self->{answer}
                 // "Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nok\n";
    $answer = $answer->($request) if ref $answer;

    $request->answer($answer) if defined $answer;
}


sub read_scgi {
    my ($self, $stream) = @_;

    my ($length) = $stream->{in} =~ /\A(\d+):/ or return;
    my $start = length($length) + 1;

    return if length $stream->{in} < $start + $length + 1;

    my @params = pairs(split /\0/, substr($stream->{in}, $start, $length), -1);
    my %param = map { @$_ } @params;
    my $body = substr $stream->{in}, $start + $length + 1;

    return if length $body < ($param{CONTENT_LENGTH} || 0);

    return (\@params, $body, sub { $_[0] });
}


sub read_uwsgi {
    my ($self, $stream) = @_;

    return if length $stream->{in} < 4;

    my (undef, $length) = unpack 'Cv', $stream->{in};

    return if length $stream->{in} < 4 + $length;

    my @params = pairs(unpack '(v/a)*', substr $stream->{in}, 4, $length);
    my %param = map { @$_ } @params;
    my $body = substr $stream->{in}, 4 + $length;

    return if length $body < ($param{CONTENT_LENGTH} || 0);

    return (\@params, $body, sub { $_[0] });
}


sub read_fastcgi {
    my ($self, $stream) = @_;

    my ($BEGIN, $END, $PARAMS, $STDIN, $STDOUT) = (1, 3, 4, 5, 6);
    my %streams = ($PARAMS => '', $STDIN => '');
    my ($in, $last) = ($stream->{in}, 0);

    while (!$last) {
        return if length $in < 8;

        my (undef, $type, undef, $length, $padding) = unpack 'CCnnC', $in;

        return if length $in < 8 + $length + $padding;

        $streams{$type} .= substr $in, 8, $length;
        $last = $type == $STDIN && $length == 0;

        substr $in, 0, 8 + $length + $padding, '';
    }

    my @values;
    my $params = $streams{$PARAMS};

    while ($params ne '') {
        my @lengths = map { fastcgi_length(\$params) } 1 .. 2;
        push @values, map { substr $params, 0, $_, '' } @lengths;
    }

    return ([pairs(@values)], $streams{$STDIN}, sub {
        return pack('CCnnCC', 1, $STDOUT, 1, length $_[0], 0, 0) . $_[0]
               . pack('CCnnCC', 1, $END, 1, 8, 0, 0) . "\0" x 8;
    });
}


sub fastcgi_length {
    my ($params) = @_;

    return ord substr $$params, 0, 1, '' if ord $$params < 128;

    return 0x7fffffff & unpack 'N', substr $$params, 0, 4, '';
}


sub pairs {
    my (@values) = @_;

    my @pairs;
    push @pairs, [splice @values, 0, 2] while @values > 1;

    return @pairs;
}


1;
