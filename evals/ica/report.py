"""Writes `report.md` and `filters.svg` from the figures here: `python -m evals.ica.report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
WIDTHS = {"1.0322": 248, "1.142": 224, "2": 128, "4": 64}
LABELS = ("edge", "tail", "ICA-drop", "ICA-drop, axes of documents", "random axes", "random directions")
COLOURS = ("#0072b2", "#56b4e9", "#d55e00", "#e69f00", "#999999", "#009e73")


def table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [f"| collection | kept of 256 | none | {' | '.join(LABELS)} |", "|---|---:" + "|---:" * (len(LABELS) + 1) + "|"]
    for row in rows:
        means = [f"{row['means'][label]:.4f}" for label in LABELS]
        lines.append(f"| {row['dataset']} | {WIDTHS[row['tau']]} | {row['none']:.4f} | {' | '.join(means)} |")
    return lines


def tests(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["| collection | kept | ICA-drop against | Δ nDCG@10 | p, Holm |", "|---|---:|---|---:|---:|"]
    for row in rows:
        for test in row["tests"]:
            if test["of"] == "ICA-drop":
                place = f"{row['dataset']} | {WIDTHS[row['tau']]}"
                lines.append(f"| {place} | {test['against']} | {test['difference']:+.4f} | {test['p_holm']:.4f} |")
    return lines


def ablations() -> list[str]:
    lines = []
    for path in sorted(FOLDER.glob("ablation-*.json")):
        found = json.loads(path.read_text())
        told = found["diagnostics"]
        agree = sum(told["stability"]) / len(told["stability"])
        lines += [
            f"\n### {found['dataset']}\n",
            f"nDCG@10 {found['full']:.4f} on {found['axes']} axes ({told['variance_kept']:.0%} of the variance);"
            f" {told['n_iter']} iterations, {'' if told['converged'] else 'not '}converged, two seeds agree by {agree:.2f}."
            f" {sum(e['p_holm'] < 0.05 for e in found['effects'])} of {found['axes']} effects are beyond chance (Holm, .05).\n"
            + "".join(f"Beware: {flag}." for flag in told["flags"]),
            f"20 random directions: {min(found['directions']):+.4f} … {max(found['directions']):+.4f}.\n",
            "| axis | Δ nDCG@10 | 95 % | p, Holm | another axis | writes |",
            "|---:|---:|---|---:|---:|---|",
        ]
        for effect in sorted(found["effects"], key=lambda e: -abs(e["difference"]))[:6]:
            words = " ".join(json.dumps(word, ensure_ascii=False) for word in effect["writes"]).replace("|", "\\|")
            lines.append(
                f"| {effect['axes'][0]} | {effect['difference']:+.4f} | {effect['low']:+.4f} … {effect['high']:+.4f}"
                f" | {effect['p_holm']:.3f} | {effect['control_difference']:+.4f} | {words} |"
            )
    return lines


def picture(rows: list[dict[str, Any]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(row["dataset"] for row in rows))
    with matplotlib.rc_context(
        {"svg.hashsalt": "rarityir", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure, panels = pyplot.subplots(1, len(names), figsize=(9, 3), layout="constrained")
        for panel, name in zip(panels, names, strict=True):
            of = sorted((row for row in rows if row["dataset"] == name), key=lambda row: WIDTHS[row["tau"]])
            for label, colour in zip(LABELS, COLOURS, strict=True):
                style = "--" if label.startswith("random") else "-"
                kept = [WIDTHS[row["tau"]] for row in of]
                panel.plot(kept, [row["means"][label] for row in of], style, color=colour, marker="o", markersize=3, label=label)
            panel.axhline(of[0]["none"], color="#1b1b1b", linewidth=0.8)
            panel.set_title(name, loc="left")
            panel.set_xlabel("directions kept of 256")
        panels[0].set_ylabel("nDCG@10 (line: no filter)")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
        figure.savefig(FOLDER / "filters.svg", metadata={"Date": None})
        pyplot.close(figure)


def main() -> None:
    rows = json.loads((FOLDER / "filters.json").read_text())
    text = (FOLDER / "words.md").read_text()
    parts = [text, *table(rows), "\n## Tests\n", *tests(rows), "\n## What an axis is worth\n"]
    parts.append("Axes of the documents' embeddings, one at a time taken out of every cosine; the six largest effects of each.")
    (FOLDER / "report.md").write_text("\n".join([*parts, *ablations()]) + "\n")
    picture(rows)


if __name__ == "__main__":
    main()
