"""The entry: global options, finding the command, and turning every ending into text and an exit status.

Exit statuses are Docker's: 0; 1 for a refusal by the daemon or a wrong number of arguments; 125 for a malformed
flag and for whatever keeps `run` and `create` from a container; the container's own status for `run` and `exec`.
"""

from __future__ import annotations

import os
import sys

from landbridge.cli.commands import COMMANDS, GROUPS, OMITTED, SHORT, Command
from landbridge.cli.flags import Flag, parse
from landbridge.cli.outcome import ArgumentCount, CommandError, ExitWith, OptionError, UsageError
from landbridge.cli.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, BinaryIO

GLOBAL_FLAGS = (
    Flag("config", "", "string", "Directory of the client's settings (registry logins)"),
    Flag("context", "c", "string", "Ignored; kept for scripts written for Docker"),
    Flag("debug", "D", "bool", "Show a traceback when landbridge itself fails"),
    Flag("host", "H", "list", "Socket of the daemon: unix://PATH or tcp://HOST:PORT"),
    Flag("log-level", "l", "string", "Ignored; kept for scripts written for Docker"),
    Flag("tls", "", "bool", "Use TLS"),
    Flag("tlscacert", "", "string", "Trust only certificates signed by this CA"),
    Flag("tlscert", "", "string", "The client's certificate"),
    Flag("tlskey", "", "string", "The client's key"),
    Flag("tlsverify", "", "bool", "Use TLS and verify the daemon"),
    Flag("version", "v", "bool", "Print the version and quit"),
)


def arguments_wanted(command: Command) -> str:
    """How many arguments the command takes, in Docker's words."""
    low, high = command.low, command.high
    word = "argument" if (high if high is not None else low) == 1 else "arguments"
    if high == 0:
        return "accepts no arguments"
    if high is None:
        return f"requires at least {low} {word}"
    if low == high:
        return f"requires {low} {word}"
    return f"requires at most {high} {word}" if low == 0 else f"requires at least {low} and at most {high} {word}"


def find_command(words: list[str]) -> tuple[str, str, list[str]]:
    """Canonical path, path as typed and the words left. Raises: ExitWith for a command that does not exist."""
    if not words:
        raise ExitWith(0, "")
    first = words[0]
    if first in GROUPS:
        if len(words) == 1 or words[1].startswith("-"):
            return first, first, words[1:]
        typed = f"{first} {words[1]}"
        rest = words[2:]
    else:
        typed, rest = first, words[1:]
    canonical = SHORT.get(typed, typed)
    if canonical in COMMANDS:
        return canonical, typed, rest
    if reason := OMITTED.get(first) or OMITTED.get(typed):
        raise ExitWith(1, f"landbridge: '{typed if typed in OMITTED else first}' is left out on purpose: {reason}")
    usage = f"\nUsage:  landbridge {first}\n" if first in GROUPS else ""
    where = f"landbridge {first}" if first in GROUPS else "landbridge"
    raise ExitWith(
        1, f"landbridge: unknown command: landbridge {typed}\n{usage}\nRun '{where} --help' for more information"
    )


def handler_of(canonical: str) -> tuple[tuple[Flag, ...], Any, Any]:
    """Flags, function and checks of a command; imports its module, the only one of its kind this run needs."""
    name = f"landbridge.cli.{COMMANDS[canonical].module}"
    __import__(name)
    entry = sys.modules[name].COMMANDS[canonical]
    return entry if len(entry) == 3 else (*entry, {})


def run_command(session: Session, canonical: str, words: list[str]) -> int:
    """Parse the command's flags and run it."""
    command = COMMANDS[canonical]
    flags, function, checks = handler_of(canonical)
    checks = checks(session.env) if callable(checks) else checks  # some look names up in the environment
    parsed = parse(flags, words, interspersed=command.interspersed, checks=checks)
    if parsed["help"]:
        from landbridge.cli.usage import command_help  # only when help is wanted

        session.out(command_help(session, canonical, flags))
        return 0
    refusals = [f'"--{flag.name}" {flag.refused}' for flag in flags if flag.refused and flag.name in parsed.given]
    if refusals:
        raise ExitWith(1, "\n".join(refusals))
    count = len(parsed.args)
    if count < command.low or (command.high is not None and count > command.high):
        raise ArgumentCount(arguments_wanted(command))
    return int(function(session, parsed) or 0)


def report(session: Session, error: CommandError | UsageError | ArgumentCount, canonical: str) -> int:
    """Print the error in the shape its kind has and give the exit status."""
    command = COMMANDS.get(canonical)
    typed = f"{session.program} {session.path}".rstrip()
    usage = f"Usage:  {typed} {command.usage if command else '[OPTIONS] COMMAND [ARG...]'}"
    if isinstance(error, UsageError):
        session.err(f"{error.message}\n\n{usage}\n\nRun '{typed} --help' for more information")
        return 125
    if isinstance(error, ArgumentCount):
        open_ended = command is not None and command.high is None
        hint = "See" if open_ended else "Run"
        session.err(
            f"{session.program}: '{typed}' {error.message}\n\n{usage}\n\n{hint} '{typed} --help' for more information"
        )
        return 1
    if canonical == "container run" or isinstance(error, OptionError):
        session.err(f"{session.program}: {error.message}\n\nRun '{typed} --help' for more information")
        return getattr(error, "status", 125)
    session.err(error.message)
    return 1


def dispatch(session: Session, argv: list[str]) -> int:
    """Run the command `argv` names and report how it ended."""
    canonical = ""
    try:
        options = parse(GLOBAL_FLAGS, argv, interspersed=False)
        session.hosts = options["host"]
        session.tls = {name: options[name] for name in options.given if name.startswith("tls")}
        if options["config"]:
            session.env = {**session.env, "DOCKER_CONFIG": options["config"]}
        if options["version"]:
            from landbridge.cli.system import client_version  # only for this flag

            session.out(f"Landbridge version {client_version()}")
            return 0
        words = options.args
        if not words or options["help"] or words == ["help"]:
            from landbridge.cli.usage import program_help  # only when help is wanted

            session.out(program_help(GLOBAL_FLAGS))
            return 0
        if words[0] == "__complete":
            from landbridge.cli.complete import complete  # only for the shell

            complete(session, words[1:])
            return 0
        if words[0] == "help":
            words = [*words[1:], "--help"]
        canonical, session.path, words = find_command(words)
        if canonical in GROUPS:
            from landbridge.cli.usage import group_help  # only when help is wanted

            session.path = canonical
            asked = parse((), words)["help"]
            (session.out if asked else session.err)(group_help(canonical))
            return 0
        return run_command(session, canonical, words)
    except ExitWith as ending:
        if ending.message:
            session.err(ending.message)
        return ending.status
    except (CommandError, UsageError, ArgumentCount) as error:
        return report(session, error, canonical)
    except ConnectionResetError as error:  # in the middle of an answer; a broken pipe is standard output's, see `main`
        return report(session, CommandError(f"error during connect: {error}"), canonical)


def main(argv: list[str], env: Mapping[str, str], stdin: BinaryIO, stdout: BinaryIO, stderr: BinaryIO) -> int:
    """Run one command line and return its exit status; nothing but the streams given is touched.

    A broken pipe at stdout ends quietly with 141 (as a process killed by SIGPIPE), an interrupt with 130.
    """
    session = Session(env, stdin, stdout, stderr)
    try:
        try:
            return dispatch(session, argv)
        finally:
            session.close()
            stdout.flush()
    except BrokenPipeError:
        return 141
    except KeyboardInterrupt:
        return 130


def run_process() -> None:
    """`main` for this process; leaves without the interpreter's slow goodbye."""
    status = main(sys.argv[1:], os.environ, sys.stdin.buffer, sys.stdout.buffer, sys.stderr.buffer)
    try:
        sys.stdout.flush()
    except OSError:  # the reader is gone
        pass
    os._exit(status)
