"""What the package depends on is pinned, and its licences go with this one's."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

from packaging.requirements import Requirement

SPEC = importlib.util.spec_from_file_location("audit", Path(__file__).parents[1] / "evals" / "audit.py")
assert SPEC is not None
assert SPEC.loader is not None
audit = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(audit)


def test_everything_named_is_pinned_to_a_version_that_is_allowed() -> None:
    pinned = audit.pins((audit.ROOT / "constraints.txt").read_text())
    assert len(audit.requirements()) > 25
    assert audit.unpinned(audit.requirements(), pinned) == []


def test_what_is_not_pinned_or_pinned_elsewhere_is_told() -> None:
    wanted = [Requirement("one>=2"), Requirement("Two_x>=1"), Requirement("three")]
    assert audit.unpinned(wanted, audit.pins("# no\none==1.9\ntwo-x==1.0\n")) == [
        "one is pinned to 1.9, and pyproject.toml asks for >=2",
        "three is named in pyproject.toml and not pinned in constraints.txt",
    ]


def test_every_licence_is_known_and_an_unknown_one_is_told(monkeypatch) -> None:
    names = audit.brought()
    assert {"numpy", "click", "safetensors", "tqdm"} <= names
    assert audit.unlicensed(names) == []
    monkeypatch.setattr(audit, "licence", lambda name: "AGPL-3.0" if name == "numpy" else "MIT")
    (line,) = audit.unlicensed(names)
    assert line.startswith("numpy: licence 'AGPL-3.0'")


def test_what_could_not_be_looked_up_is_not_said_to_be_known_as_safe() -> None:
    whole = {"name": "one", "version": "1.0", "vulns": [{"id": "PYSEC-1"}, {"id": "GHSA-2"}]}
    clean, skipped = {"name": "two", "version": "2.0", "vulns": []}, {"name": "three", "skip_reason": "not found on PyPI"}
    known, said = audit.looked_up(json.dumps({"dependencies": [whole, clean, skipped]}), "")
    assert known == ["one 1.0: PYSEC-1", "one 1.0: GHSA-2"]
    assert "2 of 3 packages looked up, 2 vulnerabilities known; 1 were not, the first because: not found on PyPI" in said
    assert audit.looked_up(json.dumps({"dependencies": [skipped]}), "No known vulnerabilities found")[1].startswith(
        "pip-audit: 0 of 1 packages looked up"
    )
    assert audit.looked_up("", "x\nno route to host\n") == ([], "pip-audit could not reach its database: no route to host")
