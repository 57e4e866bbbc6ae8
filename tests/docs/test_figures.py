"""Figures that pages print of systems on three collections are those of the stored reports, to the last digit they show."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from blocks import ROOT

COLLECTIONS = {"SciFact": "scifact", "NFCorpus": "nfcorpus", "Cranfield": "cranfield"}
TABLES = {  # each page, and the reports that it names
    ROOT / "README.md": ("", "sparse-"),
    ROOT / "docs" / "filters.md": ("filters-", ""),
    ROOT / "docs" / "token-aligned.md": ("", "sparse-"),
}


def stored(collection: str, system: str, kinds: tuple[str, ...]) -> list[tuple[float, str]]:
    """Mean and mark of nDCG@10 in the first report that tests the system against `dense`; without a mark where none does."""
    found = []
    for kind in kinds:
        folder = ROOT / "evals" / f"{kind}{collection}"
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        for row in report["systems"]:
            if row["name"] == system:
                test = row["tests"].get("nDCG@10") if report["baseline"] == "dense" else None
                mark = None if test is None else "" if test["fisher_holm"] >= 0.05 else "+" if test["difference"] > 0 else "−"
                found.append((row["measures"]["nDCG@10"], mark))
    tested = [(mean, mark) for mean, mark in found if mark is not None]
    return tested[:1] or [(mean, "") for mean, _ in found]


@pytest.mark.parametrize("page", TABLES, ids=lambda page: page.stem)
def test_a_table_shows_what_the_reports_hold(page: Path) -> None:
    rows, heads = 0, []
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if "SciFact" in cells:
            heads = cells
        system = re.match(r"`(.+?)`", cells[0]) if cells else None
        if not cells:
            heads = []
        if not heads or not system:
            continue
        for name, collection in COLLECTIONS.items():
            printed = re.fullmatch(r"([\d.]+)([+−]?)", cells[heads.index(name)])
            assert printed, line
            known = stored(collection, system[1], TABLES[page])
            assert known, f"{page.name}: no report of {collection} has {system[1]}"
            assert any(f"{mean:.3f}" == printed[1] and mark == printed[2] for mean, mark in known), f"{name}: {line} {known}"
        rows += 1
    assert rows >= 7
