"""Maps of language models by what they think of the same texts, and of systems by how they rank the same documents.

    from rarityir import modelmap
    distances = modelmap.kl(loglik_KN, mean_bytes)

A distance is half the variance of two models' difference in log-likelihood over a text set. It is near the Kullback-Leibler
divergence where the texts are like what the models write, and is always relative to those texts. (Shimodaira's group, arXiv
2502.16173, 2505.15428 and 2505.15353.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarityir import registry

if TYPE_CHECKING:
    from rarityir.modelmap.agreement import Mismatch, mantel, mismatch, procrustes, spearman
    from rarityir.modelmap.distances import embedded, kl
    from rarityir.modelmap.lens import layer_loglik
    from rarityir.modelmap.maps import ModelMap
    from rarityir.modelmap.prediction import Prediction, predict
    from rarityir.modelmap.resampling import ResamplePlan, Sample, error_estimate
    from rarityir.modelmap.retrieving import by_layer
    from rarityir.modelmap.runmap import RunMap
    from rarityir.modelmap.sampling import sample
    from rarityir.modelmap.scoring import loglik, score
    from rarityir.modelmap.texts import TextSet
    from rarityir.modelmap.trajectories import adjacent_kl, diffusion_exponent, steady

_HOMES = {
    "Mismatch": "agreement",
    "ModelMap": "maps",
    "Prediction": "prediction",
    "ResamplePlan": "resampling",
    "RunMap": "runmap",
    "Sample": "resampling",
    "TextSet": "texts",
    "adjacent_kl": "trajectories",
    "by_layer": "retrieving",
    "diffusion_exponent": "trajectories",
    "embedded": "distances",
    "error_estimate": "resampling",
    "kl": "distances",
    "layer_loglik": "lens",
    "loglik": "scoring",
    "mantel": "agreement",
    "mismatch": "agreement",
    "predict": "prediction",
    "procrustes": "agreement",
    "sample": "sampling",
    "score": "scoring",
    "spearman": "agreement",
    "steady": "trajectories",
}

__all__ = [
    "Mismatch",
    "ModelMap",
    "Prediction",
    "ResamplePlan",
    "RunMap",
    "Sample",
    "TextSet",
    "adjacent_kl",
    "by_layer",
    "diffusion_exponent",
    "embedded",
    "error_estimate",
    "kl",
    "layer_loglik",
    "loglik",
    "mantel",
    "mismatch",
    "predict",
    "procrustes",
    "sample",
    "score",
    "spearman",
    "steady",
]

__getattr__, __dir__ = registry.lazy(__name__, _HOMES)
