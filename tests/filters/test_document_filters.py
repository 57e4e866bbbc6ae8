"""The baselines that documents alone give, against their formulas in numpy: center, abtt, pca, whiten, randproj, truncate."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import affine, apart, source_of

from rarityir.filters import EmbedFilter, Source
from rarityir.types import RarityError

N, D = 400, 16
RNG = np.random.default_rng(0)
# Texts share a mean and three loud directions; the scales have gaps, so that components are well defined.
X_ND = (RNG.standard_normal((N, D)) * np.geomspace(8, 0.5, D) @ np.linalg.qr(RNG.standard_normal((D, D)))[0] + 2).astype(
    np.float32
)
MEAN = X_ND.astype(np.float64).mean(axis=0)
CENTRED = X_ND.astype(np.float64) - MEAN
COMPONENTS = np.linalg.svd(CENTRED, full_matrices=False)[2]
VARIANCES = np.linalg.svd(CENTRED, full_matrices=False)[1] ** 2 / N
DOCUMENTS = ("center", "abtt:2", "pca:5", "whiten:5")


def of_documents(x_ND: np.ndarray = X_ND, block: int = 150) -> Source:
    return source_of(None, None, documents=x_ND, block=block)


def cosines(x_BD: np.ndarray) -> np.ndarray:
    unit = x_BD / np.linalg.norm(x_BD, axis=1, keepdims=True)
    return unit @ unit.T


def test_center_takes_the_mean_off_and_nothing_else():
    found = affine("center", of_documents())
    np.testing.assert_allclose(found(X_ND), CENTRED, atol=1e-12)
    np.testing.assert_allclose(found(X_ND).mean(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("d", [1, 3, D - 1])
def test_abtt_compares_as_vectors_without_their_mean_and_first_components_do(d):
    full = CENTRED - sum(np.outer(CENTRED @ u, u) for u in COMPONENTS[:d])
    found = affine(f"abtt:{d}", of_documents())(X_ND)
    assert found.shape == (N, D - d)
    np.testing.assert_allclose(cosines(found), cosines(full), atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), np.linalg.norm(full, axis=1), atol=1e-9)
    assert np.abs(cosines(found) - cosines(CENTRED)).max() > 0.1


@pytest.mark.parametrize("k", [1, 5, D])
def test_pca_keeps_the_components_that_leave_the_least_behind(k):
    found = affine(f"pca:{k}", of_documents())
    assert apart(found.basis, COMPONENTS[:k]) < 1e-9
    np.testing.assert_allclose(found.basis @ found.basis.T, np.eye(k), atol=1e-12)
    left = np.square(CENTRED - found(X_ND) @ found.basis).sum() / N
    assert left == pytest.approx(VARIANCES[k:].sum(), abs=1e-9)
    np.testing.assert_allclose(found(X_ND).var(axis=0), VARIANCES[:k], rtol=1e-9)


@pytest.mark.parametrize("k", [1, 5, D])
def test_whitening_leaves_no_covariance_but_the_identity(k):
    found = affine(f"whiten:{k}", of_documents())
    out = found(X_ND)
    np.testing.assert_allclose(out.T @ out / N, np.eye(k), atol=1e-9)
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-10)
    expected = CENTRED @ COMPONENTS[:k].T / np.sqrt(VARIANCES[:k])
    np.testing.assert_allclose(out @ out.T, expected @ expected.T, atol=1e-8)


def test_abtt_and_pca_share_out_the_centred_norm():
    parts = [np.square(affine(name, of_documents())(X_ND)).sum(axis=1) for name in ("abtt:5", "pca:5")]
    np.testing.assert_allclose(sum(parts), np.square(CENTRED).sum(axis=1), rtol=1e-9)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_how_the_documents_are_cut_into_blocks_is_no_matter(name):
    whole, ones = (affine(name, of_documents(block=block)) for block in (N, 1))
    np.testing.assert_allclose(whole.mean, ones.mean, atol=1e-12)
    np.testing.assert_allclose(whole.basis, ones.basis, atol=1e-9)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_documents_are_read_twice_whatever_is_fitted_on_them(name):
    reads = []
    found = affine(name, Source(documents=lambda: reads.append(1) or iter([X_ND[:90], X_ND[90:]])))
    assert len(reads) == 2
    assert found.facts == {"documents": {"count": N}}


def test_the_documents_are_never_held_together():
    x = np.ones((100, 64), np.float32)
    source = Source(documents=lambda: (x * i for i in range(1000)))
    tracemalloc.start()
    affine("pca:4", source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * x.nbytes


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_large_mean_costs_no_accuracy(name):
    far = X_ND.astype(np.float64) + 1e4
    near, moved = affine(name, of_documents(X_ND.astype(np.float64)))(X_ND), affine(name, of_documents(far))(far)
    np.testing.assert_allclose(moved @ moved.T, near @ near.T, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_embeddings_given_to_fit_are_the_documents(name, tmp_path):
    given = EmbedFilter.fit(np.ones((5, D), np.float32), name, embeddings=X_ND, cache=tmp_path)
    found = EmbedFilter.fit(of_documents(), name)
    np.testing.assert_allclose(given(X_ND), found(X_ND), atol=1e-5)
    assert given.fitted_on["documents"].keys() == {"count", "sha256"}
    other = EmbedFilter.fit(np.ones((5, D), np.float32), name, embeddings=X_ND + 1, cache=tmp_path)
    assert other.fitted_on["documents"]["sha256"] != given.fitted_on["documents"]["sha256"]


def test_whitening_beyond_the_rank_says_how_far_it_can_go():
    few = X_ND[:6]
    with pytest.raises(RarityError, match=r"^whiten:6: 6 documents vary in 5 directions only; keep at most 5$"):
        affine("whiten:6", of_documents(few))
    out = affine("whiten:5", of_documents(few))(few)
    np.testing.assert_allclose(out.T @ out / 6, np.eye(5), atol=1e-9)


def test_whitening_a_direction_that_all_documents_lack_is_refused_too():
    flat = X_ND.copy()
    flat[:, 3] = flat[:, 7]
    with pytest.raises(RarityError, match=rf"^whiten:{D}: {N} documents vary in {D - 1} directions only"):
        affine(f"whiten:{D}", of_documents(flat))
    assert np.isfinite(affine(f"whiten:{D - 1}", of_documents(flat)).basis).all()


def test_one_document_varies_in_no_direction_that_could_be_whitened():
    with pytest.raises(RarityError, match=r"^whiten:1[^\n]* 0 directions[^\n]*$"):
        affine("whiten:1", of_documents(X_ND[:1]))


def test_one_document_has_a_mean():
    np.testing.assert_allclose(affine("center", of_documents(X_ND[:1]))(X_ND[:1]), 0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (f"abtt:{D}", rf"^abtt:{D} drops[^\n]*{D}[^\n]*$"),
        ("abtt:0", r"^abtt:0 needs how many directions to drop[^\n]*$"),
        ("abtt", r"^abtt:\? needs how many directions to drop[^\n]*$"),
        ("abtt:-1", r"^abtt:-1 needs[^\n]*$"),
        *((f"{kind}:{D + 1}", rf"^{kind}:{D + 1} keeps more directions than the {D} there are$") for kind in ("pca", "whiten")),
        *((kind, rf"^{kind}:\? needs how many directions to keep") for kind in ("pca", "whiten", "randproj", "truncate")),
        *((f"{kind}:0", rf"^{kind}:0 needs how many directions to keep") for kind in ("pca", "whiten", "randproj", "truncate")),
        *((f"{kind}:x", rf"^{kind}: k='x'[^\n]*$") for kind in ("abtt", "pca", "whiten", "randproj", "truncate")),
        *((f"{kind}:3,kk=4", r"'kk'; did you mean k\?") for kind in ("pca", "whiten", "truncate")),
        ("randproj:3,sead=1", "'sead'; did you mean seed"),
        ("randproj:3,seed=-1", r"^randproj[^\n]*seed[^\n]*$"),
        ("center:3", r"^center[^\n]*3[^\n]*$"),
        ("center:k=3", r"^[^\n]*center[^\n]*$"),
    ],
)
def test_a_width_that_cannot_be_is_one_line(name, says):
    with pytest.raises(RarityError, match=says):
        affine(name, of_documents())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_an_embedding_that_is_not_finite_is_one_line(name, bad):
    x = X_ND.copy()
    x[7, 3] = bad
    with pytest.raises(RarityError, match="some embeddings are not finite"):
        affine(name, of_documents(x))


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("shape", [(), (D,), (2, 3, D)])
def test_embeddings_that_are_no_matrix_are_one_line(name, shape):
    with pytest.raises(RarityError, match=r"^[^\n]+$"):
        affine(name, Source(documents=lambda: iter([np.ones(shape, np.float32)])))


# without a look at the data


def test_a_random_projection_has_entries_of_variance_one_over_k():
    found = affine("randproj:200", of_documents(np.ones((2, 400), np.float32))).basis
    assert found.shape == (200, 400)
    assert found.mean() == pytest.approx(0, abs=5 / np.sqrt(200 * found.size))
    assert (found**2).mean() == pytest.approx(1 / 200, rel=5 * np.sqrt(2 / found.size))


def test_a_random_projection_keeps_squared_distances_on_average():
    ratios = []
    for seed in range(60):
        out = affine(f"randproj:8,seed={seed}", of_documents())(X_ND[:20])
        pairs = [np.square(x[:, None] - x[None]).sum(axis=2)[np.triu_indices(20, 1)] for x in (out, X_ND[:20])]
        ratios.append((pairs[0] / pairs[1]).mean())
    assert np.mean(ratios) == pytest.approx(1, abs=4 * np.std(ratios) / np.sqrt(60))


def test_a_random_projection_is_drawn_by_its_seed():
    default, zero, one = (affine(name, of_documents()).basis for name in ("randproj:8", "randproj:8,seed=0", "randproj:8,seed=1"))
    assert np.array_equal(default, zero)
    assert np.abs(default - one).max() > 0.1


@pytest.mark.parametrize("k", [1, 7, D])
def test_truncation_keeps_the_first_coordinates(k):
    assert np.array_equal(EmbedFilter.fit(of_documents(), f"truncate:{k}")(X_ND), X_ND[:, :k])


@settings(max_examples=40)
@given(st.integers(2, 40), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_whitening_as_far_as_the_rank_allows_works_for_documents_of_any_shape(count, width, seed):
    x = np.random.default_rng(seed).standard_normal((count, width))
    k = min(count - 1, width)
    out = affine(f"whiten:{k}", of_documents(x))(x)
    np.testing.assert_allclose(out.T @ out / count, np.eye(k), atol=1e-5)
