"""Ten thousand published ports: cheap, complete, kept over restarts, refused with the one that is taken."""

import re
from collections.abc import Iterator

import pytest
from clients import Client
from lab import HOST4, HOST6, OUTSIDE4, Lab
from talk import ask, serving

FIRST, MIDDLE, LAST = 20000, 25000, 29999
RANGE = f"{FIRST}-{LAST}:{FIRST}-{LAST}"


@pytest.fixture
def lab_of_ten_thousand(own_lab: Lab) -> Iterator[Client]:
    """A container with a range of TCP and one of UDP ports."""
    ours = Client(own_lab, "docker")
    ours.ok("run", "-d", "-p", RANGE, "-p", f"{RANGE}/udp", "--name=many", "busybox", "sleep", "600")
    yield ours


def pid(client: Client, name: str) -> str:
    return client.ok("inspect", "-f", "{{.State.Pid}}", name)


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_first_middle_and_last_answer_from_everywhere_also_after_a_restart(
    lab_of_ten_thousand: Client, proto: str
) -> None:
    client, lab = lab_of_ten_thousand, lab_of_ten_thousand.lab
    doors = [f"{proto}:{port}" for port in (FIRST, MIDDLE, LAST)]
    with serving(lab, pid(client, "many"), *doors):
        for attempt in ("first daemon", "second daemon"):
            for door in doors:
                heard = ask(lab, door, HOST4)
                assert heard is not None and heard.seen == OUTSIDE4 and heard.source == HOST4, (attempt, door)
                for address in ("127.0.0.1", HOST4, "::1", HOST6):
                    local = ask(lab, door, address, outside=False)
                    assert local is not None and local.source == address, (attempt, door, address)
                six = ask(lab, door, HOST6)
                assert six is not None and six.source == HOST6, (attempt, door)
            if attempt == "first daemon":
                lab.stop_daemon()
                lab.start_daemon()
    assert ask(lab, f"{proto}:{FIRST - 1}", HOST4) is None


def test_it_adds_no_process_and_hardly_a_rule(own_lab: Lab) -> None:
    ours = Client(own_lab, "landbridge")
    ours.ok("run", "-d", "--name=warm", "-p", "80:80", "busybox", "sleep", "600")

    def rules() -> int:
        return len(own_lab.host("nft", "list", "ruleset").out.splitlines())

    def proxies() -> list[str]:
        found = own_lab.host("busybox", "ps", "-o", "args").out.splitlines()
        return [line for line in found if str(own_lab.exec_root) in line and "conmon" not in line]

    before = rules(), len(proxies())
    ours.ok("run", "-d", "-p", RANGE, "-p", f"{RANGE}/udp", "--name=many", "busybox", "sleep", "600")
    assert rules() - before[0] < 10
    assert len(proxies()) == before[1]
    ours.ok("rm", "-f", "many")
    assert rules() == before[0]


def test_every_port_is_listed(client: Client) -> None:
    client.ok("run", "-d", "-p", "9000-9099:9000-9099", "-p", "9200-9202:80-82/udp", "--name=many", "busybox", "sleep", "600")
    lines = client.ok("port", "many").splitlines()
    assert len(lines) == 2 * 103
    assert "9050/tcp -> 0.0.0.0:9050" in lines and "9050/tcp -> [::]:9050" in lines
    assert "81/udp -> 0.0.0.0:9201" in lines
    assert client.ok("port", "many", "9099/tcp").splitlines() == ["0.0.0.0:9099", "[::]:9099"]
    shown = client.ok("ps", "--format", "{{.Ports}}")
    assert "0.0.0.0:9000-9099->9000-9099/tcp" in shown and "[::]:9000-9099->9000-9099/tcp" in shown
    assert "0.0.0.0:9201->81/udp" in shown
    found = client.ok("inspect", "-f", '{{len .NetworkSettings.Ports}} {{index .NetworkSettings.Ports "9042/tcp"}}', "many")
    assert found == "103 [{0.0.0.0 9042} {:: 9042}]" or re.fullmatch(r"103 \[map\[.*9042.*\]", found)


def test_a_port_taken_in_the_middle_is_named_with_its_holder_and_nothing_is_left(client: Client, lab: Lab) -> None:
    client.ok("run", "-d", "-p", f"{MIDDLE}:80", "--name=web", "httpd")
    said = client.fails("run", "-d", "-p", RANGE, "--name=many", "busybox", "sleep", "600", code=125)
    assert f"Bind for 0.0.0.0:{MIDDLE} failed: port is already allocated" in said and "web" in said
    client.ok("rm", "-f", "web", "many")
    listener = lab.background("busybox", "nc", "-l", "-p", str(MIDDLE + 1))
    try:
        said = client.fails("run", "-d", "-p", RANGE, "--name=many", "busybox", "sleep", "600", code=125)
        assert re.search(rf"{MIDDLE + 1}/tcp: address already in use.*(busybox|nc)", said), said
        assert str(MIDDLE) not in lab.host("nft", "list", "ruleset").out
        assert not re.search(r":2\d{4}\b", lab.host("ss", "-Hltn").out.replace(f":{MIDDLE + 1}", ""))
    finally:
        listener.kill()
        listener.communicate()
    client.ok("start", "many")


def test_stopped_and_started_again_at_once(client: Client, lab: Lab) -> None:
    client.ok("run", "-d", "-p", RANGE, "--name=many", "busybox", "sleep", "600")
    for _ in range(2):
        with serving(lab, pid(client, "many"), f"tcp:{LAST}"):
            heard = ask(lab, f"tcp:{LAST}", HOST4)
            assert heard is not None
        client.ok("restart", "-t", "0", "many")
        client.ok("stop", "-t", "0", "many")
        assert not re.search(r":2\d{4}\b", lab.host("ss", "-Hltn").out)
        client.ok("start", "many")
