"""The engine on what the demo model really writes of real documents: brute force to the last bit, saved, loaded, merged."""

from __future__ import annotations

from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

import rarityir as ri
from rarityir.indexes.packing import quantised
from rarityir.tokens import TokenLens, literal
from rarityir.types import Impacts

DOCUMENTS, CUTOFF = 160, 25


@pytest.fixture(scope="module")
def real() -> tuple[Impacts, Impacts]:
    """The 64 best tokens of some documents, two of them twice so that there are ties, and queries of their own tokens."""
    dataset, encoder = ri.load_dataset("cranfield"), ri.load_encoder("demo", max_length=48)
    texts = [doc.text for doc in islice(dataset.docs(), DOCUMENTS)]
    texts[70], texts[150] = texts[3], texts[9]
    lens = TokenLens(encoder)
    documents = lens.align(encoder.encode_document(texts), 64)
    return documents, literal(encoder.tokenize(list(dataset.topics.values())[:40]), lens.vocabulary)


def rows_of(impacts: Impacts) -> list[dict[int, np.float32]]:
    pairs = [(impacts.token_ids[a:b].tolist(), impacts.values[a:b]) for a, b in pairwise(impacts.indptr)]
    return [dict(zip(ids, values, strict=True)) for ids, values in pairs]


def brute_force(documents: Impacts, queries: Impacts) -> list[list[tuple[int, float]]]:
    codes, scales = quantised(documents)
    stored = rows_of(documents._replace(values=codes))
    rankings = []
    for query in rows_of(queries):
        scores = []
        for row, impacts in enumerate(stored):
            total = np.float32(0)
            for token, weight in query.items():
                if token in impacts:
                    total = np.float32(total + weight * np.float32(impacts[token]))
            scores.append((row, float(np.float32(total * scales[row]))))
        rankings.append(sorted((s for s in scores if s[1] > 0), key=lambda pair: (-pair[1], pair[0]))[:CUTOFF])
    return rankings


def found(index: ri.SparseIndex, queries: Impacts) -> list[list[tuple[int, float]]]:
    hits = index.search(queries, CUTOFF)
    return [[(int(r), float(s)) for r, s in zip(rows, scores, strict=True) if r >= 0] for rows, scores in zip(*hits, strict=True)]


def cut(impacts: Impacts, start: int, stop: int) -> Impacts:
    part = slice(impacts.indptr[start], impacts.indptr[stop])
    indptr = impacts.indptr[start : stop + 1] - impacts.indptr[start]
    return Impacts(indptr, impacts.token_ids[part], impacts.values[part], impacts.vocabulary)


def test_real_impacts_are_searched_as_brute_force_does_through_save_load_and_merge(real, tmp_path: Path):
    documents, queries = real
    wanted = brute_force(documents, queries)
    ties = sum(a[1] == b[1] for ranking in wanted for a, b in pairwise(ranking))
    assert ties >= 10, "equal documents must tie, or nothing is shown about ties"
    whole = ri.SparseIndex.build(documents)
    assert found(whole, queries) == wanted
    assert found(ri.SparseIndex.load(whole.save(tmp_path / "saved")), queries) == wanted
    shards = []
    for number, (start, stop) in enumerate(pairwise([0, 1, 57, 58, DOCUMENTS])):
        shards.append(tmp_path / f"shard-{number}")
        ri.SparseIndex.build(cut(documents, start, stop), shards[-1])
    merged = ri.SparseIndex.merge(shards, tmp_path / "merged")
    assert found(merged, queries) == wanted
    for path in (tmp_path / "saved").iterdir():
        assert path.read_bytes() == (tmp_path / "merged" / path.name).read_bytes(), path.name


def test_scores_of_whole_impacts_are_those_of_dictionaries_of_whole_numbers():
    rng = np.random.default_rng(0)
    rows = [
        {int(t): int(w) for t, w in zip(rng.choice(90, 9, replace=False), rng.integers(1, 256, 9), strict=True)}
        for _ in range(500)
    ]
    asked = [
        {int(t): int(w) for t, w in zip(rng.choice(90, 6, replace=False), rng.integers(1, 9, 6), strict=True)} for _ in range(30)
    ]

    def impacts(found: list[dict[int, int]]) -> Impacts:
        indptr = np.cumsum([0, *map(len, found)])
        ids, values = [t for row in found for t in sorted(row)], [row[t] for row in found for t in sorted(row)]
        return Impacts(indptr, np.array(ids, np.int64), np.array(values, np.float32), 90)

    hits = ri.SparseIndex.build(impacts(rows)).search(impacts(asked), 500)
    for query, got_rows, got_scores in zip(asked, *hits, strict=True):
        sums = {n: sum(w * row.get(t, 0) for t, w in query.items()) for n, row in enumerate(rows)}
        wanted = sorted(((n, s) for n, s in sums.items() if s), key=lambda pair: (-pair[1], pair[0]))
        kept = got_rows >= 0
        assert list(zip(got_rows[kept].tolist(), got_scores[kept].tolist(), strict=True)) == wanted
