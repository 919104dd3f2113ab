"""One byte there and one back over one TCP connection, again and again.

pingpong.py serve ADDRESS PORT      answers one client, then ends
pingpong.py ask ADDRESS PORT SECONDS  prints the median and the 99th percentile in microseconds
"""

import os
import socket
import sys
import time


def pin(core: int) -> None:
    """Both ends on a core of their own where there are two: the scheduler's choice is not what is measured."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[core % len(cores)]})


def serve(address: str, port: int) -> None:
    pin(1)
    with socket.create_server((address, port)) as listener:
        print("listening", flush=True)
        peer, _ = listener.accept()
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := peer.recv(1):
        peer.send(data)


def ask(address: str, port: int, seconds: float) -> None:
    pin(0)
    with socket.create_connection((address, port), timeout=10) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.settimeout(None)
        taken: list[int] = []
        clock = time.perf_counter_ns
        end = clock() + int(seconds * 1e9)
        before = clock()
        while before < end:
            peer.send(b"x")
            peer.recv(1)
            after = clock()
            taken.append(after - before)
            before = after
    taken.sort()
    print(taken[len(taken) // 2] / 1000, taken[len(taken) * 99 // 100] / 1000)


if sys.argv[1] == "serve":
    serve(sys.argv[2], int(sys.argv[3]))
else:
    ask(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
