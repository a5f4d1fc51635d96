package Zertiban::Chromium;

# A headless Chromium with one page, by the DevTools protocol over a pair of
# pipes: messages of JSON, each with a NUL behind it.

use strict;
use warnings;

use Fcntl qw(F_DUPFD);
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use POSIX ();

use Zertiban::Loop qw(watch unwatch);
use Zertiban::Program;

my $json = JSON::PP->new->utf8->canonical;


# new($dir): nothing but loopback addresses can be reached

sub new {
    my ($class, $dir) = @_;

    pipe my $child_in, my $out or die "pipe: $!";
    pipe my $in, my $child_out or die "pipe: $!";

    my @root = $> == 0 ? '--no-sandbox' : ();

    my $self = bless { in => $in, out => $out, bytes => '', number => 0,
                       answers => {}, events => [] }, $class;

    $self->{program} = Zertiban::Program->start(
        "$dir/logs/chromium", sub { descriptors($child_in, $child_out) },
        'chromium', '--headless', '--remote-debugging-pipe', @root,
        '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
        '--disable-background-networking', '--disable-component-update',
        '--proxy-server=127.0.0.1:1', "--user-data-dir=$dir/chromium",
        'about:blank');

    close $_ for $child_in, $child_out;

    $in->blocking(0);
    watch($in, in => sub { $self->received() });

    $self->attach();

    return $self;
}


# the program has its ends of the pipes as 3 and 4

sub descriptors {
    my @copies = map { fcntl $_, F_DUPFD, 10 } @_;

    POSIX::dup2($copies[$_], 3 + $_) for 0, 1;
}


sub received {
    my ($self) = @_;

    my $n = sysread $self->{in}, $self->{bytes}, 1 << 20,
                    length $self->{bytes};

    unwatch($self->{in}) if defined $n && $n == 0;

    while ($self->{bytes} =~ s/\A([^\0]*)\0//) {
        my $message = $json->decode($1);

        if ($message->{id}) {
            $self->{answers}{$message->{id}} = $message;

        } else {
            push @{$self->{events}}, $message;
        }
    }
}


# calls a method, and waits for what it returns

sub call {
    my ($self, $method, %params) = @_;

    my $id = ++$self->{number};
    my %session = $self->{session} ? (sessionId => $self->{session}) : ();

    $self->{out}->syswrite($json->encode({
        id => $id, method => $method, params => \%params, %session }) . "\0");

    $self->{program}->wait_for("no answer to $method", 30,
                               sub { $self->{answers}{$id} });

    my $answer = delete $self->{answers}{$id};

    die "$method: $answer->{error}{message}" if $answer->{error};

    return $answer->{result};
}


sub attach {
    my ($self) = @_;

    my ($page) = grep { $_->{type} eq 'page' }
                 @{$self->call('Target.getTargets')->{targetInfos}};

    $self->{session} = $self->call('Target.attachToTarget', flatten => \1,
                                   targetId => $page->{targetId})
                            ->{sessionId};

    $self->call("$_.enable") for qw(Page Network Log Runtime);
}


# show($url, width => ..., scheme => 'dark' | 'light'): returns as soon as the
# page is there

sub show {
    my ($self, $url, %o) = @_;

    $self->{width} = $o{width} // 1300;

    $self->call('Emulation.setDeviceMetricsOverride', mobile => \0,
                width => $self->{width}, height => 900,
                deviceScaleFactor => 1);
    $self->call('Emulation.setEmulatedMedia', features => [
        { name => 'prefers-color-scheme', value => $o{scheme} // 'light' }]);

    $self->forget();
    $self->call('Page.navigate', url => $url);
    $self->loaded();
}


sub forget {
    my ($self) = @_;

    $self->{events} = [];
}


sub loaded {
    my ($self) = @_;

    $self->{program}->wait_for('no page', 30, sub {
        $self->events('Page.loadEventFired')
    });
}


# the parameters of the events of a kind, since show()

sub events {
    my ($self, $method) = @_;

    return map { $_->{params} } grep { $_->{method} eq $method }
           @{$self->{events}};
}


# what was asked for

sub urls {
    my ($self) = @_;

    return map { $_->{request}{url} }
           $self->events('Network.requestWillBeSent');
}


# what Chromium has to complain of

sub complaints {
    my ($self) = @_;

    return map({ $_->{entry}{text} } $self->events('Log.entryAdded')),
           map({ $json->encode($_->{args}) }
               $self->events('Runtime.consoleAPICalled'));
}


# the value of an expression of JavaScript in the page

sub value {
    my ($self, $expression) = @_;

    my $answer = $self->call('Runtime.evaluate', returnByValue => \1,
                             expression => $expression);

    die "$expression: $answer->{exceptionDetails}{text}"
        if $answer->{exceptionDetails};

    return $answer->{result}{value};
}


# the page in a file, of which 3000 pixels are enough

sub picture {
    my ($self, $file) = @_;

    my $height = $self->value('document.documentElement.scrollHeight');
    my $answer = $self->call('Page.captureScreenshot', format => 'png',
        captureBeyondViewport => \1,
        clip => { x => 0, y => 0, width => $self->{width}, scale => 1,
                  height => $height < 3000 ? $height : 3000 });

    open my $fh, '>:raw', $file or die "$file: $!";
    print $fh decode_base64($answer->{data});
    close $fh or die "$file: $!";
}


sub stop {
    my ($self) = @_;

    unwatch($self->{in});
    $self->{program}->stop();
}


1;
