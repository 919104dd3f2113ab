"""Waiting for what takes a moment: look again until it is so, and fail with what was seen last."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

TRIES = 150
PAUSE = 0.1


def until(look: Callable[[], T], wanted: T | Callable[[T], object]) -> T:
    """Repeat `look` until it gives `wanted`, or what `wanted` says yes to."""
    seen = look()
    for _ in range(TRIES):
        if wanted(seen) if callable(wanted) else seen == wanted:
            return seen
        time.sleep(PAUSE)
        seen = look()
    raise AssertionError(f"never came; last seen:\n{seen}")
