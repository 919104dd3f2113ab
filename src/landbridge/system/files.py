"""Small files and directory trees of the data root, and the few files of the host the engine reads.

No policy: callers say which paths. A file that may be bind-mounted into a container is always changed in
place, since a mount holds the inode and not the name. Removing what is gone is no error; removing a tree that
something is mounted in is one, because it would empty the mounted file system.
"""

import hashlib
import os
import re
import shutil

from landbridge.errors import Internal

_REMEMBERED = ".hash"


class Files:
    """Satisfies `engine.effects.Files`. Blocking; no state of its own."""

    def read(self, path: str) -> str:
        """The text of `path`, empty when it does not exist. Bytes that are no UTF-8 survive a later `write`."""
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def write(self, path: str, text: str, *, remember: bool = False) -> None:
        """Make `path` hold `text`, in place (same inode, mode 0644 when new).

        With `remember` a hash is kept beside it for `unedited`. The hash file is written first and lists the
        text before too, so that a crash between the two does not look like an edit of the user's.
        """
        body = text.encode("utf-8", "surrogateescape")
        if remember:
            before = _read_bytes(path)
            known = [_digest(body)] + ([_digest(before)] if before is not None and self.unedited(path) else [])
            _write_in_place(path + _REMEMBERED, "\n".join(known).encode())
        _write_in_place(path, body)

    def unedited(self, path: str) -> bool:
        """True when `path` is missing or still what `write(…, remember=True)` left there."""
        body = _read_bytes(path)
        if body is None:
            return True
        return _digest(body) in self.read(path + _REMEMBERED).split()

    def make_directory(self, path: str) -> None:
        """`path` and its parents, private to root (0711, as Docker keeps its own) where they are new."""
        os.makedirs(path, mode=0o711, exist_ok=True)

    def remove_tree(self, path: str) -> None:
        """Remove a directory or file with everything below it; gone already is fine.

        Raises: Internal when something is still mounted at or below `path`.
        """
        if not os.path.lexists(path):
            return
        busy = mounted_below(path)
        if busy:
            raise Internal(f"remove {path}: device or resource busy: mounted at {busy[0]}")
        if not os.path.isdir(path) or os.path.islink(path):
            os.unlink(path)
            return
        self.remove_own_tree(path)

    def remove_own_tree(self, path: str) -> None:
        """Remove a directory nothing is ever mounted in; gone already is fine.

        Without a look at the machine's mounts, of which there are more with every container.
        """
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            # Somebody else was removing the same tree; the outcome is the one asked for.
            if os.path.lexists(path):
                raise

    def size(self, path: str) -> int:
        """Bytes of content in the regular files at or below `path`, hard links counted once; 0 when missing."""
        try:
            top = os.lstat(path)
        except FileNotFoundError:
            return 0
        if not os.path.isdir(path) or os.path.islink(path):
            return top.st_size
        total = 0
        seen: set[tuple[int, int]] = set()
        for _, _, names, handle in os.fwalk(path):
            for name in names:
                try:
                    found = os.stat(name, dir_fd=handle, follow_symlinks=False)
                except FileNotFoundError:
                    continue  # removed while we looked; sizes of living trees are approximate
                if found.st_nlink > 1:
                    if (found.st_dev, found.st_ino) in seen:
                        continue
                    seen.add((found.st_dev, found.st_ino))
                total += found.st_size
        return total

    def hostname(self) -> str:
        """The host's own name (of the calling thread's UTS namespace)."""
        return os.uname().nodename


def mounted_below(path: str) -> list[str]:
    """Mount points at or below `path` in this process's mount namespace (proc_pid_mountinfo(5)), deepest first."""
    top = os.path.realpath(path)
    prefix = top.rstrip("/") + "/"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        points = [_unescape(line.split(" ", 5)[4]) for line in file]
    return sorted((point for point in points if point == top or point.startswith(prefix)), key=len, reverse=True)


def _unescape(text: str) -> str:
    # The kernel writes space, tab, newline and backslash as three octal digits.
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _read_bytes(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _write_in_place(path: str, body: bytes) -> None:
    # Content first, then the cut: a reader inside the container never sees an empty file.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        view, offset = memoryview(body), 0
        while offset < len(view):
            offset += os.pwrite(handle, view[offset:], offset)
        os.ftruncate(handle, len(body))
    finally:
        os.close(handle)
