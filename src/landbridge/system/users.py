"""``--user`` and ``--group-add`` in numbers, from the container's own /etc/passwd and /etc/group.

The rules are those of Docker's engine: a name must exist, a number need not; supplementary groups from
/etc/group only when no group was named. The files are an image's: any line may be nonsense and is skipped then.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from landbridge.errors import Invalid
from landbridge.model.process import User
from landbridge.system import rootfs as inside

_MAX_ID = (1 << 31) - 1
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Passwd:
    name: str
    uid: int
    gid: int
    home: str


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    gid: int
    members: tuple[str, ...]


def resolve(rootfs: str, user: str, group_add: tuple[str, ...] = ()) -> User:
    """Who ``user`` (``name``, ``uid``, ``…:group``, empty for root) is inside `rootfs`.

    Raises: Invalid with Docker's sentences for a name that is not there or a number out of range.
    """
    passwd = tuple(_lines(inside.read_file(rootfs, "/etc/passwd"), _passwd))
    groups = tuple(_lines(inside.read_file(rootfs, "/etc/group"), _group))
    name, _, group = user.partition(":")
    account = _account(passwd, name or "0")
    gid = _gid(groups, group) if group else account.gid
    supplementary: tuple[int, ...] = ()
    if not group:
        supplementary = tuple(entry.gid for entry in groups if account.name and account.name in entry.members)
    added = tuple(_added(groups, text) for text in group_add)
    return User(
        uid=account.uid,
        gid=gid,
        groups=tuple(dict.fromkeys((*supplementary, *added))),
        home=account.home or "/",
    )


def _account(passwd: tuple[_Passwd, ...], text: str) -> _Passwd:
    for entry in passwd:
        if entry.name == text:
            return entry
    if not _is_number(text):
        raise Invalid(f"unable to find user {text}: no matching entries in passwd file")
    uid = _checked(text, "uids and gids must be in range 0-2147483647")
    for entry in passwd:
        if entry.uid == uid:
            return entry
    return _Passwd("", uid, 0, "")


def _gid(groups: tuple[_Group, ...], text: str) -> int:
    for entry in groups:
        if entry.name == text:
            return entry.gid
    if not _is_number(text):
        raise Invalid(f"unable to find group {text}: no matching entries in group file")
    return _checked(text, "uids and gids must be in range 0-2147483647")


def _added(groups: tuple[_Group, ...], text: str) -> int:
    for entry in groups:
        if entry.name == text:
            return entry.gid
    if not _is_number(text):
        raise Invalid(f"Unable to find group {text}: no matching entries in group file")
    return _checked(text, "uids and gids must be in range 0-2147483647")


def _is_number(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").isdigit()


def _checked(text: str, complaint: str) -> int:
    if not 0 <= int(text) <= _MAX_ID:
        raise Invalid(complaint)
    return int(text)


def _lines(data: bytes, parse: Callable[[list[str]], _T | None]) -> Iterator[_T]:
    for line in data.decode(errors="surrogateescape").splitlines():
        if line and not line.startswith("#"):
            entry = parse(line.strip().split(":"))
            if entry is not None:
                yield entry


def _passwd(fields: list[str]) -> _Passwd | None:
    if len(fields) < 4 or not (_is_number(fields[2]) and _is_number(fields[3])):
        return None
    return _Passwd(fields[0], int(fields[2]), int(fields[3]), fields[5] if len(fields) > 5 else "")


def _group(fields: list[str]) -> _Group | None:
    if len(fields) < 3 or not _is_number(fields[2]):
        return None
    members = tuple(filter(None, fields[3].split(","))) if len(fields) > 3 else ()
    return _Group(fields[0], int(fields[2]), members)
