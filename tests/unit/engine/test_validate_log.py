"""How much of a log is kept."""

import pytest

from landbridge.engine.validate_log import kept
from landbridge.model.config import LogConfig


@pytest.mark.parametrize(("driver", "options", "size", "files", "limit"), [
    ("json-file", {}, 0, 1, 0),
    ("", {"max-size": "10k"}, 10_000, 1, 10_000),
    ("json-file", {"max-size": "1.5MiB"}, 1_500_000, 1, 1_500_000),
    ("json-file", {"max-size": "77"}, 77, 1, 77),
    ("json-file", {"max-size": "2g"}, 2_000_000_000, 1, 2_000_000_000),
    ("json-file", {"max-size": "1m", "max-file": "3"}, 1_000_000, 3, 3_000_000),
    ("json-file", {"max-size": "10k", "max-file": "3"}, 10_000, 3, 262_144),  # room for the moment until it is turned
    ("json-file", {"max-file": "3"}, 0, 3, 0),
    ("local", {}, 20_000_000, 5, 100_000_000),
    ("local", {"max-size": "1m", "max-file": "2"}, 1_000_000, 2, 2_000_000),
    ("none", {}, 0, 1, 0),
])  # fmt: skip
def test_bounds(driver: str, options: dict[str, str], size: int, files: int, limit: int) -> None:
    found = kept(LogConfig(type=driver, config=options))
    assert (found.size, found.files, found.limit) == (size, files, limit)
