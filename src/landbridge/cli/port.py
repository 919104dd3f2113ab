"""`port`: which host addresses lead to a container's ports."""

from __future__ import annotations

from landbridge.cli.humanize import natural_key
from landbridge.cli.lifecycle import container_path
from landbridge.cli.outcome import CommandError
from landbridge.cli.portlist import join_host
from landbridge.cli.quantities import unsigned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session


def show_ports(session: Session, flags: Parsed) -> None:
    """All mappings (`80/tcp -> 0.0.0.0:32768`), or the addresses of one port."""
    name = flags.args[0]
    ports = (session.client.get(container_path(name, "/json")).get("NetworkSettings") or {}).get("Ports") or {}
    if len(flags.args) == 2:
        wanted = flags.args[1]
        number, _, protocol = wanted.partition("/")
        try:
            unsigned(number, 16)
        except ValueError as error:
            raise CommandError(f"Error: invalid port ({number}): {error}") from None
        bindings = ports.get(f"{number}/{protocol or 'tcp'}")
        if bindings is None:
            raise CommandError(f"Error: No public port '{wanted}' published for {name}")
        lines = [join_host(binding.get("HostIp", ""), binding.get("HostPort", "")) for binding in bindings]
        for line in sorted(lines, key=natural_key):
            session.out(line)
        return
    lines = [
        f"{port} -> {join_host(binding.get('HostIp', ''), binding.get('HostPort', ''))}"
        for port, bindings in ports.items()
        for binding in bindings or []
    ]
    for line in sorted(lines, key=natural_key):
        session.out(line)


COMMANDS = {"container port": ((), show_ports)}
