"""`python -m evals.geometry.isotropic`: isotropic rows of GPT-2 large's size beside their closed forms, three seeds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from rarityir.geometry import coherence, directions, isotropic, neighbours
from rarityir.geometry.cosines import cosines

ROWS, WIDTH, N, SEEDS = 50257, 1280, 300, (1, 2, 3)


def main() -> None:
    plain, found = isotropic(ROWS, WIDTH), []
    for seed in SEEDS:
        rows = np.random.default_rng(seed).standard_normal((ROWS, WIDTH), np.float32)
        near = neighbours(rows, directions(rows, "iso", N, seed), 10)
        test = coherence(near, "self", n_null=400, seed=seed)
        measured = {
            "sd": cosines(near).sd,
            "top": near.cosines[:, 0],
            "nearest": near.cosines.mean(axis=1),
            "pairs": test.pairs,
        }
        found.append(
            {
                "seed": seed,
                **{
                    name: {
                        "mean": round(float(values.mean()), 6),
                        "error": round(float(values.std(ddof=1) / np.sqrt(N)), 6),
                        "closed": round(getattr(plain, name), 6),
                    }
                    for name, values in measured.items()
                },
                "coherent": [round(v, 4) for v in test.fraction],
                "p < .05": [round(v, 4) for v in test.nominal],
            }
        )
    text = json.dumps({"rows": ROWS, "width": WIDTH, "directions": N, "seeds": found}, indent=1)
    Path(__file__).with_suffix(".json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
