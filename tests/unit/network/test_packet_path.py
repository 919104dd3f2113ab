"""docs/packet-path says what the rules are. After a change of the rules: LANDBRIDGE_WRITE_DOCS=1 pytest THIS_FILE."""

import os
from pathlib import Path

import pytest

import packet_path

DIRECTORY = Path(__file__).parents[3] / "docs" / "packet-path"
PAGES = packet_path.pages()


def test_there_is_a_page_for_each_and_no_other() -> None:
    if os.environ.get("LANDBRIDGE_WRITE_DOCS"):
        for name, text in PAGES.items():
            (DIRECTORY / name).write_text(text)
    assert {path.name for path in DIRECTORY.iterdir()} == set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_as_the_rules_are(name: str) -> None:
    assert (DIRECTORY / name).read_text() == PAGES[name]


def test_a_rule_that_is_not_there_cannot_be_quoted() -> None:
    page = packet_path.Page("", "", packet_path.worlds.world(), (
        packet_path.Walk("", (packet_path.Met("", "forward", "accept everything"),)),))  # fmt: skip
    with pytest.raises(AssertionError, match="forward has 0 rules"):
        page.text()


def test_every_rule_is_met_by_somebody() -> None:
    """A rule no page tells of is a rule nobody can explain."""
    told = "\n".join(text for name, text in PAGES.items() if name != "README.md")
    untold = [
        rule for policy in packet_path.ruleset.POLICIES for _, rules in packet_path.ruleset.chains(policy).values()
        for rule in rules if f"`{rule}`" not in told
    ]  # fmt: skip
    assert [rule for rule in dict.fromkeys(untold) if not _twin(rule)] == []


def _twin(rule: str) -> bool:
    """The other family's, the range's or the single address's version of a rule that is told."""
    return any(word in rule for word in ("ip6", "_range", "_addr", "oifname @bridges tcp option"))
