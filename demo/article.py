#!/usr/bin/env python3
"""The article, played: every way containers communicate, on real containers, each step checked.

    make demo                 with landbridge's own command line
    make demo CLIENT=docker   with the unmodified docker command

An engine of its own is started in a network namespace (its "host", with a machine "outside" beside it), so that
nothing of the real host's network is touched, and everything is removed at the end. Prints each command, what
it printed, and whether that is what the article says; exits 1 if anything was not.
"""

import re
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import images
from lab import HOST4, OUTSIDE4, Lab, Result, docker_cli

GREEN, RED, BOLD, PLAIN = ("\033[32m", "\033[31m", "\033[1m", "\033[0m") if sys.stdout.isatty() else ("",) * 4


class Play:
    """Runs steps, prints them, counts what went wrong."""

    def __init__(self, lab: Lab, client: str) -> None:
        self.lab = lab
        self.client = client
        self.steps = 0
        self.failures: list[str] = []

    def chapter(self, title: str) -> None:
        print(f"\n{BOLD}== {title}{PLAIN}")

    def do(self, line: str, expect: str = "", *, fails: bool = False, typed: str = "", tty: bool = False) -> Result:
        """Run one command line of the client; `expect` is a pattern its output must hold."""
        words = shlex.split(line)
        run = self.lab.docker if self.client == "docker" else self.lab.landbridge
        prompt = f"{self.client} {line}" + (f"   # typed: {typed.strip()!r}" if typed else "")
        return self._judge(prompt, run(*words, tty=tty, input=typed), expect, fails=fails)

    def host(self, line: str, expect: str = "", *, fails: bool = False) -> Result:
        """Run a command on the host."""
        return self._judge(line, self.lab.host(*shlex.split(line)), expect, fails=fails)

    def outside(self, line: str, expect: str = "", *, fails: bool = False) -> Result:
        """Run a command on the machine outside."""
        return self._judge(f"[outside] {line}", self.lab.outside(*shlex.split(line)), expect, fails=fails)

    def check(self, what: str, *, held: bool) -> None:
        """A comparison between steps."""
        self._verdict(what, held=held)

    def _judge(self, shown: str, result: Result, expect: str, *, fails: bool) -> Result:
        print(f"\n$ {shown}")
        for line in result.text.strip().splitlines()[:14]:
            print(f"  {line}")
        held = (result.code != 0) == fails and (not expect or re.search(expect, result.text, re.DOTALL) is not None)
        wanted = expect or ("a failure" if fails else "success")
        self._verdict(wanted if held else f"{wanted} (exit status {result.code})", held=held)
        return result

    def _verdict(self, what: str, *, held: bool) -> None:
        self.steps += 1
        if not held:
            self.failures.append(what)
        print(f"  {GREEN}✓{PLAIN} {what}" if held else f"  {RED}✗ NOT AS THE ARTICLE SAYS:{PLAIN} {what}")


def load_images(play: Play) -> None:
    play.chapter("Images, made from Debian's busybox: no registry is needed")
    with tempfile.TemporaryDirectory() as directory:
        for name in ("busybox", "httpd"):
            path = Path(directory, f"{name}.tar")
            images.build(name, path)
            play.do(f"load -q -i {path}", f"Loaded image: {name}:latest")
    play.do("images", "busybox.*latest|httpd.*latest")


def by_address(play: Play) -> None:
    play.chapter("1. By IP: an interface in the same network")
    play.do("network create my_net2", "^[0-9a-f]{64}$")
    play.do("network ls", "bridge.*bridge.*local.*host.*host.*local.*my_net2.*bridge.*local.*none.*null.*local")
    play.do("run -dit --network=my_net2 --name=bbox1 busybox", "^[0-9a-f]{64}")
    address = play.do(
        "inspect -f '{{.NetworkSettings.Networks.my_net2.IPAddress}}' bbox1", r"^\d+\.\d+\.\d+\.\d+$"
    ).out.strip()
    play.do("run -it --network=my_net2 --name=bbox2 busybox", f"64 bytes from {address}.*0% packet loss",
            typed=f"ping -c 1 {address}\nexit\n", tty=True)  # fmt: skip
    play.do("start bbox2", "bbox2")
    play.do("run -dit --name=bbox3 busybox")
    play.do(f"exec bbox3 ping -c 1 -W 1 {address}", "100% packet loss", fails=True)
    play.do("network connect my_net2 bbox3")
    play.do(f"exec bbox3 ping -c 1 {address}", "0% packet loss")
    play.do("exec bbox3 ip -o -4 addr", "eth0.*eth1")
    play.do("network disconnect my_net2 bbox3")
    play.do(f"exec bbox3 ping -c 1 -W 1 {address}", fails=True)


def by_name(play: Play) -> None:
    play.chapter("2. By name: the embedded DNS server of user-defined networks")
    play.do("exec bbox2 cat /etc/resolv.conf", r"nameserver 127\.0\.0\.11")
    play.do("run -dit --network=my_net2 --network-alias=db --name=bbox5 busybox")
    identity = play.do("inspect -f '{{.Id}}' bbox1").out.strip()
    for name in ("bbox1", "bbox1.my_net2", identity[:12]):
        play.do(f"exec bbox2 ping -c 1 {name}", "0% packet loss")
    play.do("exec bbox2 ping -c 1 db", "0% packet loss")
    play.do("run -dit --name=bbox4 busybox")
    play.do("exec bbox4 ping -c 1 bbox3", "bad address", fails=True)
    address = play.do("inspect -f '{{.NetworkSettings.IPAddress}}' bbox3", r"^\d").out.strip()
    play.do(f"exec bbox4 ping -c 1 {address}", "0% packet loss")


def joined(play: Play) -> None:
    play.chapter("3. Joined: --network=container:web1 shares one network stack")
    play.do("run -d --name=web1 httpd")
    shown = play.do("run -it --network=container:web1 --name=bbox6 busybox", "It works!",
                    typed="ip -o link show eth0; wget -qO- 127.0.0.1\nexit\n", tty=True).out  # fmt: skip
    own = play.do("exec web1 ip -o link show eth0", "link/ether").out
    mac = re.search(r"link/ether (\S+)", own)
    play.check("the same MAC address in both", held=mac is not None and mac.group(1) in shown)
    play.do("start bbox6")
    play.do("restart -t 1 web1")
    play.do("exec bbox6 wget -qO- 127.0.0.1", "It works!")
    play.check("restarting web1 did not cut the joined container off", held=not play.failures)
    play.do("run --network=container:web1 -p 81:81 busybox true", "conflicting options", fails=True)


def outwards(play: Play) -> None:
    play.chapter("4. Outwards: containers reach the outside world, which sees the host")
    play.do(f"exec bbox4 ping -c 1 {OUTSIDE4}", "0% packet loss")
    play.do(f"exec bbox2 ping -c 1 {OUTSIDE4}", "0% packet loss")
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "index.html").write_text("the world\n")
        server = play.lab.background("busybox", "httpd", "-f", "-vv", "-p", f"{OUTSIDE4}:7001", "-h", directory,
                                     outside=True)  # fmt: skip
        play.do(f"exec bbox2 sh -c 'for i in 1 2 3 4 5; do wget -qO- http://{OUTSIDE4}:7001/ && exit; sleep 0.2; done'",
                "the world")  # fmt: skip
        server.terminate()
        seen = server.communicate()[0].decode()
    print("  the server outside wrote: " + " | ".join(seen.strip().splitlines()[:2]))
    play.check(f"the outside saw the host's address {HOST4}", held=HOST4 in seen)


def inwards(play: Play) -> None:
    play.chapter("5. Inwards: published ports, dynamic and fixed")
    play.do("run -d -p 80 --name=web2 httpd")
    play.do("run -d -p 8080:80 --name=web3 httpd")
    shown = play.do("port web2", r"80/tcp -> 0\.0\.0\.0:(\d+)\n80/tcp -> \[::\]:\1").out
    port = shown.splitlines()[0].rpartition(":")[2]
    play.do("port web3", r"80/tcp -> 0\.0\.0\.0:8080")
    play.do("ps", rf"0\.0\.0\.0:8080->80/tcp, \[?:::?\]?:?8080->80/tcp.*0\.0\.0\.0:{port}->80/tcp")
    for address in (HOST4, "127.0.0.1", "[::1]"):
        play.host(f"busybox wget -qO- http://{address}:8080/", "It works!")
    play.outside(f"busybox wget -qO- http://{HOST4}:{port}/", "It works!")
    play.do(f"exec bbox2 wget -qO- http://{HOST4}:8080/", "It works!")
    play.do(f"exec web3 wget -qO- http://{HOST4}:8080/", "It works!")
    play.do("run -d -p 8080:80 --name=web4 httpd", "port is already allocated.*web3", fails=True)
    play.host("busybox nc -l -p 8080", "ddress.* in use", fails=True)
    if play.client == "landbridge":
        play.do(f"explain 127.0.0.1:{port}", "web2")
        play.do("explain [::1]:8080", "proxy.*web3")


CHAPTERS: tuple[Callable[[Play], None], ...] = (load_images, by_address, by_name, joined, outwards, inwards)


def main(argv: list[str]) -> int:
    client = argv[1] if len(argv) > 1 else "landbridge"
    if client not in ("landbridge", "docker") or (client == "docker" and not docker_cli()):
        print("usage: article.py [landbridge|docker]  (docker: only where its command line is installed)")
        return 2
    with Lab("lbdemo") as lab:
        play = Play(lab, client)
        for chapter in CHAPTERS:
            chapter(play)
    print(f"\n{BOLD}{play.steps} steps, {len(play.failures)} not as the article says{PLAIN}")
    for failure in play.failures:
        print(f"  ✗ {failure}")
    return 1 if play.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
