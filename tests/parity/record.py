"""Plays the corpus on a real Docker Engine and writes down its answers: `make parity`.

    python tests/parity/record.py [--only FILE] [--client PATH]…

The engine is the one behind LANDBRIDGE_PARITY_DOCKER (unix://…). What the corpus makes there is called pt-…, and
nothing else is touched. Each client's answers are kept apart where they differ.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import answers
import imagery
import reference
from corpus import Scenario, load
from play import Answer, Engine, cli_version


def record(socket_path: str, clients: list[str], scenarios: list[Scenario]) -> None:
    """Play `scenarios` with each docker command and save the answers."""
    played: dict[str, list[tuple[Scenario, list[Answer]]]] = {}
    with tempfile.TemporaryDirectory(prefix="parity-") as made:
        directory = Path(made)
        archives = imagery.build(directory / "images")
        engine_version = ""
        for client in clients:
            version = cli_version(client)
            engine = Engine(socket_path, client, directory / version)
            engine_version = engine.request("GET", "/version").json()["Version"].partition("+")[0]
            with engine.images(archives, list(imagery.NAMES)):
                for scenario in scenarios:
                    began = time.monotonic()
                    played.setdefault(version, []).append((scenario, engine.play(scenario)))
                    print(f"{version} {scenario}: {time.monotonic() - began:.1f} s", file=sys.stderr)
    answers.save(engine_version, played)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="FILE", help="files of the corpus, without .txt")
    parser.add_argument("--client", action="append", default=[], metavar="PATH", help="docker commands to record")
    given = parser.parse_args()
    scenarios = [one for one in load() if not given.only or one.file in given.only]
    clients = given.client or reference.clients()
    if not clients:
        print("there is no docker command: scripts/setup test unpacks one", file=sys.stderr)
        return 1
    with reference.engine(os.environ.get("LANDBRIDGE_PARITY_DOCKER", "")) as socket_path:
        record(socket_path, clients, scenarios)
    return 0


if __name__ == "__main__":
    sys.exit(main())
