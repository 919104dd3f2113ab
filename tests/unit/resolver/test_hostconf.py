"""Following the host's resolv.conf through every way it is replaced."""

import time
from pathlib import Path

import pytest

from landbridge.resolver.hostconf import CHECK_SECONDS, HostServers


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Append to it and that much time has passed."""
    passed = [0.0]
    start = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: start + sum(passed))
    return passed


def test_changes_are_seen_after_a_second(
    tmp_path: Path, later: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 192.0.2.1\nnameserver 127.0.0.11\n")
    host = HostServers(str(file))
    assert host.current() == ("192.0.2.1",)
    file.write_text("nameserver 192.0.2.22\n")
    assert host.current() == ("192.0.2.1",)
    later.append(CHECK_SECONDS)
    assert host.current() == ("192.0.2.22",)

    elsewhere = tmp_path / "stub.conf"
    elsewhere.write_text("nameserver 192.0.2.3\n")
    file.unlink()
    later.append(CHECK_SECONDS)
    assert host.current() == ("192.0.2.22",)
    file.symlink_to(elsewhere)
    later.append(CHECK_SECONDS)
    assert host.current() == ("192.0.2.3",)
    elsewhere.write_text("nameserver 192.0.2.44\n")
    later.append(CHECK_SECONDS)
    assert host.current() == ("192.0.2.44",)
    assert capsys.readouterr().err == ""


def test_a_file_that_cannot_be_read_is_complained_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "resolv.conf").mkdir()
    assert HostServers(str(tmp_path / "resolv.conf")).current() == ()
    assert "resolv.conf" in capsys.readouterr().err
