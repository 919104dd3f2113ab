"""The resolver in real namespaces: names, port 53 by rewriting, and how long it lives and what it keeps."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest
from resolver_kit import SERVER, Control, Resolver, Upstream, addresses, ask, running, table

from landbridge.model.link import SandboxSpec
from landbridge.model.names import (
    Asker,
    NameRecord,
    NetworkNames,
    RemoveAsker,
    RemoveRecord,
    SetAsker,
    SetNetwork,
    SetRecord,
)
from landbridge.system import netns

pytestmark = pytest.mark.kernel

DAEMON = """
import socket, sys, time
control = socket.socket(socket.AF_UNIX)
control.connect(sys.argv[1])
print(control.recv(99), flush=True)
time.sleep(60)
"""
NETWORK = NetworkNames(id="n1", name="my_net2")


def record(name: str, *found: str, endpoint: str = "") -> NameRecord:
    return NameRecord(endpoint=endpoint or f"ep-{name}", network="n1", names=(name, "all"), addresses=found)


def asker(sandbox: str, name: str = "s1") -> Asker:
    return Asker(sandbox=name, netns=sandbox, networks=("n1",))


@pytest.fixture
def resolver(throwaway_netns: str, tmp_path: Path) -> Iterator[Resolver]:
    with running(tmp_path) as resolver:
        yield resolver


@pytest.fixture
def sandbox(resolver: Resolver, make_netns: Callable[[str], str]) -> str:
    """A served sandbox on a network with two containers."""
    path = make_netns("web")
    with resolver.control() as control:
        records = [record("web1", "10.0.0.2", "fd00::2"), record("web2", "10.0.0.3")]
        assert control.replace([NETWORK], records, [asker(path)]) == {}
    return path


@pytest.mark.parametrize("stream", [False, True])
def test_names_are_answered_at_port_53(sandbox: str, *, stream: bool) -> None:
    assert addresses(ask(sandbox, "web1", stream=stream)) == ["10.0.0.2"]
    assert addresses(ask(sandbox, "WEB1.My_Net2", "AAAA", stream=stream)) == ["fd00::2"]
    assert addresses(ask(sandbox, "all", stream=stream)) == ["10.0.0.2", "10.0.0.3"]
    assert addresses(ask(sandbox, "web2", "AAAA", stream=stream)) == []
    assert addresses(ask(sandbox, "2.0.0.10.in-addr.arpa", "PTR", stream=stream)) == ["web1.my_net2."]
    assert ask(sandbox, "nosuch.my_net2", stream=stream).rcode() == dns.rcode.NXDOMAIN


def test_containers_of_one_alias_take_turns(sandbox: str) -> None:
    firsts = {str(ask(sandbox, "all").answer[0][0]) for _ in range(2)}
    assert firsts == {"10.0.0.2", "10.0.0.3"}


def test_a_flood_of_different_questions_is_answered_in_order_of_nothing(sandbox: str) -> None:
    """More datagrams at once than one batch holds, known and unknown mixed: every one gets its own answer."""
    with netns.inside(sandbox), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((SERVER, 53))
        sock.settimeout(10)
        wanted = {}
        for ident in range(200):
            name = ("web1", "web2", "unknown.example")[ident % 3]
            message = dns.message.make_query(name, "A", id=ident)
            wanted[ident] = (name, dns.rcode.SERVFAIL if ident % 3 == 2 else dns.rcode.NOERROR)
            sock.send(message.to_wire())
        while wanted:
            reply = dns.message.from_wire(sock.recv(65535))
            name, code = wanted.pop(reply.id)
            assert (str(reply.question[0].name), reply.rcode()) == (f"{name}.", code)


def test_changes_show_at_once(resolver: Resolver, sandbox: str) -> None:
    assert addresses(ask(sandbox, "all")) == ["10.0.0.2", "10.0.0.3"]
    with resolver.control() as control:
        control.apply(RemoveRecord("ep-web1"), SetRecord(record("web3", "10.0.0.4")))
        assert addresses(ask(sandbox, "all")) == ["10.0.0.3", "10.0.0.4"]
        control.apply(SetNetwork(NetworkNames(id="n1", name="other_net")))
        assert addresses(ask(sandbox, "web3.other_net")) == ["10.0.0.4"]


def test_a_container_may_have_port_53_itself(sandbox: str) -> None:
    with netns.inside(sandbox), Upstream("0.0.0.0", table(mine="192.0.2.1")):
        for stream in (False, True):
            assert addresses(ask(sandbox, "web1", stream=stream)) == ["10.0.0.2"]
            assert addresses(ask(sandbox, "mine", stream=stream, server="127.0.0.1")) == ["192.0.2.1"]


def test_no_connection_is_tracked(sandbox: str, run_in: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    rules = "table ip t { chain c { type filter hook output priority 0; ct state new counter; }; }"
    assert run_in(sandbox, "nft", rules).returncode == 0

    def tracked() -> int:
        return int(run_in(sandbox, "cat", "/proc/sys/net/netfilter/nf_conntrack_count").stdout)

    for stream in (False, True):
        ask(sandbox, "web1", stream=stream)
    assert tracked() == 0
    # The control: any other server on loopback does leave an entry.
    with netns.inside(sandbox), Upstream("127.0.0.2", table(mine="192.0.2.1")):
        ask(sandbox, "mine", server="127.0.0.2")
    assert tracked() == 1


def test_the_daemon_may_die(resolver: Resolver, sandbox: str) -> None:
    daemon = subprocess.Popen([sys.executable, "-c", DAEMON, str(resolver.path)], stdout=subprocess.PIPE)
    assert daemon.stdout is not None
    assert b"landbridge-resolver" in daemon.stdout.readline()
    daemon.send_signal(signal.SIGKILL)
    daemon.communicate()
    assert addresses(ask(sandbox, "web1")) == ["10.0.0.2"]
    with resolver.control() as control:
        assert control.hello["pid"] == resolver.process.pid
        assert control.tell({"op": "stats"})["stats"]["records"] == 2


def test_a_new_daemon_replaces_the_old(resolver: Resolver, sandbox: str) -> None:
    with resolver.control() as old, resolver.control() as new:
        assert old.file.readline() == b""
        assert new.apply(RemoveRecord("ep-web1")) == {}
    assert addresses(ask(sandbox, "all")) == ["10.0.0.3"]


def test_telling_everything_again_loses_no_question(resolver: Resolver, sandbox: str) -> None:
    before = resolver.sockets(sandbox)
    assert len(before) == 2
    failures: list[object] = []
    enough = threading.Event()

    def keep_asking() -> None:
        while not enough.is_set():
            try:
                failures.extend([r for r in [addresses(ask(sandbox, "web1"))] if r != ["10.0.0.2"]])
            except Exception as error:
                failures.append(error)

    asking = threading.Thread(target=keep_asking)
    asking.start()
    with resolver.control() as control:
        for _ in range(200):
            assert control.replace([NETWORK], [record("web1", "10.0.0.2")], [asker(sandbox)]) == {}
    enough.set()
    asking.join()
    assert failures == []
    assert before <= resolver.sockets(sandbox)


def test_a_sandbox_made_anew_under_its_old_path_is_served(resolver: Resolver, sandbox: str) -> None:
    netns.remove(sandbox)
    netns.create(SandboxSpec(path=sandbox))
    with resolver.control() as control:
        assert control.apply(SetAsker(asker(sandbox))) == {}
    assert addresses(ask(sandbox, "web1")) == ["10.0.0.2"]


def test_a_removed_sandbox_costs_nothing(resolver: Resolver, sandbox: str, make_netns: Callable[[str], str]) -> None:
    with resolver.control() as control:
        second = make_netns("second")
        control.apply(SetAsker(asker(second, "s2")))
        with netns.inside(second), socket.create_connection((SERVER, 53)) as open_stream:
            dns.query.send_tcp(open_stream, dns.message.make_query("web1", "A").to_wire())
            dns.query.receive_tcp(open_stream)
            assert len(resolver.sockets(second)) == 3
            control.apply(RemoveAsker("s2"), RemoveAsker("s2"))
            assert open_stream.recv(1) == b""
            with pytest.raises((ConnectionError, dns.exception.Timeout)):
                dns.query.tcp(dns.message.make_query("web1", "A"), SERVER, timeout=5)
            assert resolver.sockets(second) == set()
    assert addresses(ask(sandbox, "web1")) == ["10.0.0.2"]


def test_one_bad_sandbox_does_not_spoil_the_others(resolver: Resolver, sandbox: str) -> None:
    with resolver.control() as control:
        ack = control.replace([NETWORK], [record("web1", "10.0.0.9")], [asker("/no/such/place", "bad"), asker(sandbox)])
        assert ack["failed"].keys() == {"bad"}
        assert "/no/such/place" in ack["error"]
        assert addresses(ask(sandbox, "web1")) == ["10.0.0.9"]
        refused = control.replace([NETWORK], [record("web1", "nonsense")], [])
        assert "nonsense" in refused["error"]
        assert addresses(ask(sandbox, "web1")) == ["10.0.0.9"]
        assert "unknown op" in control.tell({"op": "dance"})["error"]
        assert "not an object" in control.tell({"op": "record_set"})["error"]


def test_a_killed_resolver_is_followed_by_another(resolver: Resolver, sandbox: str) -> None:
    resolver.process.kill()
    resolver.process.communicate()
    assert resolver.path.exists()
    resolver.process = resolver.start()
    with resolver.control() as control:
        assert control.replace([NETWORK], [record("web1", "10.0.0.2")], [asker(sandbox)]) == {}
    for stream in (False, True):
        assert addresses(ask(sandbox, "web1", stream=stream)) == ["10.0.0.2"]


def test_another_resolver_may_have_another_port(resolver: Resolver, sandbox: str) -> None:
    resolver.process.kill()
    resolver.process.communicate()
    with netns.inside(sandbox), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((SERVER, 61053))
        resolver.process = resolver.start()
        with resolver.control() as control:
            assert control.replace([NETWORK], [record("web1", "10.0.0.2")], [asker(sandbox)]) == {}
        for stream in (False, True):
            assert addresses(ask(sandbox, "web1", stream=stream)) == ["10.0.0.2"]


def test_a_port_taken_inside_the_sandbox_is_no_obstacle(resolver: Resolver, make_netns: Callable[[str], str]) -> None:
    path = make_netns("busy")
    with netns.inside(path), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        udp.bind(("0.0.0.0", 61053))
        tcp.bind(("0.0.0.0", 61054))
        tcp.listen()
        with resolver.control() as control:
            assert control.replace([NETWORK], [record("web1", "10.0.0.2")], [asker(path)]) == {}
        for stream in (False, True):
            assert addresses(ask(path, "web1", stream=stream)) == ["10.0.0.2"]


def test_two_resolvers_do_not_share_a_socket(resolver: Resolver) -> None:
    argv = [sys.executable, "-m", "landbridge.resolver", "--socket", str(resolver.path)]
    second = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    assert second.returncode == 1
    assert "already running" in second.stderr
    assert os.stat(resolver.path).st_mode & 0o777 == 0o600
    with resolver.control():
        pass


def test_quit_ends_it(throwaway_netns: str, tmp_path: Path) -> None:
    resolver = Resolver(tmp_path)
    with resolver.control() as control:
        assert control.tell({"op": "quit"}) == {}
    _, complaints = resolver.process.communicate(timeout=10)
    assert (resolver.process.returncode, complaints) == (0, b"")


def test_garbage_is_harmless(sandbox: str) -> None:
    with netns.inside(sandbox), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        pointer_to_itself = b"\0\1\0\0\0\1" + b"\0" * 6 + b"\xc0\x0c"
        for garbage in (b"", b"x", b"\0" * 12, b"\xff" * 5000, os.urandom(300), pointer_to_itself):
            sock.sendto(garbage, (SERVER, 53))
        with socket.create_connection((SERVER, 53)) as stream:
            stream.sendall(b"\xff" * (2 + 65535) + b"\0\0")
            dns.query.send_tcp(stream, dns.message.make_query("web1", "A").to_wire())
            reply, _ = dns.query.receive_tcp(stream)
    assert addresses(reply) == ["10.0.0.2"]
    assert addresses(ask(sandbox, "web1")) == ["10.0.0.2"]


def test_idle_streams_do_not_shut_others_out(sandbox: str) -> None:
    idle = []
    with netns.inside(sandbox):
        for _ in range(200):
            idle.append(socket.create_connection((SERVER, 53)))
            idle[-1].send(b"\0")
    assert addresses(ask(sandbox, "web1", stream=True)) == ["10.0.0.2"]
    for sock in idle:
        sock.close()


def test_a_stream_carries_many_questions_and_ends_after_the_last_answer(sandbox: str) -> None:
    with netns.inside(sandbox), socket.create_connection((SERVER, 53)) as stream:
        question = dns.message.make_query("web1", "A").to_wire()
        stream.sendall((len(question).to_bytes(2, "big") + question) * 3000)
        stream.shutdown(socket.SHUT_WR)
        stream.settimeout(5)  # less than an idle stream is given
        received = b"".join(iter(lambda: stream.recv(65536), b""))
    size = 2 + int.from_bytes(received[:2], "big")
    assert len(received) == 3000 * size


def test_control_is_only_asked_by_its_own_protocol(resolver: Resolver, sandbox: str) -> None:
    with Control(resolver.path) as control:
        control.sock.sendall(b"not json\n[]\n")
        assert b"not JSON" in control.file.readline()
        assert b"not an object" in control.file.readline()
        assert control.tell({"op": "stats"})["stats"]["askers"] == 1
