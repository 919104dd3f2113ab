"""Requests asked of a real Docker Engine and of landbridge, one after the other, and how answers are compared.

``python tests/system/api_scenario.py /var/run/docker.sock`` asks a Docker Engine (26.1, API 1.45) and writes its
answers to tests/golden/api/answers.json. Everything the scenario makes is named ``lbapi…`` and removed by its end.
What no two engines share (ids, times, addresses of their own pools) is replaced by a word.
"""

import http.client
import json
import re
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

GOLDEN = Path(__file__).parents[1] / "golden" / "api" / "answers.json"
IMAGE = "lbapi:test"
VERSION = "/v1.45"

_WORDS = (
    (re.compile(r"[0-9a-f]{64}"), "<id>"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "<short>"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "<time>"),
    (re.compile(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b"), "<mac>"),
    (re.compile(r"\b172\.\d+\.\d+\.\d+\b"), "<address>"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One request. `compare` is ``all``, ``status`` (the body differs by nature) or ``none`` (only clears the way)."""

    method: str
    path: str
    body: Any = None
    compare: str = "all"

    def __str__(self) -> str:
        return f"{self.method} {self.path}" + (f" {json.dumps(self.body)}" if self.body is not None else "")


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


def ask(path: str, step: Step, *, raw: bytes | None = None) -> dict[str, Any]:
    """Status and body of the answer; a body that is no JSON is text."""
    connection = Connection(path)
    try:
        data, headers = None, {}
        if raw is not None:
            data, headers = raw, {"Content-Type": "application/x-tar"}
        elif step.body is not None:
            data = step.body if isinstance(step.body, str) else json.dumps(step.body)
            headers = {"Content-Type": "application/json"}
        connection.request(step.method, VERSION + step.path, data, headers)
        response = connection.getresponse()
        text = response.read().decode("latin-1")
    finally:
        connection.close()
    try:
        body = json.loads(text) if text else None
    except ValueError:
        body = text
    return {"status": response.status, "body": body}


def root_of(path: str) -> str:
    """The data root of the engine behind a socket."""
    found: str = ask(path, Step("GET", "/info"))["body"]["DockerRootDir"]
    return found


def plain(value: Any, root: str) -> Any:
    """A body without what belongs to one engine only; `root` is its data root."""
    if isinstance(value, dict):
        found = {plain(key, root): plain(item, root) for key, item in value.items()}
        if isinstance(found.get("Created"), int):
            found["Created"] = "<time>"
        if isinstance(found.get("Ports"), list):  # a map's order in a Docker Engine
            found["Ports"].sort(key=lambda port: (port["PrivatePort"], port["Type"], port.get("IP", "")))
        return found
    if isinstance(value, list):
        return [plain(item, root) for item in value]
    if isinstance(value, str):
        value = value.replace(root, "<root>")
        for pattern, word in _WORDS:
            value = pattern.sub(word, value)
    return value


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """``path: ours != theirs`` for every place where two bodies differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted({*ours, *theirs}):
            if key not in ours or key not in theirs:
                there = "only here" if key in ours else "missing"
                yield f"{path}.{key}: {there} ({json.dumps((ours | theirs)[key])})"
            else:
                yield from differences(ours[key], theirs[key], f"{path}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(one, other, f"{path}[{number}]")
    elif ours != theirs:
        yield f"{path}: {json.dumps(ours)} != {json.dumps(theirs)}"


def _filters(**values: Any) -> str:
    return "filters=" + quote(json.dumps(values))


_WEB = {
    "Image": IMAGE,
    "Cmd": ["sleep", "1000"],
    "Env": ["A=b"],
    "ExposedPorts": {"80/tcp": {}, "99/udp": {}},
    "Labels": {"tier": "web"},
    "StopSignal": "SIGKILL",
    "Healthcheck": {"Test": ["NONE"]},
    "HostConfig": {
        "NetworkMode": "lbapi1", "PortBindings": {"80/tcp": [{"HostPort": "18990"}]}, "Memory": 67108864,
        "Binds": ["/tmp:/t:ro"], "CapAdd": ["NET_ADMIN"], "ExtraHosts": ["a:1.2.3.4"], "Dns": ["1.1.1.1"],
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}, "PidsLimit": 50, "ShmSize": 1000000,
        "Sysctls": {"net.ipv4.ip_forward": "1"}, "ReadonlyRootfs": True, "Tmpfs": {"/x": "size=1m"},
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}, "IpcMode": "shareable",
    },
    "NetworkingConfig": {
        "EndpointsConfig": {"lbapi1": {"Aliases": ["al"], "IPAMConfig": {"IPv4Address": "10.77.0.9"}}}
    },
}  # fmt: skip


def _networks() -> Iterator[Step]:
    one = {"Name": "lbapi1", "IPAM": {"Config": [{"Subnet": "10.77.0.0/24"}]}, "Labels": {"a": "b"}}
    yield Step("POST", "/networks/create", one)
    yield Step("POST", "/networks/create", one)
    yield Step("GET", "/networks/lbapi1")
    yield Step("GET", "/networks?" + _filters(name=["lbapi1"]))
    yield Step("GET", "/networks?" + _filters(nonsense=["x"]))
    yield Step("GET", "/networks?" + _filters(dangling=["x"]))
    yield Step("GET", "/networks/lbapi-none")
    yield Step("POST", "/networks/create", {"Name": "bridge"})
    yield Step("POST", "/networks/create", {"Name": "lbapi2", "Driver": "nosuch"})
    yield Step("POST", "/networks/create", {"Name": "lbapi2", "IPAM": {"Config": [{"Subnet": "10.77.0.0/25"}]}})
    yield Step("POST", "/networks/create", {"Name": 5})
    yield Step("DELETE", "/networks/bridge")
    yield Step("DELETE", "/networks/lbapi-none")
    yield Step("POST", "/networks/prune?" + _filters(nonsense=["x"]))


def _making() -> Iterator[Step]:
    yield Step("POST", "/containers/create?name=lbapi-web", _WEB)
    yield Step("POST", "/containers/create?name=lbapi-web", _WEB)
    yield Step("GET", "/containers/lbapi-web/json")
    yield Step("POST", "/containers/create?name=!", {"Image": IMAGE})
    for body in ("", "{", "null", {}, {"Image": 5}, {"Image": IMAGE, "HostConfig": {"Binds": "x"}},
                 {"Image": IMAGE, "HostConfig": {"ShmSize": -1}}, {"Image": "lbapi-none"}):  # fmt: skip
        yield Step("POST", "/containers/create?name=lbapi-bad", body)
    yield Step("POST", "/containers/create?name=lbapi-lost", {"Image": IMAGE, "HostConfig": {"NetworkMode": "lbapi-none"}})
    yield Step("POST", "/containers/lbapi-lost/start")
    yield Step("DELETE", "/containers/lbapi-lost")


def _running() -> Iterator[Step]:
    yield Step("POST", "/containers/lbapi-web/start")
    yield Step("POST", "/containers/lbapi-web/start")
    yield Step("GET", "/containers/lbapi-web/json?size=1")
    yield Step("GET", "/containers/json?" + _filters(name=["lbapi-web"], label=["tier=web"]))
    yield Step("GET", "/networks/lbapi1")
    yield Step("DELETE", "/networks/lbapi1")
    yield Step("POST", "/networks/bridge/connect", {"Container": "lbapi-web"})
    yield Step("POST", "/networks/bridge/connect", {"Container": "lbapi-web"})
    yield Step("GET", "/containers/lbapi-web/json")
    yield Step("POST", "/networks/bridge/disconnect", {"Container": "lbapi-web"})
    joined = {"Image": IMAGE, "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "container:lbapi-web"}}
    yield Step("POST", "/containers/create?name=lbapi-side", joined)
    yield Step("POST", "/containers/lbapi-side/start")
    yield Step("GET", "/containers/lbapi-side/json")
    yield Step("DELETE", "/containers/lbapi-side?force=1")
    yield Step("DELETE", "/containers/lbapi-web")
    yield Step("POST", "/containers/lbapi-web/exec", {"Cmd": []})
    yield Step("POST", "/containers/lbapi-web/exec", {"Cmd": 5})
    yield Step("POST", "/containers/lbapi-web/rename?name=")
    yield Step("POST", "/containers/lbapi-web/resize?h=a&w=1")
    yield Step("GET", "/containers/lbapi-web/logs")
    yield Step("GET", "/containers/lbapi-web/changes", compare="status")
    yield Step("POST", "/containers/lbapi-web/update", {"Memory": 100000000})
    yield Step("POST", "/containers/lbapi-web/update", {"Memory": 1})
    yield Step("POST", "/containers/lbapi-web/update", {"RestartPolicy": {"Name": "nosuch"}})
    yield Step("HEAD", "/containers/lbapi-web/archive?path=/nosuch")
    yield Step("GET", "/containers/lbapi-web/archive?path=/nosuch")
    yield Step("POST", "/containers/lbapi-web/pause")
    yield Step("POST", "/containers/lbapi-web/pause")
    yield Step("GET", "/containers/lbapi-web/json")
    yield Step("POST", "/containers/lbapi-web/start")
    yield Step("POST", "/containers/lbapi-web/unpause")
    yield Step("POST", "/containers/lbapi-web/kill?signal=WINCH")
    yield Step("POST", "/containers/lbapi-web/wait?condition=nosuch")


def _stopped() -> Iterator[Step]:
    yield Step("POST", "/containers/lbapi-web/stop?t=5")
    yield Step("POST", "/containers/lbapi-web/stop")
    yield Step("GET", "/containers/lbapi-web/json")
    yield Step("GET", "/containers/json?all=1&" + _filters(name=["lbapi-web"]))
    yield Step("GET", "/networks/lbapi1")
    yield Step("POST", "/containers/lbapi-web/wait")
    yield Step("POST", "/containers/lbapi-web/kill")
    yield Step("POST", "/containers/lbapi-web/pause")
    yield Step("POST", "/containers/lbapi-web/exec", {"Cmd": ["true"]})
    yield Step("GET", "/containers/lbapi-web/top")
    yield Step("GET", "/containers/lbapi-web/stats?stream=0")
    yield Step("GET", "/containers/json?filters=x")
    yield Step("GET", "/containers/json?" + _filters(nonsense=["x"]))
    yield Step("GET", "/containers/json?" + _filters(status=["x"]))
    yield Step("GET", "/containers/json?" + _filters(before=["lbapi-none"]))
    yield Step("DELETE", "/containers/lbapi-web")
    yield Step("DELETE", "/networks/lbapi1")


def _rest() -> Iterator[Step]:
    for path in ("/json", "/logs?stdout=1", "/top", "/changes", "/stats", "/export"):
        yield Step("GET", f"/containers/lbapi-none{path}")
    for path in ("/start", "/stop", "/kill", "/restart", "/pause", "/wait", "/rename?name=xx", "/resize?h=1&w=1"):
        yield Step("POST", f"/containers/lbapi-none{path}")
    yield Step("DELETE", "/containers/lbapi-none")
    yield Step("GET", "/exec/lbapi-none/json")
    yield Step("GET", "/images/lbapi-none/json")
    yield Step("GET", f"/images/{IMAGE}/json")
    yield Step("GET", f"/images/{IMAGE}/history")
    yield Step("POST", f"/images/{IMAGE}/tag?repo=lbapi&tag=other")
    yield Step("POST", f"/images/{IMAGE}/tag?repo=UPPER")
    yield Step("GET", "/images/json?" + _filters(reference=["lbapi:other"]))
    yield Step("DELETE", "/images/lbapi:other")
    yield Step("DELETE", "/images/lbapi-none")
    yield Step("GET", "/images/json?" + _filters(nonsense=["x"]))
    yield Step("POST", "/volumes/create", {"Name": "lbapi-v", "Labels": {"a": "b"}})
    yield Step("GET", "/volumes?" + _filters(name=["lbapi-v"]))
    yield Step("GET", "/volumes/lbapi-none")
    yield Step("POST", "/volumes/create", {"Name": "!"})
    yield Step("POST", "/volumes/create", {"Driver": "nosuch", "Name": "lbapi-w"})
    yield Step("DELETE", "/volumes/lbapi-v")
    yield Step("DELETE", "/volumes/lbapi-v")
    yield Step("GET", "/events?since=1&until=2")
    yield Step("GET", "/events?since=3&until=2")
    yield Step("GET", "/swarm")
    yield Step("GET", "/services")
    yield Step("GET", "/plugins")
    yield Step("GET", "/plugins/nosuch/json")
    yield Step("GET", "/nosuch")
    yield Step("POST", "/_ping")
    yield Step("GET", "/_ping")
    for kind in ("containers", "volumes", "images", "networks"):
        yield Step("POST", f"/{kind}/prune?" + _filters(label=["lbapi-none"]))


def scenario() -> tuple[Step, ...]:
    """Everything, in order."""
    return (*_networks(), *_making(), *_running(), *_stopped(), *_rest())


def clear(path: str) -> None:
    """Whatever an earlier run left."""
    for name in ("lbapi-web", "lbapi-side", "lbapi-lost", "lbapi-bad"):
        ask(path, Step("DELETE", f"/containers/{name}?force=1&v=1"))
    for name in ("lbapi1", "lbapi2"):
        ask(path, Step("DELETE", f"/networks/{name}"))
    ask(path, Step("DELETE", "/volumes/lbapi-v"))


def record(path: str) -> None:
    """Load the test image, ask, and write down the answers of the engine behind a socket."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "demo"))
    import images  # not on the path before

    with tempfile.TemporaryDirectory() as directory:
        archive = Path(directory, "image.tar")
        images.build("busybox", archive, IMAGE)
        ask(path, Step("POST", "/images/load?quiet=1"), raw=archive.read_bytes())
    clear(path)
    answers = []
    for step in scenario():
        answers.append({"step": str(step), **ask(path, step)})
        time.sleep(0.05)  # a Docker Engine tells of an end a moment after it has answered
    ask(path, Step("DELETE", f"/images/{IMAGE}"))
    clear(path)
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    GOLDEN.write_text(json.dumps(plain(answers, root_of(path)), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    record(sys.argv[1])
