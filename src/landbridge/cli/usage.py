"""`--help`: usage texts in Docker's layout, 80 columns wide or as wide as the terminal."""

from __future__ import annotations

from landbridge.cli.commands import COMMANDS, COMMON, GROUPS, PROCESSES, SHORT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from landbridge.cli.flags import Flag
    from landbridge.cli.session import Session

WIDTH = 80


def wrap(text: str, width: int) -> list[str]:
    """Words of `text` in lines of at most `width`."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line] if line else lines or [""]


def flag_lines(flags: tuple[Flag, ...]) -> list[str]:
    """The options, one per flag, texts aligned and wrapped."""
    heads = []
    for flag in flags:
        kind = "" if flag.kind == "bool" else f" {flag.kind}"
        heads.append(f"  -{flag.short}, --{flag.name}{kind}" if flag.short else f"      --{flag.name}{kind}")
    column = max(len(head) for head in heads) + 3
    lines = []
    for flag, head in sorted(zip(flags, heads, strict=True), key=lambda pair: pair[0].name):
        text = flag.help
        if flag.default not in (None, False, "", 0):
            shown = f'"{flag.default}"' if flag.kind == "string" else str(flag.default).lower()
            text += f" (default {shown})"
        first, *more = wrap(text, max(WIDTH - column, 24))
        lines.append(f"{head.ljust(column)}{first}")
        lines += [" " * column + line for line in more]
    return lines


def spellings(canonical: str) -> list[str]:
    """Every way to write the command, as help lists them."""
    others = [short for short, target in SHORT.items() if target == canonical]
    long = [canonical, *(name for name in others if " " in name)]
    return [*long, *(name for name in others if " " not in name)]


def command_help(session: Session, canonical: str, flags: tuple[Flag, ...]) -> str:
    """Help of one command."""
    command = COMMANDS[canonical]
    lines = [f"Usage:  landbridge {session.path} {command.usage}", "", command.summary]
    names = spellings(canonical)
    if len(names) > 1:
        lines += ["", "Aliases:", "  " + ", ".join(f"landbridge {name}" for name in names)]
    shown = tuple(flag for flag in flags if flag.shown)
    if shown:
        lines += ["", "Options:", *flag_lines(shown)]
    return "\n".join(lines)


def listing(entries: list[tuple[str, str]]) -> list[str]:
    """Commands and their summaries in two columns."""
    width = max(11, max(len(name) for name, _ in entries) + 1)
    return [f"  {name.ljust(width)} {text}" for name, text in entries]


def group_help(group: str) -> str:
    """Help of a group of commands (`landbridge network`)."""
    names = sorted(path.split(" ", 1)[1] for path in COMMANDS if path.startswith(f"{group} "))
    entries = [(name, COMMANDS[f"{group} {name}"].summary) for name in names]
    lines = [f"Usage:  landbridge {group} COMMAND", "", GROUPS[group], "", "Commands:", *listing(entries), ""]
    return "\n".join([*lines, f"Run 'landbridge {group} COMMAND --help' for more information on a command."])


def program_help(flags: tuple[Flag, ...]) -> str:
    """Help of the program."""
    summary = {name: COMMANDS[SHORT.get(name, name)].summary for name in (*SHORT, *COMMANDS) if " " not in name}
    lines = ["Usage:  landbridge [OPTIONS] COMMAND", "", "A container engine whose heart is the network", ""]
    lines += ["Common Commands:", *listing([(name, summary[name]) for name in COMMON])]
    lines += ["", "Management Commands:", *listing(sorted(GROUPS.items()))]
    rest = sorted(name for name in summary if name not in COMMON)
    lines += ["", "Commands:", *listing([(name, summary[name]) for name in rest])]
    lines += ["", "Processes:", *listing(list(PROCESSES.items()))]
    lines += ["", "Global Options:", *flag_lines(flags), ""]
    return "\n".join([*lines, "Run 'landbridge COMMAND --help' for more information on a command."])
