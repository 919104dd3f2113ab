"""The daemon on TCP with TLS: who may come, and streams whose input ends before their output."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from clients import MakeLab
from lab import LANDBRIDGE, Lab, docker_cli

ADDRESS = "tcp://127.0.0.1:2376"
LONG = "x" * 300_000


def openssl(*words: str, directory: Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=directory)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """ca, server and client, with their keys, named as the clients look for them."""
    directory = tmp_path / "tls"
    directory.mkdir()
    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes".split()
    openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=ca", "-keyout", "ca-key.pem", "-out", "ca.pem", directory=directory)
    for name in ("server", "client"):
        (directory / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
        openssl("req", *key, "-subj", f"/CN={name}", "-keyout", f"{name}-key.pem", "-out", "csr", directory=directory)
        openssl(
            "x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2",
            "-extfile", "ext", "-out", f"{name}.pem", directory=directory,
        )  # fmt: skip
    return directory


@pytest.fixture
def secured(lab_with: MakeLab, certificates: Path) -> Iterator[Lab]:
    at = certificates
    yield lab_with(
        "-H", ADDRESS, "--tlsverify", "--tlscacert", f"{at}/ca.pem", "--tlscert", f"{at}/server.pem", "--tlskey",
        f"{at}/server-key.pem",
    )  # fmt: skip


def test_over_tls(secured: Lab, certificates: Path) -> None:
    at = certificates
    known = ("--tlsverify", "--tlscacert", f"{at}/ca.pem", "--tlscert", f"{at}/client.pem", "--tlskey", f"{at}/client-key.pem")
    for program in (docker_cli(), str(LANDBRIDGE)):
        whole = (program, "-H", ADDRESS, *known)
        assert secured.host(*whole, "version", "--format", "{{.Server.Os}}").out == "linux\n"
        done = secured.host(
            *whole, "run", "-i", "--rm", "busybox", "sh", "-c", "wc -c; sleep 0.2; echo after", input=LONG
        )
        assert (done.code, done.out) == (0, f"{len(LONG)}\nafter\n"), done.text
        secured.host(*whole, "run", "-d", "--name", "box", "busybox", "sleep", "1000")
        done = secured.host(*whole, "exec", "-i", "box", "sh", "-c", "cat; echo end", input=LONG)
        assert (done.code, done.out) == (0, f"{LONG}end\n"), done.text[-500:]
        secured.host(*whole, "rm", "-f", "box")
        unknown = secured.host(program, "-H", ADDRESS, "--tlsverify", "--tlscacert", f"{at}/ca.pem", "ps")
        assert unknown.code != 0
        assert secured.host(program, "-H", ADDRESS, "ps").code != 0
