"""n · KL inside one text is half of G², and ranks are read from scores."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import power_divergence

from rarityir.informativeness.keywords import first_hit, in_text


def test_it_is_half_of_the_g_of_each_words_row(rng):
    ids = (rng.zipf(1.6, 300) % 50 + 7).tolist()
    words, n, found = in_text(ids, 4)
    counts = Counter(ids)
    assert dict(zip(words.tolist(), n.tolist(), strict=True)) == counts
    order = sorted(counts, key=lambda w: (-counts[w], w))
    total, contexts = 0, []
    for w in order:
        contexts.append(w)
        total += counts[w]
        if total >= 100:  # a third of the text
            break
    table = np.zeros((len(words), len(contexts)))
    for i, w in enumerate(ids):
        for j in range(max(0, i - 4), min(300, i + 5)):
            if i != j and ids[j] in contexts:
                table[words.tolist().index(w), contexts.index(ids[j])] += 1
    share = table.sum(axis=0) / table.sum()
    for row, value in zip(table, found, strict=True):
        g = power_divergence(row, share * row.sum(), lambda_="log-likelihood").statistic if row.sum() else 0.0
        assert value == pytest.approx(g / 2, abs=1e-9)


def test_a_text_without_words_has_none():
    assert [len(part) for part in in_text([])] == [0, 0, 0]


def test_the_rank_of_the_best_wanted_word():
    words, scores = np.array([4, 5, 6, 7]), np.array([3.0, 1.0, 3.0, 2.0])
    assert first_hit(words, scores, {7, 5}) == pytest.approx(1 / 3)
    assert first_hit(words, scores, {4}) == pytest.approx(1 / 1.5)  # two are as good: either may stand first
    assert first_hit(words, scores, {9}) == 0
