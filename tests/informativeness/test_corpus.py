"""What a corpus says tokens tell: closed forms, brute force, scikit-learn, and what shuffling takes away."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from rarityir.informativeness import corpus as module
from rarityir.informativeness import from_corpus, joint
from rarityir.types import BadInput, Dataset, Doc, RarityError


def ids(texts):
    return [[int(word) for word in text.split()] for text in texts]


def dataset(documents) -> Dataset:
    def docs():
        return (Doc(f"d{i}", " ".join(map(str, document))) for i, document in enumerate(documents))

    return Dataset("made", "made", {}, docs, {}, {}, len(documents))


def zipf(rng, documents, size, most=40):
    return [(rng.zipf(1.4, rng.integers(0, most)) % size).tolist() for _ in range(documents)]


def divergences(pairs: Counter) -> dict[int, float]:
    """KL of each token's contexts from all contexts, straight from the definition."""
    total = sum(pairs.values())
    rows, columns = Counter(), Counter()
    for (w, c), n in pairs.items():
        rows[w] += n
        columns[c] += n
    found = dict.fromkeys(rows, 0.0)
    for (w, c), n in pairs.items():
        found[w] += n / rows[w] * math.log(n / rows[w] / (columns[c] / total))
    return found


def windows(documents, half, context=lambda w: w) -> Counter:
    pairs: Counter = Counter()
    for document in documents:
        for i, w in enumerate(document):
            for j in range(max(0, i - half), min(len(document), i + half + 1)):
                if j != i:
                    pairs[w, context(document[j])] += 1
    return pairs


def same(found, expected: dict[int, float]) -> None:
    assert {w for w in range(len(found)) if np.isfinite(found[w])} == set(expected)
    for w, value in expected.items():
        assert found[w] == pytest.approx(value, abs=1e-10)


def test_over_equally_long_documents_that_have_each_token_once_it_is_exactly_the_idf(rng):
    documents = [rng.permutation(50)[:12].tolist() for _ in range(80)]
    df = Counter(token for document in documents for token in document)
    found = from_corpus(dataset(documents), ids)
    assert found.support == 80
    for token, count in df.items():
        assert found.values[token] == pytest.approx(math.log(80 / count), abs=1e-12)
    # Longer documents or a token twice: no longer the IDF.
    documents[0] += documents[0][:1] * 9
    other = from_corpus(dataset(documents), ids)
    assert other.values[documents[0][0]] > math.log(80 / df[documents[0][0]]) + 1e-3


@pytest.mark.parametrize("block", [7, 1 << 20])
def test_over_documents_it_is_the_divergence_by_its_definition(monkeypatch, block, rng):
    documents = zipf(rng, 60, 40)
    monkeypatch.setattr(module, "_TOKENS", block)
    monkeypatch.setattr(module, "_DOCUMENTS", 11)
    found = from_corpus(dataset(documents), ids, vocabulary=45)
    expected = divergences(Counter((w, d) for d, document in enumerate(documents) for w in document))
    same(found.values, expected)
    assert found.support == sum(map(bool, documents))
    for w in expected:
        p = np.array([document.count(w) for document in documents]) / found.n[w]
        assert found.entropy[w] == pytest.approx(-(p[p > 0] * np.log(p[p > 0])).sum(), abs=1e-10)
    assert not found.seen[40:].any()


@pytest.mark.parametrize("half", [1, 3, 50])
@pytest.mark.parametrize("block", [5, 1 << 20])
def test_over_windows_it_is_the_divergence_by_its_definition(monkeypatch, half, block, rng):
    documents = zipf(rng, 40, 30)
    monkeypatch.setattr(module, "_TOKENS", block)
    monkeypatch.setattr(joint, "_CELLS", 64)
    found = from_corpus(dataset(documents), ids, f"window:{half}", contexts=0)
    same(found.values, divergences(windows(documents, half)))
    assert found.support == len({c for _, c in windows(documents, half)})
    # The few most frequent are contexts of their own, all others one: never a larger divergence.
    count = Counter(w for document in documents for w in document)
    few = sorted(count, key=lambda w: (-count[w], w))[:4]
    coarse = from_corpus(dataset(documents), ids, f"window:{half}", contexts=4)
    same(coarse.values, divergences(windows(documents, half, lambda w: w if w in few else -1)))
    both = found.seen
    assert (coarse.values[both] <= found.values[both] + 1e-12).all()
    assert coarse.support == 5


def test_the_mean_over_tokens_is_the_mutual_information_of_scikit_learn(rng):
    from sklearn.metrics import mutual_info_score

    documents = zipf(rng, 50, 25)
    for context, pairs in (
        ("document", Counter((w, d) for d, document in enumerate(documents) for w in document)),
        ("window:4", windows(documents, 4)),
    ):
        table = np.zeros((25, 50))
        for (w, c), n in pairs.items():
            table[w, c] = n
        found = from_corpus(dataset(documents), ids, context, contexts=0)
        assert found.mutual_information == pytest.approx(mutual_info_score(None, None, contingency=table), rel=1e-10)
        assert found.facts["mutual_information"] == found.mutual_information


def test_of_tokens_drawn_by_themselves_a_shuffle_leaves_nothing_and_a_planted_pair_stays(rng):
    """An i.i.d. corpus: what raw divergence shows is how rare a token is, and nothing else."""
    p = 1 / np.arange(201, 3201)
    text = rng.choice(3000, 300_000, p=p / p.sum())
    # Two tokens that always stand together.
    places = rng.choice(len(text) // 4, 1200, replace=False) * 4
    text[places], text[places + 1] = 3000, 3001
    documents, seed = text.reshape(100, 3000).tolist(), int(rng.integers(2**31))
    found = from_corpus(dataset(documents), ids, "window:2", "shuffle", runs=5, seed=seed, contexts=300)
    np.testing.assert_array_equal(found.raw, from_corpus(dataset(documents), ids, "window:2", contexts=300).values)
    log_n, others = np.log(found.n[:3000]), slice(0, 3000)
    assert np.corrcoef(found.raw[others], log_n)[0, 1] < -0.87
    assert abs(np.corrcoef(found.values[others], log_n)[0, 1]) < 0.1  # five standard errors of 3000 tokens
    assert abs(found.values[others].mean()) < 0.02 * found.raw[others].mean()
    assert set(np.argsort(found.values)[-2:].tolist()) == {3000, 3001}
    assert found.values[3000:].min() > 2 * found.values[others].max()


def test_the_same_seed_shuffles_the_same_way_and_the_corpus_stays():
    documents = zipf(np.random.default_rng(0), 30, 20)
    one, again, other = (from_corpus(dataset(documents), ids, correct="shuffle", runs=2, seed=s) for s in (3, 3, 4))
    np.testing.assert_array_equal(one.values, again.values)
    assert np.nanmax(np.abs(one.values - other.values)) > 0
    np.testing.assert_array_equal(one.n, other.n)
    assert one.identity["correction.seed"] == 3
    # A document is as long as it was, so over one single document nothing can be told.
    single = from_corpus(dataset([documents[0] or [1]]), ids, correct="shuffle", runs=1)
    assert np.nanmax(np.abs(single.raw)) < 1e-12


def test_a_shuffle_keeps_every_occurrence(rng):
    """A token that occurs once stands in one of N equally long documents, however the corpus is shuffled: ln N, both times."""
    documents = np.concatenate([np.arange(40), 40 + rng.integers(0, 9, 200)])
    documents = rng.permutation(documents).reshape(24, 10).tolist()
    found = from_corpus(dataset(documents), ids, correct="shuffle", runs=3, seed=int(rng.integers(2**31)))
    np.testing.assert_allclose(found.raw[:40], np.log(24), atol=1e-12)
    np.testing.assert_allclose(found.values[:40], 0, atol=1e-12)
    assert np.abs(found.values[40:]).max() > 1e-6


def test_the_analytic_correction_is_the_bias_of_multinomial_draws(rng):
    """Simulated: tokens whose contexts are drawn from the usual ones, 4 and more draws for each of them."""
    p = rng.dirichlet(np.full(60, 5.0))
    table = rng.multinomial(60 * 8, p, 4000)
    kl, _, draws, support = joint.of_table(table)
    assert support == 60
    assert kl.mean() == pytest.approx((support - 1) / (2 * 60 * 8), rel=0.06)
    from rarityir.informativeness import TokenInformation

    size = len(kl)
    found = TokenInformation(kl, kl, draws, draws, kl, support, ("",) * size, "made").correct("analytic")
    assert abs(found.values.mean()) < 0.06 * kl.mean()
    assert found.correction == "analytic"


def test_a_limit_reads_the_first_documents_and_ids_beyond_the_vocabulary_are_left_out():
    documents = [[0, 1, 2], [1, 2, 9], [0, 0, 1]]
    np.testing.assert_array_equal(
        from_corpus(dataset(documents), ids, limit=2).values[:3], from_corpus(dataset(documents[:2]), ids).values[:3]
    )
    found = from_corpus(dataset(documents), ids, vocabulary=3)
    same(found.values, divergences(Counter((w, d) for d, document in enumerate(documents) for w in document if w < 3)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"context": "window"}, "a context is document"),
        ({"context": "window:0"}, "a context is document"),
        ({"correct": "magic"}, "one of none, shuffle"),
        ({"correct": "shuffle", "runs": 0}, "a shuffle needs a run"),
    ],
)
def test_what_is_asked_for_wrongly_is_one_line(arguments, message):
    with pytest.raises(RarityError, match=message) as raised:
        from_corpus(dataset([[1]]), ids, **arguments)
    assert "\n" not in str(raised.value)


def test_a_corpus_without_tokens_is_one_line():
    with pytest.raises(BadInput, match="no tokens"):
        from_corpus(dataset([[]]), ids)
    with pytest.raises(RarityError, match="overflows"):
        joint.check_room(2**30, 2)


def test_an_encoder_and_the_name_of_its_model_write_the_same_tokens(stories, beir):
    import rarityir as ri

    encoder = ri.load_encoder(stories)
    found = ri.informativeness.from_corpus(str(beir), encoder)
    by_name = ri.informativeness.from_corpus(str(beir), stories)
    assert len(found.values) == len(by_name.values) == 512
    assert found.names == tuple(encoder.tokens())
    assert by_name.names[300] == found.names[300]
    assert found.n.sum() == sum(map(len, encoder.tokenize([doc.text for doc in ri.load_dataset(str(beir)).docs()])))
    assert found.facts["occurrences"] == found.n.sum()


@pytest.mark.parametrize("context", ["document", "window:2"])
def test_round_takes_off_what_whole_counts_make_of_what_is_expected(context, rng):
    documents = zipf(rng, 30, 25)
    found = from_corpus(dataset(documents), ids, context, "round", contexts=0, vocabulary=25)
    pairs = windows(documents, 2) if context != "document" else Counter((w, d) for d, text in enumerate(documents) for w in text)
    columns = Counter()
    for (_, c), n in pairs.items():
        columns[c] += n
    total, raw = sum(columns.values()), divergences(pairs)
    for w, value in raw.items():
        n = sum(many for (own, _), many in pairs.items() if own == w)
        taken = 0.0
        for many in columns.values():
            whole = round(n * (many / total))
            taken += whole / n * math.log(whole / (n * many / total)) if whole else 0.0
        assert found.raw[w] == pytest.approx(value, abs=1e-9)
        assert found.values[w] == pytest.approx(value - taken, abs=1e-9)
    assert found.correction == "round"
    assert np.isnan(found.values[sorted(set(range(25)) - set(raw))]).all()


def test_rounding_alone_is_nothing_where_whole_counts_are_expected_and_known_where_not():
    usual = np.full(8, 1 / 8)
    n = np.array([0, 3, 8, 16, 12, 20, 80])
    found = joint.quantised(n, usual)
    assert np.isnan(found[0])
    assert found[1] == 0.0  # 3 / 8 of a draw: no context gets one
    np.testing.assert_allclose(found[[2, 3, 6]], 0.0, atol=1e-15)
    assert found[4] == pytest.approx(16 / 12 * math.log(2 / 1.5))  # 1.5 becomes 2, eight times
    assert found[5] == pytest.approx(16 / 20 * math.log(2 / 2.5))  # 2.5 becomes 2
    uneven = joint.quantised(np.array([10]), np.array([0.05, 0.61, 0.34]))
    assert uneven[0] == pytest.approx(0.6 * math.log(6 / 6.1) + 0.3 * math.log(3 / 3.4))
