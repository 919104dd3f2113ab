"""docker-py against the real engine: streams, copying, statistics, and clients that go away or stop reading."""

import io
import json
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
from clients import clean
from docker.models.containers import Container
from lab import Lab


@pytest.fixture
def api(lab: Lab) -> Iterator[docker.DockerClient]:
    """docker-py, its version negotiated."""
    client = docker.DockerClient(base_url=f"unix://{lab.socket}", version="auto", timeout=60)
    yield client
    client.close()
    clean(lab)


@pytest.fixture
def hijack(lab: Lab) -> Iterator[Callable[..., socket.socket]]:
    """`hijack("/containers/x/attach?…", body)` -> the raw stream behind the 101; closed after the test."""
    made: list[socket.socket] = []

    def start(target: str, body: object = None) -> socket.socket:
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.append(stream)
        stream.settimeout(60)
        stream.connect(str(lab.socket))
        text = json.dumps(body) if body is not None else ""
        head = f"POST {target} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}"
        stream.sendall(head.encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += read(stream, 1)
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        return stream

    yield start
    for stream in made:
        stream.close()


Hijacker = Callable[..., socket.socket]
Eventually = Callable[[Callable[[], object]], None]


def running(api: docker.DockerClient, script: str = "sleep 1000", **options: Any) -> Container:
    return api.containers.run("busybox", ["sh", "-c", script], detach=True, **options)


def test_output_exit_code_and_logs(api: docker.DockerClient) -> None:
    assert api.containers.run("busybox", ["sh", "-c", "echo out; echo err >&2"], remove=True, stderr=True) in (
        b"out\nerr\n", b"err\nout\n",
    )  # fmt: skip
    made = running(api, "echo one; echo two >&2; exit 7")
    assert made.wait()["StatusCode"] == 7
    assert made.logs(stdout=True, stderr=False) == b"one\n" and made.logs(stdout=False) == b"two\n"
    assert made.logs(tail=0) == b""


def test_logs_follow_until_the_end(api: docker.DockerClient) -> None:
    made = running(api, "for i in 1 2 3; do echo $i; sleep 0.1; done")
    assert b"".join(made.logs(stream=True, follow=True)) == b"1\n2\n3\n"


@pytest.mark.parametrize("stdin_once", ["once", "kept"])
def test_attach_before_start_loses_nothing_and_half_close_ends_the_input(
    api: docker.DockerClient, hijack: Hijacker, stdin_once: str
) -> None:
    # docker-py asks for StdinOnce unless the container is to run detached.
    made = api.api.create_container(
        "busybox", ["sh", "-c", "cat; echo end"], stdin_open=True, detach=stdin_once == "kept"
    )["Id"]
    stream = hijack(f"/containers/{made}/attach?stdin=1&stdout=1&stream=1")
    api.api.start(made)
    stream.sendall(b"question\n")
    assert read(stream, 8 + 9) == b"\x01\0\0\0\0\0\0\x09question\n"
    stream.shutdown(socket.SHUT_WR)
    rest = b""
    while data := stream.recv(100):
        rest += data
    if stdin_once == "once":
        assert rest == b"\x01\0\0\0\0\0\0\x04end\n"
    else:  # the connection ends with the input, the program and its input go on (Docker)
        assert rest == b"" and api.api.inspect_container(made)["State"]["Running"]


def test_a_terminal_is_left_by_its_keys_and_taken_up_again(api: docker.DockerClient, hijack: Hijacker) -> None:
    made = api.api.create_container("busybox", ["sh"], stdin_open=True, tty=True)["Id"]
    stream = hijack(f"/containers/{made}/attach?stdin=1&stdout=1&stream=1&detachKeys=ctrl-a,x")
    api.api.start(made)
    api.api.resize(made, 33, 77)
    stream.sendall(b"stty size; echo $((40+2))\n")
    seen = b""
    while b"\n42" not in seen:
        seen += read(stream, 1)
    stream.sendall(b"\x01x")
    while stream.recv(1000):
        pass  # the prompt; then the end of the stream
    assert api.api.inspect_container(made)["State"]["Running"]
    again = hijack(f"/containers/{made}/attach?stdin=1&stdout=1&stream=1")
    again.sendall(b"exit 5\n")
    while again.recv(1000):
        pass
    assert api.api.wait(made)["StatusCode"] == 5


def test_exec_streams_codes_and_input(api: docker.DockerClient, hijack: Hijacker) -> None:
    made = running(api)
    done = made.exec_run(["sh", "-c", "echo out; echo err >&2; exit 3"], demux=True)
    assert (done.exit_code, done.output) == (3, (b"out\n", b"err\n"))
    assert made.exec_run(["nosuch"]).exit_code == 126
    identity = api.api.exec_create(made.id, ["cat"], stdin=True)["Id"]
    stream = hijack(f"/exec/{identity}/start", {})
    stream.sendall(b"ping")
    assert read(stream, 8 + 4) == b"\x01\0\0\0\0\0\0\x04ping"
    stream.shutdown(socket.SHUT_WR)
    assert stream.recv(100) == b""
    assert api.api.exec_inspect(identity)["ExitCode"] == 0


def test_the_same_exec_does_not_run_twice(api: docker.DockerClient) -> None:
    made = running(api)
    identity = api.api.exec_create(made.id, ["true"])["Id"]
    api.api.exec_start(identity)
    assert b"has already run" in api.api.exec_start(identity)


def test_a_client_that_leaves_does_not_take_the_program_along(
    api: docker.DockerClient, hijack: Hijacker, eventually: Eventually
) -> None:
    made = running(api)
    identity = api.api.exec_create(made.id, ["sh", "-c", "yes | head -c 3000000; touch /tmp/done; sleep 1000"])["Id"]
    stream = hijack(f"/exec/{identity}/start", {})
    assert stream.recv(8)
    stream.close()
    eventually(lambda: made.exec_run(["ls", "/tmp/done"]).exit_code == 0)
    assert api.api.exec_inspect(identity)["Running"]


def test_an_attached_client_that_does_not_read_does_not_stop_the_container(
    api: docker.DockerClient, hijack: Hijacker, eventually: Eventually
) -> None:
    made = api.containers.create("busybox", ["sh", "-c", "yes | head -c 20000000; touch /tmp/done; sleep 1000"])
    stream = hijack(f"/containers/{made.id}/attach?stdout=1&stream=1")
    made.start()
    eventually(lambda: made.exec_run(["ls", "/tmp/done"]).exit_code == 0)
    got = 0
    while got < 20_000_000:  # payload alone: nothing was lost
        size = int.from_bytes(read(stream, 8)[4:], "big")
        assert set(read(stream, size)) <= set(b"y\n")
        got += size
    assert got == 20_000_000


def test_copying_in_and_out(api: docker.DockerClient) -> None:
    made = running(api, volumes={"lbcopy": {"bind": "/vol", "mode": "rw"}})
    for path in ("/tmp", "/vol"):
        assert made.put_archive(path, archive("file", b"content"))
        chunks, found = made.get_archive(f"{path}/file")
        assert (found["name"], found["size"], found["mode"]) == ("file", 7, 0o640)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            member = tar.extractfile("file")
            assert member is not None and member.read() == b"content"
    made.stop(timeout=0)
    assert made.put_archive("/vol", archive("late", b"x"))
    chunks, _ = made.get_archive("/vol")
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        assert sorted(tar.getnames()) == ["vol", "vol/file", "vol/late"]
    with pytest.raises(docker.errors.NotFound, match="Could not find the file /nosuch in container"):
        made.get_archive("/nosuch")


def test_a_hostile_archive_stays_inside(api: docker.DockerClient, lab: Lab) -> None:
    made = running(api)
    made.exec_run(["ln", "-s", "/", "/tmp/root"])
    for name in ("../../../../../../outside", "root/outside", "/outside"):
        made.put_archive("/tmp", archive(name, b"x"))
    assert not (lab.directory / "outside").exists()
    assert subprocess.run(["ls", "/outside"], capture_output=True, check=False).returncode != 0
    assert made.exec_run(["cat", "/outside"]).output == b"x"


def test_statistics_and_processes(api: docker.DockerClient) -> None:
    made = running(api, mem_limit="64m")
    shown = made.stats(stream=False)
    assert shown["memory_stats"]["limit"] == 64 * 1024 * 1024 and shown["memory_stats"]["usage"] > 0
    assert shown["cpu_stats"]["system_cpu_usage"] > shown["precpu_stats"]["system_cpu_usage"]
    assert "eth0" in shown["networks"] and shown["pids_stats"]["current"] == 1
    table = made.top()
    assert [row[-1] for row in table["Processes"]] == ["sleep 1000"]
    stream = made.stats(decode=True)
    first, second = next(stream), next(stream)
    assert second["preread"] == first["read"]
    stream.close()


def test_changes_export_and_commit(api: docker.DockerClient) -> None:
    made = running(api, "echo x > /mine; rm /bin/ls; sleep 1000")
    made.exec_run(["true"])
    assert {(one["Path"], one["Kind"]) for one in made.diff()} == {("/bin", 0), ("/bin/ls", 2), ("/mine", 1)}
    with tarfile.open(fileobj=io.BytesIO(b"".join(made.export()))) as tar:
        names = set(tar.getnames())
    assert made.exec_run(["test", "-x", "/.dockerenv"]).exit_code == 0 and ".dockerenv" in names
    assert "mine" in names and "bin/ls" not in names and "bin/busybox" in names
    image = made.commit("lbapi-commit", "v1", changes="ENV A=b")
    try:
        assert api.containers.run(image, ["sh", "-c", "cat /mine; echo $A"], remove=True) == b"x\nb\n"
    finally:
        api.images.remove(image.id, force=True)


def test_events_are_told_as_they_happen_and_afterwards(api: docker.DockerClient) -> None:
    stream = api.events(decode=True, filters={"type": "container"})
    made = running(api, "exit 3")
    made.wait()
    made.remove()
    seen = []
    for event in stream:
        seen.append(event["Action"])
        if event["Action"] == "destroy":
            break
    stream.close()
    assert seen == ["create", "start", "die", "destroy"]
    since = event["timeNano"]
    again = api.events(decode=True, since=0, until=since // 10**9 + 1, filters={"container": made.id})
    assert [one["Action"] for one in again if one["id"] == made.id] == seen


def archive(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o640
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def read(stream: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        data = stream.recv(count - len(found))
        assert data, f"ended after {found!r}"
        found += data
    return found


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], None]:
    """Wait for something another process does."""

    def wait(happened: Callable[[], object]) -> None:
        for _ in range(600):
            if happened():
                return
            time.sleep(0.05)
        raise AssertionError("it never happened")

    return wait
