"""What the package writes and reads again: filters, axes, offsets, relations, maps, statistics, indexes, manifests, models."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from safetensors.numpy import load, save_file

from rarityir import analogy, checkpoints, store
from rarityir.analogy import saving
from rarityir.analogy.named import Named
from rarityir.counts import TokenCounts
from rarityir.filters.embed_filter import EmbedFilter
from rarityir.ica.axes import Axes
from rarityir.ica.diagnostics import Diagnostics
from rarityir.indexes import offset as offsets
from rarityir.indexes.axes import AxesIndex
from rarityir.indexes.flat import FlatIndex
from rarityir.indexes.postings import SparseIndex
from rarityir.informativeness.table import TokenInformation
from rarityir.modelmap import ModelMap, ResamplePlan, scoring
from rarityir.modelmap.texts import TextSet
from rarityir.rarity.stats import TokenStats
from rarityir.types import Impacts
from rarityir.vectors import folders
from rarityir.weights import TokenWeights

Made = tuple[Callable[[Path, Random], Any], Callable[[Path], Any], Callable[[Path], None] | None]


def drawn(rng: Random, *shape: int) -> Any:
    return np.random.default_rng(rng.randrange(2**32)).standard_normal(shape)


def _same(array: Any) -> str:
    """What two arrays must share to be the same to the last bit."""
    return f"{array.dtype}{array.shape}{hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()}"


# Folders with a card whose checksum is over the arrays.


def _filter(folder: Path, rng: Random) -> Any:
    basis = drawn(rng, 3, 5).astype(np.float32)
    mean = drawn(rng, 5).astype(np.float32) if rng.random() < 0.5 else None
    EmbedFilter(f"edge:{rng.randint(1, 9)}", basis, {"model": "demo", "unembedding_sha256": "0" * 64}, mean).save(folder)
    return _same(basis)


def _read_filter(folder: Path) -> Any:
    found = EmbedFilter.load(folder)
    width = found.basis.shape[1]
    assert found(np.ones((2, width), np.float32)).shape == (2, len(found.basis))
    assert isinstance(found.name, str)
    found.check_model("demo", "0" * 64)
    return _same(found.basis)


def _seal_filter(folder: Path) -> None:
    card, tensors = json.loads((folder / "filter.json").read_text()), load((folder / "model.safetensors").read_bytes())
    _card(folder / "filter.json", card, EmbedFilter("x", tensors["basis"], {}, tensors.get("mean")).digest)


def _offset(folder: Path, rng: Random) -> Any:
    vectors, centroids = (drawn(rng, 2, 4).astype(np.float32) for _ in range(2))
    offsets.Offset(vectors, centroids, {"vectors": {"encoder.model": "demo", "filter": "edge:2"}}).save(folder)
    return _same(vectors)


def _read_offset(folder: Path) -> Any:
    found = offsets.Offset.load(folder)
    found(np.ones((2, found.vectors.shape[1]), np.float32))
    found.check({"encoder.model": "demo", "filter": "edge:2"}, "here")
    return _same(found.vectors)


def _seal_offset(folder: Path) -> None:
    card, tensors = json.loads((folder / offsets.CARD).read_text()), load((folder / offsets.WEIGHTS).read_bytes())
    _card(folder / offsets.CARD, card, offsets.Offset(tensors["vectors"], tensors["centroids"], {}).digest)


def _axes(folder: Path, rng: Random) -> Any:
    each = [drawn(rng, 3) for _ in range(4)]
    found = Diagnostics(50, 50, 9, True, 1e-9, 0, 1, 1.0, *each, stability=drawn(rng, 3) if rng.random() < 0.5 else None)
    axes = Axes(drawn(rng, 5), drawn(rng, 3, 5), drawn(rng, 3, 5), found, {"model": "demo"}, (("a", "b"),) * 3)
    axes.save(folder)
    return axes.digest


def _read_axes(folder: Path) -> Any:
    found = Axes.load(folder)
    coordinates = found.transform(np.ones((2, found.width)))
    assert coordinates.shape == (2, len(found))
    found.inverse_transform(coordinates)
    assert isinstance(found.diagnostics.flags, tuple)
    for axis in range(len(found)):
        assert isinstance(found.label(axis), str)
    return found.digest


def _seal_axes(folder: Path) -> None:
    card, t = json.loads((folder / "ica.json").read_text()), load((folder / "axes.safetensors").read_bytes())
    _card(folder / "ica.json", card, Axes(t["mean"], t["reading"], t["writing"], None).digest)  # type: ignore[arg-type]


def _relation(folder: Path, rng: Random) -> Any:
    q = Named(("q1", "q2", "q3"), drawn(rng, 3, 4).astype(np.float32))
    a = Named(("a1", "a2"), drawn(rng, 2, 4).astype(np.float32))
    pairs = [("q1", "a1"), ("q2", "a2"), ("q3", "a1")]
    found = analogy.Relation.fit(q, a, pairs, ["x", "y", "x"], scheme=rng.choice(("pair-mean", "type-mean")))
    saving.save(found, folder)
    return _same(found.vector())


def _read_relation(folder: Path) -> Any:
    found = saving.load(folder)
    assert found.vector("x").shape == (found.width,)
    assert isinstance(found.known, dict)
    found.leave_one_out(found.query_ids)
    return _same(found.vector())


def _seal_relation(folder: Path) -> None:
    found, arrays = json.loads((folder / saving.CARD).read_text()), load((folder / saving.WEIGHTS).read_bytes())
    keys = ("form", "scheme", "centre", "queries", "answers", "groups")
    _card(folder / saving.CARD, found, saving._digest({key: found[key] for key in keys}, arrays))


# Single files with a checksum of their own content.


def _plan(folder: Path, rng: Random) -> Any:
    plan = ResamplePlan.fit(drawn(rng, 3, 8), rng.choice(("uniform", "ls", "kl")), clip=rng.choice((0.0, 0.02)))
    plan.save(folder / "plan.json")
    return _same(plan.probabilities)


def _read_plan(folder: Path) -> Any:
    plan = ResamplePlan.load(folder / "plan.json")
    sample = plan.draw(5)
    sample.distances(plan.clipped(np.ones((2, len(plan.probabilities))))[:, sample.indices])
    return _same(plan.probabilities)


def _seal_plan(folder: Path) -> None:
    found = json.loads((folder / "plan.json").read_text())
    found.pop("sha256", None)
    _card(folder / "plan.json", found, hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest())


def _map(folder: Path, rng: Random) -> Any:
    found = ModelMap.from_matrix(("a", "b", "c"), drawn(rng, 3, 6) - 5, 300.0, clip=rng.choice((0.0, 0.1)))
    found.save(folder / "map.npz")
    return _same(found.values)


def _read_map(folder: Path) -> Any:
    found = ModelMap.load(folder / "map.npz")
    assert found.kl("nats/text").shape == (len(found.names),) * 2
    found.kl()
    found.embed()
    found.add("new", found.values[0])
    return _same(found.values)


def _seal_map(folder: Path) -> None:
    said = json.loads((folder / "map.json").read_text())
    said["map_sha256"] = store.digest_file(folder / "map.npz")
    (folder / "map.json").write_text(json.dumps(said))


def _text_set(folder: Path, rng: Random) -> Any:
    found = TextSet(("one", "two é", "\u202e" * rng.randint(0, 3) + "three"), {"file": "x"})
    found.save(folder / "texts.json")
    return found.texts


def _read_text_set(folder: Path) -> Any:
    found = TextSet.load(folder / "texts.json")
    assert found.mean_bytes >= 0
    assert len(found[[0]]) == 1
    return found.texts


def _seal_text_set(folder: Path) -> None:
    found = json.loads((folder / "texts.json").read_text())
    _card(folder / "texts.json", found, TextSet(tuple(found["texts"]), {}).sha256)


# Folders with a manifest.


def seal_manifest(folder: Path) -> None:
    """Sizes and checksums of a manifest made true again."""
    found = json.loads((folder / store.MANIFEST).read_text())
    for name, facts in found["files"].items():
        if (folder / name).is_file() and (folder / name).is_relative_to(folder):
            facts["bytes"], facts["sha256"] = (folder / name).stat().st_size, store.digest_file(folder / name)
    found.pop("sha256", None)
    (folder / store.MANIFEST).write_text(json.dumps(store.sealed(found)))


def _manifest(folder: Path, rng: Random) -> Any:
    with store.building(folder, {"a": 1, "b": ["x"]}, {"n": rng.randint(0, 9)}) as needed:
        assert needed
        (folder / "data.npy").write_bytes(bytes(rng.randrange(256) for _ in range(9)))
        (folder / "more").mkdir()
        (folder / "more" / "x.txt").write_text("x")
    return True


def _read_manifest(folder: Path) -> Any:
    found = store.manifest(folder, {"a": 1, "b": ["x"]})
    if found is not None:
        store.verify(folder)
    return found is not None


def _scored(folder: Path, rng: Random) -> Any:
    values = (drawn(rng, 6) - 9).tolist()
    with store.building(folder, {"texts": "0" * 64, "dtype": "float32"}, {"mean_bytes": 300.0, "count": 6}) as needed:
        assert needed
        for start in (0, 3):
            block = {"values": values[start : start + 3], "bos": "none", "before": 0, "scored": [5, 5, 5], "cut": []}
            store.write_json(folder / f"{start:08d}.json", block)
    return values


def _read_scored(folder: Path) -> Any:
    values, _ = scoring.read(folder)
    return values.tolist()


def _stats(folder: Path, rng: Random) -> Any:
    df = np.array([3, 1, 0, 2], np.int64)
    TokenStats(9, df, df * 2, df * 4, df // 2, word := f"s{rng.randint(0, 9)}", {"source": word}).save(folder)
    return df.tolist()


def _read_stats(folder: Path) -> Any:
    found = TokenStats.load(folder)
    for target in ("log_idf", "bm25_idf", "ridf", "vmr"):
        assert found.target(target).shape == (found.vocabulary,)
    found.over(found.vocabulary + 1)
    return found.df.tolist()


def _information(folder: Path, rng: Random) -> Any:
    values = np.array([rng.random(), 1.0, math.nan, 2.0])
    n = np.array([3, 1, 0, 2], np.int64)
    names = ("cat", "dog", None, "é")
    TokenInformation(values, values, n, n, values, 4, names, "kl", identity={"corpus": "x"}).save(folder)
    return _same(values)


def _read_information(folder: Path) -> Any:
    found = TokenInformation.load(folder)
    weights = TokenWeights.read(folder)
    assert weights.of_ids(["cat", "dog", None, "é", "more"]).shape == (5,)
    weights.told("x", "0" * 64)
    found.by_name()
    return _same(found.values)


def _counts(folder: Path, rng: Random) -> Any:
    counts = np.array([rng.randint(0, 99) for _ in range(5)], np.int64)
    TokenCounts(counts, "mine").save(folder / "counts.safetensors")
    return counts.tolist()


def _read_counts(folder: Path) -> Any:
    found = TokenCounts.load(folder / "counts.safetensors")
    assert isinstance(found.digest, str)
    assert found.counts.ndim == 1
    found.log_probability()
    return found.counts.tolist()


# Indexes.


def _impacts(rng: Random, documents: int = 300, vocabulary: int = 200) -> Impacts:
    # Token 0 is in every document, and stored as a column; the others are in few, and stored as postings.
    chosen = [[0, *sorted(rng.sample(range(1, vocabulary), 2))] for _ in range(documents)]
    ids = np.array([token for row in chosen for token in row], np.int64)
    values = np.array([rng.uniform(0.1, 3) for _ in ids], np.float32)
    return Impacts(np.arange(documents + 1, dtype=np.int64) * 3, ids, values, vocabulary)


def _sparse(folder: Path, rng: Random) -> Any:
    found = SparseIndex.build(_impacts(rng), folder)
    return _same(found.impacts(0, 300).values)


def _read_sparse(folder: Path) -> Any:
    found = SparseIndex.load(folder)
    held = found.impacts(0, found.documents)
    query = Impacts(np.array([0, 2]), np.array([0, 1]), np.ones(2, np.float32), found.vocabulary)
    hits = found.search(query, 3)
    assert (hits.rows < found.documents).all()
    assert found.document_frequencies.shape == (found.vocabulary,)
    return _same(held.values)


def _collection(folder: Path, rng: Random) -> Any:
    rows = [{"id": f"d{i}", "vector": {"cat": 1 + i, f"é{rng.randint(0, 3)}": 2.5}} for i in range(4)]
    source = folder.parent / f"{folder.name}.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = folders.build(source, folder)
    source.unlink()
    return list(found.tokens)


def _read_collection(folder: Path) -> Any:
    found = folders.opened(folder)
    assert len(found.doc_ids) == found.index.documents
    return list(found.tokens)


def _flat(folder: Path, rng: Random) -> Any:
    x_NK = drawn(rng, 6, 4).astype(np.float32)
    FlatIndex.build([x_NK], folder)
    return _same(x_NK)


def _read_flat(folder: Path) -> Any:
    found = FlatIndex.open(folder)
    hits = found.search(np.ones((1, found.vectors.shape[1]), np.float32), 3)
    assert (hits.rows < len(found.vectors)).all()
    return _same(np.asarray(found.vectors))


def _largest(folder: Path, rng: Random) -> Any:
    AxesIndex.build("2", [drawn(rng, 6, 4).astype(np.float32)], folder)


def _read_largest(folder: Path) -> Any:
    found = AxesIndex.open("2", folder)
    hits = found.search(np.ones((1, found._matrix.shape[1]), np.float32), 3)
    assert (hits.rows < found._matrix.shape[0]).all()


# A model's folder.


def _model(folder: Path, rng: Random) -> Any:
    head = drawn(rng, 6, 4).astype(np.float32)
    tensors = {"lm_head.weight": head, "model.norm.weight": np.ones(4, np.float32), "model.embed_tokens.weight": head}
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "tie_word_embeddings": False, "num_hidden_layers": 2}))
    if rng.random() < 0.5:
        (folder / "model.safetensors.index.json").write_text(
            json.dumps({"weight_map": dict.fromkeys(tensors, "model.safetensors")})
        )
    return _same(head)


def _read_model(folder: Path) -> Any:
    from rarityir.rarity.heat import spread_layers

    rows = checkpoints.unembedding(str(folder))
    found = rows.array()
    checkpoints.bias(rows)
    checkpoints.input_embeddings(str(folder))
    checkpoints.final_norm(str(folder))
    checkpoints.fingerprint(str(folder))
    spread_layers(str(folder))
    return _same(found)


def _card(path: Path, card: dict[str, Any], digest: str) -> None:
    path.write_text(json.dumps({**card, "sha256": digest}, ensure_ascii=True))


PARSERS: dict[str, Made] = {
    "saved filters": (_filter, _read_filter, _seal_filter),
    "saved offsets": (_offset, _read_offset, _seal_offset),
    "saved axes (ICA)": (_axes, _read_axes, _seal_axes),
    "saved relations": (_relation, _read_relation, _seal_relation),
    "resampling plans": (_plan, _read_plan, _seal_plan),
    "maps of models": (_map, _read_map, _seal_map),
    "text sets (saved)": (_text_set, _read_text_set, _seal_text_set),
    "manifests": (_manifest, _read_manifest, seal_manifest),
    "scored texts": (_scored, _read_scored, seal_manifest),
    "token statistics": (_stats, _read_stats, seal_manifest),
    "weights of tokens (folders)": (_information, _read_information, seal_manifest),
    "token counts": (_counts, _read_counts, None),
    "sparse indexes": (_sparse, _read_sparse, None),
    "sparse indexes with names": (_collection, _read_collection, seal_manifest),
    "dense indexes": (_flat, _read_flat, None),
    "indexes of axes": (_largest, _read_largest, None),
    "models' folders": (_model, _read_model, None),
}
