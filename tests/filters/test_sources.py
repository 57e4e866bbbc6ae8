"""What a filter is fitted on: what is missing, or does not fit together, is one line for the filter that needs it."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from worlds import affine, model_folder, source_of, zipf

from rarityir.counts import TokenCounts
from rarityir.filters import EmbedFilter, Source, Unembedding
from rarityir.types import RarityError

V, D = 512, 12
W_VD = np.random.default_rng(0).standard_normal((V, D)).astype(np.float32)
X_ND = np.random.default_rng(1).standard_normal((40, D)).astype(np.float32)
COUNTED = ("spectroscopy:4", "frequent:4", "logfreq", "auto")
SPECTRAL = ("edge:2", "band:1-3", *COUNTED)
OF_DOCUMENTS = ("center", "abtt:1", "pca:3", "whiten:3")


@pytest.mark.parametrize("name", SPECTRAL)
def test_a_spectral_filter_without_an_unembedding_asks_for_one(name):
    with pytest.raises(RarityError, match=r"^this filter is fitted on an unembedding; give a model or its \(V, D\) matrix$"):
        affine(name, source_of(None, None, zipf(V), X_ND))


@pytest.mark.parametrize("name", OF_DOCUMENTS)
def test_a_filter_of_documents_without_any_asks_for_them(tmp_path, name):
    with pytest.raises(
        RarityError, match=r"^this filter is fitted on documents' embeddings; give a dataset \(--dataset\) or embeddings$"
    ):
        affine(name, source_of(W_VD, tmp_path))


@pytest.mark.parametrize("name", OF_DOCUMENTS)
def test_a_filter_of_documents_needs_no_unembedding(name):
    assert affine(name, source_of(None, None, documents=X_ND)).basis.shape[1] == D


@pytest.mark.parametrize("name", OF_DOCUMENTS)
def test_no_documents_at_all_are_one_line(name):
    with pytest.raises(RarityError, match=r"^there are no embeddings to fit a filter on$"):
        affine(name, Source(documents=lambda: iter([])))


@pytest.mark.parametrize("name", COUNTED)
def test_english_counts_need_the_model_whose_tokens_they_are_of(tmp_path, name):
    with pytest.raises(RarityError, match=r"^counts=english needs the model [^\n]*$"):
        affine(name, source_of(W_VD, tmp_path))


@pytest.mark.parametrize("name", ["spectroscopy:4,counts=corpus", "auto:counts=corpus", "auto:corpus"])
def test_counts_of_the_corpus_need_documents(tmp_path, name):
    with pytest.raises(RarityError, match=r"^counts=corpus needs documents[^\n]*$"):
        affine(name, source_of(W_VD, tmp_path))


@pytest.mark.parametrize("name", COUNTED)
@pytest.mark.parametrize("length", [V - 1, V + 1, 0])
def test_counts_of_another_vocabulary_say_both_sizes(tmp_path, name, length):
    with pytest.raises(RarityError, match=rf"^the counts \(other\) are of {length} token ids, the unembedding has {V}$"):
        affine(name, source_of(W_VD, tmp_path, TokenCounts(np.ones(length, np.int64), "other")))


def test_a_table_is_asked_for_by_its_name(tmp_path):
    asked = []

    def counts(table: str) -> TokenCounts:
        asked.append(table)
        return zipf(V)

    source = Source(Unembedding.of(W_VD), counts, cache=tmp_path)
    for name in ("auto", "auto:counts=corpus", "spectroscopy:4,counts=english"):
        affine(name, source)
    assert asked == ["english", "corpus", "english"]


def test_a_file_of_counts_is_read_whatever_the_source_brings(tmp_path):
    path = TokenCounts(np.roll(zipf(V).counts, 7), "a file").save(tmp_path / "counts.safetensors")
    found = affine(f"logfreq:counts={path}", source_of(W_VD, tmp_path, zipf(V)))
    assert found.facts["counts"]["source"] == "a file"
    expected = affine("logfreq", source_of(W_VD, tmp_path, TokenCounts.load(path)))
    np.testing.assert_array_equal(found.basis, expected.basis)


@pytest.mark.parametrize("given", ["object", "file"])
def test_counts_may_be_given_to_fit_as_they_are_or_as_a_file(tmp_path, given):
    path = zipf(V).save(tmp_path / "counts.safetensors")
    found = EmbedFilter.fit(W_VD, "logfreq", counts=zipf(V) if given == "object" else path, cache=tmp_path)
    assert found.fitted_on["counts"] == {"source": "zipf", "tokens": zipf(V).total, "sha256": zipf(V).digest}


def test_a_file_that_holds_no_counts_is_one_line(tmp_path):
    with pytest.raises(RarityError, match=r"^[^\n]*nothing holds no token counts[^\n]*$"):
        affine(f"auto:counts={tmp_path / 'nothing'}", source_of(W_VD, tmp_path))


def test_the_counts_of_a_model_are_those_of_its_own_tokenizer(tmp_path, monkeypatch):
    table = tmp_path / "few.tsv.gz"
    table.write_bytes(gzip.compress(b'9\t" the"\n5\t" cat"\n2\t"."\n'))
    monkeypatch.setattr("rarityir.counts.ENGLISH", table)
    model = model_folder(tmp_path / "model", W_VD)
    found = EmbedFilter.fit(model, "logfreq", cache=tmp_path)
    expected = TokenCounts.english(model, V)
    assert found.fitted_on["counts"] == {"source": "english", "tokens": expected.total, "sha256": expected.digest}


@pytest.mark.parametrize(
    "name",
    ["spectroscopy:{}", "frequent:{}", "pca:{}", "whiten:{}", "truncate:{}", "randproj:{}", "edge:2+pca:{}", "pca:3+frequent:{}"],
)
def test_more_directions_than_there_are_say_how_many_there_are(tmp_path, name):
    width = {"edge": 6, "pca": 3}.get(name.split(":")[0], D) if "+" in name else D
    source = source_of(W_VD, tmp_path, zipf(V), X_ND)
    with pytest.raises(RarityError, match=rf"^[a-z]+:{width + 1} keeps more directions than the {width} there are$"):
        affine(name.format(width + 1), source)
    assert len(affine(name.format(width), source).basis) == width


@pytest.mark.parametrize("name", ["spectroscopy", "frequent"])
@pytest.mark.parametrize("arg", ["", ":0", ":-3", ":x", ":1.5", ":4,k"])
def test_a_width_that_is_no_number_of_directions_is_one_line(tmp_path, name, arg):
    with pytest.raises(RarityError, match=rf"^{name}[^\n]*$"):
        affine(f"{name}{arg}", source_of(W_VD, tmp_path, zipf(V)))


@pytest.mark.parametrize("name", ["pca:3+edge:2", "edge:2+pca:3", "edge:2+center", "center+edge:2", "abtt:1+logfreq"])
def test_documents_of_another_width_than_the_unembedding_say_both(tmp_path, name):
    with pytest.raises(RarityError, match=r"^[^\n]*\b(8|12)\b[^\n]*\b(8|12)\b[^\n]*$"):
        affine(name, source_of(W_VD, tmp_path, zipf(V), X_ND[:, :8]))


@pytest.mark.parametrize("name", ["truncate:3", "randproj:3"])
def test_a_filter_that_only_needs_the_width_takes_it_from_what_there_is(tmp_path, name):
    for source in (source_of(W_VD, tmp_path), source_of(None, None, documents=X_ND)):
        assert affine(name, source).basis.shape == (3, D)
    with pytest.raises(RarityError, match=r"^[^\n]+$"):
        affine(name, Source())


def test_what_is_not_asked_for_is_not_read(tmp_path):
    def never(*_: object) -> None:
        pytest.fail("read, though no filter asked for it")

    source = Source(Unembedding.of(W_VD), never, never, cache=tmp_path)
    assert affine("edge:2", source).basis.shape == (D // 2, D)
    of_documents = Source(Unembedding(never), never, lambda: iter([X_ND]))
    assert affine("pca:3", of_documents).basis.shape == (3, D)


def test_fit_says_nothing_of_a_model_where_there_is_none(tmp_path):
    assert EmbedFilter.fit(W_VD, "edge:2", cache=tmp_path).fitted_on.keys() == {"unembedding_sha256", "vocabulary"}
    assert EmbedFilter.fit(source_of(None, None, documents=X_ND), "pca:3").fitted_on.keys() == {"documents"}


def test_a_model_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(RarityError, match=r"^[^\n]*no-such-model[^\n]*$"):
        EmbedFilter.fit("no-such-model", "edge:2", cache=tmp_path)


@pytest.mark.parametrize("name", SPECTRAL)
def test_a_torch_device_gives_the_filter_that_numpy_gives(tmp_path, name):
    given = {"counts": zipf(V), "embeddings": X_ND}
    by_numpy = EmbedFilter.fit(W_VD, f"{name}+whiten:2", cache=tmp_path / "a", **given)
    by_torch = EmbedFilter.fit(W_VD, f"{name}+whiten:2", cache=tmp_path / "b", device="cpu:0", **given)
    out = [np.abs(found(X_ND)) for found in (by_numpy, by_torch)]
    np.testing.assert_allclose(out[0], out[1], atol=1e-4)
