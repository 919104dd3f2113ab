"""Whatever text a client sends, the answer is a value or an error of ours, never an accident."""

from hypothesis import example, given
from hypothesis import strategies as st

from landbridge.engine.mountplan import plan
from landbridge.engine.validate import Facts, normalise
from landbridge.engine.validate_network import check_endpoints
from landbridge.errors import LandbridgeError, NotFound
from landbridge.model.config import Config, EndpointConfig, EndpointIpam, HostConfig, LogConfig, Mount, VolumeOptions
from landbridge.model.container import Container
from landbridge.model.ports import PortBinding

# Pieces that mean something here, and anything else.
WORDS = st.sampled_from(
    ["/", "//", "..", ".", ":", ",", "=", "-", "ro", "rw", "nocopy", "/x", "vol", "container:", "host", "0", "1",
     "9" * 5000, "٣", "%", "10.0.0.1", "::1", "\0", "\n", "\\", "10m"]
)  # fmt: skip
TEXTS = st.lists(WORDS | st.text(max_size=5), max_size=5).map("".join)


class Disk:
    def source_exists(self, path: str) -> bool:
        return True


def nobody(name: str) -> Container:
    raise NotFound(f"No such container: {name}")


@given(TEXTS, TEXTS, st.sampled_from(["bind", "volume", "tmpfs", "image"]))
@example("/here:/x/../..:ro", "//", "bind")
def test_mounts(text: str, other: str, kind: str) -> None:
    mount = Mount(type=kind, source=other, target=text, volume_options=VolumeOptions(subpath=other))
    for config, host in (
        (Config(), HostConfig(binds=(text,))),
        (Config(), HostConfig(mounts=(mount,))),
        (Config(), HostConfig(tmpfs={text: other})),
        (Config(), HostConfig(volumes_from=(text,))),
        (Config(volumes={text: {}}), HostConfig()),
    ):
        try:
            planned = plan(config, host, Disk(), nobody)
        except LandbridgeError:
            continue
        for point in planned.points:
            parts = point.destination.split("/")
            assert point.destination.startswith("/") and point.destination != "/"
            assert not {"", ".", ".."} & set(parts[1:])


@given(TEXTS, TEXTS)
def test_requests(text: str, other: str) -> None:
    for config, host in (
        (Config(hostname=text, domainname=other), HostConfig()),
        (Config(env=(text,), working_dir=other, stop_signal=text), HostConfig()),
        (Config(), HostConfig(network_mode=text, extra_hosts=(other,))),
        (Config(exposed_ports={text: {}}), HostConfig(port_bindings={other: ()})),
        (Config(), HostConfig(port_bindings={"80": (PortBinding(host_ip=other, host_port=text),)})),
        (Config(), HostConfig(dns=(text,), dns_search=(other,), links=(text,))),
        (Config(), HostConfig(cpuset_cpus=text, cpuset_mems=other)),
        (Config(), HostConfig(ipc_mode=text, pid_mode=other, uts_mode=text)),
        (Config(), HostConfig(cap_add=(text,), security_opt=(other,))),
        (Config(), HostConfig(sysctls={text: other}, runtime=text)),
        (Config(), HostConfig(log_config=LogConfig(config={"max-size": text, "max-file": other}))),
        (Config(), HostConfig(device_cgroup_rules=(text,), cgroup_parent=other)),
    ):
        try:
            checked = normalise(config, host, Facts(cpus=2))
        except LandbridgeError:
            continue
        assert "\n" not in checked.config.hostname
        # What was accepted and completed is accepted again as it is.
        again = normalise(checked.config, checked.host, Facts(cpus=2))
        assert (again.config, again.host) == (checked.config, checked.host)


@given(TEXTS, TEXTS, TEXTS)
def test_endpoints(mode: str, text: str, other: str) -> None:
    ipam = EndpointIpam(ipv4_address=text, ipv6_address=other, link_local_ips=(text,))
    for one in (EndpointConfig(network=mode, ipam_config=ipam), EndpointConfig(mac_address=text, links=(other,))):
        try:
            check_endpoints(mode, (one,))
        except LandbridgeError:
            continue
