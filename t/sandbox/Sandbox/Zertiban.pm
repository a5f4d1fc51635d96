package Sandbox::Zertiban;

# Zertiban's token endpoint and a piece of its API, imitated strictly: what
# they would refuse is refused here, with a JSON that names the header at fault.

use strict;
use warnings;

use JSON::PP;
use MIME::Base64 qw(decode_base64 encode_base64url);

use Sandbox::Server;

use constant {
    TOKEN_PATH  => '/idp/oauth2/token',
    FLOWS_PATH  => '/pagafactu/v1/flows',
    CREATE_PATH => '/pagafactu/v1/flows/pagafactu',
    MAX_PDF     => 8 * 1024 * 1024,
};

my $json = JSON::PP->new->canonical->ascii;

# journal is called with what each request was and how it went, without anything
# secret

sub new {
    my ($class, %args) = @_;

    return bless { %args, tokens => {}, flows => {} }, $class;
}

# The settings are those of t/sandbox/run.

sub handle {
    my ($self, $settings, $request) = @_;

    $self->{settings} = $settings;

    my $path  = $request->{path} =~ s/\?.*//sr;
    my $token = $path eq TOKEN_PATH;

    my ($status, $answer, %headers)
        = $token ? $self->token($request)
                 : $self->api($request, $path);

    $self->{journal}->({
        kind          => $token ? 'token' : 'api',
        connection    => $request->{connection},
        client        => $request->{client} // '',
        agent         => join(', ', header($request, 'user-agent')),
        method        => $request->{method},
        path          => $path,
        status        => $status,
        authorization => [map { shorten($_) } header($request,
                                                     'authorization')],
        tenant        => [header($request, 'x-tenant-id')],
        bytes         => length $request->{body},
        reason        => $answer->{reason} // '',
    });

    return ($status, { 'Content-Type' => 'application/json', %headers },
            $json->encode($answer) . "\n");
}

# The token endpoint.

sub token {
    my ($self, $request) = @_;

    if ($request->{method} ne 'POST') {
        return refuse(405, 'invalid_request', 'method', 'must be POST');
    }

    if (my @wrong = $self->wrong_basic($request)) {
        return (refuse(401, 'invalid_client', @wrong),
                'WWW-Authenticate' => 'Basic realm="idp"');
    }

    if (my @wrong = wrong_form($request)) {
        return refuse(400, @wrong);
    }

    my $lifetime = $self->{settings}{lifetime};
    my $token = random_token($lifetime);

    $self->{tokens}{$token} = {
        client  => $request->{client},
        expires => time + $lifetime,
    };

    return (200, {
        access_token => $token,
        token_type   => 'Bearer',
        expires_in   => $lifetime,
    }, 'Cache-Control' => 'no-store');
}

sub wrong_basic {
    my ($self, $request) = @_;

    my @values = header($request, 'authorization');

    return ('Authorization', 'is missing') if @values == 0;
    return ('Authorization', 'came more than once') if @values > 1;

    my ($encoded) = $values[0] =~ m{^Basic ([A-Za-z0-9+/]+=*)$}
        or return ('Authorization', 'is not Basic');

    my ($client, $secret) = split /:/, decode_base64($encoded), 2;

    $request->{client} = $client;

    my $known = $self->{settings}{clients}{$client};

    if (!defined $known || $known ne ($secret // '')) {
        return ('Authorization', 'holds a wrong client id or secret');
    }

    return;
}

sub wrong_form {
    my ($request) = @_;

    my $type = join ',', header($request, 'content-type');

    if ($type !~ m{^application/x-www-form-urlencoded(?:;|$)}i) {
        return ('invalid_request', 'Content-Type',
                'must be application/x-www-form-urlencoded');
    }

    if (header($request, 'x-tenant-id')) {
        return ('invalid_request', 'x-tenant-id', 'is not for this endpoint');
    }

    my %form;

    for my $field (split /&/, $request->{body}) {
        my ($name, $value) = map { unescape($_) } split /=/, $field, 2;

        if (exists $form{$name}) {
            return ('invalid_request', 'body', "has \"$name\" twice");
        }

        $form{$name} = $value // '';
    }

    if (exists $form{client_id} || exists $form{client_secret}) {
        return ('invalid_request', 'body', 'must not hold the credential');
    }

    if (($form{grant_type} // '') ne 'client_credentials') {
        return ('unsupported_grant_type', 'body',
                'grant_type must be client_credentials');
    }

    return;
}

# The API.

sub api {
    my ($self, $request, $path) = @_;

    if (my @wrong = $self->wrong_bearer($request)) {
        return (refuse(401, 'unauthorized', @wrong),
                'WWW-Authenticate' => 'Bearer');
    }

    if (my @wrong = $self->wrong_tenant($request)) {
        return refuse(400, 'bad_tenant', @wrong);
    }

    my $method = $request->{method};

    if ($method eq 'POST' && $path eq CREATE_PATH) {
        return $self->create_flow($request);
    }

    if ($method eq 'GET' && $path =~ m{^\Q${\FLOWS_PATH}\E/?$}) {
        return (200, { flows => [sort keys %{ $self->{flows} }] });
    }

    if ($method eq 'GET' && $path =~ m{^\Q${\FLOWS_PATH}\E/([\w-]+)$}
        && $self->{flows}{$1})
    {
        return (200, $self->{flows}{$1});
    }

    return refuse(404, 'not_found', 'path', 'is not known');
}

sub wrong_bearer {
    my ($self, $request) = @_;

    my @values = header($request, 'authorization');

    return ('Authorization', 'is missing') if @values == 0;
    return ('Authorization', 'came more than once') if @values > 1;

    my ($token) = $values[0] =~ m{^Bearer ([A-Za-z0-9._~+/-]+=*)$}
        or return ('Authorization', 'is not a Bearer token');

    my $issued = $self->{tokens}{$token}
        or return ('Authorization', 'holds a token that was never issued');

    $request->{client} = $issued->{client};

    if (!exists $self->{settings}{clients}{ $issued->{client} }) {
        return ('Authorization', 'holds a token of a revoked client');
    }

    if (time >= $issued->{expires}) {
        return ('Authorization', 'holds an expired token');
    }

    return;
}

sub wrong_tenant {
    my ($self, $request) = @_;

    my @values = header($request, 'x-tenant-id');

    if (header($request, 'x_tenant_id')) {
        return ('x_tenant_id', 'is not a header of this API');
    }

    return ('x-tenant-id', 'is missing') if @values == 0;
    return ('x-tenant-id', 'came more than once') if @values > 1;

    if ($values[0] ne $self->{settings}{tenant_id}) {
        return ('x-tenant-id', 'is not the business of this client');
    }

    return;
}

sub create_flow {
    my ($self, $request) = @_;

    my $type = join ',', header($request, 'content-type');

    $type =~ m{^multipart/form-data;\s*boundary="?([^";]+)"?$}i
        or return refuse(415, 'unsupported_media_type', 'Content-Type',
                         'must be multipart/form-data with a boundary');

    my $pdf = pdf_part($request->{body}, $1)
        // return refuse(400, 'bad_body', 'body', 'holds no whole PDF part');

    if (length $pdf > MAX_PDF) {
        return refuse(413, 'too_large', 'body', 'holds a PDF over 8 MB');
    }

    my $flow = {
        id     => random_uuid(),
        status => 'CREATED',
        bytes  => length $pdf,
    };

    $self->{flows}{ $flow->{id} } = $flow;

    return (201, $flow);
}

sub pdf_part {
    my ($body, $boundary) = @_;

    return if $body !~ /\r\n--\Q$boundary\E--(?:\r\n)?\z/;

    for my $part (split /(?:^|\r\n)--\Q$boundary\E(?:--)?(?:\r\n)?/, $body) {
        my ($head, $content) = split /\r\n\r\n/, $part, 2;

        if (($head // '') =~ m{^content-type:\s*application/pdf}im
            && $content =~ /\A%PDF-1\.\d/
            && $content =~ /%%EOF\s*\z/)
        {
            return $content;
        }
    }

    return;
}

# Helpers.

sub refuse {
    my ($status, $error, $header, $reason) = @_;

    return ($status, {
        error  => $error,
        header => $header,
        reason => "$header $reason",
    });
}

sub header {
    return Sandbox::Server::header(@_);
}

# Enough to recognize a value, too little to use it.

sub shorten {
    my ($value) = @_;

    return $value =~ s/^Basic .*/Basic .../sr
                  =~ s/^(Bearer .{12}).+/$1.../sr
                  =~ s/^(?!Basic |Bearer )(.{4}).*/$1.../sr;
}

sub unescape {
    my ($value) = @_;

    return $value =~ tr/+/ /r =~ s/%([0-9A-Fa-f]{2})/chr hex $1/egr;
}

sub random_bytes {
    my ($length) = @_;

    open my $random, '<:raw', '/dev/urandom' or die "no /dev/urandom: $!\n";
    read($random, my $bytes, $length);

    return $bytes;
}

sub random_uuid {
    return join '-', unpack 'H8 H4 H4 H4 H12', random_bytes(16);
}

# Looks like a signed JWT of the usual size, and is unique.

sub random_token {
    my ($lifetime) = @_;

    my $claims = {
        iss   => 'sandbox',
        iat   => time,
        exp   => time + $lifetime,
        jti   => random_uuid(),
        roles => [map { random_uuid() } 1 .. 12],
    };

    return join '.', map { encode_base64url($_) }
        $json->encode({ alg => 'RS256', kid => random_uuid(), typ => 'JWT' }),
        $json->encode($claims),
        random_bytes(256);
}

1;
