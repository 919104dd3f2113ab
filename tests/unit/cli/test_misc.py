"""Commands with a side of their own: explain, login, prune's question, progress on a terminal, help, tls."""

import base64
import io
import json
import os
import pty
from pathlib import Path
from typing import Any

import pytest
from capture import CaptureServer

from landbridge.cli.commands import COMMANDS, SHORT
from landbridge.cli.main import handler_of, main
from landbridge.cli.progress import bar
from landbridge.cli.reference import parse_reference
from landbridge.cli.stats import cpu_percent, memory_used

HOPS = {
    "reachable": False, "summary": "nothing listens on 80",
    "hops": [{"what": "client", "detail": "10.9.0.1"}, {"what": "publish rule", "detail": "tcp 8080 → 172.18.0.2:80"}],
}  # fmt: skip


def run(
    tmp_path: Path, *argv: str, answers: Any = None, stdin: bytes = b"", env: dict[str, str] | None = None
) -> tuple[int, str, str, CaptureServer]:
    out, err = io.BytesIO(), io.BytesIO()
    socket = tmp_path / "s"
    socket.unlink(missing_ok=True)
    with CaptureServer(socket, answers=answers or {}) as server:
        settings = {"HOME": str(tmp_path), "LANDBRIDGE_HOST": f"unix://{socket}", **(env or {})}
        status = main(list(argv), settings, io.BytesIO(stdin), out, err)
    return status, out.getvalue().decode(), err.getvalue().decode(), server


def test_explain_prints_a_hop_per_line_and_fails_when_unreachable(tmp_path: Path) -> None:
    answers = {("GET", "/landbridge/explain"): (200, HOPS)}
    status, out, _, server = run(tmp_path, "explain", "web1:80", answers=answers)
    assert status == 1
    assert out == (
        "   client        10.9.0.1\n → publish rule  tcp 8080 → 172.18.0.2:80\nnot reachable: nothing listens on 80\n"
    )
    assert server.requests[0].query == {"target": "web1:80"}
    good = {**HOPS, "reachable": True}
    status, out, _, _ = run(tmp_path, "explain", "--json", "x", answers={("GET", "/landbridge/explain"): (200, good)})
    assert (status, json.loads(out)) == (0, good)


def test_explain_is_coloured_only_on_a_terminal_without_no_color(tmp_path: Path) -> None:
    def printed(env: dict[str, str]) -> bytes:
        ours, theirs = pty.openpty()
        with (
            CaptureServer(tmp_path / "t", answers={("GET", "/landbridge/explain"): (200, HOPS)}),
            os.fdopen(theirs, "wb") as out,
        ):
            host = {"LANDBRIDGE_HOST": f"unix://{tmp_path}/t", **env}
            main(["explain", "x"], host, io.BytesIO(), out, io.BytesIO())
            found = os.read(ours, 10000)
        os.close(ours)
        (tmp_path / "t").unlink()
        return found

    assert b"\x1b[31mnot reachable" in printed({})
    assert b"\x1b" not in printed({"NO_COLOR": "1"})


def test_a_login_is_kept_and_used(tmp_path: Path) -> None:
    status, out, err, server = run(tmp_path, "login", "-u", "me", "--password-stdin", "reg.example", stdin=b"s3cret\n")
    assert (status, out) == (0, "Login Succeeded\n")
    assert "stored unencrypted" in err
    assert server.requests[0].body == {"username": "me", "password": "s3cret", "serveraddress": "reg.example"}
    settings = tmp_path / ".docker" / "config.json"
    assert settings.stat().st_mode & 0o777 == 0o600
    assert json.loads(settings.read_text())["auths"]["reg.example"] == {"auth": base64.b64encode(b"me:s3cret").decode()}
    _, _, _, server = run(tmp_path, "pull", "reg.example/x")
    header = json.loads(base64.urlsafe_b64decode(server.requests[0].headers["x-registry-auth"]))
    assert header == {"username": "me", "password": "s3cret", "serveraddress": "reg.example"}
    assert "x-registry-auth" not in run(tmp_path, "pull", "other.example/x")[3].requests[0].headers
    assert run(tmp_path, "logout", "reg.example")[:2] == (0, "Removing login credentials for reg.example\n")
    assert json.loads(settings.read_text())["auths"] == {}


def test_a_refused_login_changes_nothing(tmp_path: Path) -> None:
    answers = {("POST", "/auth"): (401, {"message": "unauthorized"})}
    status, _, err, _ = run(tmp_path, "login", "-u", "me", "--password-stdin", stdin=b"x", answers=answers)
    assert (status, err) == (1, "Error response from daemon: unauthorized\n")
    assert not (tmp_path / ".docker").exists()


@pytest.mark.parametrize(("typed", "asked"), [(b"y\n", True), (b"n\n", False), (b"", False), (b"Y\n", True)])
def test_prune_asks_first(tmp_path: Path, typed: bytes, asked: bool) -> None:  # noqa: FBT001
    answers = {("POST", "/containers/prune"): (200, {"ContainersDeleted": ["ab", "cd"], "SpaceReclaimed": 1200})}
    status, out, _, server = run(tmp_path, "container", "prune", stdin=typed, answers=answers)
    assert status == 0
    assert out.startswith(
        "WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] "
    )
    assert out.endswith("Deleted Containers:\nab\ncd\n\nTotal reclaimed space: 1.2kB\n") is asked
    assert bool(server.requests) is asked


def test_settings_give_the_default_format(tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text('{"psFormat": "{{.Names}}!"}')
    assert run(tmp_path, "ps")[1].startswith("c1!\nweb!\n")
    (tmp_path / ".docker" / "config.json").write_text("broken")
    assert run(tmp_path, "ps")[1].startswith("CONTAINER ID")


def test_a_bar_grows() -> None:
    assert bar({}, 120) == ""
    assert (
        bar({"current": 500, "total": 1000}, 120)
        == "[=========================>                         ]     500B/1kB"
    )
    assert bar({"current": 500, "total": 1000}, 80) == "    500B/1kB"
    assert bar({"current": 500}, 120) == "    500B"


def test_every_command_has_a_handler_and_help(tmp_path: Path) -> None:
    for path in COMMANDS:
        flags, function, _ = handler_of(path)
        assert callable(function)
        assert len({flag.name for flag in flags}) == len(flags), path
        shorts = [flag.short for flag in flags if flag.short]
        assert len(set(shorts)) == len(shorts), path
        status, out, _, _ = run(tmp_path, *path.split(), "--help")
        assert status == 0
        assert out.startswith(f"Usage:  landbridge {path} ")
        assert all(f"--{flag.name}" in out for flag in flags if flag.shown)


def test_short_names_lead_to_commands() -> None:
    assert set(SHORT.values()) <= set(COMMANDS)


def test_help_of_the_program_and_of_a_group(tmp_path: Path) -> None:
    for argv in ([], ["--help"], ["help"]):
        status, out, _, _ = run(tmp_path, *argv)
        assert status == 0
        assert "  explain" in out
        assert "Management Commands:" in out
    assert run(tmp_path, "network", "--help")[1].startswith("Usage:  landbridge network COMMAND")
    assert run(tmp_path, "help", "ps")[1].startswith("Usage:  landbridge ps [OPTIONS]")


def test_stats_arithmetic() -> None:
    sample = {
        "cpu_stats": {"cpu_usage": {"total_usage": 300}, "system_cpu_usage": 2000, "online_cpus": 2},
        "precpu_stats": {"cpu_usage": {"total_usage": 200}, "system_cpu_usage": 1000},
    }
    assert cpu_percent(sample) == pytest.approx(20.0)
    assert cpu_percent({}) == 0.0
    assert memory_used({"usage": 100, "stats": {"inactive_file": 30}}) == 70
    assert memory_used({"usage": 100, "stats": {"total_inactive_file": 40, "inactive_file": 30}}) == 60


@pytest.mark.parametrize(
    ("text", "name", "familiar"),
    [
        ("busybox", "docker.io/library/busybox", "busybox"), ("a/b", "docker.io/a/b", "a/b"),
        ("docker.io/library/x:1", "docker.io/library/x", "x:1"), ("localhost/x", "localhost/x", "localhost/x"),
        ("h:5000/a/b:t", "h:5000/a/b", "h:5000/a/b:t"), ("h.io/a@sha256:" + "a" * 64, "h.io/a", "h.io/a@sha256:" + "a" * 64),
    ],
)  # fmt: skip
def test_image_names(text: str, name: str, familiar: str) -> None:
    assert (parse_reference(text).name, str(parse_reference(text))) == (name, familiar)


def test_errors_of_several_containers_do_not_stop_the_others(tmp_path: Path) -> None:
    answers = {("POST", "/containers/bad/stop"): (404, {"message": "No such container: bad"})}
    status, out, err, _ = run(tmp_path, "stop", "a", "bad", "b", answers=answers)
    assert (status, out, err) == (1, "a\nb\n", "Error response from daemon: No such container: bad\n")


@pytest.mark.parametrize(("flag", "status"), [((), 1), (("-f",), 0)])
def test_removing_what_is_not_there(tmp_path: Path, flag: tuple[str, ...], status: int) -> None:
    answers = {("DELETE", "/containers/bad"): (404, {"message": "No such container: bad"})}
    code, out, err, _ = run(tmp_path, "rm", *flag, "bad", "a", answers=answers)
    assert (code, out, err) == (status, "a\n", "Error response from daemon: No such container: bad\n")


def test_start_names_the_containers_that_failed(tmp_path: Path) -> None:
    answers = {("POST", f"/containers/{name}/start"): (500, {"message": f"broken {name}"}) for name in ("x", "y")}
    status, out, err, _ = run(tmp_path, "start", "x", "a", "y", answers=answers)
    assert (status, out) == (1, "a\n")
    assert err == (
        "Error response from daemon: broken x\nError response from daemon: broken y\n"
        "Error: failed to start containers: x, y\n"
    )


def test_what_is_left_out_says_so(tmp_path: Path) -> None:
    status, out, err, _ = run(tmp_path, "build", ".")
    assert (status, out) == (1, "")
    assert err.startswith("landbridge: 'build' is left out on purpose: building images is out of scope")


def test_explain_takes_a_port_or_a_container(tmp_path: Path) -> None:
    refused = (400, {"message": "cannot explain 'c'"})
    answers = {("GET", "/landbridge/explain"): (200, HOPS)}
    _, _, _, server = run(tmp_path, "explain", "8080/udp", answers=answers)
    assert server.requests[0].query == {"target": "127.0.0.1:8080/udp"}
    status, _, err, server = run(
        tmp_path,
        "explain",
        "nothing",
        answers={("GET", "/landbridge/explain"): refused}
        | {("GET", "/containers/nothing/json"): (404, {"message": "No such container: nothing"})},
    )
    assert (status, err) == (1, "Error response from daemon: cannot explain 'c'\n")
    asked = []

    def answer(reader: Any, connection: Any) -> None:
        asked.append(server.requests[-1].query["target"])
        status, text = (400, b'{"message":"no"}') if asked[-1] == "c:80" else (200, json.dumps(HOPS).encode())
        connection.sendall(
            b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (status, len(text), text)
        )

    (tmp_path / "s").unlink()
    with CaptureServer(tmp_path / "s") as server:
        server.streams["GET", "/landbridge/explain"] = answer
        main(["explain", "c:80"], {"LANDBRIDGE_HOST": f"unix://{tmp_path}/s"}, io.BytesIO(), io.BytesIO(), io.BytesIO())
    assert asked == ["c:80", "127.0.0.1:32768/tcp", "[::1]:32768/tcp", "127.0.0.1:999/udp"]
