"""Gives every parser the inputs that lead its code to new places, by atheris: `python -m evals.guided`.

Where `evals.fuzz` makes valid files hostile by rule, here libFuzzer changes one file at a time, by its own ways and by those
rules in turn, and keeps what reaches lines that nothing reached before. Each parser runs in a process of its own, so that one
that kills its process is told too. Inputs that break the promise of tests/fuzz/promise.py stay under --out, each with what was
broken beside it; `--only PARSER --replay FILE` gives one again. Needs atheris: `pip install 'rarityir[fuzz]'`.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

if TYPE_CHECKING:
    from faults.table import Row
    from fuzz.hostile import Files
    from fuzz.parsers import Parser

LEAST = 10_000  # inputs from which on a parser's row is kept
VALID = 8  # valid inputs to begin with
SEALED = 0x80  # in an input's first byte: its checksums are made true again
LARGEST = 1 << 16  # bytes of an input
HANGS = 900  # seconds without a new input, after which a parser's process is ended; much, as a machine may be busy
COMPILED = [f"rarityir.indexes.{name}" for name in ("instructions", "keeping", "kernels", "saturating", "sorting")]  # by numba
PROMISE = "a result or one line that says what is wrong; within 1 s of a processor and 1 GiB of memory"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--inputs", type=int, default=10_000, help="inputs a parser")
    options.add_argument("--only", default="", help="names of parsers that hold this")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--out", type=Path, default=Path("build/guided"), help="folder for inputs that break the promise")
    options.add_argument("--replay", type=Path, help="one such input: gives it again and says what it breaks")
    options.add_argument("--parser", help=argparse.SUPPRESS)  # in a process of its own
    given = options.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    if given.parser and given.replay:
        sys.exit(replayed(given.parser, given.replay.read_bytes()) or 0)
    if importlib.util.find_spec("atheris") is None:
        sys.exit("atheris is not installed: pip install 'rarityir[fuzz]'")
    if given.parser:
        guided(given.parser, given.inputs, given.seed, given.out)
    from faults.table import keep
    from fuzz.parsers import PARSERS

    names, lost = [name for name in PARSERS if given.only in name], 0
    if given.replay:
        if len(names) != 1:
            sys.exit(f"--replay wants the name of one parser in --only, not of {len(names)}")
        sys.exit(replayed(names[0], given.replay.read_bytes()) or 0)
    for name in names:
        row = one(name, given.inputs, given.seed, given.out / "".join(c if c.isalnum() else "-" for c in name))
        lost += row.lost
        if row.injected >= LEAST:
            keep("guided", [row])
    sys.exit(bool(lost))


def one(name: str, inputs: int, seed: int, out: Path) -> Row:
    """Runs a parser's process and returns its row of the table."""
    started = time.monotonic()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    argv = [sys.executable, "-m", "evals.guided", "--parser", name, "--out", str(out.resolve())]
    with tempfile.TemporaryDirectory(prefix="rarityir-guided-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as scratch:
        environment = {**os.environ, "TMPDIR": scratch}
        ended = _ended([*argv, "--inputs", str(inputs), "--seed", str(seed)], environment, out)
        for told in out.glob("*.txt"):  # what is led by coverage is slow; what counts is how long it takes without
            if ": it took " in told.read_text(encoding="utf-8", errors="replace"):
                again = [*argv, "--replay", str(told.with_suffix(".bin").resolve())]
                if subprocess.run(again, env=environment, capture_output=True).returncode == 0:
                    told.unlink()
                    told.with_suffix(".bin").unlink()
    given = int((out / "given").read_text()) if (out / "given").exists() else 0
    broken = sorted(out.glob("*.txt"))
    print(f"{name}: {given} inputs, {len(broken) + bool(ended)} broken, {time.monotonic() - started:.0f} s", flush=True)
    for told in broken[:3]:
        print(f"    {told.with_suffix('.bin')}: {told.read_text(encoding='utf-8', errors='replace').strip()}")
    if ended:
        print(f"    {ended}; {out / 'said'} holds what its process said")
    from faults.table import Row

    return Row(f"input led by coverage: {name}", PROMISE, "python -m evals.guided", given, len(broken) + bool(ended))


def _ended(argv: list[str], environment: dict[str, str], out: Path) -> str:
    """Runs a parser's process to its end and says how that was, if it was not as it should be."""
    with (out / "said").open("wb") as said, subprocess.Popen(argv, env=environment, stdout=said, stderr=said) as process:
        before, since = -1.0, time.monotonic()
        while process.poll() is None:
            time.sleep(0.2)
            now = (out / "given").stat().st_mtime if (out / "given").exists() else 0.0
            if now != before:
                before, since = now, time.monotonic()
            elif time.monotonic() - since > HANGS:
                process.kill()
                process.wait()
                return f"no new input for {HANGS} s"
    return f"its process ended with {process.returncode}" if process.returncode else ""


def guided(name: str, inputs: int, seed: int, out: Path) -> None:
    """Fuzzes a parser; does not return."""
    import atheris

    with atheris.instrument_imports(include=["rarityir", "tomllib"], exclude=COMPILED):
        from fuzz.hostile import broken
        from fuzz.parsers import PARSERS

        parser, scratch = PARSERS[name], Path(tempfile.mkdtemp())
        valid = begun(parser, scratch)  # reads, too: what is imported then is led by coverage as well
    corpus = scratch / "corpus"
    corpus.mkdir()
    for number, files in enumerate(valid):
        for place, kind in enumerate(sorted(files)):
            for seal in (0, SEALED) if parser.seal else (0,):
                (corpus / f"{number}-{place}-{seal}").write_bytes(bytes([number | seal, place]) + files[kind])
    count = 0

    def read(data: bytes) -> None:
        nonlocal count
        count += 1
        if said := held(parser, valid, data, scratch / "hostile"):
            (out / f"{count:06}.txt").write_text(f"{said}\n", encoding="utf-8", errors="replace")
            (out / f"{count:06}.bin").write_bytes(data)
        if count % 50 == 0 or count >= inputs:
            (out / "given").write_text(str(count))

    def changed(data: bytes, largest: int, chosen: int) -> bytes:
        if chosen % 3 or len(data) < 2:
            return bytes(atheris.Mutate(data, largest))
        files = valid[data[0] % VALID]
        return data[:2] + broken(sorted(files)[data[1] % len(files)], data[2:], Random(chosen))[: largest - 2]

    # Above what `kept` allows, so that what does not come back is told by it; a timeout of 0 ends the process at once.
    limits = [f"-timeout={HANGS}", "-rss_limit_mb=4096", f"-max_len={LARGEST}", "-len_control=0"]
    argv = [f"-runs={inputs}", f"-seed={seed}", *limits, f"-artifact_prefix={out}/", "-verbosity=0", str(corpus)]
    atheris.Setup([sys.argv[0], *argv], read, custom_mutator=changed)
    atheris.Fuzz()


def begun(parser: Parser, scratch: Path) -> list[Files]:
    """Returns a parser's valid inputs, each read once, so that what is compiled is compiled."""
    from fuzz.parsers import taken
    from fuzz.promise import kept

    found = []
    for number in range(VALID):
        folder = scratch / f"valid{number}"
        folder.mkdir()
        parser.write(folder, Random(f"guided {number}"))
        found.append(taken(folder))
        kept(partial(parser.read, folder))
    return found


def held(parser: Parser, valid: list[Files], data: bytes, folder: Path) -> str:
    """Gives a parser an input and returns what it broke: its first byte chooses valid files, its second which of them it is."""
    from fuzz.parsers import placed
    from fuzz.promise import kept

    files = dict(valid[(data[0] & ~SEALED) % VALID if data else 0])
    changed = sorted(files)[(data[1] if len(data) > 1 else 0) % len(files)]
    placed({**files, changed: data[2:]}, folder)
    if parser.seal is not None and data and data[0] & SEALED:
        with contextlib.suppress(Exception):
            parser.seal(folder)
    said = kept(partial(parser.read, folder))
    shutil.rmtree(folder)
    return said and f"{changed}: {said}"


def replayed(name: str, data: bytes) -> str:
    """Returns what an input of a parser breaks, in a process that is not led by coverage."""
    from fuzz.parsers import PARSERS

    with tempfile.TemporaryDirectory() as folder:
        return held(PARSERS[name], begun(PARSERS[name], Path(folder)), data, Path(folder) / "hostile")


if __name__ == "__main__":
    main()
