"""Carrying steps out, and taking them back.

`Undo` is the stack of one operation: what was done is pushed as its inverse, and any failure unwinds it
last first, collecting errors instead of stopping (a half-undone operation is worse than a noisy one).
Blocking kernel steps that follow one another share one hop to the worker thread.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from itertools import groupby
from types import TracebackType
from typing import TypeVar

from landbridge.engine.effects import Kernel, Proxy, Resolver
from landbridge.engine.rules import RuleTable
from landbridge.errors import HoldFailed
from landbridge.network.steps import (
    Bridge,
    Exposed,
    Extended,
    Forget,
    Moved,
    Names,
    Namespace,
    Parent,
    Ports,
    Routes,
    Rules,
    Stacked,
    Step,
    Veth,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

Action = Callable[[], Awaitable[None]]


async def finished(work: Awaitable[T]) -> T:
    """The result of `work`, waited for to its end: a cancellation comes through afterwards, not in between.

    What has been asked of the kernel or of another process happens whether or not somebody waits for the answer.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None or task.cancelled():
        return task.result()
    if (failure := task.exception()) is not None:
        log.warning("cancelled, and failed: %s", failure)
    raise cancelled


class Apply:
    """Carries out steps with the effects it was given."""

    def __init__(
        self, kernel: Kernel, rules: RuleTable, resolver: Resolver, proxy: Proxy, pool: Executor
    ) -> None:
        self.kernel = kernel
        self.rules = rules
        self.resolver = resolver
        self.proxy = proxy
        self._pool = pool

    async def run(self, steps: Sequence[Step], undo: "Undo | None" = None) -> None:
        """Carry out `steps` in order; each done step's inverse goes on `undo`.

        Raises: whatever a step raised; the steps before it are done and on the stack.
        """
        for telling, batch in _batches(steps):
            if telling:
                for step in batch:
                    await self._tell_undoably(step, undo)
                continue
            done: list[Step] = []
            try:
                await self.blocking(self._do_all, batch, done)
            finally:
                if undo is not None:
                    for step in done:
                        undo.push_steps(self, (step.inverse(),))

    async def _tell_undoably(self, step: Step, undo: "Undo | None") -> None:
        try:
            await finished(self._tell(step))
        except HoldFailed:
            # Of the holds all or none: only what was let go for them is to be taken back.
            if undo is not None and isinstance(step, Ports) and step.release:
                undo.push_steps(self, (step.inverse(),))
            raise
        except BaseException:
            # The answer got lost, perhaps not the deed; taking back what never was is no error.
            if undo is not None:
                undo.push_steps(self, (step.inverse(),))
            raise
        if undo is not None:
            undo.push_steps(self, (step.inverse(),))

    async def run_forgiving(self, steps: Sequence[Step]) -> list[Exception]:
        """Tear-down: carry out every step whatever happens, also under cancellation; failures are collected."""
        return await finished(self._run_forgiving(steps))

    async def _run_forgiving(self, steps: Sequence[Step]) -> list[Exception]:
        errors: list[Exception] = []
        for telling, batch in _batches(steps):
            if not telling:
                await self.blocking(self._do_forgiving, batch, errors)
                continue
            for step in batch:
                try:
                    await self._tell(step)
                except Exception as error:
                    errors.append(error)
                    log.warning("could not undo %s: %s", step, error)
        return errors

    def local_ports(self) -> tuple[int, int]:
        """The host's dynamic ports, first and last (net.ipv4.ip_local_port_range). A small file is read."""
        low, high = self.kernel.read_sysctl("net/ipv4/ip_local_port_range").split()
        return int(low), int(high)

    async def blocking(self, call: Callable[..., object], *arguments: object) -> object:
        """Run a blocking call on the worker pool; a cancelled caller waits for its end too."""
        return await finished(asyncio.get_running_loop().run_in_executor(self._pool, call, *arguments))

    async def _tell(self, step: Step) -> None:
        if isinstance(step, Ports):
            kept = {hold.key for hold in step.hold}
            gone = [hold.key for hold in step.release if hold.key not in kept]
            if gone:
                await self.proxy.release(gone)
            if step.hold:
                await self.proxy.hold(step.hold)
        elif isinstance(step, Names) and step.changes:
            await self.resolver.apply(step.changes)

    def _do_all(self, steps: list[Step], done: list[Step]) -> None:
        for step in steps:
            self._do(step)
            done.append(step)

    def _do_forgiving(self, steps: list[Step], errors: list[Exception]) -> None:
        for step in steps:
            try:
                self._do(step)
            except Exception as error:
                errors.append(error)
                log.warning("could not undo %s: %s", step, error)

    def _do(self, step: Step) -> None:
        match step:
            case Bridge(spec=spec, present=True):
                self.kernel.ensure_bridge(spec)
            case Bridge(spec=spec):
                self.kernel.remove_bridge(spec.name)
            case Extended(spec=spec, present=True):
                self.kernel.ensure_extension(spec)
            case Extended(spec=spec):
                self.kernel.remove_extension(spec)
            case Namespace(spec=spec, present=True):
                self.kernel.create_sandbox(spec)
            case Namespace(spec=spec):
                self.kernel.remove_sandbox(spec.path)
            case Exposed(path=path, name=name, present=True):
                self.kernel.expose(path, name)
            case Exposed(name=name):
                self.kernel.conceal(name)
            case Veth(spec=spec, present=True):
                self.kernel.add_veth(spec)
            case Veth(spec=spec):
                self.kernel.remove_veth(spec.host_name)
            case Parent(spec=spec, present=True):
                self.kernel.ensure_parent(spec)
            case Parent(spec=spec):
                self.kernel.remove_parent(spec.name)
            case Stacked(spec=spec, present=True):
                self.kernel.add_stacked(spec)
            case Stacked(spec=spec):
                self.kernel.remove_stacked(spec.sandbox, spec.ifname)
            case Moved(spec=spec, present=True):
                self.kernel.move_in(spec)
            case Moved(spec=spec):
                self.kernel.move_out(spec)
            case Routes(after=after):
                self.kernel.set_routes(after)
            case Rules(add=add, remove=remove):
                self.rules.change(add, remove)
            case Forget(flows=flows, addresses=addresses):
                if flows:
                    self.kernel.flush_flows(flows)
                if addresses:
                    self.kernel.flush_addresses(addresses)


class Undo:
    """The undo stack of one operation: ``async with Undo() as undo: …`` unwinds when the body fails."""

    def __init__(self) -> None:
        self._stack: list[Action] = []

    def push(self, action: Action) -> None:
        """Register what takes the last thing back."""
        self._stack.append(action)

    def push_steps(self, apply: Apply, steps: Sequence[Step]) -> None:
        async def take_back() -> None:
            await apply.run_forgiving(steps)

        self._stack.append(take_back)

    async def unwind(self) -> None:
        """Take everything back, last first; errors are logged, none stops the rest."""
        while self._stack:
            action = self._stack.pop()
            try:
                await action()
            except Exception:
                log.exception("while undoing")

    async def __aenter__(self) -> "Undo":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            # A cancelled request must not leave half of its work behind either.
            await finished(self.unwind())


def _batches(steps: Sequence[Step]) -> list[tuple[bool, list[Step]]]:
    """(told to another process, steps) in order: kernel steps that follow one another go together."""
    grouped = groupby(steps, key=lambda step: isinstance(step, Ports | Names))
    return [(telling, list(group)) for telling, group in grouped]
