"""Surface forms of a tokenizer's vocabulary, whatever its convention (`▁`, `Ġ`, `##`, bytes)."""

from __future__ import annotations

import re
from typing import Any

_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")


def surface_forms(tokenizer: Any, rows: int) -> list[str | None]:
    """Returns the text each of `rows` ids writes, its word-boundary mark as a space; None where it writes no text.

    None stands for special and control tokens, single bytes and byte pieces that are no character, and the rows beyond
    the tokenizer's vocabulary with which some models pad their matrix.
    """
    mark = getattr(getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None), "continuing_subword_prefix", None) or ""
    special = set(tokenizer.all_special_ids)
    size = min(rows, len(tokenizer))
    pieces = tokenizer.convert_ids_to_tokens(list(range(size)))
    forms: list[str | None] = []
    for token_id, piece in enumerate(pieces):
        if token_id in special or piece is None or _BYTE.fullmatch(piece):
            forms.append(None)
            continue
        text = piece.replace("▁", " ").removeprefix(mark)
        if text == piece:  # byte-level alphabets are undone by the tokenizer's own decoder
            text = tokenizer.convert_tokens_to_string([piece])
        forms.append(None if "\ufffd" in text or not text else text)
    return forms + [None] * (rows - size)
