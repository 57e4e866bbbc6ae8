"""Draws what pages about methods show, from stored figures: `python -m evals.pictures`.

`analogy/hits.svg`: answers among the ten nearest, of one vector for all pairs and of one a kind. `alignment/content.svg`: content
words of a text that its aligned list holds, and that another text's list holds. `tokens.svg`: nDCG@10 of tokens, read in each
form. `rarity/headline.svg`: R² over types and over running text. `rarity/idf/gain.svg`: what each IDF adds to none.
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
NAMES = {"scifact": "SciFact", "nfcorpus": "NFCorpus", "cranfield": "Cranfield"}
DATASETS = {"beir/scifact/test": "SciFact", "beir/nfcorpus/test": "NFCorpus", "cranfield": "Cranfield"}
ROWS = {"analogy": "offset", "zero": "the word itself", "popularity": "popularity", "shuffled-pairs": "pairs shuffled",
        "random-vectors": "vectors drawn"}  # fmt: skip
SETTINGS = {"google-G": "one vector for all kinds", "google-P1": "each kind its vector"}
FORMS = {
    "dense": "the embedding, dense",
    "sparse:64": "64 best tokens",
    "sparse:64+random:1.028": "7 directions at random off",
    "sparse:64+auto": "auto: 7 of frequency off",
    "sparse:64,style=promptreps-control,weights=idf+auto": "own tokens, another's weights",
    "sparse:64,style=promptreps,weights=idf+auto": "own tokens, own weights",
    "bm25": "BM25",
}
IDFS = {"id-zipf": "Zipf by id", "transfer": "English counts", "probe": "probe", "probe-repaired": "probe, repaired",
        "shuffled": "probe, shuffled", "oracle": "the corpus's own"}  # fmt: skip
MODELS = {"demo": "demo", "st:all-minilm-l6-v2": "MiniLM", "stories260K": "stories260K"}
OWN, OTHER, THIRD = "#0072b2", "#999999", "#d55e00"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE, help="folder to draw into (default: evals)")
    out = parser.parse_args().out
    for path, draw in PICTURES.items():
        figure = draw()
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out / path, metadata={"Date": None})


def analogy():
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.2), layout="constrained", sharex=True, sharey=True)
    for axis, (name, title) in zip(axes, SETTINGS.items(), strict=True):
        scores = stored(HERE / "analogy" / f"{name}.json")["scores"]
        values = [scores[row]["hit_rate@10"] for row in ROWS]
        bars(axis, list(ROWS.values()), values, [OWN, *[OTHER] * (len(ROWS) - 1)])
        axis.set_title(f"{title}: hit@10", fontsize=9)
    return figure


def alignment():
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.2), layout="constrained", sharey=True)
    for axis, name in zip(axes, NAMES, strict=True):
        rows = stored(HERE / "alignment" / name / "alignment.json")["rows"]
        found = {
            row["filter"]: row["corrected"]["content"]["share"] for row in rows if row["filter"] in ("none", "edge:2", "auto")
        }
        labels = [f"{'raw' if kind == 'none' else kind}, {whose}" for kind in found for whose in ("own", "another's")]
        values = [share[key] for share in found.values() for key in ("own", "control")]
        bars(axis, labels, values, [OWN, OTHER] * len(found))
        axis.set_title(NAMES[name], fontsize=9)
    return figure


def tokens():
    figure, axes = plt.subplots(1, 3, figsize=(8.2, 2.6), layout="constrained", sharey=True)
    for axis, name in zip(axes, NAMES, strict=True):
        systems = {
            row["name"]: row for kind in ("", "sparse-") for row in stored(HERE / f"{kind}{name}" / "report.json")["systems"]
        }
        colours = [
            THIRD if form == "bm25" else OWN if "random" not in form and "control" not in form else OTHER for form in FORMS
        ]
        bars(axis, list(FORMS.values()), [systems[form]["measures"]["nDCG@10"] for form in FORMS], colours)
        axis.set_title(f"{NAMES[name]}, nDCG@10", fontsize=9)
    return figure


def headline():
    """A line a model and collection: R² of log-IDF from input rows, below −1.5 as its number at the edge."""
    rows = [
        r for r in stored(HERE / "rarity" / "table.json") if (r["of"], r["rows"], r["target"]) == ("documents", "input", "mp_idf")
    ]
    rows.sort(key=lambda row: [*MODELS].index(row["model"]))
    figure, axis = plt.subplots(figsize=(7.6, 3.6), layout="constrained")
    marks = ("o", OWN, "over types"), ("s", THIRD, "over running text"), ("D", "#009e73", "over running text, head repaired")
    for place, row in enumerate(rows):
        for shift, (mark, colour, _), (value, low, high) in zip(
            (-0.22, 0, 0.22), marks, (*row["ridge"], row["repaired"][1]), strict=True
        ):
            if value < -1.5:
                axis.annotate(f"{value:.2f}".replace("-", "−"), (-1.5, place + shift), (-1.42, place + shift), va="center",
                              fontsize=8, color=colour, arrowprops={"arrowstyle": "->", "color": colour})  # fmt: skip
                continue
            axis.plot([max(low, -1.5), high], [place + shift] * 2, color=colour, linewidth=1)
            axis.plot(value, place + shift, mark, color=colour, markersize=5)
    for place in range(1, len(rows)):
        axis.axhline(place - 0.5, color="#cccccc", linewidth=0.8 if place % 3 == 0 else 0.3)
    axis.axvline(0, color="#444444", linewidth=0.8)
    names = [f"{MODELS[row['model']]}, {DATASETS[row['dataset']]}" for row in rows]
    axis.set_yticks(range(len(rows)), names)
    axis.set_xlim(-1.55, 1)
    axis.set_xlabel("R² out of fold, with 95 % intervals; 0 is what the mean alone would give", fontsize=9)
    axis.invert_yaxis()
    handles = [
        plt.Line2D([], [], marker=mark, color=colour, linewidth=1, markersize=5, label=text) for mark, colour, text in marks
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    tidy(axis)
    return figure


def idf():
    figure, axes = plt.subplots(2, 3, figsize=(8.2, 4.0), layout="constrained", sharey=True, sharex=True)
    for line, (folder, model) in zip(axes, (("demo", "demo"), ("minilm", "MiniLM")), strict=True):
        tables = {table["dataset"]: table["lines"] for table in stored(HERE / "rarity" / "idf" / folder / "idf.json")["tables"]}
        for axis, (dataset, name) in zip(line, DATASETS.items(), strict=True):
            found = {row["idf"]: row["measures"]["nDCG@10"] for row in tables[dataset] if row["level"] == "L0"}
            values = [found[kind] - found["uniform"] for kind in IDFS]
            bars(
                axis, list(IDFS.values()), values, [OTHER if kind in ("shuffled", "oracle") else OWN for kind in IDFS], "{:+.3f}"
            )
            axis.set_title(f"{model}, {name}: one for all {found['uniform']:.3f}", fontsize=9)
    axes[0, 0].set_xlim(-0.02, 0.12)
    axes[0, 0].set_xticks([0, 0.05, 0.1])
    figure.supxlabel("nDCG@10 of BM25 by the IDF that it has, less that of one weight for all tokens", fontsize=9)
    return figure


def stored(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


def bars(axis, labels: list[str], values: list[float], colours: list[str], form: str = "{:.3f}") -> None:
    for row, (value, colour) in enumerate(zip(values, colours, strict=True)):
        axis.barh(row, value, color=colour)
        axis.text(max(value, 0), row, f" {form.format(value)}".replace("-", "−"), va="center", fontsize=8)
    axis.set_yticks(range(len(labels)), labels)
    axis.set_xlim(0, 1.3 * max(values))
    axis.yaxis.set_inverted(True)
    tidy(axis)


def tidy(axis) -> None:
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


PICTURES = {
    "analogy/hits.svg": analogy,
    "alignment/content.svg": alignment,
    "tokens.svg": tokens,
    "rarity/headline.svg": headline,
    "rarity/idf/gain.svg": idf,
}


if __name__ == "__main__":
    main()
