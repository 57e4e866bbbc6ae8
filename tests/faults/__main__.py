"""`python -m tests.faults [AREA …] [--count N]`: the long dose of every fault, its rows, and the page made of them."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest finds what tests share

from faults.harness import launched, workplace
from faults.stages import STAGES, Base
from faults.table import Row, keep, render

RUN = ("kills", "stops", "damage", "disk", "together", "java", "hub", "downloads", "soak")


def area(name: str, count: int, only: list[str], rng: random.Random) -> Iterator[Row]:
    """Yields an area's rows as they come."""
    with workplace() as home, launched(home / "launcher") as launcher:
        found: Callable[..., Iterator[Row]] = import_module(f"faults.{name}").rows
        stages = [stage for stage in STAGES.values() if not only or stage.name in only]
        yield from found(Base(launcher, home / "base"), home / "trial", count, rng, stages)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Put faults into commands; count what is lost.")
    parser.add_argument("areas", nargs="*", choices=[*RUN, []], help=f"Which: {', '.join(RUN)}; all where none is named.")
    parser.add_argument("--count", type=int, default=18, help="How often for a stage or a kind of file.")
    parser.add_argument("--stage", action="append", default=[], help="These stages alone.")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="Of what is drawn; said in the output.")
    parser.add_argument("--render", action="store_true", help="Only make the page anew from the files.")
    given = parser.parse_args()
    lost = 0
    for name in [] if given.render else given.areas or RUN:
        print(f"{name}, seed {given.seed}", flush=True)
        for row in area(name, given.count, given.stage, random.Random(f"{name} {given.seed}")):
            lost += row.lost
            print(f"  {row.fault}: {row.injected} injected, {row.lost} lost" + ", not kept" * (not row.injected), flush=True)
            for failure in row.failures:
                print(f"    {failure}", flush=True)
            keep(name, [row])
    print(render())
    return int(lost > 0)


if __name__ == "__main__":
    raise SystemExit(main())
