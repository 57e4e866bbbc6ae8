"""FAISS's approximate kinds: what they are called, what they refuse, what they find, and that they are built the same."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from rarityir.indexes.approximate import FaissIndex, Kind
from rarityir.indexes.dense import DenseIndex
from rarityir.types import RarityError

KINDS = ["hnsw,16", "ivf32,nprobe=8", "ivf32,pq2,nprobe=8", "ivf32,sq8,nprobe=8", "sq8", "pq2"]


@pytest.fixture(scope="module")
def world() -> tuple[np.ndarray, np.ndarray]:
    """2,000 documents in 100 tight groups of 20, and a query near the middle of each of 50."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((100, 32))
    x_ND = np.repeat(centres, 20, axis=0) + 0.2 * rng.standard_normal((2000, 32))
    x_ND = x_ND[rng.permutation(2000)]
    q_QD = centres[:50] + 0.05 * rng.standard_normal((50, 32))
    return tuple((v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32) for v in (x_ND, q_QD))


@pytest.fixture(scope="module")
def built(world, tmp_path_factory):
    folders = {}
    for kind in KINDS:
        folders[kind] = tmp_path_factory.mktemp("kind")
        DenseIndex.build(kind, np.array_split(world[0], 7), folders[kind])
    return folders


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_finds_nearly_what_is_nearest(world, built, kind):
    x_ND, q_QD = world
    hits = DenseIndex.open(kind, built[kind]).search(q_QD, 20)
    exact = np.argsort(-(q_QD.astype(np.float64) @ x_ND.T), axis=1)[:, :20]
    recall = np.mean([len(set(a) & set(b)) / 20 for a, b in zip(hits.rows.tolist(), exact.tolist(), strict=True)])
    assert recall > (0.9 if "pq" in kind else 0.95)
    assert np.all(np.diff(hits.scores, axis=1) <= 0)
    assert (hits.rows.dtype, hits.scores.dtype) == (np.int64, np.float32)
    expected = np.take_along_axis(q_QD @ x_ND.T, hits.rows, 1)
    assert np.abs(hits.scores - expected).max() < (0.3 if "pq" in kind else 0.02 if "sq" in kind else 1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_built_the_same_each_time_whatever_blocks_vectors_come_in(world, built, kind, tmp_path):
    facts = DenseIndex.build(kind, np.array_split(world[0], 3), tmp_path)
    assert (tmp_path / "index.faiss").read_bytes() == (built[kind] / "index.faiss").read_bytes()
    assert facts == {"dim": 32, "bytes_per_doc": round((tmp_path / "index.faiss").stat().st_size / 2000, 1)}
    assert [path.name for path in tmp_path.iterdir()] == ["index.faiss"]


def test_codes_take_less_room_than_vectors(built):
    bytes_per_doc = {kind: (folder / "index.faiss").stat().st_size / 2000 for kind, folder in built.items()}
    assert 32 < bytes_per_doc["sq8"] < 33
    assert 2 < bytes_per_doc["pq2"] < 20
    assert bytes_per_doc["ivf32,nprobe=8"] > 128
    assert bytes_per_doc["hnsw,16"] > 128 + 4 * 32


@pytest.mark.parametrize("option", ["ef", "nprobe"])
def test_searching_further_finds_more(world, built, option):
    x_ND, q_QD = world
    name, near, far = ("hnsw,16", 1, 200) if option == "ef" else ("ivf32", 1, 32)
    folder = built["hnsw,16" if option == "ef" else "ivf32,nprobe=8"]
    q_QD = np.random.default_rng(1).standard_normal((50, 32)).astype(np.float32)
    exact = np.argmax(q_QD @ x_ND.T, axis=1)
    found = [(DenseIndex.open(f"{name},{option}={n}", folder).search(q_QD, 1).rows[:, 0] == exact).mean() for n in (near, far)]
    assert found[0] < found[1] > 0.95


def test_of_equal_scores_that_are_found_the_earlier_row_comes_first(tmp_path):
    x_ND = np.repeat(np.eye(8, dtype=np.float32), 5, axis=0)[::-1].copy()
    DenseIndex.build("sq8", [x_ND], tmp_path)
    rows = DenseIndex.open("sq8", tmp_path).search(np.eye(8, dtype=np.float32)[3:4], 5).rows
    assert rows.tolist() == [[20, 21, 22, 23, 24]]


def test_cells_that_hold_fewer_than_asked_for_leave_places_empty(world, built):
    hits = DenseIndex.open("ivf32,nprobe=1", built["ivf32,nprobe=8"]).search(world[1], 2000)
    lengths = (hits.rows >= 0).sum(axis=1)
    assert hits.rows.shape == (50, lengths.max())
    assert lengths.max() < 2000
    assert lengths.min() < lengths.max()
    for rows, length in zip(hits.rows, lengths, strict=True):
        assert np.all(rows[length:] == -1)
        assert np.all(rows[:length] >= 0)


@pytest.mark.parametrize(
    ("arg", "stored", "factory"),
    [
        ("hnsw", "hnsw,32", "HNSW32,Flat"),
        ("hnsw,32", "hnsw,32", "HNSW32,Flat"),
        ("hnsw,16,ef=5", "hnsw,16", "HNSW16,Flat"),
        ("ivf4096", "ivf4096", "IVF4096,Flat"),
        ("ivf4096,nprobe=7", "ivf4096", "IVF4096,Flat"),
        ("ivf4096,pq64", "ivf4096,pq64", "IVF4096,PQ64"),
        ("ivf64,sq8,nprobe=9", "ivf64,sq8", "IVF64,SQ8"),
        ("sq8", "sq8", "SQ8"),
        ("pq64", "pq64", "PQ64"),
    ],
)
def test_a_kind_has_one_stored_name_that_searching_does_not_change(arg, stored, factory):
    assert DenseIndex.key(arg) == f"dense:{stored}"
    assert Kind.parse(arg).factory == factory
    assert Kind.parse(stored).stored == stored
    assert DenseIndex.exact(arg) == "dense"


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("hsnw,32", "unknown kind of index; known: flat"),
        ("flat,32", "unknown kind"),
        ("hnsw,0", "unknown kind"),
        ("hnsw,1", "1 link"),
        ("ivf", "unknown kind"),
        ("ivf0", "unknown kind"),
        ("pq", "unknown kind"),
        ("pq64,ivf4096", "unknown kind"),
        ("ivf4096,32", "unknown kind"),
        ("sq4", "unknown kind"),
        ("hnsw,ef=3,32", "unknown kind"),
        (",sq8", "unknown kind"),
        ("ef=3", "unknown kind"),
        ("sq8,ef=3", "takes no options"),
        ("hnsw,32,nprobe=3", "unknown option"),
        ("ivf64,ef=3", "unknown option"),
        ("ivf64,nprobe=few", "nprobe='few' is not a whole number"),
        ("ivf64,nprobe=0", "at least 1"),
        ("hnsw,ef=-1", "at least 1"),
    ],
)
def test_an_argument_that_names_no_kind_is_one_line_before_any_work(arg, message):
    with pytest.raises(RarityError, match=rf"^[^\n]*{message}[^\n]*$"):
        DenseIndex.key(arg)


@pytest.mark.parametrize(
    ("arg", "documents", "message"),
    [
        ("pq5", 300, "5 bytes do not divide 12 coordinates; choose one of: pq12, pq6, pq4, pq3, pq2, pq1"),
        ("pq4", 255, "256 documents at least, not 255; use dense"),
        ("ivf8", 311, "8 cells want 312 documents .39 each., not 311; use at most ivf7"),
        ("ivf1", 38, "use dense$"),
        ("ivf7,pq5", 300, "pq5"),
    ],
)
def test_what_documents_do_not_allow_is_one_line_that_says_what_they_do(tmp_path, arg, documents, message):
    x_ND = np.random.default_rng(0).standard_normal((documents, 12)).astype(np.float32)
    with pytest.raises(RarityError, match=rf"^[^\n]*{message}[^\n]*$"):
        DenseIndex.build(arg, [x_ND[:100], x_ND[100:]], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_as_many_documents_as_cells_want_are_enough_and_few_for_a_code_are_told_of(tmp_path, caplog, capfd):
    x_ND = np.random.default_rng(0).standard_normal((312, 12)).astype(np.float32)
    with caplog.at_level(logging.WARNING):
        DenseIndex.build("ivf8", [x_ND], tmp_path)
        assert caplog.messages == []
        DenseIndex.build("pq1", [x_ND], tmp_path)
    assert caplog.messages == ["dense:pq1: 312 documents are few to learn from; FAISS asks for 9984"]
    assert "clustering" not in "".join(capfd.readouterr())  # FAISS itself says nothing


def test_a_graph_is_grown_by_one_thread_and_the_others_come_back(tmp_path):
    import faiss

    before = faiss.omp_get_max_threads()
    DenseIndex.build("hnsw,4", [np.eye(9, dtype=np.float32)], tmp_path)
    assert faiss.omp_get_max_threads() == before
    assert FaissIndex.open(Kind.parse("hnsw,4"), tmp_path).search(np.eye(9, dtype=np.float32), 1).rows.ravel().tolist() == [
        *range(9)
    ]


def test_a_file_that_is_no_index_is_one_line_that_names_it(tmp_path):
    (tmp_path / "index.faiss").write_bytes(b"nothing of the kind")
    with pytest.raises(RarityError, match=rf"^[^\n]*{tmp_path}/index\.faiss[^\n]*rm -r[^\n]*$"):
        DenseIndex.open("sq8", tmp_path)


def test_a_code_that_does_not_fit_is_refused_before_documents_are_encoded(beir, stories, tmp_path, monkeypatch) -> None:
    from rarityir.datasets import load_dataset
    from rarityir.encoders import load_encoder
    from rarityir.retrieval import Retriever
    from rarityir.systems import System

    encoder = load_encoder(stories)
    retriever = Retriever(load_dataset(str(beir)), encoder, tmp_path / "indexes")
    monkeypatch.setattr(type(encoder), "encode_document", lambda *_: pytest.fail("encoded"))
    monkeypatch.setattr(type(encoder), "reading", lambda *_: pytest.fail("encoded"))
    for system, words in (
        ("dense:ivf1,pq7", "7 bytes do not divide 64 coordinates"),
        ("dense:pq3+truncate:32", "3 bytes do not divide 32 coordinates"),
        ("dense:ivf9", "9 cells want 351 documents"),
    ):
        with pytest.raises(RarityError, match=words):
            retriever.index(System.parse(system))


def test_cores_are_those_that_this_process_may_use(monkeypatch) -> None:
    from rarityir import machine, store
    from rarityir.indexes import flat
    from rarityir.integrations import anserini

    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3, 5, 6}, raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    assert machine.cores() == flat.cores() == store.machine.cores() == anserini.cores() == 3
    monkeypatch.delattr("os.sched_getaffinity")
    assert machine.cores() == 64
