"""What the resolver's kernel tests share: a running resolver told over its control socket, and a real upstream server.

The test's thread plays the host, inside a namespace of its own; sandboxes are further namespaces. The upstream server
is a thread of the test with UDP and TCP sockets, answering from a table with dnspython.
"""

import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rrset

from landbridge.model.names import Asker, Change, NameRecord, NetworkNames
from landbridge.resolver import protocol
from landbridge.system import netns

Respond = Callable[[dns.message.Message], dns.message.Message | None]
SERVER = "127.0.0.11"


class Control:
    """A blocking control connection."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        try:
            self.sock.connect(str(path))
        except OSError:
            self.sock.close()
            raise
        self.file = self.sock.makefile("rb")
        self.hello = json.loads(self.file.readline())
        self.seq = 0

    def __enter__(self) -> "Control":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.sock.close()

    def tell(self, message: dict[str, Any]) -> dict[str, Any]:
        self.seq += 1
        self.sock.sendall(json.dumps({"seq": self.seq, **message}).encode() + b"\n")
        ack: dict[str, Any] = json.loads(self.file.readline())
        assert ack.pop("ack") == self.seq
        return ack

    def apply(self, *changes: Change) -> dict[str, Any]:
        return self.tell({"op": "batch", "changes": [protocol.change_to_message(change) for change in changes]})

    def replace(
        self, networks: Iterable[NetworkNames], records: Iterable[NameRecord], askers: Iterable[Asker]
    ) -> dict[str, Any]:
        return self.tell(protocol.table_to_message(networks, records, askers))


class Resolver:
    """A running resolver process; `host_servers` rewrites the resolv.conf it follows."""

    def __init__(self, directory: Path, *wrapper: str) -> None:
        """`wrapper` is a command that runs the command after it."""
        self.wrapper = wrapper
        self.path = directory / "resolver.sock"
        self.conf = directory / "resolv.conf"
        self.host_servers()
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        argv = [*self.wrapper, sys.executable, "-m", "landbridge.resolver", "--socket", str(self.path)]
        process = subprocess.Popen([*argv, "--resolv-conf", str(self.conf)], stderr=subprocess.PIPE)
        assert process.stderr is not None
        # Ready when a greeting comes; a process that failed instead says why.
        while process.poll() is None:
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError), Control(self.path):
                return process
            time.sleep(0.01)
        raise AssertionError(process.stderr.read().decode())

    def host_servers(self, *servers: str) -> None:
        new = self.conf.with_suffix(".new")
        new.write_text("".join(f"nameserver {server}\n" for server in servers))
        new.replace(self.conf)

    def control(self) -> Control:
        return Control(self.path)

    def stop(self) -> bytes:
        """End it politely; what it complained about."""
        self.process.terminate()
        _, complaints = self.process.communicate(timeout=10)
        return complaints

    def sockets(self, sandbox: str) -> set[str]:
        """Its sockets inside a sandbox, by inode: listening, connected and asking ones."""
        own = set()
        for name in os.listdir(f"/proc/{self.process.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                own.add(os.readlink(f"/proc/{self.process.pid}/fd/{name}"))
        there = set()
        with netns.inside(sandbox):
            for table in ("udp", "tcp"):
                lines = Path(f"/proc/thread-self/net/{table}").read_text().splitlines()[1:]
                there |= {f"socket:[{line.split()[9]}]" for line in lines}
        return own & there


class Upstream:
    """A DNS server at one address of the namespace it is made in, until closed."""

    def __init__(self, address: str, respond: Respond, *, stream: bool = True, datagrams: bool = True) -> None:
        self.seen: list[tuple[str, dns.message.Message]] = []
        self._respond = respond
        self._selector = selectors.DefaultSelector()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        if datagrams:
            udp = socket.socket(family, socket.SOCK_DGRAM)
            udp.bind((address, 53))
            self._selector.register(udp, selectors.EVENT_READ, self._serve_udp)
        if stream:
            tcp = socket.socket(family, socket.SOCK_STREAM)
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tcp.bind((address, 53))
            tcp.listen()
            self._selector.register(tcp, selectors.EVENT_READ, self._serve_tcp)
        self._wake, self._stop = socket.socketpair()
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __enter__(self) -> "Upstream":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.send(b"x")
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._stop.close()
        self._selector.close()

    def questions(self) -> list[str]:
        return [str(message.question[0].name) for _, message in self.seen]

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                key.data(key.fileobj)

    def _serve_udp(self, sock: socket.socket) -> None:
        data, client = sock.recvfrom(65535)
        message = dns.message.from_wire(data)
        self.seen.append(("udp", message))
        reply = self._respond(message)
        if reply is not None:
            wire = reply.to_wire(max_size=65535)
            if len(wire) > 512 and message.edns < 0:
                short = dns.message.make_response(message)
                short.flags |= dns.flags.TC
                wire = short.to_wire()
            sock.sendto(wire, client)

    def _serve_tcp(self, sock: socket.socket) -> None:
        connection, _ = sock.accept()
        with connection:
            connection.settimeout(5)
            message, _ = dns.query.receive_tcp(connection)
            self.seen.append(("tcp", message))
            reply = self._respond(message)
            if reply is not None:
                dns.query.send_tcp(connection, reply.to_wire(max_size=65535))


def table(**records: str) -> Respond:
    """Answers A questions for ``name="address address …"`` with TTL 60, all else NXDOMAIN."""

    def respond(message: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(message, recursion_available=True)
        question = message.question[0]
        addresses = records.get(str(question.name).rstrip(".").lower().replace(".", "_"))
        if addresses is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        else:
            reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", *addresses.split()))
        return reply

    return respond


def rcode(code: dns.rcode.Rcode) -> Respond:
    """Answers everything with that code."""

    def respond(message: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(message)
        reply.set_rcode(code)
        return reply

    return respond


def ask(
    sandbox: str, name: str, qtype: str = "A", *, stream: bool = False, server: str = SERVER, **options: Any
) -> dns.message.Message:
    """Ask the server at 127.0.0.11:53 of a sandbox, as any program in it would."""
    message = dns.message.make_query(name, qtype, **options)
    with netns.inside(sandbox):
        send = dns.query.tcp if stream else dns.query.udp
        return send(message, server, timeout=15)


def addresses(reply: dns.message.Message) -> list[str]:
    assert reply.rcode() == dns.rcode.NOERROR, reply
    return sorted(str(rdata) for rrset in reply.answer for rdata in rrset)


@contextlib.contextmanager
def running(directory: Path, *wrapper: str) -> Iterator[Resolver]:
    """A resolver for the length of a block; afterwards it must have ended well and silently."""
    resolver = Resolver(directory, *wrapper)
    try:
        yield resolver
    except BaseException:
        resolver.process.kill()
        resolver.process.communicate()
        raise
    complaints = resolver.stop()
    assert resolver.process.returncode == 0
    assert complaints == b""
    assert not resolver.path.exists()
