"""What a container's configuration names on this machine: users of its root, devices, abilities of the kernel."""

from collections.abc import Mapping, Sequence

from landbridge.errors import Invalid
from landbridge.model.config import HostConfig
from landbridge.model.container import Container
from landbridge.model.process import DeviceNode, User
from landbridge.system import probe, rootfs, users


class HostMachine:
    """Satisfies `engine.effects.Machine`."""

    def user(self, root: str, user: str, groups: Sequence[str]) -> User:
        """As `users.resolve`."""
        return users.resolve(root, user, tuple(groups))

    def devices(self, host: HostConfig) -> tuple[DeviceNode, ...]:
        """The nodes of ``--device``; all of the host's for a privileged container. Raises: Internal."""
        found = list(probe.all_devices()) if host.privileged else []
        for device in host.devices or ():
            found += probe.device(device.path_on_host, device.path_in_container)
        return tuple(found)

    def device_numbers(self, host: HostConfig) -> Mapping[str, tuple[int, int]]:
        """(major, minor) of every block device named in a limit. Raises: Internal."""
        rates = (
            host.blkio_device_read_bps, host.blkio_device_write_bps,
            host.blkio_device_read_iops, host.blkio_device_write_iops,
        )  # fmt: skip
        paths = {one.path for rate in rates for one in rate or ()}
        paths |= {one.path for one in host.blkio_weight_device or ()}
        return {path: probe.block_device_numbers(path) for path in paths}

    def prepare_root(self, root: str, container: Container, user: User) -> None:
        """Mount points and the working directory exist, made inside the root whatever links say. Raises: Invalid."""
        for point in ("/proc", "/sys", "/dev"):
            rootfs.make_mount_point(root, point, directory=True)
        for file in ("/etc/resolv.conf", "/etc/hostname", "/etc/hosts"):
            rootfs.make_mount_point(root, file, directory=False)
        work = container.config.working_dir
        if not work or work == "/":
            return
        try:
            rootfs.make_directory(root, work)  # root's, whoever the user is (Docker)
        except Invalid as error:
            raise Invalid(f"failed to create working directory {work}: {error.message}") from None
