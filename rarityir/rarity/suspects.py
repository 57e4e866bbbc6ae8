"""Under-trained tokens of a model: who they are, why, beside whom, and how much of a dataset they touch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir import checkpoints
from rarityir.encoders import load_encoder
from rarityir.rarity.counting import count
from rarityir.rarity.forms import Forms
from rarityir.rarity.listing import columns, share, shown
from rarityir.rarity.repeating import BOUND, repeated
from rarityir.rarity.rows import rows
from rarityir.rarity.stats import TokenStats
from rarityir.rarity.tokenizing import Tokenizing
from rarityir.rarity.undertrained import Scored, undertrained
from rarityir.rarity.unused import Unused, unused
from rarityir.types import Dataset, Doc, Encoder, Ints, Json

WHO = ("usual", "unused", "flagged")
FREQUENT = 100  # of the seen tokens, one in so many is frequent
LEAST_FREQUENT = 20  # how many are called frequent at least


@dataclass(frozen=True, eq=False)
class Suspects:
    """What `rarityir rarity undertrained` finds: `facts` are JSON, `scored` the numbers of all tokens, `cf` (V,) how often each
    is written, where that is known."""

    scored: Scored
    facts: dict[str, Json]
    cf: Ints | None = None

    def text(self) -> str:
        """Returns the findings as lines for a terminal."""
        found = self.facts
        references = ", ".join(f"{n} {kind}" for kind, n in found["references"]["kinds"].items())
        kinds = ", ".join(f"{n} {kind}" for kind, n in found["flagged_kinds"].items()) or "none"
        lines = [
            f"{found['model']}: {found['rows']:,} rows, input and output {'one matrix' if found['tied'] else 'two matrices'}",
            f"reference rows that no text trains: {references}",
            f"under-trained from score {found['threshold']:.2f} on: {found['flagged_count']:,} tokens ({kinds})",
            "",
            "most under-trained (score in spreads from the usual; parts beside it)",
            *_table(found["most"], found["families"]),
            "",
            "least under-trained",
            *_table(found["least"], found["families"]),
        ]
        if found["short"]:
            lines += [
                "",
                "frequent tokens with the shortest rows: short, not untrained",
                *_table(found["short"], found["families"]),
            ]
        indicators = [(name, *(_number(x[who]) for who in WHO)) for name, x in found["indicators"].items()]
        lines += ["", *columns(("indicator, median", *WHO), indicators)]
        if "asked" in found:
            said = [(who, str(x["asked"]), str(x["never said"]), _number(x["median"])) for who, x in found["asked"].items()]
            lines += ["", *columns(("asked to repeat", "tokens", f"below {BOUND}", "median"), said)]
        for name, touched in found["touched"].items():
            cells = [
                (what, f"{x['all']:,}", f"{x['touched']:,}", share(x["share"]), share(x["of_tokens"]))
                for what, x in touched.items()
            ]
            lines += ["", *columns((f"in {name}", "all", "touched", "share", "of tokens"), cells)]
        return "\n".join(lines)


def find(
    model: str,
    *,
    dataset: Dataset | None = None,
    stats: TokenStats | None = None,
    predicted: NDArray[np.float64] | None = None,
    reference: Sequence[int] = (),
    threshold: float | None = None,
    top: int = 20,
    limit: int = 0,
    workers: int = 0,
    ask: int = 0,
    device: str = "auto",
) -> Suspects:
    """Returns the under-trained tokens of a model, by short name, hub id or path; the model itself is loaded only to be asked.

    Args:
        dataset: whose documents and queries are looked through for them.
        stats: the frequencies by which lengths are judged; those of the dataset where there are none.
        predicted: (V,) each token's `log_icf` as its row tells it; what it is above the counted one is an indicator.
        reference: ids of unused rows, where the model has none that can be told.
        threshold: the score from which on a token counts as under-trained; else the unused rows say it.
        top: tokens listed at each end.
        limit: documents read, 0 for all.
        workers: processes that tokenise, 0 for one a core.
        ask: how many of the tokens found the model is asked to repeat, and as many others beside them.
        device: where it is asked.
    """
    output, head = rows(model, "output"), checkpoints.unembedding(model)
    size = output.shape[0]
    forms = Forms.of(model, size)
    known = unused(forms, reference)
    if stats is None and dataset is not None:
        stats = TokenStats.from_dataset(dataset, model, limit=limit, workers=workers, vocabulary=size)
    if stats is not None:
        stats = stats.counted_by(forms.tokens).over(size)
    kinds = np.array(forms.categories())
    scored = undertrained(
        output, known.ids, input=None if output.tied else rows(model, "input"), bias=checkpoints.bias(head), usual=kinds == "ok",
        cf=None if stats is None else stats.cf, surprise=_surprise(predicted, stats),
    )  # fmt: skip
    scored = scored if threshold is None else replace(scored, threshold=threshold)
    facts = _facts(scored, forms, kinds, known, stats, top)
    touched = (
        {} if dataset is None else {dataset.name: touches(dataset, forms.tokens, scored.flagged, limit=limit, workers=workers)}
    )
    if ask:
        _ask(load_encoder(model, device=device), scored, kinds, facts, ask)
    head_facts = {"model": checkpoints.called(model), "rows": size, "tied": bool(output.tied)}
    return Suspects(scored, {**head_facts, **facts, "touched": touched}, None if stats is None else stats.cf)


def _ask(encoder: Encoder, scored: Scored, kinds: NDArray[Any], facts: dict[str, Json], count: int) -> None:
    """Adds what the model does when it is to repeat the tokens found, and others as far apart in score as can be."""
    flagged = np.array([row["id"] for row in facts["flagged"][:count]], np.int64)
    others = np.flatnonzero((kinds == "ok") & ~scored.flagged & ~np.isin(np.arange(len(kinds)), scored.unused))
    others = others[np.argsort(scored.score[others], kind="stable")]
    others = others[np.linspace(0, len(others) - 1, min(count, len(others))).astype(int)]
    asked = {"flagged": repeated(encoder, flagged.tolist()), "others": repeated(encoder, others.tolist())}
    facts["asked"] = {
        who: {"asked": len(p), "never said": int((p < BOUND).sum()), "median": _median(p)} for who, p in asked.items()
    }
    said = dict(zip(flagged.tolist(), asked["flagged"].tolist(), strict=True))
    for row in facts["flagged"] + facts["most"]:
        if row["id"] in said:
            row["said"] = said[row["id"]]


def touches(
    dataset: Dataset, tokens: Tokenizing, flagged_V: NDArray[np.bool_], *, limit: int = 0, workers: int = 0
) -> dict[str, Json]:
    """Returns how many of a dataset's documents and queries hold a marked token, and the share of their tokens that are."""
    queries = [Doc(query_id, query) for query_id, query in dataset.topics.items()]
    asked = replace(dataset, docs=lambda: iter(queries), docs_count=len(queries))
    found = {"documents": _touched(dataset, tokens, flagged_V, limit, workers)}
    return found | ({"queries": _touched(asked, tokens, flagged_V, 0, workers)} if queries else {})


def _touched(dataset: Dataset, tokens: Tokenizing, flagged_V: NDArray[np.bool_], limit: int, workers: int) -> dict[str, Json]:
    counts, documents, _ = count(dataset, _marked(tokens, flagged_V), 2, limit=limit, workers=workers)
    (_, touched), (others, occurrences) = counts[0], counts[1]
    return {
        "all": documents, "touched": int(touched), "share": float(touched / documents),
        "of_tokens": float(occurrences / max(occurrences + others, 1)),
    }  # fmt: skip


def _marked(tokens: Tokenizing, flagged_V: NDArray[np.bool_]) -> Callable[[Sequence[str]], list[list[int]]]:
    """Reads texts as ids 1 for a marked token and 0 for any other, so that they are counted as tokens are."""

    def encode(texts: Sequence[str]) -> list[list[int]]:
        found = []
        for ids in tokens.encode(texts):
            known = np.asarray(ids, np.int64)
            found.append(flagged_V[known[known < len(flagged_V)]].astype(int).tolist())
        return found

    return encode


def _surprise(predicted: NDArray[np.float64] | None, stats: TokenStats | None) -> NDArray[np.float64] | None:
    if predicted is None or stats is None:
        return None
    return np.asarray(np.where(stats.censored, np.nan, predicted - stats.target("log_icf")))


def _facts(
    scored: Scored, forms: Forms, kinds: NDArray[Any], known: Unused, stats: TokenStats | None, top: int
) -> dict[str, Json]:
    ordinary = np.ones(len(forms), bool)
    ordinary[known.ids] = False
    order = np.argsort(-scored.score, kind="stable")
    order = order[ordinary[order]]
    flagged = scored.flagged
    listed = {
        "most": order[:top],
        "least": order[::-1][: max(1, top // 2)],
        "short": _short(scored, ordinary, stats)[: max(1, top // 2)],
        "flagged": order[flagged[order]],
    }
    tables = {name: [_token(int(i), scored, forms, kinds, stats) for i in ids] for name, ids in listed.items()}
    who = dict(zip(WHO, (ordinary & ~flagged, ~ordinary, flagged), strict=True))
    indicators = {name: {w: _median(values[rows]) for w, rows in who.items()} for name, values in scored.measured.items()}
    return {
        "references": {"kinds": dict(known.kinds), "ids": known.ids.tolist()},
        "threshold": scored.threshold,
        "flagged_count": int(flagged.sum()),
        "flagged_kinds": dict(sorted(Counter(kinds[flagged].tolist()).items())),
        "kinds": dict(sorted(Counter(kinds.tolist()).items())),
        "families": list(scored.families),
        "weights": dict(scored.weights),
        "frequencies": None if stats is None else stats.source,
        "indicators": indicators,
        **tables,
    }


def _short(scored: Scored, ordinary: NDArray[np.bool_], stats: TokenStats | None) -> NDArray[Any]:
    """The most frequent hundredth of the seen tokens, shortest rows first."""
    if stats is None:
        return np.zeros(0, np.int64)
    lengths = scored.measured.get("input norm", scored.measured["norm"])
    seen = np.flatnonzero(ordinary & (stats.cf > 0))
    frequent = seen[np.argsort(-stats.cf[seen], kind="stable")][: max(LEAST_FREQUENT, len(seen) // FREQUENT)]
    return frequent[np.argsort(lengths[frequent], kind="stable")]


def _token(i: int, scored: Scored, forms: Forms, kinds: NDArray[Any], stats: TokenStats | None) -> dict[str, Json]:
    parts = {name: _finite(values[i]) for name, values in scored.families.items()}
    found = {"id": i, "token": shown(forms.texts[i], forms.pieces[i]), "kind": str(kinds[i]), "score": float(scored.score[i])}
    found["norm"] = float(scored.measured.get("input norm", scored.measured["norm"])[i])
    return found | ({} if stats is None else {"cf": int(stats.cf[i])}) | {"parts": parts}


def _table(tokens: Sequence[dict[str, Json]], families: Sequence[str]) -> list[str]:
    counted, asked = (any(key in token for token in tokens) for key in ("cf", "said"))
    heads = ("token", "id", "kind", "score", *families, "norm", *(("cf",) if counted else ()), *(("said",) if asked else ()))
    body = [
        (t["token"], str(t["id"]), t["kind"], f"{t['score']:.2f}", *(_number(t["parts"][name]) for name in families),
         f"{t['norm']:.3f}", *((f"{t['cf']:,}",) if counted else ()), *((_number(t.get("said")),) if asked else ()))
        for t in tokens
    ]  # fmt: skip
    return columns(heads, body, words=(0, 2))


def _median(values: NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else None


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}".replace("-", "−")
