"""The arguments of indexes that have many: of impacts, `256,query=both:16,weights=idf`, and of BM25, `probe,level=L1`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rarityir import registry
from rarityir.types import RarityError, UnknownName


class ImpactSettings(NamedTuple):
    """What `sparse:64,style=…` says: the first five make what is stored, the last four the queries."""

    keep: int = 64
    weighting: str = "minus-next"
    style: str = "aligned"
    scale: str = "unit"
    stem: str = ""
    query: str = "literal"
    weights: str = "1"
    source: str = "english"
    gamma: float = 1.0  # the power that a query's weights are raised to

    @classmethod
    def parse(cls, arg: str, where: str = "sparse", more: Mapping[str, Callable[[str], Any]] | None = None) -> ImpactSettings:
        """Reads an argument; `more` are options of another index of impacts, which it reads itself."""
        known: dict[str, Callable[[str], Any]] = dict.fromkeys(cls._fields, str) | {"gamma": float}
        given = registry.options(arg, {**known, **(more or {})}, where)
        keep = given.get("keep", str(cls().keep))
        if not keep.isdecimal() or len(keep) > 9 or int(keep) < 1:
            raise RarityError(
                f"{where}:{arg}: how many tokens of each document to keep is a whole number, such as {where}:64"
            ) from None
        if given.get("scale", "unit") not in ("unit", "none"):
            raise RarityError(f"{where}:{arg}: scale is unit (every document's impacts have length 1) or none")
        return cls(int(keep), **{name: value for name, value in given.items() if name in cls._fields[1:]})

    @property
    def stored(self) -> str:
        """The argument without what is default and what only queries depend on."""
        default = ImpactSettings()
        named = [f"{n}={getattr(self, n)}" for n in self._fields[1:5] if getattr(self, n) != getattr(default, n)]
        return ",".join([str(self.keep), *named])


FOREIGN = ("id-zipf", "transfer", "probe", "probe-repaired", "shuffled")  # IDFs that no corpus of the documents is read for
IDFS = ("uniform", *FOREIGN, "oracle")
LEVELS = ("L0", "L1", "L2")
PIECES = ("sum", "max", "last")
LENGTH = 200.0  # tokens of a document, where none of a corpus is looked at


class IdfSettings(NamedTuple):
    """What `bm25-idf:probe,level=L0,source=…` says; nothing that is stored depends on it.

    `idf`: where the IDF comes from, one of `IDFS`, or a file or folder of weights, which are raised to the power `gamma`;
    `level`: what is known of the corpus (L0 nothing, L1 its size and mean length, L2 all); `source`: what tokens' statistics
    are taken from; `rows`: the matrix that a probe reads; `pieces`: which pieces of a query's word are asked for; `length`: the
    tokens of a document where they are not known; `seed`: of `shuffled`; `first`: how many of the corpus's documents are looked
    at all the same, and `mix`: what a surprise then weighs beside theirs.
    """

    idf: str = "oracle"
    level: str = ""
    source: str = "english"
    rows: str = "output"
    pieces: str = "sum"
    k1: float = 0.9
    b: float = 0.4
    length: float = LENGTH
    seed: int = 0
    first: int = 0
    mix: float = 0.5
    gamma: float = 1.0

    @classmethod
    def foreign(cls, settings: ImpactSettings) -> IdfSettings:
        """Returns what `weights=probe,source=…` of an index of impacts says: level L0."""
        return cls(settings.weights, "L0", settings.source)

    @classmethod
    def parse(cls, arg: str) -> IdfSettings:
        """Reads an argument; L2 is the level of `oracle` and of weights where none is given, L0 of all others."""
        default, where = cls(), f"bm25-idf:{arg}"
        known: dict[str, Callable[[str], Any]] = {name: type(value) for name, value in default._asdict().items()}
        found = cls(**registry.options(arg, known, "bm25-idf"))
        found = found._replace(level=found.level or ("L2" if found.idf == "oracle" or found.weights else "L0"))
        for what, name, among in (
            *([] if found.weights else [("source of IDF", found.idf, IDFS)]),
            ("level", found.level, LEVELS),
            ("choice of pieces", found.pieces, PIECES),
        ):
            if name not in among:
                raise UnknownName(registry.unknown(what, name, among))
        if not 0 <= found.k1 < float("inf") or not 0 <= found.b <= 1:
            raise RarityError(f"{where}: k1 must be at least 0, and b between 0 and 1")
        if found.first < 0 or not 0 <= found.mix <= 1:
            raise RarityError(f"{where}: first is a number of documents, and mix lies between 0 and 1")
        if not 0 < found.length < float("inf"):
            raise RarityError(f"{where}: length is the tokens of a document, a number above 0")
        if not 0 <= found.gamma < float("inf"):
            raise RarityError(f"{where}: gamma, the power of the weights, is a number of at least 0")
        if found.gamma != 1 and not found.weights:
            raise RarityError(f"{where}: gamma is of weights from a file or folder; {found.idf} takes none")
        return found

    @property
    def weights(self) -> str:
        """The file or folder that the IDF is read from; empty where it has a name of `IDFS`."""
        return self.idf if self.idf not in IDFS and _there(self.idf) else ""


def _there(name: str) -> bool:
    """Whether a file or folder has this name, which may be one that none can have."""
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False
