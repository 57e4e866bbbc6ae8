"""Times parts of rarityir against named peers, side by side in one process: `python -m evals.bench [name …]`.

Prints a table and writes `evals/bench/results.json`. A ratio counts, not a time: both sides run here, one after another.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from pathlib import Path

from evals.bench import apply, dense, encode, filter, sparse

BENCHES: dict[str, Callable[[], dict[str, float | str]]] = {
    "apply": apply.bench,
    "dense": dense.bench,
    "encode": encode.bench,
    "filter": filter.bench,
    "sparse": sparse.bench,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(BENCHES), help=f"of: {', '.join(BENCHES)}")
    results = {}
    for name in parser.parse_args().names:
        results[name] = BENCHES[name]()
        print(f"{name}")
        for key, value in results[name].items():
            print(f"  {key:<28} {value if isinstance(value, str) else f'{value:.4g}'}", flush=True)
    machine = {"processor": platform.machine(), "python": platform.python_version()}
    path = Path(__file__).with_name("results.json")
    path.write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
