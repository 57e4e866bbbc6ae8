"""`python -m evals.geometry MODEL MATRIX PART FOLDER`: the studies of models' rows that are kept beside this file.

PART `isotropic` is 1,000 isotropic directions among every variant of the rows, `families` 400 directions of every other family
among raw and centred rows. Given ones are both signs of the rarity probe's direction and of a stop-word probe's, and Cranfield's
documents as the demo model embeds them, before and after the filter.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from rarityir import checkpoints
from rarityir.counts import TokenCounts
from rarityir.filters import EmbedFilter
from rarityir.geometry import label_systems, report
from rarityir.geometry.variants import VARIANTS
from rarityir.rarity import RarityProbe
from rarityir.rarity.forms import Forms
from rarityir.rarity.labels import Labels, groups
from rarityir.rarity.rows import rows

FILTER = "edge:2"
FAMILIES = ("cov", "pc", "removed", "kept", "pcs", "pairs", "rows")
SETS = 499  # random ones for each direction


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


def main(model: str, matrix: str, part: str, folder: str) -> None:
    source = rows(model, matrix)
    x, forms = source.array(), Forms.of(model, source.shape[0])
    counts, basis = TokenCounts.english(model, len(x)), np.asarray(EmbedFilter.fit(model, FILTER).basis)
    # Of one matrix there is no other; then each token's last state stands in, which is computed from the same row.
    other = "type:5" if source.tied else {"input": "output", "output": "input"}[matrix]
    vectors = given(model, x, forms, counts, basis) if part == "families" else {}
    families, variants, n = (
        (("iso",), VARIANTS, 1000) if part == "isotropic" else ((*FAMILIES, *vectors), ("raw", "centred"), 400)
    )
    study = report(
        x,
        families=families,
        variants=tuple(variants),
        channel=rows(model, other).array(),
        channel_name=other,
        texts=forms.texts,
        counts=counts.counts,
        labels=label_systems(forms),
        basis=basis,
        given=vectors,
        n=n,
        n_null=SETS,
        seed=0,
        name=f"{checkpoints.called(model)} {matrix}, filter {FILTER}",
    )
    study.save(folder)
    (Path(folder) / "geometry.html").unlink()


if __name__ == "__main__":
    main(*sys.argv[1:])
