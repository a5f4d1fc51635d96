package Zertiban::DNS;

# A name server on UDP: zone => { name => { A => [...], AAAA => [...],
# ttl => n } }. A name that is not in the zone does not exist; one that is
# undef is never answered.

use strict;
use warnings;

use IO::Socket::IP;
use Socket qw(inet_pton AF_INET AF_INET6 SOCK_DGRAM);

use Zertiban::Loop qw(watch);

my %types = (A => 1, AAAA => 28);
my %families = (A => AF_INET, AAAA => AF_INET6);


sub new {
    my ($class, %o) = @_;

    my $self = bless { zone => {}, queries => [], %o }, $class;

    $self->{fh} = IO::Socket::IP->new(LocalHost => '127.0.0.1',
                                      Type => SOCK_DGRAM) or die $@;
    $self->{fh}->blocking(0);

    watch($self->{fh}, in => sub { $self->query() });

    return $self;
}


sub address {
    my ($self) = @_;

    return '127.0.0.1:' . $self->{fh}->sockport();
}


# queries for the IPv4 addresses of a name

sub count {
    my ($self, $name) = @_;

    return scalar grep { $_ eq "A $name" } @{$self->{queries}};
}


sub query {
    my ($self) = @_;

    while (my $from = $self->{fh}->recv(my $query, 512)) {
        my ($id, undef, undef, undef, undef, undef, $rest)
            = unpack 'n6a*', $query;
        my ($question, @labels) = ('');

        while ($rest =~ s/\A([^\0])//) {
            push @labels, substr $rest, 0, ord $1, '';
        }

        my ($number) = unpack 'xn', $rest;
        my ($type) = grep { $types{$_} == $number } keys %types;
        my $name = join '.', @labels;

        push @{$self->{queries}}, "$type $name";

        my $records = $self->records($name, $type) // next;
        my ($flags, @records) = @$records;

        $self->{fh}->send(
            pack('n6', $id, $flags, 1, scalar @records, 0, 0)
            . substr($query, 12) . join('', @records), 0, $from);
    }
}


# flags and resource records, or nothing

sub records {
    my ($self, $name, $type) = @_;

    # NXDOMAIN
    return [0x8183] if !exists $self->{zone}{$name};

    my $addresses = $self->{zone}{$name} // return;

    return [0x8180, map {
        pack('nnnNn/a', 0xc00c, $types{$type}, 1, $addresses->{ttl} // 300,
             inet_pton($families{$type}, $_))
    } @{$addresses->{$type} || []}];
}


1;
