"""What a container changed: its overlay upper directory compared with the layers below (``docker diff``).

A directory is listed as changed when its owner or mode is or anything in it is (times and sizes of directories say
little, Docker ignores them too); of a deleted tree the top is listed, of an added one every entry. Lower
directories are searched name by name, so that a symlink in one of them is never followed.
"""

import os
import stat
from collections.abc import Sequence

from landbridge.model.layer import OPAQUE_XATTR, Change


def changes(upper: str, lowers: Sequence[str]) -> tuple[Change, ...]:
    """Changes in `upper` against `lowers` (top first), sorted by path. Raises: OSError."""
    found: list[Change] = []
    _compare(upper, tuple(lowers), "", found)
    return tuple(sorted(found, key=lambda change: change.path))


def _is_whiteout(entry: os.stat_result) -> bool:
    return stat.S_ISCHR(entry.st_mode) and entry.st_rdev == 0


def _is_opaque(directory: str) -> bool:
    try:
        return os.getxattr(directory, OPAQUE_XATTR, follow_symlinks=False) == b"y"
    except OSError:
        return False  # ENODATA, or no directory


def _below(lowers: Sequence[str], name: str) -> tuple[os.stat_result | None, tuple[str, ...]]:
    """(what the layers show under `name`, the directories merged there)."""
    shown: os.stat_result | None = None
    merged: list[str] = []
    for lower in lowers:
        path = os.path.join(lower, name)
        try:
            entry = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        if _is_whiteout(entry):
            break
        if not stat.S_ISDIR(entry.st_mode):
            shown = shown or entry
            break
        shown = shown or entry
        merged.append(path)
        if _is_opaque(path):
            break
    return shown, tuple(merged)


def _names(lowers: Sequence[str]) -> set[str]:
    """The names the layers show in a merged directory."""
    every = {name for lower in lowers for name in os.listdir(lower)}
    return {name for name in every if _below(lowers, name)[0] is not None}


def _compare(upper: str, lowers: tuple[str, ...], path: str, found: list[Change]) -> None:
    names = os.listdir(upper)
    for name in names:
        entry = os.lstat(os.path.join(upper, name))
        shown, merged = _below(lowers, name)
        here = f"{path}/{name}"
        if _is_whiteout(entry):
            if shown is not None:
                found.append(Change("D", here))
            continue
        before = len(found)
        if stat.S_ISDIR(entry.st_mode):
            opaque = _is_opaque(os.path.join(upper, name))
            _compare(os.path.join(upper, name), merged, here, found)
            if opaque:
                _hidden(os.path.join(upper, name), merged, here, found)
        if shown is None:
            found.append(Change("A", here))
        elif len(found) > before or _differ(shown, entry):
            found.append(Change("C", here))


def _hidden(upper: str, merged: tuple[str, ...], here: str, found: list[Change]) -> None:
    """An opaque directory deletes what the layers have and it has not."""
    found.extend(Change("D", f"{here}/{gone}") for gone in _names(merged) - set(os.listdir(upper)))


def _differ(old: os.stat_result, new: os.stat_result) -> bool:
    if (old.st_mode, old.st_uid, old.st_gid, old.st_rdev) != (new.st_mode, new.st_uid, new.st_gid, new.st_rdev):
        return True
    if stat.S_ISDIR(old.st_mode):
        return False
    return old.st_size != new.st_size or not _same_time(old.st_mtime_ns, new.st_mtime_ns)


def _same_time(one: int, other: int) -> bool:
    """Equal, or equal to the second where one of them has only seconds: archives often drop the rest."""
    if one == other:
        return True
    return one // 10**9 == other // 10**9 and (one % 10**9 == 0 or other % 10**9 == 0)
