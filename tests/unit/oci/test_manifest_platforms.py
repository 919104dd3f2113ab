"""Platforms as Docker 26.1 reads and shows them."""

import pytest

from landbridge.errors import Invalid
from landbridge.oci.archive import Platform
from landbridge.oci.platforms import parse_platform, satisfies, show_platform

HOST = Platform("linux", "amd64")


@pytest.mark.parametrize(("text", "shown"), [
    ("linux/arm64", "linux/arm64"), ("linux/arm64/v8", "linux/arm64/v8"), ("linux/aarch64", "linux/arm64"),
    ("linux/x86_64", "linux/amd64"), ("arm64", "linux/arm64"), ("linux", "linux/amd64"), ("linux/arm/v7", "linux/arm/v7"),
    ("linux/arm", "linux/arm"), ("linux/armhf", "linux/arm"), ("linux/arm/6", "linux/arm/v6"), ("LINUX/AMD64", "linux/amd64"),
    ("windows/amd64", "windows/amd64"), ("linux/i386", "linux/386"), ("linux/amd64/v2", "linux/amd64/v2"),
])  # fmt: skip
def test_read_and_shown(text: str, shown: str) -> None:
    assert show_platform(parse_platform(text, HOST)) == shown


@pytest.mark.parametrize(("text", "sentence"), [
    ("bogus", '"bogus": unknown operating system or architecture: invalid argument'),
    ("linux/amd64/v9/x", '"linux/amd64/v9/x": cannot parse platform specifier: invalid argument'),
    ("linux/", '"" is an invalid component of "linux/": platform specifier component must match "^[A-Za-z0-9_.-]+$":'
     " invalid argument"),
    ("linux/am d", '"am d" is an invalid component of "linux/am d": platform specifier component must match'
     ' "^[A-Za-z0-9_.-]+$": invalid argument'),
])  # fmt: skip
def test_refused(text: str, sentence: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_platform(text, HOST)
    assert caught.value.message == sentence


def test_what_satisfies_a_wish() -> None:
    arm7 = parse_platform("linux/arm/v7", HOST)
    assert satisfies(Platform("linux", "arm"), arm7)
    assert satisfies(Platform("linux", "arm", "v6"), arm7)
    assert not satisfies(Platform("linux", "arm", "v7"), parse_platform("linux/arm/v6", HOST))
    assert satisfies(Platform("linux", "arm64", "v8"), parse_platform("linux/arm64", HOST))
    assert satisfies(Platform("linux", "386"), HOST)
    assert not satisfies(Platform("windows", "amd64"), HOST)
