"""The contract every integration keeps: the same texts rank as in rarityir itself, and score alike to 1e-5."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np
import pytest

import rarityir as ri
from rarityir.retrieval import normalised

DOCUMENTS, QUERIES, POOLING = 60, 8, "prompteol"


@dataclass(frozen=True)
class Contract:
    """Some texts of Cranfield, the demo model's raw embeddings of them, a filter, and the scores rarityir gives."""

    doc_ids: list[str]
    texts: list[str]
    queries: list[str]
    encoder: ri.Encoder
    filter: ri.EmbedFilter
    documents_ND: np.ndarray  # raw: neither filtered nor normalised
    queries_QD: np.ndarray
    scores_QN: np.ndarray  # cosines of filtered embeddings

    def check_scores(self, scores_QN: np.ndarray) -> None:
        """All scores as a (Q, N) matrix, in the order of `texts`."""
        np.testing.assert_allclose(np.asarray(scores_QN), self.scores_QN, atol=1e-5)
        assert (np.argsort(-np.asarray(scores_QN), axis=1)[:, :10] == self.ranking(10)).mean() > 0.97  # ties within 1e-5

    def check_found(self, query: int, doc_ids: list[str], scores: list[float] | None = None) -> None:
        """What a stack found for one query, best first: the same documents at the same scores (where it gives cosines)."""
        rows = [self.doc_ids.index(doc_id) for doc_id in doc_ids]
        ours = self.scores_QN[query][rows]
        best = np.sort(self.scores_QN[query])[::-1][: len(rows)]
        np.testing.assert_allclose(ours, best, atol=1e-5)
        if scores is not None:
            np.testing.assert_allclose(scores, ours, atol=1e-5)

    def ranking(self, cutoff: int) -> np.ndarray:
        return np.argsort(-self.scores_QN, axis=1)[:, :cutoff]


@pytest.fixture(scope="session", params=["edge:2", "center+tail:2"])
def contract(request, tmp_path_factory) -> Contract:
    """Once with a filter that is a plain projection, once with one that also takes a mean off."""
    dataset = ri.load_dataset("cranfield")
    docs = list(islice(dataset.docs(), DOCUMENTS))
    queries = list(islice(dataset.topics.values(), QUERIES))
    encoder = ri.load_encoder("demo", pooling=POOLING)
    documents_ND = encoder.encode_document([doc.text for doc in docs])
    queries_QD = encoder.encode_query(queries)
    fitted = ri.EmbedFilter.fit("demo", request.param, embeddings=documents_ND, cache=tmp_path_factory.mktemp("spectra"))
    scores_QN = normalised(fitted(queries_QD)) @ normalised(fitted(documents_ND)).T
    return Contract(
        [doc.doc_id for doc in docs], [doc.text for doc in docs], queries, encoder, fitted, documents_ND, queries_QD, scores_QN
    )
