"""Texts drawn from a model follow its own distribution, token by token, and have the length that was asked for."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from tiny import STORIES

from rarityir.modelmap import TextSet, sample
from rarityir.modelmap import sampling as module
from rarityir.modelmap.sampling import draw, written
from rarityir.modelmap.scoring import Reader, opened
from rarityir.types import RarityError

ROWS = 2000


@pytest.fixture(scope="module")
def reader() -> Reader:
    return opened(str(STORIES), bos="always")


def chances(reader: Reader, ids: list[int]) -> np.ndarray:
    with torch.inference_mode():
        return reader.model(input_ids=torch.tensor([[*reader.before(), *ids]])).logits[0, -1].double().softmax(-1).numpy()


def far(counts: Counter[int], p_V: np.ndarray) -> float:
    """The largest distance of a count from its mean, in its own standard deviations, over tokens expected often enough."""
    n = sum(counts.values())
    often = np.flatnonzero(n * p_V * (1 - p_V) > 9)
    assert len(often)
    return max(abs(counts[int(t)] - n * p_V[t]) / np.sqrt(n * p_V[t] * (1 - p_V[t])) for t in often)


def test_tokens_are_drawn_by_the_models_own_distribution(reader, rng, monkeypatch) -> None:
    monkeypatch.setattr(module, "STEPS", 1)
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    texts = list(draw(reader, ROWS, generator, max_bytes=18))
    first = Counter(ids[0] for ids in texts if ids)
    assert far(first, chances(reader, [])) < 7
    for depth in (1, 2):  # what comes after a beginning that is common: the cache holds what was drawn
        begun = Counter(tuple(ids[:depth]) for ids in texts if len(ids) > depth).most_common(1)[0][0]
        after = Counter(ids[depth] for ids in texts if tuple(ids[:depth]) == begun and len(ids) > depth)
        assert sum(after.values()) > 100
        assert far(after, chances(reader, list(begun))) < 7


def test_every_token_is_drawn_given_all_before_it(reader, rng) -> None:
    """Σ (log p(token) + entropy) has mean 0 and a known variance where p is the model's of the whole text before."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    total = variance = 0.0
    for ids in draw(reader, 60, generator, max_bytes=60):
        with torch.inference_mode():
            logits = reader.model(input_ids=torch.tensor([[*reader.before(), *ids]])).logits[0, :-1]
        logs_TV = logits.double().log_softmax(-1).numpy()
        p_TV = np.exp(logs_TV)
        entropy_T = -(p_TV * logs_TV).sum(axis=1)
        total += (logs_TV[np.arange(len(ids)), ids] + entropy_T).sum()
        variance += ((p_TV * logs_TV**2).sum(axis=1) - entropy_T**2).sum()
    assert abs(total) < 7 * np.sqrt(variance)


def test_a_text_ends_at_a_special_token_or_where_it_is_long(reader, rng) -> None:
    seed = int(rng.integers(2**31))
    texts, short = written(reader, 3, max_bytes=60, min_bytes=40, seed=seed)
    assert len(texts) == 3
    assert all(40 < len(text.encode()) <= 60 for text in texts)
    assert short >= 0
    assert written(reader, 3, max_bytes=60, min_bytes=40, seed=seed)[0] == texts
    assert written(reader, 3, max_bytes=60, min_bytes=40, seed=seed + 1)[0] != texts

    class Ending:
        """A tokenizer for which half of the vocabulary ends a text."""

        all_special_ids = tuple(range(0, 512, 2))
        bos_token_id, eos_token_id = 1, 2

        def __getattr__(self, name):
            return getattr(reader.tokenizer, name)

        def __call__(self, *args, **options):
            return reader.tokenizer(*args, **options)

    ending = Reader(reader.model, Ending(), "always", reader.length)
    found = list(draw(ending, 64, torch.Generator().manual_seed(seed), 200))
    assert all(token % 2 for ids in found for token in ids)
    assert min(map(len, found)) < 5
    with pytest.raises(RarityError, match="wrote no text of over 150 bytes in 640 tries"):
        written(ending, 1, max_bytes=200, min_bytes=150, seed=seed)


def test_a_set_has_as_many_texts_of_each_and_says_who_wrote_them(tmp_path) -> None:
    models = {"one": str(STORIES), "two": str(STORIES)}
    found = sample(models, 2, max_bytes=40, min_bytes=20, seed=3)
    assert len(found) == 4
    assert found.texts[:2] != found.texts[2:]  # another seed for each
    assert list(found.source["written_by"]) == ["one", "two"]
    assert TextSet.load(found.save(tmp_path / "own.json")).sha256 == found.sha256
    with pytest.raises(RarityError, match="given none; sample with --bos always"):
        sample(models, 1, max_bytes=40, min_bytes=20, bos="none")
    for wrong in ({"each": 0}, {"each": 1, "min_bytes": 40}):
        with pytest.raises(RarityError, match="ask for 1 or more of some length"):
            sample(models, **{"max_bytes": 40, **wrong})
