package Sandbox::Server;

# A small HTTP/1.1 server over TLS: one process, many connections, keep-alive,
# bodies with a length or in chunks.  A request is handed to the handler when it
# is complete, with the number of its connection; the handler returns (status,
# { header => value }, content).

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use IO::Socket::SSL;

my %reason = (
    200 => 'OK',
    201 => 'Created',
    400 => 'Bad Request',
    401 => 'Unauthorized',
    403 => 'Forbidden',
    404 => 'Not Found',
    405 => 'Method Not Allowed',
    413 => 'Content Too Large',
    415 => 'Unsupported Media Type',
);

use constant {
    MAX_HEAD  => 64 * 1024,
    MAX_BODY  => 9 * 1024 * 1024,
    HANDSHAKE => 5,
};

# certificate and key are files

sub new {
    my ($class, %args) = @_;

    my $listen = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1',
        LocalPort => $args{port} // 0,
        Listen    => 128,
        ReuseAddr => 1,
    ) or die "could not listen on 127.0.0.1: $!\n";

    my $tls = IO::Socket::SSL::SSL_Context->new(
        SSL_server    => 1,
        SSL_cert_file => $args{certificate},
        SSL_key_file  => $args{key},
    ) or die "could not use the certificate: $SSL_ERROR\n";

    return bless {
        listen      => $listen,
        tls         => $tls,
        select      => IO::Select->new($listen),
        handler     => $args{handler},
        accepted    => 0,
        connections => {},
    }, $class;
}

sub port {
    my ($self) = @_;

    return $self->{listen}->sockport;
}

sub run {
    my ($self) = @_;

    local $SIG{PIPE} = 'IGNORE';

    while (1) {
        for my $socket ($self->{select}->can_read) {
            if ($socket == $self->{listen}) {
                $self->accept_connection;

            } else {
                $self->read_connection($socket);
            }
        }
    }
}

sub accept_connection {
    my ($self) = @_;

    my $socket = $self->{listen}->accept or return;

    # who does not accept the certificate ends the connection here
    IO::Socket::SSL->start_SSL($socket, SSL_server => 1,
                               SSL_reuse_ctx => $self->{tls},
                               Timeout => HANDSHAKE) or return;

    $self->{select}->add($socket);
    $self->{connections}{$socket} = {
        socket => $socket,
        number => ++$self->{accepted},
        buffer => '',
    };
}

sub close_connection {
    my ($self, $socket) = @_;

    $self->{select}->remove($socket);
    delete $self->{connections}{$socket};
    close $socket;
}

sub read_connection {
    my ($self, $socket) = @_;

    my $connection = $self->{connections}{$socket};

    # what TLS has taken from the socket already, select does not know of
    do {
        my $got = sysread $socket, $connection->{buffer}, 256 * 1024,
                          length $connection->{buffer};

        if (!$got) {
            $self->close_connection($socket);
            return;
        }
    } while ($socket->pending);

    while (my $request = next_request($connection)) {
        $request->{connection} = $connection->{number};

        if (!$self->answer($socket, $request)) {
            $self->close_connection($socket);
            return;
        }
    }
}

# Returns whether the connection stays open.

sub answer {
    my ($self, $socket, $request) = @_;

    my ($status, $headers, $content)
        = $request->{error}
        ? ($request->{error}, {}, '')
        : $self->{handler}->($request);

    my $keep = !$request->{error} && keep_alive($request);

    my %headers = (
        'Content-Length' => length $content,
        'Connection'     => $keep ? 'keep-alive' : 'close',
        %$headers,
    );

    my $head = "HTTP/1.1 $status $reason{$status}\r\n"
             . join('', map { "$_: $headers{$_}\r\n" } sort keys %headers)
             . "\r\n";

    $content = '' if ($request->{method} // '') eq 'HEAD';

    return write_all($socket, $head . $content) && $keep;
}

sub write_all {
    my ($socket, $data) = @_;

    while (length $data) {
        my $sent = syswrite $socket, $data or return 0;
        substr $data, 0, $sent, '';
    }

    return 1;
}

sub keep_alive {
    my ($request) = @_;

    my $connection = lc join ',', header($request, 'connection');

    return $connection !~ /\bclose\b/ if $request->{version} eq '1.1';
    return $connection =~ /\bkeep-alive\b/;
}

# All values of a header, in the order of the request.

sub header {
    my ($request, $name) = @_;

    return map { $_->[1] }
           grep { lc $_->[0] eq lc $name } @{ $request->{headers} };
}

# The next complete request of a connection, undef if there is none yet, or
# { error => status } after which the connection is of no use.

sub next_request {
    my ($connection) = @_;

    $connection->{request} //= parse_head($connection) or return;

    my $request = $connection->{request};

    if (!$request->{error}) {
        read_body($connection, $request) or return;
    }

    delete $connection->{request};

    return $request;
}

sub parse_head {
    my ($connection) = @_;

    my $end = index $connection->{buffer}, "\r\n\r\n";

    if ($end < 0) {
        return { error => 400 } if length $connection->{buffer} > MAX_HEAD;
        return;
    }

    my ($line, @lines) = split /\r\n/, substr $connection->{buffer}, 0, $end;
    substr $connection->{buffer}, 0, $end + 4, '';

    my ($method, $path, $version)
        = ($line // '') =~ m{^([A-Z]+) (\S+) HTTP/(1\.[01])$}
        or return { error => 400 };

    my @headers;

    for my $header (@lines) {
        $header =~ /^([!#\$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/
            or return { error => 400 };

        push @headers, [$1, $2];
    }

    my $request = {
        method  => $method,
        path    => $path,
        version => $version,
        headers => \@headers,
        body    => '',
    };

    my @length   = header($request, 'content-length');
    my @encoding = header($request, 'transfer-encoding');

    if (@length > 1 || @encoding > 1 || @length && @encoding) {
        return { error => 400 };
    }

    if (@encoding) {
        return { error => 400 } if lc $encoding[0] ne 'chunked';

        $request->{chunked} = 1;

    } elsif (@length) {
        return { error => 400 } if $length[0] !~ /^\d{1,12}$/;
        return { error => 413 } if $length[0] > MAX_BODY;

        $request->{length} = $length[0];
    }

    if (lc join('', header($request, 'expect')) eq '100-continue') {
        write_all($connection->{socket}, "HTTP/1.1 100 Continue\r\n\r\n");
    }

    return $request;
}

# Returns whether the request is complete, or hopeless.

sub read_body {
    my ($connection, $request) = @_;

    return read_chunks($connection, $request) if $request->{chunked};

    my $length = $request->{length} // 0;

    return 0 if length $connection->{buffer} < $length;

    $request->{body} = substr $connection->{buffer}, 0, $length, '';

    return 1;
}

sub read_chunks {
    my ($connection, $request) = @_;

    while ($connection->{buffer} =~ /^([0-9A-Fa-f]{1,8})(?:;[^\r\n]*)?\r\n/) {
        my ($head, $size) = (length $&, hex $1);

        if ($size + length $request->{body} > MAX_BODY) {
            $request->{error} = 413;
            return 1;
        }

        return 0 if length $connection->{buffer} < $head + $size + 2;

        $request->{body} .= substr $connection->{buffer}, $head, $size;
        substr $connection->{buffer}, 0, $head + $size + 2, '';

        return 1 if $size == 0;
    }

    if ($connection->{buffer} =~ /\n/) {
        $request->{error} = 400;
        return 1;
    }

    return 0;
}

1;
