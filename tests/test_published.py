"""Papers' figures beside ours: matched by model, pooling, system, measure and collections, and by nothing less."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rarityir.published import compare
from rarityir.types import BadInput, UnknownName

ROOT = Path(__file__).parents[1]
PAPER = {
    "title": "A paper", "source": "somewhere", "measure": "nDCG@10", "datasets": ["scifact", "nfcorpus"], "remarks": ["a remark"],
    "rows": [
        {"table": "1", "encoder": "org/model", "pooling": "echo", "system": "dense", "value": 0.5},
        {"table": "1", "encoder": "org/model", "pooling": "mean", "system": "dense", "value": 0.4},
        {"table": "1", "encoder": "org/other", "pooling": "echo", "system": "dense", "value": 0.3},
        {"table": "2", "encoder": "", "pooling": "", "system": "bm25", "dataset": "scifact", "value": 0.67},
    ],
}  # fmt: skip


def evaluated(folder: Path, dataset: str, encoder: str, pooling: str, **values: float) -> None:
    folder.mkdir(parents=True)
    systems = [{"name": name, "measures": {"nDCG@10": value}} for name, value in values.items()]
    (folder / "report.json").write_text(json.dumps({"dataset": dataset, "encoder": encoder, "systems": systems}))
    provenance = {"experiment": {"encoder": encoder}, "encoder": {"pooling": pooling}}
    (folder / "provenance.json").write_text(json.dumps(provenance))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "paper.json").write_text(json.dumps(PAPER))
    evaluated(tmp_path / "one", "beir/scifact/test", "org/model", "echo", dense=0.4, bm25=0.68)
    evaluated(tmp_path / "two", "beir/nfcorpus/test", "org/model", "echo", dense=0.2)
    return tmp_path


def test_a_mean_is_ours_only_where_every_collection_was_evaluated(folder):
    echo, mean, other, bm25 = compare("paper", folder).figures
    assert (echo.published, echo.ours, echo.why) == (0.5, pytest.approx(0.3), "")
    assert (bm25.ours, bm25.datasets) == (0.68, ("scifact",))
    assert mean.ours is None
    assert "0 of 2 collections" in mean.why
    assert other.ours is None
    assert "model has not been evaluated" in other.why
    (folder / "two" / "report.json").unlink()
    assert "1 of 2 collections" in compare("paper", folder).figures[0].why


def test_the_table_names_source_and_remarks_and_its_json_can_be_read(folder):
    found = compare("paper", folder)
    assert "somewhere" in str(found)
    assert "a remark" in str(found)
    assert json.loads(json.dumps(found.json()))["figures"][0]["ours"] == pytest.approx(0.3)


def test_an_unknown_paper_names_those_there_are(folder):
    with pytest.raises(UnknownName, match="did you mean paper"):
        compare("papr", folder)


def test_a_file_without_figures_is_one_line(folder):
    (folder / "published" / "bad.json").write_text("{}")
    with pytest.raises(
        BadInput, match=r"^[^\n]*bad\.json holds no published figures \(no measure, remarks, rows, source, title\)$"
    ):
        compare("bad", folder)


@pytest.mark.parametrize("name", ["embedfilter", "alignment"])
def test_the_papers_that_come_along_are_whole(name):
    found = compare(name, ROOT / "evals")
    assert "arXiv" in found.source
    assert all(0 < figure.published < 1 for figure in found.figures)
    assert len({(f.encoder, f.pooling, f.system, f.datasets) for f in found.figures}) == len(found.figures)


def test_our_bm25_stands_beside_the_published_one():
    figures = {f.datasets: f for f in compare("alignment", ROOT / "evals").figures if f.system == "bm25"}
    assert figures[("nfcorpus",)].ours == pytest.approx(figures[("nfcorpus",)].published, abs=0.01)
    assert figures[("fiqa",)].ours is None
