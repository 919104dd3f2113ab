"""Image names, read as a real Docker 26.1 read them."""

import pytest

from landbridge.errors import Invalid
from landbridge.model.image import Reference
from landbridge.model.reference import check_digest, parse, parse_any, parse_repo_tag, tagged

ZERO = "sha256:" + "0" * 64
BAD = "invalid reference format"


@pytest.mark.parametrize(
    ("text", "full", "shown"),
    [
        ("busybox", "docker.io/library/busybox", "busybox"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("docker.io/busybox", "docker.io/library/busybox", "busybox"),
        ("index.docker.io/busybox", "docker.io/library/busybox", "busybox"),
        ("docker.io/library/busybox", "docker.io/library/busybox", "busybox"),
        ("library/busybox", "docker.io/library/busybox", "busybox"),
        ("library/a/b", "docker.io/library/a/b", "library/a/b"),
        ("user/app", "docker.io/user/app", "user/app"),
        ("UPPER/x", "UPPER/x", "UPPER/x"),
        ("localhost/foo", "localhost/foo", "localhost/foo"),
        ("localhost:5000/foo:x", "localhost:5000/foo:x", "localhost:5000/foo:x"),
        ("ex.com:99/a/b:c", "ex.com:99/a/b:c", "ex.com:99/a/b:c"),
        ("[::1]:5000/a", "[::1]:5000/a", "[::1]:5000/a"),
        ("foo__bar", "docker.io/library/foo__bar", "foo__bar"),
        ("a.b-c--d", "docker.io/library/a.b-c--d", "a.b-c--d"),
        (f"foo@{ZERO}", f"docker.io/library/foo@{ZERO}", f"foo@{ZERO}"),
        (f"foo:x@{ZERO}", f"docker.io/library/foo:x@{ZERO}", f"foo:x@{ZERO}"),
        ("sha256:abc", "docker.io/library/sha256:abc", "sha256:abc"),
    ],
)
def test_names(text: str, full: str, shown: str) -> None:
    reference = parse(text)
    assert (reference.full, str(reference)) == (full, shown)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", BAD),
        ("a b", BAD),
        ("foo:", BAD),
        (":x", BAD),
        ("foo/", BAD),
        ("a//b", BAD),
        ("-x", BAD),
        (".foo", BAD),
        ("foo..bar", BAD),
        ("foo___bar", BAD),
        ("foo:tag:tag", BAD),
        ("foo:" + "x" * 129, BAD),
        ("foo@sha256:abc", BAD),
        ("https://foo", BAD),
        ("foo\n", BAD),
        ("Foo", f"{BAD}: repository name (library/Foo) must be lowercase"),
        ("localhost/Foo", f"{BAD}: repository name (Foo) must be lowercase"),
        ("0" * 64, f"invalid repository name ({'0' * 64}), cannot specify 64-byte hexadecimal strings"),
        ("a" * 260, "repository name must not be more than 255 characters"),
        ("foo@sha256:" + "0" * 40, "invalid checksum digest length"),
        ("foo@md5:" + "0" * 32, "unsupported digest algorithm"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(text)
    assert caught.value.message == message


def test_an_id_in_full_is_no_name() -> None:
    assert parse_any("0" * 64) == ZERO
    assert parse_any(ZERO) == ZERO
    assert parse_any("0" * 12) == Reference("docker.io", "library/" + "0" * 12)


def test_latest_is_said_only_where_nothing_else_is() -> None:
    assert str(tagged(parse("a"))) == "a:latest"
    assert str(tagged(parse("a:b"))) == "a:b"
    assert str(tagged(parse(f"a@{ZERO}"))) == f"a@{ZERO}"


def test_the_parameter_tag_wins() -> None:
    assert str(parse_repo_tag("foo:x", "y")) == "foo:y"
    assert str(parse_repo_tag("foo:x", "")) == "foo:x"
    assert str(parse_repo_tag("foo", "")) == "foo:latest"


@pytest.mark.parametrize(
    ("repo", "tag", "message"),
    [
        ("foo", "BAD/", "invalid tag format"),
        ("foo", "a:b", "invalid tag format"),
        (f"foo@{ZERO}", "", "cannot import digest reference"),
    ],
)
def test_tags_refused(repo: str, tag: str, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_repo_tag(repo, tag)
    assert caught.value.message == message


def test_digests_are_lower_case() -> None:
    with pytest.raises(Invalid, match="invalid checksum digest format"):
        check_digest("sha256:" + "A" * 64)
