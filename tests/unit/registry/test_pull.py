"""Pulling from a registry that behaves: names, platforms, digests, what is said and what is left."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest
from registry_rig import Rig

from landbridge.errors import Internal, Invalid, NotFound
from landbridge.registry.registries import Credentials
from registry_kit import LIST, OCI_MANIFEST, Fault, RegistryServer, digest

ONE, TWO = b"first layer", b"second layer"


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def plain_image(server: RegistryServer, tag: str = "v1", *layers: bytes, **more: object) -> dict[str, object]:
    """An image whose layers are not compressed: the store in memory takes bytes as they are."""
    plain = layers or (ONE, TWO)
    return server.image("team/app", tag, plain, packed=plain, **more)  # type: ignore[arg-type]


def test_a_tag_becomes_an_image_and_is_told_as_docker_tells_it() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            made = plain_image(server)
            with Rig() as rig:
                lines = await rig.pull(f"{server.name}/team/app", "v1")
                first, second = digest(ONE)[7:19], digest(TWO)[7:19]
                assert lines[0] == "v1: Pulling from team/app"
                assert lines[1:3] == [f"{first}: Pulling fs layer", f"{second}: Pulling fs layer"]
                assert lines[-2:] == [
                    f"Digest: {made['digest']}", f"Status: Downloaded newer image for {server.name}/team/app:v1",
                ]  # fmt: skip
                for layer in (first, second):
                    steps = [line.partition(": ")[2] for line in lines if line.startswith(layer)]
                    assert steps == ["Pulling fs layer", "Verifying Checksum", "Download complete", "Pull complete"]
                view = rig.engine.images.inspect(f"{server.name}/team/app:v1")
                assert view.digests == (f"{server.name}/team/app@{made['digest']}",)
                assert view.image.diff_ids == (digest(ONE), digest(TWO))
                assert view.last_tagged == ""
                assert rig.kept() == [ONE, TWO]
                assert rig.engine.events == [("pull", f"{server.name}/team/app:v1", f"{server.name}/team/app")]

    run(work())


def test_the_second_pull_asks_for_the_digest_only() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            plain_image(server)
            with Rig() as rig:
                await rig.pull(f"{server.name}/team/app:v1")
                server.seen.clear()
                lines = await rig.pull(f"{server.name}/team/app:v1")
                assert lines[-1] == f"Status: Image is up to date for {server.name}/team/app:v1"
                assert server.requests() == ["GET /v2/ 200", "HEAD /v2/team/app/manifests/v1 200"]

    run(work())


def test_layers_that_are_here_are_not_fetched_again() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            plain_image(server, "v1", ONE)
            plain_image(server, "v2", ONE, TWO)
            with Rig() as rig:
                await rig.pull(f"{server.name}/team/app:v1")
                server.seen.clear()
                lines = await rig.pull(f"{server.name}/team/app:v2")
                assert f"{digest(ONE)[7:19]}: Already exists" in lines
                assert not server.requests(digest(ONE))
                assert rig.kept() == [ONE, TWO]

    run(work())


def test_the_same_layer_twice_in_an_image_comes_once() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            plain_image(server, "v1", ONE, TWO, ONE)
            with Rig() as rig:
                await rig.pull(f"{server.name}/team/app:v1")
                assert len(server.requests(f"GET .*{digest(ONE)}")) == 1
                assert len(rig.engine.images.inspect(f"{server.name}/team/app:v1").image.diff_ids) == 3

    run(work())


def test_two_pulls_of_one_layer_share_its_download() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            slow = b"slow layer"
            plain_image(server, "v1", slow, ONE)
            plain_image(server, "v2", slow, TWO)
            with Rig() as rig:
                both = [
                    asyncio.ensure_future(rig.pull(f"{server.name}/team/app:{tag}")) for tag in ("v1", "v2")
                ]
                await server.until(f"GET .*({digest(ONE)}|{digest(TWO)})", 2)
                rig.engine.layers.gate.set()
                for lines in await asyncio.gather(*both):
                    assert f"{digest(slow)[7:19]}: Pull complete" in lines
                assert len(server.requests(f"GET .*{digest(slow)}")) == 1
                assert rig.kept() == [ONE, TWO, slow]

    run(work())


def test_by_digest_the_name_is_the_digest() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            made = plain_image(server)
            with Rig() as rig:
                name = f"{server.name}/team/app@{made['digest']}"
                assert (await rig.pull(name))[0] == f"{name}: Pulling from team/app"
                assert rig.engine.images.inspect(name).tags == ()
                again = await rig.pull(f"{server.name}/team/app", str(made["digest"]))
                assert again[-1] == f"Status: Image is up to date for {name}"
                with pytest.raises(NotFound) as caught:
                    await rig.pull(f"{server.name}/team/app", "sha256:" + "a" * 64)
                assert caught.value.message == (
                    f"manifest for {server.name}/team/app@sha256:{'a' * 64} not found:"
                    " manifest unknown: manifest unknown"
                )

    run(work())


def listed(server: RegistryServer, tag: str, *architectures: str) -> None:
    entries = []
    for architecture in architectures:
        kind, _, variant = architecture.partition("/")
        layer = f"layer for {architecture}".encode()
        entry = server.image("team/app", "", [layer], packed=[layer], architecture=kind)
        entries.append({**entry, "platform": {"os": "linux", "architecture": kind, "variant": variant}})
    server.manifest("team/app", tag, {"schemaVersion": 2, "mediaType": LIST, "manifests": entries}, LIST)


def test_of_a_list_the_platform_is_taken() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            listed(server, "all", "s390x", "amd64", "arm64/v8", "arm/v7", "arm/v6")
            with Rig() as rig:
                await rig.pull(f"{server.name}/team/app:all")
                assert rig.kept() == [b"layer for amd64"]
                await rig.pull(f"{server.name}/team/app:all", platform="linux/arm64")
                image = rig.engine.images.inspect(f"{server.name}/team/app:all").image
                assert image.diff_ids == (digest(b"layer for arm64/v8"),)
                await rig.pull(f"{server.name}/team/app:all", platform="linux/arm/v6")
                image = rig.engine.images.inspect(f"{server.name}/team/app:all").image
                assert image.diff_ids == (digest(b"layer for arm/v6"),)

    run(work())


def test_a_list_without_the_platform_is_refused_by_name() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            listed(server, "few", "s390x")
            with Rig() as rig:
                for platform, shown in (("", "linux/amd64"), ("linux/arm64/v8", "linux/arm64/v8"), ("arm64", "linux/arm64")):
                    with pytest.raises(Internal) as caught:
                        await rig.pull(f"{server.name}/team/app:few", platform=platform)
                    assert caught.value.message == f"no matching manifest for {shown} in the manifest list entries"
                assert rig.clean()

    run(work())


def test_an_image_of_another_platform_than_asked_for_is_refused_before_its_layers() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            plain_image(server)
            with Rig() as rig:
                with pytest.raises(NotFound) as caught:
                    await rig.pull(f"{server.name}/team/app:v1", platform="linux/arm64/v8")
                assert caught.value.message == (
                    f"image with reference {server.name}/team/app:v1 was found but does not match the specified"
                    " platform: wanted linux/arm64/v8, actual: linux/amd64"
                )
                assert not server.requests(digest(ONE))
                assert rig.clean()
                # Without a platform it is what the name means, whatever it is for.
                plain_image(server, "other", TWO, architecture="s390x")
                await rig.pull(f"{server.name}/team/app:other")

    run(work())


def test_every_tag_page_by_page() -> None:
    async def work() -> None:
        async with RegistryServer(page=2) as server:
            for number in range(5):
                plain_image(server, f"v{number}", b"layer %d" % number)
            with Rig() as rig:
                lines = await rig.pull(f"{server.name}/team/app")
                assert [line for line in lines if "Pulling from" in line] == [
                    f"v{number}: Pulling from team/app" for number in range(5)
                ]
                assert lines[-1] == f"Status: Downloaded newer image for {server.name}/team/app"
                assert len(rig.engine.images.list()) == 5
                with pytest.raises(NotFound) as caught:
                    await rig.pull(f"{server.name}/team/none")
                assert caught.value.message == (
                    f"repository {server.name}/team/none not found: name unknown:"
                    " repository name not known to registry"
                )

    run(work())


def test_a_moved_tag_leaves_the_old_image_its_digest() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            old = plain_image(server, "v1", ONE)
            with Rig() as rig:
                await rig.pull(f"{server.name}/team/app:v1")
                plain_image(server, "v1", TWO)
                lines = await rig.pull(f"{server.name}/team/app:v1")
                assert lines[-1] == f"Status: Downloaded newer image for {server.name}/team/app:v1"
                kept = rig.engine.images.inspect(f"{server.name}/team/app@{old['digest']}")
                assert kept.tags == ()

    run(work())


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"config": {"mediaType": "application/vnd.cncf.helm.config.v1+json"}},
         "unsupported media type application/vnd.cncf.helm.config.v1+json"),
        ({"config": {"mediaType": "application/vnd.docker.plugin.v1+json"}},
         'Encountered remote "application/vnd.docker.plugin.v1+json"(plugin) when fetching'),
        ({"layer": {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "urls": ["http://x/y"]}},
         "is a foreign layer, kept outside of the registry"),
        ({"layer": {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip+encrypted"}},
         "unsupported media type application/vnd.oci.image.layer.v1.tar+gzip+encrypted"),
        ({"schemaVersion": 1}, "schema 1 are not supported"),
        ({"layers": []}, "layers from manifest don't match image configuration"),
    ],
)  # fmt: skip
def test_what_is_no_image_for_us_is_refused_before_a_layer_is_fetched(document: dict[str, object], sentence: str) -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            config = server.blob("team/app", b'{"os":"linux","rootfs":{"type":"layers","diff_ids":["%s"]}}' % digest(ONE).encode())
            server.blob("team/app", ONE)
            manifest = {
                "schemaVersion": document.get("schemaVersion", 2),
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 0}
                | {"size": len(server.blobs["team/app"][config])} | document.get("config", {}),  # type: ignore[operator]
                "layers": document.get("layers", [
                    {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(ONE), "size": len(ONE)}
                    | document.get("layer", {})  # type: ignore[operator]
                ]),
            }  # fmt: skip
            server.manifest("team/app", "v1", manifest, OCI_MANIFEST)
            with Rig() as rig:
                with pytest.raises(Internal) as caught:
                    await rig.pull(f"{server.name}/team/app:v1")
                assert sentence in caught.value.message
                assert not server.requests(f"GET .*{digest(ONE)}")
                assert rig.clean()

    run(work())


def test_an_image_for_another_system_is_refused() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            plain_image(server, os="windows")
            with Rig() as rig:
                with pytest.raises(Internal) as caught:
                    await rig.pull(f"{server.name}/team/app:v1")
                assert caught.value.message == (
                    'cannot download image with operating system "windows" when requesting "linux"'
                )

    run(work())


@pytest.mark.parametrize("name", ["team/UPPER", "a//b", "sha256"])
def test_names_that_cannot_be(name: str) -> None:
    async def work() -> None:
        with Rig() as rig, pytest.raises(Invalid):
            await rig.pull(name, "v1")

    run(work())


def test_a_removed_image_comes_back() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            plain_image(server)
            with Rig() as rig:
                await rig.pull(f"{server.name}/team/app:v1")
                await rig.engine.images.remove(f"{server.name}/team/app:v1")
                assert rig.kept() == []
                rig.restart()
                await rig.pull(f"{server.name}/team/app:v1")
                assert rig.kept() == [ONE, TWO]

    run(work())


def test_a_public_repository_needs_no_name_and_a_private_one_says_denied() -> None:
    async def work() -> None:
        async with RegistryServer(auth="token", users={"alice": "secret"}) as server:
            server.image("public/app", "v1", [ONE], packed=[ONE])
            server.image("team/app", "v1", [TWO], packed=[TWO])
            alice = Credentials("alice", "secret")
            with Rig() as rig:
                await rig.pull(f"{server.name}/public/app:v1")
                with pytest.raises(NotFound) as caught:
                    await rig.pull(f"{server.name}/team/app:v1")
                assert caught.value.message == (
                    f"pull access denied for {server.name}/team/app, repository does not exist or may require"
                    " 'docker login': denied: requested access to the resource is denied"
                )
                await rig.pull(f"{server.name}/team/app:v1", as_=alice)
                await rig.pull(f"{server.name}/team/app:v1", as_=Credentials(identity_token=server.refresh))
                with pytest.raises(Internal) as refused:
                    await rig.pull(f"{server.name}/team/app:v1", as_=Credentials("alice", "wrong"))
                assert refused.value.message == (
                    f'Head "http://{server.name}/v2/team/app/manifests/v1": unauthorized:'
                    " incorrect username or password"
                )
                asked = server.of("GET /token")[-2]
                assert asked.query == {
                    "service": "lab", "scope": "repository:team/app:pull", "account": "alice",
                }  # fmt: skip

    run(work())


def test_a_token_is_asked_for_once_per_pull() -> None:
    async def work() -> None:
        async with RegistryServer(auth="token", users={"alice": "secret"}) as server:
            plain_image(server)
            with Rig() as rig:
                await rig.pull(f"{server.name}/team/app:v1", as_=Credentials("alice", "secret"))
                assert len(server.requests("/token")) == 1

    run(work())


def test_basic_passwords() -> None:
    async def work() -> None:
        async with RegistryServer(auth="basic", users={"alice": "sécret"}) as server:
            plain_image(server)
            with Rig() as rig:
                with pytest.raises(Internal) as caught:
                    await rig.pull(f"{server.name}/team/app:v1")
                assert caught.value.message == (
                    f'Head "http://{server.name}/v2/team/app/manifests/v1": no basic auth credentials'
                )
                with pytest.raises(Internal) as wrong:
                    await rig.pull(f"{server.name}/team/app:v1", as_=Credentials("alice", "no"))
                assert wrong.value.message == "unauthorized: authentication required"
                await rig.pull(f"{server.name}/team/app:v1", as_=Credentials("alice", "sécret"))

    run(work())


def test_secrets_never_go_to_where_a_redirect_points() -> None:
    async def work() -> None:
        async with RegistryServer() as store, RegistryServer(auth="basic", users={"alice": "secret"}) as server:
            made = plain_image(server)
            store.image("team/app", "v1", [ONE, TWO], packed=[ONE, TWO])
            where = f"http://localhost:{store.port}/v2/team/app/blobs/{digest(ONE)}"
            server.faults.append(Fault(where=f"GET .*{digest(ONE)}", do="status", status=307, headers={"Location": where}))
            with Rig() as rig:
                await rig.pull(f"{server.name}/team/app:v1", as_=Credentials("alice", "secret"))
                (seen,) = store.of(digest(ONE))
                assert "authorization" not in seen.headers
                assert made["digest"] in str(rig.engine.images.inspect(f"{server.name}/team/app:v1").digests)

    run(work())


def test_a_mirror_stands_before_docker_hub_and_sees_no_password() -> None:
    async def work() -> None:
        async with RegistryServer() as mirror:
            mirror.image("library/app", "latest", [ONE], packed=[ONE])
            with Rig(registry_mirrors=(f"http://{mirror.name}/",)) as rig:
                lines = await rig.pull("app", "latest", as_=Credentials("alice", "secret"))
                assert lines[0] == "latest: Pulling from library/app"
                assert lines[-1] == "Status: Downloaded newer image for app:latest"
                assert not any("authorization" in one.headers for one in mirror.seen)
                assert rig.engine.images.inspect("app").tags == ("app:latest",)

    run(work())


def test_a_mirror_that_wants_a_password_is_passed_over() -> None:
    async def work() -> None:
        async with RegistryServer(auth="basic", users={"alice": "secret"}) as closed, RegistryServer() as mirror:
            for server in (closed, mirror):
                server.image("library/app", "latest", [ONE], packed=[ONE])
            with Rig(registry_mirrors=(f"http://{closed.name}", f"http://{mirror.name}")) as rig:
                await rig.pull("app", "latest", as_=Credentials("alice", "secret"))
                assert closed.requests() == ["GET /v2/ 401"]
                assert not any("authorization" in one.headers for one in closed.seen)

    run(work())


def test_a_token_that_is_not_taken_is_replaced_once() -> None:
    async def work() -> None:
        async with RegistryServer(auth="token", users={"alice": "secret"}) as server:
            plain_image(server, "v1", ONE)
            challenge = f'Bearer realm="http://{server.name}/token",service="lab",error="invalid_token"'
            refusal = {"do": "status", "status": 401, "headers": {"WWW-Authenticate": challenge}}
            blob = f"GET .*{digest(ONE)}"
            server.faults.append(Fault(where=blob, **refusal))  # type: ignore[arg-type]
            with Rig() as rig:
                await rig.pull(f"{server.name}/team/app:v1", as_=Credentials("alice", "secret"))
                assert server.requests(blob) == [f"GET /v2/team/app/blobs/{digest(ONE)} {status}" for status in (401, 200)]
                assert len(server.requests("/token")) == 2
                server.faults.append(Fault(where="manifests/", times=99, **refusal))  # type: ignore[arg-type]
                with pytest.raises(Internal) as caught:
                    await rig.pull(f"{server.name}/team/app:v2", as_=Credentials("alice", "secret"))
                assert caught.value.message == "unauthorized: authentication required"

    run(work())


def test_layers_in_use_by_a_pull_stay_when_their_image_goes() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            slow = b"slow layer"
            plain_image(server, "v1", ONE)
            plain_image(server, "v2", ONE, slow)
            with Rig() as rig:
                await rig.pull(f"{server.name}/team/app:v1")
                pull = asyncio.ensure_future(rig.pull(f"{server.name}/team/app:v2"))
                await asyncio.to_thread(rig.engine.layers.waiting.wait)
                await rig.engine.images.remove(f"{server.name}/team/app:v1")
                rig.engine.layers.gate.set()
                await pull
                assert rig.kept() == [ONE, slow]

    run(work())


def test_many_layers_come_a_few_at_a_time() -> None:
    async def work() -> None:
        layers = [b"slow %d" % number for number in range(8)]
        async with RegistryServer() as server:
            server.image("team/app", "v1", layers, packed=layers)
            with Rig() as rig:
                waiting = 0
                async for message in rig.registries.pull(f"{server.name}/team/app:v1", credentials=Credentials()):
                    waiting += getattr(message, "status", "") == "Waiting"
                    if waiting == 5 and not rig.engine.layers.gate.is_set():
                        await server.until("GET .*/blobs/", 4)  # the configuration and three layers
                        assert len(server.requests("GET .*/blobs/")) == 4
                        rig.engine.layers.gate.set()
                assert waiting == 5
                assert len(rig.kept()) == 8

    run(work())


def test_counts_never_go_back_and_end_at_the_whole() -> None:
    async def work() -> None:
        data = random.Random(1).randbytes(3_000_000)
        async with RegistryServer() as server:
            server.image("team/app", "v1", [data], packed=[data])
            with Rig() as rig:
                counts: dict[str, list[int]] = {}
                async for message in rig.registries.pull(f"{server.name}/team/app:v1", credentials=Credentials()):
                    current = getattr(message, "current", -1)
                    if current >= 0:
                        assert message.total == len(data)  # type: ignore[union-attr]
                        counts.setdefault(message.status, []).append(current)  # type: ignore[union-attr]
                assert counts["Downloading"] == sorted(counts["Downloading"])
                assert counts["Downloading"][-1] == counts["Extracting"][-1] == len(data)

    run(work())


def test_distribution_and_login() -> None:
    async def work() -> None:
        async with RegistryServer(auth="token", users={"alice": "secret"}) as server:
            listed(server, "all", "amd64", "arm64/v8")
            made = plain_image(server)
            alice = Credentials("alice", "secret")
            with Rig() as rig:
                found = await rig.registries.distribution(f"{server.name}/team/app:all", alice)
                assert [(one.architecture, one.variant) for one in found.platforms] == [("amd64", ""), ("arm64", "v8")]
                found = await rig.registries.distribution(f"{server.name}/team/app:v1", alice)
                assert found.descriptor.digest == made["digest"]
                with pytest.raises(NotFound) as caught:
                    await rig.registries.distribution(f"{server.name}/team/app:none", alice)
                assert caught.value.message == "manifest unknown: manifest unknown"
                done = await rig.registries.login(server.name, alice)
                assert (done.status, done.identity_token) == ("Login Succeeded", server.refresh)

    run(work())
