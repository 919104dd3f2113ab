"""Filters of ``docker volume ls`` and ``docker volume prune``: read once, then asked per volume. Pure."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from landbridge.errors import Invalid
from landbridge.model.filters import Filters
from landbridge.model.volume import Volume

_LIST = frozenset({"dangling", "driver", "label", "name"})
_PRUNE = frozenset({"all", "label", "label!"})

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`dangling` None: both kinds; who uses a volume is the caller's knowledge."""

    dangling: bool | None = None
    anonymous_only: bool = False
    drivers: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    not_labels: tuple[str, ...] = ()
    names: tuple[Callable[[str], object], ...] = ()

    def accepts(self, volume: Volume) -> bool:
        """All that can be said from the volume alone."""
        if self.anonymous_only and not volume.anonymous:
            return False
        if self.drivers and volume.driver not in self.drivers:
            return False
        if self.names and not any(fits(volume.name) for fits in self.names):
            return False
        if self.not_labels and all(_labelled(volume, wanted) for wanted in self.not_labels):
            return False
        return all(_labelled(volume, wanted) for wanted in self.labels)


def read_list_filters(filters: Filters) -> Wanted:
    """Raises: Invalid for an unknown filter or a bad value."""
    _check_known(filters, _LIST)
    return Wanted(
        dangling=_dangling(filters.get("dangling", ())),
        drivers=tuple(filters.get("driver", ())),
        labels=tuple(filters.get("label", ())),
        names=tuple(_name_test(text) for text in filters.get("name", ())),
    )


def read_prune_filters(filters: Filters) -> Wanted:
    """Raises: Invalid for an unknown filter or a bad value."""
    _check_known(filters, _PRUNE)
    everything = False
    for text in filters.get("all", ()):
        if text not in _TRUE | _FALSE:
            raise Invalid(f"invalid filter 'all': strconv.ParseBool: parsing \"{text}\": invalid syntax")
        everything = text in _TRUE
    return Wanted(
        anonymous_only=not everything,
        labels=tuple(filters.get("label", ())),
        not_labels=tuple(filters.get("label!", ())),
    )


def _check_known(filters: Filters, known: frozenset[str]) -> None:
    for name in filters:
        if name not in known:
            raise Invalid(f"invalid filter '{name}'")


def _dangling(values: Sequence[str]) -> bool | None:
    if not values:
        return None
    if len(values) != 1 or values[0] not in ("1", "true", "0", "false"):
        raise Invalid(f"invalid filter 'dangling=[{' '.join(values)}]'")
    return values[0] in ("1", "true")


def _name_test(text: str) -> Callable[[str], object]:
    """Docker: a regular expression found anywhere in the name, or the text itself."""
    try:
        return re.compile(text).search
    except re.error:
        return lambda name: text == name


def _labelled(volume: Volume, wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    labels = volume.labels or {}
    return key in labels and (not equals or labels[key] == value)
