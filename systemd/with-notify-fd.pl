#!/usr/bin/perl
# Runs a program with a socket to systemd's NOTIFY_SOCKET already open, as the descriptor named "notify" (sd_listen_fds(3)).
#
# Node.js has no datagrams of AF_UNIX, but it can write to a descriptor. What it writes then comes from the service's main process,
# which is all that NotifyAccess=main lets in; systemd-notify, a child, would need NotifyAccess=all. From systemd 253 on
# OpenFile=/run/systemd/notify:notify does the same. Perl is part of every Debian and Ubuntu (perl-base).
use strict;
use warnings;
use Fcntl qw(F_SETFD F_SETFL O_NONBLOCK);
use POSIX ();
use Socket qw(AF_UNIX SOCK_DGRAM pack_sockaddr_un);

my $NOTIFY = 3;    # the first that sd_listen_fds(3) knows

my $socket;        # out here: Perl closes it where its name ends
if (defined(my $path = $ENV{NOTIFY_SOCKET})) {
    $path =~ s/^@/\0/;
    socket($socket, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!\n";
    connect($socket, pack_sockaddr_un($path)) or die "$ENV{NOTIFY_SOCKET}: $!\n";
    fcntl($socket, F_SETFL, O_NONBLOCK) or die "fcntl: $!\n";
    if (fileno($socket) == $NOTIFY) { fcntl($socket, F_SETFD, 0) or die "fcntl: $!\n" }
    else { POSIX::dup2(fileno($socket), $NOTIFY) // die "dup2: $!\n" }
    @ENV{qw(LISTEN_PID LISTEN_FDS LISTEN_FDNAMES)} = ($$, 1, 'notify');
}
exec { $ARGV[0] } @ARGV or die "$ARGV[0]: $!\n";
