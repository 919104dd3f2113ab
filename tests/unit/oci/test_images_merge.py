"""What runs when image and user both say something: Docker's merge rules."""

from dataclasses import replace

import pytest

from landbridge.errors import Invalid
from landbridge.model.config import Config, Healthcheck
from landbridge.oci.merge import completed_config, merged_config

IMAGE = Config(
    user="www",
    env=("PATH=/bin", "A=image", "B=image"),
    cmd=("serve",),
    entrypoint=("/init",),
    exposed_ports={"80/tcp": {}},
    volumes={"/data": {}},
    labels={"a": "image", "b": "image"},
    working_dir="/srv",
    stop_signal="SIGINT",
    healthcheck=Healthcheck(test=("CMD", "check"), interval=5, retries=3),
)


def test_an_empty_wish_runs_what_the_image_says() -> None:
    assert merged_config(IMAGE, Config()) == IMAGE


def test_environment_is_merged_by_name_the_users_first() -> None:
    merged = merged_config(IMAGE, Config(env=("A=user", "C")))
    assert merged.env == ("A=user", "C", "PATH=/bin", "B=image")


def test_ports_volumes_and_labels_are_united() -> None:
    merged = merged_config(
        IMAGE, Config(exposed_ports={"53/udp": {}}, volumes={"/x": {}}, labels={"a": "user", "c": "user"})
    )
    assert merged.exposed_ports == {"80/tcp": {}, "53/udp": {}}
    assert merged.volumes == {"/data": {}, "/x": {}}
    assert merged.labels == {"a": "user", "b": "image", "c": "user"}


def test_a_command_goes_to_the_images_entrypoint() -> None:
    merged = merged_config(IMAGE, Config(cmd=("other",)))
    assert (merged.entrypoint, merged.cmd) == (("/init",), ("other",))


def test_an_entrypoint_silences_the_images_command() -> None:
    merged = merged_config(IMAGE, Config(entrypoint=("/mine",)))
    assert (merged.entrypoint, merged.cmd) == (("/mine",), None)


def test_an_empty_string_as_entrypoint_takes_it_away() -> None:
    merged = merged_config(IMAGE, Config(entrypoint=("",), cmd=("sh",)))
    assert (merged.entrypoint, merged.cmd) == (None, ("sh",))


def test_nothing_to_run_is_refused() -> None:
    with pytest.raises(Invalid, match="no command specified"):
        merged_config(IMAGE, Config(entrypoint=("",)))
    assert completed_config(replace(IMAGE, cmd=None, entrypoint=None), Config()).cmd is None


def test_a_health_check_is_completed_field_by_field() -> None:
    merged = merged_config(IMAGE, Config(healthcheck=Healthcheck(interval=9)))
    assert merged.healthcheck == Healthcheck(test=("CMD", "check"), interval=9, retries=3)
    own = Healthcheck(test=("NONE",))
    assert merged_config(replace(IMAGE, healthcheck=None), Config(healthcheck=own)).healthcheck == own


def test_the_users_words_win() -> None:
    merged = merged_config(IMAGE, Config(user="root", working_dir="/", stop_signal="SIGKILL"))
    assert (merged.user, merged.working_dir, merged.stop_signal) == ("root", "/", "SIGKILL")
