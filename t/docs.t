# Tests for what the documents promise: their links lead somewhere, what they
# show is what the examples have, and docs/operations.md knows each line that
# the module logs while nginx runs.

use strict;
use utf8;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lint";

use Test::More;

use Lint::Calls qw(calls);
use Lint::Source;

binmode $_, ":encoding(UTF-8)"
    for map { Test::More->builder->$_() } qw(output failure_output);

my $root = "$FindBin::Bin/..";

my @documents = ('README.md', map { s{^\Q$root\E/}{}r } glob "$root/docs/*.md");


sub slurp {
    my ($name) = @_;

    open my $in, '<:encoding(UTF-8)', "$root/$name" or die "$name: $!";
    local $/;

    return scalar <$in>;
}


my %text = map { $_ => slurp($_) } @documents;


# links

sub anchors {
    my ($text) = @_;

    $text =~ s/^```.*?^```$//msg;

    return map { lc s/[^\w -]//gr =~ tr/ /-/r } $text =~ /^#+ (.*)$/mg;
}


my %anchors = map { my $name = $_; $name => { map { $_ => 1 }
                                              anchors($text{$name}) } }
              @documents;

sub target {
    my ($from, $link) = @_;

    my ($path, $anchor) = $link =~ /^([^#]*)(?:#(.*))?$/;
    my ($folder) = $from =~ m{^(.*/)?};

    $path = $path eq '' ? $from : ($folder // '') . $path;
    1 while $path =~ s{[^/]+/\.\./}{};

    return -e "$root/$path"
           && (!defined $anchor || $anchors{$path} && $anchors{$path}{$anchor});
}


for my $name (@documents) {
    my @links = grep { !/^\w+:/ } $text{$name} =~ /\]\(([^)\s]+)\)/g;

    is(join(' ', grep { !target($name, $_) } @links), '',
       "all links of $name lead somewhere");
}


# what is asked for is a location of the configurations that are shown

my %served;

for my $path (glob "$root/docs/examples/*.conf") {
    my $example = slurp($path =~ s{^\Q$root\E/}{}r);
    my ($port) = $example =~ /^ *listen +127\.0\.0\.1:(\d+);/m or next;

    $served{"127.0.0.1:$port$_"} = 1
        for $example =~ /^ *location (?:= )?(\S+) \{/mg;
}

for my $name (@documents) {
    my @asked = $text{$name} =~ m{\bcurl .*?http://(127\.0\.0\.1:\d+/\S*)}g;

    # what the API has is behind "/"
    s{^(\S+?)/pagafactu/.*}{$1/} for @asked;

    is(join(' ', grep { !$served{$_} } @asked), '',
       "what $name asks for is in an example");
}


# what is shown in brief

sub blocks {
    my ($name) = @_;

    return $text{$name} =~ /^ *```nginx\n(.*?)^ *```$/msg;
}


# the lines without space, comments and what is left out

sub lines {
    my ($text) = @_;

    return grep { $_ ne '' && !/^#/ && $_ ne '...' }
           map { s/^\s+|\s+$//gr =~ s/\s+/ /gr } split /\n/, $text;
}


my %production = map { $_ => 1 } lines(slurp('docs/examples/production.conf'));

for my $name ('README.md', 'docs/directives.md') {
    my ($first) = grep { /proxy_pass/ } blocks($name);

    is(join("\n", grep { !$production{$_} } lines($first // 'nothing')), '',
       "$name shows a part of production.conf first");
    like($first, qr/proxy_ssl_verify +on;/, 'which verifies the API');
}


# lines of the log: "..." in a document stands for anything

sub patterns {
    my ($heading) = @_;

    my ($table) = $text{'docs/operations.md'}
                  =~ /^\Q$heading\E.*\n\n((?:\|.*\n)+)/m
        or die "no table at \"$heading\"";

    my @cells = map { (split / *\| */)[1] } split /\n/, $table;

    return map { /`([^`]+)`/g } @cells[2 .. $#cells];
}


my %known;

sub knows {
    my ($patterns, $line) = @_;

    my @matches = grep {
        my $regex = join '.*', map { quotemeta } split /…/, $_, -1;
        $line =~ /\A$regex/;
    } @$patterns;

    $known{$_} = 1 for @matches;

    return scalar @matches;
}


# the text of a literal of C

sub literal {
    my ($text) = @_;

    $text =~ s/\bngx_close_file_n\b/"close()"/;

    return if $text !~ /^\s*"/;

    my $all = join '', $text =~ /"((?:\\.|[^"\\])*)"/g;

    return $all =~ s/\\"/"/gr;
}


my @lines = patterns('All lines of the module from');
my @reasons = patterns('The reasons in');

cmp_ok(scalar @lines, '>', 10, 'there is a table of lines');
cmp_ok(scalar @reasons, '>', 20, 'and one of reasons');

# function => the place of the text among its arguments

my %reason = (ngx_zertiban_verdict_set => 2, ngx_zertiban_client_fail => 2,
              ngx_zertiban_response_error => 1, ngx_connection_error => 2,
              ngx_ssl_error => 3, ngx_str_set => 1);

my $quiet = qr/^NGX_LOG_(?:NOTICE|INFO|DEBUG)$/;
my $at_load = qr/^cf->log$/;

my @sources = map { glob "$root/ngx_zertiban_module/$_" } '*.c', '*/*.c';

my (@unknown_lines, @unknown_reasons);

for my $path (@sources) {
    my $source = Lint::Source->new($path);

    for my $call (calls($source, 'ngx_log_error', keys %reason)) {
        my ($name, @arguments) = ($call->{name}, @{$call->{arguments}});

        s/^\s+|\s+$//g for @arguments;

        my $is_line = $name eq 'ngx_log_error' && $path !~ m{/client/};
        my $text = literal($arguments[$reason{$name} // 3] // '') // next;

        if ($is_line) {
            next if $arguments[0] =~ $quiet || $arguments[1] =~ $at_load;

            push @unknown_lines, $text if !knows(\@lines, $text);

        } else {
            next if $name eq 'ngx_str_set'
                    && $arguments[0] !~ /\bverdict->reason$/
                    || $name eq 'ngx_ssl_error' && $arguments[1] =~ $at_load
                    || $text eq 'ok';

            push @unknown_reasons, $text if !knows(\@reasons, $text);
        }
    }
}

is(join("\n", @unknown_lines), '', 'operations.md knows each line');
is(join("\n", @unknown_reasons), '', 'and each reason');
is(join("\n", grep { !$known{$_} } @lines, @reasons), '',
   'and none that there is no more');

done_testing();
