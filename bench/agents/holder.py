"""Holds a mount namespace in which the peers' packages lie over the machine's own, and changes nothing outside it.

    unshare -m python3 -IS holder.py PEERS DATA UPSTREAM

/usr and /etc of the folder PEERS are laid over the machine's (overlay mounts), /run is empty and its own, Podman's
storage is below DATA, and names are looked up at UPSTREAM. Prints `ready` and its process id, then drains the syslog
socket that aardvark-dns insists on, until it is ended.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

SPACE = "/run/bench"


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def lay_over(peers: str) -> None:
    mount("--make-rprivate", "/")
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    mount("-t", "overlay", "-o", f"lowerdir={peers}/usr:/usr", "peers", "/usr")
    for name in ("upper", "work"):
        Path(SPACE, name).mkdir(parents=True)
    # Written to: Docker keeps a key below /etc, Podman its networks.
    layers = f"lowerdir={peers}/etc:/etc,upperdir={SPACE}/upper,workdir={SPACE}/work"
    mount("-t", "overlay", "-o", layers, "peers", "/etc")


def look_up_at(server: str) -> None:
    """aardvark-dns forwards to the servers of its own resolv.conf."""
    own = Path("/run/resolv.conf")
    own.write_text(f"nameserver {server}\n")
    mount("--bind", str(own), str(Path("/etc/resolv.conf").resolve()))


def free_unified_controllers() -> None:
    """crun 1.8 refuses a hybrid set-up whose cgroup2 hierarchy has controllers: they are mounted as v1 here."""
    controllers = Path("/sys/fs/cgroup/unified/cgroup.controllers")
    for name in controllers.read_text().split() if controllers.exists() else []:
        place = Path(SPACE, f"cgroup-{name}")
        place.mkdir()
        mount("-t", "cgroup", "-o", name, "cgroup", str(place))


def configure_podman(data: str) -> None:
    containers = Path("/etc/containers")
    (containers / "containers.conf").write_text(
        '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n[network]\nnetwork_backend = "netavark"\n'
    )
    (containers / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{data}/podman"\nrunroot = "/run/containers/storage"\n'
    )


def main() -> None:
    peers, data, upstream = sys.argv[1:]
    lay_over(peers)
    look_up_at(upstream)
    free_unified_controllers()
    configure_podman(data)
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if not os.path.exists("/dev/log"):
        log.bind("/run/syslog")
    print("ready", os.getpid(), flush=True)
    while True:
        log.recv(8192)


main()
