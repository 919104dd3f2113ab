"""Pulling from a registry that breaks off, lies, is busy or goes away; and clients that leave. Nothing half-made stays."""

import asyncio
import random
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

import pytest
from registry_rig import Rig

from landbridge.errors import Internal
from landbridge.registry.errors import LONGEST_DELAY
from landbridge.registry.registries import Credentials
from registry_kit import Fault, RegistryServer, digest

LAYER = random.Random(7).randbytes(700_000)
BLOB = f"GET .*{digest(LAYER)}"
NAME = "team/app:v1"


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def prepared(server: RegistryServer, *faults: Fault) -> str:
    """One image of one large layer; its name."""
    server.image("team/app", "v1", [LAYER], packed=[LAYER])
    server.faults += faults
    return f"{server.name}/{NAME}"


def ranges(server: RegistryServer) -> list[str]:
    return [one.headers.get("range", "") for one in server.of(BLOB)]


@pytest.mark.parametrize("how", ["cut", "truncate"])
def test_a_broken_download_goes_on_where_it_stopped(how: str) -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            faults = [Fault(where=BLOB, do=how, after=after) for after in (300_000, 100_000)]
            name = prepared(server, *faults)
            with Rig() as rig:
                lines = await rig.pull(name)
                assert rig.kept() == [LAYER]
                assert f"{digest(LAYER)[7:19]}: Retrying in 1 second" in lines
                first, second, third = ranges(server)
                assert first == ""
                at_second = int(second.removeprefix("bytes=").removesuffix("-"))
                at_third = int(third.removeprefix("bytes=").removesuffix("-"))
                # A reset may swallow what was on its way; a clean end does not.
                assert 0 <= at_second <= 300_000
                assert at_second <= at_third <= at_second + 100_000
                if how == "truncate":
                    assert (at_second, at_third) == (300_000, 400_000)

    run(work())


def test_a_server_without_ranges_is_read_again_from_the_start() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            name = prepared(
                server, Fault(where=BLOB, do="truncate", after=300_000), Fault(where=BLOB, do="norange")
            )
            with Rig() as rig:
                await rig.pull(name)
                assert ranges(server) == ["", "bytes=300000-"]
                assert rig.kept() == [LAYER]

    run(work())


def test_a_download_that_never_gets_on_ends() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            name = prepared(server, Fault(where=BLOB, do="hangup", times=99))
            with Rig() as rig:
                with pytest.raises(Internal) as caught:
                    await rig.pull(name)
                assert caught.value.message == f'Get "http://{server.name}/v2/team/app/blobs/{digest(LAYER)}": EOF'
                assert len(server.requests(BLOB)) == 6  # the first on a connection that might have been stale
                assert all(0 < one <= LONGEST_DELAY * 1.25 for one in rig.slept)
                assert rig.clean()

    run(work())


def test_steps_that_get_on_do_not_use_up_the_tries() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            name = prepared(server, Fault(where=BLOB, do="truncate", after=70_000, times=9))
            with Rig() as rig:
                await rig.pull(name)
                assert len(server.requests(BLOB)) == 10
                assert rig.kept() == [LAYER]

    run(work())


def test_wrong_content_is_fetched_once_more_and_then_refused() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            name = prepared(server, Fault(where=BLOB, do="corrupt", times=99))
            with Rig() as rig:
                with pytest.raises(Internal) as caught:
                    await rig.pull(name)
                assert caught.value.message == f"filesystem layer verification failed for digest {digest(LAYER)}"
                assert len(server.requests(BLOB)) == 2
                assert rig.clean()
                assert rig.kept() == []

    run(work())


def test_content_that_was_wrong_once_is_forgiven() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            name = prepared(server, Fault(where=BLOB, do="corrupt"))
            with Rig() as rig:
                await rig.pull(name)
                assert rig.kept() == [LAYER]

    run(work())


@pytest.mark.parametrize("body", [LAYER + b"x", LAYER[:-1], b""])
def test_another_number_of_bytes_than_promised_is_refused(body: bytes) -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            name = prepared(server, Fault(where=BLOB, do="replace", body=body, times=9))
            with Rig() as rig:
                with pytest.raises(Internal) as caught:
                    await rig.pull(name)
                assert caught.value.message == (
                    f"the registry has {len(body)} bytes for {digest(LAYER)} instead of the {len(LAYER)} it should have"
                )
                assert rig.slept == []
                assert rig.clean()

    run(work())


def test_more_bytes_than_promised_are_refused_where_no_length_is_told() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            name = prepared(server, Fault(where=BLOB, do="unsized", body=LAYER + b"x", times=9))
            with Rig() as rig:
                with pytest.raises(Internal) as caught:
                    await rig.pull(name)
                assert caught.value.message == f"{digest(LAYER)} is longer than the {len(LAYER)} bytes it should have"
                assert rig.clean()

    run(work())


@pytest.mark.parametrize("what", ["config", "manifest"])
def test_documents_are_measured_by_their_digest(what: str) -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            name = prepared(server)
            where = "GET .*/manifests/" if what == "manifest" else "GET .*/blobs/"
            server.faults.append(Fault(where=where, do="corrupt", times=9))
            with Rig() as rig:
                with pytest.raises(Internal) as caught:
                    await rig.pull(name)
                assert "verification failed for digest sha256:" in caught.value.message
                assert not server.requests(BLOB)
                assert rig.clean()

    run(work())


def test_layers_must_be_what_the_configuration_says() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            server.image("team/app", "v1", [b"promised"], packed=[b"given"])
            with Rig() as rig:
                with pytest.raises(Internal) as caught:
                    await rig.pull(f"{server.name}/{NAME}")
                assert caught.value.message == "layers from manifest don't match image configuration"
                assert rig.clean()

    run(work())


def test_an_archive_that_cannot_be_unpacked_is_named_so() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            server.image("team/app", "v1", [b"bad archive"], packed=[b"bad archive"])
            with Rig() as rig:
                with pytest.raises(Internal) as caught:
                    await rig.pull(f"{server.name}/{NAME}")
                assert caught.value.message == "failed to register layer: archive/tar: invalid tar header"
                assert rig.clean()

    run(work())


@pytest.mark.parametrize("where", ["GET /v2/$", "HEAD .*/manifests/", "GET .*/manifests/", "GET .*/blobs/", BLOB])
@pytest.mark.parametrize("fault", [
    {"do": "status", "status": 429, "headers": {"Retry-After": "3"}},
    {"do": "status", "status": 503}, {"do": "status", "status": 500}, {"do": "hangup"}, {"do": "cut", "after": 1},
])  # fmt: skip
def test_trouble_that_passes_is_waited_out(where: str, fault: dict[str, Any]) -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            name = prepared(server, Fault(where=where, **fault))
            with Rig() as rig:
                await rig.pull(name)
                assert rig.kept() == [LAYER]
                # A connection that was used before may have been closed in between: tried again at once. The answer
                # to a ping counts for its challenge only; HEAD has no body to cut.
                expected = {"status": 1, "hangup": int(where == "GET /v2/$"), "cut": 1}[fault["do"]]
                if where == "GET /v2/$" and fault["do"] != "hangup":
                    expected = 0
                if where.startswith("HEAD") and fault["do"] == "cut":
                    expected = 0
                assert len(rig.slept) == expected
                if expected and "headers" in fault:
                    assert rig.slept == [3.0]

    run(work())


@pytest.mark.parametrize("later", ["3600", "Fri, 31 Dec 2999 23:59:59 GMT"])
def test_a_registry_that_says_much_later_is_not_waited_for(later: str) -> None:
    async def work() -> None:
        body = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}'
        async with RegistryServer() as server:
            name = prepared(
                server, Fault(where="GET .*/manifests/", do="status", status=429, headers={"Retry-After": later}, body=body)
            )
            with Rig() as rig:
                with pytest.raises(Internal) as caught:
                    await rig.pull(name)
                assert caught.value.message == "toomanyrequests: You have reached your pull rate limit."
                assert rig.slept == []

    run(work())


def test_a_registry_that_stays_broken_is_told_so() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            name = prepared(server, Fault(where="manifests/", do="status", status=500, times=99))
            with Rig() as rig:
                with pytest.raises(Internal) as caught:
                    await rig.pull(name)
                assert caught.value.message == "received unexpected HTTP status: 500 Internal Server Error"
                assert len(rig.slept) == 4

    run(work())


def test_redirects_in_a_circle_end() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            name = prepared(server)
            here = f"/v2/team/app/blobs/{digest(LAYER)}"
            server.faults.append(Fault(where=BLOB, do="status", status=302, headers={"Location": here}, times=99))
            with Rig() as rig:
                with pytest.raises(Internal, match="stopped after 10 redirects"):
                    await rig.pull(name)
                assert rig.clean()

    run(work())


def test_a_slow_registry_is_waited_for() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            name = prepared(server, Fault(where=BLOB, do="trickle"))
            with Rig() as rig:
                await rig.pull(name)
                assert rig.kept() == [LAYER]

    run(work())


def test_a_client_that_leaves_ends_the_download_and_leaves_nothing() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            small = b"small layer"
            server.image("team/app", "v1", [small, LAYER], packed=[small, LAYER])
            server.faults.append(Fault(where=BLOB, do="stall", after=1000))
            with Rig() as rig:
                messages = rig.registries.pull(f"{server.name}/{NAME}", credentials=Credentials())
                async with aclosing(messages):
                    async for message in messages:
                        if getattr(message, "status", "") == "Pull complete":
                            break  # the small one is on the shelf
                    await server.stalled.wait()
                assert rig.clean()
                assert rig.kept() == []
                assert [task for task in asyncio.all_tasks() if "Transfer" in repr(task)] == []
                assert rig.engine.images.list() == ()

    run(work())


def test_a_layer_unpacked_for_a_client_that_has_left_goes_too() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            server.image("team/app", "v1", [b"slow layer"], packed=[b"slow layer"])
            with Rig() as rig:
                messages = rig.registries.pull(f"{server.name}/{NAME}", credentials=Credentials())
                async for message in messages:
                    if getattr(message, "status", "") == "Pulling fs layer":
                        break
                await asyncio.to_thread(rig.engine.layers.waiting.wait)
                leaving = asyncio.ensure_future(messages.aclose())
                for _ in range(20):
                    await asyncio.sleep(0)  # until it waits for the thread, which cannot be stopped
                rig.engine.layers.gate.set()
                await leaving
                assert rig.clean()

    run(work())


def test_one_of_two_watchers_may_leave() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            slow = b"slow layer"
            server.image("team/app", "v1", [slow], packed=[slow])
            with Rig() as rig:
                name = f"{server.name}/{NAME}"
                stays = asyncio.ensure_future(rig.pull(name))
                leaves = rig.registries.pull(name, credentials=Credentials())
                async with aclosing(leaves):
                    async for message in leaves:
                        if getattr(message, "status", "") == "Pulling fs layer":
                            break
                    await asyncio.to_thread(rig.engine.layers.waiting.wait)
                rig.engine.layers.gate.set()
                assert f"Status: Downloaded newer image for {name}" in await stays
                assert len(server.requests(f"GET .*{digest(slow)}")) == 1

    run(work())


def test_the_failure_of_one_layer_ends_the_others() -> None:
    async def work() -> None:
        async with RegistryServer() as server:
            server.image("team/app", "v1", [b"bad one", LAYER], packed=[b"bad one", LAYER])
            server.faults.append(Fault(where=BLOB, do="stall", after=1000))
            with Rig() as rig:
                with pytest.raises(Internal, match="failed to register layer"):
                    await rig.pull(f"{server.name}/{NAME}")
                assert rig.clean()

    run(work())


def test_nobody_there() -> None:
    async def work() -> None:
        with Rig() as rig:
            server = await RegistryServer().start()
            await server.close()
            with pytest.raises(Internal) as caught:
                await rig.pull(f"{server.name}/{NAME}")
            assert caught.value.message == (
                f'Get "http://{server.name}/v2/": dial tcp {server.name}: connect: connection refused'
            )
            assert rig.slept == []

    run(work())
