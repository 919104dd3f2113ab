"""docker compose v2, unmodified, against the engine: what its users do all day.

One project per test in a directory of its own. Compose comes from the machine or from `scripts/setup test`.
"""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from clients import Background, Client, clean
from lab import HOST4, ROOT, Lab, Result

_PLUGIN = "usr/libexec/docker/cli-plugins/docker-compose"
_PLACES = (
    ROOT / ".tools/compose" / _PLUGIN, Path("/") / _PLUGIN, Path("/usr/lib/docker/cli-plugins/docker-compose"),
    Path("/usr/local/lib/docker/cli-plugins/docker-compose"), Path.home() / ".docker/cli-plugins/docker-compose",
)  # fmt: skip


def compose_command() -> str:
    """The compose v2 program; empty where there is none."""
    found = [str(path) for path in _PLACES if path.exists()]
    if own := shutil.which("docker-compose"):
        found.append(own)
    for candidate in found:
        version = subprocess.run([candidate, "version", "--short"], capture_output=True, text=True, check=False).stdout
        if version.lstrip("v").startswith("2"):
            return candidate
    return ""


class Project:
    """A compose project. Calling it runs `docker compose …` in its directory."""

    def __init__(self, lab: Lab, program: str, directory: Path) -> None:
        self.lab = lab
        self.directory = directory
        self._argv = [
            "env", f"DOCKER_HOST=unix://{lab.socket}", f"HOME={directory}", program, "--project-name", "shop",
            "--project-directory", str(directory), "--ansi", "never", "--progress", "plain",
        ]  # fmt: skip

    def file(self, text: str, name: str = "compose.yaml") -> None:
        (self.directory / name).write_text(text)

    def argv(self, *words: str, env: Mapping[str, str] | None = None) -> list[str]:
        variables = [f"{name}={value}" for name, value in (env or {}).items()]
        return [self._argv[0], *variables, *self._argv[1:], *words]

    def __call__(self, *words: str, env: Mapping[str, str] | None = None, **options: object) -> Result:
        done = self.lab.host(*self.argv(*words, env=env), **options)
        # `logs` clears its lines whatever --ansi says.
        return replace(done, out=done.out.replace("\x1b[2K", ""))

    def ok(self, *words: str, **options: object) -> str:
        """It must succeed; its standard output."""
        done = self(*words, **options)
        assert done.code == 0, f"compose {' '.join(words)}: exit {done.code}\n{done.text}\n{self.lab.log()[-2000:]}"
        return done.out


@pytest.fixture
def project(lab: Lab, tmp_path: Path) -> Iterator[Project]:
    program = compose_command()
    if not program:
        pytest.skip("docker compose v2 is not here and could not be fetched (scripts/setup test)")
    directory = tmp_path / "shop"
    directory.mkdir()
    yield Project(lab, program, directory)
    clean(lab)


def labelled(lab: Lab, kind: str) -> str:
    """Names of what the project has: containers, networks or volumes."""
    words = {"container": ("ps", "-a"), "network": ("network", "ls"), "volume": ("volume", "ls")}[kind]
    column = "{{.Names}}" if kind == "container" else "{{.Name}}"
    return lab.landbridge(*words, "--filter", "label=com.docker.compose.project=shop", "--format", column).out


TWO = """
services:
  web:
    image: httpd
    networks: {front: {aliases: [www]}, back: {}}
    ports: ["8080:80"]
    volumes: ["data:/srv/data"]
  client:
    image: busybox
    command: sleep 1000
    networks: [back]
    depends_on: [web]
networks: {front: {}, back: {}}
volumes: {data: {}}
"""


def test_up_look_and_down(project: Project, lab: Lab, retry: Callable[..., Result]) -> None:
    project.file(TWO)
    project.ok("up", "-d")
    assert labelled(lab, "container").split() == ["shop-client-1", "shop-web-1"]
    assert set(labelled(lab, "network").split()) == {"shop_front", "shop_back"}
    assert labelled(lab, "volume").split() == ["shop_data"]
    retry(lambda: project("exec", "-T", "client", "wget", "-qO-", "web"), "It works!")
    retry(lambda: lab.host("curl", "-s", "127.0.0.1:8080"), "It works!")
    retry(lambda: lab.outside("curl", "-s", f"{HOST4}:8080"), "It works!")
    shown = project.ok("ps", "--format", "{{.Service}} {{.State}} {{.Publishers}}")
    assert "web running" in shown and "8080" in shown and "client running" in shown
    assert project.ok("ps", "-q", "web").strip()
    assert "0.0.0.0:8080" in project.ok("port", "web", "80")
    assert "sleep 1000" in project.ok("top", "client")
    assert "web-1" in project.ok("logs", "web") and "client" not in project.ok("logs", "web")
    # Up again changes nothing.
    before = lab.landbridge("ps", "-q", "--no-trunc").out
    project.ok("up", "-d")
    assert lab.landbridge("ps", "-q", "--no-trunc").out == before
    project.ok("down", "-t", "0")
    assert not labelled(lab, "container") and not labelled(lab, "network")
    assert labelled(lab, "volume").split() == ["shop_data"]
    project.ok("down", "-v")
    assert not labelled(lab, "volume")


def test_a_changed_service_alone_is_made_anew(project: Project, lab: Lab) -> None:
    project.file(TWO)
    project.ok("up", "-d")
    web, client = (project.ok("ps", "-q", name).strip() for name in ("web", "client"))
    project.file(TWO.replace("sleep 1000", "sleep 1001"))
    project.ok("up", "-d", "-t", "0")
    assert project.ok("ps", "-q", "web").strip() == web
    new = project.ok("ps", "-q", "client").strip()
    assert new != client
    assert labelled(lab, "container").split().count("shop-client-1") == 1
    assert "sleep 1001" in project.ok("top", "client")


def test_foreground_interleaves_and_ends_with_the_services(project: Project) -> None:
    script = "for i in 1 2 3; do echo {} $$i; sleep 0.1; done"
    project.file(f"""
services:
  a: {{image: busybox, command: sh -c '{script.format("from a")}'}}
  b: {{image: busybox, command: sh -c '{script.format("from b")}; exit 4'}}
""")
    done = project("up")
    for name in "ab":
        for number in (1, 2, 3):
            assert f"from {name} {number}" in done.out, done.text
    assert "b-1 exited with code 4" in done.text
    # The exit status of one service, and the end of all with the first.
    assert project("up", "--exit-code-from", "b").code == 4


def test_interrupt_stops_the_services(project: Project, lab: Lab, background: Background) -> None:
    project.file("""
services:
  talk: {image: busybox, stop_grace_period: 1s, command: sh -c 'trap "exit 0" TERM; echo here; while :; do sleep 0.1; done'}
""")
    process = background(lab, *project.argv("up"))
    assert process.stdout is not None
    seen = b""
    while b"here" not in seen:
        line = process.stdout.readline()
        assert line, seen
        seen += line
    process.terminate()
    process.wait(timeout=30)
    assert "exited" in lab.landbridge("ps", "-a", "--format", "{{.State}}").out


def test_logs_of_several_and_followed(project: Project) -> None:
    project.file("""
services:
  a: {image: busybox, command: sh -c 'echo alpha; sleep 0.3; echo omega'}
  b: {image: busybox, command: echo beta}
""")
    project.ok("up", "-d")
    followed = project.ok("logs", "-f", "--no-log-prefix")
    assert {"alpha", "omega", "beta"} <= set(followed.split())
    assert project.ok("logs", "--no-log-prefix", "--tail", "1", "a").split() == ["omega"]
    assert "Z" in project.ok("logs", "-t", "b")


def test_exec_run_restart_scale_pause(project: Project, lab: Lab) -> None:
    project.file("""
services:
  box: {image: busybox, command: sleep 1000, environment: {FROM: file}, stop_grace_period: 0s}
""")
    project.ok("up", "-d")
    assert project.ok("exec", "-T", "box", "sh", "-c", "echo $FROM").strip() == "file"
    assert project("exec", "-T", "box", "sh", "-c", "exit 5").code == 5
    assert project.ok("exec", "-T", "box", "cat", input="through") == "through"
    assert project.ok("run", "--rm", "-T", "-e", "FROM=word", "box", "sh", "-c", "echo $FROM").strip() == "word"
    assert project("run", "--rm", "-T", "box", "sh", "-c", "exit 6").code == 6
    assert labelled(lab, "container").split() == ["shop-box-1"]
    first = project.ok("ps", "-q", "box")
    project.ok("restart", "-t", "0", "box")
    assert project.ok("ps", "-q", "box") == first
    project.ok("up", "-d", "--scale", "box=3")
    assert len(project.ok("ps", "-q", "box").split()) == 3
    project.ok("up", "-d", "-t", "0", "--scale", "box=1")
    assert project.ok("ps", "-q", "box") == first
    project.ok("pause")
    assert "paused" in project.ok("ps", "--format", "{{.State}}")
    project.ok("unpause")
    project.ok("kill", "box")
    assert "exited" in project.ok("ps", "-a", "--format", "{{.State}}")
    project.ok("rm", "-f")
    assert not labelled(lab, "container")


def test_health_and_completion_are_waited_for(project: Project, lab: Lab) -> None:
    project.file("""
services:
  init: {image: busybox, command: sh -c 'echo ready > /shared/state', volumes: ["shared:/shared"]}
  db:
    image: busybox
    command: sh -c 'sleep 0.5; touch /tmp/up; sleep 1000'
    healthcheck: {test: test -e /tmp/up, interval: 100ms, retries: 100}
    depends_on: {init: {condition: service_completed_successfully}}
  app:
    image: busybox
    command: cat /shared/state
    volumes: ["shared:/shared"]
    depends_on: {db: {condition: service_healthy}}
volumes: {shared: {}}
""")
    project.ok("up", "-d", "--wait-timeout", "30")
    assert "healthy" in project.ok("ps", "--format", "{{.Health}}", "db")
    lab.landbridge("wait", "shop-app-1")
    assert project.ok("logs", "--no-log-prefix", "app").strip() == "ready"


def test_a_service_that_never_gets_well_stops_the_rest(project: Project) -> None:
    project.file("""
services:
  db: {image: busybox, command: sleep 1000, healthcheck: {test: "false", interval: 100ms, retries: 1}}
  app: {image: busybox, command: sleep 1000, depends_on: {db: {condition: service_healthy}}}
""")
    done = project("up", "-d")
    assert done.code != 0 and "unhealthy" in done.text
    assert project.ok("ps", "-q", "app").strip() == ""


def test_networks_of_every_kind(project: Project, lab: Lab) -> None:
    project.file("""
services:
  fixed:
    image: busybox
    command: sleep 1000
    hostname: fixed-host
    extra_hosts: ["elsewhere:10.88.0.99"]
    dns_search: corp.test
    networks:
      lan: {ipv4_address: 10.88.7.50, mac_address: "02:42:0a:58:07:32", aliases: [printer]}
      inside: {priority: 5}
  peer: {image: busybox, command: sleep 1000, networks: [lan]}
  beside: {image: busybox, command: sleep 1000, network_mode: "service:fixed"}
  alone: {image: busybox, command: sleep 1000, network_mode: none}
  bare: {image: busybox, command: sleep 1000, network_mode: host}
networks:
  lan: {ipam: {config: [{subnet: 10.88.7.0/24, gateway: 10.88.7.1}]}}
  inside: {internal: true}
""")
    project.ok("up", "-d")
    client = Client(lab, "landbridge")
    assert client.address("shop-fixed-1", "shop_lan") == "10.88.7.50"
    for name in ("fixed", "printer", "shop-fixed-1"):
        assert "10.88.7.50" in project.ok("exec", "-T", "peer", "nslookup", name)
    assert "10.88.0.99" in project.ok("exec", "-T", "fixed", "cat", "/etc/hosts")
    assert "corp.test" in project.ok("exec", "-T", "fixed", "cat", "/etc/resolv.conf")
    shared = project.ok("exec", "-T", "fixed", "ip", "-o", "-4", "addr")
    assert project.ok("exec", "-T", "beside", "ip", "-o", "-4", "addr") == shared and "10.88.7.50" in shared
    assert "eth0" not in project.ok("exec", "-T", "alone", "ip", "-o", "link")
    assert HOST4 in project.ok("exec", "-T", "bare", "ip", "-o", "-4", "addr")
    project.ok("down", "-t", "0")
    assert not labelled(lab, "network")


def test_a_network_from_outside_must_be_there_and_stays(project: Project, lab: Lab) -> None:
    project.file("""
services: {box: {image: busybox, command: sleep 1000, networks: [shared]}}
networks: {shared: {external: true, name: outer}}
""")
    done = project("up", "-d")
    assert done.code != 0 and "network outer" in done.text and "not found" in done.text
    lab.landbridge("network", "create", "outer")
    project.ok("up", "-d")
    project.ok("down", "-t", "0")
    assert "outer" in lab.landbridge("network", "ls", "--format", "{{.Name}}").out


def test_files_secrets_configs_and_volumes(project: Project, lab: Lab) -> None:
    (project.directory / "password.txt").write_text("hush")
    (project.directory / "app.conf").write_text("answer=42")
    (project.directory / ".env").write_text("WHO=world\n")
    project.file("""
services:
  app:
    image: busybox
    command: sh -c 'cat /run/secrets/password /etc/app.conf; echo; echo hello ${WHO}; echo kept > /data/file'
    secrets: [password]
    configs: [{source: conf, target: /etc/app.conf}]
    volumes: ["data:/data", "./:/here:ro", {type: tmpfs, target: /scratch}]
secrets: {password: {file: ./password.txt}}
configs: {conf: {file: ./app.conf}}
volumes: {data: {labels: {kind: kept}}}
""")
    project.ok("up", "-d")
    lab.landbridge("wait", "shop-app-1")
    assert project.ok("logs", "--no-log-prefix", "app").splitlines() == ["hushanswer=42", "hello world"]
    project.ok("down")
    assert project.ok("run", "--rm", "-T", "app", "sh", "-c", "cat /data/file; ls /here/app.conf").split() == [
        "kept", "/here/app.conf",
    ]  # fmt: skip
    done = project("run", "--rm", "-T", "app", "touch", "/here/x")
    assert done.code == 1 and "Read-only" in done.text
    assert "kept" in lab.landbridge("volume", "inspect", "-f", "{{json .Labels}}", "shop_data").out


def test_copying_files_and_events(project: Project, lab: Lab, background: Background) -> None:
    project.file("services: {box: {image: busybox, command: sleep 1000}}")
    project.ok("up", "-d")
    (project.directory / "there").write_text("and back")
    project.ok("cp", str(project.directory / "there"), "box:/tmp/there")
    project.ok("cp", "box:/tmp/there", str(project.directory / "here"))
    assert (project.directory / "here").read_text() == "and back"
    process = background(lab, *project.argv("events"))
    assert process.stdout is not None
    deadline = time.monotonic() + 20
    seen = b""
    while b"container kill" not in seen and time.monotonic() < deadline:
        # Events before it listens are lost: say it again until it is heard.
        project.ok("restart", "-t", "0", "box")
        seen += process.stdout.readline()
    assert b"box" in seen


def test_a_build_is_refused_in_clear_words(project: Project) -> None:
    (project.directory / "Dockerfile").write_text("FROM busybox\n")
    project.file("services: {made: {build: .}}")
    done = project("build", env={"DOCKER_BUILDKIT": "0"})
    assert done.code != 0 and "landbridge does not build images" in done.text
    # The newer builder finds no BuildKit in the engine and wants to run its own in a container.
    done = project("up", "-d")
    assert done.code != 0 and "buildkit" in done.text
