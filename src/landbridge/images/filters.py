"""Filters of ``docker images`` and ``docker image prune``: read once, then asked per image. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from landbridge.errors import Internal, Invalid
from landbridge.model.duration import parse_duration
from landbridge.model.filters import Filters, flag
from landbridge.model.image import Image, Reference
from landbridge.model.stamp import ZERO, parse_ns
from landbridge.oci.glob import compile_glob

LIST = frozenset({"dangling", "label", "before", "since", "reference", "until"})
PRUNE = frozenset({"dangling", "label", "label!", "until"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`dangling` None: both kinds. `before`, `since` and `until` bound the time of creation (nanoseconds)."""

    dangling: bool | None = None
    before: int | None = None
    since: int | None = None
    until: int | None = None
    labels: tuple[str, ...] = ()
    not_labels: tuple[str, ...] = ()
    references: tuple[re.Pattern[str], ...] = field(default=())

    def accepts(self, image: Image) -> bool:
        """All that can be said without the image's names."""
        created = parse_ns(image.created)
        if self.before is not None and created >= self.before:
            return False
        if self.since is not None and created <= self.since:
            return False
        if self.until is not None and (created > self.until or created == ZERO):
            return False
        if self.not_labels and all(_labelled(image, wanted) for wanted in self.not_labels):
            return False
        return all(_labelled(image, wanted) for wanted in self.labels)

    def names(self, reference: Reference) -> bool:
        """True when the reference filters, if any, fit the familiar name with or without its tag."""
        if not self.references:
            return True
        return any(p.fullmatch(str(reference)) or p.fullmatch(reference.familiar) for p in self.references)


def _labelled(image: Image, wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in image.labels and (not equals or image.labels[key] == value)


def read_filters(
    filters: Filters, allowed: frozenset[str], created: Callable[[str], int], now: int
) -> Wanted:
    """`created` gives the time of an image named in ``before`` or ``since``; `now` is for durations in ``until``.

    Raises: Invalid (unknown filter or value), NotFound (from `created`), Internal (bad pattern or time, as Docker).
    """
    for name in filters:
        if name not in allowed:
            raise Invalid(f"invalid filter '{name}'")
    before = [created(text) for text in filters.get("before", ())]
    until = [parse_until(text, now) for text in filters.get("until", ())]
    if "before" in allowed:  # in a list the moment itself is too late, for a prune it is in time (Docker)
        before, until = before + until, []
    return Wanted(
        dangling=flag(filters, "dangling"),
        before=min(before, default=None),
        since=max((created(text) for text in filters.get("since", ())), default=None),
        until=min(until, default=None),
        labels=tuple(filters.get("label", ())),
        not_labels=tuple(filters.get("label!", ())),
        references=tuple(compile_glob(text) for text in filters.get("reference", ())),
    )


def parse_until(text: str, now: int) -> int:
    """A Go duration back from now, seconds since the epoch, or RFC 3339 with or without its end."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return int(float(text) * 1e9)
    for form in (text, f"{text}Z", f"{text}:00Z", f"{text}:00:00Z", f"{text}T00:00:00Z"):
        if (found := parse_ns(form)) != ZERO:
            return found
    try:
        return now - parse_duration(text)
    except Invalid:
        raise Internal(f'failed to parse value as time or duration: "{text}"') from None
