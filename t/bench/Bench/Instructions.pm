package Bench::Instructions;

# How many instructions a request takes, by callgrind: the difference between
# two moments with nothing but so many requests in between.

use strict;
use warnings;

use Bench::Backend;
use Bench::Client;
use Bench::Callgrind;
use Bench::Gateway;

use constant { WARM => 500, COUNTED => 2000 };

my $uri = '/pagafactu/v1/flows/0d0c4a3e-9b59-4a7c-8c1a-64f0f9b5a2d7';


# measure('name', request => sub { ... }, warm => n, values => { ... }) returns
# { total, functions => { name => instructions } }, for one request; at least
# so many come before those that are counted

sub measure {
    my ($name, %o) = @_;

    my $backend = Bench::Backend->new()->start();
    my $callgrind = Bench::Callgrind->new($name);
    my $gateway = Bench::Gateway->new($name, $backend, workers => 0,
                                      name => "callgrind-$name",
                                      under => [$callgrind->command()],
                                      values => $o{values});

    $gateway->start();

    my $client = Bench::Client->new($gateway->{port});
    my $request = $o{request} // sub {
        Bench::Client::request($uri, $gateway->{values}{KEY})
    };

    ask($client, $request, $o{warm}) if $o{warm};

    $callgrind->attach($gateway);
    ask($client, $request, WARM);
    $callgrind->begin();
    ask($client, $request, COUNTED);

    my $cost = $callgrind->end();

    $gateway->stop();
    $backend->stop();

    $_ /= COUNTED for $cost->{total}, values %{$cost->{functions}};

    return $cost;
}


sub ask {
    my ($client, $request, $n) = @_;

    for (1 .. $n) {
        $client->send($request->()) == 200 or die "an answer is not 200\n";
    }
}


1;
