"""Filters joined by `+`: each is fitted in the coordinates the ones before it give, and all become one affine map."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import affine, apart, model_folder, projector, source_of, zipf

from rarityir.filters import EmbedFilter, Source, Unembedding, check, identity
from rarityir.filters.source import Affine
from rarityir.systems import Part
from rarityir.types import RarityError

V, N, D = 300, 250, 16
RNG = np.random.default_rng(0)
W_VD = (RNG.standard_normal((V, D)) * np.geomspace(4, 0.5, D) @ np.linalg.qr(RNG.standard_normal((D, D)))[0]).astype(np.float32)
X_ND = (RNG.standard_normal((N, D)) * np.geomspace(6, 0.7, D) @ np.linalg.qr(RNG.standard_normal((D, D)))[0] + 1).astype(
    np.float32
)
PARTS = ("edge:1.5", "tail:1.5", "cut:1,1", "center", "abtt:1", "pca:80%", "whiten:80%", "spectroscopy:80%", "frequent:80%")
MORE = ("logfreq", "auto", "random:1.5", "truncate:80%", "randproj:80%", "mid:1.5", "spectroscopy:80%,gauge=paper")


def both(cache, w: np.ndarray = W_VD, x: np.ndarray = X_ND) -> Source:
    return source_of(w, cache, zipf(V), x)


def turned(w: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """The rows by which logits are read off a filter's coordinates: W B⁺."""
    return w.astype(np.float64) @ np.linalg.pinv(basis)


def one_by_one(names: list[str], cache) -> np.ndarray:
    """The documents after each filter in turn, the next one fitted on nothing but what the ones before gave."""
    x, w, basis = X_ND.astype(np.float64), W_VD.astype(np.float64), np.eye(D)
    for name in names:
        found = affine(name, both(cache, w.astype(np.float32), x))
        x, basis = found(x), found.basis @ basis
        w = turned(W_VD, basis)
    return x


def has_components(names: list[str]) -> bool:
    """Whether no part asks for the components of whitened documents, which all have the same variance."""
    behind = names[names.index("whiten:80%") + 1 :] if "whiten:80%" in names else []
    return not {"abtt:1", "pca:80%", "whiten:80%"} & {*behind}


@settings(max_examples=40)
@given(st.lists(st.sampled_from(PARTS + MORE), min_size=2, max_size=4).filter(has_components))
def test_a_composition_compares_as_its_parts_fitted_in_turn_do(tmp_path_factory, names):
    width, filled = D, []
    for name in names:
        filled.append(name.replace("80%", str(max(1, int(width * 0.8)))))
        width = len(affine("+".join(filled), both(tmp_path_factory.getbasetemp())).basis)
    found = affine("+".join(filled), both(tmp_path_factory.getbasetemp()))
    expected = one_by_one(filled, tmp_path_factory.getbasetemp())
    scale = np.abs(expected).max() ** 2
    np.testing.assert_allclose(found(X_ND) @ found(X_ND).T, expected @ expected.T, atol=1e-4 * scale * D)


def test_whitening_after_a_band_whitens_what_the_band_left(tmp_path):
    found = EmbedFilter.fit(W_VD, "edge:2+whiten:8", embeddings=X_ND, cache=tmp_path)
    assert found.name == "edge:2+whiten:8"
    assert found.basis.shape == (8, D)
    np.testing.assert_allclose(np.cov(found(X_ND).T, bias=True), np.eye(8), atol=1e-4)
    edge = EmbedFilter.fit(W_VD, "edge:2", cache=tmp_path)
    inside = projector(edge.basis.astype(np.float64))
    np.testing.assert_allclose(found.basis @ inside, found.basis, atol=1e-5)
    out = EmbedFilter.fit(source_of(None, None, documents=edge(X_ND)), "whiten:8")(edge(X_ND))
    np.testing.assert_allclose(found(X_ND) @ found(X_ND).T, out @ out.T, atol=1e-3)


@pytest.mark.parametrize("before", ["whiten:12", "pca:12", "abtt:3", "center", "randproj:12", "truncate:12"])
def test_a_band_after_another_filter_is_of_the_rows_in_its_coordinates(tmp_path, before):
    first = affine(before, both(tmp_path))
    rows = turned(W_VD, first.basis)
    width = rows.shape[1]
    directions = np.linalg.svd(rows, full_matrices=False)[2][width // 4 : width // 4 + width // 2]
    found = affine(f"{before}+edge:2", both(tmp_path))
    np.testing.assert_allclose(
        projector(found.basis), projector(directions @ first.basis), atol=1e-8 * np.abs(first.basis).max() ** 2
    )
    assert found.mean is None if first.mean is None else np.allclose(found.mean, first.mean)


def test_whitening_turns_the_spectrum_so_that_the_order_matters(tmp_path):
    one, other = (affine(name, both(tmp_path)).basis for name in ("whiten:16+edge:2", "edge:2+whiten:8"))
    spans = [np.linalg.qr(basis.T)[0].T for basis in (one, other)]
    assert apart(*spans) > 0.3


@pytest.mark.parametrize(
    ("joined", "band"),
    [("edge:2+tail:2", "band:4-8"), ("tail:2+head:2", "band:4-8"), ("cut:1,2+cut:3,1", "cut:4,3"), ("edge:1+mid:2", "mid:2")],
)
def test_bands_of_bands_are_bands(tmp_path, joined, band):
    assert apart(affine(joined, both(tmp_path)).basis, affine(band, both(tmp_path)).basis) < 1e-6


def test_the_means_of_two_filters_add_up_where_they_live(tmp_path):
    found = affine("center+edge:2+center", both(tmp_path))
    np.testing.assert_allclose(found(X_ND).mean(axis=0), 0, atol=1e-10)
    uncentred = affine("edge:2", both(tmp_path))
    np.testing.assert_allclose(found(X_ND), uncentred(X_ND - X_ND.astype(np.float64).mean(axis=0)), atol=1e-10)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 6), st.booleans(), st.booleans())
def test_two_maps_joined_do_what_one_after_the_other_does(seed, inner, outer, first_mean, second_mean):
    rng = np.random.default_rng(seed)
    inner, width = max(inner, outer), 7
    one = Affine(rng.standard_normal((inner, width)), rng.standard_normal(width) if first_mean else None, {"a": 1, "b": 1})
    two = Affine(rng.standard_normal((outer, inner)), rng.standard_normal(inner) if second_mean else None, {"b": 2})
    x = rng.standard_normal((5, width))
    joined = one.then(two)
    np.testing.assert_allclose(joined(x), two(one(x)), atol=1e-6 * np.abs(two(one(x))).max())
    assert joined.facts == {"a": 1, "b": 2}
    assert (joined.mean is None) == (not first_mean and not second_mean)


def test_a_composition_says_all_that_its_parts_were_fitted_on(tmp_path):
    found = EmbedFilter.fit(W_VD, "logfreq+whiten:8", counts=zipf(V), embeddings=X_ND, cache=tmp_path)
    assert found.fitted_on.keys() == {"unembedding_sha256", "vocabulary", "counts", "documents"}
    assert found.fitted_on["documents"]["count"] == N
    assert (
        found.fitted_on["unembedding_sha256"] == EmbedFilter.fit(W_VD, "edge:2", cache=tmp_path).fitted_on["unembedding_sha256"]
    )


def test_the_spectrum_of_turned_rows_is_not_kept_for_others(tmp_path):
    affine("whiten:12+edge:2", both(tmp_path))
    assert list(tmp_path.glob("spectrum-*")) == []


# what is known before anything is read


@pytest.mark.parametrize("name", ["edge:0.5", "egde:2", "edge:2,row=real", "pca", "band:3-3x", "spectroscopy:4,gauge=x", "saved"])
def test_what_is_wrong_with_a_name_is_known_before_anything_is_read(name):
    for parts in ([Part.parse(name)], [Part.parse("edge:2"), Part.parse(name)]):
        with pytest.raises(RarityError, match=r"^[^\n]+$"):
            check(parts)


def test_a_good_name_passes_unread():
    check([Part.parse(part) for part in ("edge:2", "whiten:128", "saved:no/such/folder", "auto:counts=no/such/file")])


@pytest.mark.parametrize("name", ["", "+", "edge:2+", "+edge:2", "edge:2 + tail:2", "edge:2++tail:2", "edge:(2)"])
def test_a_name_that_cannot_be_read_is_one_line(tmp_path, name):
    with pytest.raises(RarityError, match=r"^cannot read [^\n]*$"):
        EmbedFilter.fit(W_VD, name, cache=tmp_path)


# saved:FOLDER


def test_a_saved_filter_is_a_part_like_others(tmp_path):
    found = EmbedFilter.fit(W_VD, "edge:2+whiten:6", embeddings=X_ND, cache=tmp_path)
    folder = found.save(tmp_path / "saved")
    again = EmbedFilter.fit(W_VD, f"saved:{folder}", cache=tmp_path)
    assert again.basis.tobytes() == found.basis.tobytes()
    assert again.mean.tobytes() == found.mean.tobytes()
    assert again.fitted_on == found.fitted_on
    assert again.name == f"saved:{folder}"
    longer = EmbedFilter.fit(W_VD, f"saved:{folder}+tail:2", cache=tmp_path)
    assert longer.basis.shape == (3, D)
    directions = np.linalg.svd(turned(W_VD, found.basis.astype(np.float64)), full_matrices=False)[2]
    np.testing.assert_allclose(projector(longer.basis), projector(directions[:3] @ found.basis), atol=1e-5)


def test_a_saved_filter_may_stand_behind_others_of_its_width(tmp_path):
    edge = EmbedFilter.fit(W_VD, "edge:2", cache=tmp_path)
    folder = EmbedFilter.fit(source_of(None, None, documents=edge(X_ND)), "pca:3").save(tmp_path / "saved")
    found = EmbedFilter.fit(W_VD, f"edge:2+saved:{folder}", cache=tmp_path)
    expected = EmbedFilter.load(folder)(edge(X_ND))
    np.testing.assert_allclose(found(X_ND), expected, atol=1e-4)


def test_a_saved_filter_of_another_matrix_names_both(tmp_path):
    matrix = np.random.default_rng(1).standard_normal((512, D)).astype(np.float32)
    model, other = model_folder(tmp_path / "one", matrix), model_folder(tmp_path / "two", matrix[::-1])
    folder = EmbedFilter.fit(model, "edge:2", cache=tmp_path / "cache").save(tmp_path / "saved")
    assert len(EmbedFilter.fit(model, f"saved:{folder}", cache=tmp_path / "cache").basis) == D // 2
    with pytest.raises(RarityError, match=r"^filter edge:2 was fitted on one [^\n]*two[^\n]*$"):
        EmbedFilter.fit(other, f"saved:{folder}", cache=tmp_path / "cache")


@pytest.mark.parametrize("name", ["saved:{}", "saved:{}+edge:2", "saved:{}+center", "edge:2+saved:{}", "edge:2+saved:{}+tail:2"])
def test_a_saved_filter_of_another_width_is_one_line(tmp_path, name):
    folder = EmbedFilter.fit(source_of(None, None, documents=X_ND[:, :11]), "pca:5").save(tmp_path / "saved")
    with pytest.raises(RarityError, match=r"^[^\n]*\b11\b[^\n]*$"):
        EmbedFilter.fit(W_VD, name.format(folder), embeddings=X_ND, cache=tmp_path)


@pytest.mark.parametrize("arg", ["", ":no/such/folder"])
def test_a_saved_filter_that_is_not_there_is_one_line(tmp_path, arg):
    with pytest.raises(RarityError, match=r"^[^\n]*(folder of a filter|holds no whole filter)[^\n]*$"):
        EmbedFilter.fit(W_VD, f"saved{arg}", cache=tmp_path)


# what an index of a filtered system depends on


def identified(name: str) -> dict:
    return identity([Part.parse(part) for part in name.split("+")])


def test_an_identity_is_of_the_name_alone_where_it_names_no_file():
    assert identified("edge:2+auto")["filter"] == "edge:2+auto"
    assert identified("edge:2+auto:counts=corpus")["filter_files"] == {}
    assert identified("edge:2") == identified("edge:2") != identified("edge:4")


@pytest.mark.parametrize(
    "name", ["auto:counts={}", "auto:seed=1,counts={}", "spectroscopy:4,counts={},top=3", "auto:{}", "logfreq:{}"]
)
def test_an_identity_changes_with_the_counts_it_names(tmp_path, name):
    path = tmp_path / "counts.safetensors"
    name = f"edge:2+{name.format(path)}"
    zipf(V).save(path)
    before = identified(name)
    assert before == identified(name)
    assert before["filter_files"].keys() == {str(path)}
    zipf(V + 1).save(path)
    assert identified(name) != before


def test_an_identity_changes_with_the_saved_filter_it_names(tmp_path):
    folder = tmp_path / "saved"
    EmbedFilter.fit(W_VD, "edge:2", cache=tmp_path).save(folder)
    before = identified(f"saved:{folder}")
    EmbedFilter.fit(W_VD, "edge:4", cache=tmp_path).save(folder)
    assert identified(f"saved:{folder}") != before


@pytest.mark.parametrize("name", ["saved:no/such", "auto:counts=no/such", "auto:no/such", "edge:2+logfreq:counts=no/such"])
def test_an_identity_of_a_file_that_is_not_there_is_one_line(name):
    with pytest.raises(RarityError, match=r"^there is no no/such[^\n]*$"):
        identified(name)


def test_nothing_is_shared_between_a_source_and_what_comes_after_a_filter(tmp_path):
    source = both(tmp_path)
    plain, edge = source.spectrum(), affine("edge:2", source)
    later = source.after(edge)
    assert later.spectrum().directions.shape == (8, 8)
    assert source.spectrum() is plain
    last = later.after(affine("tail:2", later))
    assert (source.width, later.width, last.width) == (16, 8, 4)
    np.testing.assert_allclose(last.spectrum().values, plain.values[4:8], rtol=1e-9)
    np.testing.assert_allclose(last.moments.mean, affine("edge:2+tail:2", source).basis @ source.moments.mean, atol=1e-10)
    np.testing.assert_allclose(later.moments.mean, edge.basis @ source.moments.mean, atol=1e-10)
    assert isinstance(later.unembedding, Unembedding)
    assert later.unembedding.digest == source.unembedding.digest
