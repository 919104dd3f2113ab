"""Who gets through to whom: small questions put to real programs in real namespaces."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clients import Client
from lab import Lab, Result

Run = Callable[..., Result]

IN_TIME = 3  # seconds for what should work
IN_VAIN = 1  # seconds for what should not: a packet that is dropped is answered by nobody


def page(run: Run, address: str, port: int = 80, seconds: int = IN_TIME) -> bool:
    """Whether `run` (the host, the outside, `inside` a container) is served the page of the image httpd."""
    shown = f"[{address}]" if ":" in address else address
    found = run("timeout", str(seconds), "busybox", "wget", "-qO-", f"http://{shown}:{port}/")
    return "It works!" in found.text


def no_page(run: Run, address: str, port: int = 80) -> bool:
    return not page(run, address, port, IN_VAIN)


def pings(run: Run, address: str, seconds: int = IN_TIME) -> bool:
    return run("busybox", "ping", "-c", "1", "-W", str(seconds), address).code == 0


def no_ping(run: Run, address: str) -> bool:
    return not pings(run, address, IN_VAIN)


def inside(client: Client, container: str) -> Run:
    """Run commands in a container."""
    return lambda *argv: client("exec", container, *argv)


def address6(client: Client, container: str, network: str) -> str:
    """The container's IPv6 address on a network."""
    return client.ok("inspect", "-f", f'{{{{(index .NetworkSettings.Networks "{network}").GlobalIPv6Address}}}}', container)


def seen_by(client: Client, container: str, address: str, port: str) -> str:
    """Who the container is to a server of `talk.serving_outside`."""
    return client("exec", container, "timeout", str(IN_TIME), "busybox", "nc", address, port).out.strip()


@contextmanager
def routed(lab: Lab, subnet: str, via: str, *, outside: bool = True) -> Iterator[None]:
    """A route of the machine outside to what only the host should know."""
    family = ("-6",) if ":" in subnet else ()
    run = lab.outside if outside else lab.host
    assert run("ip", *family, "route", "replace", subnet, "via", via).code == 0
    try:
        yield
    finally:
        run("ip", *family, "route", "del", subnet)
