"""What was measured of token weights as Markdown, and the curves over their powers as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evals.informativeness.bench import FORMS, JUDGED, MEASURE
from rarityir.report.informativeness import Curve, curves

FOLDER = Path(__file__).parent
HEAD = """# Token weights by what tokens tell

Encoder {encoder}; {measure}, 100 documents a topic. γ is chosen on NFCorpus dev and SciFact train. Beside each mean: its
difference from the usual (BM25 and sparse queries: the IDF at γ = 1; pooling: the plain mean), p by Fisher's randomisation test
over topics, Holm over a table's rows; then the same weights permuted within bins of frequency, {permuted} times, with p of that
difference, Holm over sources. `quantile`: less the 3 % curve; `window`: less {runs} shuffles; a model's weights are of {texts}
documents of each collection. Made by `python -m evals.informativeness`; all powers are [drawn](powers.svg).
"""


def page(found: dict[str, Any]) -> str:
    """The tables as Markdown."""
    lines = HEAD.format(measure=MEASURE, **{key: found[key] for key in ("encoder", "permuted", "runs", "texts")}).splitlines()
    for name in JUDGED:
        for form in FORMS:
            cells = [cell for cell in found["cells"] if (cell["dataset"], cell["form"]) == (name, form)]
            if cells:
                lines += ["", f"## {name}, {form} ({cells[0]['topics']} topics)", "", *table(cells)]
    lines += ["", "## How they go with the IDF", "", "| corpus, source | tokens | R² | Spearman | beyond log n | with log n |"]
    lines += ["|---|---:|---:|---:|---:|---:|"]
    for key, told in found["weights"].items():
        lines.append(
            f"| {key} | {told['tokens']} | {told['r2']:.3f} | {told['spearman']:.3f} | {told['partial']:.3f} | "
            f"{told['with_log_n']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def table(cells: list[dict[str, Any]]) -> list[str]:
    """One collection and form as the lines of a table."""
    lines = [f"| weights | γ | {MEASURE} | − {cells[0]['base']} | p | permuted | p |", "|---|---:|---:|---:|---:|---:|---:|"]
    return [*lines, *map(row, cells)]


def row(cell: dict[str, Any]) -> str:
    def shown(key: str, form: str) -> str:
        return format(cell[key], form) if key in cell else "–"

    tested = [shown("against", "+.4f"), shown("p", ".4f"), shown("control", ".4f"), shown("p_control", ".4f")]
    return f"| {cell['source']} | {shown('gamma', 'g')} | {cell[MEASURE]:.4f} | {' | '.join(tested)} |"


def picture(found: dict[str, Any], path: Path) -> None:
    """Draws the change by power of every source: a panel a collection and form."""
    panels = []
    for form in FORMS:
        for name in JUDGED:
            cells = [c for c in found["cells"] if (c["dataset"], c["form"]) == (name, form) and "curve" in c]
            lines = {cell["source"]: [cell["curve"][key] for key in ("gamma", "change", "low", "high")] for cell in cells}
            if lines:
                panels.append(Curve(f"{name}, {form}", lines))
    curves(panels, path, columns=len(JUDGED), ylabel=f"change of {MEASURE}")
