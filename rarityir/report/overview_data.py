"""What the page's script reads: topics, measures, rankings and pairs as JSON that is harmless inside HTML."""

from __future__ import annotations

import json

from rarityir.report.matching import visible
from rarityir.report.overview import Overview, Rankings
from rarityir.types import Json

_TOPIC = 400  # characters of a topic's text


def data(found: Overview) -> dict[str, Json]:
    """Returns what the script needs, systems and topics by their positions."""
    report = found.report
    at = {row.name: i for i, row in enumerate(report.rows)}
    return {
        "measures": [visible(m) for m in report.measures],
        "systems": [visible(row.name) for row in report.rows],
        "means": [[row.measures[m] for m in report.measures] for row in report.rows],
        "baseline": at[report.baseline],
        "alpha": report.alpha,
        "topics": [[visible(q), clipped(t, _TOPIC)] for q, t in zip(found.query_ids, found.topics, strict=True)],
        "values": [[[round(float(v), 6) for v in values] for values in found.values[m]] for m in report.measures],
        "pairs": [[at[p.one], at[p.other], round(p.p, 6), int(p.least)] for p in found.pairs],
        **rankings(found.rankings),
    }


def rankings(found: Rankings) -> dict[str, Json]:
    """Returns the rankings as the script reads them."""
    return {
        "depth": found.depth,
        "ranked": list(found.topics),
        "docs": [[visible(doc_id), visible(text)] for doc_id, text in found.documents],
        "best": [[list(rows) for rows in by_topic] for by_topic in found.best],
        "grades": [[v for pair in grades.items() for v in pair] for grades in found.grades],
        "relevant": [list(rows) for rows in found.relevant],
        "ranks": [[list(ranks) for ranks in by_topic] for by_topic in found.ranks],
        "count": list(found.judged_relevant),
    }


def embedded(value: Json) -> str:
    """Returns JSON that no HTML parser can end or read as markup: `<`, `>`, `&` and what is not printed are escapes."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def clipped(text: str, most: int) -> str:
    """Returns a text's beginning, cut at a word, on one line and with nothing that acts."""
    shown = visible(text)
    if len(shown) <= most:
        return shown
    start = shown[:most]
    return (start.rsplit(" ", 1)[0] if " " in start[most // 2 :] else start) + "…"
