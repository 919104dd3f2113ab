"""`make bench`: landbridge beside Docker and Podman; writes bench/RESULTS.md when everything was measured.

make bench                      all rows, up to 40 minutes
make bench ROWS="start rm"      these only; the table is printed, RESULTS.md stays
make bench QUICK=1              a look whether it works: few rounds, small numbers, a few minutes; RESULTS.md stays
"""

import argparse
import os
import signal
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import images
from lab import ROOT

from bench import machine, peers
from bench.bare import Bare
from bench.engines import Engine
from bench.rows import Findings
from bench.runner import chosen, play, show
from bench.table import NAMES, report
from bench.theme import QUICK, WHOLE, Theme
from bench.themes import THEMES

RESULTS = ROOT / "bench/RESULTS.md"
HOW = """\
Written by `make bench`. Every engine runs on a machine of its own (a network namespace with a machine outside
on a wire), with the same image, and the same `docker` command where the engine has an API. Engines play in
turn, another one first in each round, so what disturbed the machine disturbed all of them. A cell is the
median (lowest–highest, ± half the distance between the quartiles); a ratio says how many times better
landbridge is, by the medians, then the worst and the best single round. Absolute figures belong to the
machine; compare ratios."""


def main() -> int:
    """0 when everything that was asked for was measured."""
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", help="themes or rows; all without")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--engines", default="landbridge docker podman", help="which engines (default: all)")
    parser.add_argument(
        "--output", type=Path, help=f"where the page goes (default for the whole bench: {RESULTS.name})"
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    place = peers.work_directory()
    try:
        themes = chosen([kind(QUICK if options.quick else WHOLE, place) for kind in THEMES], options.rows)
    except ValueError as error:
        peers.remove_directory(place)
        parser.error(str(error))
    output = options.output or (None if options.quick or options.rows else RESULTS)
    try:
        return measure(themes, options.engines.split(), place, output)
    except KeyboardInterrupt:
        print("interrupted; everything was taken away", file=sys.stderr)
        return 130
    finally:
        peers.remove_directory(place)


def measure(themes: list[Theme], names: list[str], place: Path, output: Path | None) -> int:
    """Start what the themes need, play them, write the page."""
    facts = machine.facts()
    begun = time.monotonic()
    found: list[Findings] = []
    images.build("busybox", place / "busybox.tar")
    with ExitStack() as stack:
        running = start(stack, themes, names, place)
        facts |= {NAMES[name]: engine.version for name, engine in running.items() if engine.version}
        facts["load by"] = peers.tool_versions()
        for theme in themes:
            print(f"… {theme.title}", file=sys.stderr, flush=True)
            found.append(play(theme, running, begun + theme.size.limit - time.monotonic()))
            show(found[-1])
        facts["measured"] = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {(time.monotonic() - begun) / 60:.0f} minutes"
        if output:
            output.write_text(report(found, facts, HOW))
            print(f"written: {output}")
    return 0 if all(findings.samples for findings in found) else 1


def start(stack: ExitStack, themes: list[Theme], names: list[str], place: Path) -> dict[str, Engine]:
    """The engines that somebody needs; one that cannot be started is told of and left out."""
    needed = {name for theme in themes for name in theme.engines}
    running: dict[str, Engine] = {}
    engines = stack.enter_context(peers.Engines(place, place / "busybox.tar"))
    for name in names:
        if name in needed:
            try:
                running[name] = engines.start(name)
            except (RuntimeError, OSError) as error:
                print(f"{name} is left out: {error}", file=sys.stderr, flush=True)
    if "bare" in needed:
        running["bare"] = bare(stack)
    return running


def bare(stack: ExitStack) -> Engine:
    """The reference by hand."""
    reference = Bare(f"lbb{os.getpid()}b")
    stack.callback(reference.close)
    reference.set_up()
    return reference


if __name__ == "__main__":
    sys.exit(main())
