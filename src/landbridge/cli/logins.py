"""Logins to registries: in the settings themselves, or with the credential helper they name for a server.

`credHelpers` names a helper for one server, `credsStore` one for all others; the program is docker-credential-NAME and
speaks JSON (github.com/docker/docker-credential-helpers). A server whose login a helper has is an empty entry in
`auths`.
"""

from __future__ import annotations

import os

from landbridge.cli.jsontext import decode, encode, indent
from landbridge.cli.outcome import CommandError
from landbridge.cli.settings import read_settings, settings_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from landbridge.cli.session import Session

TOKEN_USER = "<token>"  # a helper's user name for an identity token
_NONE = "credentials not found in native keychain"


def to_base64(data: bytes, *, url: bool) -> str:
    """Base64 with the usual alphabet, or that for URLs."""
    import binascii  # only for registries that need a login

    text = binascii.b2a_base64(data, newline=False).decode()
    return text.replace("+", "-").replace("/", "_") if url else text


def hostname(server: str) -> str:
    """`https://reg.example/v1/` → `reg.example`."""
    return server.removeprefix("http://").removeprefix("https://").partition("/")[0]


def _helper(settings: dict[str, Any], server: str) -> str:
    own = settings.get("credHelpers") or {}
    return str(own.get(server) or settings.get("credsStore") or "") if isinstance(own, dict) else ""


def _run(session: Session, helper: str, verb: str, text: str) -> str:
    """What the helper prints. Raises: CommandError when it fails or is not there."""
    import subprocess  # only where a helper is named

    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, verb], input=text.encode(), capture_output=True, check=False, env=dict(session.env)
        )
    except FileNotFoundError:
        raise CommandError(f'exec: "{program}": executable file not found in $PATH, out: ``') from None
    except OSError as error:
        raise CommandError(f"fork/exec {program}: {(error.strerror or '').lower()}, out: ``") from None
    printed = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode:
        raise CommandError(f"exit status {done.returncode}, out: `{printed}`")
    return printed


def stored_login(session: Session, server: str) -> dict[str, Any] | None:
    """User name and password (or token) kept for a registry; None where there are none, or a helper cannot say."""
    settings = read_settings(session.env)
    helper = _helper(settings, server)
    if not helper:
        return _from_file(session, settings, server)
    try:
        found = decode(_run(session, helper, "get", server))
    except (CommandError, ValueError):
        return None  # without a login, as Docker: the registry says what it thinks of that
    if not isinstance(found, dict) or not found.get("Username"):
        return None
    if found["Username"] == TOKEN_USER:
        return {"serveraddress": server, "identitytoken": found.get("Secret", "")}
    return {"username": found["Username"], "password": found.get("Secret", ""), "serveraddress": server}


def _from_file(session: Session, settings: dict[str, Any], server: str) -> dict[str, Any] | None:
    """Raises: CommandError when the entry cannot be read."""
    auths = settings.get("auths") or {}
    entry = auths.get(server) or next((auths[name] for name in auths if hostname(name) == server), None)
    if not entry:
        return None
    if entry.get("identitytoken"):
        return {"identitytoken": entry["identitytoken"], "serveraddress": server}
    import binascii  # only for registries that need a login

    try:
        user, _, password = binascii.a2b_base64(entry.get("auth", "")).decode().partition(":")
    except ValueError:
        raise CommandError(f"the login for {server} in {settings_path(session.env)} cannot be read") from None
    return {"username": user, "password": password, "serveraddress": server} if user else None


def store_login(session: Session, server: str, *, user: str, secret: str, token: str) -> bool:
    """Keep a login; `token` replaces the password. True when it is in the settings, for everybody who reads them.

    Raises: CommandError when the helper fails.
    """
    settings = read_settings(session.env)
    helper = _helper(settings, server)
    entry: dict[str, str] = {}
    if helper:
        kept = {"ServerURL": server, "Username": TOKEN_USER if token else user, "Secret": token or secret}
        try:
            _run(session, helper, "store", encode(kept))
        except CommandError as error:
            raise CommandError(f"Error saving credentials: error storing credentials - err: {error.message}") from None
    elif token:
        entry = {"auth": to_base64(f"{user}:".encode(), url=False), "identitytoken": token}
    else:
        entry = {"auth": to_base64(f"{user}:{secret}".encode(), url=False)}
    auths = settings.setdefault("auths", {})
    if auths.get(server) != entry:
        auths[server] = entry
        _write_settings(session, settings)
    return not helper


def erase_login(session: Session, server: str) -> str:
    """Forget a login under all its spellings; what went wrong, if anything did. None there is no error."""
    settings = read_settings(session.env)
    spellings = [server] if "/" in server else [server, f"http://{server}", f"https://{server}"]
    problem, changed = "", False
    for name in spellings:
        if helper := _helper(settings, name):
            try:
                _run(session, helper, "erase", name)
            except CommandError as error:
                if name == server and _NONE not in error.message:
                    problem = f"error erasing credentials - err: {error.message}"
        changed = (settings.get("auths") or {}).pop(name, None) is not None or changed
    if changed:
        _write_settings(session, settings)
    return problem


def _write_settings(session: Session, settings: dict[str, Any]) -> None:
    path = settings_path(session.env)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    temporary = f"{path}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(indent(encode(settings), "\t") + "\n")
    os.replace(temporary, path)
