"""Times parts of rarityir against named peers, side by side in one run: `python -m evals.bench [name …]`, `make bench`.

Prints a table, writes `results.json` here (the last run of each area) and appends to `RESULTS.md`. A ratio counts,
not a time: both sides run here, one after another. Where a figure misses its goal, that is said last, and the status is 1.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from evals.bench.goals import Goal, held, unmeasured
from rarityir.types import RarityError

# What needs long, or what is not here by itself (topics' files, a model's shape), is asked for by name.
AREAS = (
    "apply", "bm25", "dense", "encode", "end_to_end", "filter", "ica", "informativeness", "measures", "modelmap", "probe",
    "sparse",
)  # fmt: skip
LONG = ("cluster", "msmarco", "plan", "scale")
FOLDER = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of: {', '.join((*AREAS, *LONG))}  [default: {', '.join(AREAS)}]")
    names = parser.parse_args().names or list(AREAS)
    for name in names:
        if name not in (*AREAS, *LONG):
            parser.error(f"unknown area {name!r}; known: {', '.join((*AREAS, *LONG))}")
    missed: list[str] = []
    for name in names:
        area = import_module(f"evals.bench.{name}")
        try:
            figures: dict[str, float | str] = area.bench()
        except (RarityError, ImportError) as error:  # the last run's figures stay
            missed.append(f"{name}: not run, {error}")
            continue
        wanted = getattr(area, "GOALS", {})
        goals = held(figures, wanted)
        print(name)
        for key, value in figures.items():
            print(f"  {key:<28} {shown(value)}{said(key, goals)}", flush=True)
        keep(name, figures, goals)
        missed += [f"{name}, {key}: {shown(figures[key])}, {goal} was the goal" for key, (goal, met) in goals.items() if not met]
        missed += [
            f"{name}: no figure {pattern}, which has a goal" for pattern in unmeasured(figures, getattr(area, "GOALS", {}))
        ]
    if missed:
        sys.exit("\n".join([f"{len(missed)} missed:", *missed]))


def said(key: str, goals: Mapping[str, tuple[Goal, bool]]) -> str:
    """What a figure was held to."""
    if key not in goals:
        return ""
    goal, met = goals[key]
    return f" ({goal}: {'met' if met else 'missed'})"


def keep(name: str, figures: dict[str, float | str], goals: Mapping[str, tuple[Goal, bool]]) -> None:
    """Writes an area's figures over its last ones, and appends them as a table."""
    machine = f"{processor()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"
    path = FOLDER / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    results[name] = {"machine": machine, **figures}
    path.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")
    table = FOLDER / "RESULTS.md"
    if not table.exists():
        table.write_text(
            "# Results\n\nRuns of `python -m evals.bench`, each appended: of an area with several the last counts.\n"
        )
    lines = [f"| {key} | {shown(value)}{said(key, goals)} |" for key, value in figures.items()]
    today = datetime.datetime.now(datetime.UTC).date()
    with table.open("a") as file:
        file.write("\n".join([f"\n## {name}, {today}\n", f"{machine}.\n", "| what | figure |", "|---|---|", *lines, ""]))


def processor() -> str:
    """What the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def shown(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


if __name__ == "__main__":
    main()
