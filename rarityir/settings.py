"""The argument of an index of impacts: `64`, `64,style=promptreps`, `256,query=both:16,weights=idf`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from rarityir import registry
from rarityir.types import RarityError


class ImpactSettings(NamedTuple):
    """What `sparse:64,style=…` says: the first five make what is stored, the last two the queries."""

    keep: int = 64
    weighting: str = "minus-next"
    style: str = "aligned"
    scale: str = "unit"
    stem: str = ""
    query: str = "literal"
    weights: str = "1"

    @classmethod
    def parse(cls, arg: str, where: str = "sparse", more: Mapping[str, Callable[[str], Any]] | None = None) -> ImpactSettings:
        """Reads an argument; `more` are options of another index of impacts, which it reads itself."""
        known: dict[str, Callable[[str], Any]] = dict.fromkeys(cls._fields, str)
        given = registry.options(arg, {**known, **(more or {})}, where)
        keep = given.get("keep", str(cls().keep))
        if not keep.isdecimal() or int(keep) < 1:
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
