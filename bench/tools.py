"""The generators of load, run between two namespaces; each call is bounded in time."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.machine import run

AGENTS = Path(__file__).parent / "agents"
PYTHON = ("/usr/bin/python3", "-IS")


def within(namespace: str, *argv: str) -> list[str]:
    """The command that runs `argv` in the namespace at that path."""
    return ["nsenter", f"--net={namespace}", *argv]


@contextmanager
def background(argv: Sequence[str], until: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has said `until` on its output; it is ended afterwards."""
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        said = ""
        assert process.stdout is not None
        while until not in said:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{' '.join(argv)[:120]}: ended: {said[-300:]}")
            said += line
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@dataclass(frozen=True, slots=True)
class Way:
    """From a client's namespace to a server's: where the server listens, and what the client has to call."""

    server: str
    client: str
    address: str
    listen: str = "0.0.0.0"
    port: int = 5201
    listen_port: int = 5201


def throughput(way: Way, seconds: int) -> float:
    """Gbit/s of one TCP stream as received (iperf3), each end on a core of its own."""
    server = within(way.server, "iperf3", "-s", "-1", "--forceflush", "-p", str(way.listen_port), "-A", "1")
    client = [
        "iperf3",
        "-J",
        "-c",
        way.address,
        "-p",
        str(way.port),
        "-t",
        str(seconds),
        "-A",
        "0",
        "--connect-timeout",
        "3000",
    ]
    with background(server, "listening"):
        text = run(within(way.client, *client), seconds + 15)
    return float(json.loads(text)["end"]["sum_received"]["bits_per_second"]) / 1e9


def round_trip(way: Way, seconds: float) -> float:
    """Median microseconds of one byte there and back over TCP."""
    script = (*PYTHON, str(AGENTS / "pingpong.py"))
    with background(within(way.server, *script, "serve", way.listen, str(way.listen_port)), "listening"):
        client = within(way.client, *script, "ask", way.address, str(way.port), str(seconds))
        return float(run(client, seconds + 15).split()[0])


def replier(way: Way) -> list[str]:
    """The command of the web server at the end of the way."""
    return within(way.server, *PYTHON, str(AGENTS / "replier.py"), way.listen, str(way.listen_port))


def connections(way: Way, seconds: int) -> float:
    """Requests a second, each on a new connection (wrk, 32 at a time); the server is already there."""
    argv = ["wrk", "-t1", "-c32", f"-d{seconds}s", "-H", "Connection: close", f"http://{way.address}:{way.port}/"]
    text = run(within(way.client, *argv), seconds + 15)
    found = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if found is None or float(found[1]) == 0:
        raise RuntimeError(f"no request was answered: {text[-200:]}")
    return float(found[1])


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run of dnsperf saw."""

    completed: int
    per_second: float
    latency: float  # microseconds, average
    lost: int


def dnsperf_words(namespace: str, server: str, names: Path, seconds: int, *flags: str) -> list[str]:
    """The command that asks `server` for the names in a file from within a namespace."""
    words = ["dnsperf", "-s", server, "-d", str(names), "-l", str(seconds), "-T", "1", "-t", "2", *flags]
    return within(namespace, *words)


def read_dnsperf(text: str) -> Asked:
    """The figures in dnsperf's report; RuntimeError when queries were answered with anything but NOERROR."""

    def figure(name: str) -> float:
        found = re.search(rf"{name}:\s+([\d.]+)", text)
        return float(found[1]) if found else 0.0

    codes = re.search(r"Response codes:\s+(.*)", text)
    if codes is None or "NOERROR" not in codes[1] or "," in codes[1]:
        raise RuntimeError(f"names were not answered: {codes[1] if codes else text[-300:]}")
    return Asked(
        int(figure("Queries completed")), figure("Queries per second"), figure(r"Average Latency \(s\)") * 1e6,
        int(figure("Queries lost")),
    )  # fmt: skip


def stream_words(namespace: str, *words: str) -> list[str]:
    """The command of a steady stream of datagrams (agents/stream.py)."""
    return within(namespace, *PYTHON, str(AGENTS / "stream.py"), *words)


def end_stream(process: subprocess.Popen[str]) -> tuple[int, int]:
    """(sent, lost) of a stream that is ended now."""
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=15)
    sent, lost = out.split()[-2:]
    return int(sent), int(lost)
