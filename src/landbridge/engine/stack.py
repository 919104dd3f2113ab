"""A container's network stack as a whole: sandbox, published ports, names and files, brought up and down together.

The order is the design's: claims, links, host ports, names; the reverse on the way down. Everything here is
called with the container's lock held (and its owner's, when it joins one).
"""

from landbridge.engine.apply import Undo
from landbridge.engine.attachments import Attachments
from landbridge.engine.events import Events
from landbridge.engine.presence import Presence
from landbridge.engine.publish import Publish
from landbridge.engine.state import State
from landbridge.errors import Conflict, LandbridgeError
from landbridge.model.config import EndpointConfig
from landbridge.model.container import Container
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

    def owner(self, container: Container) -> Container:
        """Whose stack it is. Raises: NotFound, Conflict."""
        return self.attachments.owner(container)

    async def up(self, container: Container, undo: Undo) -> tuple[Container, Sandbox | None]:
        """The owner and the sandbox a container is about to run in; None in host mode.

        Raises: NotFound (network, joined container), Invalid, Forbidden (address), Conflict (port).
        """
        owner = self.attachments.owner(container)
        sandbox = await self.attachments.up(owner, undo)
        if sandbox is None:
            return owner, None
        if owner.id == container.id:
            if not sandbox.published:
                sandbox = await self.publish.publish(container, sandbox, undo)
            await self.presence.announce(owner, sandbox, undo)
            self._tell("connect", owner)
        elif not owner.state.running:
            # Joined before its owner runs: the shared stack may ask for names, the owner's own stay unknown.
            await self.presence.tell(self.presence.asker_changes(owner, sandbox), undo)
        return owner, sandbox

    async def down(self, container: Container, *, keep: bool = False) -> None:
        """Its names go; ports too, and the sandbox when nobody lives there, unless it is about to run again."""
        try:
            owner = self.attachments.owner(container)
        except LandbridgeError:
            return  # the joined container has been removed; its removal took the sandbox down
        own = owner.id == container.id
        if own:
            await self.presence.hush(owner)
        sandbox = self.state.sandbox(owner.id)
        if sandbox is None or keep:
            return
        if own:
            sandbox = await self.publish.withdraw(sandbox)
        if not self.attachments.users(owner.id):
            await self.presence.close(sandbox)
            await self.attachments.down(owner.id)
        if own:
            self._tell("disconnect", owner)

    async def orphan(self, owner: Container) -> None:
        """A removed owner's sandbox goes, even under containers that joined it: their stack is nobody's now."""
        sandbox = self.state.sandbox(owner.id)
        if sandbox is not None:
            await self.publish.withdraw(sandbox)
            await self.presence.close(sandbox)
            await self.attachments.down(owner.id)

    async def connect(self, container: Container, network: Network, config: EndpointConfig, directory: str) -> None:
        """One more network for a running container. Raises as `up`; then nothing has changed."""
        sandbox = self._standing(container)
        order = 1 + max((one.order for one in self.state.endpoints_of(container.id)), default=-1)
        before = self.targets(container)
        endpoint = self.attachments.claim_one(container, network, config, order)
        try:
            async with Undo() as undo:
                await self.attachments.attach(container, endpoint, sandbox, undo)
                self.presence.refresh_files(container, directory)
                await self.presence.announce(container, sandbox, undo)
                await self.publish.move(container, before, undo)
        except BaseException:
            self.state.remove_endpoint(endpoint.id)
            self.presence.refresh_files(container, directory)
            raise

    async def disconnect(self, container: Container, network: Network, directory: str) -> None:
        """One network less for a running container; published ports move to the next gateway, or away."""
        sandbox = self._standing(container)
        endpoint = self.state.endpoint_on(container.id, network.id)
        assert endpoint is not None
        before = self.targets(container)
        await self.presence.silence(endpoint.id, network)
        await self.attachments.detach(endpoint, sandbox)
        await self.presence.tell(self.presence.asker_changes(container, sandbox))
        self.presence.refresh_files(container, directory)
        async with Undo() as undo:
            await self.publish.move(container, before, undo)

    def targets(self, container: Container) -> tuple[str, str]:
        """Where its published ports lead now."""
        return gateways.targets(self.state.endpoints_of(container.id), self.state.networks.all())

    def _standing(self, container: Container) -> Sandbox:
        sandbox = self.state.sandbox(container.id)
        if sandbox is None:
            raise Conflict(f"container {container.id} has no network sandbox")
        return sandbox

    def _tell(self, action: str, owner: Container) -> None:
        """A network event for each of the owner's endpoints."""
        for endpoint in self.state.endpoints_of(owner.id):
            self.tell_one(action, owner, self.state.networks[endpoint.network])

    def tell_one(self, action: str, container: Container, network: Network) -> None:
        """``connect`` or ``disconnect`` with Docker's attributes."""
        attributes = {"container": container.id, "name": network.name, "type": network.driver}
        self.events.emit("network", action, network.id, attributes)
