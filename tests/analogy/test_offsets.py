"""Offsets from queries to documents: learned on judged topics, saved, and used by a dense system, each against its formula."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rarityir.analogy.named import Named
from rarityir.analogy.offsets import Judged, cluster, learn, nearest, tune
from rarityir.datasets import load_dataset
from rarityir.encoders import load_encoder
from rarityir.indexes.dense import DenseIndex
from rarityir.indexes.offset import CARD, WEIGHTS, Offset
from rarityir.measures import evaluate
from rarityir.retrieval import Retriever, check, normalised
from rarityir.systems import System, expand
from rarityir.types import RarityError, StaleArtefact

pytestmark = pytest.mark.usefixtures("elsewhere")


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return normalised(rng.normal(size=shape).astype(np.float32))


def made(rng: np.random.Generator, topics: int = 40, documents: int = 60, width: int = 12) -> Judged:
    q, d = unit(rng, topics, width), unit(rng, documents, width)
    pairs = {(f"q{rng.integers(topics)}", f"d{rng.integers(documents)}") for _ in range(100)} | {
        (f"q{i}", f"d{i}") for i in range(topics)
    }
    return Judged(
        Named(tuple(f"q{i}" for i in range(topics)), q),
        Named(tuple(f"d{i}" for i in range(documents)), d),
        tuple(sorted(pairs)),
        d.mean(axis=0).astype(float),
        {"vectors": {"encoder.model": "m", "filter": None}},
    )


def mean(judged: Judged, pairs: list[tuple[str, str]]) -> np.ndarray:
    rows = [(judged.documents.rows[d], judged.queries.rows[q]) for q, d in pairs]
    return np.mean([judged.documents.vectors[d].astype(float) - judged.queries.vectors[q] for d, q in rows], axis=0)


def test_an_offset_is_the_mean_difference_of_each_cluster_times_its_scale(rng: np.random.Generator) -> None:
    judged = made(rng)
    whole = learn(judged, scale=0.5)
    assert np.allclose(whole.vectors, 0.5 * mean(judged, list(judged.pairs)), atol=1e-6)
    found = learn(judged, clusters=5, seed=3)
    at = found.clusters(judged.queries.vectors)
    assert set(at) == set(range(len(found.vectors)))
    for c, vector in enumerate(found.vectors):
        own = [(q, d) for q, d in judged.pairs if at[judged.queries.rows[q]] == c]
        assert np.allclose(vector, mean(judged, own), atol=1e-6)
    q = judged.queries.vectors
    moved = q + found.vectors[at]
    assert np.allclose(found(q), moved / np.linalg.norm(moved, axis=1, keepdims=True), atol=1e-6)


def test_controls_are_what_they_are_called(rng: np.random.Generator) -> None:
    judged = made(rng)
    own = learn(judged, clusters=4, seed=1)
    norms = np.linalg.norm(own.vectors, axis=1)
    random = learn(judged, clusters=4, control="random", seed=1)
    assert np.allclose(np.linalg.norm(random.vectors, axis=1), norms, rtol=1e-5)
    assert not np.allclose(random.vectors, own.vectors, atol=1e-2)
    shuffled = learn(judged, clusters=4, control="shuffled", seed=1)
    assert not np.allclose(shuffled.vectors, own.vectors, atol=1e-3)
    assert np.allclose(shuffled.centroids, own.centroids)
    # One vector of all pairs does not know which document answers which topic: dealt anew, its sums are of the same rows.
    simple = Judged(judged.queries, judged.documents, tuple((f"q{i}", f"d{i}") for i in range(40)), judged.mean, judged.facts)
    assert np.allclose(learn(simple, control="shuffled").vectors, learn(simple).vectors, atol=1e-6)
    unjudged = learn(judged, control="unjudged")
    assert np.allclose(
        unjudged.vectors[0], judged.documents.vectors.mean(axis=0) - judged.queries.vectors.mean(axis=0), atol=1e-6
    )
    assert np.allclose(learn(judged, scale=0.0)(judged.queries.vectors), judged.queries.vectors, atol=1e-6)


def test_one_vector_is_a_prior_over_documents(rng: np.random.Generator) -> None:
    judged = made(rng)
    found, q, d = learn(judged), judged.queries.vectors, judged.documents.vectors
    length = np.linalg.norm(q + found.vectors, axis=1, keepdims=True)
    assert np.allclose(found(q) @ d.T * length - q @ d.T, found.vectors @ d.T, atol=1e-5)  # the same row for every query


def test_clusters_are_fixed_points_and_none_is_empty(rng: np.random.Generator) -> None:
    centres = unit(rng, 5, 30)
    x = normalised((np.repeat(centres, 20, axis=0) + 0.05 * rng.normal(size=(100, 30))).astype(np.float32))
    found = cluster(x, 5, seed=int(rng.integers(2**31)))
    at = nearest(x, found)
    assert sorted(set(at)) == list(range(len(found)))
    for c in range(len(found)):
        assert np.allclose(found[c], normalised(x[at == c].sum(axis=0, keepdims=True))[0], atol=1e-5)
    lone = min(np.mean([(x @ cluster(x, 5, seed).T).max(axis=1).mean() for seed in range(5)]), 1.0)
    assert lone > (x @ cluster(x, 1, 0).T).max(axis=1).mean() + 0.2
    assert len(cluster(x[:3], 3, 0)) == 3
    assert len(cluster(np.repeat(x[:1], 6, axis=0), 4, 0)) == 1  # equal topics make one cluster
    with pytest.raises(RarityError, match="7 clusters of 6 topics"):
        cluster(x[:6], 7, 0)


def test_a_saved_offset_is_read_back_and_a_changed_one_is_told(tmp_path: Path, rng: np.random.Generator) -> None:
    found = learn(made(rng), clusters=3)
    folder = found.save(tmp_path / "offset")
    again = Offset.load(folder)
    q = unit(rng, 7, 12)
    assert np.array_equal(again(q), found(q))
    assert again.learned_on["clusters"] == 3
    with pytest.raises(RarityError, match="learned on width 12, these queries have 5"):
        found(unit(rng, 2, 5))
    with pytest.raises(StaleArtefact, match="model m, now other"):
        found.check({"encoder.model": "other", "filter": None, "encoder.torch": "9"}, "x")
    with pytest.raises(StaleArtefact, match="filter null, now abc"):
        found.check({"encoder.model": "m", "filter": "abc"}, "x")
    found.check({"encoder.model": "m", "filter": None, "encoder.torch": "9", "documents": "others"}, "x")
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, "sha256": "0"}))
    with pytest.raises(RarityError, match="is not the offset its card describes"):
        Offset.load(folder)
    (folder / CARD).unlink()
    with pytest.raises(RarityError, match="no whole offset"):
        Offset.load(folder)
    with pytest.raises(RarityError, match="is no offset's"):
        found.save(folder)
    (folder / WEIGHTS).write_bytes(b"12")
    (folder / CARD).write_text(json.dumps(card))
    with pytest.raises(RarityError, match="no whole offset"):
        Offset.load(folder)


def test_the_name_of_a_system_says_its_offset(rng: np.random.Generator) -> None:
    found = learn(made(rng)).save("off/set")
    assert DenseIndex.key(f"offset={found}") == "dense"
    assert DenseIndex.key(f"hnsw,8,ef=9,offset={found}") == "dense:hnsw,8"
    assert DenseIndex.exact(f"hnsw,8,offset={found}") == f"dense:offset={found}"
    assert DenseIndex.exact(f"offset={found}") is None
    name = f"dense:hnsw,8,offset={found}+edge:2"
    assert str(System.parse(name)) == name
    assert expand(f"dense{{,:offset={found}}}+edge:2") == ["dense+edge:2", f"dense:offset={found}+edge:2"]
    for wrong, words in (("dense:offset=none", "no whole offset"), ("dense:offset=", "needs the folder of an offset")):
        with pytest.raises(RarityError, match=words):
            check(System.parse(wrong))


@pytest.mark.parametrize("filters", ["", "+truncate:32"])
def test_a_dense_system_searches_with_moved_queries(beir: Path, stories: str, filters: str) -> None:
    retriever = Retriever(load_dataset(str(beir)), load_encoder(stories), Path("indexes"))
    plain = System.parse(f"dense{filters}")
    judged = Judged.of(retriever, plain)
    dataset, encoder = retriever.dataset, retriever.encoder
    width = 32 if filters else encoder.dim
    q, d = (
        {name: x[:width] / np.linalg.norm(x[:width]) for name, x in zip(names, encode(texts), strict=True)}
        for names, texts, encode in (
            (dataset.topics, list(dataset.topics.values()), encoder.encode_query),
            ([doc.doc_id for doc in dataset.docs()], [doc.text for doc in dataset.docs()], encoder.encode_document),
        )
    )
    pairs = {(x, y) for x, found in dataset.qrels.items() for y, grade in found.items() if grade > 0}
    assert set(judged.pairs) == pairs
    v = np.mean([d[y] - q[x] for x, y in pairs], axis=0)
    found = learn(judged)
    assert np.allclose(found.vectors[0], v, atol=1e-5)
    assert np.allclose(judged.mean, np.mean(list(d.values()), axis=0), atol=1e-5)
    folder = found.save("offset")
    system = System.parse(f"dense:offset={folder}{filters}")
    before = set(Path("indexes").rglob("manifest.json"))
    run = retriever.run(system)
    built = {path.parent.name for path in Path("indexes").rglob("manifest.json")} - {path.parent.name for path in before}
    assert built == {f"dense{filters.replace(':', '_')}"}  # what is stored is the plain system's
    for x in run:
        point = q[x] + v
        wanted = {y: float(point @ e / np.linalg.norm(point)) for y, e in d.items()}
        assert dict(run[x]) == pytest.approx(wanted, abs=1e-5)
    assert run.name == str(system)
    for scale, scores in tune(retriever, plain, judged, [0.0, 1.0], measure="RR").items():
        for x, value in zip(scores.query_ids, scores.values["RR"], strict=True):
            left = np.mean([d[b] - q[a] for a, b in pairs if a != x], axis=0)
            order = sorted(d, key=lambda y: -(q[x] + scale * left) @ d[y])
            assert value == pytest.approx(1 / next(r for r, y in enumerate(order, 1) if (x, y) in pairs))
    other = Retriever(dataset, load_encoder(stories, pooling="last"), Path("indexes"))
    with pytest.raises(StaleArtefact, match="pooling"):
        other.run(system)


def test_a_scale_is_chosen_by_rankings_in_which_no_topic_finds_itself(beir: Path, stories: str) -> None:
    plain, given = System.parse("dense"), load_dataset(str(beir))
    topics = {doc.doc_id: doc.text for doc in given.docs()}
    qrels = {"d1": {"d6": 1}, "d2": {"d4": 1}, "d3": {"d5": 1}}
    own = replace(given, topics={name: topics[name] for name in qrels}, qrels=qrels, drops_query_document=True)
    retriever = Retriever(own, load_encoder(stories), Path("indexes"))
    found = tune(retriever, plain, Judged.of(retriever, plain), [0.0], measure="RR")[0.0]
    searched = evaluate(retriever.run(plain), qrels, ["RR"], found.query_ids)
    np.testing.assert_allclose(found.values["RR"], searched.values["RR"])
    itself = replace(own, drops_query_document=False)
    other = Retriever(itself, load_encoder(stories), Path("indexes"))
    with_own = tune(other, plain, Judged.of(other, plain), [0.0], measure="RR")[0.0]
    assert (with_own.values["RR"] < found.values["RR"]).all()


def test_what_no_offset_can_be_learned_for_is_said(beir: Path, stories: str, rng: np.random.Generator) -> None:
    retriever = Retriever(load_dataset(str(beir)), load_encoder(stories), Path("indexes"))
    for system in ("bm25", "dense:hnsw,8", "sparse:8"):
        with pytest.raises(RarityError, match="an offset is learned for dense"):
            Judged.of(retriever, System.parse(system))
    unjudged = replace(load_dataset(str(beir)), qrels={"q1": {"d1": 0}})
    with pytest.raises(RarityError, match="no topic with a relevant document"):
        Judged.of(Retriever(unjudged, load_encoder(stories), Path("indexes")), System.parse("dense"))
    with pytest.raises(RarityError, match="unknown control 'none at all'"):
        learn(made(rng), control="none at all")
