"""Answers "how does this connection go?" from the engine's state and a look into the sandbox."""

from landbridge.engine.apply import Apply
from landbridge.engine.effects import Listening
from landbridge.engine.state import State
from landbridge.network.explain import Explanation, Target, explain, parse_target


class Explain:
    """One question, one answer; nothing is changed."""

    def __init__(self, state: State, apply: Apply, listening: Listening) -> None:
        self.state = state
        self.apply = apply
        self._listening = listening

    async def target(self, text: str) -> Explanation:
        """As `network.explain.explain`. Raises: Invalid for text that names no address and port."""
        target = parse_target(text)
        found = await self.apply.blocking(self._explain, target)
        assert isinstance(found, Explanation)
        return found

    def _explain(self, target: Target) -> Explanation:
        world = self.state.world()
        return explain(world, target, lambda sandbox, port: self._listening(sandbox.path, port.proto, port.number))
