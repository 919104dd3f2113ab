"""Flags as data, and the parser that reads them the way Docker's command line does.

A flag set is a tuple of `Flag`; parsing gives a `Parsed`: every flag's value (its default when not given), the
positional arguments and which flags were given. Kinds name both the conversion and the word shown in `--help`.
What a value means beyond its kind is the command's business: it passes `checks`, functions by flag name.
"""

from __future__ import annotations

from landbridge.cli.outcome import UsageError
from landbridge.cli.quantities import KINDS, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

REPEATED = ("list", "strings", "map", "filter", "ulimit", "mount", "network", "gpu-request")


class Flag:
    """One flag: `--name`, `-short`, its kind, help text, default, and an alias that is not shown.

    `refused` says why a flag of Docker's is read and not followed.
    """

    __slots__ = ("alias", "default", "help", "kind", "name", "refused", "short", "shown")

    def __init__(
        self, name: str, short: str, kind: str, text: str, default: Any = None, *, alias: str = "", shown: bool = True,
        refused: str = "",
    ) -> None:  # fmt: skip
        self.name, self.short, self.kind, self.help, self.alias, self.shown = name, short, kind, text, alias, shown
        self.default, self.refused = default, refused

    def initial(self) -> Any:
        """The value when the flag is not given; a fresh list for kinds that repeat."""
        if self.kind in REPEATED:
            return []
        if self.default is not None:
            return self.default
        return False if self.kind == "bool" else "" if self.kind == "string" else 0

    def label(self) -> str:
        """As error messages name it: `-p, --publish`."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


def refused(name: str, kind: str, reason: str) -> Flag:
    """A flag of Docker's that is left out: not in help, and an error when given."""
    return Flag(name, "", kind, "", shown=False, refused=reason)


HELP = Flag("help", "", "bool", "Print usage")


class Parsed:
    """What a command was given: `flags["name"]`, `flags.args`, `flags.given`."""

    __slots__ = ("args", "given", "values")

    def __init__(self, values: dict[str, Any], args: list[str], given: set[str]) -> None:
        self.values, self.args, self.given = values, args, given

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def __repr__(self) -> str:
        return f"<Parsed {sorted(self.given)} {self.args}>"


class _Reader:
    """State of one parse."""

    def __init__(self, flags: tuple[Flag, ...], checks: Mapping[str, Callable[[str], Any]]) -> None:
        self.checks = checks
        self.by_name = {flag.name: flag for flag in (*flags, HELP)}
        self.by_name.update({flag.alias: flag for flag in flags if flag.alias})
        self.by_short = {flag.short: flag for flag in flags if flag.short}
        self.values: dict[str, Any] = {flag.name: flag.initial() for flag in self.by_name.values()}
        self.given: set[str] = set()

    def set(self, flag: Flag, text: str) -> None:
        try:
            check = self.checks.get(flag.name)
            value = check(text) if check else KINDS[flag.kind](text)
        except ValueError as error:
            raise UsageError(f'invalid argument {quoted(text)} for "{flag.label()}" flag: {error}') from None
        if flag.kind not in REPEATED:
            self.values[flag.name] = value
        elif flag.kind == "strings":
            self.values[flag.name] += value
        else:
            self.values[flag.name].append(value)
        self.given.add(flag.name)

    def long(self, word: str, rest: list[str]) -> None:
        name, equals, value = word[2:].partition("=")
        flag = self.by_name.get(name)
        if flag is None:
            raise UsageError(f"unknown flag: --{name}")
        if equals:
            self.set(flag, value)
        elif flag.kind == "bool":
            self.set(flag, "true")
        elif rest:
            self.set(flag, rest.pop(0))
        else:
            raise UsageError(f"flag needs an argument: --{name}")

    def short(self, word: str, rest: list[str]) -> None:
        cluster = word[1:]
        while cluster:
            letter = cluster[0]
            flag = self.by_short.get(letter)
            if flag is None and letter == "h":
                flag = HELP
            if flag is None:
                raise UsageError(f"unknown shorthand flag: '{letter}' in -{cluster}")
            if cluster[1:2] == "=":
                self.set(flag, cluster[2:])
                return
            if flag.kind == "bool":
                self.set(flag, "true")
                cluster = cluster[1:]
                continue
            if len(cluster) > 1:
                self.set(flag, cluster[1:])
            elif rest:
                self.set(flag, rest.pop(0))
            else:
                raise UsageError(f"flag needs an argument: '{letter}' in -{cluster}")
            return


def parse(
    flags: tuple[Flag, ...],
    argv: list[str],
    *,
    interspersed: bool = True,
    checks: Mapping[str, Callable[[str], Any]] | None = None,
) -> Parsed:
    """Read `argv`. With `interspersed` off, flags end at the first positional argument (`run IMAGE -x`).

    Raises: UsageError with Docker's words for unknown flags, missing and malformed values.
    """
    reader = _Reader(flags, checks or {})
    rest = list(argv)
    args: list[str] = []
    while rest:
        word = rest.pop(0)
        if word == "--":
            args += rest
            break
        if word.startswith("--"):
            reader.long(word, rest)
        elif word.startswith("-") and len(word) > 1:
            reader.short(word, rest)
        else:
            args.append(word)
            if not interspersed:
                args += rest
                break
    return Parsed(reader.values, args, reader.given)
