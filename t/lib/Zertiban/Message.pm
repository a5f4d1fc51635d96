package Zertiban::Message;

# An HTTP/1 request or response, parsed as its bytes come.

use strict;
use warnings;


# new(head_only => 1) is the response to a HEAD request

sub new {
    my ($class, %o) = @_;

    return bless { body => '', state => 'head', %o }, $class;
}


# takes its own bytes from the buffer; true as soon as it is complete

sub feed {
    my ($self, $in, $eof) = @_;

    while ($self->{state} ne 'done') {
        my $method = "read_$self->{state}";
        $self->$method($in, $eof) or last;
    }

    return $self->{state} eq 'done';
}


sub read_head {
    my ($self, $in) = @_;

    my $end = index $$in, "\r\n\r\n";
    return 0 if $end < 0;

    $self->{head} = substr $$in, 0, $end + 4, '';

    my ($first, @fields) = split /\r\n/, $self->{head};

    $self->{first} = $first;
    $self->{headers} = [map { [split /:[ \t]*/, $_, 2] } @fields];

    ($self->{status}) = $first =~ m{^HTTP/1\.\d (\d+)};
    ($self->{method}, $self->{uri}) = $first =~ /^(\S+) (\S+)/;

    my ($length) = $self->header('content-length');
    my $chunked = ($self->header('transfer-encoding'))[0] // '';
    my $status = $self->{status};

    $self->{state}
        = defined $status && ($self->{head_only} || $status =~ /^(1|204|304)/)
                               ? 'done'
        : $chunked =~ /chunked/ ? 'chunk'
        : defined $length       ? 'length'
        : defined $status       ? 'rest'
        :                         'done';

    $self->{length} = $length;

    return 1;
}


sub read_length {
    my ($self, $in) = @_;

    return 0 if length $$in < $self->{length};

    $self->{body} = substr $$in, 0, $self->{length}, '';
    $self->{state} = 'done';

    return 1;
}


sub read_chunk {
    my ($self, $in) = @_;

    $$in =~ /\A([0-9a-fA-F]+)[^\r\n]*\r\n/ or return 0;

    my ($size, $start) = (hex $1, $+[0]);

    return 0 if length $$in < $start + $size + 2;

    $self->{body} .= substr $$in, $start, $size;
    substr $$in, 0, $start + $size + 2, '';

    # no trailers are expected
    $self->{state} = 'done' if $size == 0;

    return 1;
}


sub read_rest {
    my ($self, $in, $eof) = @_;

    $self->{body} .= $$in;
    $$in = '';

    return 0 if !$eof;

    $self->{state} = 'done';

    return 1;
}


# all values of one field

sub header {
    my ($self, $name) = @_;

    return map { $_->[1] } grep { lc $_->[0] eq lc $name }
           @{$self->{headers}};
}


1;
