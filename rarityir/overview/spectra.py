"""What the filters of an experiment cut of their model's spectrum, kept in its folder so that the page needs no model."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from rarityir import parsing, store
from rarityir.explain import explain
from rarityir.report.explanation import Explanation
from rarityir.report.model import Report
from rarityir.report.overview import Cut, Spectrum, Written
from rarityir.retrieval import Retriever
from rarityir.systems import Part, System
from rarityir.types import Json, RarityError

FILE = "explained.json"
MOST = 8  # filters that are shown
TOPICS = 3  # of the collection, the first ones, which are read as tokens
TOKENS = 8  # of a topic


def read_spectrum(retriever: Retriever, report: Report, folder: Path) -> tuple[Spectrum | None, str]:
    """Returns what the report's filters cut, and else why it is not known; without filters, neither.

    It is written to `explained.json`, and read from there where model, filters and topics are the same.
    """
    chosen = _chosen(report)
    if not chosen:
        return None, ""
    try:
        _write(retriever, chosen, folder)
    except RarityError as error:
        return None, f"The model's spectrum is not shown: {error}."
    return stored_spectrum(report, folder)


def stored_spectrum(report: Report, folder: Path) -> tuple[Spectrum | None, str]:
    """Returns what a folder's `explained.json` says of the report's filters, and else why there is nothing."""
    names = ["+".join(map(str, parts)) for parts in _filters(report)]
    if not names:
        return None, ""
    try:
        shown = _read(parsing.value(folder / FILE), names)
    except FileNotFoundError:
        return None, f"The model's spectrum is not shown: {FILE} is not in the folder; rarityir eval writes it."
    except (OSError, ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError):
        return None, f"The model's spectrum is not shown: {FILE} cannot be read; remove it, and rarityir eval writes it again."
    return (shown, "") if shown.cuts else (None, f"The model's spectrum is not shown: {FILE} is of other filters.")


def _read(found: Json, names: Sequence[str]) -> Spectrum:
    """A spectrum as it was stored, of some filters; anything that is not one is a `ValueError` or its like."""
    places = [i for i, cut in enumerate(found["cuts"]) if cut["filter"] in names]
    cuts = [found["cuts"][i] for i in places]
    values = tuple(map(float, found["values"]))
    shown = Spectrum(
        str(found["model"]),
        int(found["vocabulary"]),
        values,
        tuple(Cut(str(c["filter"]), tuple(map(float, c["kept"])), tuple(map(_zone, c["zones"]))) for c in cuts),
        tuple(
            Written(str(w["query_id"]), str(w["text"]), _words(w["raw"]), tuple(_words(w["filtered"][i]) for i in places))
            for w in found["written"]
        ),
        len(names),
    )
    shares = [share for cut in shown.cuts for share in cut.kept]
    if cuts and not (max(values) > 0 and all(map(math.isfinite, values)) and all(0 <= share <= 1.001 for share in shares)):
        raise ValueError("values that no spectrum has")
    if any(len(cut.kept) != len(values) for cut in shown.cuts):
        raise ValueError("a filter of another width")
    return shown


def _zone(found: Json) -> tuple[str, float, float, tuple[str, ...]]:
    ranks, kept, energy, written = found
    return str(ranks), float(kept), float(energy), _words(written)


def _words(found: Json) -> tuple[str, ...]:
    return tuple(map(str, found))


def _write(retriever: Retriever, chosen: Sequence[tuple[Part, ...]], folder: Path) -> None:
    """Explains the filters unless the folder holds just that."""
    filters = [retriever.filter(parts) for parts in chosen]
    topics = dict(list(retriever.dataset.topics.items())[:TOPICS])
    of: dict[str, Json] = {"encoder": retriever.encoder.identity(), "topics": topics}
    of["filters"] = {f.name: f.digest for f in filters if f is not None}
    if _of(folder / FILE) == json.loads(json.dumps(of)):
        return
    encoder, source = retriever.encoder, retriever.source
    if source.counts is not None:
        source = replace(source, counts=cache(source.counts))
    texts = list(topics.values())
    x_ND = encoder.encode_query(texts)
    tokens = encoder.tokens()
    found = [explain(f, source, tokens, texts=texts, embeddings_ND=x_ND, top=TOKENS) for f in filters]
    store.write_json(folder / FILE, {"of": of, **_facts(found, list(topics))})


def _facts(found: Sequence[Explanation], query_ids: Sequence[str]) -> dict[str, Json]:
    first = found[0]
    return {
        "model": first.model,
        "vocabulary": first.vocabulary,
        "values": _rounded(first.values),
        "cuts": [
            {
                "filter": one.filter,
                "kept": _rounded(one.kept),
                "zones": [[z.label, round(z.kept, 4), round(z.energy, 4), list(z.written)] for z in one.zones],
            }
            for one in found
        ],
        "written": [
            {
                "query_id": query_id,
                "text": first.texts[i].text,
                "raw": list(first.texts[i].before),
                "filtered": [list(one.texts[i].after) for one in found],
            }
            for i, query_id in enumerate(query_ids)
        ],
    }


def _rounded(values: Any) -> list[float]:
    return [round(float(f"{v:.5g}"), 6) for v in values]


def _filters(report: Report) -> dict[tuple[Part, ...], float]:
    """The filters of the report's systems, in its order, each with the best first measure of those that use it."""
    found: dict[tuple[Part, ...], float] = {}
    for row in report.rows:
        try:
            systems = _leaves(System.parse(row.name))
        except RarityError:  # a run of another tool
            continue
        for system in systems:
            if system.filters:
                found[system.filters] = max(found.get(system.filters, -1.0), row.measures[report.measures[0]])
    return found


def _chosen(report: Report) -> list[tuple[Part, ...]]:
    """The filters that are shown: of more than `MOST`, those that do best."""
    found = _filters(report)
    best = sorted(found, key=lambda parts: -found[parts])[:MOST]
    return [parts for parts in found if parts in best]


def _leaves(system: System) -> list[System]:
    return [leaf for part in system.parts for leaf in _leaves(part)] if system.fusion else [system]


def _of(path: Path) -> Json:
    try:
        return parsing.value(path)["of"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
