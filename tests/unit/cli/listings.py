"""Lists as a daemon would answer them, made when asked so that ages stay the same.

They hold what tables stumble over: long commands, quotes, several names, link names, ranges, IPv6, no names at all.
"""

import time
from typing import Any

HOUR = 3600


def port(private: int, public: int = 0, address: str = "", protocol: str = "tcp") -> dict[str, Any]:
    entry: dict[str, Any] = {"PrivatePort": private, "Type": protocol}
    if public:
        entry |= {"IP": address, "PublicPort": public}
    return entry


def container(number: int, age: float, **more: Any) -> dict[str, Any]:
    return {
        "Id": f"{number:02x}" * 32, "Names": [f"/c{number}"], "Image": "busybox", "ImageID": "sha256:" + "ab" * 32,
        "Command": "sh", "Created": int(time.time() - age), "Ports": [], "Labels": {}, "State": "running",
        "Status": "Up 2 hours", "HostConfig": {"NetworkMode": "n"}, "NetworkSettings": {"Networks": {"n": {}}}, "Mounts": [],
        **more,
    }  # fmt: skip


def containers() -> list[dict[str, Any]]:
    both = [(a, p) for p in (8000, 8001, 8002) for a in ("0.0.0.0", "::")]
    return [
        container(1, 125, Ports=[port(80, 32768, "0.0.0.0"), port(80, 32768, "::"), port(443)]),
        container(2, 90, Ports=[port(p, p, a) for a, p in both], Names=["/web", "/other/alias"]),
        container(3, 10 * 60 + 5, Command='sh -c "echo \\"hi\\"; sleep 1000"', Labels={"only": "one"}),
        container(4, 20 * 60 + 5, Ports=[port(53, 53, "127.0.0.1", "udp"), port(53, 53, "127.0.0.1"), port(54), port(55)]),
        container(5, 45 * 60 + 5, Image="sha256:" + "ab" * 32, State="exited", Status="Exited (0) 44 minutes ago"),
        container(6, 1.2 * HOUR, Ports=[port(80, 8080, "fe80::1"), port(81, 81, "::1"), port(9, 9, "10.0.0.1", "sctp")]),
        container(7, 30 * HOUR, Mounts=[
            {"Type": "volume", "Name": "a-volume-with-a-long-name", "Source": "/v", "Destination": "/d", "Driver": "local"},
            {"Type": "bind", "Source": "/srv", "Destination": "/srv"},
        ]),
        container(8, 5 * 24 * HOUR, SizeRw=2048, SizeRootFs=1982354, NetworkSettings={"Networks": {"z": {}}}),
        container(9, 20 * 24 * HOUR, Names=["/a-name-that-is-really-rather-long_1"], Image="registry.example:5000/team/app:v1"),
        container(10, 100 * 24 * HOUR, Ports=[port(p, p, "0.0.0.0") for p in (1, 2, 4, 5, 6, 9)]),
        container(11, 800 * 24 * HOUR, Names=[]),
    ]  # fmt: skip


def images() -> list[dict[str, Any]]:
    def image(number: int, age: float, size: int, **more: Any) -> dict[str, Any]:
        return {
            "Id": "sha256:" + f"{number:02x}" * 32, "ParentId": "", "RepoTags": [], "RepoDigests": [], "Size": size,
            "Created": int(time.time() - age), "SharedSize": -1, "Containers": -1, "Labels": None, **more,
        }  # fmt: skip

    digest = "@sha256:" + "d1" * 32
    return [
        image(1, 95, 1982354, RepoTags=["busybox:latest", "busybox:1.35"], RepoDigests=[f"busybox{digest}"]),
        image(2, 3 * HOUR, 999, RepoTags=["reg.example:5000/team/app:v1"]),
        image(3, 40 * HOUR, 1234567890),
        image(4, 9 * 24 * HOUR, 0, RepoDigests=[f"pulled/by/digest{digest}"]),
        image(5, 400 * 24 * HOUR, 52428800, RepoTags=["<none>:<none>"], RepoDigests=[f"gone{digest}"]),
    ]


def networks() -> list[dict[str, Any]]:
    def network(number: int, name: str, driver: str, **more: Any) -> dict[str, Any]:
        return {
            "Name": name, "Id": f"{number:02x}" * 32, "Created": "2024-05-01T10:20:30.123456789Z", "Scope": "local",
            "Driver": driver, "EnableIPv4": True, "EnableIPv6": False, "Internal": False, "Labels": {}, **more,
        }  # fmt: skip

    return [
        network(1, "none", "null"), network(2, "my_net2", "bridge", EnableIPv6=True, Labels={"a": "b"}),
        network(3, "host", "host"), network(4, "bridge", "bridge"), network(5, "Upper", "macvlan", Internal=True),
        network(6, "my_net10", "bridge"),
    ]  # fmt: skip


def volumes() -> dict[str, Any]:
    def volume(name: str, **more: Any) -> dict[str, Any]:
        return {"Name": name, "Driver": "local", "Mountpoint": f"/v/{name}", "Scope": "local", "Labels": None, **more}

    return {"Volumes": [volume("zeta"), volume("a" * 64, Labels={"com.docker.volume.anonymous": ""}), volume("beta")]}


def history() -> list[dict[str, Any]]:
    return [
        {"Id": "sha256:" + "ab" * 32, "Created": int(time.time() - 7200), "CreatedBy": "/bin/sh -c #(nop)  CMD [\"sh\"]",
         "Size": 0, "Comment": "", "Tags": ["busybox:latest"]},
        {"Id": "<missing>", "Created": int(time.time() - 10000), "CreatedBy": "RUN something\tthat is far longer than a column",
         "Size": 4567890, "Comment": "buildkit", "Tags": None},
    ]  # fmt: skip
