"""`exec`: one more process in a running container."""

from __future__ import annotations

from landbridge.cli.attach import Attached, check_terminal, detach_keys
from landbridge.cli.client import quote
from landbridge.cli.flags import Flag
from landbridge.cli.lifecycle import container_path
from landbridge.cli.outcome import CommandError, ExitWith
from landbridge.cli.runflags import DETACH_KEYS
from landbridge.cli.terminal import window_size
from landbridge.cli.values import env_check, read_env_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session

FLAGS = (
    Flag("detach", "d", "bool", "Leave the command running and return"),
    DETACH_KEYS,
    Flag("env", "e", "list", "Set a variable of the environment"),
    Flag("env-file", "", "list", "Read variables from a file"),
    Flag("interactive", "i", "bool", "Keep STDIN open"),
    Flag("privileged", "", "bool", "Give the command all privileges"),
    Flag("tty", "t", "bool", "Give the command a terminal"),
    Flag("user", "u", "string", "User: name or uid, and :group"),
    Flag("workdir", "w", "string", "Working directory of the command"),
)


def exec_body(flags: Parsed, env: Mapping[str, str], size: tuple[int, int], keys: str) -> dict[str, Any]:
    """The body of POST /containers/NAME/exec. Raises: CommandError."""
    try:
        from_files = [line for path in flags["env-file"] for line in read_env_file(path, "env", env)]
    except ValueError as error:
        raise CommandError(str(error)) from None
    attach = not flags["detach"]
    body: dict[str, Any] = {
        "User": flags["user"], "Privileged": flags["privileged"], "Tty": flags["tty"],
        "AttachStdin": attach and flags["interactive"], "AttachStderr": attach, "AttachStdout": attach,
        "Detach": flags["detach"], "DetachKeys": keys, "Env": from_files + flags["env"] or None,
        "WorkingDir": flags["workdir"], "Cmd": flags.args[1:],
    }  # fmt: skip
    if flags["tty"]:
        body["ConsoleSize"] = list(size)
    return body


def execute(session: Session, flags: Parsed) -> int:
    """Run the command and give its exit code; 0 at once when detached."""
    name = flags.args[0]
    stdin = flags["interactive"] and not flags["detach"]
    try:
        check_terminal(session, stdin=stdin, tty=flags["tty"])
    except ExitWith:
        session.client.get(container_path(name, "/json"))  # a container that is not there is the better complaint
        raise
    size = window_size(session.fileno(session.stdout)) if flags["tty"] else (0, 0)
    keys = detach_keys(session, flags["detach-keys"])
    answer = session.client.post(container_path(name, "/exec"), body=exec_body(flags, session.env, size, keys))
    if not answer or not answer.get("Id"):
        raise CommandError("exec ID empty")
    path = f"/exec/{quote(answer['Id'])}"
    start: dict[str, Any] = {"Detach": flags["detach"], "Tty": flags["tty"]}
    if flags["tty"]:
        start["ConsoleSize"] = list(size)
    if flags["detach"]:
        session.client.post(f"{path}/start", body=start)
        return 0
    attached = Attached(session, tty=flags["tty"], stdin=stdin, keys=keys, resize_path=f"{path}/resize")
    stream, _ = session.client.hijack(f"{path}/start", body=start)
    if not attached.run(stream):
        return 0
    return int(session.client.get(f"{path}/json").get("ExitCode") or 0)


COMMANDS = {"container exec": (FLAGS, execute, lambda env: {"env": env_check(env)})}
