#!/usr/bin/env python3
"""How long `docker run -d --network my_net2 busybox sleep 600` takes, here and on a Docker Engine beside it.

    .venv/bin/python bench/start.py [--peer unix:///var/run/docker.sock] [--rounds 20]

The same unmodified docker command runs against both sockets in turn (A B A B …), with the same image, so the
figures share whatever else the machine does. Prints minimum, median and maximum in milliseconds and the ratio
of medians. Without a peer only landbridge is measured. Containers are removed outside the measured time.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "demo"))

import images
from lab import Lab, docker_cli


def docker(socket: str, *words: str) -> str:
    done = subprocess.run([docker_cli(), "-H", socket, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"docker {' '.join(words)} on {socket}: {done.stderr}")
    return done.stdout.strip()


def prepare(socket: str, archive: Path) -> None:
    docker(socket, "load", "-q", "-i", str(archive))
    subprocess.run([docker_cli(), "-H", socket, "network", "rm", "lbbench"], capture_output=True, check=False)
    docker(socket, "network", "create", "lbbench")


def once(socket: str) -> float:
    begun = time.perf_counter()
    identity = docker(socket, "run", "-d", "--network", "lbbench", "busybox", "sleep", "600")
    taken = time.perf_counter() - begun
    docker(socket, "rm", "-f", identity)
    return taken * 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default="", help="socket of a Docker Engine to measure beside")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, Lab("lbbench") as lab:
        archive = Path(directory, "busybox.tar")
        images.build("busybox", archive)
        sockets = {"landbridge": f"unix://{lab.socket}"} | ({"docker": options.peer} if options.peer else {})
        for socket in sockets.values():
            prepare(socket, archive)
            once(socket)
        taken: dict[str, list[float]] = {name: [] for name in sockets}
        for _ in range(options.rounds):
            for name, socket in sockets.items():
                taken[name].append(once(socket))
        for socket in sockets.values():
            docker(socket, "network", "rm", "lbbench")
    for name, found in taken.items():
        print(f"{name:12} min {min(found):7.1f}  median {statistics.median(found):7.1f}  max {max(found):7.1f} ms")
    if "docker" in taken:
        ratio = statistics.median(taken["docker"]) / statistics.median(taken["landbridge"])
        print(f"docker takes {ratio:.1f} x as long")
    return 0


if __name__ == "__main__":
    sys.exit(main())
