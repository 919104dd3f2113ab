"""The API against its definition: answers have the shape they should, and no request, fitting or not, upsets the engine."""

import http.client
import json
import os
import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from clients import clean
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from lab import Lab

import engine_api

VERSION = "/v1.51"
# They talk to registries: to one at a port where nobody is.
_REGISTRIES = frozenset({
    "GET /images/search", "GET /distribution/{name}/json", "POST /auth", "POST /images/create", "POST /images/{name}/push",
})  # fmt: skip
_FAR = st.sampled_from(["127.0.0.1:1/x", "127.0.0.1:1/x:y", "127.0.0.1:1/a/b@sha256:" + "0" * 64, "127.0.0.1:1/UP", ""])
# Examples for each operation; more of them by `LANDBRIDGE_FUZZ=30`. What is refused always the same needs few.
_EXAMPLES = int(os.environ.get("LANDBRIDGE_FUZZ", "8"))
_LASTS_SECONDS = 0.3  # who has not answered in full by then is one that lasts, and the client goes
_JSON = "application/json"
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


def _request(operation: str, things: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, Any, dict[str, str]]]:
    """Target, body and headers of one request to an operation, its parameters mostly as they should be."""
    path = operation.split()[1]
    parameters = engine_api.operations()[operation]["parameters"]
    if operation in _REGISTRIES:
        things = _FAR
    places = st.fixed_dictionaries({one["name"]: things for one in parameters if one["in"] == "path"})
    query = st.fixed_dictionaries(
        {}, optional={one["name"]: _in_query(operation, one) for one in parameters if one["in"] == "query"}
    )
    bodies = [engine_api.values(one["schema"]) for one in parameters if one["in"] == "body" and "schema" in one]
    body = (bodies[0] if bodies else st.none()).map(_harmless).map(_encoded)
    if operation.startswith(("POST", "PUT")):
        body = st.one_of(body, body, body, _NO_JSON)
    headers = st.fixed_dictionaries({"Content-Type": st.sampled_from([_JSON, _JSON, _JSON, "text/plain", ""])}, optional={
        "Upgrade": st.sampled_from(["tcp", "websocket", "h2c"]), "Sec-WebSocket-Version": st.just("13"),
        "Sec-WebSocket-Key": st.sampled_from(["dGhlIHNhbXBsZSBub25jZQ==", "x"]), "X-Registry-Auth": st.sampled_from(["", "e30", "%%"]),
    })  # fmt: skip

    def target(drawn: tuple[dict[str, str], dict[str, Any], Any, dict[str, str]]) -> tuple[str, Any, dict[str, str]]:
        where, asked, content, sent = drawn
        text = path
        for name, value in where.items():
            text = text.replace("{" + name + "}", quote(value, safe=""))
        if operation in _REGISTRIES:
            asked = {"term": "127.0.0.1:1/x", "fromImage": "127.0.0.1:1/x"} | asked
        words = "&".join(f"{quote(name)}={quote(str(value))}" for name, value in asked.items())
        if "Upgrade" in sent:
            sent["Connection"] = "Upgrade"
        return f"{text}?{words}" if words else text, content, sent

    return st.tuples(places, query, body, headers).map(target)


_NO_JSON = st.one_of(
    st.sampled_from([b"", b"{", b"null", b"[]", b'"x"', b"5", b'{"a":' * 5000, b"{}{}", b"\xff\xfe", b"0" * 2000]),
    st.binary(max_size=600),
)


def _encoded(body: Any) -> bytes | None:
    return None if body is None else json.dumps(body).encode()


def _in_query(operation: str, parameter: dict[str, Any]) -> st.SearchStrategy[Any]:
    if parameter["name"] == "t":
        return st.sampled_from(["0", "1", "x"])  # longer is what it says
    if operation in _REGISTRIES and parameter["name"] in ("term", "fromImage", "repo"):
        return _FAR.filter(bool)
    if parameter["name"] == "filters":
        filters = st.dictionaries(
            st.sampled_from(["label", "name", "id", "status", "until", "dangling", "network", "expose", "reference", "x"]),
            st.lists(engine_api.values({"type": "string"}), max_size=2), max_size=2,
        )  # fmt: skip
        return filters.map(json.dumps) | engine_api.values({"type": "string"})
    return engine_api.values({"type": parameter.get("type", "string")})


def _harmless(body: Any) -> Any:
    if isinstance(body, dict):
        kept = {name: _harmless(value) for name, value in body.items() if name not in _NOT_SENT}
        return kept | ({"serveraddress": "127.0.0.1:1"} if "serveraddress" in kept else {})
    return [_harmless(one) for one in body] if isinstance(body, list) else body


def _send(lab: Lab, method: str, target: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
    """Status, and what came of the body before the client had enough."""
    connection = Connection(str(lab.socket))
    try:
        connection.request(method, VERSION + target, body, headers)
        answer = connection.getresponse()
        assert connection.sock is not None or answer.will_close
        got = b""
        if connection.sock is not None:
            connection.sock.settimeout(_LASTS_SECONDS)
        try:
            while data := answer.read1(65536):
                got += data
        except (TimeoutError, http.client.IncompleteRead):
            pass  # it lasts, or broke off after it had begun
        return answer.status, got
    finally:
        connection.close()


def _fuzz(lab: Lab, operation: str, things: st.SearchStrategy[str], examples: int) -> set[int]:
    """Ask `operation` so often; the statuses it answered with."""
    method = operation.split()[0]
    statuses = set()

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, phases=(Phase.generate,),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example, HealthCheck.data_too_large],
    )  # fmt: skip
    @given(_request(operation, things))
    def fuzz(request: tuple[str, Any, dict[str, str]]) -> None:
        target, body, headers = request
        before = len(lab.log())
        status, answer = _send(lab, method, target, body, headers)
        statuses.add(status)
        written = lab.log()[before:]
        asked = f"{method} {target} {body!r} {headers}\n{answer!r}\n{written}"
        assert _OURS not in written and "Traceback" not in written, asked
        assert status == 101 or 200 <= status < 600, asked
        assert status != 500 or operation in _MAY_FAIL or any(word in answer for word in _FAILS), asked
        if status >= 400 and method != "HEAD":
            assert json.loads(answer)["message"], asked

    fuzz()
    return statuses


# What the world outside the engine says no to is a 500 in Docker, too.
_MAY_FAIL = _REGISTRIES
_FAILS: tuple[bytes, ...] = (b'"ps: ',)


def test_no_request_upsets_the_engine(busy: Lab) -> None:
    created = [ask(busy, "POST", "/containers/shape/exec", {"Cmd": ["sleep", "1000"], "Tty": tty})[1] for tty in (True, False)]
    execs = st.sampled_from([json.loads(one)["Id"] for one in created])
    things = st.sampled_from(["shape", "done", "vshape", "busybox", "bridge", "fuzz", "nobody", "", "é", "%00", "a b"])
    seen = {}
    for operation in sorted(engine_api.operations(), key=lambda name: ("prune" in name, name.startswith("DELETE"), name)):
        examples = 2 if operation in _REFUSED else _EXAMPLES
        seen[operation] = _fuzz(busy, operation, execs | things if "/exec/" in operation else things, examples)
    assert seen.keys() == engine_api.operations().keys()
    served = {operation for operation, statuses in seen.items() if any(status < 300 for status in statuses)}
    assert len(served) >= 20, sorted(served)  # not everything was refused at the door
    assert busy.daemon is not None and busy.daemon.poll() is None
    assert ask(busy, "GET", "/_ping") == (200, b"OK")


_REFUSED = frozenset(
    operation for operation in engine_api.operations()
    if re.match(r"\w+ /(swarm|nodes|services|tasks|secrets|configs|plugins/|build$|session)", operation)
)
