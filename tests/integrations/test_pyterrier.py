"""PyTerrier ranks filtered vectors as rarityir does; no Java is started."""

from __future__ import annotations

import numpy as np
import pytest

from rarityir.types import RarityError

pt = pytest.importorskip("pyterrier")
dr = pytest.importorskip("pyterrier_dr")

import pandas as pd  # noqa: E402

from rarityir.integrations.pyterrier import EmbedFilterTransformer  # noqa: E402


def lookup(column: str, of: str, texts: list[str], rows: np.ndarray):
    """A stage that adds the contract's raw vectors of a text column."""
    vectors = dict(zip(texts, rows, strict=True))
    return pt.apply.generic(lambda frame: frame.assign(**{column: [vectors[text] for text in frame[of]]}))


@pytest.fixture
def stages(contract):
    """The encoders of documents and queries, and the topics."""
    topics = pd.DataFrame({"qid": [f"q{i}" for i in range(len(contract.queries))], "query": contract.queries})
    documents = lookup("doc_vec", "text", contract.texts, contract.documents_ND)
    return documents, lookup("query_vec", "query", contract.queries, contract.queries_QD), topics


@pytest.mark.parametrize(("similarity", "normalise"), [("dot", True), ("cos", False)])
def test_a_dense_index_finds_what_rarityir_finds(contract, stages, tmp_path, similarity, normalise) -> None:
    documents, queries, topics = stages
    project = EmbedFilterTransformer(contract.filter, normalise=normalise)
    index = dr.FlexIndex(str(tmp_path / "documents.flex"), sim_fn=similarity, verbose=False)
    corpus = ({"docno": doc_id, "text": text} for doc_id, text in zip(contract.doc_ids, contract.texts, strict=True))
    (documents >> project >> index).index(corpus)
    run = (queries >> project >> index.np_retriever(num_results=10))(topics)
    for i, query_id in enumerate(topics["qid"]):
        found = run[run["qid"] == query_id].sort_values("rank")
        contract.check_found(i, list(found["docno"]), list(found["score"]))


def test_an_experiment_takes_the_pipeline(contract, stages, tmp_path) -> None:
    documents, queries, topics = stages
    project = EmbedFilterTransformer(contract.filter)
    index = dr.FlexIndex(str(tmp_path / "documents.flex"), verbose=False)
    corpus = ({"docno": doc_id, "text": text} for doc_id, text in zip(contract.doc_ids, contract.texts, strict=True))
    (documents >> project >> index).index(corpus)
    best = [contract.doc_ids[row] for row in contract.ranking(1)[:, 0]]
    qrels = pd.DataFrame({"qid": topics["qid"], "docno": best, "label": 1})
    pipeline = queries >> project >> index.np_retriever(num_results=10)
    table = pt.Experiment([pipeline], topics, qrels, [pt.measures.nDCG @ 10], validate="error")
    assert table["nDCG@10"][0] == pytest.approx(1.0)


def test_both_columns_are_filtered_and_others_left(contract) -> None:
    project = EmbedFilterTransformer(contract.filter)
    frame = pd.DataFrame(
        {"qid": ["q"], "query_vec": [contract.queries_QD[0]], "doc_vec": [contract.documents_ND[0]], "rank": [0]}
    )
    filtered = project(frame)
    assert list(filtered.columns) == list(frame.columns)
    assert filtered["query_vec"][0] @ filtered["doc_vec"][0] == pytest.approx(contract.scores_QN[0, 0], abs=1e-5)
    assert list(project(frame.iloc[:0]).columns) == list(frame.columns)
    assert pt.inspect.transformer_inputs(project) == [["query_vec"], ["doc_vec"]]
    assert pt.inspect.transformer_outputs(project, ["qid", "query_vec"]) == ["qid", "query_vec"]


def test_a_frame_without_vectors_or_of_another_width_is_an_error(contract) -> None:
    project = EmbedFilterTransformer(contract.filter)
    with pytest.raises(pt.validate.InputValidationError):
        project(pd.DataFrame({"qid": ["q"], "query": ["boundary layer"]}))
    with pytest.raises(RarityError, match="was fitted on width"):
        project(pd.DataFrame({"qid": ["q"], "query_vec": [np.ones(3, np.float32)]}))
