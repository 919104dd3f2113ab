"""docker-py's objects on the engine, as scripts and test-suites use them: networks, volumes, images, limits, errors.

Streams, copying and statistics are in test_api_clients.py.
"""

import datetime
import io
import json
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import docker
import pytest
from clients import clean
from docker.errors import APIError, BuildError, ContainerError, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.types import (
    EndpointConfig,
    Healthcheck,
    IPAMConfig,
    IPAMPool,
    LogConfig,
    Mount,
    Ulimit,
)
from lab import HOST4, Lab


@pytest.fixture
def api(lab: Lab) -> Iterator[docker.DockerClient]:
    """docker-py, its version negotiated."""
    client = docker.DockerClient(base_url=f"unix://{lab.socket}", version="auto", timeout=60)
    yield client
    client.close()
    clean(lab)


def sleeper(api: docker.DockerClient, **options: Any) -> Container:
    return api.containers.run("busybox", "sleep 1000", detach=True, **options)


def test_the_engine_itself(api: docker.DockerClient) -> None:
    assert api.ping() is True
    version = api.version()
    assert version["ApiVersion"] == "1.51" and version["Os"] == "linux" and version["Components"]
    info = api.info()
    assert info["OSType"] == "linux" and info["Swarm"]["LocalNodeState"] == "inactive" and info["NCPU"] > 0
    assert set(api.df()) >= {"Images", "Containers", "Volumes", "BuildCache", "LayersSize"}


@pytest.mark.parametrize("version", ["1.24", "1.30", "1.40", "1.41", "1.44", "1.47", "1.51"])
def test_every_version_of_the_api(lab: Lab, version: str) -> None:
    client = docker.DockerClient(base_url=f"unix://{lab.socket}", version=version)
    try:
        assert client.containers.run("busybox", "echo hello", remove=True) == b"hello\n"
        assert [one.name for one in client.networks.list(names=["bridge"])] == ["bridge"]
        assert client.images.get("busybox").tags == ["busybox:latest"]
    finally:
        client.close()


def test_run_in_the_foreground(api: docker.DockerClient) -> None:
    assert api.containers.run("busybox", ["echo", "a b"], remove=True) == b"a b\n"
    assert list(api.containers.run("busybox", "sh -c 'echo 1; echo 2'", stream=True, remove=True)) == [b"1\n", b"2\n"]
    with pytest.raises(ContainerError) as failed:
        api.containers.run("busybox", "sh -c 'echo why >&2; exit 3'", remove=True)
    assert failed.value.exit_status == 3 and failed.value.stderr == b"why\n"
    with pytest.raises(APIError) as refused:
        api.containers.run("busybox", "nosuchprogram", remove=True)
    assert "executable file not found" in refused.value.explanation


def test_what_a_container_is_given(api: docker.DockerClient, tmp_path: Path) -> None:
    made = sleeper(
        api, name="given", hostname="box", user="nobody", working_dir="/tmp", environment={"A": "1", "B": "two words"},
        labels={"tier": "web"}, mem_limit="64m", nano_cpus=500_000_000, pids_limit=50, shm_size="8m",
        tmpfs={"/scratch": "size=1m"},
        ulimits=[Ulimit(name="nofile", soft=100, hard=200)], cap_drop=["ALL"], cap_add=["NET_RAW"], read_only=True,
        sysctls={"net.ipv4.ip_unprivileged_port_start": "0"}, extra_hosts={"there": "10.9.8.7"}, dns=["10.9.8.8"],
        restart_policy={"Name": "on-failure", "MaximumRetryCount": 2}, init=True, stop_signal="SIGKILL",
        log_config=LogConfig(type="json-file", config={"max-size": "1m"}),
        volumes={str(tmp_path): {"bind": "/host", "mode": "ro"}},
        healthcheck=Healthcheck(test=["CMD", "true"], interval=1_000_000_000),
    )  # fmt: skip

    def said(script: str) -> str:
        code, output = made.exec_run(["sh", "-c", script])
        assert code == 0, output
        return output.decode().strip()

    assert said("hostname; id -un; pwd; echo $A-$B").split("\n") == ["box", "nobody", "/tmp", "1-two words"]
    assert said("ulimit -n; ulimit -Hn").split() == ["100", "200"]
    assert "10.9.8.7\tthere" in said("cat /etc/hosts") and "10.9.8.8" in said("cat /etc/resolv.conf")
    assert said("cat /proc/sys/net/ipv4/ip_unprivileged_port_start") == "0"
    assert made.exec_run("touch /x").exit_code == 1 and made.exec_run("touch /host/x").exit_code == 1
    made.reload()
    host = made.attrs["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (64 << 20, 500_000_000, 50)
    assert host["ShmSize"] == 8 << 20
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    assert made.labels == {"tier": "web"} and made.image.tags == ["busybox:latest"] and made.status == "running"


def test_the_life_of_a_container(api: docker.DockerClient) -> None:
    made = api.containers.create("busybox", "sleep 1000", name="life", stop_signal="SIGKILL")
    assert made.status == "created"
    made.start()
    made.pause()
    made.reload()
    assert made.status == "paused"
    made.unpause()
    made.rename("other")
    assert api.containers.get("other").id == made.id
    made.update(cpu_shares=512)
    made.restart(timeout=0)
    made.kill()
    assert made.wait()["StatusCode"] == 137
    made.start()
    made.stop(timeout=0)
    made.stop()  # a second time is no error
    with pytest.raises(APIError) as still:
        made.start()
        made.remove()
    assert still.value.status_code == 409
    made.remove(force=True)
    with pytest.raises(NotFound):
        api.containers.get("life")


def test_lists_and_filters(api: docker.DockerClient) -> None:
    one = sleeper(api, name="one", labels={"kind": "a"})
    api.containers.create("busybox", "true", name="two", labels={"kind": "b"})
    assert [each.name for each in api.containers.list()] == ["one"]
    assert {each.name for each in api.containers.list(all=True)} == {"one", "two"}
    assert [each.name for each in api.containers.list(all=True, filters={"label": "kind=b"})] == ["two"]
    assert [each.name for each in api.containers.list(filters={"label": ["kind", "kind=a"]})] == ["one"]
    assert [each.name for each in api.containers.list(all=True, filters={"status": "created"})] == ["two"]
    assert [each.name for each in api.containers.list(all=True, since=one.id)] == ["two"]
    assert len(api.containers.list(all=True, limit=1)) == 1
    assert api.containers.prune(filters={"label": ["kind=b"]})["ContainersDeleted"] is not None
    assert [each.name for each in api.containers.list(all=True)] == ["one"]


def test_networks(api: docker.DockerClient) -> None:
    pool = IPAMPool(subnet="10.91.1.0/24", gateway="10.91.1.254", iprange="10.91.1.128/25")
    made = api.networks.create("py", ipam=IPAMConfig(pool_configs=[pool]), labels={"a": "b"}, check_duplicate=True)
    assert made.attrs["Name"] == "py" and made.attrs["IPAM"]["Config"][0]["Gateway"] == "10.91.1.254"
    assert [one.name for one in api.networks.list(filters={"label": "a=b"})] == ["py"]
    first = sleeper(api, name="first", network="py")
    second = sleeper(api, name="second")
    made.connect(second, aliases=["nick"], ipv4_address="10.91.1.7")
    assert b"10.91.1.7" in first.exec_run("nslookup nick").output
    made.reload()
    assert {one.name for one in made.containers} == {"first", "second"}
    with pytest.raises(APIError) as used:
        made.remove()
    assert used.value.status_code == 403 and "active endpoints" in used.value.explanation
    made.disconnect(second)
    made.disconnect("first", force=True)
    made.remove()
    with pytest.raises(NotFound):
        api.networks.get("py")
    with pytest.raises(APIError) as twice:
        api.networks.create("bridge")
    assert twice.value.status_code == 403


def test_the_low_level_networking(api: docker.DockerClient) -> None:
    low = api.api
    low.create_network("low", ipam=IPAMConfig(pool_configs=[IPAMPool(subnet="10.91.2.0/24")]))
    networking = low.create_networking_config(
        {"low": low.create_endpoint_config(ipv4_address="10.91.2.9", aliases=["deep"])}
    )
    host = low.create_host_config(port_bindings={80: ("127.0.0.1", 8181), "53/udp": None}, network_mode="low")
    made = low.create_container(
        "httpd", ports=[80, (53, "udp")], host_config=host, networking_config=networking, name="low"
    )
    low.start(made)
    shown = low.inspect_container(made)
    assert shown["NetworkSettings"]["Networks"]["low"]["IPAddress"] == "10.91.2.9"
    assert low.port(made, 80) == [{"HostIp": "127.0.0.1", "HostPort": "8181"}]
    assert low.port(made, "53/udp")[0]["HostPort"].isdigit()
    assert low.inspect_network("low")["Containers"][made["Id"]]["IPv4Address"] == "10.91.2.9/24"
    assert EndpointConfig("1.44", aliases=["x"])["Aliases"] == ["x"]


def test_published_ports(api: docker.DockerClient, lab: Lab) -> None:
    ports = {"80/tcp": None, "81/tcp": ("127.0.0.1", 8282), "82/udp": [8283, 8284]}
    made = api.containers.run("httpd", detach=True, ports=ports)
    made.reload()
    assert {entry["HostIp"] for entry in made.ports["80/tcp"]} == {"0.0.0.0", "::"}
    assert made.ports["81/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": "8282"}]
    assert {entry["HostPort"] for entry in made.ports["82/udp"]} == {"8283", "8284"}
    port = made.ports["80/tcp"][0]["HostPort"]
    assert "It works!" in lab.outside("curl", "-s", "--retry", "20", "--retry-connrefused", f"{HOST4}:{port}").out


def test_volumes_and_mounts(api: docker.DockerClient) -> None:
    made = api.volumes.create(name="vol", labels={"a": "b"})
    assert made.name == "vol" and made.attrs["Labels"] == {"a": "b"} and made.attrs["Driver"] == "local"
    bound = {"vol": {"bind": "/data", "mode": "rw"}}
    api.containers.run("busybox", "sh -c 'echo kept > /data/f'", volumes=bound, remove=True)
    mounts = [
        Mount("/data", "vol", read_only=True), Mount("/t", None, type="tmpfs", tmpfs_size=1 << 20),
        Mount("/etc/note", "/etc/hostname", type="bind", read_only=True),
    ]  # fmt: skip
    script = "cat /data/f; mount | grep -c ' /t '; test -s /etc/note && echo note"
    said = api.containers.run("busybox", ["sh", "-c", script], mounts=mounts, remove=True)
    assert said == b"kept\n1\nnote\n"
    holder = sleeper(api, volumes=["vol:/data"])
    with pytest.raises(APIError) as used:
        made.remove()
    assert used.value.status_code == 409 and holder.id in used.value.explanation
    holder.remove(force=True)
    assert [one.name for one in api.volumes.list(filters={"label": "a"})] == ["vol"]
    made.remove()
    with pytest.raises(NotFound):
        api.volumes.get("vol")
    assert set(api.volumes.prune()) == {"VolumesDeleted", "SpaceReclaimed"}


def test_images(api: docker.DockerClient) -> None:
    image = api.images.get("busybox")
    assert image.id.startswith("sha256:") and image.short_id and image.history()
    assert image.tag("py/copy", tag="1")
    assert "py/copy:1" in api.images.get("py/copy:1").tags
    archive = b"".join(api.images.get("py/copy:1").save(named="py/copy:1"))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert "manifest.json" in tar.getnames()
    api.images.remove("py/copy:1")
    assert [one.tags for one in api.images.load(archive)] and "py/copy:1" in api.images.get("py/copy:1").tags
    assert api.images.list(name="py/copy") and api.images.list(filters={"reference": "py/*"})
    api.images.remove("py/copy:1")
    with pytest.raises(ImageNotFound):
        api.images.get("py/copy:1")
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("empty"))
    answer = api.api.import_image_from_data(layer.getvalue(), repository="py/made", tag="1", changes=["CMD ls"])
    assert "sha256:" in json.loads(answer)["status"]
    assert api.images.get("py/made:1").attrs["Config"]["Cmd"] == ["/bin/sh", "-c", "ls"]
    api.images.remove("py/made:1")


def test_a_build_is_refused_in_clear_words(api: docker.DockerClient) -> None:
    with pytest.raises((APIError, BuildError), match="landbridge does not build images"):
        api.images.build(fileobj=io.BytesIO(b"FROM busybox\n"))


def test_commit_diff_and_put_archive(api: docker.DockerClient) -> None:
    made = sleeper(api)
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        entry = tarfile.TarInfo("note")
        entry.size = 4
        tar.addfile(entry, io.BytesIO(b"text"))
    assert made.put_archive("/root", data.getvalue())
    pieces, stat = made.get_archive("/root/note")
    assert stat["name"] == "note" and stat["size"] == 4 and b"".join(pieces)
    assert {"Path": "/root/note", "Kind": 1} in made.diff()
    image = made.commit("py/kept", tag="1", message="why", author="me", changes=["ENV X=y"])
    assert api.containers.run(image.id, "sh -c 'cat /root/note; echo $X'", remove=True) == b"texty\n"
    with pytest.raises(NotFound):
        made.get_archive("/nothing")
    made.remove(force=True)
    api.images.remove("py/kept:1")


@pytest.mark.parametrize(("user", "owner"), [("", "1005 1006"), ("7:8", "7 8")])
def test_whose_the_files_of_an_archive_are(api: docker.DockerClient, user: str, owner: str) -> None:
    """The container's user's where that is asked for and there is one, else who the archive says: compose's secrets."""
    made = api.containers.create("busybox", ["stat", "-c", "%u %g", "/tmp/given"], user=user)
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        entry = tarfile.TarInfo("given")
        entry.uid, entry.gid = 1005, 1006
        archive.addfile(entry)
    url = api.api._url("/containers/{0}/archive", made.id)
    answer = api.api._put(url, params={"path": "/tmp", "copyUIDGID": "true"}, data=data.getvalue())
    assert answer.status_code == 200
    made.start()
    made.wait()
    assert made.logs().decode().strip() == owner
    made.remove()


def test_events_between_two_moments(api: docker.DockerClient) -> None:
    since = datetime.datetime.now(datetime.UTC).timestamp()
    made = sleeper(api, name="told")
    made.remove(force=True)
    until = datetime.datetime.now(datetime.UTC).timestamp() + 0.1
    told = api.events(since=since, until=until, filters={"container": "told"}, decode=True)
    actions = [event["Action"] for event in told]
    assert [action for action in actions if action != "kill"] == ["create", "start", "die", "destroy"]


def test_attach_socket_and_interactive_exec(api: docker.DockerClient) -> None:
    made = api.containers.create("busybox", "cat", stdin_open=True)
    stream = made.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    made.start()
    stream._sock.sendall(b"typed\n")
    seen = b""
    while len(seen) < 8 + 6:
        seen += stream._sock.recv(100)
    assert seen == b"\x01\0\0\0\0\0\0\x06typed\n"
    stream._sock.close()
    stream.close()
    assert made.wait()["StatusCode"] == 0  # the end of the only input is the program's, as with Docker
    other = sleeper(api)
    shell = other.exec_run("sh", stdin=True, tty=True, socket=True).output
    shell._sock.sendall(b"echo $((6*7)); exit\n")
    seen = b""
    while piece := shell._sock.recv(1000):
        seen += piece
    assert b"\n42" in seen
    shell._sock.close()
    shell.close()
    code, (out, err) = other.exec_run(["sh", "-c", "echo o; echo e >&2"], demux=True)
    assert (code, out, err) == (0, b"o\n", b"e\n")


def test_an_old_client_sees_what_an_image_was_committed_from(lab: Lab, api: docker.DockerClient) -> None:
    made = sleeper(api, environment={"A": "b"})
    image = made.commit("py/kept", changes=["CMD true"]).id
    try:
        for version, expected in (("1.44", True), ("1.45", False)):
            client = docker.APIClient(base_url=f"unix://{lab.socket}", version=version)
            shown = client.inspect_image(image)
            client.close()
            assert ("Container" in shown, "ContainerConfig" in shown) == (expected, expected)
            if expected:
                assert shown["Container"] == made.id and shown["ContainerConfig"]["Cmd"] == ["sleep", "1000"]
                assert shown["ContainerConfig"]["Image"] == "busybox" and "A=b" in shown["ContainerConfig"]["Env"]
    finally:
        api.images.remove(image, force=True)


def test_a_commit_of_what_ends_meanwhile(api: docker.DockerClient) -> None:
    for number in range(10):
        made = api.containers.run("busybox", f"usleep {number * 700}", detach=True)
        image = made.commit()
        assert api.containers.get(made.id).status != "paused"
        api.images.remove(image.id)


def test_dockers_names_of_its_runtime_mean_ours(api: docker.DockerClient) -> None:
    assert {"runc", api.info()["DefaultRuntime"]} <= set(api.info()["Runtimes"])
    for name in ("runc", "io.containerd.runc.v2"):
        made = sleeper(api, runtime=name)
        assert made.attrs["HostConfig"]["Runtime"] == name
    low = api.api.create_container("busybox", "true", runtime="runc")
    assert api.api.inspect_container(low)["HostConfig"]["Runtime"] == "runc"
    with pytest.raises(APIError, match="unknown or invalid runtime name: nosuch"):
        sleeper(api, runtime="nosuch")


def test_a_terminals_size_may_come_before_its_program(api: docker.DockerClient) -> None:
    made = sleeper(api)
    program = ["sh", "-c", "until stty size 2>/dev/null | grep -q '20 77'; do usleep 10000; done; echo seen"]
    one = api.api.exec_create(made.id, program, tty=True)["Id"]
    with ThreadPoolExecutor(1) as pool:
        resized = pool.submit(api.api.exec_resize, one, 20, 77)
        wait({resized}, timeout=0.2)  # it hangs, as it should: nothing runs yet
        assert api.api.exec_start(one, tty=True).strip() == b"seen"
        resized.result()
    with pytest.raises(NotFound, match="process does not exist"):
        api.api.exec_resize(one, 20, 78)


def test_errors_have_dockers_status(api: docker.DockerClient) -> None:
    for status, call in (
        (404, lambda: api.api.inspect_container("nobody")),
        (404, lambda: api.api.start("nobody")),
        (404, lambda: api.api.inspect_image("nobody")),
        (404, lambda: api.api.inspect_network("nobody")),
        (404, lambda: api.api.inspect_volume("nobody")),
        (400, lambda: api.api.create_container("busybox", "true", name="bad name")),
        (400, lambda: api.containers.list(filters={"nosuch": "x"})),
        (503, api.api.inspect_swarm),
    ):
        with pytest.raises(APIError) as refused:
            call()
        assert refused.value.status_code == status, refused.value
