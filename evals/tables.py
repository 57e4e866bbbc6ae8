"""One page a judged collection: weights of every source, axes dropped against EmbedFilter, and what axes are worth.

`python -m evals.tables` reads what `evals.informativeness` and `evals.ica` have measured and writes `evals/tables/*.md`, which
the pages of the documentation end in. It measures nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evals.ica.report import CONTROLLED, WIDTHS, clustered, effects
from evals.ica.report import FOLDER as AXES
from evals.informativeness.bench import FORMS, JUDGED
from evals.informativeness.page import FOLDER as WEIGHTS
from evals.informativeness.page import table

OUT = Path(__file__).parent / "tables"
HEAD = """# {name}: token weights and independent axes

The demo model, nDCG@10 over {topics} test topics. p: Fisher's randomisation test over topics, by Holm over the rows of one table
(for filters, over the ten comparisons of one width). Made by `python -m evals.tables` from what `python -m evals.informativeness`
and `python -m evals.ica` measured; what came out, in words: [weights](../informativeness/README.md), [axes](../ica/report.md).
"""


def main() -> None:
    weights = json.loads((WEIGHTS / "table.json").read_text())
    filters = json.loads((AXES / "filters.json").read_text())
    OUT.mkdir(exist_ok=True)
    for name in JUDGED:
        short = name.split("/")[1] if "/" in name else name
        lines = page(name, weights["cells"], [row for row in filters if row["dataset"] == name], short)
        (OUT / f"{short}.md").write_text("\n".join(lines) + "\n")


def page(name: str, cells: list[dict[str, Any]], filters: list[dict[str, Any]], short: str) -> list[str]:
    """The lines of one collection's page."""
    own = [cell for cell in cells if cell["dataset"] == name]
    lines = HEAD.format(name=name, topics=own[0]["topics"]).splitlines()
    lines += ["", "## All forms", "", *summary(own)]
    lines += ["", "## Weights, beside the usual and beside themselves permuted within bins of frequency"]
    for form in FORMS:
        some = [cell for cell in own if cell["form"] == form]
        lines += ["", f"### {form}", "", *table(some)] if some else []
    lines += ["", "## Axes dropped against EmbedFilter, at equal width", "", *against(filters)]
    for title, part, rows in (
        ("An axis of the documents taken out, the six largest effects", "ablation", effects),
        ("A cluster of axes taken out", "clusters", clustered),
    ):
        found = json.loads((AXES / f"{part}-{short}.json").read_text())
        lines += ["", f"## {title}", "", f"nDCG@10 {found['full']:.4f} on all {found['axes']} axes.", "", *rows(found)]
    return lines


def summary(cells: list[dict[str, Any]]) -> list[str]:
    """Every source in every form: nDCG@10, what differs from the usual, and the mean of its permutations."""
    forms = [form for form in FORMS if any(cell["form"] == form for cell in cells)]
    lines = [f"| weights | {' | '.join(forms)} |", "|---|" + "---:|" * len(forms)]
    found = {(cell["form"], cell["source"]): cell for cell in cells}
    for source in dict.fromkeys(source for _, source in found):
        row = []
        for form in forms:
            cell = found[form, source]
            sign = ("+" if cell["against"] > 0 else "−") if cell.get("p", 1.0) < 0.05 else ""
            control = f" ({cell['control']:.3f}{'*' if cell['p_control'] < 0.05 else ''})" if "control" in cell else ""
            row.append(f"{cell['nDCG@10']:.3f}{sign}{control}")
        lines.append(f"| {source} | {' | '.join(row)} |")
    base = {form: next(cell["base"] for cell in cells if cell["form"] == form) for form in forms}
    usual = "; ".join(f"{form}: {one}" for form, one in base.items())
    said = f"+ and −: beyond chance from the usual ({usual}). In brackets: permuted within bins of frequency;"
    return [*lines, "", said, "*: beyond chance from these."]


def against(rows: list[dict[str, Any]]) -> list[str]:
    """Means at each width, and p of either ICA-drop against its rivals and its own control."""
    lines = ["| kept of 256 | axes dropped | nDCG@10 | none | edge | tail | as many axes at random | random directions |"]
    lines.append("|---:|---|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        p = {(test["of"], test["against"]): test["p_holm"] for test in row["tests"]}
        means = {**row["means"], "none": row["none"]}
        for ours, (said, control) in CONTROLLED.items():
            rivals = ("none", "edge", "tail", control, "random directions")
            shown = [f"{means[rival]:.4f} ({p[ours, rival]:.3f})" for rival in rivals]
            lines.append(f"| {WIDTHS[row['tau']]} | {said} | {means[ours]:.4f} | {' | '.join(shown)} |")
    return [*lines, "", "In brackets p of the difference from the axes dropped."]


if __name__ == "__main__":
    main()
