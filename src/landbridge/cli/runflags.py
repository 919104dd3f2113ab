"""The flags `run` and `create` share. Data only; what they mean is `createbody`'s."""

from __future__ import annotations

from landbridge.cli.flags import Flag, refused

DETACH_KEYS = Flag("detach-keys", "", "string", "Keys that leave the container running, like ctrl-p,ctrl-q")

PROCESS = (
    Flag("annotation", "", "map", "Annotation passed to the runtime"),
    Flag("attach", "a", "list", "Attach to STDIN, STDOUT or STDERR"),
    Flag("entrypoint", "", "string", "Run this instead of the image's entrypoint"),
    Flag("env", "e", "list", "Set a variable of the environment (NAME alone: as it is here)"),
    Flag("env-file", "", "list", "Read variables from a file"),
    Flag("group-add", "", "list", "Further groups of the user"),
    Flag("health-cmd", "", "string", "Command that tells whether the container is healthy"),
    Flag("health-interval", "", "duration", "Time between two health checks"),
    Flag("health-retries", "", "int", "Failed checks in a row that mean unhealthy"),
    Flag("health-start-interval", "", "duration", "Time between checks during the start period"),
    Flag("health-start-period", "", "duration", "Time to start up in which failed checks do not count"),
    Flag("health-timeout", "", "duration", "Longest time a check may take"),
    Flag("init", "", "bool", "Run an init that forwards signals and reaps processes"),
    Flag("interactive", "i", "bool", "Keep STDIN open"),
    Flag("label", "l", "list", "Set a label"),
    Flag("label-file", "", "list", "Read labels from a file"),
    Flag("no-healthcheck", "", "bool", "Do not run the image's health check"),
    Flag("restart", "", "string", "When to start again: no, on-failure[:N], always, unless-stopped", "no"),
    Flag("rm", "", "bool", "Remove the container and its anonymous volumes when it ends"),
    Flag("runtime", "", "string", "OCI runtime to use"),
    Flag("stop-signal", "", "string", "Signal that asks the process to end"),
    Flag("stop-timeout", "", "int", "Seconds between that signal and the kill"),
    Flag("tty", "t", "bool", "Give the process a terminal"),
    Flag("user", "u", "string", "User: name or uid, and :group"),
    Flag("workdir", "w", "string", "Working directory of the process"),
)

NETWORK = (
    Flag("add-host", "", "list", "Line for /etc/hosts: name:address"),
    Flag("dns", "", "list", "DNS server"),
    Flag("dns-option", "", "list", "Option for resolv.conf", alias="dns-opt"),
    Flag("dns-search", "", "list", "Domain in which short names are looked up"),
    Flag("domainname", "", "string", "NIS domain name"),
    Flag("expose", "", "list", "Declare a port or a range of ports"),
    Flag("hostname", "h", "string", "Host name of the container"),
    Flag("ip", "", "string", "IPv4 address"),
    Flag("ip6", "", "string", "IPv6 address"),
    Flag("link", "", "list", "Another name for another container: name:alias"),
    Flag("link-local-ip", "", "list", "Link-local address"),
    Flag("mac-address", "", "string", "Hardware address"),
    Flag(
        "network",
        "",
        "network",
        "Network to join: its name, container:NAME, host, none, or name=…,alias=…,ip=…",
        alias="net",
    ),
    Flag("network-alias", "", "list", "Another name of the container on its network", alias="net-alias"),
    Flag("publish", "p", "list", "Publish a port to the host: [[IP:]PORT:]PORT[/PROTO]"),
    Flag("publish-all", "P", "bool", "Publish every exposed port to a free port"),
)

FILES = (
    Flag("cidfile", "", "string", "Write the container's id to this file"),
    Flag("mount", "", "mount", "Mount: type=bind|volume|tmpfs,source=…,target=…"),
    Flag("name", "", "string", "Name of the container"),
    Flag("platform", "", "string", "Platform of the image"),
    Flag("pull", "", "string", "When to pull the image: always, missing, never", "missing"),
    Flag("quiet", "q", "bool", "Do not show the progress of a pull"),
    Flag("read-only", "", "bool", "Mount the root filesystem read-only"),
    Flag("shm-size", "", "bytes", "Size of /dev/shm"),
    Flag("storage-opt", "", "list", "Option of the storage driver"),
    Flag("tmpfs", "", "list", "Mount a tmpfs: /path[:options]"),
    Flag("volume", "v", "list", "Mount a directory or volume: source:/path[:mode]"),
    Flag("volume-driver", "", "string", "Driver for volumes made on the way"),
    Flag("volumes-from", "", "list", "Mount the volumes of another container"),
    Flag("disable-content-trust", "", "bool", "Ignored; images are not signed here", default=True, shown=False),
)

LIMITS = (
    Flag("blkio-weight", "", "uint16", "Share of block I/O, 10 to 1000"),
    Flag("blkio-weight-device", "", "list", "Share of block I/O per device"),
    Flag("cap-add", "", "list", "Add a capability"),
    Flag("cap-drop", "", "list", "Take a capability away"),
    Flag("cgroup-parent", "", "string", "Parent of the container's cgroup"),
    Flag("cgroupns", "", "string", "Cgroup namespace: host or private"),
    Flag("cpu-period", "", "int", "Length of a scheduling period in microseconds"),
    Flag("cpu-quota", "", "int", "Microseconds of CPU per period"),
    Flag("cpu-rt-period", "", "int", "Length of a real-time period in microseconds"),
    Flag("cpu-rt-runtime", "", "int", "Microseconds of real-time CPU per period"),
    Flag("cpu-shares", "c", "int", "Relative weight of CPU"),
    Flag("cpus", "", "decimal", "Number of CPUs"),
    Flag("cpuset-cpus", "", "string", "CPUs to run on (0-3, 0,1)"),
    Flag("cpuset-mems", "", "string", "Memory nodes to use (0-3, 0,1)"),
    Flag("device", "", "list", "Host device to add: /dev/x[:/dev/y[:rwm]]"),
    Flag("device-cgroup-rule", "", "list", "Rule for the device cgroup: c 1:3 rwm"),
    Flag("device-read-bps", "", "list", "Limit of bytes read per second: /dev/x:1mb"),
    Flag("device-read-iops", "", "list", "Limit of reads per second: /dev/x:100"),
    Flag("device-write-bps", "", "list", "Limit of bytes written per second"),
    Flag("device-write-iops", "", "list", "Limit of writes per second"),
    Flag("gpus", "", "gpu-request", "GPU devices to add: all, or a number of them"),
    Flag("ipc", "", "string", "IPC namespace: private, shareable, host, container:NAME"),
    Flag("isolation", "", "string", "Kept for scripts written for Docker"),
    Flag("kernel-memory", "", "bytes", "Ignored by current kernels"),
    Flag("log-driver", "", "string", "Where output goes: json-file, none, …"),
    Flag("log-opt", "", "list", "Option of the log driver"),
    Flag("memory", "m", "bytes", "Limit of memory"),
    Flag("memory-reservation", "", "bytes", "Soft limit of memory"),
    Flag("memory-swap", "", "bytes", "Limit of memory and swap together, -1: none"),
    Flag("memory-swappiness", "", "int", "How readily memory is swapped, 0 to 100", -1),
    Flag("oom-kill-disable", "", "bool", "Do not kill when memory runs out"),
    Flag("oom-score-adj", "", "int", "Preference of the out-of-memory killer, -1000 to 1000"),
    Flag("pid", "", "string", "PID namespace: host, container:NAME"),
    Flag("pids-limit", "", "int", "Limit of processes, -1: none"),
    Flag("privileged", "", "bool", "Give the container all privileges"),
    Flag("security-opt", "", "list", "Security option: no-new-privileges, seccomp=FILE, …"),
    Flag("sysctl", "", "map", "Kernel setting of the container's namespaces"),
    Flag("ulimit", "", "ulimit", "Limit: name=soft[:hard]"),
    Flag("userns", "", "string", "User namespace: host"),
    Flag("uts", "", "string", "UTS namespace: host"),
)

_WINDOWS = "is only supported on a Docker daemon running on windows, but the Docker daemon is running on linux"
REFUSED = (
    refused("cpu-count", "int", _WINDOWS),
    refused("cpu-percent", "int", _WINDOWS),
    refused("io-maxbandwidth", "bytes", _WINDOWS),
    refused("io-maxiops", "uint", _WINDOWS),
    refused("use-api-socket", "bool", "is not offered: who gets the engine's socket is root here, so say it with -v"),
)

CREATE_FLAGS = (*PROCESS, *NETWORK, *FILES, *LIMITS, *REFUSED)
RUN_FLAGS = (
    *CREATE_FLAGS,
    DETACH_KEYS,
    Flag("detach", "d", "bool", "Run in the background and print the id"),
    Flag("sig-proxy", "", "bool", "Pass received signals to the process", default=True),
)
