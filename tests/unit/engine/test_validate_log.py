"""How large a log may grow."""

import pytest

from landbridge.engine.validate_log import most_kept
from landbridge.model.config import LogConfig


@pytest.mark.parametrize(("driver", "options", "wanted"), [
    ("json-file", {}, 0),
    ("", {"max-size": "10k"}, 10_000),
    ("json-file", {"max-size": "1.5MiB"}, 1_500_000),
    ("json-file", {"max-size": "77"}, 77),
    ("json-file", {"max-size": "2g"}, 2_000_000_000),
    ("json-file", {"max-size": "10k", "max-file": "3"}, 30_000),
    ("json-file", {"max-file": "3"}, 0),
    ("local", {}, 100_000_000),
    ("local", {"max-size": "1m", "max-file": "2"}, 2_000_000),
    ("none", {}, 0),
])  # fmt: skip
def test_bounds(driver: str, options: dict[str, str], wanted: int) -> None:
    assert most_kept(LogConfig(type=driver, config=options)) == wanted
