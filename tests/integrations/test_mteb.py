"""mteb measures what rarityir measures, and one result cache keeps a model and its filtered form apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import rarityir as ri
from rarityir.retrieval import retrieve
from rarityir.types import RarityError

pytest.importorskip("mteb")

import mteb
from datasets import Dataset
from mteb.abstasks import AbsTaskRetrieval

from rarityir.integrations.mteb import FilteredEncoder


class CranfieldPart(AbsTaskRetrieval):
    metadata = mteb.TaskMetadata(
        name="CranfieldPart",
        description="The judged documents of the first topics of Cranfield.",
        dataset={"path": "local", "revision": "1"},
        type="Retrieval",
        category="t2t",
        eval_langs=["eng-Latn"],
        main_score="ndcg_at_10",
    )


@pytest.fixture(scope="module")
def part() -> ri.Dataset:
    """About 100 documents: those judged for the first topics."""
    whole = ri.load_dataset("cranfield")
    qrels: dict[str, dict[str, int]] = {}
    for query_id, judged in whole.qrels.items():
        if len({doc_id for known in qrels.values() for doc_id in known}) < 100:
            qrels[query_id] = judged
    wanted = {doc_id for judged in qrels.values() for doc_id in judged}
    docs = [doc for doc in whole.docs() if doc.doc_id in wanted]
    topics = {query_id: whole.topics[query_id] for query_id in qrels}
    return replace(
        whole, corpus="cranfield-part", identity={"part": 1}, docs=lambda: iter(docs), topics=topics, qrels=qrels, docs_count=None
    )


@pytest.fixture
def task(part) -> CranfieldPart:
    task = CranfieldPart()
    split = {
        "corpus": Dataset.from_list([{"id": doc.doc_id, "title": "", "text": doc.text} for doc in part.docs()]),
        "queries": Dataset.from_list([{"id": query_id, "text": text} for query_id, text in part.topics.items()]),
        "relevant_docs": {query_id: dict(judged) for query_id, judged in part.qrels.items()},
        "top_ranked": None,
    }
    task.dataset, task.data_loaded = {"default": {"test": split}}, True
    return task


def test_mteb_gives_the_figures_of_rarityir_from_one_cache(contract, part, task, tmp_path) -> None:
    folder = contract.filter.save(tmp_path / "filter")
    models = {
        "dense": FilteredEncoder(contract.encoder),
        f"dense+saved:{folder}": FilteredEncoder(contract.encoder, contract.filter),
    }
    cache = mteb.ResultCache(tmp_path / "cache")

    def scored(model: FilteredEncoder, strategy: str) -> float:
        found = mteb.evaluate(model, task, cache=cache, overwrite_strategy=strategy, show_progress_bar=False)
        return float(found.task_results[0].get_score())

    first = {system: scored(model, "only-missing") for system, model in models.items()}
    for system, figure in first.items():
        run = retrieve(system, part, contract.encoder, indexes=tmp_path / "indexes")
        ours = ri.evaluate(run, part.qrels, ["nDCG@10"]).mean("nDCG@10")
        assert figure == pytest.approx(ours, abs=1e-4)
    assert abs(first["dense"] - first[f"dense+saved:{folder}"]) > 1e-3
    assert {system: scored(model, "only-cache") for system, model in models.items()} == first


def test_all_that_vectors_depend_on_is_in_name_or_revision(contract) -> None:
    told = replace(contract.encoder, instruction="Find the report:")
    other = replace(contract.filter, basis=contract.filter.basis[:64])
    models = [
        FilteredEncoder(contract.encoder),
        FilteredEncoder(told),
        FilteredEncoder(contract.encoder, contract.filter),
        FilteredEncoder(contract.encoder, other),
    ]
    metas = [model.mteb_model_meta for model in models]
    assert len({(meta.name, meta.revision) for meta in metas}) == 4
    assert [meta.embed_dim for meta in metas] == [256, 256, 128, 64]
    assert FilteredEncoder(contract.encoder, contract.filter).mteb_model_meta == metas[2]


def test_a_filter_of_another_width_is_an_error_before_anything_is_encoded(contract) -> None:
    narrow = replace(contract.filter, basis=np.eye(3, dtype=np.float32), mean=None)
    with pytest.raises(RarityError, match="was fitted on width 3"):
        FilteredEncoder(contract.encoder, narrow)
