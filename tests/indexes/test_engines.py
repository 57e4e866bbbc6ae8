"""Milvus and Qdrant behind our interface: rankings against the exact indexes, ties, ceilings, folders, servers by name."""

from __future__ import annotations

import fcntl
import importlib
import json
import socket
import sys
from contextlib import nullcontext
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import rarityir as ri
from rarityir import registry, store
from rarityir.indexes import engines, qdrant
from rarityir.indexes.engines import DenseEngine, Form, SparseEngine, closed, stored
from rarityir.indexes.flat import FlatIndex
from rarityir.indexes.offset import Offset
from rarityir.indexes.postings import SparseIndex
from rarityir.retrieval import Retriever, normalised
from rarityir.systems import System
from rarityir.types import Hits, Impacts, MissingExtra, RarityError, StaleArtefact

needs = {"milvus": ("pymilvus", "milvus_lite"), "qdrant": ("qdrant_edge",), "local": ("qdrant_client",)}


@pytest.fixture(params=sorted(needs))
def engine(request, monkeypatch) -> str:
    """An engine's name: Milvus Lite, Qdrant Edge, and Qdrant's client by its own brute force."""
    if any(find_spec(name) is None for name in needs[request.param]):
        pytest.skip(f"{' and '.join(needs[request.param])} are not installed")
    monkeypatch.delenv("RARITYIR_MILVUS", raising=False)
    monkeypatch.delenv("RARITYIR_QDRANT", raising=False)
    if request.param == "local":
        monkeypatch.setenv("RARITYIR_QDRANT", "local")
        return "qdrant"
    return request.param


def impacts(documents: list[dict[int, float]], vocabulary: int = 40) -> Impacts:
    ids = [np.array([*document], np.int64) for document in documents]
    values = [np.array([*document.values()], np.float32) for document in documents]
    indptr = np.cumsum([0, *map(len, documents)])
    return Impacts(indptr, np.concatenate(ids), np.concatenate(values), vocabulary)


def corpus(count: int, *, whole: bool, seed: int = 0, tokens: int = 40) -> list[dict[int, float]]:
    """Documents of a few tokens; every tenth has none, and every seventh is the one before it again."""
    rng = np.random.default_rng(seed)
    found: list[dict[int, float]] = []
    for row in range(count):
        chosen = rng.choice(tokens, rng.integers(1, 9), replace=False).tolist()
        values = rng.integers(1, 4, len(chosen)) if whole else rng.gamma(2, 1, len(chosen))
        document = dict(zip(chosen, values.tolist(), strict=True))
        found.append({} if row % 10 == 9 else found[-1] if row % 7 == 6 else document)
    return found


def sparse_hits(engine: str, blocks: list[Impacts], queries: Impacts, cutoff: int, folder) -> Hits:
    kind = registry.resolve("indexes", f"{engine}:sparse")
    kind.build("8", iter(blocks), folder)
    return kind.open("8", folder).search(queries, cutoff)


@pytest.mark.parametrize("cutoff", [1, 3, 10, 300])
def test_whole_impacts_rank_to_the_last_place_as_the_exact_index_does(engine, cutoff, tmp_path) -> None:
    documents, queries = corpus(250, whole=True), impacts(corpus(15, whole=True, seed=1))
    blocks = [impacts(documents[:100]), impacts(documents[100:101]), impacts(documents[101:])]
    found = sparse_hits(engine, blocks, queries, cutoff, tmp_path)
    exact = SparseIndex.build(impacts(documents)).search(queries, cutoff)
    assert np.array_equal(found.rows, exact.rows)
    assert np.array_equal(found.scores, exact.scores)
    assert found.rows.dtype == np.int64
    assert found.scores.dtype == np.float32


def test_fractions_rank_as_the_exact_index_does_but_for_rounding(engine, tmp_path) -> None:
    """Beside ours each of T terms is rounded to float32 once or twice more, so scores differ by (T + 2) 2^-23 of themselves."""
    documents, queries = corpus(400, whole=False), impacts(corpus(30, whole=False, seed=1))
    found = sparse_hits(engine, [impacts(documents[:7]), impacts(documents[7:])], queries, 50, tmp_path)
    index = SparseIndex.build(impacts(documents))
    exact = index.search(queries, len(documents))
    for number, (rows, scores) in enumerate(zip(*found, strict=True)):
        terms = int(np.diff(queries.indptr)[number])
        ours = {
            row: score for row, score in zip(exact.rows[number].tolist(), exact.scores[number].tolist(), strict=True) if row >= 0
        }
        filled = rows >= 0
        assert filled.sum() == min(50, len(ours))
        true = np.array([ours[row] for row in rows[filled].tolist()])
        bound = (terms + 2) * 2.0**-23
        np.testing.assert_allclose(scores[filled], true, rtol=bound)
        best = np.array(sorted(ours.values(), reverse=True))[: filled.sum()]
        np.testing.assert_allclose(true, best, rtol=2 * bound)
        assert len({*rows[filled].tolist()}) == filled.sum()
        # Documents that are the same are told apart by row alone.
        order = np.lexsort((rows[filled], -scores[filled]))
        assert order.tolist() == list(range(filled.sum()))


def test_impacts_are_stored_as_the_exact_index_stores_them() -> None:
    given = impacts([{3: 0.7, 1: -2.0, 5: 0.01}, {}, {2: 7.0, 0: 255.0}, {4: 0.0, 6: 1e-3, 7: 3.3}])
    held, index = stored(given), SparseIndex.build(impacts([{3: 0.7, 5: 0.01}, {}, {2: 7.0, 0: 255.0}, {6: 1e-3, 7: 3.3}]))
    for row in range(4):
        span = slice(held.indptr[row], held.indptr[row + 1])
        tokens, values = index.vector(row)
        assert dict(zip(held.token_ids[span].tolist(), held.values[span].tolist(), strict=True)) == dict(
            zip(tokens.tolist(), values.tolist(), strict=True)
        )


@pytest.mark.parametrize("cutoff", [1, 4, 60])
def test_equal_vectors_rank_by_row_also_at_the_cutoff(engine, cutoff, tmp_path) -> None:
    """Small whole numbers: every inner product is exact, whoever adds it up."""
    rng = np.random.default_rng(0)
    x_NK, x_QK = (rng.integers(-1, 2, (count, 8)).astype(np.float32) for count in (60, 9))
    kind = registry.resolve("indexes", f"{engine}:dense")
    facts = kind.build("", iter([x_NK[:20], x_NK[20:]]), tmp_path / "engine")
    FlatIndex.build(iter([x_NK]), tmp_path / "flat")
    found, exact = kind.open("", tmp_path / "engine").search(x_QK, cutoff), FlatIndex.open(tmp_path / "flat").search(x_QK, cutoff)
    assert np.array_equal(found.rows, exact.rows)
    assert np.array_equal(found.scores, exact.scores)
    assert facts["dim"] == 8
    assert facts["bytes_per_doc"] >= 32


@pytest.mark.parametrize("name", ["milvus", "qdrant"])
def test_a_graph_finds_more_where_more_candidates_are_followed(name, tmp_path) -> None:
    if any(find_spec(package) is None for package in needs[name]):
        pytest.skip(f"{name} is not installed")
    rng = np.random.default_rng(0)
    x_NK, x_QK = (rng.standard_normal((count, 48)).astype(np.float32) for count in (3000, 40))
    x_NK, x_QK = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (x_NK, x_QK))
    kind = registry.resolve("indexes", f"{name}:dense")
    kind.build("hnsw,4", iter([x_NK]), tmp_path)
    best = np.argsort(-(x_QK @ x_NK.T), axis=1)[:, :10]

    def recall(arg: str) -> float:
        rows = kind.open(arg, tmp_path).search(x_QK, 10).rows
        return float(np.mean([len({*a} & {*b}) / 10 for a, b in zip(rows.tolist(), best.tolist(), strict=True)]))

    few, many = recall("hnsw,4,ef=10"), recall("hnsw,4,ef=400")
    assert few < many - 0.1
    assert many > 0.8
    kind.build("hnsw,32", iter([x_NK]), tmp_path)
    assert recall("hnsw,32,ef=10") > few + 0.1  # links are heeded
    assert kind.key("hnsw,4,ef=400") == kind.key("hnsw,4,ef=10") == f"{name}:dense:hnsw,4"


@example([1] * 60, 1, 0)
@example([2] * 10 + [1] * 90, 12, 3)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 70), st.integers(0, 2**32 - 1))
def test_an_engine_that_cuts_ties_as_it_likes_is_asked_again(scores, cutoff, seed) -> None:
    values, asked = np.array(scores, np.float32), []
    shuffled = np.random.default_rng(seed).permutation(len(values))

    def ask(numbers, depth):
        asked.append(depth)
        for _ in numbers:
            order = shuffled[np.argsort(-values[shuffled], kind="stable")][:depth]
            yield order.astype(np.int64), values[order]

    (rows, found), *others = closed(ask, 2, cutoff, len(values))
    expected = np.argsort(-values, kind="stable")[:cutoff]
    assert rows.tolist() == expected.tolist() == others[0][0].tolist()
    assert found.tolist() == values[expected].tolist()
    assert all(depth <= len(values) for depth in asked)
    assert asked == sorted(set(asked))


class Recorded:
    """An engine that only writes down what it is given."""

    def __init__(self, lost: int = 0) -> None:
        self.name, self.most, self.lost, self.rows, self.sizes, self.open_, self.depths = "rec", 50, lost, [], [], 0, []

    def version(self) -> str:
        return "1"

    def create(self, folder, form):
        self.form, self.open_ = form, self.open_ + 1
        return self

    open = create

    def insert(self, rows, vectors) -> None:
        self.rows += rows
        count = len(vectors.indptr) - 1 if isinstance(vectors, Impacts) else len(vectors)
        assert count == len(rows) > 0
        self.sizes.append(len(vectors.values) if isinstance(vectors, Impacts) else vectors.size)

    def finish(self) -> int:
        return len(self.rows) - self.lost

    def search(self, queries, depth, ef):
        count = len(queries.indptr) - 1 if isinstance(queries, Impacts) else len(queries)
        self.depths.append((count, depth, ef))
        return [(np.empty(0, np.int64), np.empty(0, np.float32))] * count

    def close(self) -> None:
        self.open_ -= 1


def test_what_is_sent_at_once_is_bounded_and_rows_go_on_over_blocks(tmp_path) -> None:
    dense, sparse = Recorded(), Recorded()
    DenseEngine(dense).build("hnsw,7", (np.ones((3000, 700), np.float32) for _ in range(2)), tmp_path)
    assert (dense.rows, dense.form.width, dense.form.links) == ([*range(6000)], 700, 7)
    assert max(dense.sizes) <= 1 << 20
    block = impacts([{row % 5: 1.0 for row in range(number % 3)} for number in range(100)])
    SparseEngine(sparse).build("8", [block, block], tmp_path)
    assert sparse.rows == [row for row in range(200) if row % 100 % 3]
    large = Impacts(np.arange(0, 5001 * 64, 64), np.tile(np.arange(64), 5000), np.ones(5000 * 64, np.float32), 64)
    sparse.rows.clear()
    SparseEngine(sparse).build("8", [large], tmp_path)
    assert max(sparse.sizes) <= 1 << 17
    assert dense.open_ == sparse.open_ == 0
    frequencies = np.load(tmp_path / "document_frequencies.npy")
    assert frequencies.tolist() == [5000] * 64


def test_many_queries_go_some_at_a_time_and_empty_ones_are_not_asked(tmp_path) -> None:
    engine = Recorded()
    kind = SparseEngine(engine)
    kind.build("8", [impacts([{1: 1.0}] * 30)], tmp_path)
    held = kind.open("8", tmp_path)
    hits = held.search(impacts([{1: 1.0} if number % 2 else {2: 0.0} for number in range(300)]), 5)
    assert [count for count, *_ in engine.depths] == [64, 64, 22]
    assert hits.rows.shape == (300, 0)
    del held
    assert engine.open_ == 0  # what is no longer used is closed


def test_a_graph_is_asked_for_no_more_than_is_wanted_and_follows_as_many_at_least(tmp_path) -> None:
    engine = Recorded()
    kind = DenseEngine(engine)
    kind.build("hnsw,7", [np.ones((40, 4), np.float32)], tmp_path)
    for arg, cutoff in (("hnsw,7,ef=9", 5), ("hnsw,7,ef=9", 20), ("flat", 5)):
        kind.open(arg, tmp_path).search(np.ones((1, 4), np.float32), cutoff)
    assert [(depth, ef) for _, depth, ef in engine.depths][:2] == [(5, 9), (20, 20)]
    assert engine.depths[2][1] > 5


def test_documents_that_an_engine_loses_are_told_of(tmp_path) -> None:
    for kind, block in ((SparseEngine, impacts([{1: 1.0}] * 9)), (DenseEngine, np.ones((9, 2), np.float32))):
        engine = Recorded(lost=2)
        with pytest.raises(RarityError, match=r"^rec holds 7 of 9 documents; build the index again$"):
            kind(engine).build("", [block], tmp_path)
        assert engine.open_ == 0
        with pytest.raises(RarityError, match="no documents to index"):
            kind(Recorded()).build("", [], tmp_path)


def test_a_cutoff_above_the_engines_ceiling_is_one_line_where_it_matters(tmp_path) -> None:
    for count, cutoff, fine in ((60, 51, False), (60, 50, True), (40, 51, True)):
        kind = DenseEngine(Recorded())
        kind.build("", [np.ones((count, 2), np.float32)], tmp_path)
        found = kind.open("", tmp_path)
        if fine:
            found.search(np.ones((1, 2), np.float32), cutoff)
        else:
            with pytest.raises(RarityError, match=r"^rec finds at most 50 documents for a query, not 51; lower --cutoff$"):
                found.search(np.ones((1, 2), np.float32), cutoff)
    assert registry.resolve("indexes", "milvus:dense")._engine.most == 16384


@pytest.mark.parametrize(
    ("queries", "words"),
    [
        (impacts([{1: -1.0}]), "must not be negative"),
        (impacts([{1: np.inf}]), "must not be negative, and finite"),
        (impacts([{1: 1.0}], 41), "the queries have 41 tokens, the index 40"),
        (Impacts(np.array([0, 1]), np.array([40]), np.ones(1, np.float32), 40), "outside 0 to 39"),
    ],
)
def test_what_cannot_be_asked_is_one_line(queries, words, tmp_path) -> None:
    kind = SparseEngine(Recorded())
    kind.build("", [impacts([{1: 1.0}])], tmp_path)
    with pytest.raises(RarityError, match=rf"^[^\n]*{words}[^\n]*$"):
        kind.open("", tmp_path).search(queries, 3)


def test_a_build_that_was_stopped_begins_anew(engine, tmp_path) -> None:
    kind = registry.resolve("indexes", f"{engine}:sparse")

    def stopped():
        yield impacts([{1: 9.0}] * 5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kind.build("8", stopped(), tmp_path)
    left = [path / "left" for path in tmp_path.iterdir() if path.name in ("milvus.db", "edge")]
    for path in left:
        path.touch()
    hits = sparse_hits(engine, [impacts([{1: 1.0}, {1: 3.0}])], impacts([{1: 1.0}]), 9, tmp_path)
    assert hits.rows.tolist() == [[1, 0]]
    assert hits.scores.tolist() == [[3.0, 1.0]]
    assert [path for path in left if path.exists()] == []


def test_a_folder_that_is_open_twice_stays_open_for_the_other(engine, tmp_path) -> None:
    if engine == "qdrant" and registry.resolve("indexes", "qdrant:sparse").version().endswith("local"):
        pytest.skip("the client's own brute force opens a folder once")
    kind, query = registry.resolve("indexes", f"{engine}:sparse"), impacts([{1: 1.0}])
    kind.build("8", [impacts([{1: 1.0}, {1: 3.0}])], tmp_path)
    one, other = kind.open("8", tmp_path), kind.open("8", tmp_path)
    assert one.search(query, 2).rows.tolist() == [[1, 0]]
    del one
    assert other.search(query, 2).rows.tolist() == [[1, 0]]


@pytest.mark.parametrize("name", ["milvus", "qdrant"])
def test_a_folder_without_its_engine_is_one_line(name, tmp_path) -> None:
    if any(find_spec(package) is None for package in needs[name]):
        pytest.skip(f"{name} is not installed")
    kind = registry.resolve("indexes", f"{name}:dense")
    with pytest.raises(RarityError, match=r"^[^\n]*holds no whole index of an engine[^\n]*build it again$"):
        kind.open("", tmp_path)
    store.write_json(tmp_path / "engine.json", {"documents": 3, "width": 2})
    with pytest.raises(RarityError, match=r"^[^\n]*holds no whole index of (Milvus|Qdrant); build it again$"):
        kind.open("", tmp_path)


def test_what_milvus_says_is_one_line(tmp_path) -> None:
    pytest.importorskip("pymilvus")
    pytest.importorskip("milvus_lite")
    kind = registry.resolve("indexes", "milvus:dense")
    wide = [np.ones((2, 4), np.float32), np.ones((2, 5), np.float32)]
    with pytest.raises(RarityError, match=r"^Milvus at [^\n]* failed \([^\n]*\)[^\n]*$"):
        kind.build("", wide, tmp_path)


def test_a_file_that_another_process_has_open_is_one_line(tmp_path) -> None:
    pytest.importorskip("pymilvus")
    pytest.importorskip("milvus_lite")
    kind = registry.resolve("indexes", "milvus:sparse")
    kind.build("8", [impacts([{1: 1.0}])], tmp_path)
    with (tmp_path / "milvus.db" / "LOCK").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RarityError, match=r"^Milvus cannot open [^\n]* \(another process has it open\)[^\n]*$"):
            kind.open("8", tmp_path)
    assert kind.open("8", tmp_path).search(impacts([{1: 1.0}]), 1).rows.tolist() == [[0]]


def test_a_server_is_named_and_holds_what_the_folder_does_not(tmp_path, monkeypatch) -> None:
    """No server is run here: the client takes a file's name for an address, and a cluster is spoken to by the same calls."""
    pymilvus = pytest.importorskip("pymilvus")
    pytest.importorskip("milvus_lite")
    there = str(tmp_path / "server.db")
    monkeypatch.setenv("RARITYIR_MILVUS", there)
    kind, folder = registry.resolve("indexes", "milvus:sparse"), tmp_path / "folder"
    assert kind.version().endswith(f"at {there}")
    folder.mkdir()
    for weight in (1.0, 5.0):  # the second build drops the first one's collection
        facts = kind.build("8", [impacts([{1: weight}, {2: 1.0}])], folder)
        found = kind.open("8", folder)
        assert found.search(impacts([{1: 1.0}]), 4).scores.tolist() == [[weight]]
        name = json.loads((folder / "collection.json").read_text())["collection"]
        assert pymilvus.MilvusClient(there).list_collections() == [name]
    assert facts["bytes_per_doc"] > 0
    assert sorted(path.name for path in folder.iterdir()) == ["collection.json", "document_frequencies.npy", "engine.json"]
    from milvus_lite.server_manager import server_manager_instance

    server_manager_instance.release_server(there)


@pytest.mark.parametrize(("links", "sizes"), [(0, [8, 8, 4]), (16, [20])])
def test_a_server_of_qdrants_is_given_time_and_few_exact_queries_at_once(links, sizes, tmp_path, monkeypatch) -> None:
    given, asked = {}, []

    class Client:
        def __init__(self, **options) -> None:
            given.update(options)

        def query_batch_points(self, name, requests, *, timeout):
            asked.append((len(requests), timeout))
            return [SimpleNamespace(points=[SimpleNamespace(id=int(r.query[0]), score=1.0)]) for r in requests]

    models = SimpleNamespace(SearchParams=SimpleNamespace, QueryRequest=SimpleNamespace)
    monkeypatch.setenv("RARITYIR_QDRANT", "http://host:6333")
    monkeypatch.setattr(qdrant, "_clients", lambda: (Client, models))
    monkeypatch.setattr(qdrant, "_told", nullcontext)
    held = qdrant.Collection(tmp_path, "name", Form(1, links))
    found = held.search(np.arange(20, dtype=np.float32)[:, None], 3, 64)
    assert [rows.tolist() for rows, _ in found] == [[row] for row in range(20)]
    assert asked == [(size, 3600) for size in sizes]
    assert given["timeout"] == 3600


@pytest.mark.parametrize("name", ["milvus", "qdrant"])
def test_a_server_that_does_not_answer_is_one_line(name, monkeypatch, tmp_path) -> None:
    pytest.importorskip("pymilvus" if name == "milvus" else "qdrant_client")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv(f"RARITYIR_{name.upper()}", f"http://127.0.0.1:{port}")
    engines.keep_name(tmp_path, "earlier")
    with pytest.raises(RarityError, match=rf"^(Milvus|Qdrant) [^\n]*127.0.0.1:{port}[^\n]*$"):
        registry.resolve("indexes", f"{name}:dense").build("", [np.ones((1, 2), np.float32)], tmp_path)
    assert engines.kept_name(tmp_path) == "earlier"  # is still to be dropped


@pytest.mark.parametrize("name", ["milvus", "qdrant"])
def test_a_server_with_a_password_in_its_name_is_refused_and_one_changed_is_another_form(name, monkeypatch) -> None:
    if any(find_spec(package) is None for package in (*needs[name], "qdrant_client")):
        pytest.skip(f"{name} is not installed")
    kind = registry.resolve("indexes", f"{name}:sparse")
    variable = f"RARITYIR_{name.upper()}"
    monkeypatch.delenv(variable, raising=False)
    embedded = kind.version()
    monkeypatch.setenv(variable, "http://host:1")
    assert kind.version() != embedded
    assert "http://host:1" in kind.version()
    monkeypatch.setenv(variable, "http://me:secret@host:1")
    with pytest.raises(RarityError, match=rf"^{variable} must not hold a password") as caught:
        kind.version()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["milvus", "qdrant"])
def test_where_it_is_not_installed_one_line_names_the_extra(name, monkeypatch, tmp_path) -> None:
    module = importlib.import_module(f"rarityir.indexes.{name}")

    def gone(package: str) -> str:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.delenv(f"RARITYIR_{name.upper()}", raising=False)
    monkeypatch.setattr(module, "installed", gone)
    for package in ("pymilvus", "milvus_lite", "qdrant_edge", "qdrant_client"):
        monkeypatch.setitem(sys.modules, package, None)
    line = rf"^{name} needs [^\n]*pip install 'rarityir\[{name}\]'; sparse and dense search the same exactly$"
    for call in (module.SPARSE.version, lambda: module.DENSE.build("", [np.ones((1, 2), np.float32)], tmp_path)):
        with pytest.raises(MissingExtra, match=line):
            call()


def test_an_evaluation_without_its_engine_does_no_work(beir, stories, monkeypatch, tmp_path) -> None:
    def gone(package: str) -> str:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.delenv("RARITYIR_QDRANT", raising=False)
    monkeypatch.setattr(importlib.import_module("rarityir.indexes.qdrant"), "installed", gone)
    systems, places = ["dense", "rrf(dense,qdrant:sparse:8)"], {"indexes": str(tmp_path / "i"), "out": str(tmp_path / "o")}
    with pytest.raises(MissingExtra, match="qdrant needs"):
        ri.perform(ri.Experiment(dataset=str(beir), encoder=stories, systems=systems, baseline="dense", **places))
    assert not (tmp_path / "i").exists()


@pytest.mark.parametrize(
    ("name", "arg", "words"),
    [
        ("milvus:sparse", "0", "milvus:sparse:64"),
        ("qdrant:sparse", "8,kep=3", "unknown option of qdrant:sparse"),
        ("milvus:dense", "ivf4", "unknown kind of index; known: flat"),
        ("qdrant:dense", "pq64", "unknown kind of index; known: flat"),
        ("qdrant:dense", "hnsw,32,nprobe=3", "nprobe"),
        ("milvus:dense", "hnsw,1", "1 link a node"),
    ],
)
def test_a_wrong_argument_is_one_line_before_anything_is_read(name, arg, words) -> None:
    with pytest.raises(RarityError, match=rf"^[^\n]*{words}[^\n]*$"):
        registry.resolve("indexes", name).key(arg)


def test_systems_of_an_engine_are_measured_against_the_exact_ones_and_not_built_again(engine, beir, stories, tmp_path) -> None:
    source = Retriever(ri.load_dataset(str(beir)), ri.load_encoder(stories), tmp_path)
    for name, exact in (
        ("sparse:16+edge:2", "sparse:16+edge:2"),
        ("sparse:16,query=both:4,weights=idf", "sparse:16,query=both:4,weights=idf"),
        ("dense", "dense"),
        ("dense:hnsw,8,ef=99+edge:2", "dense+edge:2"),
    ):
        system = System.parse(f"{engine}:{name}")
        assert str(system) == f"{engine}:{name}"
        found, ours = source.search(system), source.search(System.parse(exact))
        assert found.hits.rows.tolist() == ours.hits.rows.tolist()
        np.testing.assert_allclose(found.hits.scores, ours.hits.scores, rtol=1e-5)
        assert source.recall(system) == 1.0
        assert found.cost["dim"] == ours.cost["dim"]
    del found
    again = Retriever(source.dataset, source.encoder, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("manifest.json") if f"{engine}_" in path.parent.name}
    assert len(before) >= 4
    fused = again.search(System.parse(f"rrf({engine}:sparse:16+edge:2,{engine}:dense)"))
    assert (fused.hits.rows >= 0).any()
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_bytes_are_of_the_disk_or_of_what_was_sent(tmp_path) -> None:
    assert engines.on_disk(tmp_path, 80, 8) == 10.0
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    assert engines.on_disk(tmp_path, 80, 8) >= 12_500


def test_an_engine_moves_queries_by_a_saved_offset_as_the_exact_index_does(engine, tmp_path) -> None:
    rng = np.random.default_rng(11)
    x, q = (normalised(rng.standard_normal(shape).astype(np.float32)) for shape in ((90, 12), (9, 12)))
    centroids = normalised(rng.standard_normal((2, 12)).astype(np.float32))
    moves = rng.standard_normal((2, 12)).astype(np.float32)
    where = Offset(moves, centroids, {"vectors": {"filter": None}}).save(tmp_path / "offset")
    kind, arg = registry.resolve("indexes", f"{engine}:dense"), f"offset={where}"
    assert kind.key(arg) == kind.key("")
    assert kind.exact(arg) == f"dense:{arg}"
    kind.build(arg, iter([x]), tmp_path / "index")
    found = kind.open(arg, tmp_path / "index").search(q, 10)
    at = np.argmax(q @ centroids.T, axis=1)
    moved = normalised((q + moves[at]).astype(np.float32))
    scores = moved @ x.T
    wanted = np.take_along_axis(scores, np.argsort(-scores, axis=1, kind="stable")[:, :10], axis=1)
    np.testing.assert_allclose(found.scores, wanted, atol=2e-5)
    assert np.abs(np.take_along_axis(scores, found.rows, axis=1) - wanted).max() < 2e-5
    assert np.abs(found.scores - np.sort(q @ x.T, axis=1)[:, ::-1][:, :10]).max() > 0.01
    with pytest.raises(RarityError, match="no whole offset"):
        kind.key("offset=nowhere")
    other = store.sealed({"identity": {"filter": "another"}, "facts": {}, "files": {}})
    store.write_json(tmp_path / "index" / store.MANIFEST, other)
    with pytest.raises(StaleArtefact, match="filter null, now another"):
        kind.open(arg, tmp_path / "index")


def test_a_typo_in_qdrants_address_leaves_nothing_that_another_would_not_match(tmp_path, monkeypatch) -> None:
    pytest.importorskip("qdrant_client")
    kind = registry.resolve("indexes", "qdrant:dense")
    monkeypatch.setenv("RARITYIR_QDRANT", "localhost:6333")
    with pytest.raises(RarityError, match="RARITYIR_QDRANT=localhost:6333 is no address"):
        kind.version()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("RARITYIR_QDRANT", f"http://127.0.0.1:{port}")
    blocks, folder = [np.eye(4, dtype=np.float32)], tmp_path / "index"
    with pytest.raises(RarityError, match="see that it runs"), store.building(folder, {"form": kind.version()}, {}):
        kind.build("", iter(blocks), folder)
    monkeypatch.setenv("RARITYIR_QDRANT", "local")
    with store.building(folder, {"form": kind.version()}, {}) as needed:
        assert needed
        kind.build("", iter(blocks), folder)
