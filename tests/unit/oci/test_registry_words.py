"""What registries say: challenges, refusals, and where a registry is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.errors import Invalid
from landbridge.oci.challenge import Challenge, parse_challenges, repository_scope
from landbridge.oci.registry_errors import refusal
from landbridge.oci.registry_names import (
    Endpoint,
    endpoints,
    host_of,
    login_registry,
    parse_insecure,
    parse_mirror,
)


@pytest.mark.parametrize(("header", "found"), [
    ('Basic realm="lab"', [Challenge("basic", {"realm": "lab"})]),
    ('Bearer realm="https://auth.example/token",service="reg.example",scope="repository:a/b:pull,push"',
     [Challenge("bearer", {"realm": "https://auth.example/token", "service": "reg.example",
                           "scope": "repository:a/b:pull,push"})]),
    ('bearer realm=plain , error = "insufficient_scope"',
     [Challenge("bearer", {"realm": "plain", "error": "insufficient_scope"})]),
    (r'Basic realm="a \"quoted\" \\ realm"', [Challenge("basic", {"realm": 'a "quoted" \\ realm'})]),
    ('Basic realm="x", Bearer realm="y",service="z"',
     [Challenge("basic", {"realm": "x"}), Challenge("bearer", {"realm": "y", "service": "z"})]),
    ("Negotiate, Basic realm=x", [Challenge("negotiate"), Challenge("basic", {"realm": "x"})]),
    ("Negotiate", [Challenge("negotiate")]),
    ("", []), ("===", []), ('"Basic', []),
])  # fmt: skip
def test_challenges(header: str, found: list[Challenge]) -> None:
    assert list(parse_challenges([header])) == found


@given(st.lists(st.text(), max_size=3))
def test_any_header_is_read(headers: list[str]) -> None:
    for challenge in parse_challenges(headers):
        assert challenge.scheme == challenge.scheme.lower() != ""


def test_scopes() -> None:
    assert repository_scope("library/busybox", "pull", "push") == "repository:library/busybox:pull,push"


def said(code: str, message: str = "") -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


@pytest.mark.parametrize(("status", "body", "code", "text"), [
    (404, said("MANIFEST_UNKNOWN", "manifest unknown"), "MANIFEST_UNKNOWN", "manifest unknown: manifest unknown"),
    (401, said("UNAUTHORIZED", "authentication required"), "UNAUTHORIZED", "unauthorized: authentication required"),
    (403, said("DENIED"), "DENIED", "denied: requested access to the resource is denied"),
    (401, b"", "UNAUTHORIZED", "unauthorized: authentication required"),
    (401, b'{"details":"incorrect username or password"}', "UNAUTHORIZED", "unauthorized: incorrect username or password"),
    (429, b'{"details":"slow down"}', "TOOMANYREQUESTS", "toomanyrequests: slow down"),
    (429, b"", "TOOMANYREQUESTS", "toomanyrequests: too many requests"),
    (404, b"<html>", "",
     'error parsing HTTP 404 response body: Expecting value: line 1 column 1 (char 0): "<html>"'),
    (404, b"{}", "", 'error parsing HTTP 404 response body: no error details found in HTTP response body: "{}"'),
    (400, b'{"errors":[{"code":7,"message":[]}]}', "UNKNOWN", "unknown: unknown error"),
    (500, b"whatever", "", "received unexpected HTTP status: 500 Internal Server Error"),
    (302, b"", "", "received unexpected HTTP status: 302 Found"),
    (599, b"", "", "received unexpected HTTP status: 599"),
])  # fmt: skip
def test_refusals(status: int, body: bytes, code: str, text: str) -> None:
    found = refusal(status, body)
    assert (found.status, found.code, found.text) == (status, code, text)


def test_a_bearer_challenge_says_more_than_the_body() -> None:
    challenge = Challenge("bearer", {"error": "insufficient_scope"})
    found = refusal(401, said("UNAUTHORIZED", "authentication required"), [challenge])
    assert (found.code, found.text) == ("DENIED", "denied: requested access to the resource is denied")
    described = Challenge("bearer", {"error": "invalid_token", "error_description": "it is old"})
    assert refusal(401, b"", [described]).text == "unauthorized: it is old"


@given(st.integers(300, 599), st.binary(max_size=200))
def test_any_answer_has_words(status: int, body: bytes) -> None:
    assert refusal(status, body).text


def test_where_registries_are() -> None:
    assert endpoints("docker.io", ["http://mirror"], insecure=False) == (
        Endpoint("http://mirror", mirror=True), Endpoint("https://registry-1.docker.io"),
    )  # fmt: skip
    assert endpoints("reg.example:5000", ["http://mirror"], insecure=False) == (Endpoint("https://reg.example:5000"),)
    assert endpoints("reg.example", [], insecure=True) == (
        Endpoint("https://reg.example", verify=False), Endpoint("http://reg.example", verify=False),
    )  # fmt: skip
    assert [host_of(name) for name in ("a", "a:5000", "[::1]:5000", "[::1]")] == ["a", "a", "::1", "::1"]


def test_which_registries_need_no_tls() -> None:
    insecure = parse_insecure(["reg.example:5000", "192.0.2.0/24", "198.51.100.7"])
    assert insecure.allows("localhost:5000", ["::1", "127.0.0.1"])
    assert insecure.allows("x", ["127.9.9.9"])
    assert insecure.allows("reg.example:5000", [])
    assert not insecure.allows("reg.example", [])
    assert insecure.allows("y", ["192.0.2.200"])
    assert insecure.allows("z", ["198.51.100.7"])
    assert not insecure.allows("z", ["198.51.100.8", "not an address", "fe80::1%eth0"])
    for text in ("http://reg.example", "", "reg.example/path", "1.2.3.4/99"):
        with pytest.raises(Invalid):
            parse_insecure([text])


def test_mirrors() -> None:
    assert parse_mirror("https://mirror.example:5000/") == "https://mirror.example:5000"
    for text in ("mirror.example", "ftp://mirror.example", "https://mirror.example/path", "https://mirror.example/?q", "https://"):
        with pytest.raises(Invalid):
            parse_mirror(text)


@pytest.mark.parametrize(("server", "registry"), [
    ("", "docker.io"), ("https://index.docker.io/v1/", "docker.io"), ("docker.io", "docker.io"),
    ("registry-1.docker.io", "docker.io"), ("localhost:5000", "localhost:5000"), ("https://reg.example/v2/", "reg.example"),
    ("http://reg.example:5000", "reg.example:5000"),
])  # fmt: skip
def test_whom_a_login_is_for(server: str, registry: str) -> None:
    assert login_registry(server) == registry
