"""Names of measures: the field's (`nDCG@10`, `RR@10`, `AP(rel=2)`) and every name ranx knows (`hit_rate@5`)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rarityir import registry
from rarityir.types import RarityError, UnknownName

DEFAULT = ("nDCG@10", "RR@10", "R@100", "R@1000", "AP")
_FIELD = {
    "nDCG": "ndcg", "RR": "mrr", "R": "recall", "AP": "map", "P": "precision", "Success": "hit_rate", "Rprec": "r-precision",
}  # fmt: skip
_RANX = (
    "hits", "hit_rate", "precision", "recall", "f1", "r-precision", "bpref", "rbp", "mrr", "map", "dcg", "dcg_burges",
    "ndcg", "ndcg_burges",
)  # fmt: skip
_WHOLE = ("Rprec", "r-precision", "bpref")  # of the whole ranking: ranx would ignore a cutoff
_NAME = re.compile(r"([A-Za-z_0-9]+?|r-precision)(?:\(rel=(\d{1,9})\))?(?:([@.])(\d{1,9}))?(?:\(rel=(\d{1,9})\)|-l(\d{1,9}))?")


@dataclass(frozen=True)
class Measure:
    """A measure by its name as the user wrote it, and ranx's name for it."""

    name: str
    ranx: str

    @property
    def cutoff(self) -> int | None:
        """How many documents of a ranking it looks at; None where at all of them."""
        match = re.search(r"@(\d+)", self.ranx)
        return int(match[1]) if match else None

    @classmethod
    def parse(cls, name: str) -> Measure:
        """Reads a measure's name; an unknown one lists what is known, before any work is done."""
        match = _NAME.fullmatch(name)
        if match is None or (match[1] not in _FIELD and match[1] not in _RANX) or (match[3] == "." and match[1] != "rbp"):
            raise UnknownName(_unknown(name))
        stem, at, cutoff = _FIELD.get(match[1], match[1]), match[3], match[4]
        level = int(next((given for given in (match[2], match[5], match[6]) if given), 1))
        if level < 1:
            raise RarityError(f"{name}: rel= is at least 1, the lowest grade that counts as relevant")
        if level > 1 and "dcg" in stem:
            raise RarityError(f"{name}: nDCG weighs grades and takes no rel=; use it as nDCG@10")
        if at == "@" and match[1] in _WHOLE:
            raise RarityError(f"{name}: {match[1]} has no cutoff; use it as {name.replace(f'@{cutoff}', '')}")
        if at == "@" and int(cutoff) < 1:
            raise RarityError(f"{name}: a cutoff is at least 1")
        if stem == "rbp" and at != ".":
            raise RarityError(f"{name}: rbp needs its persistence, such as rbp.95")
        return cls(name, stem + f"{at or ''}{cutoff or ''}" + (f"-l{level}" if level > 1 else ""))


def _unknown(name: str) -> str:
    """What may have been meant, with the cutoff that was asked for, where it takes one."""
    stem, cutoff = re.fullmatch(r"(.*?)([@.]\d+)?", name, re.DOTALL).groups("")  # type: ignore[union-attr]  # fits anything
    if near := registry.near(stem, (*_FIELD, *_RANX)):
        found = f"unknown measure {name!r}; did you mean {' or '.join(_spelt(each, cutoff) for each in near)}?"
    else:
        found = registry.unknown("measure", name, (*_FIELD, *_RANX))
    return found + " (with a cutoff: nDCG@10)" * (not cutoff)


def _spelt(stem: str, cutoff: str) -> str:
    if stem == "rbp":
        return stem + (cutoff if cutoff.startswith(".") else ".95")
    return stem if stem in _WHOLE or cutoff.startswith(".") else stem + cutoff
