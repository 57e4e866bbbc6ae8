"""The texts that models are compared on: pieces of a collection or a file, drawn once, with their bytes and a checksum."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from rarityir import parsing, store
from rarityir.types import BadInput, Ints, Json, RarityError, StaleArtefact


@dataclass(frozen=True)
class TextSet:
    """N texts in order. Every distance on a map is relative to such a set, and says which by its SHA-256."""

    texts: tuple[str, ...] = field(repr=False)
    source: Mapping[str, Json]

    @classmethod
    def from_dataset(cls, name: str, n: int = 1000, *, max_bytes: int = 1024, min_bytes: int = 256, seed: int = 42) -> TextSet:
        """Draws n pieces of a dataset's documents, each of more than `min_bytes` and at most `max_bytes` of UTF-8.

        Documents are cut between characters every `max_bytes`; what is left shorter is skipped. `name` is what
        `load_dataset` takes: `cranfield`, an ir_datasets id, a folder.
        """
        from rarityir.datasets import load_dataset

        dataset = load_dataset(name)
        source = {"dataset": dataset.name, "corpus": dict(dataset.identity)}
        return cls.drawn((doc.text for doc in dataset.docs()), source, n, max_bytes=max_bytes, min_bytes=min_bytes, seed=seed)

    @classmethod
    def from_file(cls, path: str | Path, n: int = 0, *, max_bytes: int = 0, min_bytes: int = 0, seed: int = 42) -> TextSet:
        """Reads one text a line (`.jsonl`: the member `text`); with n, draws as many pieces as `from_dataset` does."""
        path = Path(path)
        source = {"file": path.name, "file_sha256": store.digest_file(path) if path.is_file() else ""}
        if n:
            return cls.drawn(_lines(path), source, n, max_bytes=max_bytes or 1024, min_bytes=min_bytes, seed=seed)
        return cls(_held(_lines(path), path), source)

    @classmethod
    def drawn(
        cls, texts: Iterable[str], source: Mapping[str, Json], n: int, *, max_bytes: int, min_bytes: int, seed: int
    ) -> TextSet:
        """Draws n pieces of texts without replacement and keeps them in the order of the texts."""
        if not 0 <= min_bytes < max_bytes:
            raise RarityError(f"pieces of more than {min_bytes} and at most {max_bytes} bytes; the first must be the smaller")
        found = [piece for text in texts for piece in pieces(text, max_bytes) if len(piece.encode()) > min_bytes]
        if len(found) < n:
            raise RarityError(
                f"{len(found)} pieces of more than {min_bytes} bytes for {n} texts; ask for fewer or for shorter ones"
            )
        rows = np.sort(np.random.default_rng(seed).choice(len(found), size=n, replace=False))
        facts = {"pieces": len(found), "max_bytes": max_bytes, "min_bytes": min_bytes, "seed": seed}
        return cls(tuple(found[row] for row in rows), {**source, **facts})

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, rows: Sequence[int] | Ints) -> TextSet:
        """Returns the texts of some rows as a set of its own, such as a sample's."""
        chosen = [int(row) for row in rows]
        return TextSet(tuple(self.texts[row] for row in chosen), {"of": self.sha256, "rows": chosen})

    @cached_property
    def bytes(self) -> Ints:
        """Each text's length in UTF-8 bytes."""
        return np.array([len(text.encode()) for text in self.texts], np.int64)

    @property
    def mean_bytes(self) -> float:
        """The mean length of a text in bytes."""
        return float(self.bytes.mean())

    @cached_property
    def sha256(self) -> str:
        """The checksum of the texts, each after its length."""
        total = hashlib.sha256()
        for text in self.texts:
            total.update(f"{len(text.encode())}:".encode() + text.encode())
        return total.hexdigest()

    def save(self, path: str | Path) -> Path:
        """Writes the set as one JSON file."""
        path = Path(path)
        store.write_json(path, {"texts": list(self.texts), "source": dict(self.source), "sha256": self.sha256})
        return path

    @classmethod
    def load(cls, path: str | Path) -> TextSet:
        """Reads a set that was saved; one that was changed is a `StaleArtefact`."""
        try:
            found = parsing.value(Path(path))
            texts, wanted = cls(tuple(found["texts"]), found["source"]), found["sha256"]
            good = texts.sha256 == wanted
        except parsing.BROKEN as error:
            raise StaleArtefact(
                f"{path} is no stored text set ({type(error).__name__}); make one with: rarityir modelmap texts"
            ) from None
        if not good or not len(texts):
            raise StaleArtefact(
                f"{path} is not as it was written (checksum differs); make it again with: rarityir modelmap texts"
            )
        return texts


def pieces(text: str, max_bytes: int) -> Iterator[str]:
    """Cuts a text between characters into pieces of at most so many bytes of UTF-8; joined they are the text."""
    if max_bytes < 4:
        raise RarityError(f"pieces of at most {max_bytes} bytes; a character alone may take 4")
    raw = text.encode()
    start = 0
    while start < len(raw):
        end = min(start + max_bytes, len(raw))
        while end < len(raw) and raw[end] & 0xC0 == 0x80:  # within a character
            end -= 1
        yield raw[start:end].decode()
        start = end


def _lines(path: Path) -> Iterator[str]:
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
            if not line.strip():
                continue
            if path.suffix != ".jsonl":
                yield line
                continue
            found = _text_of(line)
            if found is None:
                raise BadInput(f'{path}:{number}: a line should read {{"text": "…"}}')
            yield found
    except (FileNotFoundError, IsADirectoryError):
        raise BadInput(f"no file of texts at {path}") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 ({error.reason})") from None


def _text_of(line: str) -> str | None:
    try:
        found = parsing.loads(line)
    except ValueError:
        return None
    text = found.get("text") if isinstance(found, dict) else None
    return text if isinstance(text, str) else None


def _held(lines: Iterator[str], path: Path) -> tuple[str, ...]:
    found = tuple(lines)
    if not found:
        raise BadInput(f"{path} holds no texts; one a line is needed")
    return found
