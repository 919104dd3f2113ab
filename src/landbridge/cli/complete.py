"""What may come next on a command line: `landbridge __complete WORD… LAST`, asked by the shells' scripts.

Prints one candidate a line, with a tab and what it means where there is something to say. Names come from the
daemon; without one there are none. Nothing at all lets the shell offer files.
"""

from __future__ import annotations

from landbridge.cli.commands import COMMANDS, GROUPS, SHORT
from landbridge.cli.flags import HELP, Flag
from landbridge.cli.main import GLOBAL_FLAGS, handler_of
from landbridge.cli.outcome import CommandError
from landbridge.cli.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from landbridge.cli.session import Session

Candidates = list[tuple[str, str]]

# What the arguments of a command are, one after the other; the last goes on for all that follow.
_ARGUMENTS = {
    **dict.fromkeys(
        ("attach", "exec", "kill", "pause", "port", "stats", "stop", "top"), ("running",)
    ),
    **dict.fromkeys(
        ("commit", "diff", "export", "inspect", "logs", "rename", "restart", "rm", "update", "wait"), ("all",)
    ),
    "cp": ("copied",), "start": ("stopped",), "unpause": ("paused",), "run": ("image", ""), "create": ("image", ""),
}  # fmt: skip
ARGUMENTS: dict[str, tuple[str, ...]] = {
    **{f"container {name}": kinds for name, kinds in _ARGUMENTS.items()},
    **{f"image {name}": ("image",) for name in ("history", "inspect", "ls", "push", "rm", "save", "tag")},
    "image pull": ("",), "image import": ("",), "image load": ("",), "network connect": ("network", "all", ""),
    "network disconnect": ("network", "all", ""), "network inspect": ("network",), "network rm": ("network",),
    "volume inspect": ("volume",), "volume rm": ("volume",), "inspect": ("any",), "completion": ("shell", ""),
}  # fmt: skip
# What the values of flags are.
VALUES = {
    "network": "network", "net": "network", "volumes-from": "all", "link": "all", "driver": "driver",
    "env": "variable", "restart": "restart", "pull": "pull", "log-driver": "log-driver", "type": "type",
    "signal": "signal", "stop-signal": "signal", "pid": "joined", "ipc": "joined",
    "cap-add": "capability", "cap-drop": "capability",
}  # fmt: skip
WORDS = {
    "shell": "bash zsh fish", "restart": "no on-failure always unless-stopped", "pull": "always missing never",
    "log-driver": "json-file local none", "type": "container image network volume",
    "signal": "SIGHUP SIGINT SIGKILL SIGQUIT SIGSTOP SIGTERM SIGUSR1 SIGUSR2", "joined": "host private shareable",
    "capability": "ALL CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_ADMIN NET_BIND_SERVICE NET_RAW SETFCAP SETGID"
    " SETPCAP SETUID SYS_ADMIN SYS_CHROOT SYS_MODULE SYS_NICE SYS_PTRACE SYS_RESOURCE SYS_TIME",
}  # fmt: skip


def complete(session: Session, words: list[str]) -> None:
    """Print the candidates for the last of `words`, what begins like it alone."""
    bare = words[:1] == ["--no-descriptions"]
    *before, last = words[bare:] or [""]
    for word, text in _candidates(session, before, last):
        if word.startswith(last):
            session.out(f"{word}\t{text}" if text and not bare else word)


def _candidates(session: Session, before: list[str], last: str) -> Candidates:
    rest = _after_flags(GLOBAL_FLAGS, before)
    if rest is None:
        return []
    if not rest:
        return _flag_names(GLOBAL_FLAGS) if last.startswith("-") else _commands("")
    if rest[0] in GROUPS and len(rest) == 1:
        return _commands(rest[0])
    typed, rest = (f"{rest[0]} {rest[1]}", rest[2:]) if rest[0] in GROUPS else (rest[0], rest[1:])
    canonical = SHORT.get(typed, typed)
    if canonical not in COMMANDS:
        return []
    return _of_command(session, canonical, rest, last)


def _of_command(session: Session, canonical: str, words: list[str], last: str) -> Candidates:
    flags = handler_of(canonical)[0]
    given, waiting = _arguments(flags, words, interspersed=COMMANDS[canonical].interspersed)
    if waiting is not None:
        return _values(session, waiting.name)
    if last.startswith("--") and "=" in last:
        name = last[2:].partition("=")[0]
        return [(f"--{name}={word}", text) for word, text in _values(session, name)]
    if last.startswith("-") and (COMMANDS[canonical].interspersed or not given):
        return _flag_names((*flags, HELP))
    kinds = ARGUMENTS.get(canonical, ("",))
    return _kind(session, kinds[min(len(given), len(kinds) - 1)])


def _arguments(flags: tuple[Flag, ...], words: list[str], *, interspersed: bool) -> tuple[list[str], Flag | None]:
    """Positional words, and the flag whose value comes next."""
    by_name = {f"--{flag.name}": flag for flag in flags} | {f"-{flag.short}": flag for flag in flags if flag.short}
    given: list[str] = []
    waiting: Flag | None = None
    for word in words:
        if waiting is not None:
            waiting = None
        elif not word.startswith("-") or word == "-" or (given and not interspersed):
            given.append(word)
        else:
            found = by_name.get(word if word.startswith("--") else f"-{word[-1:]}")
            waiting = found if found is not None and found.kind != "bool" else None
    return given, waiting


def _after_flags(flags: tuple[Flag, ...], words: list[str]) -> list[str] | None:
    """The words from the command's name on; None when a flag before it waits for its value."""
    given, waiting = _arguments(flags, words, interspersed=False)
    return None if waiting is not None and not given else given


def _flag_names(flags: tuple[Flag, ...]) -> Candidates:
    return sorted((f"--{flag.name}", flag.help) for flag in flags if flag.shown)


def _commands(group: str) -> Candidates:
    if group:
        names = [name for name in COMMANDS if name.startswith(f"{group} ")]
        return sorted((name.partition(" ")[2], COMMANDS[name].summary) for name in names)
    top = [(name, COMMANDS[SHORT.get(name, name)].summary) for name in (*SHORT, *COMMANDS) if " " not in name]
    return sorted([*top, *GROUPS.items()])


def _values(session: Session, flag: str) -> Candidates:
    return _kind(session, VALUES.get(flag, ""))


def _kind(session: Session, kind: str) -> Candidates:
    if kind in WORDS:
        return [(word, "") for word in WORDS[kind].split()]
    if kind == "variable":
        return [(name, "") for name in sorted(session.env)]
    try:
        return sorted(_named(session, kind))
    except (CommandError, OSError):  # no daemon, no names
        return []


def _named(session: Session, kind: str) -> Iterator[tuple[str, str]]:
    """Things the daemon has."""
    if kind in ("all", "any", "running", "stopped", "paused", "copied"):
        for row in session.client.get("/containers/json", {"all": kind != "running"}):
            state = row["State"]
            if kind in ("stopped", "paused") and (state == "paused") != (kind == "paused"):
                continue
            if kind == "stopped" and state == "running":
                continue
            name = (row["Names"] or [row["Id"][:12]])[0]  # one on its way out has no name
            yield name.lstrip("/") + (":" if kind == "copied" else ""), row["Image"]
    if kind in ("image", "any"):
        for row in session.client.get("/images/json"):
            yield from ((_familiar(tag), "") for tag in row["RepoTags"] or () if tag != "<none>:<none>")
    if kind in ("network", "any"):
        yield from ((row["Name"], row["Driver"]) for row in session.client.get("/networks"))
    if kind in ("volume", "any"):
        yield from ((row["Name"], row["Driver"]) for row in session.client.get("/volumes")["Volumes"] or ())
    if kind == "driver":
        yield from ((name, "") for name in session.client.get("/info")["Plugins"]["Network"])


def _familiar(tag: str) -> str:
    try:
        return str(parse_reference(tag))
    except ValueError:
        return tag
