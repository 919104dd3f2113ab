"""Pull and push as requests: who the client is, what gets a status of its own, and what is said in the stream."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from landbridge.api.registries import credentials, credentials_of, distribution_view, message_view
from landbridge.api.request import Request
from landbridge.model.image import Headline, Progress, Pushed
from landbridge.oci.archive import Platform
from landbridge.oci.manifest import DOCKER_LIST, Descriptor
from landbridge.registry.registries import Credentials, Distribution

ALICE = {"username": "alice", "password": "s?>crét", "serveraddress": "reg.example"}


class NoBody:
    declared_empty = True

    async def pieces(self) -> AsyncIterator[bytes]:
        return
        yield


def request(**headers: str) -> Request:
    return Request("POST", "/images/create", "", {k.replace("_", "-"): v for k, v in headers.items()}, NoBody())


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, ensure_ascii=False).encode()).decode()


def usual(value: Any) -> str:
    return base64.b64encode(json.dumps(value, ensure_ascii=False).encode()).decode()


@pytest.mark.parametrize("form", [encoded, usual, lambda value: encoded(value).rstrip("=")])
def test_the_login_is_read_in_every_base64(form: Any) -> None:
    found = credentials(request(x_registry_auth=form(ALICE)), "reg.example/x")
    assert found == Credentials("alice", "s?>crét")


@pytest.mark.parametrize("text", ["", "garbage!", "e30=", "bnVsbA==", "W10=", encoded({"username": 7, "password": []}), "🦭"])
def test_what_cannot_be_read_is_nobody(text: str) -> None:
    assert credentials(request(x_registry_auth=text), "x") == Credentials()


def test_every_kind_of_login() -> None:
    assert credentials_of({"identitytoken": "i"}) == Credentials(identity_token="i")
    assert credentials_of({"registrytoken": "r"}) == Credentials(registry_token="r")
    assert credentials_of({"auth": base64.b64encode(b"bob:a:b").decode()}) == Credentials("bob", "a:b")
    assert credentials_of({"auth": "!"}) == Credentials()


@pytest.mark.parametrize(("name", "user"), [
    ("reg.example/team/x", "alice"), ("busybox", "bob"), ("docker.io/library/busybox:1", "bob"), ("other.example/x", ""),
    ("localhost:5000/x", "carol"), ("NOT//A NAME", ""),
])  # fmt: skip
def test_of_a_clients_whole_file_the_registrys_entry_counts(name: str, user: str) -> None:
    config = {
        "reg.example": ALICE, "https://index.docker.io/v1/": {"username": "bob"}, "http://localhost:5000": {"username": "carol"},
        "broken": None,
    }  # fmt: skip
    assert credentials(request(x_registry_config=encoded(config)), name).username == user
    both = request(x_registry_config=encoded(config), x_registry_auth=encoded({"username": "dora"}))
    assert credentials(both, name).username == "dora"


def test_lines() -> None:
    assert message_view(Headline("Pulling from a/b", "v1")) == {"status": "Pulling from a/b", "id": "v1"}
    assert message_view(Progress(id="abc", status="Waiting")) == {"id": "abc", "status": "Waiting", "progressDetail": {}}
    assert message_view(Progress(status="Digest: x")) == {"status": "Digest: x"}
    assert message_view(Pushed("v1", "sha256:a", 7)) == {
        "progressDetail": {}, "aux": {"Tag": "v1", "Digest": "sha256:a", "Size": 7},
    }  # fmt: skip
    assert message_view(Progress(id="abc", status="Pushing", current=37376, total=1982354)) == {
        "id": "abc", "status": "Pushing", "progressDetail": {"current": 37376, "total": 1982354},
        "progress": "[>                                                  ]  37.38kB/1.982MB",
    }  # fmt: skip
    assert message_view(Progress(id="abc", status="Pushing", current=1996800, total=1982354))["progress"] == (
        "[==================================================>]  1.997MB"
    )


def test_a_look_from_afar() -> None:
    found = Distribution(
        Descriptor(DOCKER_LIST, "sha256:a", 555), (Platform("linux", "amd64"), Platform("linux", "arm64", "v8"))
    )
    assert distribution_view(found) == {
        "Descriptor": {"mediaType": DOCKER_LIST, "digest": "sha256:a", "size": 555},
        "Platforms": [
            {"architecture": "amd64", "os": "linux"}, {"architecture": "arm64", "os": "linux", "variant": "v8"},
        ],
    }  # fmt: skip
