"""Compiled system call filters, kept so that crun need not compile the same policy for every container.

Compiling takes half of crun's time to create a container. crun leaves the result in its state directory and
takes one back in an annotation; whether it was really installed is checked by the caller on every container
(`filtered`), before its program runs. The key holds everything the result depends on.
"""

import base64
import hashlib
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ANNOTATION = "run.oci.seccomp_bpf_data"
# These need more than the filter's bytes.
_NOT_IN_BYTES = ("flags", "listenerPath", "listenerMetadata")


class FilterCache:
    """Filters as files in `directory`, for one version of the runtime."""

    def __init__(self, directory: Path, *, version: str) -> None:
        self._directory = directory
        self._salt = f"{version} {platform.machine()} {platform.release()}"

    def apply(self, spec: Mapping[str, Any]) -> dict[str, Any] | None:
        """`spec` with its filter compiled, or None when it is not known yet or has none."""
        path = self._path(spec)
        if path is None:
            return None
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        annotations = {**spec.get("annotations", {}), _ANNOTATION: base64.b64encode(data).decode()}
        return {**spec, "annotations": annotations}

    def learn(self, spec: Mapping[str, Any], state: Path) -> None:
        """Keep what the runtime compiled for `spec` (in its directory `state`), if it is not kept already."""
        path = self._path(spec)
        source = state / "seccomp.bpf"
        if path is None or path.exists() or not source.exists():
            return
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = path.with_suffix(f".{os.getpid()}")
        new.write_bytes(source.read_bytes())
        new.rename(path)

    def forget(self, spec: Mapping[str, Any]) -> None:
        """Drop the filter of `spec`: it did not work. Twice is no error."""
        path = self._path(spec)
        if path:
            path.unlink(missing_ok=True)

    def _path(self, spec: Mapping[str, Any]) -> Path | None:
        filters = spec["linux"].get("seccomp")
        if not filters or any(filters.get(key) for key in _NOT_IN_BYTES):
            return None
        text = json.dumps([filters, self._salt], sort_keys=True)
        return self._directory / hashlib.sha256(text.encode()).hexdigest()[:32]


def filtered(pid: int) -> bool:
    """True when process `pid` has a system call filter (proc(5): Seccomp is 2)."""
    try:
        with open(f"/proc/{pid}/status") as file:
            return any(line.split() == ["Seccomp:", "2"] for line in file)
    except OSError:
        return False
