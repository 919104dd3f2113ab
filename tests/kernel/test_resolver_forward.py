"""Forwarding by the resolver: to whom, from where, how often, and what comes back."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from resolver_kit import SERVER, Resolver, Upstream, addresses, ask, rcode, running, table

from landbridge.model.names import Asker, NameRecord, NetworkNames
from landbridge.system import netns

pytestmark = pytest.mark.kernel

HOST_SERVER = "127.0.0.53"  # on the host's loopback, where no container could reach it itself
WORLD = table(a_example="192.0.2.1", b_example="192.0.2.2")


@pytest.fixture
def resolver(throwaway_netns: str, tmp_path: Path) -> Iterator[Resolver]:
    with running(tmp_path) as resolver:
        yield resolver


@pytest.fixture
def serve(resolver: Resolver, make_netns: Callable[[str], str]) -> Callable[..., str]:
    """`serve("name", servers=…, external=…)` -> a sandbox on a network with one container, web1."""
    askers: list[Asker] = []

    def make(name: str = "web", servers: tuple[str, ...] = (), *, external: bool = True) -> str:
        path = make_netns(name)
        askers.append(Asker(sandbox=name, netns=path, networks=("n1",), servers=servers, external=external))
        record = NameRecord(endpoint="e1", network="n1", names=("web1",), addresses=("10.0.0.2",))
        with resolver.control() as control:
            assert control.replace([NetworkNames(id="n1", name="my_net2")], [record], askers) == {}
        return path

    return make


@pytest.mark.parametrize("stream", [False, True])
def test_the_clients_own_message_goes_to_the_hosts_server(
    resolver: Resolver, serve: Callable[..., str], *, stream: bool
) -> None:
    resolver.host_servers(HOST_SERVER)
    cookie = dns.edns.GenericOption(10, b"12345678")
    with Upstream(HOST_SERVER, WORLD) as upstream:
        reply = ask(serve(), "A.eXample", stream=stream, use_edns=0, want_dnssec=True, options=[cookie])
    assert addresses(reply) == ["192.0.2.1"]
    ((transport, message),) = upstream.seen
    assert transport == ("tcp" if stream else "udp")
    assert str(message.question[0].name) == "A.eXample."
    assert message.ednsflags & dns.flags.DO
    assert [option.to_wire() for option in message.options] == [b"12345678"]


def test_local_names_and_names_of_the_network_are_not_forwarded(resolver: Resolver, serve: Callable[..., str]) -> None:
    resolver.host_servers(HOST_SERVER)
    with Upstream(HOST_SERVER, WORLD) as upstream:
        sandbox = serve()
        for name, qtype in (("web1", "AAAA"), ("web1", "TXT"), ("web1", "HTTPS"), ("gone.my_net2", "A")):
            ask(sandbox, name, qtype)
        assert upstream.seen == []
        assert ask(sandbox, "gone").rcode() == dns.rcode.NXDOMAIN
    assert upstream.questions() == ["gone."]


def test_servers_of_the_container_are_asked_from_inside(resolver: Resolver, serve: Callable[..., str]) -> None:
    resolver.host_servers(HOST_SERVER)
    sandbox = serve(servers=(HOST_SERVER,))
    with Upstream(HOST_SERVER, table(a_example="192.0.2.66")) as outside, netns.inside(sandbox):
        with Upstream(HOST_SERVER, WORLD):
            assert addresses(ask(sandbox, "a.example")) == ["192.0.2.1"]
            assert addresses(ask(sandbox, "b.example", stream=True)) == ["192.0.2.2"]
        assert outside.seen == []


def test_an_internal_sandbox_asks_no_server_of_the_host(resolver: Resolver, serve: Callable[..., str]) -> None:
    resolver.host_servers(HOST_SERVER)
    with Upstream(HOST_SERVER, WORLD) as upstream:
        sandbox = serve(external=False)
        assert addresses(ask(sandbox, "web1")) == ["10.0.0.2"]
        assert ask(sandbox, "a.example").rcode() == dns.rcode.SERVFAIL
        assert ask(sandbox, "a.example", stream=True).rcode() == dns.rcode.SERVFAIL
        own = serve("own", servers=("127.0.0.9",), external=False)
        with netns.inside(own), Upstream("127.0.0.9", WORLD):
            assert addresses(ask(own, "a.example")) == ["192.0.2.1"]
    assert upstream.seen == []


def test_our_own_address_is_no_server(resolver: Resolver, serve: Callable[..., str]) -> None:
    resolver.host_servers(SERVER)
    assert ask(serve(), "a.example").rcode() == dns.rcode.SERVFAIL
    resolver.host_servers(HOST_SERVER)
    assert ask(serve("own", servers=(SERVER,)), "a.example").rcode() == dns.rcode.SERVFAIL


@pytest.mark.parametrize("code", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
def test_a_server_that_will_not_is_followed_by_the_next(
    resolver: Resolver, serve: Callable[..., str], code: dns.rcode.Rcode
) -> None:
    resolver.host_servers("127.0.1.1", "127.0.1.2", "127.0.1.3")
    sandbox = serve()
    # 127.0.1.2 does not listen at all: the kernel says so.
    with Upstream("127.0.1.1", rcode(code)), Upstream("127.0.1.3", WORLD):
        for stream in (False, True):
            assert addresses(ask(sandbox, "a.example", stream=stream)) == ["192.0.2.1"]


def test_when_all_fail_it_says_so(resolver: Resolver, serve: Callable[..., str]) -> None:
    resolver.host_servers("127.0.1.1", "127.0.1.2")
    sandbox = serve()
    with Upstream("127.0.1.1", rcode(dns.rcode.REFUSED)):
        reply = ask(sandbox, "a.example", use_edns=0)
        assert (reply.rcode(), reply.edns) == (dns.rcode.SERVFAIL, 0)
        assert ask(sandbox, "a.example", stream=True).rcode() == dns.rcode.SERVFAIL


def test_failing_at_once_is_no_different(resolver: Resolver, serve: Callable[..., str]) -> None:
    """Where there is no route the failure comes before the question was even put aside, for thousands in a row."""
    resolver.host_servers("2001:db8::9")
    sandbox = serve()
    assert ask(sandbox, "a.example").rcode() == dns.rcode.SERVFAIL
    with netns.inside(sandbox), socket.create_connection((SERVER, 53)) as stream:
        question = dns.message.make_query("a.example", "A").to_wire()
        stream.sendall((len(question).to_bytes(2, "big") + question) * 3000)
        stream.shutdown(socket.SHUT_WR)
        stream.settimeout(5)
        received = b"".join(iter(lambda: stream.recv(65536), b""))
    assert len(received) == 3000 * (2 + len(question))


def test_nxdomain_ends_the_search(resolver: Resolver, serve: Callable[..., str]) -> None:
    resolver.host_servers("127.0.1.1", "127.0.1.2")
    with Upstream("127.0.1.1", table()), Upstream("127.0.1.2", WORLD) as second:
        assert ask(serve(), "a.example").rcode() == dns.rcode.NXDOMAIN
    assert second.seen == []


def test_a_silent_server_gets_company_and_is_asked_last_then(resolver: Resolver, serve: Callable[..., str]) -> None:
    resolver.host_servers("127.0.1.1", "127.0.1.2")
    sandbox = serve()
    with Upstream("127.0.1.1", lambda _: None) as silent, Upstream("127.0.1.2", WORLD):
        assert addresses(ask(sandbox, "a.example")) == ["192.0.2.1"]
        # What the other server does not know has to wait for the silent one, which then is known to be silent.
        assert ask(sandbox, "no.example").rcode() == dns.rcode.NXDOMAIN
        assert addresses(ask(sandbox, "b.example")) == ["192.0.2.2"]
    assert set(silent.questions()) == {"a.example.", "no.example."}


def test_an_inner_server_that_is_slow_knows_better_than_an_outer_one(
    resolver: Resolver, serve: Callable[..., str]
) -> None:
    resolver.host_servers("127.0.1.1", "127.0.1.2")
    sandbox = serve()
    asked_outside = threading.Event()

    def inner(message: dns.message.Message) -> dns.message.Message | None:
        asked_outside.wait(10)
        time.sleep(0.1)  # let the outer server's reply overtake ours
        return WORLD(message)

    def outer(message: dns.message.Message) -> dns.message.Message | None:
        asked_outside.set()
        return table()(message)

    with Upstream("127.0.1.2", outer), Upstream("127.0.1.1", inner):
        assert addresses(ask(sandbox, "a.example")) == ["192.0.2.1"]


def test_a_lost_datagram_is_sent_again(resolver: Resolver, serve: Callable[..., str]) -> None:
    resolver.host_servers(HOST_SERVER)
    losses = iter([None])

    def lossy(message: dns.message.Message) -> dns.message.Message | None:
        return next(losses, None) if len(upstream.seen) == 1 else WORLD(message)

    with Upstream(HOST_SERVER, lossy) as upstream:
        assert addresses(ask(serve(), "a.example")) == ["192.0.2.1"]
    first, second = upstream.seen
    assert first[1].id == second[1].id


def test_forged_replies_are_not_taken(resolver: Resolver, serve: Callable[..., str]) -> None:
    resolver.host_servers(HOST_SERVER)
    sandbox = serve()
    right = WORLD

    def with_forgeries(sock: socket.socket) -> None:
        data, client = sock.recvfrom(65535)
        question = dns.message.from_wire(data)
        for spoil in ("id", "name", "source"):
            forged = dns.message.make_response(question)
            forged.answer.append(dns.rrset.from_text("a.example.", 60, "IN", "A", "192.0.2.66"))
            if spoil == "id":
                forged.id ^= 1
            if spoil == "name":
                forged.question = [dns.rrset.from_text("evil.example.", 0, "IN", "A")]
            if spoil == "source":
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
                    elsewhere.bind(("127.0.0.54", 53))
                    elsewhere.sendto(forged.to_wire(), client)
            else:
                sock.sendto(forged.to_wire(), client)
        reply = right(question)
        assert reply is not None
        sock.sendto(reply.to_wire(), client)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HOST_SERVER, 53))
        thread = threading.Thread(target=with_forgeries, args=(sock,))
        thread.start()
        assert addresses(ask(sandbox, "a.example")) == ["192.0.2.1"]
        thread.join()


def test_large_answers(resolver: Resolver, serve: Callable[..., str]) -> None:
    """TC is passed on over UDP, everything over TCP, and MX over TCP too."""
    resolver.host_servers(HOST_SERVER)
    many = [f"10.9.{i // 250}.{i % 250}" for i in range(300)]
    sandbox = serve()
    with Upstream(HOST_SERVER, table(many_example=" ".join(many))):
        short = ask(sandbox, "many.example")
        assert short.flags & dns.flags.TC
        assert addresses(ask(sandbox, "many.example", use_edns=0, payload=8192)) == sorted(many)
        assert addresses(ask(sandbox, "many.example", stream=True)) == sorted(many)
        assert ask(sandbox, "mx.example", "MX", stream=True).rcode() == dns.rcode.NXDOMAIN


def test_a_server_without_tcp_still_serves_tcp_clients(resolver: Resolver, serve: Callable[..., str]) -> None:
    resolver.host_servers(HOST_SERVER)
    with Upstream(HOST_SERVER, WORLD, stream=False):
        assert addresses(ask(serve(), "a.example", stream=True)) == ["192.0.2.1"]


def test_an_ipv6_server(resolver: Resolver, serve: Callable[..., str]) -> None:
    resolver.host_servers("::1")
    with Upstream("::1", WORLD):
        assert addresses(ask(serve(), "a.example")) == ["192.0.2.1"]


def test_replies_are_kept_for_their_time_and_shared(resolver: Resolver, serve: Callable[..., str]) -> None:
    resolver.host_servers(HOST_SERVER)
    first, second = serve("first"), serve("second")
    with Upstream(HOST_SERVER, WORLD) as upstream:
        for sandbox in (first, second, first):
            reply = ask(sandbox, "a.example")
            assert addresses(reply) == ["192.0.2.1"]
            assert reply.answer[0].ttl <= 60
        assert len(upstream.seen) == 1
        for _ in range(2):
            ask(first, "nxdomain.example")  # no SOA: not kept
        assert len(upstream.seen) == 3
        for _ in range(2):
            assert addresses(ask(first, "a.example", stream=True)) == ["192.0.2.1"]
        assert len(upstream.seen) == 4


def test_equal_questions_in_flight_are_one(resolver: Resolver, serve: Callable[..., str]) -> None:
    resolver.host_servers(HOST_SERVER)
    sandbox = serve()
    go_on = threading.Event()

    def slow(message: dns.message.Message) -> dns.message.Message | None:
        go_on.wait(10)
        return WORLD(message)

    with Upstream(HOST_SERVER, slow) as upstream, netns.inside(sandbox):
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(20)]
        for ident, sock in enumerate(sockets):
            sock.settimeout(10)
            sock.sendto(dns.message.make_query("a.example", "A", id=ident).to_wire(), (SERVER, 53))
        assert addresses(ask(sandbox, "web1")) == ["10.0.0.2"]  # answered meanwhile, and after all of the above
        go_on.set()
        for ident, sock in enumerate(sockets):
            reply = dns.message.from_wire(sock.recv(65535))
            assert reply.id == ident
            assert addresses(reply) == ["192.0.2.1"]
            sock.close()
    assert len({message.id for _, message in upstream.seen}) == 1


def test_a_flood_of_one_sandbox_is_at_its_own_cost(
    throwaway_netns: str, tmp_path: Path, make_netns: Callable[[str], str]
) -> None:
    """With 512 descriptors 64 questions may be in flight: of 200 and one, the first 137 of the 200 give way."""

    def second_time(message: dns.message.Message) -> dns.message.Message | None:
        name = str(message.question[0].name)
        return WORLD(message) if name == "b.example." and upstream.questions().count(name) == 2 else None

    paths = {name: make_netns(name) for name in ("quiet", "loud")}
    askers = [Asker(sandbox=name, netns=path, networks=("n1",)) for name, path in paths.items()]
    with running(tmp_path, "prlimit", "--nofile=512") as resolver, Upstream(HOST_SERVER, second_time) as upstream:
        resolver.host_servers(HOST_SERVER)
        with resolver.control() as control:
            assert control.replace([], [], askers) == {}
        with netns.inside(paths["quiet"]):
            quiet = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with netns.inside(paths["loud"]):
            loud = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with quiet, loud:
            quiet.settimeout(10)
            loud.settimeout(3)  # less than the 4 s after which all would be given up anyway
            quiet.sendto(dns.message.make_query("b.example", "A").to_wire(), (SERVER, 53))
            while not upstream.seen:
                pass
            for i in range(200):
                loud.sendto(dns.message.make_query(f"a{i}.example", "A", id=i).to_wire(), (SERVER, 53))
            given_up = [dns.message.from_wire(loud.recv(65535)) for _ in range(137)]
            assert {reply.id for reply in given_up} == set(range(137))
            assert {reply.rcode() for reply in given_up} == {dns.rcode.SERVFAIL}
            assert addresses(dns.message.from_wire(quiet.recv(65535))) == ["192.0.2.2"]


def test_a_change_of_the_hosts_file_is_followed(resolver: Resolver, serve: Callable[..., str]) -> None:
    resolver.host_servers("127.0.1.1")
    sandbox = serve()
    with Upstream("127.0.1.1", table(a_example="192.0.2.1")), Upstream("127.0.1.2", table(a_example="192.0.2.2")):
        assert addresses(ask(sandbox, "a.example")) == ["192.0.2.1"]
        resolver.host_servers("127.0.1.2")
        while addresses(ask(sandbox, "a.example")) != ["192.0.2.2"]:
            pass  # the file is looked at once a second; the test's own time limit ends a wait for nothing


def test_a_sandbox_may_go_while_it_waits(resolver: Resolver, serve: Callable[..., str]) -> None:
    sandbox = serve(servers=("127.0.0.9",))
    with netns.inside(sandbox), Upstream("127.0.0.9", lambda _: None) as upstream, resolver.control() as control:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(dns.message.make_query("a.example", "A").to_wire(), (SERVER, 53))
            while not upstream.seen:
                pass
        assert control.tell({"op": "stats"})["stats"]["flights"] == 1
        assert len(resolver.sockets(sandbox)) == 3
        control.replace([], [], [])
        stats = control.tell({"op": "stats"})["stats"]
        assert (stats["flights"], stats["askers"]) == (0, 0)
        assert resolver.sockets(sandbox) == set()
