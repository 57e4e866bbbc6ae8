"""Texts as heat maps: how rare each token is in a corpus, and how rare a model's rows say it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir import checkpoints
from rarityir.counts import readable, tokenizer_of
from rarityir.rarity.predictions import predict
from rarityir.rarity.stats import SYNONYMS, TARGETS, TokenStats
from rarityir.report.heatmap import HeatMap, Scale, heat_map
from rarityir.types import Ints, RarityError

_UNITS = {"ridf": "bits", "vmr": "", "inverse_frequency": "", "inverse_occurrences": ""}  # the others are natural logarithms
_MOST_LAYERS = 6
_UNSEEN = "in none of the documents: its actual value is what the smoothing gives"


def heat_maps(
    texts: Sequence[str],
    model: str,
    stats: TokenStats,
    target: str = "log_idf",
    matrix: str = "input",
    *,
    gain: bool = False,
    repair: str = "none",
    layers: Sequence[int] = (),
    clamp: float | None = None,
    classic: bool = False,
    seed: int = 0,
    device: str = "auto",
) -> list[HeatMap]:
    """Returns the heat maps of texts, all on the same scales: a target's actual and predicted values, and the error.

    Every prediction is of a ridge that has not seen the token, so no token is marked as seen; nor has it seen a form of its word,
    except of tokens that the statistics never met.

    Args:
        texts: what is shown, read as it stands, with no special tokens.
        model: a short name, hub id or path.
        stats: what the target is computed of, in the model's tokens.
        target: a name of `TARGETS`.
        matrix: which rows are read: `input`, `output`, `q`, `k` or `type:L`.
        gain: of `output`, whether the final norm's gain is folded in.
        repair: `balanced` or `occurrence` for a further row of a probe whose head is repaired.
        layers: further rows below, predicted from the states after so many layers.
        clamp: the value from which on the colour is the same; the vocabulary's greatest where nothing is said.
        classic: red and blue bars from black, and no error.
        seed: of the folds.
        device: where the model computes states.
    """
    actual_V = _finite(stats.target(target))
    known: dict[str, Any] = {"seed": seed, "device": device}
    predicted_V = _finite(predict(model, stats, target, matrix, gain=gain, **known))
    more = {f"layer {layer}": _finite(predict(model, stats, target, f"type:{layer}", **known)) for layer in layers}
    if repair != "none":
        more = {"repaired": _finite(predict(model, stats, target, matrix, gain=gain, repair=repair, **known)), **more}
    tokenizer = tokenizer_of(model)
    with readable(model):
        read = [(text, tokenizer.encode(text, add_special_tokens=False)) for text in texts]
    error = max((_furthest(actual_V, predicted_V, encoding.ids) for _, encoding in read), default=1.0)
    scale = _scale(actual_V, target, clamp)
    values = (actual_V, predicted_V, more)
    return [_laid_out(text, encoding, values, stats.cf, scale, error, classic=classic) for text, encoding in read]


def _laid_out(
    text: str,
    encoding: Any,
    values: tuple[NDArray[np.float64], NDArray[np.float64], dict[str, NDArray[np.float64]]],
    counts_V: Ints,
    scale: Scale,
    error: float,
    *,
    classic: bool,
) -> HeatMap:
    ids, (actual_V, predicted_V, more) = encoding.ids, values
    return heat_map(
        text,
        encoding.offsets,
        encoding.tokens,
        _of(actual_V, ids),
        _of(predicted_V, ids),
        layers={label: _of(found, ids) for label, found in more.items()},
        notes=["" if i < len(counts_V) and counts_V[i] else _UNSEEN for i in ids],
        scale=scale,
        error=error,
        classic=classic,
    )


def spread_layers(model: str) -> list[int]:
    """Returns up to six of a model's layers, from the first to the last, evenly spread; 0, what goes in, is the input matrix."""
    path = checkpoints.look(checkpoints.located(model), "config.json")
    if path is None:
        raise RarityError(f"{model} has no config.json, which says how many layers it has; leave the layers out")
    config = checkpoints.config(model)
    count = next((config[key] for key in ("num_hidden_layers", "n_layer", "num_layers") if key in config), 0)
    if type(count) is not int or not 0 <= count < 10**6:
        raise RarityError(f"{path} does not say how many layers {model} has; leave the layers out")
    return sorted({1 + round(i * (count - 1) / (_MOST_LAYERS - 1)) for i in range(_MOST_LAYERS)}) if count else []


def units(target: str) -> str:
    """Returns what a target is measured in: nats, bits, or nothing."""
    return _UNITS.get(SYNONYMS.get(target, target), "nats" if target in (*TARGETS, *SYNONYMS) else "")


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(values), values, np.nan)


def _of(values_V: NDArray[np.float64], ids: Sequence[int]) -> list[float]:
    """The values of ids; a token beyond the table has none."""
    return [float(values_V[i]) if i < len(values_V) else math.nan for i in ids]


def _scale(actual_V: NDArray[np.float64], target: str, clamp: float | None) -> Scale:
    known = actual_V[np.isfinite(actual_V)]
    low, high = min(0.0, math.floor(known.min(initial=0.0))), float(math.ceil(known.max(initial=1.0)))
    return Scale(low, high if clamp is None else clamp, units(target))


def _furthest(actual_V: NDArray[np.float64], predicted_V: NDArray[np.float64], ids: Sequence[int]) -> float:
    errors = [p - a for a, p in zip(_of(actual_V, ids), _of(predicted_V, ids))]
    return float(max(1, math.ceil(max((abs(e) for e in errors if math.isfinite(e)), default=1.0))))
