"""Draws what pages about methods show, from stored figures: `python -m evals.pictures`.

`analogy/hits.svg`: answers among the ten nearest, of one vector for all pairs and of one a kind. `alignment/content.svg`: content
words of a text that its aligned list holds, and that another text's list holds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "rarityir"  # same figures, same bytes
from matplotlib import pyplot as plt  # noqa: E402  (the backend comes first)

HERE = Path(__file__).parent
ROWS = {"analogy": "offset", "zero": "the word itself", "popularity": "popularity", "shuffled-pairs": "pairs shuffled",
        "random-vectors": "vectors drawn"}  # fmt: skip
SETTINGS = {"google-G": "one vector for all kinds", "google-P1": "each kind its vector"}
OWN, OTHER = "#0072b2", "#999999"


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    analogy()
    alignment()


def analogy() -> None:
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.2), layout="constrained", sharex=True, sharey=True)
    for axis, (name, title) in zip(axes, SETTINGS.items(), strict=True):
        scores = json.loads((HERE / "analogy" / f"{name}.json").read_text(encoding="utf-8"))["scores"]
        values = [scores[row]["hit_rate@10"] for row in ROWS]
        bars(axis, list(ROWS.values()), values, [OWN, *[OTHER] * (len(ROWS) - 1)])
        axis.set_title(f"{title}: hit@10", fontsize=9)
    axes[0].invert_yaxis()
    figure.savefig(HERE / "analogy" / "hits.svg", metadata={"Date": None})


def alignment() -> None:
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.2), layout="constrained", sharey=True)
    for axis, name in zip(axes, ("scifact", "nfcorpus", "cranfield"), strict=True):
        rows = json.loads((HERE / "alignment" / name / "alignment.json").read_text(encoding="utf-8"))["rows"]
        found = {
            row["filter"]: row["corrected"]["content"]["share"] for row in rows if row["filter"] in ("none", "edge:2", "auto")
        }
        labels = [f"{'raw' if kind == 'none' else kind}, {whose}" for kind in found for whose in ("own", "another's")]
        values = [share[key] for share in found.values() for key in ("own", "control")]
        bars(axis, labels, values, [OWN, OTHER] * len(found))
        axis.set_title({"scifact": "SciFact", "nfcorpus": "NFCorpus", "cranfield": "Cranfield"}[name], fontsize=9)
    axes[0].invert_yaxis()
    figure.savefig(HERE / "alignment" / "content.svg", metadata={"Date": None})


def bars(axis, labels: list[str], values: list[float], colours: list[str]) -> None:
    for row, (value, colour) in enumerate(zip(values, colours, strict=True)):
        axis.barh(row, value, color=colour)
        axis.text(value, row, f" {value:.3f}", va="center", fontsize=8)
    axis.set_yticks(range(len(labels)), labels)
    axis.set_xlim(0, 1.3 * max(values))
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
