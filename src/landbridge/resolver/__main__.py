"""``python -m landbridge.resolver --socket PATH [--resolv-conf FILE]``: the DNS server of every sandbox.

One process, one thread (but for closing things the kernel is slow to close), no files but its socket. It says nothing
unless something is wrong, and ends on SIGTERM, SIGINT or when told to ``quit``. It outlives the daemon on purpose.
"""

import argparse
import gc
import os
import resource
import signal
import socket
import sys

from landbridge.dns.resolvconf import HOST_PATH
from landbridge.errors import Unavailable
from landbridge.resolver.control import Control, listen
from landbridge.resolver.hostconf import HostServers
from landbridge.resolver.loop import EPOLLIN, Loop
from landbridge.resolver.server import Server


def main() -> int:
    """Serve until told to stop; the exit status."""
    parser = argparse.ArgumentParser(prog="landbridge resolver")
    parser.add_argument("--socket", required=True, help="where the daemon tells us what to answer")
    parser.add_argument("--resolv-conf", default=HOST_PATH, help="whose servers are asked about other names")
    arguments = parser.parse_args()
    _, descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    loop = Loop()
    server = Server(loop, HostServers(arguments.resolv_conf), flights=max(64, min(8192, descriptors // 8)))
    try:
        listener = listen(arguments.socket)
    except (OSError, Unavailable) as error:
        print(f"resolver: {arguments.socket}: {error}", file=sys.stderr)
        return 1
    control = Control(loop, listener, server)
    _stop_on_signals(loop)
    # What exists now exists for good: no need to look for garbage in it.
    gc.collect()
    gc.freeze()
    # Nearly all garbage goes by reference counts; looking for cycles among cached replies cost a third of the rate.
    gc.set_threshold(10_000, 50, 100)
    loop.run()
    server.close()
    control.close()
    try:
        os.unlink(arguments.socket)
    except FileNotFoundError:
        pass
    return 0


def _stop_on_signals(loop: Loop) -> None:
    """Python runs signal handlers between callbacks; the socket pair wakes the loop up for it."""
    wake_up, alarm = socket.socketpair()
    alarm.settimeout(0)
    signal.set_wakeup_fd(alarm.detach())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the daemon's terminal may go, we stay
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.stop())
    loop.watch(wake_up.detach(), EPOLLIN, lambda _: loop.stop())


if __name__ == "__main__":
    sys.exit(main())
