"""The daemon's command line and configuration file as values."""

import json
from pathlib import Path

import pytest

from landbridge.errors import Invalid
from landbridge.options import parse


def test_a_host_without_a_scheme_is_tcp() -> None:
    found = parse(["-H", "0.0.0.0:2375", "--host", "unix:///run/x.sock", "-H", "tcp://[::1]:1"])
    assert found.hosts == ("tcp://0.0.0.0:2375", "unix:///run/x.sock", "tcp://[::1]:1")


def test_the_file_says_what_flags_say(tmp_path: Path) -> None:
    file = tmp_path / "daemon.json"
    file.write_text(json.dumps({
        "hosts": ["unix:///run/x.sock"], "dns": ["192.0.2.1", "192.0.2.2"], "icc": False, "mtu": 1400, "ipv6": True, "debug": False,
        "default-address-pools": [{"base": "10.9.0.0/16", "size": 24}], "labels": ["a=b"], "live-restore": True,
        "default-network-opts": {"bridge": {"com.docker.network.driver.mtu": "1300"}}, "bip": "10.8.0.1/24",
    }))  # fmt: skip
    found = parse(["--config-file", str(file), "--dns-search", "example.org"])
    asked = parse([
        "-H", "unix:///run/x.sock", "--dns=192.0.2.1", "--dns=192.0.2.2", "--icc=false", "--mtu=1400", "--ipv6", "--bip=10.8.0.1/24",
        "--default-address-pool=base=10.9.0.0/16,size=24", "--label=a=b", "--dns-search=example.org",
        "--default-network-opt=bridge=com.docker.network.driver.mtu=1300",
    ])  # fmt: skip
    assert found == asked and found != parse([])


@pytest.mark.parametrize(
    ("text", "flags", "said"),
    [
        ('{"nonsense": 1, "more": 2}', (), "the following directives don't match any configuration option: more, nonsense"),
        ('{"mtu": 1400}', ("--mtu=1300",), "specified both as a flag and in the configuration file: mtu"),
        ('{"hosts": ["unix:///y"]}', ("-H", "unix:///x"), "specified both as a flag and in the configuration file: hosts"),
        ('{"ipv6": "yes"}', (), "ipv6: must be true or false"),
        ('{"dns": {"a": 1}}', (), 'dns: unexpected value {"a": 1}'),
        ('{"dns": null}', (), "dns: unexpected value null"),
        ("[]", (), "the file must hold an object"),
        ("{", (), "Expecting property name"),
        ('{"icc": "maybe"}', (), 'invalid argument "maybe" for "--icc" flag'),
        ('{"help": true}', (), "don't match any configuration option: help"),
    ],
)
def test_a_file_that_makes_no_sense(text: str, flags: tuple[str, ...], said: str, tmp_path: Path) -> None:
    file = tmp_path / "daemon.json"
    file.write_text(text)
    with pytest.raises(Invalid) as caught:
        parse(["--config-file", str(file), *flags])
    assert said in caught.value.message


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no such file or directory"):
        parse([f"--config-file={tmp_path}/none"])
