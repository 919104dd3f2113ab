"""What the command line sends, prints and returns, against what the real docker command did with the same arguments.

The golden files are written by `record_docker.py`. Compared as they are: exit status, stderr (but for the program's name)
and the bodies of requests. Put aside before comparing: queries without a value, docker's `wait` of a detached run, its
look at a network before removing it, and its look at a container before `exec` and `logs` (so the name stays a name).
"""

import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from capture import CONTAINER, CaptureServer

from landbridge.cli.main import main

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "cli"
ENV = {"HOME": "/nonexistent", "FROM_HOST": "seen"}


def cases(name: str) -> list[Any]:
    return [pytest.param(case, id=" ".join(case["argv"])) for case in json.loads((GOLDEN / name).read_text())]


def comparable(case: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for request in case["requests"]:
        method, path = request["method"], request["path"].replace(CONTAINER, "c")
        verb = (
            case["argv"][0] if case["argv"][0] not in ("container", "image", "network", "volume") else case["argv"][1]
        )
        beside = (
            (verb == "run" and path.endswith("/wait")) or (verb == "exec" and method == "GET" and path.endswith("/json"))
            or (verb == "rm" and method == "GET") or path == "/build/prune" or (verb == "logs" and path.endswith("/json"))
        )  # fmt: skip
        if not beside:
            query = {name: value for name, value in request["query"].items() if value != ""}
            query = {name: "1" if value == "true" else value for name, value in query.items()}
            if path == "/networks/create":  # docker keeps subnets in a map, whose order is chance
                request["body"]["IPAM"]["Config"].sort(key=lambda entry: entry["Subnet"])
            if path == "/containers/create":  # and the environment
                request["body"]["Env"] = sorted(request["body"]["Env"] or [])
            found.append({"method": method, "path": path, "query": query, "body": request["body"] or None})
    return sorted(found, key=lambda request: str(request["path"]))


def run(argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    socket = tmp_path / "s"
    monkeypatch.chdir(GOLDEN / "files")
    out, err = io.BytesIO(), io.BytesIO()
    with CaptureServer(socket) as server, open(os.devnull, "rb") as stdin:
        status = main(argv, {**ENV, "LANDBRIDGE_HOST": f"unix://{socket}"}, stdin, out, err)
    sent = [request.comparable() for request in server.requests]
    result = {
        "argv": argv,
        "status": status,
        "stdout": out.getvalue().decode(),
        "stderr": err.getvalue().decode(),
        "requests": sent,
    }
    text = (
        json.dumps(result)
        .replace(str(GOLDEN / "files"), "{dir}")
        .replace(str(GOLDEN), "{up}")
        .replace(str(GOLDEN), "{above}")
    )
    return dict(json.loads(text))


def renamed(text: str) -> str:
    text = re.sub(r"20\d\d-\d\d-\d\d[ T]\d\d:\d\d:\d\d", "TIME", text)
    return text.replace("docker", "landbridge").replace("landbridge.io", "docker.io")


@pytest.mark.parametrize("case", cases("create.json"))
def test_run_and_create(case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = run(case["argv"], tmp_path, monkeypatch)
    assert ours["stderr"] == renamed(case["stderr"])
    assert ours["status"] == case["status"]
    assert ours["stdout"] == case["stdout"]
    assert comparable(ours) == comparable(case)


@pytest.mark.parametrize("case", cases("commands.json"))
def test_other_commands(case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = run(case["argv"], tmp_path, monkeypatch)
    assert comparable(ours) == comparable(case)
    if "Usage:" not in case["stderr"] or case["status"]:  # help texts are our own
        assert ours["stderr"] == renamed(case["stderr"])
    assert renamed(ours["stdout"]) == renamed(case["stdout"])
    assert ours["status"] == case["status"]
