"""The API against its definition: answers have the shape they should, and no request, fitting or not, upsets the engine."""

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from clients import clean
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lab import Lab

import engine_api

VERSION = "/v1.51"
# They talk to registries, or last until the client goes.
_NOT_FUZZED = frozenset({
    "GET /events", "GET /images/search", "GET /distribution/{name}/json", "POST /auth", "POST /images/create",
    "POST /images/{name}/push", "GET /containers/{id}/attach/ws", "POST /containers/{id}/attach",
    "POST /containers/{id}/wait", "GET /containers/{id}/stats", "POST /exec/{id}/start",
})  # fmt: skip
# Paths of the host, which a container might get to write to.
_NOT_SENT = frozenset({"Binds", "Mounts", "Devices", "VolumesFrom", "Privileged", "PidMode", "CgroupParent", "DriverOpts"})
# Docker writes null here, too, whatever its definition says (tests/parity).
_AS_DOCKER = ("$.HostConfig.MemorySwappiness: null",)
_OURS = "a handler failed"


class Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("engine", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(self._path)


def ask(lab: Lab, method: str, target: str, body: Any = None) -> tuple[int, bytes]:
    """Status and body of one request."""
    connection = Connection(str(lab.socket))
    try:
        text = None if body is None else json.dumps(body).encode()
        connection.request(method, VERSION + target, text, {"Content-Type": "application/json"} if text else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.fixture
def busy(own_lab: Lab) -> Iterator[Lab]:
    """An engine with one of everything, and of the test's own: a request may well remove every image."""
    lab = own_lab
    lab.landbridge("network", "create", "--label", "a=b", "--subnet", "10.93.0.0/24", "shape")
    lab.landbridge("volume", "create", "vshape")
    lab.landbridge(
        "run", "-d", "--name", "shape", "--network", "shape", "-p", "80", "-v", "vshape:/data", "--health-cmd", "true",
        "-m", "64m", "-e", "A=b", "busybox", "sleep", "1000",
    )  # fmt: skip
    lab.landbridge("run", "--name", "done", "busybox", "true")
    yield lab
    clean(lab)


_READS = (
    ("GET /version", "/version"), ("GET /info", "/info"), ("GET /system/df", "/system/df"),
    ("GET /containers/json", "/containers/json?all=1&size=1"), ("GET /containers/{id}/json", "/containers/shape/json?size=1"),
    ("GET /containers/{id}/json", "/containers/done/json"), ("GET /containers/{id}/top", "/containers/shape/top"),
    ("GET /containers/{id}/changes", "/containers/shape/changes"),
    ("GET /containers/{id}/stats", "/containers/shape/stats?stream=0"),
    ("GET /images/json", "/images/json?all=1"), ("GET /images/{name}/json", "/images/busybox/json"),
    ("GET /images/{name}/history", "/images/busybox/history"), ("GET /networks", "/networks"),
    ("GET /networks/{id}", "/networks/shape"), ("GET /networks/{id}", "/networks/host"), ("GET /volumes", "/volumes"),
    ("GET /volumes/{name}", "/volumes/vshape"), ("GET /plugins", "/plugins"),
)  # fmt: skip
_WRITES = (
    ("POST /containers/create", "/containers/create?name=made", {"Image": "busybox", "Cmd": ["true"]}),
    ("POST /containers/{id}/exec", "/containers/shape/exec", {"Cmd": ["true"]}),
    ("POST /containers/{id}/update", "/containers/shape/update", {"CpuShares": 100}),
    ("POST /networks/create", "/networks/create", {"Name": "made"}),
    ("POST /volumes/create", "/volumes/create", {"Name": "vmade"}),
    ("POST /containers/prune", "/containers/prune?filters=%7B%22label%22%3A%5B%22none%22%5D%7D", None),
    ("POST /networks/prune", "/networks/prune?filters=%7B%22label%22%3A%5B%22none%22%5D%7D", None),
    ("POST /volumes/prune", "/volumes/prune?filters=%7B%22label%22%3A%5B%22none%22%5D%7D", None),
    ("POST /images/prune", "/images/prune?filters=%7B%22label%22%3A%5B%22none%22%5D%7D", None),
    ("POST /containers/{id}/start", "/containers/nobody/start", None),
    ("DELETE /networks/{id}", "/networks/bridge", None),
    ("POST /containers/create", "/containers/create", {"Image": "nothing-there"}),
)  # fmt: skip


def test_answers_have_their_shape(busy: Lab) -> None:
    asked = [(operation, target, None) for operation, target in _READS] + list(_WRITES)
    wrong = []
    for operation, target, body in asked:
        status, answer = ask(busy, operation.split()[0], target, body)
        responses = engine_api.operations()[operation]["responses"]
        assert str(status) in responses, f"{operation}: {status} is no status of it: {answer[:200]!r}"
        if schema := responses[str(status)]:
            found = engine_api.problems(schema, json.loads(answer))
            wrong += [f"{operation} ({status}) {one}" for one in found if not one.startswith(_AS_DOCKER)]
    assert not wrong, "\n".join(wrong)


def _requests() -> st.SearchStrategy[tuple[str, str, Any]]:
    names = sorted(engine_api.operations().keys() - _NOT_FUZZED)
    return st.sampled_from(names).flatmap(_request)


def _request(operation: str) -> st.SearchStrategy[tuple[str, str, Any]]:
    """Method, target and body of one request to an operation, its parameters mostly as they should be."""
    method, path = operation.split()
    parameters = engine_api.operations()[operation]["parameters"]
    things = st.sampled_from(["shape", "done", "vshape", "busybox", "bridge", "fuzz", "nobody", "", "é", "%00", "a b"])
    places = st.fixed_dictionaries({one["name"]: things for one in parameters if one["in"] == "path"})
    query = st.fixed_dictionaries(
        {}, optional={one["name"]: _in_query(one) for one in parameters if one["in"] == "query"}
    )
    bodies = [engine_api.values(one["schema"]) for one in parameters if one["in"] == "body" and "schema" in one]
    body = bodies[0].map(_harmless) if bodies else st.none()

    def target(drawn: tuple[dict[str, str], dict[str, Any], Any]) -> tuple[str, str, Any]:
        where, asked, content = drawn
        text = path
        for name, value in where.items():
            text = text.replace("{" + name + "}", quote(value, safe=""))
        words = "&".join(f"{quote(name)}={quote(str(value))}" for name, value in asked.items())
        return method, f"{text}?{words}" if words else text, content

    return st.tuples(places, query, body).map(target)


def _in_query(parameter: dict[str, Any]) -> st.SearchStrategy[Any]:
    if parameter["name"] == "filters":
        filters = st.dictionaries(
            st.sampled_from(["label", "name", "id", "status", "until", "dangling", "network", "expose", "reference", "x"]),
            st.lists(engine_api.values({"type": "string"}), max_size=2), max_size=2,
        )  # fmt: skip
        return filters.map(json.dumps) | engine_api.values({"type": "string"})
    if parameter["name"] == "follow":
        return st.just("0")  # it would last
    return engine_api.values({"type": parameter.get("type", "string")})


def _harmless(body: Any) -> Any:
    if isinstance(body, dict):
        return {name: _harmless(value) for name, value in body.items() if name not in _NOT_SENT}
    return [_harmless(one) for one in body] if isinstance(body, list) else body


def test_no_request_upsets_the_engine(busy: Lab) -> None:
    @settings(
        max_examples=600, deadline=None, database=None, derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example, HealthCheck.data_too_large],
    )  # fmt: skip
    @given(_requests())
    def fuzz(request: tuple[str, str, Any]) -> None:
        method, target, body = request
        before = len(busy.log())
        status, answer = ask(busy, method, target, body)
        written = busy.log()[before:]
        assert _OURS not in written and "Traceback" not in written, f"{method} {target} {body}\n{written}"
        assert 200 <= status < 600
        if status >= 400 and method != "HEAD":
            assert json.loads(answer)["message"], f"{method} {target}: {status} {answer!r}"

    fuzz()
    assert busy.daemon is not None and busy.daemon.poll() is None
    assert ask(busy, "GET", "/_ping") == (200, b"OK")
