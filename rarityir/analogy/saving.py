"""A relation in a folder: its sums as tensors, its names and counts in a card, and the digest of both."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from rarityir import __version__, checkpoints, parsing, store
from rarityir.analogy.relation import Relation, Sums
from rarityir.types import Json, RarityError

WEIGHTS, CARD, FORM = "relation.safetensors", "relation.json", 1
_SUMS = ("sums", "own", "parts")


def save(relation: Relation, folder: str | Path) -> Path:
    """Writes a relation into a folder."""
    folder = Path(folder)
    if (folder / WEIGHTS).exists() and not (folder / CARD).exists():
        raise RarityError(f"{folder} holds a {WEIGHTS} that is no relation's; choose another folder")
    arrays: dict[str, Any] = {"triples": relation.triples, "owners": relation.owners}
    for name in _SUMS:
        sums: Sums = getattr(relation, name)
        arrays |= {f"{name}.{part}": array for part, array in zip(Sums._fields, sums, strict=True)}
    card = {
        "form": FORM,
        "scheme": relation.scheme,
        "centre": relation.centre,
        "queries": list(relation.query_ids),
        "answers": list(relation.answer_ids),
        "groups": list(relation.groups),
    }
    store.write_json(folder / CARD, {**card, "sha256": _digest(card, arrays), "rarityir": __version__})
    checkpoints.write_tensors(folder / WEIGHTS, arrays)  # after its card: arrays without one are someone else's
    return folder


def load(folder: str | Path) -> Relation:
    """Reads a saved relation; what is not whole, or not what its card describes, is a `RarityError`."""
    folder = Path(folder)
    try:
        found = parsing.value(folder / CARD)
        arrays = checkpoints.read_tensors(folder / WEIGHTS)
        card = {key: found[key] for key in ("form", "scheme", "centre", "queries", "answers", "groups")}
        whole = found["form"] == FORM and found["sha256"] == _digest(card, arrays)
        sums = [Sums(*(arrays[f"{name}.{part}"] for part in Sums._fields)) for name in _SUMS]
        queries, answers, groups = (tuple(found[key]) for key in ("queries", "answers", "groups"))
        queries, answers, groups = (tuple(map(str, names)) for names in (queries, answers, groups))
        triples, owners = arrays["triples"], arrays["owners"]
        _check(triples, owners, sums, (len(groups) + 1, len(queries), len(answers)))
    except parsing.BROKEN as error:
        told = f"{type(error).__name__}: {error}"
        raise RarityError(f"{folder} holds no whole relation ({told}); fit it with rarityir analogy fit") from None
    if not whole:
        raise RarityError(f"{folder / WEIGHTS} is not the relation its card describes; fit it again")
    scheme, centre = str(found["scheme"]), bool(found["centre"])
    return Relation(scheme, centre, queries, answers, groups, triples, sums[0], owners, sums[1], sums[2])


def _check(triples: Any, owners: Any, sums: list[Sums], sizes: tuple[int, int, int]) -> None:
    """Raises `ValueError` where numbers of groups, queries and answers point nowhere, or sums are of other sizes."""
    for rows, ends in ((triples, sizes), (owners, sizes[:2])):
        parsing.need(parsing.finite(rows, None, len(ends), kind="i"), "rows that are no whole numbers")
        parsing.need((rows >= 0).all() and (rows < np.array(ends)).all(), "rows that point nowhere")
    width = sums[0].answers.shape[-1]
    for found, count in zip(sums, (sizes[0], len(owners), sizes[0]), strict=True):
        parsing.need(
            parsing.finite(found.answers, count, width) and parsing.finite(found.queries, count, width), "sums of other sizes"
        )
        parsing.need(parsing.finite(found.counts, count, 2, kind="i"), "counts of other sizes")


def _digest(card: Json, arrays: dict[str, Any]) -> str:
    total = hashlib.sha256(json.dumps(card, sort_keys=True).encode())
    for name in sorted(arrays):
        total.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return total.hexdigest()
