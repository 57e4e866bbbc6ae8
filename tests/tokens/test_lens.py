"""Reading embeddings as tokens: canonical classes, logits and weights, each by brute force, and what may not matter."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from rarityir.filters import EmbedFilter
from rarityir.indexes.sparse import AlignedIndex
from rarityir.tokens import WEIGHTINGS, TokenLens, Vocabulary, literal
from rarityir.tokens import lens as lens_module
from rarityir.types import Impacts, RarityError, UnknownName

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
    assert TokenLens(UNEMBED_VD, vocabulary=CASES).logits(X_BD).tolist() == wanted


def test_ids_that_are_no_word_are_never_written():
    loud = UNEMBED_VD.copy()
    loud[55:] *= 1000
    assert_same(
        vectors(TokenLens(loud, vocabulary=CASES).align(X_BD, 5)), vectors(TokenLens(UNEMBED_VD, vocabulary=CASES).align(X_BD, 5))
    )


@pytest.mark.parametrize("bias", [None, RNG.integers(-50, 50, V).astype(np.float32)])
def test_a_lens_with_a_filter_reads_the_projected_embedding(tmp_path, bias):
    chosen = EmbedFilter.fit(UNEMBED_VD, "edge:2", cache=tmp_path)
    phi = chosen.basis.T.astype(np.float64) @ chosen.basis
    wanted = X_BD @ phi @ UNEMBED_VD.T + (0 if bias is None else bias)
    np.testing.assert_allclose(TokenLens(UNEMBED_VD, chosen, vocabulary=PLAIN, bias=bias).logits(X_BD), wanted, atol=1e-3)
    assert np.abs(wanted - X_BD @ UNEMBED_VD.T).max() > 1


def test_the_heads_bias_counts_before_the_best_id_of_a_token_is_chosen():
    bias = np.zeros(V, np.float32)
    bias[41] = 1e4  # the second id of the token of id 1
    logits = TokenLens(UNEMBED_VD, vocabulary=CASES, bias=bias).logits(X_BD)
    assert logits[:, 1].tolist() == (X_BD @ UNEMBED_VD[41] + 1e4).tolist()
    assert (
        np.delete(logits, 1, axis=1).tolist()
        == np.delete(TokenLens(UNEMBED_VD, vocabulary=CASES).logits(X_BD), 1, axis=1).tolist()
    )


@pytest.mark.parametrize("keep", [1, 2, 7, 39, 40, 1000])
def test_the_best_tokens_weigh_what_they_stand_above_the_next(keep):
    lens = TokenLens(UNEMBED_VD, vocabulary=CASES)
    assert_same(vectors(lens.align(X_BD, keep)), [best(logits, keep) for logits in lens.logits(X_BD)])


def test_tokens_that_tie_with_the_next_one_weigh_nothing():
    lens = TokenLens(np.array([[5], [3], [3], [3], [1]], np.float32), vocabulary=Vocabulary.of(list("abcde")))
    assert vectors(lens.align(np.ones((1, 1), np.float32), 2)) == [{0: 1.0}]


def test_every_text_has_unit_length_however_long_its_embedding():
    lens = TokenLens(UNEMBED_VD, vocabulary=PLAIN)
    lengths = [sum(w * w for w in v.values()) for v in vectors(lens.align(X_BD, 6))]
    assert lengths == pytest.approx([1] * len(X_BD), abs=1e-6)
    assert_same(vectors(lens.align(8 * X_BD, 6)), vectors(lens.align(X_BD, 6)))


def test_a_text_that_prefers_no_token_has_none():
    impacts = TokenLens(UNEMBED_VD, vocabulary=PLAIN).align(np.zeros((3, D), np.float32), 6)
    assert impacts.indptr.tolist() == [0, 0, 0, 0]
    assert len(impacts.token_ids) == len(impacts.values) == 0


def test_no_texts_give_no_impacts_of_the_same_vocabulary():
    impacts = TokenLens(UNEMBED_VD, vocabulary=CASES).align(np.zeros((0, D), np.float32), 6)
    assert (impacts.indptr.tolist(), len(impacts.values), impacts.vocabulary) == ([0], 0, 40)


def test_keeping_all_tokens_scores_a_query_of_all_by_the_sum_of_logits():
    logits = X_BD @ UNEMBED_VD.T
    above = logits - logits.min(axis=1, keepdims=True)
    found = vectors(TokenLens(UNEMBED_VD, vocabulary=PLAIN).align(X_BD, V))
    wanted = above.sum(axis=1) / np.linalg.norm(above, axis=1)
    assert [sum(v.values()) for v in found] == pytest.approx(wanted.tolist(), rel=1e-5)


def test_keeping_more_tokens_only_adds_tokens():
    found = [[set(v) for v in vectors(TokenLens(UNEMBED_VD, vocabulary=PLAIN).align(X_BD, k))] for k in (1, 2, 5, 20)]
    for fewer, more in pairwise(found):
        assert all(a <= b for a, b in zip(fewer, more, strict=True))
    assert all(len(one) < len(other) for one, other in zip(found[0], found[-1], strict=True))


def with_constant(shift_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An unembedding and embeddings whose last coordinate adds the same to all of a text's logits."""
    return np.hstack([UNEMBED_VD, np.ones((V, 1), np.float32)]), np.hstack([X_BD, shift_B[:, None]]).astype(np.float32)


def test_adding_a_constant_to_a_texts_logits_changes_no_impact():
    shift = RNG.integers(-1000, 1000, len(X_BD))
    unembed, shifted = with_constant(shift)
    lens, (_, plain) = TokenLens(unembed, vocabulary=PLAIN), with_constant(0 * shift)
    assert np.abs(lens.logits(shifted) - lens.logits(plain)).max() >= 500
    for one, other in zip(lens.align(shifted, 8), lens.align(plain, 8), strict=True):
        assert np.array_equal(one, other)


def test_raw_logits_in_place_of_weights_would_let_the_constant_rank():
    shift = RNG.integers(-1000, 1000, len(X_BD))
    query = set(range(0, V, 2))
    rankings = []
    for added in (shift, 0 * shift):
        unembed, x = with_constant(added)
        logits = TokenLens(unembed, vocabulary=PLAIN).logits(x)
        kept = [sorted(range(V), key=lambda t, z=z: -z[t])[:8] for z in logits]
        rankings.append(np.argsort([-sum(z[t] for t in top if t in query) for z, top in zip(logits, kept, strict=True)]).tolist())
    assert rankings[0] != rankings[1]


def test_texts_are_read_in_blocks_without_a_seam(monkeypatch):
    lens = TokenLens(UNEMBED_VD, vocabulary=CASES)
    whole = lens.align(X_BD, 5)
    monkeypatch.setattr(lens_module, "ROOM", 3 * len(CASES.names))
    for one, other in zip(lens.align(X_BD, 5), whole, strict=True):
        assert np.array_equal(one, other)


def test_the_order_of_the_vocabulary_changes_ids_and_nothing_else():
    order = np.random.default_rng(3).permutation(V)
    forms = [f"word{i}" for i in range(V)]
    shuffled = Vocabulary.of([forms[i] for i in order])
    found = vectors(TokenLens(UNEMBED_VD[order], vocabulary=shuffled).align(X_BD, 9))
    named = [{int(shuffled.names[t].removeprefix("word")): w for t, w in v.items()} for v in found]
    assert_same(named, vectors(TokenLens(UNEMBED_VD, vocabulary=PLAIN).align(X_BD, 9)))


def test_with_one_token_kept_a_text_is_found_by_that_token_alone(tmp_path):
    AlignedIndex.build("1", [TokenLens(UNEMBED_VD, vocabulary=CASES).align(X_BD, 1)], tmp_path)
    hits = AlignedIndex.open("1", tmp_path).search(literal([[i] for i in range(40)], CASES), len(X_BD))
    logits = TokenLens(UNEMBED_VD, vocabulary=CASES).logits(X_BD)
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
@pytest.mark.parametrize("weighting", sorted(WEIGHTINGS))
def test_every_weighting_is_what_its_name_says(weighting, keep):
    lens = TokenLens(UNEMBED_VD, vocabulary=CASES, weighting=weighting, unit=False)
    wanted = [written_out(z.astype(np.float64), keep, weighting) for z in lens.logits(X_BD)]
    assert_same(vectors(lens.align(X_BD, keep)), wanted, 1e-4)
    unit = vectors(TokenLens(UNEMBED_VD, vocabulary=CASES, weighting=weighting).align(X_BD, keep))
    assert [sum(w * w for w in v.values()) for v in unit] == pytest.approx([float(bool(v)) for v in wanted], abs=1e-5)


@pytest.mark.parametrize("weighting", sorted(WEIGHTINGS))
def test_a_constant_added_to_all_logits_changes_raw_and_relu_alone(weighting):
    shifted = np.c_[UNEMBED_VD, np.full(V, 1.0, np.float32)]  # one more coordinate, which raises all tokens alike
    found = [
        vectors(
            TokenLens(shifted, vocabulary=PLAIN, weighting=weighting, unit=False).align(np.c_[X_BD, np.full(len(X_BD), c)], 6)
        )
        for c in (0, 64)
    ]
    same = all(a == pytest.approx(b, rel=1e-4, abs=1e-5) for a, b in zip(*found, strict=True))
    assert same == (weighting not in ("raw", "relu"))


def test_keeping_all_tokens_raw_scores_a_query_of_all_by_the_sum_of_logits():
    found = vectors(TokenLens(UNEMBED_VD, vocabulary=PLAIN, weighting="raw", unit=False).align(X_BD, V))
    assert [sum(v.values()) for v in found] == (X_BD @ UNEMBED_VD.T).sum(axis=1).tolist()


def test_an_unknown_weighting_names_the_near_one():
    with pytest.raises(UnknownName, match="did you mean softmax"):
        TokenLens(UNEMBED_VD, vocabulary=PLAIN, weighting="softmx")


def test_of_equal_logits_the_earlier_tokens_are_kept_also_at_the_last_place():
    z = np.array([[1, 3, 3, 0, 3, 3], [2, 2, 2, 2, 2, 2], [5, 4, 3, 2, 1, 0]], np.float32)
    assert lens_module.best(z, 3).tolist() == [[1, 2, 4], [0, 1, 2], [0, 1, 2]]
    for k in (1, 2, 5, 6, 9):
        assert lens_module.best(z, k).tolist() == [sorted(range(6), key=lambda t, r=r: (-r[t], t))[:k] for r in z]


def test_tokens_are_the_names_of_the_best_logits():
    lens = TokenLens(UNEMBED_VD, vocabulary=CASES)
    wanted = [[CASES.names[t] for t in sorted(range(40), key=lambda t, z=z: (-z[t], t))[:7]] for z in lens.logits(X_BD)]
    assert lens.tokens(X_BD, 7) == wanted


def test_every_row_of_a_bare_unembedding_is_a_token_of_its_own():
    lens = TokenLens(UNEMBED_VD)
    assert lens.logits(X_BD).tolist() == (X_BD @ UNEMBED_VD.T).tolist()
    assert lens.tokens(X_BD, 1) == [[str(np.argmax(z))] for z in X_BD @ UNEMBED_VD.T]
    assert lens.align(X_BD, 3).vocabulary == V


class Reads:
    """As much of an encoder as a lens reads."""

    def unembedding(self) -> np.ndarray:
        return UNEMBED_VD

    def unembedding_bias(self) -> np.ndarray:
        return np.arange(V, dtype=np.float32)

    def tokens(self) -> list[str | None]:
        return [f" Word{i % 40}" if i < 40 else f"word{i % 40}" if i < 55 else None for i in range(V)]


def test_an_encoder_gives_head_bias_and_names():
    lens = TokenLens(Reads())
    assert lens.vocabulary.names == CASES.names
    wanted = TokenLens(UNEMBED_VD, vocabulary=CASES, bias=np.arange(V, dtype=np.float32)).logits(X_BD)
    assert lens.logits(X_BD).tolist() == wanted.tolist()


def test_a_texts_own_tokens_weigh_how_far_they_stand_above_the_mean():
    texts = [[1, 41, 7, 57, 58], [3], [], list(range(V))] * 5
    lens = TokenLens(UNEMBED_VD, vocabulary=CASES, unit=False)
    found = vectors(lens.own(X_BD, texts, 4, spare=2))
    spared = 0
    for weights, ids, z in zip(found, texts, lens.logits(X_BD).astype(np.float64), strict=True):
        above = {t: float(np.log1p(max(z[t] - z.mean(), 0))) for t in range(40)}
        own = {int(CASES.class_of[i]) for i in ids if CASES.class_of[i] >= 0}
        if not any(above[t] > 0 for t in own):
            spared += 1
            own = set(sorted(above, key=lambda t, z=z: (-z[t], t))[:2])
        kept = sorted(own, key=lambda t, a=above: (-a[t], t))[:4]
        assert weights == pytest.approx({t: above[t] for t in kept if above[t] > 0}, abs=1e-4)
    assert spared >= 5


def test_own_tokens_are_read_in_blocks_without_a_seam(monkeypatch):
    texts = [RNG.integers(0, V, 6).tolist() for _ in X_BD]
    lens = TokenLens(UNEMBED_VD, vocabulary=CASES)
    whole = lens.own(X_BD, texts, 5)
    monkeypatch.setattr(lens_module, "ROOM", 3 * len(CASES.names))
    for one, other in zip(lens.own(X_BD, texts, 5), whole, strict=True):
        assert np.array_equal(one, other)


def test_a_token_weighs_what_the_best_of_a_texts_states_gives_it(monkeypatch):
    states = [X_BD[:1], X_BD[1:6], X_BD[6:]]
    lens = TokenLens(UNEMBED_VD, vocabulary=CASES, unit=False)
    words = (X_BD @ UNEMBED_VD.T)[:, CASES.class_of >= 0].mean(axis=1, keepdims=True)
    above = np.log1p(np.maximum(lens.logits(X_BD).astype(np.float64) - words, 0))
    wanted = []
    for rows in (slice(0, 1), slice(1, 6), slice(6, None)):
        pooled = above[rows].max(axis=0)
        kept = sorted(range(40), key=lambda t, p=pooled: (-p[t], t))[:12]
        wanted.append({t: float(pooled[t]) for t in kept if pooled[t] > 0})
    assert_same(vectors(lens.strongest(states, 12)), wanted, 1e-4)
    monkeypatch.setattr(lens_module, "ROOM", 2 * len(CASES.names))  # a text's states are more than are read at a time
    assert_same(vectors(lens.strongest(states, 12)), wanted, 1e-4)


def test_a_constant_in_any_states_logits_changes_neither_own_tokens_nor_strongest_ones():
    unembed, shifted = with_constant(RNG.integers(-1000, 1000, len(X_BD)))
    lens, texts = TokenLens(unembed, vocabulary=PLAIN), [RNG.integers(0, V, 9).tolist() for _ in X_BD]
    plain = with_constant(np.zeros(len(X_BD)))[1]
    for read in (lambda x: lens.own(x, texts, 5), lambda x: lens.strongest([x[:9], x[9:]], 5)):
        assert_same(vectors(read(shifted)), vectors(read(plain)), 1e-4)


def test_words_of_one_stem_are_one_token_where_a_stemmer_is_named():
    vocabulary = Vocabulary.of([" heat", "heated", " Heating", " wing", "wings", " sing"], stem="english")
    assert vocabulary.names == ("heat", "wing", "sing")
    assert vocabulary.class_of.tolist() == [0, 0, 0, 1, 1, 2]
    assert len(Vocabulary.of([" heat", "heated", " Heating", " wing", "wings", " sing"]).names) == 6


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: TokenLens(UNEMBED_VD[0]), "is a matrix"),
        (lambda: TokenLens(UNEMBED_VD, vocabulary=Vocabulary.plain(7)), f"has 7 token ids, the unembedding {V} rows"),
        (lambda: TokenLens(UNEMBED_VD, vocabulary=Vocabulary.of([None] * V)), "no token that is a word"),
        (lambda: TokenLens(UNEMBED_VD).logits(X_BD[:, :3]), rf"\(B, {D}\) arrays, these have shape \(20, 3\)"),
        (lambda: TokenLens(UNEMBED_VD).align(X_BD, 0), "at least one"),
        (lambda: TokenLens(UNEMBED_VD).tokens(X_BD * np.nan, 2), "not finite has no tokens"),
        (lambda: TokenLens(UNEMBED_VD, bias=np.ones(3, np.float32)), f"the bias has 3 entries, the unembedding {V} rows"),
        (lambda: Vocabulary.of(["a"], stem="englsh"), "did you mean english"),
    ],
)
def test_what_cannot_be_read_is_one_line(call, words):
    with pytest.raises(RarityError, match=rf"^[^\n]*{words}[^\n]*$"):
        call()
