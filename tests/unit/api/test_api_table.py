"""docs/api.md against the definition of the API and against the routes there are."""

import re
from pathlib import Path
from typing import Any

import pytest

import engine_api
from landbridge.api import absent
from landbridge.api.router import Router
from landbridge.api.routes import routes

_PAGE = Path(__file__).parents[3] / "docs/api.md"
_ROW = re.compile(r"\| `([A-Z]+ /\S*)` \| (works|differs|refused) \| (.*) \|")


def table() -> dict[str, tuple[str, str]]:
    rows = [match.groups() for line in _PAGE.read_text().splitlines() if (match := _ROW.fullmatch(line))]
    assert len(rows) == len({endpoint for endpoint, _, _ in rows}), "an endpoint is there twice"
    return {endpoint: (state, words) for endpoint, state, words in rows}


class _Anything:
    """Handlers only keep what the engine hands them; nothing is asked of it here."""

    def __getattr__(self, name: str) -> "_Anything":
        return _Anything()


@pytest.fixture
def router() -> Router:
    engine: Any = _Anything()
    return Router(routes(engine))


def test_every_endpoint_has_its_row() -> None:
    assert table().keys() == engine_api.operations().keys()


@pytest.mark.parametrize(("endpoint", "state", "words"), [(key, *row) for key, row in sorted(table().items())])
def test_the_row_is_true(router: Router, endpoint: str, state: str, words: str) -> None:
    method, path = endpoint.split()
    handler, _, _ = router.resolve(method, re.sub(r"\{\w+\}", "x", path))
    refusing = handler.__qualname__.startswith(f"{absent._refusing.__name__}.")
    assert refusing == (state == "refused")
    assert bool(words) == (state != "works")
