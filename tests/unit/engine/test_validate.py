"""What is refused and completed at create. Texts and results recorded from Docker 26.1.5."""

from typing import Any

import pytest

from landbridge.engine.validate import DEFAULT_SHM_SIZE, Checked, Facts, normalise
from landbridge.errors import Invalid
from landbridge.model.config import Config, Device, Healthcheck, HostConfig, LogConfig, RestartPolicy
from landbridge.model.ports import PortBinding
from landbridge.oci.spec import MASKED_PATHS, READONLY_PATHS

FACTS = Facts(cpus=2, memory=8 << 30, runtimes=("crun", "runc"), cgroup_version=1)


def checked(config: Config | None = None, facts: Facts = FACTS, **host: Any) -> Checked:
    return normalise(config or Config(), HostConfig(**host), facts)


def refusal(config: Config | None = None, **host: Any) -> str:
    with pytest.raises(Invalid) as error:
        checked(config, **host)
    return error.value.message


# Defaults.


def test_defaults() -> None:
    host = checked().host
    assert (host.shm_size, host.ipc_mode, host.network_mode) == (DEFAULT_SHM_SIZE, "private", "bridge")
    assert host.log_config == LogConfig(type="json-file", config={})
    assert host.restart_policy == RestartPolicy(name="no")
    assert (host.runtime, host.cgroupns_mode, host.security_opt) == ("crun", "host", None)
    assert (host.masked_paths, host.readonly_paths) == (MASKED_PATHS, READONLY_PATHS)


def test_cgroup_namespace_is_private_on_the_unified_hierarchy() -> None:
    assert checked(facts=Facts(cpus=2, cgroup_version=2)).host.cgroupns_mode == "private"


def test_privileged_masks_nothing_and_is_labelled() -> None:
    host = checked(privileged=True, security_opt=("no-new-privileges",)).host
    assert (host.masked_paths, host.readonly_paths) == (None, None)
    assert host.security_opt == ("no-new-privileges", "label=disable")
    assert checked(privileged=True, masked_paths=("/x",)).host.masked_paths == ("/x",)
    assert checked(masked_paths=()).host.masked_paths == ()


@pytest.mark.parametrize("mode", ["ipc_mode", "pid_mode"])
def test_host_namespaces_are_labelled(mode: str) -> None:
    assert checked(**{mode: "host"}).host.security_opt == ("label=disable",)
    assert checked(**{mode: "host"}, security_opt=("label=type:x",)).host.security_opt == ("label=type:x",)


@pytest.mark.parametrize("mode", ["", "default", "bridge"])
def test_network_mode_is_shown_as_bridge(mode: str) -> None:
    assert checked(network_mode=mode).host.network_mode == "bridge"


# Configuration.


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (Config(working_dir="x"), "the working directory 'x' is invalid, it needs to be an absolute path"),
        (Config(working_dir="C:\\x"), "the working directory 'C:\\x' is invalid, it needs to be an absolute path"),
        (Config(stop_signal="SIGFOO"), "invalid signal: SIGFOO"),
        (Config(stop_signal="0"), "invalid signal: 0"),
        (Config(env=("=b",)), "invalid environment variable: =b"),
        (Config(env=("",)), "invalid environment variable: "),
        (Config(env=("A\0b=c",)), "invalid environment variable: A\0b=c"),
        (Config(hostname="a" * 65), f"invalid hostname format: {'a' * 65}"),
        (Config(hostname="a\n10.0.0.1 bank"), "invalid hostname format: a\n10.0.0.1 bank"),
        (Config(healthcheck=Healthcheck(interval=999_999)), "Interval in Healthcheck cannot be less than 1ms"),
        (Config(healthcheck=Healthcheck(timeout=-1)), "Timeout in Healthcheck cannot be less than 1ms"),
        (Config(healthcheck=Healthcheck(start_period=5)), "StartPeriod in Healthcheck cannot be less than 1ms"),
        (Config(healthcheck=Healthcheck(start_interval=5)), "StartInterval in Healthcheck cannot be less than 1ms"),
        (Config(healthcheck=Healthcheck(retries=-1)), "Retries in Healthcheck cannot be negative"),
    ],
)
def test_refused_configurations(config: Config, text: str) -> None:
    assert refusal(config) == text


def test_accepted_configurations() -> None:
    config = Config(
        working_dir="/x/../y/", env=("A", "A=b", "A B=c"), stop_signal="RTMIN+3", hostname="-foo_bar.",
        healthcheck=Healthcheck(test=("NONE",), interval=1_000_000),
    )
    assert checked(config).config.working_dir == "/y"
    assert checked(Config(working_dir="")).config.working_dir == ""


# Restart and removal.


@pytest.mark.parametrize("name", ["", "no", "always", "unless-stopped"])
def test_retries_are_for_on_failure_only(name: str) -> None:
    text = "invalid restart policy: maximum retry count can only be used with 'on-failure'"
    assert refusal(restart_policy=RestartPolicy(name=name, maximum_retry_count=3)) == text
    policy = RestartPolicy(name=name, maximum_retry_count=-1)
    assert refusal(restart_policy=policy) == f"{text} and cannot be negative"


def test_restart_policies() -> None:
    assert refusal(restart_policy=RestartPolicy(name="bad", maximum_retry_count=3)) == (
        "invalid restart policy: unknown policy 'bad'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
    )
    assert refusal(restart_policy=RestartPolicy(name="on-failure", maximum_retry_count=-1)) == (
        "invalid restart policy: maximum retry count cannot be negative"
    )
    policy = RestartPolicy(name="on-failure", maximum_retry_count=3)
    assert checked(restart_policy=policy).host.restart_policy == policy


def test_auto_remove_excludes_restarting() -> None:
    text = "can't create 'AutoRemove' container with restart policy"
    assert refusal(auto_remove=True, restart_policy=RestartPolicy(name="on-failure")) == text
    assert checked(auto_remove=True, restart_policy=RestartPolicy(name="no")).host.auto_remove


# Namespaces.


@pytest.mark.parametrize(
    ("field", "mode", "text"),
    [
        ("ipc_mode", "bad", "invalid IPC mode: bad"),
        ("ipc_mode", "container", "invalid IPC mode: container"),
        ("ipc_mode", "container:", "invalid IPC mode: container:"),
        ("pid_mode", "private", "invalid PID mode: private"),
        ("pid_mode", "container:", "invalid PID mode: container:"),
        ("uts_mode", "private", "invalid UTS mode: private"),
        ("cgroupns_mode", "bad", "invalid cgroup namespace mode: bad"),
    ],
)
def test_refused_namespace_modes(field: str, mode: str, text: str) -> None:
    assert refusal(**{field: mode}) == text


def test_accepted_namespace_modes() -> None:
    host = checked(ipc_mode="container:a", pid_mode="container:b", uts_mode="host", cgroupns_mode="private").host
    assert (host.ipc_mode, host.pid_mode) == ("container:a", "container:b")
    assert checked(ipc_mode="shareable", pid_mode="host").host.ipc_mode == "shareable"


# Privileges.


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ({"cap_add": ("FOO",)}, 'invalid CapAdd: unknown capability: "CAP_FOO"'),
        ({"cap_add": ("cap_foo",)}, 'invalid CapAdd: unknown capability: "CAP_FOO"'),
        ({"cap_add": ("",)}, 'invalid CapAdd: unknown capability: "CAP_"'),
        ({"cap_drop": ("FOO",)}, 'invalid CapDrop: unknown capability: "CAP_FOO"'),
        ({"security_opt": ("foo",)}, 'invalid --security-opt 1: "foo"'),
        ({"security_opt": ("label",)}, 'invalid --security-opt 1: "label"'),
        ({"security_opt": ("foo=bar",)}, 'invalid --security-opt 2: "foo=bar"'),
        ({"security_opt": ("no-new-privileges=x",)}, 'invalid --security-opt 2: "no-new-privileges=x"'),
        ({"security_opt": ("systempaths=unconfined",)}, 'invalid --security-opt 2: "systempaths=unconfined"'),
    ],
)
def test_refused_privileges(host: dict[str, Any], text: str) -> None:
    assert refusal(**host) == text


def test_accepted_privileges() -> None:
    checked(cap_add=("net_admin", "CAP_SYS_TIME", "all"), cap_drop=("ALL",))
    checked(security_opt=("no-new-privileges", "seccomp=unconfined", "apparmor=x", "label:disable", "disable"))


# Kernel settings.


@pytest.mark.parametrize(
    ("key", "modes", "text"),
    [
        ("net.ipv4.ip_forward", {"network_mode": "host"},
         'sysctl "net.ipv4.ip_forward" not allowed in host network namespace'),
        ("kernel.hostname", {},
         'sysctl "kernel.hostname" is not allowed as it conflicts with the OCI "hostname" field'),
        ("vm.swappiness", {}, 'sysctl "vm.swappiness" is not in a separate kernel namespace'),
        ("", {}, 'sysctl "" is not in a separate kernel namespace'),
        ("kernel.shmmax", {"ipc_mode": "host"}, 'sysctl "kernel.shmmax" is not allowed in the hosts ipc namespace'),
        ("kernel.domainname", {"uts_mode": "host"}, 'sysctl "kernel.domainname" is not in a separate kernel namespace'),
    ],
)  # fmt: skip
def test_sysctls_of_the_host_are_refused(key: str, modes: dict[str, str], text: str) -> None:
    assert refusal(sysctls={key: "1"}, **modes) == text


def test_sysctls_of_own_namespaces_are_accepted() -> None:
    keys = ("net/ipv4/ip_forward", "net.core.somaxconn", "kernel.shmmax", "fs.mqueue.msg_max", "kernel.domainname")
    checked(sysctls=dict.fromkeys(keys, "1"))
    checked(sysctls={"net.core.somaxconn": "1"}, network_mode="container:other")


# Logs.


@pytest.mark.parametrize(
    ("driver", "options", "text"),
    [
        ("nosuch", {}, 'error looking up logging plugin nosuch: plugin "nosuch" not found'),
        ("json-file", {"bad": "x"}, "unknown log opt 'bad' for json-file log driver"),
        ("local", {"bad": "x"}, "unknown log opt 'bad' for log driver local"),
        ("local", {"tag": "x"}, "unknown log opt 'tag' for log driver local"),
        ("json-file", {"max-size": "x"}, "invalid size: 'x'"),
        ("json-file", {"max-size": "-1"}, "invalid size: '-1'"),
        ("json-file", {"max-size": "0"}, "max-size must be a positive number"),
        ("json-file", {"max-file": "0"}, "max-file cannot be less than 1"),
        ("json-file", {"max-file": "x"}, 'strconv.Atoi: parsing "x": invalid syntax'),
        ("json-file", {"compress": "x"}, 'strconv.ParseBool: parsing "x": invalid syntax'),
        ("json-file", {"compress": "true"},
         "compress cannot be true when max-file is less than 2 or max-size is not set"),
        ("", {"mode": "bad"}, "logger: logging mode not supported: bad"),
        ("", {"mode": "non-blocking", "max-buffer-size": "x"},
         "error parsing option max-buffer-size: invalid size: 'x'"),
        ("", {"max-buffer-size": "1m"}, "logger: max-buffer-size option is only supported with 'mode=non-blocking'"),
    ],
)  # fmt: skip
def test_refused_log_configurations(driver: str, options: dict[str, str], text: str) -> None:
    assert refusal(log_config=LogConfig(type=driver, config=options)) == text


def test_accepted_log_configurations() -> None:
    options = {"max-size": "10m", "max-file": "3", "compress": "true", "labels": "a", "tag": "c"}
    assert checked(log_config=LogConfig(config=options)).host.log_config == LogConfig(type="json-file", config=options)
    checked(log_config=LogConfig(type="none", config={"any": "thing"}))


# The rest.


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ({"shm_size": -1}, "SHM size can not be less than 0"),
        ({"runtime": "foo"}, "unknown or invalid runtime name: foo"),
        ({"isolation": "hyperv"}, "Invalid isolation: \"hyperv\" - linux only supports 'default'"),
        ({"storage_opt": {"foo": "x"}}, "Unknown option foo"),
        ({"storage_opt": {"size": "1G"}},
         "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"),
        ({"annotations": {"": "x"}},
         "invalid Annotations: the empty string is not permitted as an annotation key"),
        ({"cgroup_parent": "/a/../../x"}, "invalid cgroup parent: /a/../../x"),
        ({"device_cgroup_rules": ("c 1:3 x",)}, "invalid device cgroup rule format: 'c 1:3 x'"),
        ({"device_requests": ({"Driver": "nvidia", "Count": -1},)},
         'could not select device driver "nvidia" with capabilities: []'),
        ({"device_requests": ({"Capabilities": [["gpu"]], "Count": -1},)},
         'could not select device driver "" with capabilities: [[gpu]]'),
        ({"port_bindings": {"80/tcp": (PortBinding(host_port="70000"),)}},
         'invalid port specification: "70000"'),
        ({"port_bindings": {"80/tcp": (PortBinding(host_port="9-8"),)}}, 'invalid port specification: "9-8"'),
    ],
)  # fmt: skip
def test_refused_host_settings(host: dict[str, Any], text: str) -> None:
    assert refusal(**host) == text


def test_accepted_host_settings() -> None:
    checked(
        shm_size=1, runtime="runc", isolation="default", storage_opt={}, annotations={"a": ""},
        cgroup_parent="/x", device_cgroup_rules=("c 1:3 rwm", "a *:* r"),
        devices=(Device(path_on_host="/dev/null", path_in_container="/dev/x", cgroup_permissions="rwm"),),
    )
