"""Which words of an abstract its title has: n, n · KL, tf · idf. `python -m evals.informativeness.keywords`.

No collection of keywords comes with the package. Here the words of a title stand for the keywords of the abstract under it:
titles of SciFact's and Cranfield's documents, stop words left out, and only words that the abstract has. That is a weaker
standard than an author's keywords. Each score ranks all words of the abstract, and
those that are no stop words. Writes `keywords.json` and `keywords.md`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import ir_datasets
import numpy as np

from rarityir.informativeness import from_corpus
from rarityir.informativeness.keywords import first_hit, in_text
from rarityir.measures import compare
from rarityir.rarity.stop_words import STOP_WORDS
from rarityir.types import Dataset, Doc, Scores

FOLDER = Path(__file__).parent
NAMES = ("cranfield", "beir/scifact")
_WORD = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
LEAST = 30  # words of an abstract


def main() -> None:
    tables = [found for name in NAMES for found in both(name)]
    (FOLDER / "keywords.json").write_text(json.dumps(tables, indent=1) + "\n")
    lines = ["# Words of titles found in abstracts", "", (__doc__ or "").split("\n\n")[1].replace("\n", " "), ""]
    for found in tables:
        lines += [
            f"## {found['dataset']} ({found['abstracts']} abstracts)",
            "",
            "| score | MRR | − tf · idf | p |",
            "|---|---|---|---|",
        ]
        lines += [f"| {n} | {c['mrr']:.4f} | {c['against']:+.4f} | {c['p']:.4f} |" for n, c in found["scores"].items()]
        lines.append("")
    (FOLDER / "keywords.md").write_text("\n".join(lines))


def abstracts(name: str) -> Iterator[tuple[str, str]]:
    """Title and abstract of each document that has both."""
    for doc in ir_datasets.load(name).docs_iter():
        title, text = " ".join(doc.title.split()), " ".join(doc.text.split())
        text = text.removeprefix(title)  # Cranfield writes the title twice
        if title and len(_WORD.findall(text.lower())) >= LEAST:
            yield title.lower(), text.lower()


def both(name: str) -> list[dict]:
    pairs, number = list(abstracts(name)), {}

    def ids(texts):
        return [[number.setdefault(word, len(number)) for word in _WORD.findall(text)] for text in texts]

    bodies = ids([text for _, text in pairs])
    titles = ids([title for title, _ in pairs])
    stops = {number[word] for word in STOP_WORDS if word in number}
    dataset = Dataset(name, name, {}, lambda: (Doc(str(i), text) for i, (_, text) in enumerate(pairs)), {}, {}, len(pairs))
    size = len(number)
    document = from_corpus(dataset, ids, vocabulary=size)
    window = from_corpus(dataset, ids, "window:10", "shuffle", runs=3, vocabulary=size)
    df = np.bincount(np.concatenate([np.unique(body) for body in bodies]), minlength=size)
    idf = np.log(len(bodies) / np.maximum(df, 1))
    rng, values = np.random.default_rng(0), {"all words": {}, "no stop words": {}}
    for body, title in zip(bodies, titles, strict=True):
        wanted = (set(title) & set(body)) - stops
        if not wanted:
            continue
        words, n, own = in_text(body)
        scores = {
            "tf · idf": n * idf[words], "n": n, "random": rng.random(len(words)), "n · KL in the abstract": own,
            "n · KL over documents": n * document.values[words], "n · ΔKL over windows": n * window.values[words],
        }  # fmt: skip
        content = ~np.isin(words, list(stops))
        for key, score in scores.items():
            values["all words"].setdefault(key, []).append(first_hit(words, score, wanted))
            values["no stop words"].setdefault(key, []).append(first_hit(words[content], score[content], wanted))
    return [table(name, candidates, found) for candidates, found in values.items()]


def table(name: str, candidates: str, values: dict[str, list[float]]) -> dict:
    found = [Scores(key, range(len(row)), {"MRR": np.array(row)}) for key, row in values.items()]
    against = {c.system: c for c in compare(found, "tf · idf", "MRR")}
    told = {
        s.system: {
            "mrr": s.mean("MRR"),
            "against": against[s.system].difference if s.system in against else 0.0,
            "p": against[s.system].fisher_holm if s.system in against else 1.0,
        }
        for s in found
    }
    print(name, candidates, {key: round(one["mrr"], 4) for key, one in told.items()}, flush=True)
    return {"dataset": name, "candidates": candidates, "abstracts": len(found[0].query_ids), "scores": told}


if __name__ == "__main__":
    main()
