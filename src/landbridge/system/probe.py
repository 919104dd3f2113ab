"""What this machine has and can do for containers: an OCI runtime that works here, capabilities, devices, an init.

Found by trying or looking, once, when the daemon starts; reported as values with their reasons, so that
`info` can show them. Nothing is decided here but the runtime, and that by trial.
"""

import json
import os
import platform
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from landbridge.errors import Internal, Unavailable
from landbridge.model.process import DeviceNode, RuntimeChoice
from landbridge.system import mounts, processes, runtime_errors
from landbridge.system.cgroups import detect
from landbridge.system.descriptors import read_all

# Where `release` finds what `choose_runtime` mounted.
_PREFIX = "cgroup-"
_ADMIN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_INITS = ("docker-init", "tini-static", "tini", "catatonit")
# Nodes every container has of its own, or must not share with the host.
_OWN_DEVICES = ("pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console")


async def choose_runtime(directory: str, *, preferred: str = "") -> RuntimeChoice:
    """The runtime for this daemon's life: crun if it works here, else runc; or only `preferred` (name or path).

    crun 1.8 refuses cgroup v1 beside a cgroup2 hierarchy that has controllers. Those controllers are then mounted
    as v1 under `directory` (the daemon's exec root) until `release_runtime`.

    Raises: Unavailable when no runtime is installed, or `preferred` is not.
    """
    reasons = []
    for name in (preferred,) if preferred else ("crun", "runc"):
        path = shutil.which(name, path=os.environ.get("PATH", "") + ":" + _ADMIN_PATH)
        if path is None:
            reasons.append(f"{name} is not installed")
            continue
        mounted = _mounted_for(directory)
        complaint = await _trial(path, directory)
        wanted = _controllers_to_mount(directory, unified="hybrid" in complaint)
        if wanted:
            try:
                _mount_controllers(wanted, directory)
                mounted = _mounted_for(directory)
                complaint = await _trial(path, directory)
            except Internal as problem:
                complaint = f"{complaint} ({problem.message})"
        if not complaint:
            reason = "; ".join([*reasons, f"{os.path.basename(path)} works here"])
            if mounted:
                reason += ", with the controllers of the unified hierarchy mounted as cgroup v1"
            return RuntimeChoice(
                name=os.path.basename(path), path=path, version=await _version(path), reason=reason, mounted=mounted
            )
        release_runtime(mounted)
        reasons.append(f"{name}: {complaint}")
    raise Unavailable("no usable OCI runtime: " + "; ".join(reasons))


def release_runtime(mounted: str) -> None:
    """Undo what `choose_runtime` mounted (`RuntimeChoice.mounted`). Only when no container runs; twice is no error."""
    for point in mounted.split(":") if mounted else ():
        mounts.unmount(point)
        try:
            os.rmdir(point)
        except OSError:
            pass  # removed before


def capability_mask() -> int:
    """The capabilities this process can hand on: bit set of ``CapBnd`` in proc(5)."""
    return int(_status_field("CapBnd") or "0", 16)


def seccomp_supported() -> bool:
    """True when this kernel filters system calls."""
    return bool(_status_field("Seccomp"))


def machine() -> tuple[str, tuple[int, int]]:
    """uname's machine and the kernel's (major, minor)."""
    numbers = platform.release().split("-")[0].split(".")
    return platform.machine(), (int(numbers[0]), int("".join(filter(str.isdigit, numbers[1])) or 0))


def init_binary() -> str:
    """An init for ``--init`` (tini under any of its names, or catatonit, which takes the same ``--``), or empty."""
    for name in _INITS:
        if path := shutil.which(name, path=_ADMIN_PATH + ":/usr/libexec/podman:/usr/libexec/docker"):
            return path
    return ""


def device(path_on_host: str, path_in_container: str = "") -> tuple[DeviceNode, ...]:
    """The device at `path_on_host`, or all below that directory, with their paths in the container.

    Raises: Internal with Docker's sentence when there is none.
    """
    inside = path_in_container or path_on_host
    real = os.path.realpath(path_on_host)
    if os.path.isdir(real):
        found = tuple(_nodes(Path(real), inside, skip=_OWN_DEVICES))
        if found:
            return found
    elif os.path.exists(real) and (node := _node(Path(real), inside)):
        return (node,)
    reason = "not a device node" if os.path.exists(real) else "no such file or directory"
    raise Internal(f'error gathering device information while adding custom device "{path_on_host}": {reason}')


def all_devices() -> tuple[DeviceNode, ...]:
    """Every device node of the host, as a privileged container gets them."""
    return tuple(_nodes(Path("/dev"), "/dev", skip=_OWN_DEVICES))


def block_device_numbers(path: str) -> tuple[int, int]:
    """(major, minor) of the block device at `path`. Raises: Internal."""
    try:
        found = os.stat(path)
    except OSError as problem:
        raise Internal(f"{path}: {problem.strerror}") from problem
    return os.major(found.st_rdev), os.minor(found.st_rdev)


async def _trial(path: str, directory: str) -> str:
    """Create a container that cannot start: the complaint, empty when only the missing program was at fault."""
    os.makedirs(directory, exist_ok=True)
    work = tempfile.mkdtemp(prefix="trial-", dir=directory)
    name = os.path.basename(work)
    try:
        for part in ("rootfs/proc", "rootfs/dev", "state"):
            os.makedirs(f"{work}/{part}")
        _store(f"{work}/config.json", json.dumps(_trial_spec(f"{work}/rootfs", name)))
        base = (path, "--root", f"{work}/state", "--log", f"{work}/log", "--log-format", "json")
        await processes.spawn((*base, "create", "--bundle", work, name)).wait()
        said = _load(f"{work}/log")
        await processes.spawn((*base, "delete", "--force", name)).wait()
    finally:
        shutil.rmtree(work, ignore_errors=True)
        detect().remove("/landbridge-" + name)
    if "/nonexistent" in said and ("not found" in said or "no such file" in said):
        return ""
    return runtime_errors.last_error(said) or "it failed without a word"


def _trial_spec(rootfs: str, name: str) -> dict[str, object]:
    namespaces = [{"type": kind} for kind in ("mount", "pid", "ipc", "uts")]
    return {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/nonexistent"], "cwd": "/"},
        "root": {"path": rootfs},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"cgroupsPath": f"/landbridge-{name}", "namespaces": namespaces},
    }


def _controllers_to_mount(directory: str, *, unified: bool) -> tuple[str, ...]:
    """Those of the cgroup2 hierarchy if `unified` is in the way, and those another daemon has mounted for itself:
    its end must not take them from us.
    """
    layout = detect()
    found = (layout.unified / "cgroup.controllers").read_text().split() if unified and layout.unified else []
    for controller, point in layout.v1.items():
        if point.name == _PREFIX + controller and str(point.parent) != os.path.realpath(directory):
            found.append(controller)
    return tuple(found)


def _mount_controllers(controllers: tuple[str, ...], directory: str) -> None:
    """Mount each as v1 under `directory`, those not there yet. Raises: Internal, with none of these left."""
    points: list[str] = []
    try:
        for controller in controllers:
            point = os.path.join(directory, _PREFIX + controller)
            os.makedirs(point, exist_ok=True)
            if not mounts.is_mount(point):
                _mount_controller(controller, point)
                points.append(point)
    except Internal:
        release_runtime(":".join(points))
        raise


def _mount_controller(controller: str, point: str) -> None:
    """With `favordynmods` (Linux 6.0) moving a process into a cgroup does not wait for an RCU grace period: 12 of
    the 18 ms of an exec, for a little more work at every fork on the machine while this is mounted.
    """
    try:
        mounts.mount("cgroup", point, source="cgroup", options=f"{controller},favordynmods")
    except Internal:
        mounts.mount("cgroup", point, source="cgroup", options=controller)


def _mounted_for(directory: str) -> str:
    """What is mounted for us under `directory`, now or by a former daemon; ``:`` between."""
    return ":".join(point for point in mounts.mounts_below(directory) if os.path.basename(point).startswith(_PREFIX))


async def _version(path: str) -> str:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    try:
        child = processes.spawn((path, "--version"), streams={"stdout": writing})
        os.close(writing)
        said = await read_all(reading)
        await child.wait()
    finally:
        os.close(reading)
    words = said.decode(errors="replace").split("\n")[0].split()
    return words[-1] if words else ""


def _store(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _load(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""  # it wrote none


def _status_field(name: str) -> str:
    with open("/proc/self/status") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key == name:
                return value.strip()
    return ""


def _nodes(directory: Path, inside: str, *, skip: tuple[str, ...] = ()) -> Iterator[DeviceNode]:
    for path in sorted(directory.iterdir()):
        if path.name in skip or path.is_symlink():
            continue
        place = f"{inside.rstrip('/')}/{path.name}"
        if path.is_dir():
            yield from _nodes(path, place)
        elif node := _node(path, place):
            yield node


def _node(path: Path, inside: str) -> DeviceNode | None:
    try:
        found = path.stat()
    except OSError:
        return None  # unplugged meanwhile
    if not (stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)):
        return None
    return DeviceNode(
        path=inside,
        type="c" if stat.S_ISCHR(found.st_mode) else "b",
        major=os.major(found.st_rdev),
        minor=os.minor(found.st_rdev),
        mode=stat.S_IMODE(found.st_mode),
        uid=found.st_uid,
        gid=found.st_gid,
    )
