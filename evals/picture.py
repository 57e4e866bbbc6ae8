"""Draws nDCG@10 of every band, and of tokens read without frequency, from the reports: `python -m evals.picture`."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "rarityir"  # same figures, same bytes
from matplotlib import pyplot as plt  # noqa: E402  (the backend comes first)

HERE = Path(__file__).parent
COLLECTIONS = {"scifact": "SciFact", "nfcorpus": "NFCorpus", "cranfield": "Cranfield"}
BANDS = {
    "dense": ("raw", "#444444"),
    "dense+edge:2": ("both ends dropped", "#0072b2"),
    "dense+tail:2": ("small end dropped", "#56b4e9"),
    "dense+random:2": ("half at random", "#999999"),
    "dense+mid:2": ("middle dropped", "#e69f00"),
    "dense+head:2": ("large end dropped", "#d55e00"),
    "sparse:64": ("64 tokens", "#444444"),
    "sparse:64+auto": ("64 tokens, auto", "#009e73"),
}


def main() -> None:
    figure, axes = plt.subplots(1, len(COLLECTIONS), figsize=(8.2, 3.0), layout="constrained")
    for axis, (name, title) in zip(axes, COLLECTIONS.items(), strict=True):
        report = json.loads((HERE / name / "report.json").read_text(encoding="utf-8"))
        found = {system["name"]: system["measures"]["nDCG@10"] for system in report["systems"]}
        for row, (system, (_, colour)) in enumerate(BANDS.items()):
            axis.barh(row, found[system], color=colour)
            axis.text(found[system], row, f" {found[system]:.3f}", va="center", fontsize=8)
        axis.set_yticks(range(len(BANDS)), [label for label, _ in BANDS.values()] if axis is axes[0] else [""] * len(BANDS))
        axis.invert_yaxis()
        axis.set_xlim(0, 1.25 * max(found[system] for system in BANDS))
        axis.set_title(f"{title}, nDCG@10", fontsize=9)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "bands.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
