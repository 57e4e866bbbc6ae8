"""What each token weighs, from a file of token and weight a line, or a folder of weights by token id.

A folder, as `rarityir informativeness` writes it, holds `weights.safetensors` (a weight for each id of a model), `weights.tsv`
(the same by canonical token, which any editor shows) and a manifest. A file is the second alone, from wherever it comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarityir import checkpoints, parsing, store
from rarityir.types import BadInput, Json, RarityError

Doubles = NDArray[np.float64]
FILE, TABLE = "weights.safetensors", "weights.tsv"
OTHERS = "*"  # in a file of weights: every token that has no line
FORM = 1


@dataclass(frozen=True, eq=False)
class TokenWeights:
    """Weights of at least 0: of canonical tokens by name and, where a folder was read, of V token ids.

    `digest` is the SHA-256 of the file that was read, `corpora` what is known of the documents they were counted in.
    """

    path: Path
    by_name: Mapping[str, float] = field(repr=False)
    by_id: Doubles | None = field(repr=False)
    digest: str
    corpora: frozenset[str] = frozenset()
    method: str = ""

    @classmethod
    def read(cls, path: str | Path) -> TokenWeights:
        """Reads a folder of weights or a file of them; `RarityError` for what is neither, `StaleArtefact` for a changed one."""
        found = Path(path)
        if not found.is_dir():
            if not found.is_file():
                raise RarityError(f"{path}: no file of token and weight a line, nor a folder of rarityir informativeness")
            return cls(found, read_table(found), None, store.digest_file(found))
        try:
            if not (found / store.MANIFEST).is_file():
                raise FileNotFoundError(store.MANIFEST)
            manifest = store.described(found)
            identity, facts = dict(manifest["identity"]), manifest["facts"]
            if identity["form"] != FORM or facts["kind"] != "token weights":
                raise KeyError("form")
            store.verify(found)
            values, method = checkpoints.read_tensors(found / FILE)["values"], str(facts["method"])
            parsing.need(parsing.finite(values, None) and (values >= 0).all(), "weights that are no numbers of at least 0")
        except parsing.BROKEN as error:
            hint = "write one with rarityir informativeness"
            raise BadInput(f"{path} holds no weights of tokens ({type(error).__name__}: {error}); {hint}") from None
        corpora = frozenset(str(identity[key]) for key in ("corpus", "documents_sha256") if identity.get(key))
        return cls(found, read_table(found / TABLE), values.astype(np.float64), store.digest_file(found / FILE), corpora, method)

    def of_ids(self, forms: Sequence[str | None], gamma: float = 1.0) -> Doubles:
        """Returns each id's weight to the power of gamma (V,), for ids that write these forms.

        A folder has as many weights as the tokenizer has ids; rows beyond are never read and weigh nothing. By a file an id
        weighs what its text without space and case does; one without letters or digits, or without a line, what `*` does.
        Raises `RarityError` for a folder of another vocabulary.
        """
        if self.by_id is not None:
            if len(self.by_id) > len(forms):
                raise RarityError(f"{self.path} weighs {len(self.by_id)} ids, this model has {len(forms)}; take its own weights")
            return np.pad(self.by_id, (0, len(forms) - len(self.by_id))) ** gamma
        others = self.by_name.get(OTHERS, 0.0)
        names = [(form or "").strip().lower() for form in forms]
        return np.array([self.by_name.get(name, others) for name in names], np.float64) ** gamma

    def told(self, corpus: str, digest: str) -> dict[str, Json]:
        """Returns what is to be said of the weights beside figures of a corpus: what they are, and whether it made them."""
        return {
            "weights": self.method or self.path.name,
            "weights_sha256": self.digest,
            "in_domain": bool(self.corpora & {corpus, corpus.partition("@")[0], digest}),
        }


def table_of(path: str | Path) -> Path:
    """Returns the file of token and weight a line that a path names: itself, or the one of a folder."""
    return Path(path) / TABLE if Path(path).is_dir() else Path(path)


def read_table(path: str | Path) -> Mapping[str, float]:
    """Returns token → weight of a file with a token, a tab and a weight on each line; the line of `*` is for all others."""
    found: dict[str, float] = {}
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 at byte {error.start}; convert it first") from None
    for number, line in enumerate(text.split("\n"), 1):
        token, tab, value = line.partition("\t")
        if not line.strip():
            continue
        try:
            weight = float(value)
        except ValueError:
            weight = float("nan")
        if not tab or not 0 <= weight < float("inf"):
            raise BadInput(f"{path}:{number}: a line is a token, a tab and a weight of at least 0; this one is {line[:60]!r}")
        if token in found:
            raise BadInput(f"{path}:{number}: {token!r} has a weight already")
        found[token] = weight
    return found
