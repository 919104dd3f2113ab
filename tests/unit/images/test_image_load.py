"""Loading, importing, saving, committing: what is left, and what is not left when it fails."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from images_in_memory import Engine, archive, stream, tar

from landbridge.errors import Internal, Invalid, LandbridgeError, NotFound
from landbridge.images.make import EMPTY_LAYER, Commit
from landbridge.model.config import Config


def test_load_says_what_docker_says() -> None:
    async def go() -> None:
        engine = Engine()
        data, identity = archive(["app:1", "app:2"], [b"a"])
        assert await engine.load(data) == ["Loaded image: app:1\n", "Loaded image: app:2\n"]
        assert engine.events[-1] == ("load", identity, identity)
        other, second = archive(["app:1"], [b"b"])
        assert await engine.load(other) == [
            f"The image app:1 already exists, renaming the old one with ID {identity} to empty string\n",
            "Loaded image: app:1\n",
        ]
        nameless, third = archive([], [b"c"])
        assert await engine.load(nameless) == [f"Loaded image ID: {third}\n"]
        assert engine.images.resolve("app:1").id == second
        assert engine.quiet()

    asyncio.run(go())


def test_progress_counts_the_layers_bytes() -> None:
    async def go() -> None:
        engine = Engine()
        data, _ = archive(["app"], [b"x" * 5000])
        messages = [message async for message in engine.images.load(stream(data))]
        steps = [(message.status, message.current, message.total) for message in messages if not message.stream]
        assert steps[0] == ("Loading layer", 0, 5000)
        assert steps[-1] == ("Loading layer", 5000, 5000)
        again = [message async for message in engine.images.load(stream(data))]
        assert [message.stream for message in again] == ["Loaded image: app:latest\n"]

    asyncio.run(go())


def test_images_share_layers_of_the_same_content() -> None:
    async def go() -> None:
        engine = Engine()
        first = await engine.add("a", layers=[b"base", b"one"])
        second = await engine.add("b", layers=[b"base", b"two"])
        assert engine.images.lower_dirs(first) == ("/layers/layer2", "/layers/layer1")
        assert engine.images.lower_dirs(second) == ("/layers/layer3", "/layers/layer1")
        assert (first.size, second.size) == (200, 200)

    asyncio.run(go())


def change(name: str, data: bytes | None) -> Callable[[dict[str, bytes]], None]:
    def lie(members: dict[str, bytes]) -> None:
        if data is None:
            del members[name]
        else:
            members[name] = data

    return lie


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        (change("1.tar", None), "open 1.tar: no such file or directory"),
        (change("1.tar", b"else"), 'invalid diffID for layer 1: expected "sha256:'),
        (change("1.tar", b"bad"), "archive/tar: invalid tar header"),
        (change("config.json", b"{"), "invalid image configuration"),
        (change("manifest.json", b"["), "manifest.json: "),
        (change("manifest.json", b"x" * (9 << 20)), "too large"),
        (change("manifest.json", None), "manifest.json: no such file"),
    ],
)
def test_a_load_that_fails_leaves_nothing(lie: Callable[[dict[str, bytes]], None], message: str) -> None:
    async def go() -> None:
        engine = Engine()
        data, _ = archive(["app"], [b"zero", b"one"], lie=lie)
        with pytest.raises(LandbridgeError, match=message.replace("[", r"\[")):
            await engine.load(data)
        assert engine.images.list() == ()
        assert engine.layers.kept == {}
        assert engine.quiet()

    asyncio.run(go())


def test_a_stream_that_breaks_off_leaves_nothing_and_says_why() -> None:
    class Gone(Exception):
        pass

    async def cut(data: bytes) -> AsyncIterator[bytes]:
        yield data[:2000]
        raise Gone

    async def go() -> None:
        engine = Engine()
        with pytest.raises(Gone):
            async for _ in engine.images.load(cut(archive(["app"], [b"x" * 9000])[0])):
                pass
        with pytest.raises(Gone):
            await engine.images.import_(cut(b"x" * 9000))
        assert engine.quiet()

    asyncio.run(go())


def test_a_load_nobody_waits_for_any_more_leaves_nothing() -> None:
    async def never(data: bytes, started: asyncio.Event) -> AsyncIterator[bytes]:
        yield data
        started.set()
        await asyncio.Event().wait()

    async def go() -> None:
        engine = Engine()
        started = asyncio.Event()
        task = asyncio.ensure_future(engine.images.import_(never(b"some", started)))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert engine.quiet()
        data, _ = archive(["app"], [b"x"])
        messages = engine.images.load(stream(data))
        await anext(messages)
        await messages.aclose()
        assert engine.quiet()
        assert engine.layers.kept == {}

    asyncio.run(go())


def test_a_load_left_while_a_layer_is_unpacked_leaves_nothing() -> None:
    async def go() -> None:
        engine = Engine()
        messages = engine.images.load(stream(archive(["app"], [b"quick", b"slow"])[0]))
        async for message in messages:
            if engine.layers.waiting.is_set() and message.current > 0:
                engine.layers.gate.set()
                break
        await messages.aclose()
        assert engine.quiet()
        assert engine.layers.kept == {}

    asyncio.run(go())


def test_layers_of_a_load_in_progress_are_not_collected() -> None:
    async def go() -> None:
        engine = Engine()
        await engine.add("other", layers=[b"other"])
        data, identity = archive(["app"], [b"quick", b"slow"])
        task = asyncio.ensure_future(engine.load(data))
        await asyncio.to_thread(engine.layers.waiting.wait, 60)
        await engine.images.remove("other")
        await engine.images.prune()
        engine.layers.gate.set()
        await task
        assert engine.images.lower_dirs(engine.images.get(identity)) == ("/layers/layer3", "/layers/layer2")
        assert sorted(engine.layers.kept) == ["layer2", "layer3"]

    asyncio.run(go())


def test_many_loads_of_the_same_at_once_make_one_layer() -> None:
    async def go() -> None:
        engine = Engine()
        data, identity = archive(["app"], [b"a", b"b"])
        await asyncio.gather(*(engine.load(data) for _ in range(8)))
        assert [view.image.id for view in engine.images.list()] == [identity]
        assert len(engine.layers.kept) == 2
        assert engine.quiet()

    asyncio.run(go())


def test_import_makes_an_image_of_one_layer() -> None:
    async def go() -> None:
        engine = Engine()
        identity = await engine.images.import_(
            stream(b"root"), repo="app", tag="1", changes=["CMD x", "EXPOSE 80"], message="hello"
        )
        view = engine.images.inspect("app:1")
        assert (view.image.id, view.image.comment) == (identity, "hello")
        assert view.image.config.cmd == ("/bin/sh", "-c", "x")
        assert view.image.history[0].comment == "hello"
        assert engine.events == [("tag", identity, "app:1"), ("import", identity, identity)]
        other = await engine.images.import_(stream(b"root"), platform="linux/arm64/v8")
        assert engine.images.get(other).architecture == "arm64"
        assert len(engine.layers.kept) == 1

    asyncio.run(go())


def test_an_import_is_refused_before_its_stream_is_read() -> None:
    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError
        yield b""

    async def go() -> None:
        images = Engine().images
        with pytest.raises(Invalid, match="must be lowercase"):
            await images.import_(unread(), repo="Foo")
        with pytest.raises(Invalid, match="not a valid change command"):
            await images.import_(unread(), changes=["FROM x"])
        with pytest.raises(Invalid, match="operating system is not supported"):
            await images.import_(unread(), platform="windows/amd64")

    asyncio.run(go())


def test_commit_puts_the_changes_on_top() -> None:
    async def go() -> None:
        engine = Engine()
        base = await engine.add("base", config={"Env": ["A=1"], "Cmd": ["sh"]})
        commit = Commit(
            upper="/up", parent=base, config=base.config, container="c" * 64, created_by="sh", author="me", comment="hi"
        )
        identity = await engine.images.commit(commit, repo="new", changes=["ENV B=2"])
        image = engine.images.resolve("new")
        assert image.id == identity
        assert image.diff_ids[:-1] == base.diff_ids
        assert list(engine.layers.kept.values())[-1] == b"changes of /up .wh.a b/.wh..wh..opq"
        assert (image.config.env, image.config.cmd) == (("A=1", "B=2"), ("sh",))
        assert (image.parent, image.author, image.comment, image.container) == (base.id, "me", "hi", "c" * 64)
        assert [line.id for line in engine.images.history("new")] == [identity, base.id]
        again = await engine.images.commit(commit, config=Config(env=("A=9",), cmd=("id",)))
        assert engine.images.get(again).config.env == ("A=9",)

    asyncio.run(go())


def test_commit_of_no_change_adds_no_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        engine = Engine()
        base = await engine.add("base")
        monkeypatch.setattr(engine.layers, "pack_diff", lambda *_: iter([bytes(1024)]))
        identity = await engine.images.commit(Commit(upper="/up", parent=base, config=base.config, container="c"))
        image = engine.images.get(identity)
        assert image.diff_ids == base.diff_ids
        assert image.history[-1].empty_layer
        assert EMPTY_LAYER not in image.diff_ids
        assert engine.quiet()

    asyncio.run(go())


async def saved(engine: Engine, *names: str) -> bytes:
    return b"".join([chunk async for chunk in engine.images.save(names)])


def test_what_was_saved_loads_as_the_same() -> None:
    async def go() -> None:
        engine, other = Engine(), Engine()
        first = await engine.add("app:1", "app:2", layers=[b"a" * 700, b"b"])
        second = await engine.add("ex.com/x:1", layers=[b"a" * 700])
        data = await saved(engine, "app", "ex.com/x:1", first.id)
        assert data == await saved(engine, "app", "ex.com/x:1", first.id)
        await other.load(data)
        assert other.images.inspect(first.id).tags == ("app:1", "app:2")
        assert other.images.inspect(second.id).tags == ("ex.com/x:1",)
        await other.images.remove(first.id, force=True)
        await other.load(await saved(engine, first.id))
        assert other.images.inspect(first.id).tags == ()

    asyncio.run(go())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nosuch", "No such image: nosuch"),
        ("nosuch:x", "reference does not exist"),
        ("0" * 64, "No such image: sha256:"),
    ],
)
def test_saving_what_is_not_there_is_refused_at_once(name: str, message: str) -> None:
    with pytest.raises(NotFound, match=message):
        Engine().images.save([name])


def test_a_layer_that_changed_on_disk_is_not_saved_as_if_it_had_not() -> None:
    async def go() -> None:
        engine = Engine()
        await engine.add("app", layers=[b"content"])
        engine.layers.kept["layer1"] = b"c0ntent"
        with pytest.raises(Internal, match="is damaged"):
            await saved(engine, "app")

    asyncio.run(go())


def test_an_image_without_layers_is_an_image() -> None:
    async def go() -> None:
        engine = Engine()
        image = await engine.add("scratch", layers=[])
        assert engine.images.lower_dirs(image) == ()
        data = await saved(engine, "scratch")
        other = Engine()
        assert await other.load(data) == ["Loaded image: scratch:latest\n"]

    asyncio.run(go())


def test_an_archive_of_nothing() -> None:
    async def go() -> None:
        assert await Engine().load(tar({"manifest.json": b"[]"})) == []

    asyncio.run(go())
