"""Ports as Docker shows them, one by one; of many the text is made once and follows every change."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

import worlds
from landbridge.api.port_views import MANY, PortTexts, exposed, port_list, ports_object, ports_view
from landbridge.model.config import Config
from landbridge.model.ports import Binding, Port
from rig import Rig


def read(value: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def test_a_run_is_shown_port_by_port_in_order_and_ipv4_first() -> None:
    runs = [Binding(port=Port(80), host_ip=ip, host_port=8080, count=3) for ip in ("::", "127.0.0.1")]
    shown = ports_object(["9/udp", "81/tcp", "100/tcp"], runs)
    assert list(shown) == ["9/udp", "80/tcp", "81/tcp", "82/tcp", "100/tcp"]
    assert shown["9/udp"] is None and shown["100/tcp"] is None
    assert shown["81/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": "8081"}, {"HostIp": "::", "HostPort": "8081"}]


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        (("80/tcp", "70-72/udp", "90"), ["80/tcp", "70/udp", "71/udp", "72/udp", "90/tcp"]),
        (("0/tcp", "65536/tcp", "x", "٣/tcp", "80/icmp", "+8/tcp"), []),
    ],
)
def test_exposed_ports(texts: tuple[str, ...], shown: list[str]) -> None:
    assert exposed(worlds.container("web", config=Config(exposed_ports={text: {} for text in texts}))) == shown


def test_the_text_of_many_ports_is_made_once_and_follows_the_container(tmp_path: Path) -> None:
    fixed = {f"{port}/tcp": str(port) for port in range(20000, 20000 + MANY)}

    async def scene(rig: Rig) -> None:
        await rig.run("web", ports=fixed)
        texts = PortTexts(rig.state)

        def shown() -> tuple[object, object]:
            web = rig.of("web")
            wanted = ports_view(rig.state, web, rig.state.sandbox(web.id))
            found = texts.mapping(web), texts.listing(web)
            assert read(found) == [wanted, port_list(wanted)]
            return found

        def same(one: tuple[object, object], other: tuple[object, object]) -> bool:
            return one[0] is other[0] and one[1] is other[1]

        first = shown()
        assert same(first, shown())
        assert len(read(first[1])) == 2 * MANY
        await rig.lifecycle.stop("web", timeout=0)
        assert read(shown()) == [{}, []]
        await rig.lifecycle.start("web")
        again = shown()
        assert not same(first, again)
        web = rig.of("web")
        rig.state.containers.put(replace(web, config=replace(web.config, exposed_ports={"9/tcp": {}})))
        assert "9/tcp" in read(shown()[0])

    on_rig(tmp_path, scene)


def test_nothing_is_kept_of_containers_that_are_gone(tmp_path: Path) -> None:
    many = Config(exposed_ports={f"{port}/tcp": {} for port in range(1, MANY + 1)})

    async def scene(rig: Rig) -> None:
        texts = PortTexts(rig.state)
        for name in ("one", "two"):
            await rig.run(name, config=many)
            texts.listing(rig.of(name))
        assert "2 containers" in repr(texts)
        await rig.containers.remove("one", force=True)
        await rig.run("three", config=many)
        texts.listing(rig.of("three"))
        assert "2 containers" in repr(texts)

    on_rig(tmp_path, scene)


def on_rig(tmp_path: Path, scene: Callable[[Rig], Awaitable[None]]) -> None:
    async def go() -> None:
        rig = await Rig(tmp_path / "db").boot()
        try:
            await scene(rig)
        finally:
            await rig.stop()

    asyncio.run(go())
