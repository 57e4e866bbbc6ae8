"""Vectors that have names: from a file, from an encoder that reads the names as texts, or drawn at random."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rarityir import parsing
from rarityir.types import BadInput, Encoder, Floats, RarityError


@dataclass(frozen=True, eq=False)
class Named:
    """Distinct ids and their (N, D) vectors, row for row."""

    ids: tuple[str, ...]
    vectors: Floats = field(repr=False)
    rows: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", {name: row for row, name in enumerate(self.ids)})
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.ids):
            raise BadInput(f"{len(self.ids)} names come with vectors of shape {self.vectors.shape}; one row a name is needed")
        if len(self.rows) != len(self.ids):
            twice = next(name for row, name in enumerate(self.ids) if self.rows[name] != row)
            raise BadInput(f"{twice!r} has two vectors; a name has one")
        if not np.isfinite(self.vectors).all():
            row = int(np.flatnonzero(~np.isfinite(self.vectors).all(axis=1))[0])
            raise BadInput(f"the vector of {self.ids[row]!r} is not finite")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def width(self) -> int:
        """D."""
        return int(self.vectors.shape[1])

    def find(self, names: Iterable[str], what: str = "name") -> list[int]:
        """Returns the names' rows; `BadInput` for one that has no vector."""
        try:
            return [self.rows[name] for name in names]
        except KeyError as error:
            raise BadInput(f"{what} {error.args[0]!r} has no vector") from None

    def of(self, names: Iterable[str]) -> Named:
        """Returns the vectors of some names, in that order."""
        names = tuple(names)
        return Named(names, self.vectors[self.find(names)])

    @classmethod
    def encoded(cls, names: Iterable[str], encoder: Encoder) -> Named:
        """Returns the names read as texts by an encoder; what stands for a space in a name, `_`, is read as one."""
        names = tuple(names)
        return cls(names, np.asarray(encoder.encode_document([name.replace("_", " ") for name in names]), np.float32))

    @classmethod
    def of_tokens(cls, names: Iterable[str], encoder: Encoder, matrix: str) -> Named:
        """Returns the mean row of each name's tokens in a model's `input` or `output` matrix; no text is encoded.

        A name without tokens is a `RarityError`.
        """
        from rarityir.rarity.rows import rows

        names = tuple(names)
        table_VD = rows(encoder.model, matrix).array()
        tokens = encoder.tokenize([name.replace("_", " ") for name in names])
        empty = next((name for name, ids in zip(names, tokens, strict=True) if not ids), None)
        if empty is not None:
            raise RarityError(f"the tokenizer of {encoder.name} makes no token of {empty!r}; leave its pairs out")
        return cls(names, np.array([table_VD[ids].mean(axis=0) for ids in tokens], np.float32))

    @classmethod
    def drawn(cls, names: Iterable[str], width: int, seed: int) -> Named:
        """Returns independent standard normal vectors: what is found with these was not in any vectors."""
        names = tuple(names)
        return cls(names, np.random.default_rng(seed).standard_normal((len(names), width), dtype=np.float32))

    @classmethod
    def read(cls, path: str | Path) -> Named:
        """Reads `.npz` (arrays `names` and `vectors`), or text of a name and its numbers a line (GloVe's and word2vec's form)."""
        path = Path(path)
        if path.suffix != ".npz":
            return _text(path)
        try:
            found = parsing.arrays(path)
            return cls(tuple(map(str, found["names"].tolist())), np.asarray(found["vectors"], np.float32))
        except FileNotFoundError:
            raise BadInput(f"no vectors at {path}") from None
        except parsing.BROKEN:
            raise BadInput(f"{path} holds no arrays `names` and `vectors`") from None


def _text(path: Path) -> Named:
    names: list[str] = []
    values: list[Sequence[str]] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise BadInput(f"no vectors at {path}") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 ({error.reason})") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, *numbers = line.split()
        if number == 1 and len(numbers) == 1:  # word2vec's first line: how many, how wide
            continue
        if values and len(numbers) != len(values[0]):
            raise BadInput(f"{path}:{number}: {len(numbers)} numbers instead of {len(values[0])}")
        names.append(name)
        values.append(numbers)
    try:
        with np.errstate(over="ignore"):  # a number beyond float32 is infinite, and told of as such
            return Named(tuple(names), np.asarray(values, dtype=np.float32))
    except ValueError:
        raise BadInput(f"{path}: a line is a name and its numbers, with spaces between") from None
