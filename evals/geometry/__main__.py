"""`python -m evals.geometry MODEL MATRIX FOLDER`: the study of a model's rows that is kept beside this file.

Two runs a matrix: every family among raw and centred rows; isotropic and covariance directions among all other variants. Given
directions are both signs of the rarity probe's and of a stop-word probe's, and Cranfield's documents as the demo model embeds
them, before and after the filter.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from rarityir import checkpoints, store
from rarityir.counts import TokenCounts
from rarityir.filters import EmbedFilter
from rarityir.geometry import label_systems, report
from rarityir.rarity import RarityProbe
from rarityir.rarity.forms import Forms
from rarityir.rarity.labels import Labels, groups
from rarityir.rarity.rows import rows

FILTER = "edge:2"
FAMILIES = ("iso", "cov", "pc", "removed", "kept", "pcs", "pairs", "rows")
OTHERS = ("zipf", "whitened", "filtered", "shuffled", "gaussian")


def given(model: str, x: np.ndarray, forms: Forms, counts: TokenCounts, basis: np.ndarray) -> dict[str, np.ndarray]:
    real, stop = np.array([text is not None for text in forms.texts]), Labels.of(forms).stop_word
    found = {}
    for name, target in (("probe", -counts.log_probability()), ("stop", stop.astype(float))):
        probe = RarityProbe(seed=0, replicates=2).fit(x[real], target[real], groups=groups(forms.texts)[real])
        found[name] = np.stack([probe.direction, -probe.direction])
    if checkpoints.called(model) == "demo":
        from rarityir import load_dataset, load_encoder

        texts = [doc.text for doc in load_dataset("cranfield").docs()][:1000]
        documents = load_encoder(model).encode_document(texts)
        found |= {"documents": documents, f"{FILTER} docs": documents @ basis.T @ basis}
    return found


def main(model: str, matrix: str, folder: str, n: int) -> None:
    source = rows(model, matrix)
    x, forms = source.array(), Forms.of(model, source.shape[0])
    counts, basis = TokenCounts.english(model, len(x)), np.asarray(EmbedFilter.fit(model, FILTER).basis)
    # Of one matrix there is no other; then each token's last state stands in, which is computed from the same row.
    other = "type:5" if source.tied else {"input": "output", "output": "input"}[matrix]
    common = {
        "channel": rows(model, other).array(),
        "channel_name": other,
        "texts": forms.texts,
        "counts": counts.counts,
        "labels": label_systems(forms),
        "basis": basis,
        "n": n,
        "seed": 0,
    }
    vectors = given(model, x, forms, counts, basis)
    name = f"{checkpoints.called(model)} {matrix}, filter {FILTER}"
    for part, families, variants in (("all", (*FAMILIES, *vectors), ("raw", "centred")), ("variants", ("iso", "cov"), OTHERS)):
        study = report(x, families=families, variants=variants, given=vectors, name=name, **common)
        study.save(Path(folder) / part)
        (Path(folder) / part / "geometry.html").unlink()
    store.write_text(Path(folder) / "README.md", f"Written by `python -m evals.geometry {model} {matrix} FOLDER {n}`.\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]) if len(sys.argv) > 4 else 1000)
