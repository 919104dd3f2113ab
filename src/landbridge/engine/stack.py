"""A container's network stack as a whole: sandbox, published ports, names and files, brought up and down together.

The order is the design's: claims, links, host ports, names; the reverse on the way down. Everything here is
called with the container's lock held (and its owner's, when it joins one).
"""

from collections import Counter
from dataclasses import replace

from landbridge.engine.apply import Undo, finished
from landbridge.engine.attachments import Attachments
from landbridge.engine.events import Events
from landbridge.engine.presence import Presence
from landbridge.engine.publish import Publish
from landbridge.engine.state import State
from landbridge.errors import Conflict
from landbridge.model.config import EndpointConfig
from landbridge.model.container import Container
from landbridge.model.names import RemoveRecord
from landbridge.model.network import Network, Sandbox
from landbridge.network import gateways


class Stack:
    """Puts `attachments`, `publish` and `presence` in order."""

    def __init__(
        self, state: State, attachments: Attachments, publish: Publish, presence: Presence, events: Events
    ) -> None:
        self.state = state
        self.attachments = attachments
        self.publish = publish
        self.presence = presence
        self.events = events
        # Owners being restarted on purpose, by how many at once: their sandbox stays whoever leaves it meanwhile.
        self.kept: Counter[str] = Counter()

    def owner(self, container: Container) -> Container:
        """Whose stack it is. Raises: NotFound, Conflict."""
        return self.attachments.owner(container)

    async def up(self, container: Container, undo: Undo) -> tuple[Container, Sandbox | None]:
        """The owner and the sandbox a container is about to run in; None in host mode.

        Raises: NotFound (network, joined container), Invalid, Forbidden (address), Conflict (port).
        """
        owner = self.attachments.owner(container)
        standing = self.state.sandbox(owner.id)
        sandbox = await self.attachments.up(owner, undo)
        if sandbox is None:
            return owner, None
        if standing is None:
            await self.presence.open(owner, sandbox, undo)
        elif owner.id == container.id:
            await self.attachments.right(owner, sandbox)
        if owner.id == container.id:  # of an owner that is joined before it runs, ports and names stay unknown
            if not sandbox.published:
                sandbox = await self.publish.publish(container, sandbox, undo)
            await self.presence.announce(owner, undo)
            self._told_connected(owner, undo)
        return owner, sandbox

    def _told_connected(self, owner: Container, undo: Undo) -> None:
        networks = [self.state.networks[one.network] for one in self.state.endpoints_of(owner.id)]
        for network in networks:
            self.tell_one("connect", owner, network)

        async def take_back() -> None:
            for network in networks:
                self.tell_one("disconnect", owner, network)

        undo.push(take_back)

    async def down(self, container: Container, stack_of: str, *, keep: bool = False) -> None:
        """A container's names go; ports too, and the sandbox of `stack_of`, whose stack it has or nearly had, when
        nobody lives there. With `keep` it is about to run again: only names go."""
        owner = self.state.containers.get(stack_of)
        if owner is None:
            return  # the joined container has been removed, and its removal took the sandbox down
        own = owner.id == container.id
        if own:
            await self.presence.hush(owner)
        sandbox = self.state.sandbox(owner.id)
        if sandbox is not None and not keep:
            if own:
                sandbox = await self.publish.withdraw(sandbox)
            if not self._inhabited(owner, leaving=container):
                await self._close(owner, sandbox)

    def _inhabited(self, owner: Container, *, leaving: Container) -> bool:
        """Whether somebody lives in the sandbox, or its owner is about to come back to it."""
        return bool(self.attachments.users(owner.id)) or (leaving.id != owner.id and self.kept[owner.id] > 0)

    async def _close(self, owner: Container, sandbox: Sandbox) -> None:
        await self.publish.withdraw(sandbox)
        await self.presence.close(sandbox)
        await self.attachments.down(owner.id)

    async def orphan(self, owner: Container) -> None:
        """A removed owner's sandbox goes, even under containers that joined it: their stack is nobody's now."""
        sandbox = self.state.sandbox(owner.id)
        if sandbox is not None:
            await self._close(owner, sandbox)

    async def connect(self, container: Container, network: Network, config: EndpointConfig, directory: str) -> None:
        """One more network for a container whose sandbox is up. Raises as `up`; then nothing has changed.

        Decided and committed first, the container's own list included, so that a crash in between is made good at
        the next boot.
        """
        sandbox = self._standing(container)
        before, asked = self.lead(container), self.presence.asker_changes(container, sandbox)
        with self.state.store.transaction():
            endpoint = self.attachments.reserve(container, network, config)
            self.state.containers.put(replace(container, endpoints=(*container.endpoints, config)))
        try:
            async with Undo() as undo:
                endpoint = await self.attachments.attach(container, endpoint, sandbox, undo)
                self.presence.refresh_files(container, directory)
                changes = self.presence.record_changes((endpoint,)) if container.state.running else []
                changes += self.presence.asker_changes(container, sandbox)
                await self.presence.tell(changes, undo, back=[RemoveRecord(endpoint.id), *asked])
                if container.state.running or sandbox.published:
                    await self.publish.move(container, before, self.lead(container), undo)
        except BaseException:
            self.state.remove_endpoint(endpoint.id)
            current = self.state.containers[container.id]
            self.state.containers.put(replace(current, endpoints=container.endpoints))
            self.presence.refresh_files(container, directory)
            raise

    async def disconnect(self, container: Container, network: Network, directory: str) -> None:
        """One network less for a container whose sandbox is up; published ports move to the next gateway, or away.

        Only the moving can fail, and then nothing has changed; the rest is tear-down. Once begun it goes to its end.
        """
        await finished(self._disconnect(container, network, directory))

    async def _disconnect(self, container: Container, network: Network, directory: str) -> None:
        sandbox = self._standing(container)
        endpoint = self.state.endpoint_on(container.id, network.id)
        assert endpoint is not None
        others = [one for one in self.state.endpoints_of(container.id) if one.id != endpoint.id]
        after = gateways.lead(others, self.state.networks.all())
        # An owner that has ended publishes nothing under who joined it; one in back-off keeps what it has.
        if container.state.running or sandbox.published:
            async with Undo() as undo:
                await self.publish.move(container, self.lead(container), after, undo)
        with self.state.store.transaction():
            self.state.remove_endpoint(endpoint.id)
            current = self.state.containers[container.id]
            kept = tuple(one for one in current.endpoints if self.state.networks.find(one.network) is not network)
            self.state.containers.put(replace(current, endpoints=kept))
        await self.presence.forget(endpoint, self.presence.asker_changes(container, sandbox))
        await self.attachments.detach(endpoint, sandbox)
        self.presence.refresh_files(container, directory)

    def lead(self, container: Container) -> gateways.Lead:
        """Where its published ports lead now."""
        return gateways.lead(self.state.endpoints_of(container.id), self.state.networks.all())

    def _standing(self, container: Container) -> Sandbox:
        sandbox = self.state.sandbox(container.id)
        if sandbox is None:
            raise Conflict(f"container {container.id} has no network sandbox")
        return sandbox

    def tell_disconnected(self, owner: Container) -> None:
        """The owner's process has ended: a network event for each of its endpoints."""
        for endpoint in self.state.endpoints_of(owner.id):
            self.tell_one("disconnect", owner, self.state.networks[endpoint.network])

    def tell_one(self, action: str, container: Container, network: Network) -> None:
        """``connect`` or ``disconnect`` with Docker's attributes."""
        attributes = {"container": container.id, "name": network.name, "type": network.driver}
        self.events.emit("network", action, network.id, attributes)
