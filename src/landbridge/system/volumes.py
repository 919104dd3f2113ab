"""The disk side of volumes: their directories, the mounts of the local driver's options, content copied up.

No policy: which volume is mounted when is the engine's. Blocking. A volume may be in use by a running
container while another one's content is copied into it, so everything below it is reached through directory
descriptors and never through a name that somebody could have made a symlink meanwhile.
"""

import errno
import os
import secrets
import stat
from collections.abc import Mapping
from ipaddress import ip_address
from socket import gaierror, getaddrinfo

from landbridge.errors import Internal, Invalid, NotFound
from landbridge.system import mounts
from landbridge.system.beneath import open_beneath, open_in_root
from landbridge.system.treecopy import copy_tree

CONTENT = "_data"
_ASIDE = ".removed-"  # no volume's name begins with a dot

_NETWORK_TYPES = ("nfs", "nfs4", "cifs")

_MS_SYNCHRONOUS, _MS_MANDLOCK, _MS_DIRSYNC, _MS_NOATIME, _MS_NODIRATIME = 16, 64, 128, 1024, 2048
_MS_UNBINDABLE, _MS_SLAVE, _MS_RELATIME, _MS_STRICTATIME = 1 << 17, 1 << 19, 1 << 21, 1 << 24

# Words of mount(8) that are flags of mount(2); everything else is data for the file system.
_FLAGS: Mapping[str, int] = {
    "ro": mounts.MS_RDONLY, "nosuid": mounts.MS_NOSUID, "nodev": mounts.MS_NODEV, "noexec": mounts.MS_NOEXEC,
    "sync": _MS_SYNCHRONOUS, "mand": _MS_MANDLOCK, "dirsync": _MS_DIRSYNC, "remount": mounts.MS_REMOUNT,
    "noatime": _MS_NOATIME, "nodiratime": _MS_NODIRATIME, "relatime": _MS_RELATIME,
    "strictatime": _MS_STRICTATIME, "bind": mounts.MS_BIND, "rbind": mounts.MS_BIND | mounts.MS_REC,
}  # fmt: skip
_CLEARED: Mapping[str, int] = {
    "rw": mounts.MS_RDONLY, "suid": mounts.MS_NOSUID, "dev": mounts.MS_NODEV, "exec": mounts.MS_NOEXEC,
    "async": _MS_SYNCHRONOUS, "nomand": _MS_MANDLOCK, "atime": _MS_NOATIME, "diratime": _MS_NODIRATIME,
    "norelatime": _MS_RELATIME, "nostrictatime": _MS_STRICTATIME, "defaults": 0,
}  # fmt: skip
_PROPAGATION: Mapping[str, int] = {
    "private": mounts.MS_PRIVATE, "rprivate": mounts.MS_PRIVATE | mounts.MS_REC,
    "shared": mounts.MS_SHARED, "rshared": mounts.MS_SHARED | mounts.MS_REC,
    "slave": _MS_SLAVE, "rslave": _MS_SLAVE | mounts.MS_REC,
    "unbindable": _MS_UNBINDABLE, "runbindable": _MS_UNBINDABLE | mounts.MS_REC,
}  # fmt: skip


class VolumeDirectories:
    """Satisfies `engine.effects_volumes.VolumeDisk`."""

    def make(self, path: str) -> None:
        """The directory of a new volume: 0755 and root's, its parent for root only to list (0701, as Docker)."""
        os.makedirs(os.path.dirname(path), mode=0o701, exist_ok=True)
        os.makedirs(path, mode=0o755, exist_ok=True)
        os.chmod(path, 0o755)  # whatever the daemon's umask took away

    def found(self, root: str) -> Mapping[str, int]:
        """The volumes that have a directory below `root`, with the time it was last changed (nanoseconds)."""
        names: dict[str, int] = {}
        for name in _listed(root):
            content = os.path.join(root, name, CONTENT)
            if not name.startswith(_ASIDE) and os.path.isdir(content):
                names[name] = os.stat(content).st_mtime_ns
        return names

    def discard(self, root: str, name: str) -> str:
        """Put a volume's directory aside at once, so that the name is free; where it is now."""
        aside = os.path.join(root, f"{_ASIDE}{secrets.token_hex(8)}")
        try:
            os.rename(os.path.join(root, name), aside)
        except FileNotFoundError:
            pass  # somebody removed the directory by hand; the outcome is the one asked for
        return aside

    def discarded(self, root: str) -> tuple[str, ...]:
        """What `discard` put aside and nobody has removed yet."""
        return tuple(os.path.join(root, name) for name in _listed(root) if name.startswith(_ASIDE))

    def exists(self, path: str) -> bool:
        """True when `path` leads to something."""
        return os.path.exists(path)

    def is_directory(self, path: str) -> bool:
        """True when `path` leads to a directory."""
        return os.path.isdir(path)

    def make_source(self, path: str) -> None:
        """`path` and its parents as root's directories (0755) where missing. Raises: Internal, in Docker's words."""
        if os.path.exists(path):
            return
        try:
            os.makedirs(path, mode=0o755, exist_ok=True)
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise Internal(
                f"error while creating mount source path '{path}': mkdir {error.filename}: {reason}"
            ) from error

    def mount(self, path: str, options: Mapping[str, str]) -> None:
        """Mount what the options ``type``, ``device`` and ``o`` say; empty ones and a second call do nothing.

        Raises: Internal, in Docker's words, with the kernel's reason.
        """
        kind, device = options.get("type", ""), options.get("device", "")
        if not (kind or device) or mounts.is_mount(path):
            return
        flags, propagation, data = split_options(options.get("o", ""))
        if kind in _NETWORK_TYPES:
            data = _with_resolved_address(path, data)
        try:
            mounts.mount(kind or "none", path, source=device or "none", flags=flags, options=data)
            if flags & mounts.MS_BIND and flags & mounts.MS_RDONLY:
                # mount(2): a new bind takes its flags from the source, only a remount changes them.
                mounts.mount("none", path, flags=flags | mounts.MS_REMOUNT)
            if propagation:
                mounts.mount("none", path, flags=propagation)
        except Internal as error:
            mounts.unmount(path)
            what = f"mount {device}:{path}"
            what += f", flags: {flags:#x}" if flags else ""
            what += f", data: {data}" if data else ""
            reason = error.message.rpartition(": ")[2].lower()
            raise _not_mounted(path, f"{what}: {reason}") from error

    def unmount(self, path: str) -> None:
        """Undo `mount`; nothing mounted is no error."""
        mounts.unmount(path)

    def bind_beneath(self, volume: str, subpath: str, target: str) -> None:
        """Make the directory or file at `subpath` in `volume` visible at `target` too.

        Bound by descriptor: who can write to the volume cannot lead us out of it, now or later. Raises: NotFound and
        Invalid (a symlink leads out) in Docker's words, Internal.
        """
        top = os.open(volume, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found = open_beneath(top, subpath, os.O_PATH)
        except OSError as error:
            if error.errno == errno.EXDEV:
                raise Invalid(
                    f"path concatenation escapes the base directory, base: {volume}, subpath: {subpath}"
                ) from error
            path = f"{volume}/{subpath}"
            reason = (error.strerror or "").lower()
            raise NotFound(f"cannot access path {path}: lstat {path}: {reason}") from error
        finally:
            os.close(top)
        try:
            self.release_beneath(target)
            if stat.S_ISDIR(os.fstat(found).st_mode):
                os.makedirs(target, mode=0o700)
            else:
                os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
                os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            mounts.bind(f"/proc/self/fd/{found}", target, recursive=True)
        finally:
            os.close(found)

    def release_beneath(self, target: str) -> None:
        """Undo `bind_beneath`; twice is no error."""
        if not os.path.lexists(target):
            return
        mounts.unmount(target)
        if os.path.isdir(target):
            os.rmdir(target)
        else:
            os.unlink(target)

    def copy_up(self, root: str, destination: str, volume: str) -> None:
        """What is at `destination` in the file system `root` goes into the empty directory `volume`.

        Owner, mode, times, extended attributes, links and special files are kept, and the directory itself gets
        the owner and mode it has in the image. Symlinks of the image are followed inside `root` only. Nothing
        happens when `volume` has content or the image has no directory there. Raises: Internal.
        """
        top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            source = open_in_root(top, destination, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return
        finally:
            os.close(top)
        try:
            try:
                target = os.open(volume, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except NotADirectoryError:
                return  # a file of a volume takes the directory's place; the runtime says what it thinks of that
            try:
                if not os.listdir(target):
                    copy_tree(source, target)
            finally:
                os.close(target)
        except OSError as error:
            raise Internal(f"failed to populate volume: {volume}: {error.strerror}") from error
        finally:
            os.close(source)


def _listed(root: str) -> list[str]:
    try:
        return sorted(os.listdir(root))
    except FileNotFoundError:
        return []


def split_options(text: str) -> tuple[int, int, str]:
    """``ro,size=1m,rslave`` → (flags, propagation flags, data) for mount(2)."""
    flags = propagation = 0
    data: list[str] = []
    for word in text.split(",") if text else ():
        if word in _FLAGS:
            flags |= _FLAGS[word]
        elif word in _CLEARED:
            flags &= ~_CLEARED[word]
        elif word in _PROPAGATION:
            propagation |= _PROPAGATION[word]
        else:
            data.append(word)
    return flags, propagation, ",".join(data)


def _with_resolved_address(path: str, data: str) -> str:
    """The kernel takes ``addr=`` as a number only; mount.nfs would have resolved it for us."""
    words = data.split(",")
    for index, word in enumerate(words):
        name = word.removeprefix("addr=")
        if name == word or not name:
            continue
        try:
            ip_address(name)
        except ValueError:
            try:
                words[index] = f"addr={getaddrinfo(name, None)[0][4][0]}"
            except gaierror as error:
                reason = f"error resolving passed in network volume address: {error.strerror}"
                raise _not_mounted(path, reason) from error
    return ",".join(words)


def _not_mounted(path: str, reason: str) -> Internal:
    return Internal(f"error while mounting volume '{path}': failed to mount local volume: {reason}")
