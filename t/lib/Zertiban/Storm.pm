package Zertiban::Storm;

# Clients, a token endpoint, an API and an nginx between them, all of which do
# what they may for some time, and a ledger of what came of it.

use strict;
use warnings;

use Zertiban::Loop qw(now after);
use Zertiban::Nginx;
use Zertiban::Storm::API;
use Zertiban::Storm::CGI;
use Zertiban::Storm::Call;
use Zertiban::Storm::Config;
use Zertiban::Storm::Dice;
use Zertiban::Storm::Elsewhere;
use Zertiban::Storm::HTTP1;
use Zertiban::Storm::HTTP2;
use Zertiban::Storm::IdP;
use Zertiban::Storm::Ledger;

my $clients = 70;

my $slow = $ENV{TEST_ZERTIBAN_SLOW} || 1;

# seconds in which something has to happen to a connection, and after which
# nothing more comes of a call that its client has done with
my $patience = 30 * $slow;
my $memory = 20 * $slow;


# seed => a number

sub new {
    my ($class, %o) = @_;

    my $self = bless { calls => {}, sessions => {}, number => 0, called => 0,
                       faults => {}, ends => {}, over => 1, refused => 0,
                       elsewheres => 0, %o }, $class;

    $self->{ledger} = Zertiban::Storm::Ledger->new($self);
    $self->{idp} = Zertiban::Storm::IdP->new(storm => $self);
    $self->{elsewhere} = Zertiban::Storm::Elsewhere->new(storm => $self);

    $self->{apis}{$_} = Zertiban::Storm::API->new(storm => $self)
        for qw(API SECOND);
    $self->{apis}{$_} = Zertiban::Storm::CGI->new(storm => $self,
                                                  protocol => $_)
        for qw(fastcgi uwsgi scgi);

    $self->start_nginx();

    return $self;
}


sub start_nginx {
    my ($self) = @_;

    my $nginx = $self->{nginx} = Zertiban::Nginx->new(workers => 3);

    mkdir $nginx->dir() . "/$_" for qw(html store);
    $nginx->write_file('html/page.html', Zertiban::Storm::Config::page(
        'c=$arg_c&t=$arg_t&n=$arg_n'));

    # others take them for an answer
    $self->{hints} = Zertiban::Nginx::version() >= 1029000;

    $nginx->run(Zertiban::Storm::Config::text(),
        IDP => $self->{idp}->url(), WAIT => '5s',
        ELSEWHERE => $self->{elsewhere}->address(),
        PATIENCE => $patience . 's',
        HINTS => $self->{hints} ? 'early_hints 1;' : '',
        map { $_ => $self->{apis}{$_}->address() } keys %{$self->{apis}});
}


# returns when all clients have been answered, or have left

sub run {
    my ($self, $seconds) = @_;

    my $start = my $looked = now();

    # nobody comes before or after that, whatever happens
    local $self->{over} = 0;

    $self->new_session() for 1 .. $clients;

    while (!$self->{over} || %{$self->{sessions}}) {
        Zertiban::Loop::turn(0.1);

        $self->{over} = now() >= $start + $seconds;
        next if now() < $looked + 1;

        $looked = now();
        $self->look_for_hangs();
        $self->judge();
    }

    $self->{seconds} = now() - $start;
}


sub new_session {
    my ($self) = @_;

    return if $self->{over};

    my $number = ++$self->{number};
    my $dice = Zertiban::Storm::Dice->new($self->{seed}, $number, 2);
    my $two = $dice->chance(25);
    my $n = 1 + ($two ? $dice->roll(8) : $dice->roll(4));

    my @calls = $self->new_call();

    push @calls, $self->new_call()
        while @calls < $n && ($two || !$calls[-1]{way}{torn});

    my $class = $two ? 'Zertiban::Storm::HTTP2' : 'Zertiban::Storm::HTTP1';

    my $session = $class->new(
        storm => $self, calls => \@calls, pipelined => $dice->chance(25),
        port => $self->{nginx}->port($two ? 'h2' : undef));

    $self->{sessions}{$session} = $session if !$session->{stream}{closed};
}


# revocations come with the calls

sub new_call {
    my ($self) = @_;

    my $n = ++$self->{called};
    my $call = Zertiban::Storm::Call->new($self->{seed}, $n, storm => $self);

    $self->{calls}{$n} = $call;
    $self->{waiting}{$call->{name}}{$n} = $call if $call->waits_for_token();

    my $token = $call->{dice}->chance(10)
                && $self->{idp}->recent($call->{dice});

    $self->{idp}->revoke($token)
        if $token && ($self->{idp}->old($token) || $call->{dice}->chance(1));

    return $call;
}


sub over {
    my ($self, $session) = @_;

    delete $self->{sessions}{$session};
    $self->{calls}{$_->{n}}->end('never') for @{$session->{calls}};

    after(0, sub { $self->new_session() });
}


# the IdP was asked for a token

sub exchange {
    my ($self, $name) = @_;

    my @calls = values %{$self->{waiting}{$name} || {}};

    $_->event('token') for grep { $_->{begun} } @calls;
}


# a call is at its end for the client

sub ended {
    my ($self, $call, $body) = @_;

    my ($end, $status) = @{$call}{qw(end status)};

    delete $self->{waiting}{$call->{name}}{$call->{n}};

    return delete $self->{calls}{$call->{n}} if $end eq 'never';

    push @{$self->{ended}}, $call;
    $self->{ends}{$end eq 'answered' ? $status : $end}++;

    $self->fault(dropped => $call, 'the connection was closed')
        if $end eq 'dropped';

    return if $end ne 'answered';

    $self->fault(answers => $call, "it has the answer of call $_")
        for grep { $_ != $call->{n} && !$call->{way}{cached} }
            ($body // '') =~ /^call (\d+) /mg;

    $self->fault(internal => $call, 'nginx says 500')
        if $status == 500 && ($body // '') =~ /<center>nginx/
           && !$call->{way}{asks};
}


sub fault {
    my ($self, $kind, @what) = @_;

    my ($call) = grep { ref } @what;
    my $text = join ': ', map { ref ? $_->describe() : $_ } reverse @what;

    push @{$self->{faults}{$kind}}, $text;
}


sub faults {
    my ($self, $kind) = @_;

    my @faults = @{$self->{faults}{$kind} || []};
    my $more = @faults - 5;

    return join "\n", @faults[0 .. ($more > 0 ? 4 : $#faults)],
                      $more > 0 ? "and $more more" : ();
}


sub look_for_hangs {
    my ($self) = @_;

    for my $session (values %{$self->{sessions}}) {
        next if now() < $session->{since} + $patience + 10;

        my ($call) = $session->calls();

        $self->fault(hang => $call // (), 'nothing comes');
        $session->leave('reset');
    }
}


# of calls that have ended so long ago that nothing more can come of them, or
# of all

sub judge {
    my ($self, $all) = @_;

    my $ended = $self->{ended} || [];

    while (@$ended && ($all || $ended->[0]{ended} < now() - $memory)) {
        my $call = shift @$ended;

        $self->{ledger}->judge($call);
        delete $self->{calls}{$call->{n}};
        delete $call->{attempts};
    }
}


# what there was of it, in some lines

sub report {
    my ($self) = @_;

    my ($ledger, $idp) = @{$self}{qw(ledger idp)};

    my $said = sprintf "%d calls in %.1f s, on %d connections; the API: "
        . "%d requests, %d acted on, %d refused; %d tokens, %d revoked; "
        . "%d replays: %s; %d requests elsewhere; clients: %s",
        $self->{called}, $self->{seconds}, $self->{number},
        $ledger->{attempts}, $ledger->{acted}, $self->{refused},
        scalar @{$idp->{order}}, $idp->{revoked} // 0,
        $ledger->{replays}, listed($ledger->{replayed}),
        $self->{elsewheres}, listed($self->{ends});

    return $said =~ s/(.{1,70})(?: |\z)/$1\n/gr;
}


sub listed {
    my ($n) = @_;

    return join ', ', map { "$_ $n->{$_}" } sort keys %$n;
}


1;
