"""config.json for a matrix of containers, kept as goldens that were compared key by key with Docker 26's own.

Write them anew with ``LANDBRIDGE_GOLDEN=write`` and read the difference.
"""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from landbridge.errors import Invalid, Unavailable
from landbridge.model.config import Config, Device, HostConfig, ThrottleDevice, Ulimit
from landbridge.model.container import Container, MountPoint
from landbridge.model.process import DeviceNode, User
from landbridge.oci import capabilities, seccomp
from landbridge.oci.resources import parse_rule
from landbridge.oci.spec import SpecContext, build, exec_process, merge_env, parse_security
from landbridge.oci.spec_mounts import merge_options

GOLDEN = Path(__file__).parents[2] / "golden" / "spec"
ID = "c0" * 32
ENV = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)
CONTEXT = SpecContext(
    rootfs="/data/root/merged",
    cgroup=f"/landbridge/{ID}",
    hostname=ID[:12],
    netns="/run/landbridge/netns/s1",
    cgroup_version=1,
    # What a daemon without CAP_SYS_RESOURCE has to give.
    capabilities=tuple(name for name in capabilities.ALL if name != "CAP_SYS_RESOURCE"),
    files={f"/etc/{name}": f"/data/containers/{ID}/{name}" for name in ("resolv.conf", "hostname", "hosts")},
    machine=seccomp.Machine(arch="x86_64", kernel=(6, 18)),
)
NULL = DeviceNode(path="/dev/foo", type="c", major=1, minor=3)


def container(host: HostConfig | None = None, config: Config | None = None, **fields: Any) -> Container:
    return Container(
        id=ID, name="c", created=0, image="", path="sleep", args=("300",),
        config=config or Config(env=ENV), host=host or HostConfig(), **fields,
    )  # fmt: skip


LIMITS = HostConfig(
    memory=64 << 20, memory_reservation=32 << 20, memory_swappiness=10, oom_kill_disable=True, nano_cpus=500_000_000,
    cpu_shares=100, cpuset_cpus="0", pids_limit=50,
    blkio_device_read_bps=(ThrottleDevice(path="/dev/vda", rate=1 << 20),),
    ulimits=(Ulimit(name="nofile", soft=100, hard=200),),
)  # fmt: skip

CASES: dict[str, tuple[Container, SpecContext]] = {
    "default": (container(), CONTEXT),
    "privileged": (container(HostConfig(privileged=True)), replace(CONTEXT, devices=(NULL,))),
    "limits-v1": (container(LIMITS), replace(CONTEXT, device_numbers={"/dev/vda": (254, 0)})),
    "limits-v2": (container(LIMITS), replace(CONTEXT, device_numbers={"/dev/vda": (254, 0)}, cgroup_version=2)),
    "read-only": (
        container(
            HostConfig(readonly_rootfs=True, tmpfs={"/run": "", "/foo": "size=1m,exec,mode=1770"}, init=True),
            Config(env=ENV, tty=True, working_dir="/foo/bar"),
            mounts=(
                MountPoint(type="bind", source="/tmp/x", destination="/x/y", rw=False),
                MountPoint(type="bind", source="/tmp/file", destination="/file", rw=False),
                MountPoint(type="volume", source="/data/volumes/v/_data", destination="/vol", rw=False),
                MountPoint(type="bind", source="/tmp/hosts", destination="/etc/hosts"),
            ),
        ),
        replace(
            CONTEXT, user=User(uid=1000, gid=1000, groups=(5,), home="/home/u"), init_binary="/usr/bin/tini",
            directories=frozenset({"/x/y", "/vol"}),
        ),
    ),
    "capabilities": (
        container(
            HostConfig(
                cap_drop=("ALL",), cap_add=("NET_ADMIN", "CAP_SYS_PTRACE"), security_opt=("no-new-privileges",),
                sysctls={"net.core.somaxconn": "1000"}, device_cgroup_rules=("c 42:* rmw",), shm_size=128 << 20,
                devices=(Device(path_on_host="/dev/null", path_in_container="/dev/foo", cgroup_permissions="rw"),),
                oom_score_adj=500,
            ),
            Config(env=(*ENV, "FOO=bar", "HOME=/xx"), domainname="dom.tld"),
        ),
        replace(CONTEXT, devices=(NULL,)),
    ),
    "host-namespaces": (
        container(HostConfig(network_mode="host", cgroupns_mode="host")),
        replace(CONTEXT, netns="", pid_ns="host", ipc_ns="host", uts_ns="host"),
    ),
    "joined": (
        container(HostConfig(network_mode="container:other", ipc_mode="none")),
        replace(CONTEXT, pid_ns="/proc/7/ns/pid"),
    ),
    "unconfined": (
        container(
            HostConfig(
                cgroupns_mode="private", masked_paths=(), readonly_paths=(), annotations={"a": "b"},
                security_opt=("seccomp=unconfined", "writable-cgroups=true", "label=disable"),
            ),
            mounts=(
                MountPoint(type="tmpfs", destination="/tt", options=("mode=755", "size=1000000")),
                MountPoint(type="bind", source="/tmp", destination="/m", propagation="rshared"),
            ),
        ),
        CONTEXT,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    spec = build(*CASES[case])
    if "seccomp" in spec["linux"]:  # has a golden of its own
        spec["linux"]["seccomp"] = len(spec["linux"]["seccomp"]["syscalls"])
    path = GOLDEN / f"{case}.json"
    if os.environ.get("LANDBRIDGE_GOLDEN") == "write":
        path.write_text(json.dumps(spec, indent=1) + "\n")
    assert spec == json.loads(path.read_text())


def calls(filters: dict[str, Any]) -> set[str]:
    """One line per call and condition."""
    found = set()
    for rule in filters["syscalls"]:
        conditions = " ".join(
            f"arg{one['index']} {one['op'].removeprefix('SCMP_CMP_')} {one['value']:#x}" for one in rule.get("args", [])
        )
        outcome = rule["action"].removeprefix("SCMP_ACT_") + (f" {rule['errnoRet']}" if "errnoRet" in rule else "")
        found |= {" ".join(filter(None, (name, outcome, conditions))) for name in rule["names"]}
    return found


@pytest.mark.parametrize("name", ["default", "SYS_ADMIN", "ALL"])
def test_system_calls_are_those_docker_allows(name: str) -> None:
    add = {"default": (), "SYS_ADMIN": ("SYS_ADMIN",), "ALL": ("ALL",)}[name]
    drop = () if name == "default" else ("ALL",)
    spec = build(container(HostConfig(cap_add=add, cap_drop=drop)), CONTEXT)
    assert calls(spec["linux"]["seccomp"]) == set((GOLDEN / f"seccomp-{name}.txt").read_text().splitlines())
    assert spec["linux"]["seccomp"]["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]


@pytest.mark.parametrize(
    ("kernel", "arch", "call", "allowed"),
    [
        ((4, 7), "x86_64", "ptrace ALLOW", False),
        ((4, 8), "x86_64", "ptrace ALLOW", True),
        ((6, 1), "x86_64", "arch_prctl ALLOW", True),
        ((6, 1), "aarch64", "arch_prctl ALLOW", False),
        ((6, 1), "arm64", "set_tls ALLOW", True),
        ((6, 1), "s390x", "clone ALLOW arg1 MASKED_EQ 0x7e020000", True),
    ],
)
def test_system_calls_by_machine(kernel: tuple[int, int], arch: str, call: str, *, allowed: bool) -> None:
    machine = seccomp.Machine(arch=arch, kernel=kernel)
    assert (call in calls(seccomp.default(capabilities.DEFAULT, machine))) is allowed


def test_a_profile_of_the_user_is_resolved() -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
            {"name": "write", "action": "SCMP_ACT_ALLOW", "args": []},
            {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["setns"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_CHOWN"]}},
            {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
            {"names": ["acct"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "6.19"}},
            {"names": ["kcmp"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "6.2", "arches": ["amd64"]}},
        ],
    }
    spec = build(container(HostConfig(security_opt=(f"seccomp={json.dumps(profile)}",))), CONTEXT)
    assert calls(spec["linux"]["seccomp"]) == {"read ALLOW", "write ALLOW", "kcmp ALLOW"}
    assert spec["linux"]["seccomp"]["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]


@pytest.mark.parametrize(
    "text", ["seccomp=/no/json", 'seccomp={"syscalls": []}', "no-new-privileges=perhaps", "foo=bar"]
)
def test_security_options_that_make_no_sense(text: str) -> None:
    with pytest.raises(Invalid):
        build(container(HostConfig(security_opt=(text,))), CONTEXT)


@pytest.mark.parametrize("text", ["no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"])
def test_no_new_privileges_in_every_spelling(text: str) -> None:
    assert parse_security((text,)).no_new_privileges
    assert not parse_security(("no-new-privileges=false",)).no_new_privileges


@pytest.mark.parametrize(
    ("add", "drop", "privileged", "expected"),
    [
        ((), ("chown",), False, [name for name in capabilities.DEFAULT if name != "CAP_CHOWN"]),
        (("ALL",), ("CAP_SYS_ADMIN",), False, [n for n in CONTEXT.capabilities if n != "CAP_SYS_ADMIN"]),
        (("net_admin", "net_admin", "chown"), (), False, [*capabilities.DEFAULT, "CAP_NET_ADMIN"]),
        (("NET_ADMIN",), ("NET_ADMIN",), False, list(capabilities.DEFAULT)),
        ((), ("ALL",), True, list(CONTEXT.capabilities)),
        ((), ("all",), False, []),
    ],
)
def test_capabilities(add: tuple[str, ...], drop: tuple[str, ...], expected: list[str], *, privileged: bool) -> None:
    host = HostConfig(cap_add=add, cap_drop=drop, privileged=privileged)
    assert build(container(host), CONTEXT)["process"]["capabilities"]["effective"] == expected


def test_an_unknown_capability_is_refused() -> None:
    with pytest.raises(Invalid, match='invalid capability: "NET_FOO"'):
        build(container(HostConfig(cap_add=("NET_FOO",))), CONTEXT)


def test_capability_mask() -> None:
    assert capabilities.from_mask(0b101) == ("CAP_CHOWN", "CAP_DAC_READ_SEARCH")
    assert len(capabilities.from_mask((1 << 64) - 1)) == 41


def test_environment_is_replaced_in_place_and_taken_away() -> None:
    assert merge_env(["A=1", "B=2", "C=3"], ("B=x=y", "D=", "C")) == ["A=1", "B=x=y", "D="]


def test_mount_options_drop_what_they_contradict() -> None:
    base = ("noexec", "nosuid", "nodev", "rprivate")
    merged = merge_options(base, ("size=1m", "exec", "rslave", "size=2m"))
    assert merged == ("nosuid", "nodev", "exec", "rslave", "size=2m")


def test_a_mount_at_dev_replaces_everything_below() -> None:
    spec = build(container(mounts=(MountPoint(type="bind", source="/d", destination="/dev"),)), CONTEXT)
    assert [entry["destination"] for entry in spec["mounts"] if entry["destination"].startswith("/dev")] == ["/dev"]


def test_init_by_default_by_wish_and_not_to_be_had() -> None:
    ready = replace(CONTEXT, init_binary="/usr/bin/tini")
    assert build(container(), ready)["process"]["args"][0] == "/sbin/docker-init"
    joined = build(container(HostConfig(init=True)), replace(ready, pid_ns="host"))
    assert joined["process"]["args"] == ["sleep", "300"]
    with pytest.raises(Unavailable):
        build(container(HostConfig(init=True)), CONTEXT)


def test_a_shared_memory_directory_replaces_the_private_one() -> None:
    spec = build(container(), replace(CONTEXT, shm_dir="/run/shm/x"))
    (entry,) = [one for one in spec["mounts"] if one["destination"] == "/dev/shm"]
    assert (entry["type"], entry["source"]) == ("bind", "/run/shm/x")


@pytest.mark.parametrize("text", ["c 1:2", "x 1:2 r", "c 1 rwm", "c a:b r", "c 1:2 q", ""])
def test_bad_device_rules_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_rule(text)


def test_exec_inherits_and_overrides() -> None:
    host = HostConfig(cap_add=("NET_ADMIN",), security_opt=("no-new-privileges",), oom_score_adj=7)
    running = container(host, Config(env=(*ENV, "A=1"), working_dir="/w", tty=True))
    process = exec_process(running, CONTEXT, args=("id",), env=("A=2", "B=3"), tty=False)
    assert process["args"] == ["id"]
    assert process["env"][-2:] == ["A=2", "B=3"]
    assert not any(entry.startswith("TERM=") for entry in process["env"])
    assert (process["cwd"], process["noNewPrivileges"], process["oomScoreAdj"]) == ("/w", True, 7)
    assert "CAP_NET_ADMIN" in process["capabilities"]["effective"]
    assert "terminal" not in process


def test_an_exec_needs_no_init_where_the_container_has_one() -> None:
    process = exec_process(container(HostConfig(init=True)), CONTEXT, args=("id",))
    assert process["args"] == ["id"]


def test_a_privileged_exec_has_everything_and_a_terminal_its_size() -> None:
    process = exec_process(container(), CONTEXT, args=("sh",), tty=True, privileged=True, rows=40, columns=120)
    assert process["capabilities"]["effective"] == list(CONTEXT.capabilities)
    assert process["consoleSize"] == {"height": 40, "width": 120}
    assert "TERM=xterm" in process["env"]
