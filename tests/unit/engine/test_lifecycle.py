"""A container's life: start, end, stop, restart, pause, removal, with the events Docker's clients see."""

import pytest

from landbridge.errors import NotFound
from landbridge.model.container import Phase
from rig import Rig, engine_test


@engine_test
async def test_a_life_and_its_events(rig: Rig) -> None:
    await rig.create("web", ports={"80/tcp": "8080"})
    assert rig.phase("web") is Phase.CREATED
    await rig.lifecycle.start("web")
    assert rig.phase("web") is Phase.RUNNING
    assert rig.published("web") == {"80/tcp": [8080, 8080]}
    rig.check()
    await rig.lifecycle.stop("web")
    assert rig.phase("web") is Phase.EXITED
    assert rig.of("web").state.exit_code == 143
    assert rig.published("web") == {}
    rig.check()
    await rig.containers.remove("web")
    assert rig.told() == [
        "create", "connect bridge", "start", "kill", "disconnect bridge", "die", "stop", "destroy",
    ]  # fmt: skip
    with pytest.raises(NotFound, match="No such container: web"):
        rig.of("web")
