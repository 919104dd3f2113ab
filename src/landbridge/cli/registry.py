"""`pull`, `push`, `login`, `logout`."""

from __future__ import annotations

from landbridge.cli.client import quote
from landbridge.cli.flags import Flag
from landbridge.cli.jsontext import encode
from landbridge.cli.logins import erase_login, hostname, store_login, stored_login, to_base64
from landbridge.cli.outcome import CommandError, DaemonError
from landbridge.cli.progress import show_progress
from landbridge.cli.reference import Reference, parse_reference
from landbridge.cli.settings import settings_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session

HUB = "https://index.docker.io/v1/"
TRUST = Flag("disable-content-trust", "", "bool", "Ignored; images are not signed here", default=True, shown=False)


def server_of(reference: Reference) -> str:
    """The key of the registry's login in the settings."""
    return HUB if reference.domain == "docker.io" else reference.domain


def login_header(session: Session, reference: Reference) -> dict[str, str]:
    """The header that carries the registry's login; none is needed without one."""
    login = stored_login(session, server_of(reference))
    return {"X-Registry-Auth": to_base64(encode(login).encode(), url=True)} if login else {}


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
    headers = login_header(session, reference) or {"X-Registry-Auth": to_base64(b"{}", url=True)}
    path = f"/images/{quote(reference.name, '/:')}/push"
    response = session.client.call("POST", path, {"tag": reference.tag}, headers=headers)
    show_progress(session, response, session.stdout, quiet=flags["quiet"])
    if flags["quiet"]:
        session.out(reference.name + reference.suffix())


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
        raise CommandError("Error: Cannot perform an interactive login from a non TTY device")
    from getpass import getpass  # only for a password typed by hand

    return getpass("Password: ")


def _existing(session: Session, server: str) -> bool:
    """Log in with what is kept, when there is something; True when it worked."""
    try:
        kept = stored_login(session, server)
    except CommandError:
        return False
    if kept is None or not (kept.get("username") and kept.get("password")):
        return False
    session.err(
        f"Authenticating with existing credentials... [Username: {kept['username']}]\n\n"
        " Info -> To login with a different account, run 'landbridge logout' followed by 'landbridge login'\n\n"
    )
    try:
        _log_in(session, server, kept["username"], kept["password"], known=True)
    except DaemonError as error:
        session.err(f"Login did not succeed, error: {error.message}")
        return False
    return True


def _log_in(session: Session, server: str, user: str, secret: str, *, known: bool = False) -> None:
    answer = session.client.post("/auth", body={"username": user, "password": secret, "serveraddress": server}) or {}
    in_settings = store_login(session, server, user=user, secret=secret, token=answer.get("IdentityToken") or "")
    if in_settings and not known:
        session.err(f"\nWARNING! Your credentials are stored unencrypted in '{settings_path(session.env)}'.\n")
    session.out(answer.get("Status") or "Login Succeeded")


def login(session: Session, flags: Parsed) -> None:
    """Check a user name and password with the registry and keep them."""
    server = flags.args[0] if flags.args and flags.args[0] not in ("docker.io", "index.docker.io") else HUB
    server = server if server == HUB else hostname(server)
    if not flags.given & {"username", "password", "password-stdin"} and _existing(session, server):
        return
    user = flags["username"]
    if not user and session.is_terminal(session.stdin):
        session.write("Username: ")
        user = session.stdin.readline().decode().strip()
    secret = _secret(session, flags)
    if not user:
        raise CommandError("Error: username is required")
    _log_in(session, server, user, secret)


def logout(session: Session, flags: Parsed) -> None:
    server = flags.args[0] if flags.args else HUB
    server = server if server == HUB else hostname(server)
    session.out(f"Removing login credentials for {server}")
    if problem := erase_login(session, server):
        session.err(f"WARNING: could not erase credentials:\n{server}: {problem}")


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
