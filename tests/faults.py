"""Counting the calls into the outside world, to fail, cut or photograph an operation at any of them.

Every fake passes each effect through `Faults.call`, so that a test can say "the n-th one fails" without knowing
what it is. `late` fails after the effect happened: the answer got lost, not the deed.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from landbridge.errors import Internal


class Faults:
    """`calls` names every effect since `watch`; `fail` arms one failure; `hook` is called before each effect."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.objections: list[str] = []
        self.hook: Callable[[int, str], None] | None = None
        self.turns: Callable[[], int] = lambda: 1  # how long the outside takes, in turns of the event loop
        self._fail_at = 0
        self._error: Callable[[str], BaseException] = Internal
        self._late = False

    def watch(self, *, hook: Callable[[int, str], None] | None = None) -> None:
        """Count from one again."""
        self.calls.clear()
        self.hook = hook
        self._fail_at = 0

    def fail(self, number: int, *, late: bool = False, error: Callable[[str], BaseException] = Internal) -> None:
        """The `number`-th effect from now on (one-based) fails, once."""
        self.watch()
        self._fail_at, self._late, self._error = number, late, error

    @property
    def pending(self) -> bool:
        """True while the armed failure has not happened."""
        return bool(self._fail_at)

    def call(self, what: str, effect: Callable[[], Any] = lambda: None, *, can_be_late: bool = False) -> Any:
        """Count and carry out one effect."""
        self.calls.append(what)
        if self.hook is not None:
            self.hook(len(self.calls), what)
        due = len(self.calls) == self._fail_at
        late = due and self._late and can_be_late
        if due and not late:
            self._trip(what)
        result = effect()
        if late:
            self._trip(what)
        return result

    async def pause(self) -> None:
        """The time until an answer comes."""
        for _ in range(self.turns()):
            await asyncio.sleep(0)

    def demand(self, fine: object, objection: str, *things: object) -> None:
        """The world objects: the effect fails, and the objection is kept, since an engine may swallow the failure."""
        if not fine:
            self.objections.append(objection.format(*things))
            raise Internal(self.objections[-1])

    def _trip(self, what: str) -> None:
        self._fail_at = 0
        raise self._error(f"injected failure of {what}")


class LoopExecutor(Executor):
    """A worker pool of one that lives in the event loop: a job runs at a later turn, like a thread that is busy.

    As with a real thread, a job that was handed over runs to its end whether or not its caller still waits.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()

        def run() -> None:
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        def wait(turns: int) -> None:
            if turns:
                loop.call_soon(wait, turns - 1)
            else:
                run()

        loop = asyncio.get_running_loop()
        loop.call_soon(wait, self._faults.turns())
        return future
