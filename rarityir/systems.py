"""A system's name is its configuration: `bm25`, `dense+edge:2`, `sparse:64+edge:2`, `rrf(bm25,dense+edge:2)`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rarityir import registry
from rarityir.types import RarityError, UnknownName

_PART = re.compile(r"([A-Za-z][A-Za-z0-9-]*)(?::([^+()\s]+))?")

_MOST = 10_000  # systems that braces may stand for
_DEPTH = 50  # fusions within fusions
_LONGEST = 200  # bytes of a name as a file name, which gets a digest, an ending, and while it is written more

_CODE = re.compile(r"(pq|sq)\d+")  # how an index codes vectors, as in dense:ivf4096,pq64: no system is called so


@dataclass(frozen=True)
class Part:
    """A name with its argument, `edge:2`; an engine's name says what it holds too, `milvus:sparse` of `milvus:sparse:64`."""

    name: str
    arg: str = ""

    @classmethod
    def parse(cls, text: str) -> Part:
        """Reads `name` or `name:arg`."""
        match = _PART.fullmatch(text)
        if match is None:
            raise RarityError(f"cannot read {text!r}; a part is name or name:argument, such as edge:2 or bm25:k1=0.9,b=0.4")
        name, arg = match[1], match[2] or ""
        held, _, rest = arg.partition(":")
        return cls(f"{name}:{held}", rest) if f"{name}:{held}" in registry.table("indexes") else cls(name, arg)

    def __str__(self) -> str:
        return f"{self.name}:{self.arg}" if self.arg else self.name


@dataclass(frozen=True)
class System:
    """An index with the filters applied before it, or a fusion of systems. `System.parse(str(s)) == s`."""

    index: Part | None = None
    filters: tuple[Part, ...] = ()
    fusion: Part | None = None
    parts: tuple[System, ...] = ()

    @classmethod
    def parse(cls, text: str) -> System:
        """Reads a system's name; every unknown part is an `UnknownName` before any work is done."""
        return cls._read(text, _DEPTH)

    @classmethod
    def _read(cls, text: str, deep: int) -> System:
        text = text.strip()
        if "{" in text or "}" in text:
            raise RarityError(
                f"{text!r} is several systems where one is wanted, such as {expand(text)[0]}; rarityir eval takes several"
            )
        if not deep:
            raise RarityError(f"fusions within fusions are read {_DEPTH} deep; write fewer")
        match = re.fullmatch(r"([^()]+)\((.*)\)", text, flags=re.DOTALL)
        if match:
            fusion = Part.parse(match[1])
            _known("fusions", "fusion", fusion)
            parts = tuple(cls._read(piece, deep - 1) for piece in split(match[2]))
            if len(parts) < 2:
                raise RarityError(f"{text!r} fuses fewer than two systems; write {fusion}(bm25,dense)")
            return cls(fusion=fusion, parts=parts)
        index, *filters = (Part.parse(piece) for piece in text.split("+"))
        _known("indexes", "system", index)
        for part in filters:
            _known("filters", "filter", part)
        if filters and registry.resolve("indexes", index.name).takes in ("text", "tokens"):
            raise RarityError(f"{text!r}: {index.name} reads text, which a filter cannot change; filter dense or sparse")
        return cls(index=index, filters=tuple(filters))

    def __str__(self) -> str:
        if self.fusion:
            return f"{self.fusion}({','.join(map(str, self.parts))})"
        return "+".join(map(str, (self.index, *self.filters)))

    @property
    def slug(self) -> str:
        """The name as a file name."""
        return slug(str(self))


def expand(text: str) -> list[str]:
    """Returns the names that braces stand for, as in a shell: `sparse:{16,64}{,+edge:2}` is four, in order."""
    found, rest = [""], text
    while "{" in rest or "}" in rest:
        before, opened, rest = rest.partition("{")
        inside, closed, rest = rest.partition("}")
        chosen = inside.split(",")
        if not (opened and closed) or "}" in before or "{" in inside:
            raise RarityError(f"unbalanced braces in {text!r}; write sparse:{{16,64}}{{,+edge:2}} for four systems")
        if len(found) * len(chosen) > _MOST:
            raise RarityError(f"the braces in {text[:60]!r} stand for more than {_MOST:,} systems; write fewer")
        found = [name + before + choice for name in found for choice in chosen]
    return [name + rest for name in found]


def split(text: str) -> list[str]:
    """Splits `bm25:k1=1.2,b=0.75,dense` into systems: commas inside brackets or inside an argument do not split."""
    pieces: list[str] = []
    start = depth = 0
    for position, letter in enumerate(text + ","):
        depth += (letter in "({") - (letter in ")}")
        if letter == "," and depth == 0:
            piece = text[start:position].strip()
            start = position + 1
            if pieces and ":" in pieces[-1] and not _starts_a_system(piece):
                pieces[-1] += "," + piece
            elif piece:
                pieces.append(piece)
    if depth:
        raise RarityError(f"unbalanced brackets in {text!r}")
    return pieces


def slug(name: str) -> str:
    """Returns a name as one safe path component: distinct names of the grammar stay distinct.

    One that is very long is cut. That, and letters that no component can hold, are told from others by a digest.
    """
    found = re.sub(r"[^\w.=+,()@-]", lambda m: {":": "_", "/": "--", "?": "@"}.get(m[0], "~"), name)
    if found.strip(".") == "":
        found = found.replace(".", "~") + "~"
    short = found.encode()[:_LONGEST].decode(errors="ignore")
    return f"{short}~{_told(name)}" if "~" in found or short != found else found


def _told(name: str) -> str:
    import hashlib

    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _starts_a_system(piece: str) -> bool:
    """Whether a comma-separated piece names a system, known or misspelt, rather than going on with an argument."""
    name = re.split(r"[:+({]", piece, maxsplit=1)[0]
    known = name in registry.table("indexes") or name in registry.table("fusions")
    return known or not ("=" in name or name[:1].isdigit() or _CODE.fullmatch(name))


def _known(kind: str, what: str, part: Part) -> None:
    known = registry.table(kind)
    if part.name not in known:
        held = [name for name in known if name.startswith(f"{part.name}:")]  # an engine, but not what it is to hold
        raise UnknownName(registry.unknown(what, part.name, held or {name.partition(":")[0] for name in known}))
