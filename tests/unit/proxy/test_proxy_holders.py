"""Finding who has a port, in a made-up /proc."""

import os
import socket
from pathlib import Path

import pytest

from landbridge.proxy.holders import Holders, overlaps, read_address

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def line(address: str, port: int, state: str, inode: int) -> str:
    return (
        f"   0: {address}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000"
        f"     0        0 {inode} 1 0000000000000000 100 0 0 10 0\n"
    )


ANY, LOOPBACK, ANY6 = "00000000", "0100007F", "0" * 32
LISTEN, ESTABLISHED, TIME_WAIT = "0A", "01", "06"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    net = tmp_path / "self" / "net"
    net.mkdir(parents=True)
    (net / "tcp").write_text(
        HEADER
        + line(LOOPBACK, 8080, TIME_WAIT, 0)
        + line(LOOPBACK, 8080, ESTABLISHED, 10)
        + line(LOOPBACK, 8080, LISTEN, 11)
        + line("0200007F", 8080, LISTEN, 12)
        + line(LOOPBACK, 40000, ESTABLISHED, 13)
        + line(ANY, 22, LISTEN, 99)
    )
    (net / "tcp6").write_text(HEADER + line(ANY6, 9090, LISTEN, 14))
    (net / "udp").write_text(HEADER + line(ANY, 8080, "07", 15))
    processes = ((100, "client", [10]), (200, "nginx", [11, 13]), (300, "caddy", [12, 14]), (400, "d", [15]))
    for pid, name, inodes in processes:
        directory = tmp_path / str(pid) / "fd"
        directory.mkdir(parents=True)
        (tmp_path / str(pid) / "comm").write_text(name + "\n")
        (directory / "0").symlink_to("/dev/null")
        for number, inode in enumerate(inodes):
            (directory / str(number + 3)).symlink_to(f"socket:[{inode}]")
    (tmp_path / "500").mkdir()  # ended meanwhile
    return tmp_path


@pytest.mark.parametrize(
    ("proto", "host_ip", "port", "holder"),
    [
        ("tcp", "127.0.0.1", 8080, "pid 200 (nginx)"),
        ("tcp", "127.0.0.2", 8080, "pid 300 (caddy)"),
        ("tcp", "127.0.0.1", 40000, "pid 200 (nginx)"),
        ("tcp", "0.0.0.0", 9090, "pid 300 (caddy)"),
        ("tcp", "::", 9090, "pid 300 (caddy)"),
        ("udp", "127.0.0.1", 8080, "pid 400 (d)"),
        ("tcp", "127.0.0.1", 22, ""),
        ("tcp", "127.0.0.1", 1, ""),
        ("sctp", "127.0.0.1", 8080, ""),
    ],
)
def test_the_holder_is_named(proc: Path, proto: str, host_ip: str, port: int, holder: str) -> None:
    assert Holders(proc).find(proto, host_ip, port) == holder


def test_the_real_proc_knows_this_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert Holders().find("tcp", "127.0.0.1", port).startswith(f"pid {os.getpid()} (")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0100007F", "127.0.0.1"),
        ("00000000000000000000000001000000", "::1"),
        ("0000000000000000FFFF00000100007F", "::ffff:127.0.0.1"),
    ],
)
def test_addresses_as_the_kernel_writes_them(text: str, address: str) -> None:
    assert read_address(text) == address


def test_overlap() -> None:
    assert overlaps("0.0.0.0", "127.0.0.1")
    assert overlaps("127.0.0.1", "0.0.0.0")
    assert overlaps("::ffff:127.0.0.1", "127.0.0.1")
    assert overlaps("::", "127.0.0.1")
    assert not overlaps("127.0.0.2", "127.0.0.1")
