"""Rows of a vocabulary that no text can have trained: found by what they are, with no list of models.

A row beyond the tokenizer only pads the matrix; a reserved token is kept for later use; some bytes occur in no UTF-8 text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rarityir.rarity.forms import INVALID, Forms, byte_of
from rarityir.types import Ints, RarityError

FEWEST = 3  # rows whose mean is a direction to compare others with
# A token kept for later use is spelt between marks and says so: [unused7], <|reserved_special_token_3|>, <unused99>, <|dummy_1|>.
_RESERVED = re.compile(r"[\[<]\|?.*(unused|reserved|dummy|placeholder|special_\d+|extra_token).*\|?[\]>]", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Unused:
    """The ids of reference rows (R,), and how many of them are of each kind."""

    ids: Ints
    kinds: Mapping[str, int]


def unused(forms: Forms, given: Sequence[int] = ()) -> Unused:
    """Returns the rows that stand for a token that was never trained, or those that are given.

    Raises `RarityError` if there are fewer than three.
    """
    rows = len(forms)
    if given:
        wrong = [i for i in given if not 0 <= i < rows]
        if wrong:
            raise RarityError(f"reference row {wrong[0]} is none of {rows} rows")
        kinds = {"given": np.unique(np.asarray(given, np.int64))}
    else:
        kinds = {
            "padding": np.array([i for i in range(rows) if forms.pieces[i] is None], np.int64),
            "reserved": np.array([i for i, piece in enumerate(forms.pieces) if piece and _RESERVED.fullmatch(piece)], np.int64),
            "invalid byte": np.array([i for i in range(rows) if _invalid(forms, i)], np.int64),
        }
    ids = np.unique(np.concatenate(list(kinds.values())))
    if len(ids) < FEWEST:
        raise RarityError(
            f"{len(ids)} rows are known to be unused (padding, reserved tokens, invalid bytes), and {FEWEST} are needed; "
            "give the ids of tokens that no text has"
        )
    return Unused(ids, {kind: len(found) for kind, found in kinds.items() if len(found)})


def _invalid(forms: Forms, i: int) -> bool:
    piece = forms.pieces[i]
    return piece is not None and forms.texts[i] is None and not forms.special[i] and byte_of(piece) in INVALID
