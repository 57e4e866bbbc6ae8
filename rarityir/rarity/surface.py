"""What is known of a token without its embedding's direction: baselines that a probe of rarity has to beat.

The id of a token is one of them, because byte-pair vocabularies are in the order of their merges, frequent ones first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir.rarity.labels import script_of
from rarityir.types import Floats, RarityError

BLOCK = 4096  # rows of an array that are taken at once
CASES = ("lower", "title", "upper")
OF_STRINGS = ("ln_id", "ln_rank", "byte_length", "leading_space", "no_text", "case=", "script=")
# Baseline → the beginnings of the names of its columns; the constant has none, since every fit has its own.
BASELINES: Mapping[str, tuple[str, ...]] = {
    "constant": (),
    "ln id": ("ln_id",),
    "ln rank": ("ln_rank",),
    "byte length": ("byte_length",),
    "space, case, script": ("leading_space", "no_text", "case=", "script="),
    "all surface": OF_STRINGS,
    "row norm": ("norm",),
    "squared norm and cosine to the mean": ("squared_norm", "cosine_to_mean"),
    "head bias": ("head_bias",),
    "all without direction": (*OF_STRINGS, "norm", "squared_norm", "cosine_to_mean", "head_bias"),
}


def surface(
    forms: Sequence[str | None], x_VD: Any = None, bias_V: Floats | None = None
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Returns the surface features (V, F) of V tokens in float64, and the F columns' names.

    Args:
        forms: what each id writes, with a space where its word-boundary mark is; None where it writes no text.
        x_VD: the embeddings, as an array or as what yields blocks of float32 rows by `.blocks()`; adds norm, squared norm and
            the cosine to the mean row.
        bias_V: the bias of the output head, where it has one.

    Columns: `ln_id` ln(id + 1); `ln_rank` ln of the place among the ids that write text, 0 for the others; `byte_length` in
    UTF-8; `leading_space`, `no_text` 0 or 1; `case=lower|title|upper` and `script=…` 0 or 1, of which the commonest script
    is left out, as is what none or all of the tokens are.
    """
    size = len(forms)
    text = np.array([form is not None for form in forms], bool)
    columns: dict[str, NDArray[Any]] = {
        "ln_id": np.log1p(np.arange(size)),
        "ln_rank": np.where(text, np.log(np.maximum(np.cumsum(text), 1)), 0.0),
        "byte_length": np.array([len((form or "").encode("utf-8", "surrogatepass")) for form in forms], np.float64),
        "leading_space": np.array([(form or "").startswith(" ") for form in forms]),
        "no_text": ~text,
    }
    cases = np.array([_case(form) for form in forms])
    columns |= {f"case={case}": cases == case for case in CASES}
    scripts, counts = np.unique([script_of(form) for form in forms], return_counts=True)
    all_scripts = np.array([script_of(form) for form in forms])
    columns |= {f"script={script}": all_scripts == script for script in np.delete(scripts, counts.argmax())}
    columns = {name: column for name, column in columns.items() if np.ptp(column.astype(np.float64)) > 0}
    if x_VD is not None:
        columns |= _of_rows(x_VD, size)
    if bias_V is not None:
        columns["head_bias"] = _as_long(bias_V, size, "biases")
    return np.stack([column.astype(np.float64) for column in columns.values()], axis=1), tuple(columns)


def columns_of(baseline: str, names: Sequence[str]) -> list[int]:
    """Returns the places of a baseline's columns among `names`; none for the constant, and for what was not given."""
    wanted = BASELINES[baseline]
    return [i for i, name in enumerate(names) if any(name == w or (w.endswith("=") and name.startswith(w)) for w in wanted)]


def _of_rows(x_VD: Any, size: int) -> dict[str, NDArray[np.float64]]:
    total = sum((block.sum(axis=0) for block in _blocks(x_VD)), start=np.float64(0))
    mean_D = total / np.linalg.norm(total) if np.any(total) else np.asarray(total)
    norms, along = [], []
    for block in _blocks(x_VD):
        norms.append(np.linalg.norm(block, axis=1))
        along.append(block @ mean_D)
    norm_V, along_V = _as_long(np.concatenate(norms), size, "rows"), np.concatenate(along)
    cosine_V = np.divide(along_V, norm_V, out=np.zeros(size), where=norm_V > 0)
    return {"norm": norm_V, "squared_norm": norm_V**2, "cosine_to_mean": cosine_V}


def _blocks(x_VD: Any) -> Iterator[NDArray[np.float64]]:
    given = x_VD.blocks(BLOCK) if hasattr(x_VD, "blocks") else (x_VD[i : i + BLOCK] for i in range(0, len(x_VD), BLOCK))
    for block in given:
        yield np.asarray(block, np.float64)


def _as_long(values: Any, size: int, what: str) -> NDArray[np.float64]:
    found = np.asarray(values, np.float64)
    if found.shape != (size,):
        raise RarityError(f"{len(found)} {what} for {size} tokens; give the forms of the same rows")
    return found


def _case(form: str | None) -> str:
    letters = [letter for letter in form or "" if letter.isalpha()]
    if not letters:
        return ""
    if all(letter.islower() for letter in letters):
        return "lower"
    if len(letters) > 1 and all(letter.isupper() for letter in letters):
        return "upper"
    return "title" if letters[0].isupper() and not any(letter.isupper() for letter in letters[1:]) else ""
