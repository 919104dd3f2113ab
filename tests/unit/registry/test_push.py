"""Pushing to a registry of our own: what is sent, what is not sent again, and what happens when it goes wrong."""

import asyncio
import gzip
import json
import random
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

import pytest
from registry_rig import Rig

from landbridge.errors import Internal, Invalid
from landbridge.oci.manifest import DOCKER_LAYER, DOCKER_MANIFEST
from landbridge.registry.registries import Credentials
from registry_kit import Fault, RegistryServer, digest

ONE, TWO = b"first layer" * 100, b"second layer" * 100
LARGE = random.Random(3).randbytes(900_000)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_a_push_is_told_as_docker_tells_it_and_can_be_pulled() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            name = f"{server.name}/team/app"
            with Rig() as rig:
                image = await rig.engine.add(f"{name}:v1", layers=(ONE, TWO))
                lines = await rig.push(name, "v1")
                first, second = digest(ONE)[7:19], digest(TWO)[7:19]
                assert lines[0] == f"The push refers to repository [{name}]"
                assert lines[1:3] == [f"{second}: Preparing", f"{first}: Preparing"]
                assert {f"{first}: Pushed", f"{second}: Pushed"} == set(lines[3:5])
                media, raw = server.manifests["team/app"]["v1"]
                assert lines[5:] == [
                    f"v1: digest: {digest(raw)} size: {len(raw)}",
                    json.dumps({"Tag": "v1", "Digest": digest(raw), "Size": len(raw)}),
                ]
                assert media == DOCKER_MANIFEST
                manifest = json.loads(raw)
                assert manifest["config"]["digest"] == image.id
                blobs = server.blobs["team/app"]
                sent = [gzip.decompress(blobs[layer["digest"]]) for layer in manifest["layers"]]
                assert sent == [ONE, TWO]
                assert [layer["size"] for layer in manifest["layers"]] == [
                    len(blobs[layer["digest"]]) for layer in manifest["layers"]
                ]
                assert rig.engine.images.inspect(f"{name}:v1").digests == (f"{name}@{digest(raw)}",)
                assert rig.engine.events[-1] == ("push", f"{name}:v1", name)

    run(work())


def test_what_is_there_is_not_sent_again_after_a_restart_either() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            name = f"{server.name}/team/app"
            with Rig() as rig:
                await rig.engine.add(f"{name}:v1", f"{name}:v2", layers=(ONE, TWO))
                first = await rig.push(name, "v1")
                rig.restart()
                server.seen.clear()
                second = await rig.push(name, "v2")
                assert [line for line in second if "exists" in line] == [
                    f"{digest(layer)[7:19]}: Layer already exists" for layer in (TWO, ONE)
                ]
                assert not server.requests("PATCH|POST")
                assert first[-2].partition(": ")[2] == second[-2].partition(": ")[2]

    run(work())


def test_a_blob_the_registry_lost_is_sent_again() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            name = f"{server.name}/team/app"
            with Rig() as rig:
                await rig.engine.add(f"{name}:v1", layers=(ONE,))
                await rig.push(name, "v1")
                server.blobs.clear()
                assert f"{digest(ONE)[7:19]}: Pushed" in await rig.push(name, "v1")

    run(work())


def test_layers_are_taken_over_from_other_repositories_of_the_registry() -> None:
    async def work() -> None:
        async with RegistryServer() as server, RegistryServer() as other:
            with Rig() as rig:
                names = [f"{server.name}/team/app", f"{server.name}/team/copy", f"{other.name}/team/copy"]
                await rig.engine.add(*(f"{name}:v1" for name in names), layers=(ONE,))
                await rig.push(names[0], "v1")
                server.seen.clear()
                assert f"{digest(ONE)[7:19]}: Mounted from team/app" in await rig.push(names[1], "v1")
                assert not server.requests("PATCH")
                assert f"{digest(ONE)[7:19]}: Pushed" in await rig.push(names[2], "v1")
                assert not other.requests("mount") and all("mount" not in one.query for one in other.seen)

    run(work())


def test_a_mount_that_is_not_done_becomes_an_upload() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            with Rig() as rig:
                names = [f"{server.name}/team/app", f"{server.name}/team/copy"]
                await rig.engine.add(*(f"{name}:v1" for name in names), layers=(ONE,))
                await rig.push(names[0], "v1")
                server.blobs.clear()
                assert f"{digest(ONE)[7:19]}: Pushed" in await rig.push(names[1], "v1")
                assert server.uploads == {}

    run(work())


def test_all_tags() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            name = f"{server.name}/team/app"
            with Rig() as rig:
                await rig.engine.add(f"{name}:v1", f"{name}:v2", layers=(ONE,))
                lines = await rig.push(name)
                assert [line for line in lines if " digest: " in line] == [
                    f"{tag}: digest: {digest(server.manifests['team/app'][tag][1])} size:"
                    f" {len(server.manifests['team/app'][tag][1])}"
                    for tag in ("v1", "v2")
                ]

    run(work())


def test_what_is_not_here_cannot_be_pushed() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            name = f"{server.name}/team/app"
            with Rig() as rig:
                with pytest.raises(Internal) as caught:
                    await rig.push(name, "v1")
                assert caught.value.message == f"An image does not exist locally with the tag: {name}"
                await rig.engine.add(f"{name}:v1")
                with pytest.raises(Internal) as caught:
                    await rig.push(name, "v2")
                assert caught.value.message == f"tag does not exist: {name}:v2"
                with pytest.raises(Invalid):
                    await rig.push(f"{name}@sha256:{'a' * 64}")
                assert server.seen == []

    run(work())


def test_who_may_not_push_is_told_so() -> None:
    async def work() -> None:
        async with RegistryServer(auth="basic", users={"alice": "secret"}) as server:
            name = f"{server.name}/team/app"
            with Rig() as rig:
                await rig.engine.add(f"{name}:v1", layers=(ONE,))
                for who, text in (
                    (Credentials(), "no basic auth credentials"),
                    (Credentials("alice", "no"), "unauthorized: authentication required"),
                ):
                    with pytest.raises(Internal) as caught:
                        await rig.push(name, "v1", as_=who)
                    assert caught.value.message == text
                await rig.push(name, "v1", as_=Credentials("alice", "secret"))
        async with RegistryServer(auth="token", users={"alice": "secret"}) as server:
            name = f"{server.name}/team/app"
            with Rig() as rig:
                await rig.engine.add(f"{name}:v1", layers=(ONE,))
                with pytest.raises(Internal) as caught:
                    await rig.push(name, "v1")
                assert caught.value.message == "denied: requested access to the resource is denied"
                await rig.push(name, "v1", as_=Credentials("alice", "secret"))
                assert {one.query["scope"] for one in server.of("/token")} == {"repository:team/app:pull,push"}

    run(work())


@pytest.mark.parametrize("where", ["PATCH", "PUT .*/blobs/", "POST .*/blobs/", "PUT .*/manifests/", "HEAD .*/blobs/"])
@pytest.mark.parametrize("fault", [
    {"do": "status", "status": 503}, {"do": "status", "status": 429, "headers": {"Retry-After": "2"}},
    {"do": "hangup"}, {"do": "cut", "after": 0},
])  # fmt: skip
def test_trouble_that_passes_is_waited_out(where: str, fault: dict[str, Any]) -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            server.faults.append(Fault(where=where, **fault))
            name = f"{server.name}/team/app"
            with Rig() as rig:
                await rig.engine.add(f"{name}:v1", layers=(ONE, LARGE))
                await rig.push(name, "v1")
                manifest = json.loads(server.manifests["team/app"]["v1"][1])
                sent = [gzip.decompress(server.blobs["team/app"][one["digest"]]) for one in manifest["layers"]]
                assert sent == [ONE, LARGE]

    run(work())


def test_an_upload_that_breaks_off_is_sent_again_whole() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            server.faults.append(Fault(where="PATCH", do="cut", after=300_000))
            name = f"{server.name}/team/app"
            with Rig() as rig:
                await rig.engine.add(f"{name}:v1", layers=(LARGE,))
                lines = await rig.push(name, "v1")
                assert f"{digest(LARGE)[7:19]}: Retrying in 1 second" in lines
                (layer,) = json.loads(server.manifests["team/app"]["v1"][1])["layers"]
                assert gzip.decompress(server.blobs["team/app"][layer["digest"]]) == LARGE
                assert server.uploads == {}

    run(work())


def test_a_layer_whose_files_have_changed_is_not_sent() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            name = f"{server.name}/team/app"
            with Rig() as rig:
                await rig.engine.add(f"{name}:v1", layers=(ONE,))
                (directory,) = rig.engine.layers.kept
                rig.engine.layers.kept[directory] = TWO
                with pytest.raises(Internal, match="is damaged: its files have changed"):
                    await rig.push(name, "v1")
                assert server.blobs == {}
                assert server.uploads == {}
                assert "v1" not in server.manifests.get("team/app", {})

    run(work())


def test_a_client_that_leaves_ends_the_upload() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            server.faults.append(Fault(where="PATCH", do="stall"))
            name = f"{server.name}/team/app"
            with Rig() as rig:
                await rig.engine.add(f"{name}:v1", layers=(LARGE,))
                messages = rig.registries.push(name, "v1", credentials=Credentials())
                async with aclosing(messages):
                    async for message in messages:
                        if getattr(message, "status", "") == "Pushing":
                            break
                    await server.stalled.wait()
                assert server.uploads == {}
                assert rig.clean()

    run(work())


def test_a_pulled_image_is_pushed_with_the_blobs_it_came_as() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            with Rig() as rig:
                server.image("team/app", "v1", [ONE], packed=[ONE], layer_media=DOCKER_LAYER)
                await rig.pull(f"{server.name}/team/app:v1")
                rig.engine.images.tag(f"{server.name}/team/app:v1", f"{server.name}/team/copy", "v1")
                await rig.push(f"{server.name}/team/copy", "v1")
                (layer,) = json.loads(server.manifests["team/copy"]["v1"][1])["layers"]
                assert layer["digest"] == digest(ONE)

    run(work())


def test_a_blob_of_another_compression_is_not_named_in_a_manifest() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            with Rig() as rig:
                media = "application/vnd.oci.image.layer.v1.tar+zstd"
                server.image("team/app", "v1", [ONE], packed=[ONE], layer_media=media)
                await rig.pull(f"{server.name}/team/app:v1")
                rig.engine.images.tag(f"{server.name}/team/app:v1", f"{server.name}/team/app", "v2")
                await rig.push(f"{server.name}/team/app", "v2")
                (layer,) = json.loads(server.manifests["team/app"]["v2"][1])["layers"]
                assert (layer["mediaType"], layer["digest"]) != (DOCKER_LAYER, digest(ONE))
                assert gzip.decompress(server.blobs["team/app"][layer["digest"]]) == ONE

    run(work())


def test_mirrors_get_no_pushes() -> None:
    async def work() -> None:
        async with RegistryServer() as mirror:
            with Rig(registry_mirrors=(f"http://{mirror.name}",)) as rig:
                await rig.engine.add("app:v1", layers=(ONE,))
                with pytest.raises(Internal, match=r'^Get "https://registry-1\.docker\.io/v2/": proxyconnect tcp'):
                    await rig.push("app", "v1")
                assert mirror.seen == []

    run(work())
