"""Root file systems of containers: for each an overlay of its image's layers under a writable directory.

Layout: ``<root>/<container id>/{diff,work,merged}``. The overlay is mounted while the container runs (and
while somebody copies files in or out of a stopped one). Below every image lies one layer of our own,
``<root>/base``, with the places the engine mounts on, so that they never show up in what a container wrote.
"""

import os
import shutil
from collections.abc import Sequence

from landbridge.system import mounts

BASE = "base"
_DIRECTORIES = ("dev/pts", "dev/shm", "etc", "proc", "sys")
_MARK = ".dockerenv"  # by which programs tell that they are in a container; executable, as Docker's is
_FILES = (_MARK, "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf")


class Roots:
    """Satisfies `engine.effects.Roots`."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._base = os.path.join(directory, BASE)

    def prepare(self) -> None:
        """Once per start of the daemon: the layer below all images."""
        for name in _DIRECTORIES:
            os.makedirs(os.path.join(self._base, name), mode=0o755, exist_ok=True)
        for name in _FILES:
            with open(os.path.join(self._base, name), "a"):
                pass
        os.chmod(os.path.join(self._base, _MARK), 0o755)
        mtab = os.path.join(self._base, "etc/mtab")
        if not os.path.lexists(mtab):
            os.symlink("/proc/mounts", mtab)

    def path(self, container: str, part: str = "") -> str:
        """Where `part` (``diff``, ``work``, ``merged``) of a container is."""
        return os.path.join(self._directory, container, part)

    def make(self, container: str) -> None:
        """Empty directories for a new container."""
        for part in ("diff", "work", "merged"):
            os.makedirs(self.path(container, part), mode=0o710, exist_ok=True)
        os.chmod(self.path(container, "diff"), 0o755)

    def mount(self, container: str, lowers: Sequence[str]) -> str:
        """Mount (once) and return the path of the root. `lowers` are absolute, top first. Raises: Internal."""
        merged = self.path(container, "merged")
        if not os.path.ismount(merged):
            mounts.overlay(
                (*lowers, self._base), merged, upper=self.path(container, "diff"), work=self.path(container, "work")
            )
        return merged

    def mount_shm(self, container: str, size: int) -> str:
        """Mount (once) and return the path of a /dev/shm of `size` bytes that other containers may share."""
        place = self.path(container, "shm")
        if not os.path.ismount(place):
            os.makedirs(place, mode=0o700, exist_ok=True)
            flags = mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC
            mounts.mount("tmpfs", place, source="shm", flags=flags, options=f"mode=1777,size={size}")
        return place

    def unmount(self, container: str) -> None:
        """Detach; a container that is gone or not mounted is no error."""
        mounts.unmount(self.path(container, "merged"))
        mounts.unmount(self.path(container, "shm"))

    def remove(self, container: str) -> None:
        """Forget everything the container wrote. The overlay must not be mounted any more."""
        if os.path.isdir(self.path(container)):
            shutil.rmtree(self.path(container))

    def kept(self) -> list[str]:
        """Ids of the containers that have directories here."""
        return [name for name in os.listdir(self._directory) if name != BASE]
