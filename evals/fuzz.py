"""Gives every parser hostile input by the ten thousand: `python -m evals.fuzz`, or some parsers with `--only`.

Each input is valid files made hostile (tests/fuzz/hostile.py), and its checksums made true again every second time. What a parser
promises is in tests/fuzz/promise.py. Every input has a seed of its own, so that one that fails can be given again.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shutil
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from faults.table import Row, keep
from fuzz.hostile import mutated
from fuzz.parsers import PARSERS, placed, taken
from fuzz.promise import kept

LEAST = 10_000  # inputs from which on a parser's row is kept
VALID = 24  # valid inputs that a parser's hostile ones are made of
PROMISE = "a result or one line that says what is wrong; within 1 s of a processor and 1 GiB of memory"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--inputs", type=int, default=10_000, help="hostile inputs a parser")
    options.add_argument("--only", default="", help="names of parsers that hold this")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--show", type=int, default=3, help="failures shown a parser")
    options.add_argument("--part", default="0/1", help="0/2 and 1/2: two processes, half the parsers each")
    given = options.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("error")  # a second line is no promise kept
    part, parts = map(int, given.part.split("/"))
    rows = []
    for name in [name for name in PARSERS if given.only in name][part::parts]:
        rows.append(one(name, given))
        if given.inputs >= LEAST:
            keep("fuzz", [rows[-1]])
    sys.exit(any(row.lost for row in rows))


def one(name: str, given: argparse.Namespace) -> Row:
    """Fuzzes a parser and returns its row of the table."""
    started, failures = time.monotonic(), list(failing(name, given.inputs, given.seed))
    print(f"{name}: {given.inputs} inputs, {len(failures)} broken, {time.monotonic() - started:.0f} s", flush=True)
    kinds: dict[str, int] = {}
    for seed, said in failures:
        kinds.setdefault(said[-60:], seed)
    for said, seed in list(kinds.items())[: given.show]:
        print(f"    seed {seed}: {dict(failures)[seed]} ({said[-20:]})")
    return Row(f"hostile input: {name}", PROMISE, "python -m evals.fuzz", given.inputs, len(failures))


def failing(name: str, inputs: int, seed: int) -> Any:
    """Yields the seed and what was broken, of each input that broke the promise."""
    parser = PARSERS[name]
    scratch = Path(tempfile.mkdtemp(prefix="rarityir-fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    try:
        valid = []
        for number in range(VALID):
            folder = scratch / f"valid{number}"
            folder.mkdir()
            parser.write(folder, Random(f"{seed} {number}"))
            valid.append(taken(folder))
            kept(partial(parser.read, folder))  # what is compiled is compiled now
        for number in range(inputs):
            rng = Random(f"{seed} {name} {number}")
            files = mutated(rng.choice(valid), rng)
            folder = placed(files, scratch / "hostile")
            if parser.seal is not None and rng.random() < 0.5:
                with contextlib.suppress(Exception):
                    parser.seal(folder)
            if said := kept(partial(parser.read, folder)):
                yield number, said
            shutil.rmtree(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
