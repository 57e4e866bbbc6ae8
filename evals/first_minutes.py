"""README from top to bottom on a machine that has nothing: a fresh clone, an empty HOME, no network but pip's index.

    python -m evals.first_minutes [--tests] [--out FILE]

What README tells a reader to type is read from README: indented lines and Python blocks that no mark leaves out. pip installs
first; everything after that runs without a network where the machine lets a user take it away (`unshare -rn`). Prints what each
step took, by the clock and of a core's time, and how long the first and the second table were in coming. `make test` is left
out unless --tests is given.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = re.compile(r"PIP_|SSL_|REQUESTS_CA|LANG|LC_|OMP_")  # where pip's index is, and what writing is


def steps(text: str) -> list[str]:
    """Lines for a shell, in README's order; a Python block is one that runs it."""
    found, left_out, lines = [], False, text.splitlines()
    blocks = iter(re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    for before, line in zip(["", *lines], lines):
        if line.startswith("    ") and not left_out and (not before or before.startswith("    ")):
            found.append(line.partition("  #")[0].strip())
        elif line == "```python":
            found.append(f"python: {next(blocks)}")
        elif line.strip() and not line.startswith("    "):
            left_out = line.startswith("<!-- run: no")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", action="store_true", help="run make test too")
    parser.add_argument("--out", type=Path, help="a JSON file for the times")
    asked = parser.parse_args()
    away = Path(tempfile.mkdtemp(prefix="first-minutes-"))
    try:
        report(walk(away, tests=asked.tests), asked.out)
    finally:
        shutil.rmtree(away, ignore_errors=True)


def walk(away: Path, *, tests: bool) -> dict[str, float]:
    """Seconds of each step, by what was typed."""
    home, checkout = away / "home", away / "rarityir"
    home.mkdir()
    environment = {key: value for key, value in os.environ.items() if KEPT.match(key)}
    environment |= {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin", "TMPDIR": str(away)}
    alone = ["unshare", "-rn"] if subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0 else []
    print(f"network after pip: {'none' if alone else 'as it is: this machine does not take it away'}", flush=True)
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(checkout)], check=True)
    took: dict[str, float] = {}

    def run(name: str, command: list[str]) -> None:
        started, before = time.monotonic(), os.times()
        done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
        after = os.times()
        took[name] = round(time.monotonic() - started, 1)
        worked = after.children_user + after.children_system - before.children_user - before.children_system
        print(f"{took[name]:7.1f} s, {worked:6.1f} s of a core  {name}", flush=True)
        if done.returncode:
            sys.exit(f"{name} failed in {checkout}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        if name.startswith("make eval"):
            print("\n".join(f"           {line}" for line in done.stdout.splitlines()[:14]), flush=True)

    run("make setup", ["make", f"PYTHON={sys.executable}", "setup"])
    for step in steps((checkout / "README.md").read_text(encoding="utf-8")):
        if step == "make test" and not tests:
            print("         –  make test (--tests runs it)")
        elif step.startswith("python: "):
            run("the Python block", [*alone, ".venv/bin/python", "-c", step.removeprefix("python: ")])
        else:
            run(step, [*alone, *step.split()])
        if step == "make eval":
            run("make eval again", [*alone, "make", "eval"])
    return took


def report(took: dict[str, float], out: Path | None) -> None:
    """The two figures, printed and kept."""
    first = round(took["make setup"] + took["make eval"], 1)
    print(f"first table after {first} s, of which installing took {took['make setup']} s")
    print(f"second table after {took['make eval again']} s more")
    if out:
        facts = {"first_table": first, "second_table": took["make eval again"], "cores": os.cpu_count(), "steps": took}
        out.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
