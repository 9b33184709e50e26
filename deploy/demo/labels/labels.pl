#!/usr/bin/perl
# Prints shipping labels: GET /label?order=abc&city=Husum
# A fixed set of processes takes connections from one socket; SIGTERM lets each finish its request.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;

use constant { WORKERS => 4, PATIENCE => 10, LARGEST_HEAD => 8192 };

my $version  = $ENV{SLIPWAY_VERSION} // 'unknown';
my $listener = IO::Socket::INET->new(LocalPort => $ENV{PORT} // 8080, Listen => 128, ReuseAddr => 1, Blocking => 0)
    or die "can't listen: $!\n";
$| = 1;
print 'labels listens on ', $listener->sockport, "\n";

my $stopping = 0;
my @workers  = map { my $pid = fork // die "can't fork: $!\n"; work() unless $pid; $pid } 1 .. WORKERS;
$SIG{TERM} = $SIG{INT} = sub { $stopping = 1; kill TERM => @workers };
while ((my $ended = wait) != -1 || $!{EINTR}) {
    die "a worker ended by itself\n" if $ended > 0 && !$stopping && (kill TERM => @workers);
}
print "labels stopped\n";

sub work {
    $SIG{TERM} = $SIG{INT} = sub { $stopping = 1 };
    my $waiting = IO::Select->new($listener);
    until ($stopping) {
        $waiting->can_read(0.5) or next;
        my $client = $listener->accept or next;
        $client->blocking(1);
        serve($client);
        close $client;
    }
    exit 0;
}

sub serve {
    my ($client) = @_;
    my $head = '';
    my $readable = IO::Select->new($client);
    until ($head =~ /\r\n\r\n/) {
        $readable->can_read(PATIENCE) or return;
        sysread($client, $head, 2048, length $head) or return;
        return if length $head > LARGEST_HEAD;
    }
    my ($path, $query) = $head =~ m{\AGET (/[^?\s]*)\??(\S*) HTTP/} or return reply($client, 400, '{"error":"not a GET"}');
    return reply($client, 200, '{"status":"ok"}') if $path eq '/healthz';
    return reply($client, 200, qq({"service":"labels","version":"$version"})) if $path eq '/version';
    return label($client, $query) if $path eq '/label';
    reply($client, 404, '{"error":"no such page"}');
}

sub label {
    my ($client, $query) = @_;
    my %given = map { my ($name, $value) = split /=/, $_, 2; ($name => plain($value // '')) } split /&/, $query;
    return reply($client, 400, '{"error":"order and city are needed"}')
        if grep { ($given{$_} // '') eq '' } qw(order city);
    reply($client, 200, sprintf '{"label":"%s / %s"}', $given{order}, uc $given{city});
}

# Letters, digits and a few signs; everything else can't be printed on a label.
sub plain {
    my ($text) = @_;
    $text =~ tr/+/ /;
    $text =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
    $text =~ s/[^\w .,-]//ga;
    return $text;
}

sub reply {
    my ($client, $status, $body) = @_;
    local $SIG{PIPE} = 'IGNORE';
    print $client "HTTP/1.1 $status Answer\r\nContent-Type: application/json\r\nContent-Length: ", length $body,
        "\r\nConnection: close\r\n\r\n", $body;
}
