"""What a model's states tell of the token that comes next, by the token they stand at: exactly, to second order, or as a norm.

KL(p(·|h) ‖ p₀) says how much of the next token a state knows. The mean over the positions of a token is that token's. The
squared norm of a token's row is no such thing: no theory covers it, and it is here to be compared.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir import progress
from rarityir.counts import TokenCounts
from rarityir.informativeness.comparing import correlation
from rarityir.informativeness.divergence import Exact, Head, covariance, quadratic
from rarityir.informativeness.table import TokenInformation
from rarityir.types import Encoder, Ints, Json, RarityError

Doubles = NDArray[np.float64]
KINDS, REFERENCES = ("exact", "quadratic", "norm"), ("mean", "unigram", "argmin")
CHECKED = 2000  # states that an approximation is held against the exact divergence on
_TEXTS = 128


@dataclass
class States:
    """States (S, D) in a file that is mapped, and the token (S,) that each stands at."""

    states: NDArray[np.float32] = field(repr=False)
    ids: Ints = field(repr=False)


def from_model(
    encoder: Encoder,
    texts: Iterable[str],
    kind: str = "exact",
    reference: str = "mean",
    *,
    checked: int = CHECKED,
    seed: int = 0,
) -> TokenInformation:
    """Returns what a causal language model's states tell of the next token, in nats, by the token they stand at.

    Args:
        encoder: a causal language model; its states are those after the final norm, which its head multiplies.
        texts: read once; a text's states are kept in a temporary file, and memory stays flat.
        kind: `exact`: KL(softmax(W h + b) ‖ p₀), over the whole vocabulary; `quadratic`: ½ ‖G^½ (h − h₀)‖², whose slope and R²
            against the exact one are among `facts`; `norm`: ‖e_w − ē‖² of the unembedding's rows, a heuristic that is in no
            nats, with the R² it has against the exact one.
        reference: what p₀ is: `mean` of all predictions, `unigram` of the texts' tokens (of `exact` alone), or `argmin`: the
            prediction of the state that is nearest to the mean of predictions.
        checked: states, drawn by `seed`, that an approximation is checked on; 0 for all.

    Raises `RarityError` for an encoder that gives no states of tokens, or texts without tokens.
    """
    if kind not in KINDS or reference not in REFERENCES:
        raise RarityError(f"kind {kind!r} is one of {', '.join(KINDS)}, reference {reference!r} of {', '.join(REFERENCES)}")
    if kind != "exact" and reference == "unigram":
        raise RarityError(f"reference=unigram is no state's prediction, which {kind} needs; take mean or argmin")
    with tempfile.TemporaryFile(prefix="rarityir-states-") as file:
        digest = hashlib.sha256()
        read = read_states(encoder, texts, file, digest)
        told = {"kind": kind, "reference": reference, "checked": checked, "seed": seed, "texts_sha256": digest.hexdigest()}
        return _weighed(encoder, read, kind, reference, told)


def _weighed(encoder: Encoder, read: States, kind: str, reference: str, told: dict[str, Json]) -> TokenInformation:
    rows, forms = encoder.unembedding(), tuple(encoder.tokens())
    head = Head(rows, encoder.unembedding_bias(), str(getattr(encoder, "torch_device", "cpu")))
    log_p0, centre = reference_of(head, read, reference)
    n_V = np.bincount(read.ids, minlength=len(rows)).astype(np.int64)
    identity = {**{f"encoder.{key}": value for key, value in encoder.identity().items()}, **told}
    none_V, nothing = np.full(len(rows), np.nan), np.zeros(len(rows), np.int64)
    method = _said(kind, reference, encoder.name)
    base = TokenInformation(none_V, none_V, n_V, nothing, none_V, len(rows), forms, method, "none", identity)
    if kind == "exact":
        return _exact(base, head, read, log_p0)
    found = _approximate(rows, read, kind, n_V, centre, np.exp(log_p0))
    value_V = found if kind == "norm" else _mean(read.ids, found, len(rows))
    facts = _fit(head, read, log_p0, found, centre, told["checked"], told["seed"], of_tokens=kind == "norm")
    value_V = np.where(n_V > 0, value_V, np.nan)
    return replace(base, values=value_V, raw=value_V, facts=facts)


def _said(kind: str, reference: str, model: str) -> str:
    if kind == "norm":
        return f"squared norm of the rows of {model}'s unembedding from their mean: a heuristic, no information gain"
    usual = {"mean": "the mean prediction", "unigram": "the texts' unigrams", "argmin": "the nearest state's prediction"}
    form = "exact KL" if kind == "exact" else "half the quadratic form, for KL,"
    return f"{form} of {model}'s next-token prediction from {usual[reference]}, mean over a token's positions, nats"


def read_states(encoder: Encoder, texts: Iterable[str], file: Any, digest: Any = None) -> States:
    """Returns every state that texts have, written to a file that stays open; a digest is told the texts."""
    states, lay_out = getattr(encoder, "document_states", None), getattr(encoder, "lay_out", None)
    if states is None or lay_out is None:
        raise RarityError(f"{encoder.name} gives no states of single tokens; take a causal language model")
    ids: list[int] = []
    with progress.bar(f"reading every state of {encoder.name}", None) as advance:
        given = iter(texts)
        while some := list(islice(given, _TEXTS)):
            if digest is not None:
                digest.update("".join(f"{text}\n" for text in some).encode())
            kept = [text for text in some if text.strip()]  # of a blank text only the opening token would be read
            for sequence, x_TD in zip(lay_out(kept), states(kept), strict=True):
                ids += sequence.ids[sequence.start : sequence.stop]
                file.write(np.ascontiguousarray(x_TD, "<f4").tobytes())
            advance(len(some))
    if not ids:
        raise RarityError("the texts have no tokens, so no state tells anything")
    file.flush()
    mapped = np.memmap(file, np.dtype("<f4"), mode="r").reshape(len(ids), -1)
    return States(mapped, np.array(ids, np.int64))


def reference_of(head: Head, read: States, reference: str) -> tuple[Doubles, NDArray[Any]]:
    """Returns ln p₀ (V,) and the state h₀ (D,) that the quadratic form is around."""
    mean_D = np.asarray(read.states.mean(axis=0, dtype=np.float64), np.float32)
    if reference == "unigram":
        return TokenCounts.of([read.ids.tolist()], len(head.rows), "the texts").log_probability(), mean_D
    mean_V = head.mean_prediction(read.states)
    log_mean_V = np.log(np.maximum(mean_V, np.finfo(np.float32).tiny))
    if reference == "mean":
        return log_mean_V, mean_D
    nearest = np.asarray(read.states[int(np.argmin(head.divergence(read.states, log_mean_V).kl))])
    return head.log_probability(nearest), nearest


def some_of(count: int, checked: int, seed: int) -> Ints:
    """Returns the places of the states that are checked, in rising order; all of them where that is 0."""
    if not 0 < checked < count:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, checked, replace=False))


def mean_prediction(encoder: Encoder, texts: Iterable[str]) -> Doubles:
    """Returns the mean (V,) of a causal language model's next-token predictions over all states of some texts."""
    head = Head(encoder.unembedding(), encoder.unembedding_bias(), str(getattr(encoder, "torch_device", "cpu")))
    with tempfile.TemporaryFile(prefix="rarityir-states-") as file:
        return head.mean_prediction(read_states(encoder, texts, file).states)


def _exact(base: TokenInformation, head: Head, read: States, log_p0_V: Doubles) -> TokenInformation:
    found: Exact = head.divergence(read.states, log_p0_V)
    value_V, entropy_V = (_mean(read.ids, row, len(base.names)) for row in found)
    usual = float(-(np.exp(log_p0_V) @ log_p0_V))
    facts = {
        "states": len(read.ids), "mean_kl": float(found.kl.mean()), "mean_entropy": float(found.entropy.mean()),
        "reference_entropy": usual,
    }  # fmt: skip
    return replace(base, values=value_V, raw=value_V, entropy=entropy_V, facts=facts)


def _approximate(rows_VD: NDArray[Any], read: States, kind: str, n_V: Ints, centre_D: NDArray[Any], p_V: Doubles) -> Doubles:
    if kind == "quadratic":
        return quadratic(read.states, centre_D, covariance(rows_VD, p_V))
    mean_D = np.asarray(n_V / n_V.sum() @ rows_VD, np.float64)
    return np.asarray(((np.asarray(rows_VD, np.float64) - mean_D) ** 2).sum(axis=1))


def _fit(
    head: Head, read: States, log_p0_V: Doubles, found: Doubles, centre_D: NDArray[Any], checked: int, seed: int,
    *, of_tokens: bool,
) -> dict[str, Json]:  # fmt: skip
    """Slope and R² of the approximation on the exact divergence, over some states, or over their tokens; of the norm of h too."""
    count = len(read.ids)
    some = some_of(count, checked, seed)
    x = head.divergence(read.states[some], log_p0_V).kl
    away = np.asarray(read.states[some], np.float64) - centre_D
    facts: dict[str, Json] = {"states": count, "checked": len(some), "mean_kl": float(x.mean())}
    facts["r2_of_state_norm"] = correlation(x, (away**2).sum(axis=1)) ** 2
    if of_tokens:
        kinds, place, times = np.unique(read.ids[some], return_inverse=True, return_counts=True)
        x, y = np.bincount(place, x) / times, found[kinds]
    else:
        y = found[some]
    spread = float(((x - x.mean()) ** 2).sum())
    slope = float((x - x.mean()) @ (y - y.mean()) / spread) if spread > 0 else 0.0
    return {**facts, "slope": slope, "r2": correlation(x, y) ** 2}


def _mean(ids_S: Ints, values_S: Doubles, size: int) -> Doubles:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(ids_S, values_S, size) / np.bincount(ids_S, minlength=size))
