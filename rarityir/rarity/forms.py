"""What each id of a tokenizer writes, whether it goes on with a word, and whether any text is read as that id."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir.encoders.vocabulary import surface_forms
from rarityir.rarity.tokenizing import Tokenizing
from rarityir.types import RarityError

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
# Bytes that occur in no UTF-8 text: overlong forms of ASCII, and what would lie beyond the last character.
INVALID = frozenset({0xC0, 0xC1, *range(0xF5, 0x100)})
BEHIND = ",\nabcdefghijklmnopqrstuvwxyz0123456789«…"  # what a token may stand behind in a text
CATEGORIES = ("ok", "unreachable", "partial", "invalid", "byte", "special", "padding")


@dataclass(frozen=True, eq=False)
class Forms:
    """The V rows of a matrix as a tokenizer's ids.

    Attributes:
        texts: what each id writes, its word-boundary mark as a space; None where it writes no text.
        pieces: each id's own spelling in the vocabulary; None beyond it.
        continuing: (V,) ids that go on with a word by a mark of their own (`##`); None for a tokenizer without such a mark.
        special: (V,) ids of special tokens.
        tokens: what reads texts.
    """

    texts: tuple[str | None, ...]
    pieces: tuple[str | None, ...]
    continuing: NDArray[np.bool_] | None
    special: NDArray[np.bool_]
    tokens: Tokenizing = field(repr=False)

    @classmethod
    def of(cls, tokenizer: Any, rows: int = 0) -> Forms:
        """Returns the forms of a model's tokenizer, by name or as an object, for so many rows (0: for its own ids)."""
        tokens = Tokenizing.of(tokenizer)
        if tokens.backend is None:
            raise RarityError(f"{tokens.name} is a function, and has no vocabulary; give a model's name")
        rows = rows or tokens.vocabulary
        view = _View(tokens.backend, tokens.vocabulary)
        pieces = [view.piece(i) if i < tokens.vocabulary else None for i in range(rows)]
        mark = str(getattr(tokens.backend.model, "continuing_subword_prefix", None) or "")
        continuing = np.array([piece is not None and piece.startswith(mark) for piece in pieces]) if mark else None
        special = np.array([i in view.special for i in range(rows)], bool)
        return cls(tuple(surface_forms(view, rows)), tuple(pieces), continuing, special, tokens)

    def __len__(self) -> int:
        return len(self.texts)

    def categories(self) -> tuple[str, ...]:
        """Returns the kind of each id, one of `CATEGORIES`, found by writing it as text and reading that text again.

        `ok` comes back as that one id, `unreachable` is text that is read as other ids, `partial` is a part of a character,
        `invalid` a byte that no text has, `byte` any other single byte, `special` a special token, `padding` no token.
        """
        found = np.array([self._kind(i) for i in range(len(self))], dtype=object)
        left = np.flatnonzero(found == "ok")
        for before in ("", *BEHIND):
            if not len(left):
                break
            # Behind something else, no space is put before a text, and the last id that is read is its own.
            read = self.tokens.encode([f"{before}{self.texts[i]}" for i in left])
            left = left[[not ids or ids[-1] != i or not (before or len(ids) == 1) for i, ids in zip(left, read, strict=True)]]
        found[left] = "unreachable"
        return tuple(found.tolist())

    def _kind(self, i: int) -> str:
        piece, text = self.pieces[i], self.texts[i]
        if piece is None:
            return "padding"
        if self.special[i]:
            return "special"
        if text is not None:
            return "ok"
        value = byte_of(piece)
        if value is None:
            return "partial"
        return "invalid" if value in INVALID else "byte"


def byte_of(piece: str) -> int | None:
    """Returns the byte that a piece of a vocabulary alone stands for, None for any other piece.

    A byte is spelt `<0xC0>`, or as the one character that byte-level vocabularies write it with.
    """
    match = _BYTE.fullmatch(piece)
    if match:
        return int(match[1], 16)
    return _BYTE_LEVEL.get(piece)


def _byte_level() -> dict[str, int]:
    """The alphabet of byte-level vocabularies: printable bytes stand for themselves, the others follow from U+0100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {**{chr(byte): byte for byte in plain}, **{chr(256 + n): byte for n, byte in enumerate(others)}}


_BYTE_LEVEL = _byte_level()


class _View:
    """A tokenizer of `tokenizers` in the words in which `surface_forms` asks."""

    def __init__(self, backend: Any, size: int) -> None:
        self.backend_tokenizer, self.size = backend, size
        self.special = {i for i, token in backend.get_added_tokens_decoder().items() if token.special}
        self.all_special_ids = sorted(self.special)

    def __len__(self) -> int:
        return self.size

    def piece(self, token_id: int) -> str | None:
        found: str | None = self.backend_tokenizer.id_to_token(token_id)
        return found

    def convert_ids_to_tokens(self, ids: Sequence[int]) -> list[str | None]:
        return [self.piece(i) for i in ids]

    def convert_tokens_to_string(self, pieces: list[str]) -> str:
        decoder = self.backend_tokenizer.decoder
        return str(decoder.decode(pieces)) if decoder is not None else " ".join(pieces)
