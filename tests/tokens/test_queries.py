"""Queries as tokens: which are asked for, and what each weighs, written out by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from rarityir.tokens import Asking, TokenLens, Vocabulary, ask, literal
from rarityir.tokens.queries import inverse_document_frequencies
from rarityir.types import BadInput, Impacts, RarityError
from rarityir.weights import read_table

FORMS = [None, " Game", "game", " GAME", None, " the", ",", " games", "The", " 2015", "…", "Été", "  ", "", "été", "c++"]
PLAIN = Vocabulary.plain(60)
RNG = np.random.default_rng(0)
UNEMBED_VD = RNG.integers(-9, 10, (60, 8)).astype(np.float32)
X_QD = RNG.integers(-9, 10, (5, 8)).astype(np.float32)
IDS = [[4, 4, 9], [], [59, 0], [1], list(range(30))]
LENS = TokenLens(UNEMBED_VD)


def vectors(impacts: Impacts) -> list[dict[int, float]]:
    slices = [slice(a, b) for a, b in pairwise(impacts.indptr)]
    found = [dict(zip(impacts.token_ids[s].tolist(), impacts.values[s].tolist(), strict=True)) for s in slices]
    assert sum(map(len, found)) == len(impacts.token_ids)
    return found


def asked(form: str, weights: str = "1", rarity=lambda: None) -> list[dict[int, float]]:
    asking = Asking(form, weights)
    found = ask(asking, LENS, IDS, X_QD if asking.needs_model else None, rarity)
    for one, other in pairwise(found.indptr):
        assert (np.diff(found.token_ids[one:other]) > 0).all()  # in order: sums are taken in it
    return vectors(found)


def top(z: np.ndarray, m: int) -> set[int]:
    return set(sorted(range(60), key=lambda t: (-z[t], t))[:m])


def test_a_query_is_the_set_of_its_own_tokens():
    vocabulary = Vocabulary.of(FORMS)
    queries = literal([[1, 2, 5, 3], [], [0, 4, 6, 10], [15, 8]], vocabulary)
    assert vectors(queries) == [{0: 1.0, 1: 1.0}, {}, {}, {1: 1.0, 5: 1.0}]
    assert queries.vocabulary == 6
    assert queries.values.dtype == np.float32


def test_no_queries_give_no_impacts():
    assert literal([], PLAIN).indptr.tolist() == [0]


def test_a_literal_query_asks_no_model():
    assert not Asking("literal", "1").needs_model
    assert not Asking("literal", "idf").needs_model
    assert Asking("literal", "logit").needs_model
    assert Asking("aligned:3", "1").needs_model
    assert asked("literal") == [dict.fromkeys(sorted(set(ids)), 1.0) for ids in IDS]


@pytest.mark.parametrize("m", [1, 3, 60, 100])
def test_aligned_tokens_are_the_best_of_the_querys_embedding_and_both_is_their_union(m):
    z_QV = X_QD @ UNEMBED_VD.T
    assert asked(f"aligned:{m}") == [dict.fromkeys(sorted(top(z, m)), 1.0) for z in z_QV]
    assert asked(f"both:{m}") == [dict.fromkeys(sorted(top(z, m) | set(ids)), 1.0) for z, ids in zip(z_QV, IDS, strict=True)]


@pytest.mark.parametrize("form", ["literal", "aligned:4", "both:4"])
def test_a_logit_weighs_how_far_it_stands_above_the_mean_and_below_it_nothing(form):
    for found, one, z in zip(asked(form, "logit"), asked(form), (X_QD @ UNEMBED_VD.T).astype(np.float64), strict=True):
        wanted = {t: float(np.log1p(max(z[t] - z.mean(), 0))) for t in one}
        assert found == pytest.approx({t: w for t, w in wanted.items() if w > 0}, abs=1e-5)
    assert any(len(a) < len(b) for a, b in zip(asked("literal", "logit"), asked("literal"), strict=True))


def test_idf_is_that_of_the_documents_and_is_asked_for_only_then():
    frequencies = np.arange(60)
    found = asked("literal", "idf", lambda: inverse_document_frequencies(frequencies, 100))
    assert found[0] == pytest.approx({4: np.log(1 + 96.5 / 4.5), 9: np.log(1 + 91.5 / 9.5)}, rel=1e-6)
    assert (inverse_document_frequencies(np.array([0, 50, 100]), 100) > 0).all()


def test_a_file_weighs_tokens_and_all_others_by_its_star(tmp_path):
    path = tmp_path / "weights.tsv"
    path.write_text("4\t2.5\n9\t0\n*\t0.5\n", encoding="utf-8")
    assert asked("literal", str(path))[:4] == [{4: 2.5}, {}, {0: 0.5, 59: 0.5}, {1: 0.5}]
    path.write_text("4\t2.5\n9\t1e-3\n", encoding="utf-8")
    with pytest.raises(RarityError, match=r"^[^\n]*no weight for the query token '0'; add a line for \*[^\n]*$"):
        asked("literal", str(path))


@pytest.mark.parametrize(
    ("line", "words"), [("a 1", "a token, a tab"), ("a\t-1", "at least 0"), ("a\tx", "this one"), ("a\tnan", "this one")]
)
def test_a_bad_line_of_weights_is_named(tmp_path, line, words):
    path = tmp_path / "weights.tsv"
    path.write_text(f"b\t1\n\n{line}\n")
    with pytest.raises(BadInput, match=rf"weights\.tsv:3: [^\n]*{words}"):
        read_table(path)


def test_a_token_weighed_twice_is_an_error_and_a_file_is_read_as_written(tmp_path):
    path = tmp_path / "weights.tsv"
    path.write_text("a b\t1\nété\t2\n", encoding="utf-8")
    assert read_table(path) == {"a b": 1.0, "été": 2.0}
    path.write_text("a\t1\na\t2\n")
    with pytest.raises(BadInput, match=r"weights\.tsv:2: 'a' has a weight already"):
        read_table(path)


@pytest.mark.parametrize("form", ["", "aligned", "aligned:0", "both:x", "literal:3", "all"])
def test_a_query_form_that_is_none_is_an_error(form):
    with pytest.raises(RarityError, match="literal, aligned:M or both:M"):
        Asking(form)


def test_weights_that_are_no_file_are_an_error():
    with pytest.raises(RarityError, match=r"weights are 1, logit, idf, id-zipf, .* or a file"):
        Asking("literal", "no/such/file")


def test_a_name_in_a_file_of_weights_that_is_no_token_is_told_of(tmp_path, caplog):
    path = tmp_path / "weights.tsv"
    path.write_text("4\t2\nHeat\t3\n*\t1\n", encoding="utf-8")
    asked("literal", str(path))
    assert caplog.messages == [f"{path}: 1 names are no canonical tokens here (such as 'Heat') and weigh nothing"]
