"""A page about a method has its five parts, its pictures are drawn from stored figures, and its tables are those figures."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from blocks import ROOT, blocks

DOCS, EVALS = ROOT / "docs", ROOT / "evals"
CONTENTS = runpy.run_path(str(DOCS / "conf.py"))["CONTENTS"]
METHODS = sorted({name.removeprefix("docs/") for name in CONTENTS["Methods"]} - {"rarity"})  # which lists the pages of its kind
SOURCE = re.compile(r"arXiv|et al\.|[A-Z]{4,} 20\d\d|\((?:19|20)\d\d\)|, (?:19|20)\d\d\)|PromptReps")
NUMBER = re.compile(r"[-−+]?\d*\.?\d+(?:,\d{3})*")


def text(page: str) -> str:
    return (DOCS / f"{page}.md").read_text(encoding="utf-8")


def stored(path: str):
    return json.loads((EVALS / path).read_text(encoding="utf-8"))


def table(page: str, head: str) -> dict[str, list[str]]:
    """The table whose first line begins so: first cell (without marks) → the other cells."""
    lines = text(page).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(head))
    rows = [line for line in lines[start + 2 : lines.index("", start)] if line.startswith("|")]
    cells = [[cell.strip() for cell in row.strip().strip("|").split(" | ")] for row in rows]
    return {row[0].replace("`", ""): row[1:] for row in cells}


def near(cells: list[str], wanted: list[float]) -> bool:
    """Every figure shown is the stored one, rounded: half a unit of its last digit, and what a second rounding adds."""
    shown = [x.replace("−", "-").replace(",", "") for cell in cells for x in NUMBER.findall(cell)]
    units = [10.0 ** -len(x.partition(".")[2]) for x in shown]
    return len(shown) == len(wanted) and all(
        abs(float(x) - y) <= 0.56 * unit for x, unit, y in zip(shown, units, wanted, strict=True)
    )


@pytest.mark.parametrize("page", METHODS)
def test_a_method_has_formula_picture_table_limits_and_source(page: str) -> None:
    said = text(page)
    assert any(block.language == "math" for block in blocks(DOCS / f"{page}.md")), "no formula"
    assert re.search(r"^!\[[^\]]{10,}\]\(\S+\.(?:svg|png)\)$", said, re.M), "no picture"
    assert re.search(r"^\| ?:?-{3}", said, re.M), "no table"
    assert re.search(r"\bLimits\b", said), "no limits"
    assert SOURCE.search(said), "no source"


def test_each_method_has_a_picture_of_its_own() -> None:
    shown = [link for page in METHODS for link in re.findall(r"!\[[^\]]+\]\((\S+)\)", text(page))]
    assert len(shown) == len(set(shown))


def test_pictures_are_drawn_from_the_stored_figures(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "evals.pictures", "--out", str(tmp_path)], cwd=ROOT, check=True)
    drawn = sorted(tmp_path.rglob("*.svg"))
    assert len(drawn) == 5
    for path in drawn:
        words = [re.findall(r"<!-- (.+?) -->", where.read_text()) for where in (path, EVALS / path.relative_to(tmp_path))]
        assert words[0] == words[1] != [], path.name


def test_the_probe_is_the_stored_study() -> None:
    study = stored("rarity/probe/probe.json")
    target, r2 = study["probe"]["targets"]["log_icf"], study["r2"]["log_icf"]

    def pair(found: dict) -> list[float]:
        return [found[kind][key] for kind in ("type", "occurrence") for key in ("value", "low", "high")]

    shown = table("rarity-probe", "| | over types")
    assert near(shown["ridge, out of fold"], pair(r2["ridge"]))
    assert near(shown["ridge, the tenth kept apart"], pair(target["test"]))
    assert near(shown["with the head repaired (balanced)"], pair(r2["repaired"]))
    assert near(shown["the token's name alone"], pair(r2["surface"]))
    assert near(shown["p of 199 permutations"], [target["chance"]["p_type"], target["chance"]["p_occurrence"]])
    bands = table("rarity-probe", "| band |")
    keys = ("rows", "share", "actual", "predicted", "bias_occurrence", "error")
    assert list(bands) == [band["name"] for band in target["table"]]
    for band in target["table"]:
        assert near(bands[band["name"]], [band[key] for key in keys]), band["name"]


def test_the_headline_is_the_stored_table() -> None:
    found = {
        (row["model"].removeprefix("st:").lower(), row["dataset"]): row
        for row in stored("rarity/table.json")
        if (row["of"], row["rows"], row["target"]) == ("documents", "input", "mp_idf")
    }
    names = {"Cranfield": "cranfield", "NFCorpus": "beir/nfcorpus/test", "SciFact": "beir/scifact/test"}
    model, seen = "", 0
    for line in text("rarity-headline").splitlines():
        cells = [cell.strip().replace("**", "") for cell in line.strip().strip("|").split("|")]
        if len(cells) != 7 or cells[1] not in names:
            continue
        model = cells[0].split(" ")[0] or model
        row = found[model.lower(), names[cells[1]]]
        head, repaired = row["head"], row["repaired"]
        wanted = [
            row["types"],
            *row["ridge"][0],
            *row["ridge"][1],
            head["actual"],
            head["predicted"],
            repaired[0][0],
            repaired[1][0],
        ]
        assert near([cell.replace("→", " ") for cell in cells[2:]], wanted), line
        seen += 1
    assert seen == 9


def test_idfs_are_the_stored_ones() -> None:
    (cranfield,) = [t for t in stored("rarity/idf/demo/idf.json")["tables"] if t["dataset"] == "cranfield"]
    lines = {line["idf"]: line for line in cranfield["lines"] if line["level"] == "L0"}
    shown = table("rarity-idf", "| IDF | level")
    assert shown.keys() == lines.keys()
    for name, cells in shown.items():
        gap = lines[name]["gaps"].get("nDCG@10", {})
        wanted = [lines[name]["measures"][m] for m in ("nDCG@10", "R@100", "RR@10")]
        assert near(cells[1:], [*wanted, *(gap[key] for key in ("value", "low", "high") if gap)]), name


def test_alignment_is_the_stored_one() -> None:
    kinds = {"raw": "none", "`edge:2`": "edge:2", "`auto`": "auto", "edge:2": "edge:2", "auto": "auto"}
    for name, cells in table("alignment", "| share of entries").items():
        part, kind = name.split(" words, ")
        for cell, collection in zip(cells, ("scifact", "nfcorpus", "cranfield"), strict=True):
            (row,) = [r for r in stored(f"alignment/{collection}/alignment.json")["rows"] if r["filter"] == kinds[kind]]
            share = row["corrected"][part]["share"]
            assert near([cell], [share["own"], share["control"]]), f"{name}: {collection}"


def test_analogies_are_the_stored_ones() -> None:
    files = ("google-G", "google-P1", "google-input-P1", "google-output-P1")
    for name, cells in table("analogy", "| | texts, G").items():
        for cell, file in zip(cells, files, strict=True):
            scores = stored(f"analogy/{file}.json")["scores"][name]
            assert near([cell], [scores[key] for key in ("hit_rate@1", "hit_rate@10", "mrr")]), f"{name}: {file}"


def test_offsets_are_the_stored_ones() -> None:
    rows = {"no offset": "none", "popularity": "popularity", "one vector": "offset", "16 clusters": "16 clusters",
            "one, no judgements": "unjudged", "16, shuffled": "shuffled, 16 clusters", "one, random": "random"}  # fmt: skip
    shown = table("analogy", "| | SciFact dense")
    systems = stored("analogy/offset-scifact.json")["systems"]
    new, old = systems["dense"]["apart"].values()
    for place, found in {0: systems["dense"]["test"], 1: systems["dense+edge:2"]["test"], 6: new["rows"], 7: old["rows"]}.items():
        for name, key in rows.items():
            (printed, mark) = re.fullmatch(r"([\d.]+)([+-]?)", shown[name][place]).groups()
            score = found[key]["nDCG@10"]
            sure = score.get("p_holm", 1) < 0.05
            assert near([printed], [score["mean"]]), f"{name}, column {place}"
            assert mark == (("+" if score["difference"] > 0 else "-") if sure else ""), f"{name}, column {place}"


def test_filters_of_axes_are_the_stored_ones() -> None:
    found = {row["dataset"]: row for row in stored("ica/filters.json") if row["tau"] == "2"}
    kinds = ("edge", "tail", "ICA-drop", "random axes", "random directions")
    for name, cells in table("ica", "| collection, 128 of 256").items():
        assert near(cells, [found[name]["none"], *(found[name]["means"][kind] for kind in kinds)]), name


def test_layers_are_the_stored_ones() -> None:
    layers = stored("modelmap/layers/cranfield.json")
    scores = layers["retrieval"]
    for name, cells in table("modelmap", "| layer |").items():
        i = int(name)
        assert near([c.strip("*") for c in cells], [layers["to_last"][i], scores["plain"][i], scores["normed"][i]]), name
        for cell, p in zip(cells[1:], (scores["plain_p_holm"], scores["normed_p_holm"]), strict=True):
            assert cell.endswith("*") == (i < len(p) and p[i] < 0.05), name


@pytest.mark.parametrize(
    ("page", "head", "source", "kept"),
    [("informativeness", "| weights | bm25", "cranfield", ""), ("ica", "| axes dropped", "scifact", "| 224 ")],
)
def test_rows_are_those_of_the_whole_table(page: str, head: str, source: str, kept: str) -> None:
    whole = (EVALS / "tables" / f"{source}.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in text(page).partition(head)[2].partition("\n\n")[0].splitlines()[2:] if line.startswith("|")]
    assert rows
    assert [row for row in rows if kept + row not in whole] == []


def test_a_figure_is_held_to_its_last_digit() -> None:
    assert near([".771 [.757, .784]", "−1.50"], [0.7708, 0.7568, 0.7837, -1.5])
    assert not near([".772"], [0.7708])
    assert not near(["1.5"], [-1.5])
    assert not near([".771"], [0.771, 0.2])
    assert near(["1,126"], [1126])
    assert not near(["1,127"], [1126])
