"""A steady stream of numbered datagrams, to count what is lost while something happens elsewhere.

    stream.py echo ADDRESS PORT            sends back what comes
    stream.py send ADDRESS PORT [NAME]     100 a second until SIGTERM, then prints `sent lost`

With NAME each datagram is a DNS query for its address (whose id is the number), and an answer counts when it has one.
"""

import signal
import socket
import struct
import sys
import time

INTERVAL = 0.01


def echo(address: str, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind((address, port))
        print("listening", flush=True)
        while True:
            data, peer = own.recvfrom(2048)
            own.sendto(data, peer)


def body(name: str) -> bytes:
    if not name:
        return b"\0\0" + b"\0" * 30
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack("!HHHHH", 0x100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"


def send(address: str, port: int, name: str) -> None:
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    payload, waiting, sent = body(name), set[int](), 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.connect((address, port))
        own.settimeout(0)
        print("listening", flush=True)
        due, last = time.monotonic(), 0.0
        while not last or (waiting and time.monotonic() < last + 2):
            if not ended and time.monotonic() >= due:
                due += INTERVAL
                number = sent % 65536
                sent += 1
                waiting.add(number)
                transmit(own, struct.pack("!H", number) + payload)
            if ended and not last:
                last = time.monotonic()
            receive(own, waiting, name)
            time.sleep(0.001)
    print(sent, len(waiting))


def transmit(own: socket.socket, data: bytes) -> None:
    try:
        own.send(data)
    except OSError:
        pass  # refused just now: it stays among those that wait and counts as lost


def receive(own: socket.socket, waiting: set[int], name: str) -> None:
    while True:
        try:
            data = own.recv(2048)
        except BlockingIOError:
            return
        except OSError:
            continue  # an ICMP error of an earlier datagram
        answered = not name or (len(data) > 8 and not data[3] & 15 and int.from_bytes(data[6:8], "big") > 0)
        if answered:
            waiting.discard(int.from_bytes(data[:2], "big"))


if sys.argv[1] == "echo":
    echo(sys.argv[2], int(sys.argv[3]))
else:
    send(sys.argv[2], int(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else "")
