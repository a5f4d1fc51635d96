package Bench::Picture;

# The results as bars, in an SVG that needs nothing else.

use strict;
use warnings;

use List::Util qw(max);

use Bench::Report;
use Bench::Stats qw(median);
use Bench::Throughput;

use constant {
    WIDTH  => 860,
    LABEL  => 320,      # where bars begin
    LENGTH => 400,      # of the longest one
    ROW    => 24,
    BAR    => 16,
    GAP    => 34,       # between panels
};

my %labels = (
    plain   => 'without the two headers',
    fixed   => 'fixed header',
    map     => 'fixed headers by a map',
    static  => 'ngx_zertiban_module',
    dynamic => 'ngx_zertiban_module, by a map',
    lua     => 'Lua gateway',
    njs     => 'njs gateway',
);

my @order = qw(plain fixed static map dynamic lua njs);


sub draw {
    my ($results, $path) = @_;

    my $y = 34;
    my $bars = '';

    for my $panel (panels($results)) {
        $bars .= draw_panel($panel, \$y);
    }

    # below the last bar
    $y -= GAP - 10;

    open my $fh, '>', $path or die "$path: $!\n";

    printf $fh <<'EOT', WIDTH, $y, WIDTH, $y, WIDTH - 1, $y - 1, $bars;
<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d"
     viewBox="0 0 %d %d" role="img"
     aria-label="ngx_zertiban_module beside other gateways">
<style>
    text { font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif;
           fill: #1f2328; stroke: #ffffff; stroke-width: 3;
           stroke-linejoin: round; paint-order: stroke; }
    .card { fill: #ffffff; stroke: #d1d9e0; }
    .heading { font-weight: 600; font-size: 15px; }
    .note { fill: #59636e; font-weight: 400; font-size: 12px; }
    .other { fill: #9aa4af; }
    .ours { fill: #1a7f4b; }
    .mark { stroke: #59636e; stroke-dasharray: 3 3; }

    @media (prefers-color-scheme: dark) {
        text { fill: #e6edf3; stroke: #0d1117; }
        .card { fill: #0d1117; stroke: #3d444d; }
        .note { fill: #9198a1; }
        .other { fill: #6e7681; }
        .ours { fill: #2f9e5f; }
        .mark { stroke: #9198a1; }
    }
</style>
<rect class="card" x="0.5" y="0.5" width="%d" height="%d" rx="6"/>
%s</svg>
EOT

    close $fh or die "$path: $!\n";
}


# { heading, note, bars => [[label, value, text, ours], ...], mark => value }

sub panels {
    my ($results) = @_;

    my $cost = $results->{instructions};
    my $load = $results->{throughput};
    my $cold = $results->{cold};
    my $refresh = $results->{refresh};

    return (
        { heading => 'Instructions per request',
          note => 'less is better; the line is a fixed header',
          mark => $cost->{fixed},
          bars => [map { bar($_, $cost->{$_}, sprintf '%s  (%.3f)',
                             Bench::Report::number($cost->{$_}),
                             $cost->{$_} / $cost->{fixed}) } @order] },

        { heading => 'Requests per second, one worker',
          note => 'more is better',
          mark => Bench::Throughput::medians($load->{fixed})->{rps},
          bars => [map {
              my $rps = Bench::Throughput::medians($load->{$_})->{rps};

              bar($_, $rps, sprintf '%s  (%.3f)',
                  Bench::Report::number($rps),
                  Bench::Throughput::ratio('rps', $load->{$_},
                                           $load->{fixed}))
          } @order] },

        { heading => '300 requests before the first token',
          note => 'until the last one is answered, after the token endpoint'
                  . ' has answered',
          bars => [map { my $last = median(@{$cold->{$_}{last}});
                         bar($_, $last, sprintf '%.0f ms', $last) }
                   grep { $cold->{$_} } @order] },

        { heading => 'Slowest request, in times with a refresh and without',
          note => 'median; the token endpoint takes 100 ms',
          bars => [map { my ($name, $what) = @$_;
                         my $ms = median(@{$refresh->{$name}{$what}});
                         bar($name, $ms, sprintf('%.1f ms', $ms),
                             $what eq 'with' ? ': at a refresh'
                                             : ': otherwise') }
                   map { ([$_, 'with'], [$_, 'without']) }
                   grep { $_ ne 'fixed' && $refresh->{$_} } @order] },
    );
}


sub bar {
    my ($name, $value, $text, $more) = @_;

    return [$labels{$name} . ($more // ''), $value, $text,
            $name =~ /^(?:static|dynamic)$/];
}


sub draw_panel {
    my ($panel, $y) = @_;

    my @bars = @{$panel->{bars}};
    my $most = max(map { $_->[1] } @bars);
    my $top = $$y + 14;

    my $svg = sprintf qq{<text class="heading" x="16" y="%d">%s}
                      . qq{<tspan class="note" dx="12">%s</tspan></text>\n},
                      $$y, $panel->{heading}, $panel->{note};

    $$y = $top;

    if ($panel->{mark}) {
        my $x = LABEL + $panel->{mark} / $most * LENGTH;

        $svg .= sprintf qq{<line class="mark" x1="%.1f" x2="%.1f" y1="%d"}
                        . qq{ y2="%d"/>\n}, $x, $x, $top - 4,
                        $top + @bars * ROW - 4;
    }

    for (@bars) {
        my ($label, $value, $text, $ours) = @$_;
        my $length = max(1, $value / $most * LENGTH);

        $svg .= sprintf qq{<text x="%d" y="%d" text-anchor="end">%s</text>\n}
                        . qq{<rect class="%s" x="%d" y="%d" width="%.1f"}
                        . qq{ height="%d" rx="2"/>\n}
                        . qq{<text x="%.1f" y="%d">%s</text>\n},
                        LABEL - 10, $$y + 13, $label,
                        $ours ? 'ours' : 'other', LABEL, $$y, $length, BAR,
                        LABEL + $length + 8, $$y + 13, $text;

        $$y += ROW;
    }

    $$y += GAP;

    return $svg;
}


1;
