"""Writes `report.md` and `filters.svg` from the figures here: `python -m evals.ica.report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
WIDTHS = {"1.0322": 248, "1.142": 224, "2": 128, "4": 64}
LABELS = (
    "edge", "tail", "ICA-drop", "random axes", "ICA-drop, axes of documents", "random axes of documents", "random directions",
)  # fmt: skip
COLOURS = ("#0072b2", "#56b4e9", "#d55e00", "#d55e00", "#e69f00", "#e69f00", "#009e73")  # a control has its filter's
CONTROLLED = {  # what each is called where widths are compared, and its control: as many axes of the same search
    "ICA-drop": ("unembedding's", "random axes"),
    "ICA-drop, axes of documents": ("documents'", "random axes of documents"),
}


def table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [f"| collection | kept of 256 | none | {' | '.join(LABELS)} |", "|---|---:" + "|---:" * (len(LABELS) + 1) + "|"]
    for row in rows:
        means = [f"{row['means'][label]:.4f}" for label in LABELS]
        lines.append(f"| {row['dataset']} | {WIDTHS[row['tau']]} | {row['none']:.4f} | {' | '.join(means)} |")
    return lines


def tests(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["| collection | kept | axes dropped | against | Δ nDCG@10 | p, Holm |", "|---|---:|---|---|---:|---:|"]
    for row in rows:
        for test in row["tests"]:
            place = f"{row['dataset']} | {WIDTHS[row['tau']]} | {CONTROLLED[test['of']][0]}"
            lines.append(f"| {place} | {test['against']} | {test['difference']:+.4f} | {test['p_holm']:.4f} |")
    return lines


def clustered(found: dict[str, Any]) -> list[str]:
    lines = [
        "| axes | Δ nDCG@10 | 95 % | p, Holm | other groups | p of these | first words of |",
        "|---:|---:|---|---:|---:|---:|---|",
    ]
    for e in sorted(found["effects"], key=lambda e: e["difference"]):
        words = told(e["writes"][:5])
        usual = sum(e["drawn"]) / max(1, len(e["drawn"]))
        span = f"{e['low']:+.4f} … {e['high']:+.4f}"
        p = "–" if e["p_control"] is None else f"{e['p_control']:.3f}"
        lines.append(f"| {len(e['axes'])} | {e['difference']:+.4f} | {span} | {e['p_holm']:.3f} | {usual:+.4f} | {p} | {words} |")
    return lines


def sparse(found: dict[str, Any]) -> list[str]:
    curve, kinds = found["curve"], ("ica", "pca", "random")
    lines = ["| coordinates kept | " + " | ".join(f"{m}, {kind}" for m in ("overlap@10", "nDCG@10") for kind in kinds) + " |"]
    lines.append("|---:" * 7 + "|")
    for i, p in enumerate(curve["p"]):
        values = [f"{curve[m][kind][i]:.3f}" for m in ("overlap@10", "nDCG@10") for kind in kinds]
        lines.append(f"| {p} | {' | '.join(values)} |")
    lines += ["", "| system | nDCG@10 | − dense | p, Holm |", "|---|---:|---:|---:|"]
    for row in found["systems"]:
        tested = f"{row['against']:+.4f} | {row['p']:.4f}" if "against" in row else "– | –"
        lines.append(f"| `{row['system']}` | {row['nDCG@10']:.4f} | {tested} |")
    return lines


def matches(found: dict[str, Any]) -> list[str]:
    pairs = found["pairs"]
    mean = {"independent axes": sum(pair["r"] for pair in pairs) / len(pairs)}
    mean |= {f"{name} axes": sum(r) / len(r) for name, r in found["rivals"].items() if name != "demo's own, searched again"}
    again = found["rivals"]["demo's own, searched again"]
    lines = [
        f"{found['texts']} documents of {found['dataset']}, {found['axes']} axes of {found['encoders'][0]} and of"
        f" {found['encoders'][1]}, Hungarian. {sum(pair['p'] < 0.05 for pair in pairs)} of {len(pairs)} pairs are beyond the"
        f" best pair of {found['permutations']} shuffles (p < .05), which is r = {found['chance_max']:.3f} at most. Mean r: "
        + ", ".join(f"{value:.3f} ({name})" for name, value in mean.items())
        + f"; the demo model's axes found again from another seed {sum(again) / len(again):.3f}. "
        + " ".join(f"Beware, {name}: {flag}." for name, flags in found["flags"].items() for flag in flags),
        "",
        "| r | p | the demo's axis writes | the other's highest text |",
        "|---:|---:|---|---|",
    ]
    for pair in [*pairs[:12], *pairs[-3:]]:
        lines.append(f"| {pair['r']:.3f} | {pair['p']:.2f} | {told(pair['writes'])} | {pair['text']} |")
    return lines


def told(words: list[str]) -> str:
    return " ".join(json.dumps(word, ensure_ascii=False) for word in words).replace("|", "\\|")


def read(part: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(FOLDER.glob(f"{part}-*.json"))]


def ablations() -> list[str]:
    lines = []
    for found in read("ablation"):
        search = found["diagnostics"]
        agree = sum(search["stability"]) / len(search["stability"])
        lines += [
            f"\n### {found['dataset']}\n",
            f"nDCG@10 {found['full']:.4f} on {found['axes']} axes ({search['variance_kept']:.0%} of the variance);"
            f" {search['n_iter']} iterations, {'' if search['converged'] else 'not '}converged, two seeds agree by {agree:.2f}."
            f" {sum(e['p_holm'] < 0.05 for e in found['effects'])} of {found['axes']} effects are beyond chance (Holm, .05).\n"
            + "".join(f"Beware: {flag}." for flag in search["flags"]),
            f"20 random directions: {min(found['directions']):+.4f} … {max(found['directions']):+.4f}.\n",
            *effects(found),
        ]
    return lines


def effects(found: dict[str, Any]) -> list[str]:
    lines = ["| axis | Δ nDCG@10 | 95 % | p, Holm | another axis | writes |", "|---:|---:|---|---:|---:|---|"]
    for effect in sorted(found["effects"], key=lambda e: -abs(e["difference"]))[:6]:
        lines.append(
            f"| {effect['axes'][0]} | {effect['difference']:+.4f} | {effect['low']:+.4f} … {effect['high']:+.4f}"
            f" | {effect['p_holm']:.3f} | {effect['control_difference']:+.4f} | {told(effect['writes'])} |"
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
    parts += [*ablations(), "\n## What a cluster of axes is worth\n"]
    parts.append(
        "Ten clusters of the tree of the same axes; beside each 39 groups of as many other axes of like variance: their mean Δ,"
    )
    parts.append("and how often one changes nDCG@10 as much.")
    for found in read("clusters"):
        parts += [f"\n### {found['dataset']}\n", *clustered(found)]
    parts.append("\n## Few coordinates\n")
    parts.append(
        "First each row's largest coordinates on 64 axes, then indexes of a document's largest of 256 (queries cut alike)."
    )
    for found in read("sparsity"):
        parts += [f"\n### {found['dataset']}\n", *sparse(found)]
    parts += ["\n## Axes of two encoders\n", *matches(json.loads((FOLDER / "match.json").read_text()))]
    (FOLDER / "report.md").write_text("\n".join(parts) + "\n")
    picture(rows)


if __name__ == "__main__":
    main()
