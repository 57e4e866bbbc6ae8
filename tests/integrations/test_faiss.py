"""FAISS with the filter inside its index: raw embeddings in, raw queries, the scores of rarityir out."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

import rarityir as ri
from rarityir.integrations.faiss import INDEX, TRANSFORM, export, transform, wrap
from rarityir.retrieval import normalised
from rarityir.types import RarityError


def all_scores(index, contract) -> np.ndarray:
    """The (Q, N) scores in the order of the documents."""
    scores, rows = index.search(contract.queries_QD, len(contract.texts))
    found = np.empty_like(scores)
    np.put_along_axis(found, rows, scores, axis=1)
    return found


def test_raw_embeddings_go_in_and_raw_queries_rank_as_in_rarityir(contract, tmp_path) -> None:
    index = wrap(contract.filter, "Flat")
    index.add(contract.documents_ND)
    contract.check_scores(all_scores(index, contract))
    faiss.write_index(index, str(tmp_path / "i"))
    contract.check_scores(all_scores(faiss.read_index(str(tmp_path / "i")), contract))


def test_an_index_of_filtered_vectors_takes_raw_queries_when_wrapped(contract) -> None:
    built = faiss.IndexFlatIP(128)
    built.add(normalised(contract.filter(contract.documents_ND)))
    index = wrap(contract.filter, built)
    del built
    contract.check_scores(all_scores(index, contract))


def test_hnsw_finds_the_best_documents(contract) -> None:
    index = wrap(contract.filter, "HNSW16")
    index.add(contract.documents_ND)
    scores, rows = index.search(contract.queries_QD, 10)
    for i in range(len(contract.queries)):
        contract.check_found(i, [contract.doc_ids[row] for row in rows[i]], list(scores[i]))


def test_a_trained_index_is_trained_on_raw_embeddings(contract) -> None:
    index = wrap(contract.filter, "IVF2,Flat")
    assert not index.is_trained
    faiss.downcast_index(index.index).cp.min_points_per_centroid = 1
    index.train(contract.documents_ND)
    index.add(contract.documents_ND)
    scores, rows = index.search(contract.queries_QD, 60, params=faiss.SearchParametersPreTransform(
        index_params=faiss.SearchParametersIVF(nprobe=2)))  # fmt: skip
    found = np.empty_like(scores)
    np.put_along_axis(found, rows, scores, axis=1)
    contract.check_scores(found)


def test_other_metrics_leave_the_length(contract) -> None:
    x, q = contract.filter(contract.documents_ND), contract.filter(contract.queries_QD)
    for metric, wanted in (("ip", q @ x.T), ("l2", ((q[:, None] - x) ** 2).sum(2))):
        index = wrap(contract.filter, "Flat", metric=metric)
        index.add(contract.documents_ND)
        np.testing.assert_allclose(all_scores(index, contract), wanted, rtol=1e-4, atol=1e-4)


def test_the_transform_is_the_filter_and_reconstructs_what_it_keeps(contract) -> None:
    found = transform(contract.filter)
    np.testing.assert_allclose(found.apply(contract.queries_QD), contract.filter(contract.queries_QD), atol=1e-5)
    assert found.have_bias == (contract.filter.mean is not None)
    assert found.is_orthonormal
    basis, mean = contract.filter.basis, contract.filter.mean if contract.filter.mean is not None else 0.0
    kept = (contract.queries_QD - mean) @ basis.T @ basis
    back = found.reverse_transform(found.apply(contract.queries_QD))
    np.testing.assert_allclose(back - mean @ basis.T @ basis if np.ndim(mean) else back, kept, atol=1e-4)


def test_the_export_is_an_empty_index_and_the_transform(contract, tmp_path) -> None:
    folder = export(contract.encoder, contract.filter, tmp_path / "out")
    index = faiss.read_index(str(folder / INDEX))
    assert (index.d, index.ntotal) == (256, 0)
    index.add(contract.documents_ND)
    contract.check_scores(all_scores(index, contract))
    read = faiss.read_VectorTransform(str(folder / TRANSFORM))
    np.testing.assert_allclose(read.apply(contract.queries_QD), contract.filter(contract.queries_QD), atol=1e-5)


def test_what_does_not_fit_is_said_in_a_line(contract, stories, tmp_path) -> None:
    with pytest.raises(RarityError, match=r"takes 64 floats, filter .* gives 128"):
        wrap(contract.filter, faiss.IndexFlatIP(64))
    with pytest.raises(RarityError, match="ranks by l2, which is not cosine"):
        wrap(contract.filter, faiss.IndexFlatL2(128))
    with pytest.raises(RarityError, match="no index 'Nonsense' of 128 floats"):
        wrap(contract.filter, "Nonsense")
    with pytest.raises(RarityError, match="unknown metric 'dot'"):
        wrap(contract.filter, "Flat", metric="dot")
    other = ri.EmbedFilter.fit(stories, "edge:2", cache=tmp_path / "spectra")
    with pytest.raises(RarityError, match=r"stories260K.*demo"):
        export(contract.encoder, other, tmp_path / "out")
