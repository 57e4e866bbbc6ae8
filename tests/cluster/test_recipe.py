"""One window in, one out: the bits of one machine, and nothing that is no whole window."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from rarityir.cluster import Recipe
from rarityir.cluster.shards import matrix
from rarityir.encoders import load_encoder
from rarityir.filters import EmbedFilter
from rarityir.settings import ImpactSettings
from rarityir.tokens import TokenLens
from rarityir.types import RarityError

pa = pytest.importorskip("pyarrow")
pytestmark = pytest.mark.usefixtures("small")


def batch(one: Any, start: int, stop: int) -> Any:
    docs = list(one.source.dataset.docs())[start:stop]
    rows = np.arange(start, start + len(docs))
    return pa.RecordBatch.from_pydict({"id": [d.doc_id for d in docs], "row": rows, "text": [d.text for d in docs]})


@pytest.mark.parametrize(("start", "stop"), [(0, 64), (640, 704), (1984, 1990)])
def test_a_window_has_the_bits_of_one_machine(one: Any, start: int, stop: int) -> None:
    recipe = pickle.loads(pickle.dumps(Recipe.of(one.corpus, one.encoder)))  # as every process gets it
    assert not {"_loaded", "_rows"} & set(vars(recipe.encoder))
    found = recipe.encode_batch(batch(one, start, stop))
    assert found.schema == recipe.schema
    assert found.schema.field("emb").type == pa.list_(pa.float32(), 64)
    assert matrix(found.column("emb")).tobytes() == one.raw[start:stop].tobytes()
    assert found.column("row").to_pylist() == list(range(start, stop))
    assert found.column("id").to_pylist() == list(one.corpus.doc_ids)[start:stop]


def test_filtered_vectors_are_those_of_the_dense_index(one: Any) -> None:
    recipe = Recipe.of(one.corpus, one.encoder, one.filter)
    found = recipe.encode_batch(batch(one, 128, 192))
    assert matrix(found.column("emb")).tobytes() == one.vectors[128:192].tobytes()
    assert recipe.identity["filter"] == "edge:2"
    assert recipe.identity["filter_sha256"] == one.filter.digest
    assert recipe.identity["emb"] == "filtered, unit length"


@pytest.mark.usefixtures("one_thread")
def test_tokens_are_the_best_that_the_embedding_aligns_with(one: Any) -> None:
    settings = ImpactSettings.parse("8,weighting=raw,scale=none")
    found = Recipe.of(one.corpus, one.encoder, one.filter, settings).encode_batch(batch(one, 0, 64))
    lens = TokenLens(one.encoder, one.filter)
    z_NC = lens.logits(one.raw[:64])
    for row, (tokens, weights) in enumerate(zip(found.column("tokens").to_pylist(), found.column("weights").to_pylist())):
        order = np.argsort(-z_NC[row], kind="stable")[:8]
        assert tokens == [lens.vocabulary.names[c] for c in order]
        assert weights == pytest.approx(z_NC[row][order], rel=1e-4)


@pytest.mark.usefixtures("one_thread")
def test_tokens_have_the_bits_of_one_machine_block_by_block(one: Any) -> None:
    found = Recipe.of(one.corpus, one.encoder, None, ImpactSettings.parse("16")).encode_batch(batch(one, 1984, 1990))
    expected = TokenLens(one.encoder).align(one.raw[1984:1990], 16)
    assert found.column("weights").flatten().to_numpy().tobytes() == expected.values.tobytes()
    assert np.diff(found.column("tokens").offsets.to_numpy()).tolist() == np.diff(expected.indptr).tolist()


@pytest.mark.usefixtures("one_thread")
def test_float16_is_filtered_and_read_from_what_is_stored(one: Any, stories: str) -> None:
    encoder = load_encoder(stories, device="cpu", store_dtype="float16")
    found = Recipe.of(one.corpus, encoder).encode_batch(batch(one, 0, 64))
    assert found.schema.field("emb").type == pa.list_(pa.float16(), 64)
    stored = one.raw[:64].astype(np.float16)
    assert (matrix(found.column("emb")) == stored).all()
    both = Recipe.of(one.corpus, encoder, one.filter, ImpactSettings.parse("4")).encode_batch(batch(one, 0, 64))
    x_NK = stored.astype(np.float64) @ one.filter.basis.T
    x_NK /= np.linalg.norm(x_NK, axis=1, keepdims=True)
    assert matrix(both.column("emb")) == pytest.approx(x_NK, abs=6e-4)
    tokens = np.concatenate(
        [TokenLens(one.encoder, one.filter).align(x.astype(np.float32), 4).values for x in np.array_split(stored, 4)]
    )
    assert both.column("weights").flatten().to_numpy().tobytes() == tokens.tobytes()


@pytest.mark.parametrize(("start", "stop"), [(0, 63), (1, 65), (0, 128), (32, 96), (1984, 1989), (5, 5)])
def test_what_is_no_whole_window_is_refused(one: Any, start: int, stop: int) -> None:
    with pytest.raises(RarityError, match=rf"{stop - start} documents from row -?\d+ are no whole window; give 64"):
        Recipe.of(one.corpus, one.encoder).encode_batch(batch(one, start, stop))


def test_rows_out_of_order_are_refused(one: Any) -> None:
    with pytest.raises(RarityError, match="no whole window"):
        Recipe.of(one.corpus, one.encoder).encode_batch(batch(one, 0, 64).take(pa.array([1, 0, *range(2, 64)])))


def test_a_process_with_another_encoder_is_refused(one: Any) -> None:
    recipe = Recipe.of(one.corpus, one.encoder)
    recipe.check_process()
    recipe.identity["encoder.torch"] = "1.0"
    with pytest.raises(RarityError, match=r"another encoder than this machine: torch 1\.0, now"):
        recipe.check_process()


def test_what_needs_more_than_an_embedding_is_refused(one: Any) -> None:
    with pytest.raises(RarityError, match="tokens of style aligned; for promptreps"):
        Recipe.of(one.corpus, one.encoder, None, ImpactSettings.parse("8,style=promptreps"))
    pooled = EmbedFilter("center", np.eye(64, dtype=np.float32), {"documents": {"pooling": "last"}})
    with pytest.raises(RarityError, match="center was fitted on embeddings pooled by last"):
        Recipe.of(one.corpus, one.encoder, pooled)


def test_one_worker_reads_whatever_the_encoder_was_told(one: Any, stories: str) -> None:
    recipe = Recipe.of(one.corpus, load_encoder(stories, device="cpu", workers=3))
    assert recipe.encoder.execution.workers == 1
    assert recipe.identity == Recipe.of(one.corpus, one.encoder).identity


def test_the_bits_do_not_depend_on_how_many_threads_a_process_has(monkeypatch: pytest.MonkeyPatch, one: Any) -> None:
    from threadpoolctl import threadpool_info, threadpool_limits

    threads = []

    def filter(x_ND: Any) -> Any:
        threads.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return one.filter(x_ND)

    recipe = Recipe.of(one.corpus, one.encoder, one.filter)
    monkeypatch.setattr(EmbedFilter, "__call__", lambda self, x_ND: filter(x_ND) if self is recipe.filter else x_ND)
    monkeypatch.setattr(one, "filter", lambda x_ND: np.asarray(x_ND) @ recipe.filter.basis.T)
    with threadpool_limits(2):
        recipe.encode_batch(batch(one, 0, 64))
    assert set(threads) == {1}
