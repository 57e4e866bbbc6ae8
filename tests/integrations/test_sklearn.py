"""The filter as a scikit-learn transformer."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer
from sklearn.utils.estimator_checks import parametrize_with_checks

import rarityir as ri
from rarityir.integrations.sklearn import EmbedFilterTransformer
from rarityir.types import RarityError


@parametrize_with_checks([EmbedFilterTransformer(name) for name in ("center", "pca:1", "randproj:1")])
def test_scikit_learn_finds_nothing_to_object(estimator, check) -> None:
    check(estimator)


def test_a_pipeline_ranks_as_rarityir_does(contract) -> None:
    pipeline = make_pipeline(EmbedFilterTransformer(contract.filter), Normalizer())
    documents = pipeline.fit_transform(contract.documents_ND)
    contract.check_scores(pipeline.transform(contract.queries_QD) @ documents.T)


def test_a_saved_filter_and_one_fitted_by_name_are_the_same(contract, tmp_path) -> None:
    contract.filter.save(tmp_path / "saved")
    wanted = contract.filter(contract.queries_QD)
    for transformer in (
        EmbedFilterTransformer(tmp_path / "saved"),
        EmbedFilterTransformer(str(tmp_path / "saved")),
        EmbedFilterTransformer(contract.filter.name, model="demo"),
    ):
        found = clone(transformer).fit(contract.documents_ND).transform(contract.queries_QD)
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        assert found.dtype == np.float32


def test_pca_is_the_one_of_scikit_learn(contract) -> None:
    x = contract.documents_ND.astype(np.float64)
    ours = EmbedFilterTransformer("pca:8").fit_transform(x)
    theirs = PCA(8, svd_solver="full").fit_transform(x)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-4)  # the sign of a component is free
    assert ours.dtype == np.float64


def test_features_are_named(contract) -> None:
    fitted = EmbedFilterTransformer("truncate:3").fit(contract.documents_ND)
    assert fitted.get_feature_names_out().tolist() == [f"embedfiltertransformer{i}" for i in range(3)]
    with pytest.raises(NotFittedError):
        EmbedFilterTransformer("truncate:3").transform(contract.documents_ND)


def test_what_does_not_fit_is_said(contract) -> None:
    with pytest.raises(RarityError, match="fitted on an unembedding"):
        EmbedFilterTransformer("edge:2").fit(contract.documents_ND)
    with pytest.raises(ValueError, match="fitted on width 256, X has 100 features"):
        EmbedFilterTransformer(ri.EmbedFilter("plain", contract.filter.basis)).fit(contract.documents_ND[:, :100])
    with pytest.raises(RarityError, match="unknown filter 'centre'; did you mean center"):
        EmbedFilterTransformer("centre").fit(contract.documents_ND)
