"""``python -m landbridge.proxy --socket PATH``: the parts put together, the limits raised, the signals heard.

Says nothing unless something is wrong. Ends cleanly on SIGTERM, SIGINT and the `quit` request; nothing of it
stays behind then but the lock file.
"""

import argparse
import os
import select
import signal
import socket
import sys
from pathlib import Path

from landbridge.errors import LandbridgeError
from landbridge.proxy.control import Control
from landbridge.proxy.limits import Limits
from landbridge.proxy.loop import Loop
from landbridge.proxy.porch import Porch
from landbridge.proxy.table import HoldTable
from landbridge.proxy.tcp import TcpRelay
from landbridge.proxy.udp import IDLE_TIMEOUT, MAX_FLOWS, UdpRelay
from landbridge.proxy.unixsocket import listen

# Of the descriptors, what holds leave for relayed connections and for the headroom: an eighth, at least this many.
RESERVE = 192


def main(argv: list[str] | None = None) -> int:
    """Run until told to end. Returns the exit status: 0 after a clean end, 1 when it could not start."""
    parser = argparse.ArgumentParser(prog="landbridge-proxy", description="Hold and relay published host ports.")
    parser.add_argument("--socket", required=True, type=Path, help="path of the control socket")
    parser.add_argument("--max-files", type=int, default=1 << 20, help="use no more descriptors than this")
    parser.add_argument("--udp-idle", type=float, default=IDLE_TIMEOUT, help="seconds until an idle UDP flow ends")
    options = parser.parse_args(argv)
    try:
        limits = Limits(options.max_files)
        listener, lock = listen(options.socket)
    except (OSError, LandbridgeError) as error:
        print(f"landbridge-proxy: {error}", file=sys.stderr)
        return 1
    try:
        serve(listener, limits, options.udp_idle)
    finally:
        options.socket.unlink(missing_ok=True)
        os.close(lock)
    return 0


def serve(listener: socket.socket, limits: Limits, udp_idle: float) -> None:
    """Answer at `listener` and hold ports within `limits`, until told to end."""
    loop = Loop()
    end_on_signals(loop)
    tcp = TcpRelay(loop)
    udp = UdpRelay(loop, udp_idle, min(MAX_FLOWS, limits.total // 8))
    streams = Porch(loop, tcp.serve)
    datagrams = Porch(loop, udp.serve)
    table = HoldTable(
        streams=streams,
        datagrams=datagrams,
        max_descriptors=limits.total - max(limits.total // 8, RESERVE),
        later=loop.later,
    )

    def traffic() -> dict[str, int]:
        return {"connections": tcp.live, "accepted": tcp.accepted, "flows": udp.live}

    control = Control(loop, listener, table, limits, traffic)
    loop.run()
    control.close()
    table.clear()
    tcp.close()
    loop.close()


def end_on_signals(loop: Loop) -> None:
    """Turn SIGTERM and SIGINT into an event of the loop, since a handler alone would not wake it."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.stop())
    loop.watch(reader, select.EPOLLIN, lambda _: loop.stop())


if __name__ == "__main__":
    sys.exit(main())
