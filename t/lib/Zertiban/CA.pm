package Zertiban::CA;

# A throw-away certificate authority, by the openssl tool.

use strict;
use warnings;

use POSIX ();

my $serial = 1;


sub new {
    my ($class, $dir, $name, %o) = @_;

    my $self = bless { dir => $dir, name => $name }, $class;

    $self->sign($name, ca => 1, issuer => $o{issuer});

    return $self;
}


sub certificate {
    my ($self, $name) = @_;

    return "$self->{dir}/" . ($name // $self->{name}) . '.crt';
}


sub key {
    my ($self, $name) = @_;

    return "$self->{dir}/" . ($name // $self->{name}) . '.key';
}


# sign('name', san => 'DNS:localhost,IP:127.0.0.1', expired => 1, ca => 1)

sub sign {
    my ($self, $name, %o) = @_;

    my $issuer = $o{issuer} || $self;
    my $self_signed = $o{self_signed} || !-e $issuer->certificate();
    my $file = "$self->{dir}/$name";

    open my $ext, '>', "$file.ext" or die "$file.ext: $!";
    print $ext 'basicConstraints = critical, CA:',
               $o{ca} ? 'TRUE' : 'FALSE', "\n";
    print $ext "keyUsage = critical, keyCertSign, cRLSign\n" if $o{ca};
    print $ext "subjectAltName = $o{san}\n" if $o{san};
    close $ext;

    openssl('req', '-new', '-newkey', 'ec', '-pkeyopt',
            'ec_paramgen_curve:P-256', '-nodes', '-subj', "/CN=$name",
            '-keyout', "$file.key", '-out', "$file.csr");

    if ($o{expired}) {
        openssl($issuer->ca(), '-batch', '-notext', '-create_serial',
                '-startdate', '20200101000000Z',
                '-enddate', '20200131000000Z', '-in', "$file.csr",
                '-extfile', "$file.ext", '-out', "$file.crt");

        return ($self->certificate($name), $self->key($name));
    }

    openssl('x509', '-req', '-in', "$file.csr", '-extfile', "$file.ext",
            '-days', 30, '-out', "$file.crt", '-set_serial', $serial++,
            $self_signed ? ('-signkey', "$file.key")
                         : ('-CA', $issuer->certificate(),
                            '-CAkey', $issuer->key()));

    return ($self->certificate($name), $self->key($name));
}


# a revocation list of the named certificates

sub crl {
    my ($self, @names) = @_;

    my $file = "$self->{dir}/$self->{name}.crl";
    my @ca = $self->ca();

    openssl(@ca, '-revoke', $self->certificate($_)) for @names;
    openssl(@ca, '-gencrl', '-out', $file);

    return $file;
}


# the command of the authority, with an empty database

sub ca {
    my ($self) = @_;

    my $file = "$self->{dir}/$self->{name}";

    open my $conf, '>', "$file.cnf" or die "$file.cnf: $!";
    print $conf "[ca]\ndefault_ca = ca_default\n[ca_default]\n",
                "database = $file.index\ndefault_md = sha256\n",
                "new_certs_dir = $self->{dir}\nserial = $file.serial\n",
                "default_crl_days = 30\n",
                "policy = any\n[any]\ncommonName = supplied\n";
    close $conf;

    open my $index, '>', "$file.index" or die "$file.index: $!";
    close $index;

    return ('ca', '-config', "$file.cnf", '-cert', $self->certificate(),
            '-keyfile', $self->key());
}


sub openssl {
    my (@arguments) = @_;

    my $pid = open(my $output, '-|') // die "fork: $!";

    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        exec 'openssl', @arguments or POSIX::_exit(127);
    }

    my $said = join '', <$output>;
    close $output or die "openssl @arguments: $said";
}


1;
