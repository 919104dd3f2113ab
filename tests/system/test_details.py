"""Details of containers that programs written for Docker count on, each seen from inside a real container."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from clients import Client, clean
from docker.errors import APIError
from docker.types import Mount
from lab import Lab

from landbridge.system import mounts


@pytest.fixture
def api(lab: Lab) -> Iterator[docker.APIClient]:
    client = docker.APIClient(base_url=f"unix://{lab.socket}", version="auto", timeout=60)
    yield client
    client.close()
    clean(lab)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Path]:
    """A directory with another one, that holds a file, mounted at ``below`` in it."""
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.mkdir(mode=0o777)
    (outer / "below").mkdir(parents=True)
    (inner / "file").write_text("x")
    mounts.bind(str(inner), str(outer / "below"))
    yield outer
    mounts.unmount(str(outer / "below"))


def said(api: docker.APIClient, container: str) -> tuple[int, str]:
    """Start a created container; its exit status and what it said."""
    api.start(container)
    code = api.wait(container)["StatusCode"]
    return code, api.logs(container).decode()


def test_the_end_of_the_output_is_the_end_of_the_container(api: docker.APIClient) -> None:
    network = api.create_network("ending")["Id"]
    for number in range(5):
        made = api.create_container(
            "busybox", ["sh", "-c", f"echo here; exit {number + 1}"],
            host_config=api.create_host_config(network_mode="ending"),
        )["Id"]  # fmt: skip
        stream = api.attach_socket(made, params={"stdout": 1, "stream": 1})
        api.start(made)
        seen = b""
        while piece := stream._sock.recv(100):
            seen += piece
        stream._sock.close()
        stream.close()
        assert seen == b"\1\0\0\0\0\0\0\5here\n"
        state = api.inspect_container(made)["State"]
        assert (state["Status"], state["ExitCode"]) == ("exited", number + 1)
    api.remove_network(network)


def test_a_program_is_in_place_when_start_returns(api: docker.APIClient) -> None:
    for _ in range(5):
        made = api.create_container("busybox", ["sleep", "100"])["Id"]
        api.start(made)
        pid = api.inspect_container(made)["State"]["Pid"]
        assert Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0] == b"sleep"


def test_readonly_reaches_what_is_mounted_below(ours: Client, two: Path) -> None:
    ours.ok("run", "--rm", "-v", f"{two}:/x:ro", "busybox", "test", "-f", "/x/below/file")
    ours.fails("run", "--rm", "-v", f"{two}:/x:ro", "busybox", "touch", "/x/below/file", code=1)
    bind = f"type=bind,src={two},dst=/x,readonly"
    ours.fails("run", "--rm", "--mount", bind, "busybox", "touch", "/x/below/file", code=1)
    ours.ok("run", "--rm", "--mount", f"{bind},bind-recursive=writable", "busybox", "touch", "/x/below/file")
    ours.fails("run", "--rm", "--mount", f"{bind},bind-recursive=disabled", "busybox", "test", "-f", "/x/below/file",
               code=1)  # fmt: skip
    ours.ok("run", "--rm", "-v", f"{two / 'below/file'}:/x:ro", "busybox", "cat", "/x")


def test_readonly_was_shallow_before_1_44(lab: Lab, two: Path) -> None:
    old = docker.APIClient(base_url=f"unix://{lab.socket}", version="1.43")
    try:
        host = old.create_host_config(binds=[f"{two}:/x:ro"])
        code, text = said(old, old.create_container("busybox", ["touch", "/x/below/file"], host_config=host)["Id"])
        assert code == 0, text
        code, _ = said(old, old.create_container("busybox", ["touch", "/x/new"], host_config=host)["Id"])
        assert code == 1
    finally:
        old.close()
        clean(lab)


def test_a_setting_of_the_containers_interface(ours: Client) -> None:
    key = "net.ipv4.conf.eth0.forwarding"
    assert ours.ok("run", "--rm", f"--sysctl={key}=1", "busybox", "sysctl", "-n", key) == "1"
    assert "eth7" in ours.fails("run", "--rm", "--sysctl=net.ipv4.conf.eth7.forwarding=1", "busybox", "true")


def test_limits_are_taken_away(api: docker.APIClient, lab: Lab) -> None:
    host = api.create_host_config(cpu_quota=20000, pids_limit=30)
    made = api.create_container("busybox", ["sleep", "100"], host_config=host)["Id"]
    api.start(made)
    api.update_container(made, cpu_quota=-1)
    version = api.info()["CgroupVersion"]
    quota, limit = (("cpu/cpu.cfs_quota_us", "pids/pids.max") if version == "1" else ("cpu.max", "pids.max"))
    lab.landbridge("update", "--pids-limit=-1", made)
    shown = lab.landbridge("exec", made, "cat", f"/sys/fs/cgroup/{quota}", f"/sys/fs/cgroup/{limit}").out.split()
    assert shown[0] in ("-1", "max") and shown[-1] == "max"
    api.update_container(made, cpu_quota=15000)
    shown = lab.landbridge("exec", made, "cat", f"/sys/fs/cgroup/{quota}").out.split()
    assert shown[0] == "15000"


def test_the_size_of_an_execs_terminal(api: docker.APIClient, lab: Lab) -> None:
    made = api.create_container("busybox", ["sleep", "100"])["Id"]
    api.start(made)
    url = f"{api.base_url}/v1.44/containers/{made}/exec"
    words = ["sh", "-c", "sleep .2; stty size"]  # the size comes with the terminal, a moment before the program
    body = {"Cmd": words, "Tty": True, "AttachStdout": True, "ConsoleSize": [57, 123]}
    identity = api.post(url, json=body).json()["Id"]
    assert api.exec_start(identity, tty=True).strip() == b"57 123"


def test_parts_of_a_volume(api: docker.APIClient, ours: Client) -> None:
    ours.ok("volume", "create", "parts")
    ours.ok("run", "--rm", "-v", "parts:/v", "busybox", "sh", "-c",
            "mkdir /v/bin /v/hack; ln -s / /v/hack/root; ln -s root /v/hack/again")  # fmt: skip
    mount = "type=volume,src=parts,volume-subpath={},dst={}"
    assert ours.ok("run", "--rm", "--mount", mount.format("bin", "/bin"), "busybox", "ls", "/bin/busybox")
    for part in ("hack/root", "hack/again"):
        text = ours.fails("run", "--rm", "--mount", mount.format(part, "/x"), "busybox", "ls", "/x")
        assert "path concatenation escapes the base directory" in text


def test_a_file_is_no_directory(api: docker.APIClient) -> None:
    made = api.create_container("busybox", ["true"])["Id"]
    with pytest.raises(APIError, match="not a directory"):
        api.get_archive(made, "/etc/passwd/")
    chunks, _ = api.get_archive(made, "/etc/passwd")
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        assert archive.getnames() == ["passwd"]


def test_memory_is_shareable_for_an_old_client(lab: Lab) -> None:
    old = docker.APIClient(base_url=f"unix://{lab.socket}", version="1.39")
    try:
        mount = Mount("/x", "parts", type="volume")
        made = old.create_container("busybox", ["true"], host_config=old.create_host_config(mounts=[mount]))["Id"]
        assert old.inspect_container(made)["HostConfig"]["IpcMode"] == "shareable"
    finally:
        old.close()
        clean(lab)


def test_the_platform_of_an_import(api: docker.APIClient) -> None:
    url = f"{api.base_url}/v1.44/images/create?fromSrc=-&repo=elsewhere&tag=1&platform="
    empty = bytes(1024)
    assert api.post(f"{url}macos", data=empty).json()["message"] == "operating system is not supported"
    assert "unknown operating system" in api.post(f"{url}nintendo64", data=empty).json()["message"]
    assert api.post(f"{url}linux/sparc64", data=empty).status_code == 200
    try:
        assert api.inspect_image("elsewhere:1")["Architecture"] == "sparc64"
    finally:
        api.remove_image("elsewhere:1")


def test_the_working_directory_is_there_before_the_first_start(api: docker.APIClient) -> None:
    made = api.create_container("busybox", ["true"], working_dir="/home/deep/down")["Id"]
    chunks, found = api.get_archive(made, "/home/deep/down")
    assert b"".join(chunks) and found["name"] == "down"
