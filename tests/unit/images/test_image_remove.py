"""`rmi` and `image prune`: Docker's rules about names, children and containers, and what goes from disk."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from images_in_memory import Engine

from landbridge.errors import Conflict, NotFound
from landbridge.images.effects import ImageUser
from landbridge.images.make import Commit
from landbridge.model.image import Image, Removed
from landbridge.oci.layers import chain_ids

STOPPED = ImageUser("d" * 64, running=False)
RUNNING = ImageUser("e" * 64, running=True)


def short(image: Image) -> str:
    return image.id[7:19]


def deleted(image: Image, *indexes: int) -> list[Removed]:
    """The lines for an image and the chains of its layers with these indexes."""
    chains = chain_ids(image.diff_ids)
    return [Removed("Deleted", image.id), *(Removed("Deleted", chains[index]) for index in indexes)]


def untagged(*names: str) -> list[Removed]:
    return [Removed("Untagged", name) for name in names]


async def refused(engine: Engine, text: str, message: str, *, force: bool = False) -> None:
    with pytest.raises(Conflict) as caught:
        await engine.images.remove(text, force=force)
    assert caught.value.message == message


def test_the_last_name_takes_the_image_and_its_layers_along() -> None:
    async def go() -> None:
        engine = Engine()
        image = await engine.add("app:1", "app:2", layers=[b"a", b"b"])
        assert await engine.images.remove("app:1") == tuple(untagged("app:1"))
        assert await engine.images.remove("app:2") == tuple(untagged("app:2") + deleted(image, 1, 0))
        assert engine.layers.kept == {}
        assert [event[0] for event in engine.events[-3:]] == ["untag", "untag", "delete"]
        with pytest.raises(NotFound):
            engine.images.get(image.id)

    asyncio.run(go())


def test_layers_another_image_needs_stay() -> None:
    async def go() -> None:
        engine = Engine()
        first = await engine.add("a", layers=[b"base", b"one"])
        second = await engine.add("b", layers=[b"base", b"two"])
        assert await engine.images.remove("a") == tuple(untagged("a:latest") + deleted(first, 1))
        assert engine.images.lower_dirs(second) == ("/layers/layer3", "/layers/layer1")
        assert sorted(engine.layers.kept.values()) == [b"base", b"two"]

    asyncio.run(go())


def test_by_id_an_image_goes_with_its_one_name() -> None:
    async def go() -> None:
        engine = Engine()
        image = await engine.add("app:1")
        assert await engine.images.remove(short(image)) == tuple(untagged("app:1") + deleted(image, 0))

    asyncio.run(go())


def test_by_id_several_names_need_force() -> None:
    async def go() -> None:
        engine = Engine()
        image = await engine.add("app:1", "app:2")
        why = "image is referenced in multiple repositories"
        await refused(engine, image.id, f"conflict: unable to delete {short(image)} (must be forced) - {why}")
        gone = await engine.images.remove(image.id, force=True)
        assert gone == tuple(untagged("app:1", "app:2") + deleted(image, 0))

    asyncio.run(go())


def test_a_stopped_container_protects_the_last_name_until_forced() -> None:
    async def go() -> None:
        engine = Engine()
        image = await engine.add("app")
        engine.users[image.id] = [STOPPED]
        await refused(
            engine,
            "app",
            'conflict: unable to remove repository reference "app" (must force) - container dddddddddddd'
            f" is using its referenced image {short(image)}",
        )
        await refused(
            engine,
            short(image),
            f"conflict: unable to delete {short(image)} (must be forced)"
            " - image is being used by stopped container dddddddddddd",
        )
        await engine.images.remove("app", force=True)
        assert engine.images.list() == ()
        # The container still stands on the layers, also after a restart.
        images = engine.restart()
        await images.start()
        assert images.lower_dirs(images.get(image.id)) == ("/layers/layer1",)
        engine.users.clear()
        await images.release()
        assert engine.layers.kept == {}

    asyncio.run(go())


def test_a_hidden_image_comes_back_when_it_is_loaded_again() -> None:
    async def go() -> None:
        engine = Engine()
        image = await engine.add("app")
        engine.users[image.id] = [STOPPED]
        await engine.images.remove("app", force=True)
        await engine.add("app")
        engine.users.clear()
        await engine.restart().start()
        assert engine.images.resolve("app").id == image.id
        assert engine.images.lower_dirs(image) == ("/layers/layer1",)

    asyncio.run(go())


def test_a_running_container_is_not_forced() -> None:
    async def go() -> None:
        engine = Engine()
        image = await engine.add("app")
        engine.users[image.id] = [STOPPED, RUNNING]
        why = (
            f"conflict: unable to delete {short(image)} (cannot be forced)"
            " - image is being used by running container eeeeeeeeeeee"
        )
        await refused(engine, image.id, why, force=True)
        assert await engine.images.remove("app", force=True) == tuple(untagged("app:latest"))
        assert engine.images.inspect(image.id).tags == ()
        await refused(engine, image.id, why, force=True)

    asyncio.run(go())


def test_one_of_several_names_may_go_from_under_a_container() -> None:
    async def go() -> None:
        engine = Engine()
        image = await engine.add("app:1", "app:2")
        engine.users[image.id] = [RUNNING]
        assert await engine.images.remove("app:1") == tuple(untagged("app:1"))

    asyncio.run(go())


async def child_of(engine: Engine, base: Image, name: str) -> Image:
    commit = Commit(upper=f"/up/{name}", parent=base, config=base.config, container="c")
    return engine.images.get(await engine.images.commit(commit, repo=name))


def test_an_image_others_were_made_from_stays() -> None:
    async def go() -> None:
        engine = Engine()
        base = await engine.add("base")
        child = await child_of(engine, base, "child")
        why = f"conflict: unable to delete {short(base)} (cannot be forced) - image has dependent child images"
        await refused(engine, base.id, why, force=True)
        # Its name may go; it is then neither shown nor dangling, and goes with the child.
        assert await engine.images.remove("base") == tuple(untagged("base:latest"))
        assert [view.image.id for view in engine.images.list()] == [child.id]
        assert len(engine.images.list(intermediate=True)) == 2
        gone = await engine.images.remove("child")
        assert gone == tuple(untagged("child:latest") + deleted(child, 1) + deleted(base, 0))
        assert engine.layers.kept == {}

    asyncio.run(go())


def test_parents_stay_when_asked_or_named() -> None:
    async def go() -> None:
        engine = Engine()
        base = await engine.add("base")
        await child_of(engine, base, "one")
        await engine.images.remove("one")
        assert engine.images.resolve("base").id == base.id
        await child_of(engine, base, "two")
        await engine.images.remove("base")
        await engine.images.remove("two", noprune=True)
        assert [view.image.id for view in engine.images.list()] == [base.id]

    asyncio.run(go())


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ({}, ["used:1", "named:1", "ex.com/labelled:1"]),
        ({"dangling": ["false"]}, ["used:1"]),
        ({"dangling": ["false"], "label": ["x"]}, ["used:1", "named:1"]),
        ({"dangling": ["false"], "label!": ["x"]}, ["used:1", "ex.com/labelled:1"]),
        ({"dangling": ["false"], "until": ["2025-01-01"]}, ["used:1", "named:1", "ex.com/labelled:1"]),
    ],
)
def test_prune(filters: dict[str, Sequence[str]], left: list[str]) -> None:
    async def go() -> None:
        engine = Engine()
        used = await engine.add("used:1", layers=[b"1"])
        engine.users[used.id] = [STOPPED]
        await engine.add("named:1", layers=[b"2"])
        await engine.add("ex.com/labelled:1", layers=[b"3"], config={"Labels": {"x": "y"}})
        await engine.add(layers=[b"4"])
        gone, freed = await engine.images.prune(filters)
        named = [tag for view in engine.images.list() for tag in view.tags]
        assert sorted(named) == sorted(left)
        images_gone = sum(line.action == "Deleted" for line in gone) // 2  # each with one layer
        assert freed == 100 * images_gone == 100 * (4 - len(engine.images.list()))
        assert len(engine.layers.kept) == len(engine.images.list())
        assert engine.events[-1] == ("prune", "", str(freed))

    asyncio.run(go())


def test_digests_of_a_repository_go_with_its_last_tag() -> None:
    async def go() -> None:
        engine = Engine()
        image = await engine.add("app:1")
        digest = "sha256:" + "0" * 64
        names = engine.images._names  # giving digests is for pulls, which come from elsewhere
        for repo in ("app", "other"):
            reference = engine.images._records.names_of(image.id)[0]
            names.give(replace(reference, repository=f"library/{repo}", tag="", digest=digest), image.id)
        assert engine.images.inspect(f"app@{digest}").digests == (f"app@{digest}", f"other@{digest}")
        assert await engine.images.remove("app:1") == tuple(untagged("app:1", f"app@{digest}"))
        gone = await engine.images.remove(f"other@{digest}")
        assert gone == tuple(untagged(f"other@{digest}") + deleted(image, 0))

    asyncio.run(go())
