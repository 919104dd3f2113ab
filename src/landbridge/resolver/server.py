"""The resolver's state: the zone, a server per sandbox, the forwarder, and how changes reach them.

No protocol and no parsing here. A change of the zone and the closing or opening of sockets it implies happen in
one callback of the loop, so no client ever sees half of it.
"""

import os
import socket
import threading
from collections.abc import Callable, Iterable

from landbridge.dns.resolvconf import upstreams
from landbridge.dns.zone import Zone
from landbridge.model.names import (
    Asker,
    Change,
    NameRecord,
    NetworkNames,
    RemoveAsker,
    SetAsker,
    SetNetwork,
    SetRecord,
)
from landbridge.resolver.answer import Local, decide, failure, once
from landbridge.resolver.forward import Forwarder, Upstreams
from landbridge.resolver.hostconf import HostServers
from landbridge.resolver.loop import Loop
from landbridge.resolver.mmsg import Batch
from landbridge.resolver.netns import Namespaces
from landbridge.resolver.sandbox import Budget, Sandbox, identity, open_sockets

HOT_BYTES = 16 << 20  # all encoded local replies together; more would take longer to drop than one wants to wait


class Server:
    """Serves every sandbox it is told about."""

    def __init__(self, loop: Loop, host: HostServers, flights: int) -> None:
        """`flights` limits the questions being forwarded at one time; each takes a descriptor or three."""
        self._loop = loop
        self._host = host
        self._zone = Zone()
        self._sandboxes: dict[str, Sandbox] = {}
        self._namespaces = Namespaces()
        self._forwarder = Forwarder(loop, self._namespaces, flights)
        self._batch = Batch()
        self._budget = Budget(HOT_BYTES)
        self._lingering: list[socket.socket] = []

    def apply(self, changes: Iterable[Change]) -> dict[str, str]:
        """Make the changes in order; what went wrong, by sandbox id.

        A sandbox that cannot be served is as if it had been removed, the other changes are made.
        Raises: Invalid for an address that is none; the changes before it stay.
        """
        failed = {}
        try:
            for change in changes:
                if isinstance(change, SetAsker):
                    reason = self._open(change.asker)
                    if reason:
                        failed[change.asker.sandbox] = reason
                        change = RemoveAsker(change.asker.sandbox)
                elif isinstance(change, RemoveAsker):
                    self._close(change.sandbox)
                self._zone.apply(change)
        finally:
            self._settle()
        return failed

    def replace(
        self, networks: Iterable[NetworkNames], records: Iterable[NameRecord], askers: Iterable[Asker]
    ) -> dict[str, str]:
        """Make this the whole table. Sandboxes in the old and the new one keep their sockets; failures as in `apply`.

        Raises: Invalid for an address that is none; nothing has changed then.
        """
        zone = Zone()
        for network in networks:
            zone.apply(SetNetwork(network))
        for record in records:
            zone.apply(SetRecord(record))
        wanted = {asker.sandbox: asker for asker in askers}
        for sandbox in self._sandboxes.keys() - wanted.keys():
            self._close(sandbox)
        failed = {}
        for asker in wanted.values():
            reason = self._open(asker)
            if reason:
                failed[asker.sandbox] = reason
            else:
                zone.apply(SetAsker(asker))
        self._zone = zone
        self._settle()
        return failed

    def close(self) -> None:
        """Close every sandbox's sockets."""
        for sandbox in list(self._sandboxes):
            self._close(sandbox)

    def stats(self) -> dict[str, object]:
        """Sizes and counters, for people."""
        return {
            **self._zone.sizes(),
            "hot_bytes": self._budget.used,
            "kept_replies": len(self._forwarder.replies),
            "flights": len(self._forwarder),
            "forwarded": self._forwarder.sent,
            "cache_hits": self._forwarder.hits,
            "host_servers": list(self._host.current()),
            "queries": {name: sandbox.queries for name, sandbox in self._sandboxes.items()},
        }

    def _open(self, asker: Asker) -> str:
        """Have a server in the asker's namespace; '' or why there is none."""
        sandbox = self._sandboxes.get(asker.sandbox)
        try:
            namespace = os.open(asker.netns, os.O_RDONLY | os.O_CLOEXEC)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            self._close(asker.sandbox)
            return f"{asker.netns}: {error}"
        if sandbox is not None and sandbox.identity == identity(namespace):
            os.close(namespace)
            sandbox.asker = asker
            return ""
        # The same path, another namespace: the sandbox was made anew.
        self._close(asker.sandbox)
        try:
            sockets = self._namespaces.call(namespace, open_sockets)
        except OSError as error:
            os.close(namespace)
            return f"{asker.netns}: {error}"
        self._lingering.append(sockets.lingering)
        self._sandboxes[asker.sandbox] = Sandbox(
            asker, namespace, sockets, loop=self._loop, batch=self._batch, budget=self._budget, decide=self._decide
        )
        return ""

    def _close(self, name: str) -> None:
        sandbox = self._sandboxes.pop(name, None)
        if sandbox is not None:
            self._forwarder.cancel(sandbox.namespace)
            sandbox.close()

    def _settle(self) -> None:
        """After changes: nothing encoded before is true any more; what waits for the kernel waits elsewhere."""
        self._budget.reset()
        if self._lingering:
            threading.Thread(target=_close_all, args=(self._lingering,), daemon=True).start()
            self._lingering = []

    def _decide(
        self, sandbox: Sandbox, message: bytes, limit: int | None, deliver: Callable[[bytes], None]
    ) -> Local | None:
        outcome = decide(self._zone, sandbox.asker.sandbox, message, limit)
        if outcome is None or isinstance(outcome, Local):
            return outcome
        above = self._upstreams(sandbox)
        if not above.servers:
            return once(failure(outcome))
        reply = self._forwarder.ask(
            sandbox.asker.sandbox, above, outcome, message, stream=limit is not None, deliver=deliver
        )
        return None if reply is None else once(reply)

    def _upstreams(self, sandbox: Sandbox) -> Upstreams:
        """Whom to ask for this sandbox: its own servers from inside, else the host's from outside.

        Only-internal sandboxes have no business outside, but their own server may stand on their network.
        """
        asker = sandbox.asker
        if asker.servers:
            scope = f"sandbox {sandbox.identity}"
            return Upstreams(scope, upstreams(asker.servers), sandbox.namespace)
        return Upstreams("host", self._host.current() if asker.external else ())


def _close_all(sockets: Iterable[socket.socket]) -> None:
    for sock in sockets:
        sock.close()
