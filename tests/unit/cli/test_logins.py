"""Where logins are kept: in the settings, or with a credential helper, asked as docker 28 asks it (seen there line by line)."""

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from capture import CaptureServer

ROOT = Path(__file__).parents[3]
HELPER = """#!/bin/sh
text=$(cat)
echo "$1 $text" >>"$HELPED"
[ "$1" = get ] || exit 0
case $text in
*nobody*) echo "credentials not found in native keychain"; exit 1 ;;
*token*) echo '{"ServerURL":"x","Username":"<token>","Secret":"ticket"}' ;;
*rubbish*) echo rubbish ;;
*) echo '{"ServerURL":"x","Username":"alice","Secret":"secret"}' ;;
esac
"""


class Desk:
    """Settings, a helper called `t`, and a server; `run` gives what was printed to stderr."""

    def __init__(self, directory: Path, server: CaptureServer, path: Path) -> None:
        self.directory, self.server = directory, server
        (directory / "docker-credential-t").write_text(HELPER)
        (directory / "docker-credential-t").chmod(0o755)
        self.settings = directory / "config.json"
        self.log = directory / "log"
        self.log.touch()
        self.environment = {
            "PATH": f"{directory}:/usr/bin:/bin", "HOME": "/nonexistent", "DOCKER_CONFIG": str(directory),
            "HELPED": str(self.log), "LANDBRIDGE_HOST": f"unix://{path}",
        }  # fmt: skip

    def given(self, **settings: Any) -> None:
        self.settings.write_text(json.dumps(settings))

    def run(self, *words: str, code: int = 0, stdin: str = "pw") -> str:
        done = subprocess.run(
            [str(ROOT / "bin/landbridge"), *words], input=stdin, capture_output=True, text=True, check=False,
            env=self.environment,
        )  # fmt: skip
        assert done.returncode == code, done
        return done.stderr

    def sent(self) -> dict[str, Any] | None:
        """The login the last request carried."""
        header = self.server.requests[-1].headers.get("x-registry-auth")
        return json.loads(base64.urlsafe_b64decode(header)) if header else None

    def kept(self) -> Any:
        return json.loads(self.settings.read_text())

    def helped(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    path = Path(f"/tmp/lb-login-{os.getpid()}.sock")
    with CaptureServer(path) as server:
        yield Desk(tmp_path, server, path)
    path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("server", "login"),
    [
        ("reg.example:5000", {"username": "alice", "password": "secret", "serveraddress": "reg.example:5000"}),
        ("token.example", {"identitytoken": "ticket", "serveraddress": "token.example"}),
        ("nobody.example", None), ("rubbish.example", None),
    ],
)  # fmt: skip
def test_a_pull_takes_its_login_from_the_helper(desk: Desk, server: str, login: object) -> None:
    desk.given(credsStore="t")
    desk.run("pull", f"{server}/x")
    assert desk.sent() == login
    assert desk.helped() == [f"get {server}"]


def test_a_helper_of_one_server_alone(desk: Desk) -> None:
    both = {"file.example": {"auth": "YTpi"}, "https://url.example/v1/": {"auth": "YTpj"}}
    desk.given(credHelpers={"reg.example": "t", "gone.example": "gone"}, auths=both)
    desk.run("pull", "reg.example/x")
    assert desk.sent() == {"username": "alice", "password": "secret", "serveraddress": "reg.example"}
    desk.run("pull", "file.example/x")
    assert desk.sent() == {"username": "a", "password": "b", "serveraddress": "file.example"}
    desk.run("pull", "url.example/x")  # the registry by its whole address
    assert desk.sent() == {"username": "a", "password": "c", "serveraddress": "url.example"}
    desk.run("pull", "gone.example/x")
    assert desk.sent() is None
    assert desk.helped() == ["get reg.example"]


def test_login_and_logout_with_a_helper(desk: Desk) -> None:
    desk.given(credsStore="t")
    assert desk.run("login", "-u", "me", "--password-stdin", "https://reg.example/v2/") == ""
    assert desk.kept() == {"credsStore": "t", "auths": {"reg.example": {}}}
    desk.run("logout", "reg.example")
    assert desk.kept() == {"credsStore": "t", "auths": {}}
    assert desk.helped() == [
        'store {"ServerURL":"reg.example","Username":"me","Secret":"pw"}',
        "erase reg.example", "erase http://reg.example", "erase https://reg.example",
    ]  # fmt: skip


def test_a_login_that_is_there_is_used_again(desk: Desk) -> None:
    desk.given(credsStore="t")
    assert "Authenticating with existing credentials... [Username: alice]" in desk.run("login", "reg.example")
    assert desk.server.requests[-1].body == {"username": "alice", "password": "secret", "serveraddress": "reg.example"}
    assert "non TTY device" in desk.run("login", "nobody.example", code=1)


def test_a_helper_that_is_not_there(desk: Desk) -> None:
    desk.given(credsStore="gone")
    assert desk.run("login", "-u", "me", "--password-stdin", "reg.example", code=1) == (
        'Error saving credentials: error storing credentials - err: exec: "docker-credential-gone": '
        "executable file not found in $PATH, out: ``\n"
    )
    assert desk.kept() == {"credsStore": "gone"}


def test_without_a_helper_the_settings_keep_it(desk: Desk) -> None:
    assert "stored unencrypted" in desk.run("login", "-u", "me", "--password-stdin", "reg.example")
    assert desk.kept() == {"auths": {"reg.example": {"auth": "bWU6cHc="}}}
    assert desk.settings.stat().st_mode & 0o777 == 0o600
