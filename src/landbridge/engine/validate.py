"""Everything refused or completed at ``POST /containers/create`` that needs no look at other objects.

Pure. The request is checked *before* the image's wishes are merged into it, as Docker does: an image with
exposed ports may still join another container's network. What Docker only notices at start (a sysctl of the
host's, a malformed device rule) is refused here already, in the same words. Resources and networking have
modules of their own; mounts are `mountplan`'s.
"""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from landbridge.engine.validate_log import check_log
from landbridge.engine.validate_network import check_endpoints, check_network, main_endpoint
from landbridge.engine.validate_resources import Facts, check_resources
from landbridge.errors import Invalid
from landbridge.model.config import Config, Healthcheck, HostConfig, LogConfig, RestartPolicy
from landbridge.model.signals import signal_number
from landbridge.network import publishing
from landbridge.oci import capabilities
from landbridge.oci.spec import MASKED_PATHS, READONLY_PATHS, parse_security

__all__ = ["Checked", "Facts", "check_endpoints", "main_endpoint", "normalise"]

DEFAULT_SHM_SIZE = 64 * 1024 * 1024
HOST_NAME_MAX = 64  # utsname.nodename of the kernel
_MILLISECOND = 1_000_000

_IPC_SYSCTLS = frozenset(
    f"kernel.{name}" for name in "msgmax msgmnb msgmni sem shmall shmmax shmmni shm_rmid_forced".split()
)
_DEVICE_RULE = re.compile(r"[acb] (?:[0-9]+|\*):(?:[0-9]+|\*) [rwm]{1,3}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BARE_SECURITY = ("no-new-privileges", "disable", "writable-cgroups")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A request with Docker's defaults filled in, and what the user should hear about it."""

    config: Config
    host: HostConfig
    warnings: tuple[str, ...] = ()


def normalise(config: Config, host: HostConfig, facts: Facts) -> Checked:
    """Check a create request (not yet merged with its image) and complete it.

    Raises: Invalid with Docker's sentence, Unsupported for what landbridge leaves out, NotFound (log driver).
    """
    host = replace(host, network_mode="bridge" if host.network_mode in ("", "default") else host.network_mode)
    warnings = list(check_network(config, host))
    _check_modes(host)
    publishing.check(config, host)
    config = _checked_config(config)
    host = checked_restart(host)
    host, words = check_resources(host, facts)
    warnings += words
    _check_privileges(host)
    _check_kernel_settings(host)
    _check_rest(host, facts)
    return Checked(config=config, host=_completed(host, facts), warnings=tuple(warnings))


# What runs.


def _checked_config(config: Config) -> Config:
    directory = config.working_dir
    if directory and not directory.startswith("/"):
        raise Invalid(f"the working directory '{directory}' is invalid, it needs to be an absolute path")
    for entry in config.env or ():
        if not entry.partition("=")[0] or "\0" in entry:
            raise Invalid(f"invalid environment variable: {entry}")
    if config.stop_signal:
        signal_number(config.stop_signal)
    # They become lines of /etc/hosts and /etc/hostname.
    for name in (config.hostname, config.domainname):
        if len(name.encode()) > HOST_NAME_MAX or _CONTROL.search(name):
            raise Invalid(f"invalid hostname format: {name}")
    _check_health(config.healthcheck)
    return replace(config, working_dir=posixpath.normpath("/" + directory.lstrip("/")) if directory else "")


def _check_health(check: Healthcheck | None) -> None:
    if check is None:
        return
    times = {
        "Interval": check.interval, "Timeout": check.timeout,
        "StartPeriod": check.start_period, "StartInterval": check.start_interval,
    }  # fmt: skip
    for name, value in times.items():
        if value != 0 and value < _MILLISECOND:
            raise Invalid(f"{name} in Healthcheck cannot be less than 1ms")
    if check.retries < 0:
        raise Invalid("Retries in Healthcheck cannot be negative")


# How it goes on.


def checked_restart(host: HostConfig) -> HostConfig:
    """The policy by its full name. Raises: Invalid."""
    policy = host.restart_policy
    count = policy.maximum_retry_count
    name = policy.name or "no"
    if name not in ("no", "always", "on-failure", "unless-stopped"):
        raise Invalid(
            f"invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', 'on-failure', or"
            " 'unless-stopped'"
        )
    if name != "on-failure" and count:
        also = " and cannot be negative" if count < 0 else ""
        raise Invalid(f"invalid restart policy: maximum retry count can only be used with 'on-failure'{also}")
    if count < 0:
        raise Invalid("invalid restart policy: maximum retry count cannot be negative")
    if host.auto_remove and name != "no":
        raise Invalid("can't create 'AutoRemove' container with restart policy")
    return replace(host, restart_policy=RestartPolicy(name=name, maximum_retry_count=count))


# What it is separated from the host by.


def _check_modes(host: HostConfig) -> None:
    """Namespace modes by their form; whether a container named there exists is for the caller to see."""
    forms = {
        "IPC": (host.ipc_mode, ("", "none", "private", "shareable", "host"), "container:"),
        "PID": (host.pid_mode, ("", "host"), "container:"),
        "UTS": (host.uts_mode, ("", "host"), ""),
        "cgroup namespace": (host.cgroupns_mode, ("", "private", "host"), ""),
    }
    for name, (mode, words, prefix) in forms.items():
        joins = prefix and mode.startswith(prefix) and mode != prefix
        if mode not in words and not joins:
            raise Invalid(f"invalid {name} mode: {mode}")


def _check_privileges(host: HostConfig) -> None:
    for field, names in (("CapAdd", host.cap_add), ("CapDrop", host.cap_drop)):
        for name in names or ():
            full = name.upper() if name.upper().startswith("CAP_") else f"CAP_{name.upper()}"
            if full not in capabilities.ALL and full != "CAP_ALL":
                raise Invalid(f'invalid {field}: unknown capability: "{full}"')
    for option in host.security_opt or ():
        if "=" not in option and ":" not in option and option not in _BARE_SECURITY:
            raise Invalid(f'invalid --security-opt 1: "{option}"')
        if option.startswith("systempaths"):
            # The command line turns it into MaskedPaths and ReadonlyPaths; nothing here would act on it.
            raise Invalid(f'invalid --security-opt 2: "{option}"')
    parse_security(host.security_opt)


def _check_kernel_settings(host: HostConfig) -> None:
    """Only settings of a namespace the container has for itself (the OCI runtimes' rule and words)."""
    for given in host.sysctls or {}:
        key = given.replace("/", ".")
        if key in _IPC_SYSCTLS or key.startswith("fs.mqueue."):
            if host.ipc_mode == "host":
                raise Invalid(f'sysctl "{given}" is not allowed in the hosts ipc namespace')
        elif key.startswith("net."):
            if host.network_mode == "host":
                raise Invalid(f'sysctl "{given}" not allowed in host network namespace')
        elif key == "kernel.hostname" and host.uts_mode != "host":
            raise Invalid(f'sysctl "{given}" is not allowed as it conflicts with the OCI "hostname" field')
        elif key != "kernel.domainname" or host.uts_mode == "host":
            raise Invalid(f'sysctl "{given}" is not in a separate kernel namespace')


def _check_rest(host: HostConfig, facts: Facts) -> None:
    if host.shm_size < 0:
        raise Invalid("SHM size can not be less than 0")
    if host.runtime and host.runtime not in facts.runtimes:
        raise Invalid(f"unknown or invalid runtime name: {host.runtime}")
    if host.isolation not in ("", "default"):
        raise Invalid(f"Invalid isolation: \"{host.isolation}\" - linux only supports 'default'")
    for option in host.storage_opt or {}:
        if option != "size":
            raise Invalid(f"Unknown option {option}")
        raise Invalid("--storage-opt is supported only for overlay over xfs with 'pquota' mount option")
    if "" in (host.annotations or {}):
        raise Invalid("invalid Annotations: the empty string is not permitted as an annotation key")
    if ".." in host.cgroup_parent.split("/"):
        raise Invalid(f"invalid cgroup parent: {host.cgroup_parent}")
    for rule in host.device_cgroup_rules or ():
        if not _DEVICE_RULE.fullmatch(rule):
            raise Invalid(f"invalid device cgroup rule format: '{rule}'")
    for request in host.device_requests or ():
        raise Invalid(_no_device_driver(request))
    check_log(host.log_config)


def _no_device_driver(request: Mapping[str, object]) -> str:
    sets = request.get("Capabilities") or ()
    assert isinstance(sets, list | tuple)
    words = " ".join(f"[{' '.join(map(str, one))}]" for one in sets)
    return f"could not select device driver \"{request.get('Driver') or ''}\" with capabilities: [{words}]"


# Defaults.


def _completed(host: HostConfig, facts: Facts) -> HostConfig:
    """What Docker shows in inspect where the user said nothing."""
    masked, readonly = host.masked_paths, host.readonly_paths
    if not host.privileged:
        masked = MASKED_PATHS if masked is None else masked
        readonly = READONLY_PATHS if readonly is None else readonly
    log = host.log_config
    return replace(
        host,
        shm_size=host.shm_size or DEFAULT_SHM_SIZE,
        log_config=LogConfig(type=log.type or "json-file", config=log.config or {}),
        ipc_mode=host.ipc_mode or "private",
        cgroupns_mode=host.cgroupns_mode or ("private" if facts.cgroup_version == 2 else "host"),
        runtime=host.runtime or (facts.runtimes[0] if facts.runtimes else ""),
        masked_paths=masked,
        readonly_paths=readonly,
        security_opt=_labelled(host),
    )


def _labelled(host: HostConfig) -> tuple[str, ...] | None:
    """Docker notes that such a container is outside SELinux's confinement, whether or not there is any."""
    options = host.security_opt or ()
    unconfined = host.privileged or "host" in (host.ipc_mode, host.pid_mode)
    if unconfined and not any(option.partition("=")[0] == "label" for option in options):
        return (*options, "label=disable")
    return host.security_opt
