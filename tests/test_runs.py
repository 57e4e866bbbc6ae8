"""A ranking is decided once: strictly decreasing, written and read back without a change, bad lines named."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarityir import store
from rarityir.runs import Run, read_run, strictly_decreasing
from rarityir.types import BadInput, Hits, RarityError

DOC_IDS = [f"d{i:03d}" for i in range(200)]
# Scores as retrieval gives them, from which equal ones are drawn often; float32 throughout.
SCORES = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 1e-45, -1e-45, 3.0, 16777216.0, -2.5]), st.floats(-(2.0**100), 2.0**100, width=32)
)


def hits(*rankings: list[tuple[int, float]]) -> Hits:
    width = max((len(ranking) for ranking in rankings), default=0)
    found = Hits(np.full((len(rankings), width), -1, np.int64), np.zeros((len(rankings), width), np.float32))
    for i, ranking in enumerate(rankings):
        for j, (row, score) in enumerate(ranking):
            found.rows[i, j], found.scores[i, j] = row, score
    return found


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def same(a: Run, b: Run) -> None:
    assert a.query_ids == b.query_ids
    for query_id in a:
        assert a[query_id] == b[query_id]


@given(st.lists(SCORES, min_size=1, max_size=60))
def test_falling_scores_become_strictly_decreasing(scores: list[float]) -> None:
    falling = np.sort(np.array([scores], np.float32))[:, ::-1]
    strict = strictly_decreasing(falling)
    assert strict.dtype == np.float32
    assert (np.diff(strict[0].astype(np.float64)) < 0).all()
    assert strict[0, 0] == falling[0, 0]
    assert (strict <= falling).all()


@given(SCORES, st.integers(1, 100))
def test_a_row_of_equal_float32_scores_becomes_strictly_decreasing(score: float, width: int) -> None:
    tied = np.full((2, width), score, np.float32)
    strict = strictly_decreasing(tied)
    assert (np.diff(strict.astype(np.float64), axis=1) < 0).all()
    assert (tied == np.float32(score)).all(), "the input was changed"
    # Each is the very next float32 below: no score is lowered further than it must be.
    assert (strict[:, 1:] == np.nextafter(strict[:, :-1], np.float32(-np.inf))).all()


def test_scores_that_fall_already_stay_as_they_are() -> None:
    falling = np.array([[3.0, 2.0, 1.0]], np.float32)
    assert (strictly_decreasing(falling) == falling).all()


@settings(max_examples=60)
@given(st.lists(st.lists(st.tuples(st.integers(0, 199), SCORES), max_size=30, unique_by=lambda pair: pair[0]), min_size=1))
def test_a_saved_run_reads_back_exactly(tmp_path_factory: pytest.TempPathFactory, rankings: list) -> None:
    rankings = [sorted(ranking, key=lambda pair: -np.float32(pair[1])) for ranking in rankings]
    run = Run.from_hits("dense+edge:2", [f"q{i}" for i in range(len(rankings))], DOC_IDS, hits(*rankings))
    if not len(run.rows):
        return
    path = run.save(tmp_path_factory.mktemp("runs") / "a.trec")
    found = read_run(path)
    assert found.name == "dense+edge:2"
    assert found.query_ids == tuple(f"q{i}" for i, ranking in enumerate(rankings) if ranking)
    for query_id in found:
        assert found[query_id] == run[query_id]
    again = found.save(path.with_name("b.trec"))
    assert again.read_bytes() == path.read_bytes()


def test_a_run_is_written_in_the_six_columns_of_trec(tmp_path: Path) -> None:
    run = Run.from_hits("bm25", ["q1", "q2"], DOC_IDS, hits([(4, 2.5), (2, 1.0)], [(0, 0.25)]))
    assert run.save(tmp_path / "deep" / "a.trec").read_text() == (
        "q1 Q0 d004 1 2.5 bm25\nq1 Q0 d002 2 1 bm25\nq2 Q0 d000 1 0.25 bm25\n"
    )


def test_a_fusion_written_with_spaces_keeps_six_columns(tmp_path: Path) -> None:
    run = Run.from_hits("rrf(bm25, dense)", ["q1"], DOC_IDS, hits([(0, 1.0)]))
    assert read_run(run.save(tmp_path / "a.trec")).name == "rrf(bm25,dense)"


def test_equal_scores_keep_the_order_of_the_hits() -> None:
    run = Run.from_hits("a", ["q1"], DOC_IDS, hits([(5, 1.0), (2, 1.0), (9, 1.0), (1, 0.5)]))
    assert [doc_id for doc_id, _ in run["q1"]] == ["d005", "d002", "d009", "d001"]
    scores = [score for _, score in run["q1"]]
    assert scores[0] == 1.0
    assert scores[3] == 0.5
    assert all(a > b for a, b in pairwise(scores))


def test_padding_is_no_document() -> None:
    run = Run.from_hits("a", ["q1", "q2", "q3"], DOC_IDS, hits([(7, 2.0), (8, 1.0)], [(3, -5.0)], []))
    assert [len(run[query_id]) for query_id in run] == [2, 1, 0]
    assert run["q2"] == [("d003", -5.0)]
    assert list(run.indptr) == [0, 2, 3, 3]
    assert (run.rows >= 0).all()


def test_a_topic_without_hits_stays_in_the_run_and_leaves_no_line(tmp_path: Path) -> None:
    run = Run.from_hits("a", ["q1", "q2"], DOC_IDS, hits([], [(1, 1.0)]))
    assert len(run) == 2
    assert run["q1"] == []
    assert run.save(tmp_path / "a.trec").read_text().splitlines() == ["q2 Q0 d001 1 1 a"]


def test_a_run_in_which_nothing_was_found_can_be_made_and_saved(tmp_path: Path) -> None:
    run = Run.from_hits("a", ["q1", "q2"], DOC_IDS, Hits(np.empty((2, 0), np.int64), np.empty((2, 0), np.float32)))
    assert [run["q1"], run["q2"]] == [[], []]
    assert run.save(tmp_path / "a.trec").read_text() == ""


def test_a_topic_the_run_lacks_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="q9"):
        Run.from_hits("a", ["q1"], DOC_IDS, hits([(0, 1.0)]))["q9"]


def test_a_sidecar_says_which_bytes_it_belongs_to(tmp_path: Path) -> None:
    run = Run.from_hits("a", ["q1"], DOC_IDS, hits([(0, 1.0)]))
    path = run.save(tmp_path / "sparse_64+edge_2.trec", {"cutoff": 10})
    facts = json.loads((tmp_path / "sparse_64+edge_2.json").read_text())
    assert facts == store.sealed({"cutoff": 10, "run_sha256": store.digest_file(path)})


def test_a_foreign_run_is_ordered_by_score_then_rank_wherever_its_lines_stand(tmp_path: Path) -> None:
    path = write(
        tmp_path / "foreign.trec",
        "q2 Q0 z 1 0.5 other",
        "q1 Q0 c 3 1.0 other",
        "q1\tQ0\ta\t2\t1.0\tother",
        "q1 Q0 b 1 7e-1 other",
        "q1 Q0 d 4 1.0 other",
        "q1 Q0 e 9 2.0 other",
    )
    run = read_run(path)
    assert run.query_ids == ("q2", "q1")
    assert [doc_id for doc_id, _ in run["q1"]] == ["e", "a", "c", "d", "b"]
    assert run["q1"][:2] == [("e", 2.0), ("a", 1.0)]
    assert all(x > y for (_, x), (_, y) in pairwise(run["q1"]))
    assert run.name == "other"


def test_scores_that_differ_only_beyond_float32_keep_their_order(tmp_path: Path) -> None:
    run = read_run(write(tmp_path / "a.trec", "q Q0 low 1 1.0000000001 t", "q Q0 high 2 1.0000000002 t"))
    assert [doc_id for doc_id, _ in run["q"]] == ["high", "low"]
    assert run["q"][0][1] > run["q"][1][1]


BAD_LINES = {
    "five columns": "q1 Q0 d2 2 0.5",
    "seven columns": "q1 Q0 d2 2 0.5 my tag",
    "a comment": "# made by hand",
    "a score that is a word": "q1 Q0 d2 2 high tag",
    "a rank that is a word": "q1 Q0 d2 second 0.5 tag",
    "a rank that is no integer": "q1 Q0 d2 2.0 0.5 tag",
    "a score of nan": "q1 Q0 d2 2 nan tag",
    "a score of infinity": "q1 Q0 d2 2 -inf tag",
    "a score beyond float32": "q1 Q0 d2 2 1e39 tag",
    "a document ranked twice": "q1 Q0 d1 2 0.5 tag",
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES.keys())
def test_a_bad_line_is_one_error_that_names_its_number(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "bad.trec", "q1 Q0 d1 1 1.0 tag", "q2 Q0 d1 1 1.0 tag", line, "q3 Q0 d1 1 1.0 tag")
    with pytest.raises(BadInput) as caught:
        read_run(path)
    assert f"{path}:3:" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_that_is_absent_empty_or_no_text_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no run at"):
        read_run(tmp_path / "absent.trec")
    with pytest.raises(BadInput, match="holds no rankings"):
        read_run(write(tmp_path / "empty.trec"))
    (tmp_path / "latin.trec").write_bytes("q1 Q0 café 1 1.0 tag\n".encode("latin-1"))
    with pytest.raises(BadInput, match="is not UTF-8"):
        read_run(tmp_path / "latin.trec")


def test_a_mark_at_the_beginning_and_empty_lines_are_no_part_of_a_run(tmp_path: Path) -> None:
    lines = "1 Q0 d1 1 9 t\n\n1 Q0 d2 2 8 t\n \n"
    (tmp_path / "a.trec").write_bytes(b"\xef\xbb\xbf" + lines.encode())
    run = read_run(tmp_path / "a.trec")
    assert list(run) == ["1"]
    assert [doc_id for doc_id, _ in run["1"]] == ["d1", "d2"]
    (tmp_path / "b.trec").write_text("1 Q0 d1 1 9 t\n\n1 Q0 d2 2\n")
    with pytest.raises(BadInput, match=r"b\.trec:3: 4 columns"):
        read_run(tmp_path / "b.trec")


def test_a_run_that_found_nothing_is_read_where_its_system_is_known(tmp_path: Path) -> None:
    (tmp_path / "a.trec").write_text("")
    run = read_run(tmp_path / "a.trec", "dense")
    assert (run.name, len(run), list(run)) == ("dense", 0, [])


def test_ids_of_any_script_survive(tmp_path: Path) -> None:
    run = Run.from_hits("a", ["q-é", "問"], ["döc", "文書"], hits([(0, 1.0), (1, 0.5)], [(1, 2.0)]))
    same(read_run(run.save(tmp_path / "a.trec")), run)


def test_saving_a_run_writes_over_runs_and_their_provenance_alone(tmp_path):
    hits = Hits(np.array([[0]]), np.array([[1.0]], np.float32))
    run = Run.from_hits("a", ["q"], ["d"], hits)
    run.save(run.save(tmp_path / "run.trec", {"cutoff": 1}), {"cutoff": 2})
    assert '"cutoff": 2' in (tmp_path / "run.json").read_text()
    (tmp_path / "topics.json").write_text('{"q": "the user\'s"}')
    (tmp_path / "vectors.jsonl").write_text('{"id": "d"}\n')
    for name, words in (
        ("topics.trec", "topics.json would be written over"),
        ("vectors.jsonl", "is no run"),
        ("out.json", "provenance"),
    ):
        with pytest.raises(RarityError, match=rf"^[^\n]*{words}[^\n]*$"):
            run.save(tmp_path / name, {})
    assert (tmp_path / "topics.json").read_text() == '{"q": "the user\'s"}'
    assert not (tmp_path / "topics.trec").exists()


def test_a_run_is_not_written_to_a_file_called_minus(elsewhere):
    from rarityir.cli import main
    from rarityir.runs import check_place

    with pytest.raises(RarityError, match=r"name one instead of -, such as run\.trec"):
        check_place("-")
    assert main(["sparse", "search", "nowhere", "topics.tsv", "--out", "-"]) == 1
    assert not Path("-").exists()
