"""BM25 agrees with an independent implementation and with published figures, and says what is wrong in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rarityir.datasets import load_dataset
from rarityir.indexes.bm25 import BM25Index
from rarityir.indexes.topk import pad, topk
from rarityir.measures import evaluate
from rarityir.retrieval import Retriever
from rarityir.runs import Run
from rarityir.systems import System
from rarityir.types import Dataset, RarityError

TEXTS = [
    "the black cat sat on the mat",
    "a little dog ran to the park and the dog barked",
    "the bird sang in the tree near the dog",
    "rain rain rain and one more long sentence about the weather of the whole week in the north of the country",
    "the black cat sat on the mat",
    "",
]


class NoEncoder:
    """BM25 reads text: any use of the encoder fails."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"bm25 asked the encoder for {name}")


def build(folder: Path, texts: Sequence[str] = TEXTS, arg: str = "") -> dict[str, object]:
    folder.mkdir(exist_ok=True)
    return BM25Index.build(arg, [texts[:2], texts[2:]], folder)


def score(dataset: Dataset, indexes: Path, measures: Sequence[str], system: str = "bm25") -> dict[str, float]:
    run = Retriever(dataset, NoEncoder(), indexes).run(System.parse(system))
    scores = evaluate(run, dataset.qrels, measures, list(dataset.topics))
    return {name: scores.mean(name) for name in measures}


def test_the_documents_of_a_query_come_best_first_and_equal_ones_by_row(tmp_path: Path) -> None:
    facts = build(tmp_path)
    hits = BM25Index.open("", tmp_path).search(["dogs", "cat", "rain"], 10)
    assert hits.rows[:, :2].tolist() == [[1, 2], [0, 4], [3, -1]]
    assert hits.scores[1, 0] == pytest.approx(hits.scores[1, 1], abs=1e-5)
    assert (hits.scores[0, :2] > 0).all()
    assert facts["dim"] is None
    assert facts["bytes_per_doc"] > 0
    assert not (tmp_path / "source").exists()


def test_the_cutoff_is_obeyed_and_may_exceed_the_corpus(tmp_path: Path) -> None:
    build(tmp_path)
    index = BM25Index.open("", tmp_path)
    assert index.search(["cat"], 1).rows.tolist() == [[0]]
    assert index.search(["cat dog"], 1000).rows.shape[1] == 4


def test_a_query_without_known_terms_and_an_empty_one_find_nothing(tmp_path: Path) -> None:
    build(tmp_path)
    hits = BM25Index.open("", tmp_path).search(["zyzzyva", "", "the of and", "cat", "?!"], 10)
    assert [(row >= 0).sum() for row in hits.rows] == [0, 0, 0, 2, 0]
    assert BM25Index.open("", tmp_path).search(["zyzzyva"], 10).rows.shape == (1, 0)


def test_queries_keep_their_places_over_many_batches(tmp_path: Path) -> None:
    build(tmp_path)
    hits = BM25Index.open("", tmp_path).search(["cat", "rain", "nothing", "bird"] * 100, 1)
    assert hits.rows[:, 0].tolist() == [0, 3, -1, 2] * 100


def test_scores_are_those_of_the_formula(tmp_path: Path) -> None:
    texts = ["apple banana", "apple apple cherry", "date"]
    build(tmp_path, texts)
    lengths, frequencies = np.array([2, 3, 1]), np.array([1, 2, 0])
    idf = np.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    for arg, k1, b in (("", 0.9, 0.4), ("k1=1.2,b=0.75", 1.2, 0.75), ("k1=2.0,b=0", 2.0, 0.0)):
        hits = BM25Index.open(arg, tmp_path).search(["apple"], 10)
        expected = idf * frequencies / (frequencies + k1 * (1 - b + b * lengths / lengths.mean()))
        found = {int(row): float(s) for row, s in zip(hits.rows[0], hits.scores[0], strict=True)}
        assert found.keys() == {0, 1}
        for row, value in found.items():
            assert value == pytest.approx(expected[row], abs=1e-4), f"{arg}, row {row}"  # Anserini rounds to 4 decimals


def test_equal_scores_rank_the_earlier_row_first_also_across_the_cutoff(tmp_path: Path) -> None:
    build(tmp_path, ["apple banana"] * 120)
    index = BM25Index.open("", tmp_path)
    assert index.search(["apple"], 120).rows[0].tolist() == list(range(120))
    assert index.search(["apple"], 12).rows[0].tolist() == list(range(12))


def test_a_long_tie_does_not_slip_below_a_lower_score(tmp_path: Path) -> None:
    """Anserini lowers each of a tie's scores by 1e-6 more; after some hundreds of them that reaches the next lower score."""
    short = ["apple banana cherry date" if row % 3 else "apple banana cherry date fig" for row in range(1200)]
    long = ["kiwi melon " * 500] * 600  # next to these, one word more or less is a small difference
    build(tmp_path, [*short, *long])
    hits = BM25Index.open("", tmp_path).search(["apple"], 2000)
    assert hits.rows[0].tolist() == [row for row in range(1200) if row % 3] + list(range(0, 1200, 3))


def test_k1_and_b_change_scores_but_share_one_index(beir: Path, tmp_path: Path) -> None:
    retriever = Retriever(load_dataset(str(beir)), NoEncoder(), tmp_path / "indexes")
    first = retriever.search(System.parse("bm25")).hits
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "indexes").rglob("*") if path.is_file()}
    assert files
    other = retriever.search(System.parse("bm25:k1=2.5,b=1.0")).hits
    same = retriever.search(System.parse("bm25:k1=0.9,b=0.4")).hits
    assert not np.allclose(first.scores, other.scores)
    assert (first.scores == same.scores).all()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "indexes").rglob("*") if path.is_file()} == files


@pytest.mark.parametrize(
    ("arg", "words"),
    [
        ("k1=high", "k1='high' is not a number"),
        ("k2=1", "unknown option of bm25 'k2'"),
        ("k1=-1", "k1 must be at least 0"),
        ("b=1.5", "b between 0 and 1"),
        ("k1=nan", "k1"),
        ("b=nan", "b"),
        ("k1=inf", "k1"),
        ("0.9,0.4", "should read option=value"),
    ],
)
def test_a_bad_option_is_one_line_before_any_work(arg: str, words: str) -> None:
    with pytest.raises(RarityError) as caught:
        BM25Index.key(arg)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_or_broken_index_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "lucene").mkdir()
    with pytest.raises(RarityError, match="Lucene cannot open") as caught:
        BM25Index.open("", tmp_path).search(["cat"], 10)
    assert "\n" not in str(caught.value)


def test_a_build_that_was_killed_half_way_is_built_over(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "documents.jsonl").write_text('{"id": "0", "contents": "half')
    (tmp_path / "lucene").mkdir()
    (tmp_path / "lucene" / "write.lock").touch()
    build(tmp_path)
    assert BM25Index.open("", tmp_path).search(["rain"], 10).rows.tolist() == [[3]]


def test_cranfield_scores_as_with_another_implementation_of_bm25(tmp_path: Path) -> None:
    import bm25s
    import Stemmer

    dataset = load_dataset("cranfield")
    docs = list(dataset.docs())
    options = {"stopwords": "en", "stemmer": Stemmer.Stemmer("english"), "show_progress": False}
    index = bm25s.BM25(method="lucene", k1=0.9, b=0.4)
    index.index(bm25s.tokenize([doc.text for doc in docs], **options), show_progress=False)
    queries = bm25s.tokenize(list(dataset.topics.values()), return_ids=False, **options)
    found = [topk(index.get_scores(query).astype(np.float32), 1000, floor=0.0) for query in queries]
    run = Run.from_hits("bm25s", list(dataset.topics), [doc.doc_id for doc in docs], pad(found, 1000))
    theirs = evaluate(run, dataset.qrels, ["AP", "nDCG@10"], list(dataset.topics))
    ours = score(dataset, tmp_path, ["AP", "nDCG@10"])
    for name, value in ours.items():
        assert value == pytest.approx(theirs.mean(name), abs=0.01)
        assert value > 0.2


@pytest.mark.parametrize(("name", "published"), [("scifact", 0.679), ("nfcorpus", 0.322)])
def test_published_figures_are_reproduced(collections: Path, tmp_path: Path, stories: str, name: str, published: float) -> None:
    """Anserini's regressions for BEIR: title and text in one field, k1=0.9, b=0.4.

    In a process of its own, because ir_datasets reads its home once, when something first imports it.
    """
    command = [sys.executable, "-m", "rarityir", "eval", "--dataset", name, "--encoder", stories, "--systems", "bm25"]
    environment = {**os.environ, "IR_DATASETS_HOME": str(collections)}
    done = subprocess.run(
        [*command, "--measures", "nDCG@10", "--json"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["systems"][0]["measures"]["nDCG@10"] == pytest.approx(published, abs=0.005)
