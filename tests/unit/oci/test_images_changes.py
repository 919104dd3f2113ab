"""`--change` instructions: results and messages as a real Docker 26.1 gave them for the same input."""

from typing import Any

import pytest

from landbridge.errors import Invalid
from landbridge.model.config import Config
from landbridge.oci.changes import apply_changes
from landbridge.oci.image import render_config

ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    ("CMD echo hi", {"Cmd": ["/bin/sh", "-c", "echo hi"]}),
    ('CMD ["a","b"]', {"Cmd": ["a", "b"]}),
    ('CMD ["a"', {"Cmd": ["/bin/sh", "-c", '["a"']}),
    ("CMD", {"Cmd": ["/bin/sh", "-c"]}),
    ("cmd lower", {"Cmd": ["/bin/sh", "-c", "lower"]}),
    ('ENTRYPOINT ["/x"]', {"Entrypoint": ["/x"]}),
    ("ENTRYPOINT x y", {"Entrypoint": ["/bin/sh", "-c", "x y"]}),
    ('ENV A=1 B="two words" C=a\\ b', {"Env": ["A=1", "B=two words", "C=a b"]}),
    ("ENV A 1 2 3", {"Env": ["A=1 2 3"]}),
    ("ENV A=$PATH B=${X:-dflt}", {"Env": ["A=", "B=dflt"]}),
    ("ENV A='x $Y'", {"Env": ["A=x $Y"]}),
    ("ENV A=b=c", {"Env": ["A=b=c"]}),
    ("EXPOSE 80", {"ExposedPorts": {"80/tcp": {}}}),
    ("EXPOSE 80/udp 443", {"ExposedPorts": {"443/tcp": {}, "80/udp": {}}}),
    ("EXPOSE 8000-8002", {"ExposedPorts": {"8000/tcp": {}, "8001/tcp": {}, "8002/tcp": {}}}),
    ("EXPOSE $P", {}),
    ('LABEL a=b c="d e"', {"Labels": {"a": "b", "c": "d e"}}),
    ("LABEL a b c", {"Labels": {"a": "b c"}}),
    ('LABEL "x y"=z', {"Labels": {"x y": "z"}}),
    ("USER foo", {"User": "foo"}),
    ("USER a b", {"User": "a b"}),
    ("VOLUME /a /b", {"Volumes": {"/a": {}, "/b": {}}}),
    ('VOLUME ["/c d"]', {"Volumes": {"/c d": {}}}),
    ("WORKDIR /x", {"WorkingDir": "/x"}),
    ("WORKDIR x", {"WorkingDir": "/x"}),
    ("WORKDIR /a b", {"WorkingDir": "/a b"}),
    ("ONBUILD RUN x", {"OnBuild": ["RUN x"]}),
    ("HEALTHCHECK NONE", {"Healthcheck": {"Test": ["NONE"]}}),
    ("HEALTHCHECK --interval=5s NONE", {"Healthcheck": {"Test": ["NONE"]}}),
    ("HEALTHCHECK CMD foo bar", {"Healthcheck": {"Test": ["CMD-SHELL", "foo bar"]}}),
    (
        'HEALTHCHECK --interval=5s --timeout=1m --retries=3 --start-period=2s CMD ["x"]',
        {
            "Healthcheck": {
                "Test": ["CMD", "x"],
                "Interval": 5000000000,
                "Timeout": 60000000000,
                "StartPeriod": 2000000000,
                "Retries": 3,
            }
        },
    ),
    ("STOPSIGNAL SIGTERM", {"StopSignal": "SIGTERM"}),
    ("STOPSIGNAL 9", {"StopSignal": "9"}),
]

REFUSED = [
    ("ENV A", "ENV must have two arguments"),
    ("ENV =x", "ENV names can not be blank"),
    ("ENV", "ENV requires at least one argument"),
    (
        'ENV A="unterminated',
        'failed to process "\\"unterminated": unexpected end of statement while looking for matching double-quote',
    ),
    ("EXPOSE x", "Invalid containerPort: x"),
    ("EXPOSE 80/foo", "Invalid proto: foo"),
    ("EXPOSE 70000", "Invalid containerPort: 70000"),
    ("EXPOSE 80-", "Invalid containerPort: 80-"),
    ("LABEL a", "LABEL must have two arguments"),
    ("USER", "USER requires exactly one argument"),
    ("VOLUME", "VOLUME requires at least one argument"),
    ('VOLUME ""', "VOLUME specified can not be an empty string"),
    ("WORKDIR", "WORKDIR requires exactly one argument"),
    ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
    ("ONBUILD ONBUILD X", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
    ("ONBUILD", "ONBUILD requires at least one argument"),
    ("HEALTHCHECK", "HEALTHCHECK requires at least one argument"),
    ("HEALTHCHECK FOO", 'Unknown type "FOO" in HEALTHCHECK (try CMD)'),
    ("HEALTHCHECK --interval=x CMD a", 'time: invalid duration "x"'),
    ("HEALTHCHECK --retries=x CMD a", 'strconv.ParseInt: parsing "x": invalid syntax'),
    ("HEALTHCHECK --interval=1us CMD a", 'Interval "interval" cannot be less than 1ms'),
    ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
    ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
    ("HEALTHCHECK --foo=1 CMD a", "unknown flag: foo"),
    ("STOPSIGNAL FOO", "invalid signal: FOO"),
    ("STOPSIGNAL", "STOPSIGNAL requires exactly one argument"),
    ("FROM x", "FROM is not a valid change command"),
    ("RUN x", "RUN is not a valid change command"),
    ('SHELL ["a"]', "SHELL is not a valid change command"),
    ("FOO bar", "FOO is not a valid change command"),
    ("", "file with no instructions"),
    ("# comment", "file with no instructions"),
]


@pytest.mark.parametrize(("change", "config"), ACCEPTED)
def test_accepted(change: str, config: dict[str, Any]) -> None:
    rendered = render_config(apply_changes(Config(), [change]))
    assert {key: value for key, value in rendered.items() if value} == config


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_refused(change: str, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        apply_changes(Config(), [change])
    assert caught.value.message == message


def test_later_instructions_see_what_earlier_ones_set() -> None:
    config = apply_changes(Config(), ["ENV A=1", "ENV B=$A", "WORKDIR a", "WORKDIR b\nUSER ${B}"])
    assert (config.env, config.working_dir, config.user) == (("A=1", "B=1"), "/a/b", "1")


def test_an_entrypoint_drops_the_command_that_belonged_to_another() -> None:
    before = Config(entrypoint=("/old",), cmd=("arg",))
    assert apply_changes(before, ['ENTRYPOINT ["/new"]']).cmd is None
    assert apply_changes(before, ['CMD ["x"]', 'ENTRYPOINT ["/new"]']).cmd == ("x",)


def test_lines_are_joined_by_a_backslash() -> None:
    assert apply_changes(Config(), ["ENV A=1 \\\n  B=2"]).env == ("A=1", "B=2")


def test_nothing_to_change_changes_nothing() -> None:
    assert apply_changes(Config(user="x"), []) == Config(user="x")
