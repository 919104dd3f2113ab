"""Log drivers and their options, refused at create with the words Docker has at create or at start. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from landbridge.errors import Invalid
from landbridge.model.config import LogConfig

DRIVERS = ("json-file", "local", "none")

_COMMON = ("mode", "max-buffer-size")
_ROTATION = ("max-file", "max-size", "compress")
_KNOWN: Mapping[str, tuple[str, ...]] = {
    "json-file": (*_COMMON, *_ROTATION, "labels", "labels-regex", "env", "env-regex", "tag"),
    "local": (*_COMMON, *_ROTATION),
}
_UNKNOWN: Mapping[str, Callable[[str], str]] = {
    "json-file": lambda name: f"unknown log opt '{name}' for json-file log driver",
    "local": lambda name: f"unknown log opt '{name}' for log driver local",
}

_ROOM = 256 * 1024
_DEFAULTS = {"local": ("20m", 5)}  # what the driver keeps when nothing is said
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)*) ?([kKmMgGtTpP])?[iI]?[bB]?")
_TRUE, _FALSE = "1 t T TRUE true True".split(), "0 f F FALSE false False".split()


def check_log(log: LogConfig) -> None:
    """Raises: Invalid for a driver landbridge does not have, an unknown option or a bad value."""
    driver = log.type or "json-file"
    if driver not in DRIVERS:
        raise Invalid(f'error looking up logging plugin {driver}: plugin "{driver}" not found')
    if driver == "none":
        return
    options = log.config or {}
    _check_mode(options)
    for name in options:
        if name not in _KNOWN[driver]:
            raise Invalid(_UNKNOWN[driver](name))
    _check_rotation(options)


@dataclass(frozen=True, slots=True)
class Kept:
    """How much of a log is kept: `files` files of `size` bytes (0: one without a bound)."""

    size: int
    files: int

    @property
    def limit(self) -> int:
        """What a single file may grow to before its monitor begins an empty one, whoever else does something about it.

        With several files the engine turns them as they fill, a moment late; small sizes get room for that moment.
        """
        return self.size if self.files == 1 else max(self.size * self.files, _ROOM if self.size else 0)


def kept(log: LogConfig) -> Kept:
    """What a container's log options ask for; those of an unknown driver are the defaults."""
    driver, options = log.type or "json-file", log.config or {}
    size, files = _DEFAULTS.get(driver, ("", 1))
    return Kept(_bytes(options.get("max-size", size)), int(options.get("max-file", files)))


def _bytes(text: str) -> int:
    """Powers of ten, as Docker's log drivers reckon: ``10k`` is 10000."""
    found = _SIZE.fullmatch(text)
    if found is None:
        return 0
    return int(float(found[1]) * 1000 ** "kmgtp".index(found[2].lower()) * 1000) if found[2] else int(float(found[1]))


def _check_mode(options: Mapping[str, str]) -> None:
    mode = options.get("mode", "")
    if mode not in ("", "blocking", "non-blocking"):
        raise Invalid(f"logger: logging mode not supported: {mode}")
    if "max-buffer-size" in options:
        if mode != "non-blocking":
            raise Invalid("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
        if not _SIZE.fullmatch(options["max-buffer-size"]):
            raise Invalid(f"error parsing option max-buffer-size: invalid size: '{options['max-buffer-size']}'")


def _check_rotation(options: Mapping[str, str]) -> None:
    size = options.get("max-size")
    if size is not None:
        if not (found := _SIZE.fullmatch(size)):
            raise Invalid(f"invalid size: '{size}'")
        if not found[1].strip("0."):
            raise Invalid("max-size must be a positive number")
    files = options.get("max-file")
    if files is not None:
        if not re.fullmatch(r"[+-]?[0-9]{1,9}", files):
            raise Invalid(f'strconv.Atoi: parsing "{files}": invalid syntax')
        if int(files) < 1:
            raise Invalid("max-file cannot be less than 1")
    compress = options.get("compress")
    if compress is not None:
        if compress not in (*_TRUE, *_FALSE):
            raise Invalid(f'strconv.ParseBool: parsing "{compress}": invalid syntax')
        if compress in _TRUE and "max-size" not in options:
            raise Invalid("compress cannot be true when max-file is less than 2 or max-size is not set")
