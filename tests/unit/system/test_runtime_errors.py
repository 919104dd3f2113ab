"""Runtimes' sentences in Docker's words. The left sides are what crun 1.8 and runc 1.1 say."""

import json

import pytest

from landbridge.system.runtime_errors import create_failed, exec_failed, last_error

CREATE = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: "
    "runc create failed: unable to start container process: "
)
EXEC = "OCI runtime exec failed: exec failed: unable to start container process: "


@pytest.mark.parametrize(
    ("said", "program", "detail", "code"),
    [
        ("executable file `x` not found in $PATH: No such file or directory", "x",
         'exec: "x": executable file not found in $PATH: unknown', 127),
        ("executable file `/a/x` not found in $PATH: No such file or directory", "/a/x",
         'exec: "/a/x": stat /a/x: no such file or directory: unknown', 127),
        ("open executable: Operation not permitted", "/etc",
         'exec: "/etc": is a directory: unknown: permission denied', 126),
        ("open executable: Permission denied", "/a/x", 'exec: "/a/x": permission denied: unknown', 126),
        ("chdir `/w`: No such file or directory", "x",
         'chdir to cwd ("/w") set in config.json failed: no such file or directory: unknown', 127),
        ('runc create failed: unable to start container process: exec: "x": executable file not found in $PATH', "x",
         'exec: "x": executable file not found in $PATH: unknown', 127),
        ('exec failed: unable to start container process: exec: "/etc": permission denied', "/etc",
         'exec: "/etc": permission denied: unknown', 126),
        ("write to /proc/sys/kernel/shmmax: Invalid argument", "x",
         "error during container init: write /proc/sys/kernel/shmmax: invalid argument: unknown", 128),
        ("open `/proc/sys/fs/mqueue/no`: No such file or directory", "x",
         "error during container init: open /proc/sys/fs/mqueue/no: no such file or directory: unknown", 127),
        ("cannot do that", "x", "cannot do that: unknown", 128),
        ("", "x", "the runtime failed without a word: unknown", 128),
    ],
)  # fmt: skip
def test_in_dockers_words(said: str, program: str, detail: str, code: int) -> None:
    made, executed = create_failed(said, program), exec_failed(said, program)
    assert (made.message, made.exit_code) == (CREATE + detail, code)
    assert (executed.message, executed.exit_code) == (EXEC + detail, code)
    assert made.kind == ("internal" if code == 128 else "invalid")


def test_the_last_error_of_a_log_counts() -> None:
    records = [{"level": "error", "msg": "first"}, {"level": "error", "msg": "last"}, {"level": "debug", "msg": "no"}]
    log = "\n".join(map(json.dumps, records)) + '\n{"level": "error", "ms'
    assert last_error(log) == "last"
    assert last_error("") == ""
    assert last_error("plain words\n") == "plain words"
