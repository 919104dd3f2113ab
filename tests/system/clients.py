"""The two command lines as tests use them."""

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest
from lab import Lab, Result

MakeLab = Callable[..., Lab]
Background = Callable[..., "subprocess.Popen[bytes]"]


class Client:
    """One of the two command lines. Calling it runs a command line; `fails` expects a failure."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab = lab
        self.name = name
        self._run = lab.docker if name == "docker" else lab.landbridge

    def __call__(self, *words: str, **options: object) -> Result:
        """Run it whatever comes."""
        return self._played(*words, **options)

    def _played(self, *words: str, **options: object) -> Result:
        """Run it; an older docker command's spelling of addresses is today's, what it cannot say is skipped."""
        done = self._run(*words, **options)
        if self.name != "docker":
            return done
        if re.search(r"^unknown flag: |invalid field key ", done.err, re.MULTILINE):
            pytest.skip(f"this docker command is older than what is asked: {done.err.splitlines()[0]}")
        if words[0] == "port":  # before 23.0: ":::80" for "[::]:80"
            done = replace(done, out=re.sub(r"(^|-> )([0-9a-f]*:[0-9a-f:]*):(\d+)$", r"\1[\2]:\3", done.out, flags=re.MULTILINE))
        if words[0] == "ps":
            done = replace(done, out=done.out.replace(":::", "[::]:"))
        return done

    def ok(self, *words: str, **options: object) -> str:
        """Run it; it must succeed. Standard output without the last newline."""
        done = self._played(*words, **options)
        assert done.code == 0, f"{' '.join(done.argv)}: exit {done.code}\n{done.text}\n{self.lab.log()[-2000:]}"
        return done.out.rstrip("\n")

    def fails(self, *words: str, code: int | None = None, **options: object) -> str:
        """Run it; it must fail (with this exit status). Everything it printed."""
        done = self._played(*words, **options)
        assert done.code != 0, f"{' '.join(done.argv)} succeeded:\n{done.text}"
        assert code is None or done.code == code, f"exit {done.code}, not {code}:\n{done.text}"
        return done.text

    def address(self, container: str, network: str) -> str:
        """The container's IPv4 address on a network."""
        return self.ok("inspect", "-f", f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}', container)

    def port(self, container: str, port: str) -> str:
        """The first host port a container's port is published at."""
        return self.ok("port", container, port).splitlines()[0].rpartition(":")[2]


def clean(lab: Lab) -> None:
    """Back to an engine with nothing on it but images."""
    ids = lab.landbridge("ps", "-aq").out.split()
    if ids:
        lab.landbridge("rm", "-f", "-v", *ids)
    lab.landbridge("network", "prune", "-f")
    lab.landbridge("volume", "prune", "-a", "-f")
