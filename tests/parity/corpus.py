"""The corpus: small scenarios as text, one file per subject under corpus/.

    == a name, unique in its file          starts a scenario
    # a remark
    run -d --name pt-a ptbox sleep 600      a docker command line, without "docker"; ` <<< text` at its end is stdin
    sh docker save ptbox | tar -t           a shell line; `docker` is the client under test, the directory is $TMP
    GET /containers/pt-a/json => State.Status Config.Image      a request and which parts of the answer count
    POST /containers/create?name=pt-a {"Image": "ptbox"}        a request with a body
    ~ stop -t 0 pt-a                        done, but what it answers does not count
    ID := run -d --name pt-b ptbox true     its output (or the answer's Id) for later lines: $ID, ${ID:12}

Paths get the recorded API version unless they begin with /v or with =, which is taken off. Everything a scenario
makes is called pt-…, so that it can be removed again on an engine that belongs to somebody.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
_REQUEST = re.compile(r"(GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS) (\S+)(?: (.*))?")
_CAPTURE = re.compile(r"([A-Z][A-Z0-9]*) := (.*)")


@dataclass(frozen=True, slots=True)
class Step:
    """One line. `kind` is cli, sh or api; `counts` is false for lines marked ~."""

    line: str
    kind: str
    text: str
    counts: bool = True
    variable: str = ""
    stdin: str = ""
    method: str = ""
    path: str = ""
    body: str = ""
    select: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """Lines that run in order on an engine that has only the corpus' images."""

    file: str
    name: str
    steps: list[Step] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.file}: {self.name}"


def load(directory: Path = CORPUS) -> list[Scenario]:
    """Every scenario, by file and place. Raises: ValueError for a line outside a scenario or a name used twice."""
    found: list[Scenario] = []
    for path in sorted(directory.glob("*.txt")):
        names: set[str] = set()
        for number, line in enumerate(path.read_text().splitlines(), 1):
            line = line.strip()
            if line.startswith("== "):
                if line[3:] in names:
                    raise ValueError(f"{path.name}:{number}: {line[3:]!r} is there already")
                names.add(line[3:])
                found.append(Scenario(path.stem, line[3:]))
            elif line and not line.startswith("#"):
                if not names:
                    raise ValueError(f"{path.name}:{number}: a line outside any scenario")
                found[-1].steps.append(parse_step(line))
    return found


def parse_step(line: str) -> Step:
    """One line as a step."""
    text, variable, counts = line, "", True
    if text.startswith("~ "):
        text, counts = text[2:], False
    if match := _CAPTURE.fullmatch(text):
        variable, text = match.groups()
    if match := _REQUEST.fullmatch(text):
        method, path, rest = match.groups()
        body, _, select = (rest or "").partition("=> ") if "=> " in (rest or "") else (rest or "", "", "")
        return Step(
            line, "api", text, counts, variable, method=method, path=path, body=body.strip(),
            select=tuple(select.split()),
        )  # fmt: skip
    if text.startswith("sh "):
        return Step(line, "sh", text[3:], counts, variable)
    text, _, stdin = text.partition(" <<< ")
    return Step(line, "cli", text, counts, variable, stdin=stdin)
