"""Reading embeddings as tokens: canonical classes, logits and weights, each by brute force, and what may not matter."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from rarityir import tokens
from rarityir.filters import EmbedFilter
from rarityir.indexes.sparse import AlignedIndex
from rarityir.tokens import TokenLens, Vocabulary, literal
from rarityir.types import Impacts, UnknownName

FORMS = ["<s>", " Game", "game", " GAME", None, " the", ",", " games", "The", " 2015", "…", "Été", "  ", "", "été", "c++"]
NAMES = ("<s>", "game", "the", "games", "2015", "été", "c++")
V, D = 60, 8
RNG = np.random.default_rng(0)
# Whole numbers make every product and difference exact, whatever the order in which a library adds them up.
UNEMBED_VD = RNG.integers(-9, 10, (V, D)).astype(np.float32)
X_BD = RNG.integers(-9, 10, (20, D)).astype(np.float32)
CASES = Vocabulary.of([f" Word{i % 40}" if i < 40 else f"word{i % 40}" if i < 55 else None for i in range(V)])
PLAIN = Vocabulary.of([f"word{i}" for i in range(V)])


def vectors(impacts: Impacts) -> list[dict[int, float]]:
    """Each text's token id → weight."""
    slices = [slice(a, b) for a, b in pairwise(impacts.indptr)]
    found = [dict(zip(impacts.token_ids[s].tolist(), impacts.values[s].tolist(), strict=True)) for s in slices]
    assert sum(map(len, found)) == len(impacts.token_ids)  # no token stands twice in a text
    return found


def best(logits: np.ndarray, keep: int) -> dict[int, float]:
    """The K best above the (K+1)-th (or the last), in unit length; written out."""
    order = sorted(range(len(logits)), key=lambda t: -logits[t])
    base = logits[order[keep]] if keep < len(logits) else logits[order[-1]]
    weights = {t: float(logits[t] - base) for t in order[:keep] if logits[t] > base}
    length = sum(w * w for w in weights.values()) ** 0.5
    return {t: w / length for t, w in weights.items()}


def assert_same(found: list[dict[int, float]], wanted: list[dict[int, float]], tolerance: float = 1e-6) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one == pytest.approx(other, abs=tolerance)


def test_forms_that_differ_by_mark_or_case_are_one_token_in_order_of_appearance():
    vocabulary = Vocabulary.of([None, *FORMS[1:]])
    assert vocabulary.names == NAMES[1:]
    assert vocabulary.class_of.tolist() == [-1, 0, 0, 0, -1, 1, -1, 2, 1, 3, -1, 4, -1, -1, 4, 5]


def test_a_token_is_a_word_if_a_letter_or_digit_is_in_it():
    assert Vocabulary.of(FORMS).names == NAMES
    assert Vocabulary.of([",", " ", None, "—", "\n", ""]).names == ()


def test_a_tokens_logit_is_the_largest_of_its_ids():
    scores = X_BD @ UNEMBED_VD.T
    wanted = [[max(row[v] for v in range(V) if CASES.class_of[v] == c) for c in range(40)] for row in scores]
    assert TokenLens(UNEMBED_VD, CASES, 5).logits(X_BD).tolist() == wanted


def test_ids_that_are_no_word_are_never_written():
    loud = UNEMBED_VD.copy()
    loud[55:] *= 1000
    assert_same(vectors(TokenLens(loud, CASES, 5).impacts(X_BD)), vectors(TokenLens(UNEMBED_VD, CASES, 5).impacts(X_BD)))


@pytest.mark.parametrize("bias", [None, RNG.integers(-50, 50, V).astype(np.float32)])
def test_a_lens_with_a_filter_reads_the_projected_embedding(tmp_path, bias):
    chosen = EmbedFilter.fit(UNEMBED_VD, "edge:2", cache=tmp_path)
    phi = chosen.basis.T.astype(np.float64) @ chosen.basis
    wanted = X_BD @ phi @ UNEMBED_VD.T + (0 if bias is None else bias)
    np.testing.assert_allclose(TokenLens(UNEMBED_VD, PLAIN, 5, chosen, bias).logits(X_BD), wanted, atol=1e-3)
    assert np.abs(wanted - X_BD @ UNEMBED_VD.T).max() > 1


def test_the_heads_bias_counts_before_the_best_id_of_a_token_is_chosen():
    bias = np.zeros(V, np.float32)
    bias[41] = 1e4  # the second id of the token of id 1
    logits = TokenLens(UNEMBED_VD, CASES, 5, None, bias).logits(X_BD)
    assert logits[:, 1].tolist() == (X_BD @ UNEMBED_VD[41] + 1e4).tolist()
    assert np.delete(logits, 1, axis=1).tolist() == np.delete(TokenLens(UNEMBED_VD, CASES, 5).logits(X_BD), 1, axis=1).tolist()


@pytest.mark.parametrize("keep", [1, 2, 7, 39, 40, 1000])
def test_the_best_tokens_weigh_what_they_stand_above_the_next(keep):
    lens = TokenLens(UNEMBED_VD, CASES, keep)
    assert_same(vectors(lens.impacts(X_BD)), [best(logits, keep) for logits in lens.logits(X_BD)])


def test_tokens_that_tie_with_the_next_one_weigh_nothing():
    lens = TokenLens(np.array([[5], [3], [3], [3], [1]], np.float32), Vocabulary.of(list("abcde")), 2)
    assert vectors(lens.impacts(np.ones((1, 1), np.float32))) == [{0: 1.0}]


def test_every_text_has_unit_length_however_long_its_embedding():
    lens = TokenLens(UNEMBED_VD, PLAIN, 6)
    lengths = [sum(w * w for w in v.values()) for v in vectors(lens.impacts(X_BD))]
    assert lengths == pytest.approx([1] * len(X_BD), abs=1e-6)
    assert_same(vectors(lens.impacts(8 * X_BD)), vectors(lens.impacts(X_BD)))


def test_a_text_that_prefers_no_token_has_none():
    impacts = TokenLens(UNEMBED_VD, PLAIN, 6).impacts(np.zeros((3, D), np.float32))
    assert impacts.indptr.tolist() == [0, 0, 0, 0]
    assert len(impacts.token_ids) == len(impacts.values) == 0


def test_no_texts_give_no_impacts_of_the_same_vocabulary():
    impacts = TokenLens(UNEMBED_VD, CASES, 6).impacts(np.zeros((0, D), np.float32))
    assert (impacts.indptr.tolist(), len(impacts.values), impacts.vocabulary) == ([0], 0, 40)


def test_keeping_all_tokens_scores_a_query_of_all_by_the_sum_of_logits():
    logits = X_BD @ UNEMBED_VD.T
    above = logits - logits.min(axis=1, keepdims=True)
    found = vectors(TokenLens(UNEMBED_VD, PLAIN, V).impacts(X_BD))
    wanted = above.sum(axis=1) / np.linalg.norm(above, axis=1)
    assert [sum(v.values()) for v in found] == pytest.approx(wanted.tolist(), rel=1e-5)


def test_keeping_more_tokens_only_adds_tokens():
    found = [[set(v) for v in vectors(TokenLens(UNEMBED_VD, PLAIN, k).impacts(X_BD))] for k in (1, 2, 5, 20)]
    for fewer, more in pairwise(found):
        assert all(a <= b for a, b in zip(fewer, more, strict=True))
    assert all(len(one) < len(other) for one, other in zip(found[0], found[-1], strict=True))


def with_constant(shift_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An unembedding and embeddings whose last coordinate adds the same to all of a text's logits."""
    return np.hstack([UNEMBED_VD, np.ones((V, 1), np.float32)]), np.hstack([X_BD, shift_B[:, None]]).astype(np.float32)


def test_adding_a_constant_to_a_texts_logits_changes_no_impact():
    shift = RNG.integers(-1000, 1000, len(X_BD))
    unembed, shifted = with_constant(shift)
    lens, (_, plain) = TokenLens(unembed, PLAIN, 8), with_constant(0 * shift)
    assert np.abs(lens.logits(shifted) - lens.logits(plain)).max() >= 500
    for one, other in zip(lens.impacts(shifted), lens.impacts(plain), strict=True):
        assert np.array_equal(one, other)


def test_raw_logits_in_place_of_weights_would_let_the_constant_rank():
    shift = RNG.integers(-1000, 1000, len(X_BD))
    query = set(range(0, V, 2))
    rankings = []
    for added in (shift, 0 * shift):
        unembed, x = with_constant(added)
        logits = TokenLens(unembed, PLAIN, 8).logits(x)
        kept = [sorted(range(V), key=lambda t, z=z: -z[t])[:8] for z in logits]
        rankings.append(np.argsort([-sum(z[t] for t in top if t in query) for z, top in zip(logits, kept, strict=True)]).tolist())
    assert rankings[0] != rankings[1]


def test_texts_are_read_in_blocks_without_a_seam(monkeypatch):
    lens = TokenLens(UNEMBED_VD, CASES, 5)
    whole = lens.impacts(X_BD)
    monkeypatch.setattr(tokens, "BLOCK", 3)
    for one, other in zip(lens.impacts(X_BD), whole, strict=True):
        assert np.array_equal(one, other)


def test_the_order_of_the_vocabulary_changes_ids_and_nothing_else():
    order = np.random.default_rng(3).permutation(V)
    forms = [f"word{i}" for i in range(V)]
    shuffled = Vocabulary.of([forms[i] for i in order])
    found = vectors(TokenLens(UNEMBED_VD[order], shuffled, 9).impacts(X_BD))
    named = [{int(shuffled.names[t].removeprefix("word")): w for t, w in v.items()} for v in found]
    assert_same(named, vectors(TokenLens(UNEMBED_VD, PLAIN, 9).impacts(X_BD)))


def test_a_query_is_the_set_of_its_own_tokens():
    vocabulary = Vocabulary.of([None, *FORMS[1:]])
    queries = literal([[1, 2, 5, 3], [], [0, 4, 6, 10], [15, 8]], vocabulary)
    assert vectors(queries) == [{0: 1.0, 1: 1.0}, {}, {}, {1: 1.0, 5: 1.0}]
    assert queries.vocabulary == 6
    assert queries.values.dtype == np.float32


def test_no_queries_give_no_impacts():
    assert literal([], PLAIN).indptr.tolist() == [0]


def test_with_one_token_kept_a_text_is_found_by_that_token_alone(tmp_path):
    AlignedIndex.build("1", [TokenLens(UNEMBED_VD, CASES, 1).impacts(X_BD)], tmp_path)
    hits = AlignedIndex.open("1", tmp_path).search(literal([[i] for i in range(40)], CASES), len(X_BD))
    logits = TokenLens(UNEMBED_VD, CASES, 1).logits(X_BD)
    alone = np.sort(logits, axis=1)[:, -1] > np.sort(logits, axis=1)[:, -2]  # of two best tokens neither stands out
    for token, rows in enumerate(hits.rows):
        assert sorted(rows[rows >= 0]) == np.flatnonzero(alone & (logits.argmax(axis=1) == token)).tolist()
    assert (hits.rows >= 0).sum() == alone.sum() > 10


def written_out(z: np.ndarray, keep: int, weighting: str) -> dict[int, float]:
    order = sorted(range(len(z)), key=lambda t: (-z[t], t))
    base = z[order[keep]] if keep < len(z) else z[order[-1]]
    weigh = {
        "raw": lambda v: v,
        "relu": lambda v: max(v, 0.0),
        "minus-mean": lambda v: max(v - z.mean(), 0.0),
        "minus-next": lambda v: v - base,
        "log1p": lambda v: np.log1p(max(v - z.mean(), 0.0)),
        "softmax": lambda v: np.exp(v - z.max()) / np.exp(z - z.max()).sum(),
    }[weighting]
    weights = {t: float(weigh(z[t])) for t in order[:keep]}
    return {t: w for t, w in weights.items() if np.float32(w) != 0}


@pytest.mark.parametrize("keep", [1, 5, 40])
@pytest.mark.parametrize("weighting", sorted(tokens.WEIGHTINGS))
def test_every_weighting_is_what_its_name_says(weighting, keep):
    lens = TokenLens(UNEMBED_VD, CASES, keep, weighting=weighting, unit=False)
    wanted = [written_out(z.astype(np.float64), keep, weighting) for z in lens.logits(X_BD)]
    assert_same(vectors(lens.impacts(X_BD)), wanted, 1e-4)
    unit = vectors(TokenLens(UNEMBED_VD, CASES, keep, weighting=weighting).impacts(X_BD))
    assert [sum(w * w for w in v.values()) for v in unit] == pytest.approx([float(bool(v)) for v in wanted], abs=1e-5)


@pytest.mark.parametrize("weighting", sorted(tokens.WEIGHTINGS))
def test_a_constant_added_to_all_logits_changes_raw_and_relu_alone(weighting):
    shifted = np.c_[UNEMBED_VD, np.full(V, 1.0, np.float32)]  # one more coordinate, which raises all tokens alike
    found = [
        vectors(TokenLens(shifted, PLAIN, 6, weighting=weighting, unit=False).impacts(np.c_[X_BD, np.full(len(X_BD), c)]))
        for c in (0, 64)
    ]
    same = all(a == pytest.approx(b, rel=1e-4, abs=1e-5) for a, b in zip(*found, strict=True))
    assert same == (weighting not in ("raw", "relu"))


def test_keeping_all_tokens_raw_scores_a_query_of_all_by_the_sum_of_logits():
    found = vectors(TokenLens(UNEMBED_VD, PLAIN, V, weighting="raw", unit=False).impacts(X_BD))
    assert [sum(v.values()) for v in found] == (X_BD @ UNEMBED_VD.T).sum(axis=1).tolist()


def test_an_unknown_weighting_names_the_near_one():
    with pytest.raises(UnknownName, match="did you mean softmax"):
        TokenLens(UNEMBED_VD, PLAIN, 2, weighting="softmx")
