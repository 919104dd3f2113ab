"""`pull`, `push`, `login`, `logout`."""

from __future__ import annotations

import os

from landbridge.cli.client import quote
from landbridge.cli.flags import Flag
from landbridge.cli.jsontext import encode, indent
from landbridge.cli.outcome import CommandError
from landbridge.cli.progress import show_progress
from landbridge.cli.reference import Reference, parse_reference
from landbridge.cli.settings import read_settings, settings_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session

HUB = "https://index.docker.io/v1/"
TRUST = Flag("disable-content-trust", "", "bool", "Ignored; images are not signed here", default=True, shown=False)


def _base64(data: bytes, *, url: bool) -> str:
    import binascii  # only for registries that need a login

    text = binascii.b2a_base64(data, newline=False).decode()
    return text.replace("+", "-").replace("/", "_") if url else text


def server_of(reference: Reference) -> str:
    """The key of the registry's login in the settings."""
    return HUB if reference.domain == "docker.io" else reference.domain


def stored_login(session: Session, server: str) -> dict[str, Any] | None:
    """User name and password (or token) kept for a registry. Raises: CommandError when they cannot be read."""
    entry = (read_settings(session.env).get("auths") or {}).get(server)
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


def login_header(session: Session, reference: Reference) -> dict[str, str]:
    """The header that carries the registry's login; none is needed without one."""
    login = stored_login(session, server_of(reference))
    return {"X-Registry-Auth": _base64(encode(login).encode(), url=True)} if login else {}


def fetch(session: Session, reference: Reference, *, platform: str = "", quiet: bool = False) -> None:
    """Pull for `run`: progress on stderr. Raises: CommandError."""
    _pull(session, reference, platform=platform, quiet=quiet, error_stream=True)


def _pull(session: Session, reference: Reference, *, platform: str, quiet: bool, error_stream: bool = False) -> None:
    query = {"fromImage": reference.name, "tag": reference.digest or reference.tag, "platform": platform}
    response = session.client.call("POST", "/images/create", query, headers=login_header(session, reference))
    show_progress(session, response, session.stderr if error_stream else session.stdout, quiet=quiet)


def _parse(text: str) -> Reference:
    try:
        return parse_reference(text)
    except ValueError as error:
        raise CommandError(str(error)) from None


def pull(session: Session, flags: Parsed) -> None:
    reference = _parse(flags.args[0])
    if flags["all-tags"]:
        if reference.tag or reference.digest:
            raise CommandError("tag can't be used with --all-tags/-a")
    elif not reference.tag and not reference.digest:
        reference = reference.with_default_tag()
        if not flags["quiet"]:
            session.out(f"Using default tag: {reference.tag}")
    _pull(session, reference, platform=flags["platform"], quiet=flags["quiet"])
    session.out(reference.name + reference.suffix())


def push(session: Session, flags: Parsed) -> None:
    reference = _parse(flags.args[0])
    if flags["all-tags"]:
        if reference.tag or reference.digest:
            raise CommandError("tag can't be used with --all-tags/-a")
    elif not reference.tag and not reference.digest:
        reference = reference.with_default_tag()
        if not flags["quiet"]:
            session.out(f"Using default tag: {reference.tag}")
    headers = login_header(session, reference) or {"X-Registry-Auth": _base64(b"{}", url=True)}
    path = f"/images/{quote(reference.name, '/:')}/push"
    response = session.client.call("POST", path, {"tag": reference.tag}, headers=headers)
    show_progress(session, response, session.stdout, quiet=flags["quiet"])
    if flags["quiet"]:
        session.out(reference.name + reference.suffix())


def _write_settings(session: Session, settings: dict[str, Any]) -> None:
    path = settings_path(session.env)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    temporary = f"{path}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(indent(encode(settings), "\t") + "\n")
    os.replace(temporary, path)


def _secret(session: Session, flags: Parsed) -> str:
    if flags["password-stdin"]:
        if flags["password"]:
            raise CommandError("conflicting options: cannot specify both --password and --password-stdin")
        if not flags["username"]:
            raise CommandError("the --password-stdin option requires --username to be set")
        return session.stdin.read().decode().rstrip("\r\n")
    if flags["password"]:
        session.err("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
        return str(flags["password"])
    if not session.is_terminal(session.stdin):
        raise CommandError("Error: Cannot perform an interactive login from a non-TTY device")
    from getpass import getpass  # only for a password typed by hand

    return getpass("Password: ")


def login(session: Session, flags: Parsed) -> None:
    """Check a user name and password with the registry and keep them in the settings."""
    server = flags.args[0] if flags.args and flags.args[0] not in ("docker.io", "index.docker.io") else HUB
    user = flags["username"]
    if not user and session.is_terminal(session.stdin):
        session.write("Username: ")
        user = session.stdin.readline().decode().strip()
    secret = _secret(session, flags)
    if not user:
        raise CommandError("Error: username is required")
    answer = session.client.post("/auth", body={"username": user, "password": secret, "serveraddress": server})
    token = (answer or {}).get("IdentityToken")
    entry = {"auth": _base64(f"{user}:".encode(), url=False), "identitytoken": token} if token else {
        "auth": _base64(f"{user}:{secret}".encode(), url=False)
    }  # fmt: skip
    settings = read_settings(session.env)
    settings.setdefault("auths", {})[server] = entry
    _write_settings(session, settings)
    session.err(f"\nWARNING! Your credentials are stored unencrypted in '{settings_path(session.env)}'.\n")
    session.out((answer or {}).get("Status") or "Login Succeeded")


def logout(session: Session, flags: Parsed) -> None:
    server = flags.args[0] if flags.args else HUB
    settings = read_settings(session.env)
    session.out(f"Removing login credentials for {server}")
    if (settings.get("auths") or {}).pop(server, None) is not None:
        _write_settings(session, settings)


COMMANDS = {
    "image pull": (
        (
            Flag("all-tags", "a", "bool", "Pull every tag of the repository"),
            TRUST,
            Flag("platform", "", "string", "Platform of the image"),
            Flag("quiet", "q", "bool", "Print only the name"),
        ),
        pull,
    ),
    "image push": (
        (
            Flag("all-tags", "a", "bool", "Push every tag of the repository"),
            TRUST,
            Flag("platform", "", "string", "Platform of the image", shown=False),
            Flag("quiet", "q", "bool", "Print only the name"),
        ),
        push,
    ),
    "login": (
        (
            Flag("password", "p", "string", "Password or access token"),
            Flag("password-stdin", "", "bool", "Read the password from stdin"),
            Flag("username", "u", "string", "User name"),
        ),
        login,
    ),
    "logout": ((), logout),
}
