"""Finding, listing, naming: what text means which image, and what is shown."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from images_in_memory import Engine

from landbridge.errors import Internal, Invalid, LandbridgeError, NotFound
from landbridge.model.image import Image


def test_an_image_is_found_by_every_name_it_has() -> None:
    async def go() -> None:
        engine = Engine()
        image = await engine.add("app:1", "app:latest")
        digits = image.id.removeprefix("sha256:")
        for text in ("app:1", "app", "docker.io/library/app:1", image.id, digits, digits[:6], image.id[:15]):
            assert engine.images.resolve(text) is image
        assert engine.images.lower_dirs(image) == ("/layers/layer1",)

    asyncio.run(go())


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("nosuch", NotFound, "No such image: nosuch:latest"),
        ("nosuch:x", NotFound, "No such image: nosuch:x"),
        ("app:2", NotFound, "No such image: app:2"),
        ("abcdef", NotFound, "No such image: abcdef:latest"),
        ("sha256:abcdef", NotFound, "No such image: sha256:abcdef"),
        ("0" * 64, NotFound, "No such image: sha256:" + "0" * 64),
        ("app@sha256:" + "0" * 64, NotFound, "No such image: app@sha256:" + "0" * 64),
        ("docker.io/library/nosuch:1", NotFound, "No such image: nosuch:1"),
        ("ex.com/a/b", NotFound, "No such image: ex.com/a/b:latest"),
        ("Foo", Invalid, "invalid reference format: repository name (library/Foo) must be lowercase"),
        ("a b", Invalid, "invalid reference format"),
        ("", Invalid, "invalid reference format"),
    ],
)
def test_not_found_is_said_in_dockers_words(text: str, kind: type[LandbridgeError], message: str) -> None:
    async def go() -> None:
        engine = Engine()
        await engine.add("app:1")
        with pytest.raises(kind) as caught:
            engine.images.resolve(text)
        assert caught.value.message == message

    asyncio.run(go())


def test_a_name_that_looks_like_an_id_wins_over_it() -> None:
    async def go() -> None:
        engine = Engine()
        first = await engine.add("app:1")
        second = await engine.add(layers=[b"other"])
        engine.images.tag(first.id, second.id[7:13])
        assert engine.images.resolve(second.id[7:13]) is first

    asyncio.run(go())


def test_a_beginning_shared_by_two_finds_neither() -> None:
    async def go() -> None:
        engine = Engine()
        ids = [(await engine.add(layers=[bytes([number])])).id for number in range(17)]  # two begin alike
        firsts = [identity[7] for identity in ids]
        shared = next(digit for digit in firsts if firsts.count(digit) > 1)
        with pytest.raises(NotFound):
            engine.images.resolve(shared)

    asyncio.run(go())


def test_a_name_moves_to_the_image_tagged_last() -> None:
    async def go() -> None:
        engine = Engine()
        first, second = await engine.add("app:1"), await engine.add("app:2", layers=[b"two"])
        assert engine.images.tag("app:2", "app", "1") == "app:1"
        assert engine.images.resolve("app:1") is second
        assert engine.images.inspect(first.id).tags == ()
        assert engine.images.inspect(second.id).tags == ("app:1", "app:2")
        assert engine.images.inspect(second.id).last_tagged.startswith("2023-11-14T22:13:")
        assert engine.events[-1] == ("tag", second.id, "app:1")

    asyncio.run(go())


def test_sha256_is_no_name_to_give() -> None:
    async def go() -> None:
        engine = Engine()
        await engine.add("app")
        with pytest.raises(Invalid, match="ambiguous tag using digest algorithm"):
            engine.images.tag("app", "sha256", "abc")

    asyncio.run(go())


async def four(engine: Engine) -> Mapping[str, Image]:
    """Created one day after the other, newest last."""
    made = {}
    for day, (name, labels) in enumerate(
        [("old", {}), ("mid", {"a": "1", "b": "2"}), ("", {"a": "2"}), ("new", {})], start=1
    ):
        made[name] = await engine.add(
            *([f"{name}:1", f"ex.com/{name}:2"] if name else []),
            layers=[bytes([day])],
            created=f"2026-01-0{day}T00:00:00Z",
            config={"Labels": labels},
        )
    return made


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["new", "", "mid", "old"]),
        ({"dangling": ["true"]}, [""]),
        ({"dangling": ["0"]}, ["new", "mid", "old"]),
        ({"before": ["mid:1"]}, ["old"]),
        ({"since": ["mid:1"]}, ["new", ""]),
        ({"since": ["old:1"], "before": ["new:1"]}, ["", "mid"]),
        ({"label": ["a"]}, ["", "mid"]),
        ({"label": ["a=1"]}, ["mid"]),
        ({"label": ["a", "b=2"]}, ["mid"]),
        ({"reference": ["o*"]}, ["old"]),
        ({"reference": ["ex.com/*", "m*:1"]}, ["new", "mid", "old"]),
        ({"reference": ["*"], "dangling": ["true"]}, []),
        ({"until": ["2026-01-02"]}, ["old"]),
        ({"until": ["2026-01-02T00:00:01Z"]}, ["mid", "old"]),
        ({"until": ["2026-01-04T00:00:00Z", "2026-01-02T00:00:00Z"], "before": ["new:1"]}, ["old"]),
    ],
)
def test_filters(filters: Mapping[str, Sequence[str]], names: list[str]) -> None:
    async def go() -> None:
        engine = Engine()
        made = await four(engine)
        listed = [view.image.id for view in engine.images.list(filters)]
        assert listed == [made[name].id for name in names]

    asyncio.run(go())


def test_a_reference_filter_shows_only_the_names_that_fit() -> None:
    async def go() -> None:
        engine = Engine()
        await four(engine)
        assert [view.tags for view in engine.images.list({"reference": ["ex.com/o*"]})] == [("ex.com/old:2",)]

    asyncio.run(go())


@pytest.mark.parametrize(
    ("filters", "kind", "message"),
    [
        ({"foo": ["x"]}, Invalid, "invalid filter 'foo'"),
        ({"dangling": ["x"]}, Invalid, "invalid filter 'dangling=[x]'"),
        ({"dangling": ["true", "false"]}, Invalid, "invalid filter 'dangling=[true false]'"),
        ({"before": ["nosuch"]}, NotFound, "No such image: nosuch:latest"),
        ({"reference": ["["]}, Internal, "syntax error in pattern"),
        ({"until": ["x"]}, Internal, 'failed to parse value as time or duration: "x"'),
    ],
)
def test_filters_refused(
    filters: Mapping[str, Sequence[str]], kind: type[LandbridgeError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        Engine().images.list(filters)
    assert caught.value.message == message


def test_history_counts_layers_only_where_there_are_some() -> None:
    async def go() -> None:
        engine = Engine()
        history = [{"created_by": "a"}, {"created_by": "ENV x", "empty_layer": True}, {"created_by": "b"}]
        image = await engine.add("app", layers=[b"1", b"2"], history=history)
        lines = engine.images.history("app")
        assert [(line.id, line.created_by, line.size, line.tags) for line in lines] == [
            (image.id, "b", 100, ("app:latest",)),
            ("<missing>", "ENV x", 0, ()),
            ("<missing>", "a", 100, ()),
        ]

    asyncio.run(go())


def test_records_survive_a_restart() -> None:
    async def go() -> None:
        engine = Engine()
        await four(engine)
        before = engine.images.list()
        images = engine.restart()
        await images.start()
        assert images.list() == before
        assert images.lower_dirs(images.resolve("old:1")) == ("/layers/layer1",)

    asyncio.run(go())
