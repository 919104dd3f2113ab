"""What the proxy is asked to hold: one value per published host socket, or per range of equal ones."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A host socket kept bound so that nobody else can take the port, and relayed where the kernel does not.

    `host_ip` is literal: ``0.0.0.0``, ``::`` (IPv6 only), ``127.0.0.1``… `ports` of one hold are `count`
    consecutive ones starting at `host_port`; `target_ip`:`target_port` is where the first one leads, the
    n-th leads to `target_port` + n. `relay` false means: hold only, refuse what arrives.
    `early` means: also while this host does not have `host_ip` (yet); it says how to bind, not what.
    """

    key: str
    proto: str
    host_ip: str
    host_port: int
    target_ip: str
    target_port: int
    count: int = 1
    relay: bool = True
    early: bool = field(default=False, compare=False)

    @property
    def binding(self) -> tuple[str, str, int, int]:
        """What is bound, without where it leads: two holds of one binding can pass on the sockets."""
        return (self.proto, self.host_ip, self.host_port, self.count)

    @property
    def target(self) -> tuple[str, int, bool]:
        """Where it leads, without what is bound: ``(ip, port of the first, relay)``."""
        return (self.target_ip, self.target_port, self.relay)
