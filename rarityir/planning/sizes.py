"""Closed forms of what an evaluation keeps: bytes on disk and in memory, widths that filters leave; and the room there is."""

from __future__ import annotations

import math
import os
import resource
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rarityir import machine, registry
from rarityir.filters.band import Band, kept_width
from rarityir.ica.dropping import ITERATIONS as STEPS
from rarityir.ica.dropping import SAMPLE
from rarityir.indexes.approximate import CODES, MOST, Kind
from rarityir.settings import ImpactSettings
from rarityir.systems import Part

POSTING = 4  # bytes of a posting, about; 2.8 to 4.2 measured on Cranfield, three of them its row and impact
FREQUENCY = 3  # bytes of a posting of token frequencies
POSTINGS_BLOCK = 65_536  # documents whose postings are made at once
TILE = 1 << 24  # bytes of scores that exact search holds at a time, or 256 documents' of every query
ITERATIONS = 25  # of k-means, as FAISS does them
_KEEPS = ("frequent", "ica", "pca", "randproj", "spectroscopy", "truncate", "whiten")  # the k of name:k
DOCUMENTS = ("abtt", "center", "ica", "pca", "whiten")  # fitted on the documents' embeddings
FREE = ("center", "randproj", "saved", "truncate")  # that need no eigenvectors
_AXES = "ica-drop"
_DROPS = {"abtt": None, "logfreq": 1}  # so many directions; None: the d of name:d


class Size(NamedTuple):
    """Bytes on disk at most, and in memory at most, while an index is built or searched."""

    disk: int
    memory: int


def width(parts: Sequence[Part], dim: int) -> tuple[int, bool]:
    """Returns the dimensions that filters leave of `dim`, and whether that is known before they are fitted.

    A filter that chooses its width itself (`auto`) leaves at most what it is given.
    """
    known = True
    for part in parts:
        fit = registry.resolve("filters", part.name)(part.arg)
        items = part.arg.split(",")
        number = next((item for item in items if item.startswith("k=")), items[0]).removeprefix("k=")
        if isinstance(fit, Band):
            dim = len(fit.positions(dim))
        elif part.name in _KEEPS:
            dim = min(dim, int(number))
        elif part.name == _AXES:
            given = dict(item.partition("=")[::2] for item in items)
            dim = min(dim, int(given["keep"])) if "keep" in given else kept_width(_AXES, given.get("tau", "2"), dim)
        elif part.name in _DROPS:
            dim -= _DROPS[part.name] or int(number)
        else:
            known = known and part.name == "center"
    return max(1, dim), known


def on_documents(part: Part) -> bool:
    """Whether a filter is fitted on the documents' embeddings."""
    return part.name in DOCUMENTS or (part.name == _AXES and "on=documents" in part.arg.split(","))


def searching(part: Part, rows: int, dim: int) -> float:
    """Returns the multiply-adds of a search for independent axes, all its iterations counted; 0 for other filters.

    An iteration multiplies the rows it is made on twice by all axes, and turns these until they are orthogonal (about 10 D³).
    """
    if part.name not in (_AXES, "ica"):
        return 0.0
    given = dict(item.partition("=")[::2] for item in part.arg.split(","))
    axes = min(dim, int(given.get("components", dim)))
    sample = int(given.get("sample", SAMPLE)) or rows
    return int(given.get("iterations", STEPS)) * (2.0 * min(rows, sample) * axes**2 + 10.0 * axes**3)


def exact(count: int, dim: int, topics: int, cutoff: int) -> Size:
    """Returns the size of a flat index, which is read block by block: memory is a block's scores and what queries keep."""
    depth = min(count, cutoff + max(64, cutoff // 8))
    return Size(4 * dim * count, max(TILE, 4 * 256 * topics) + 24 * depth * topics + 4 * dim * topics)


def approximate(kind: Kind, count: int, dim: int) -> Size:
    """Returns the size of an index of FAISS, which memory holds; the vectors lie on disk beside it while it is built."""
    code = dim if kind.scalar else kind.bytes or 4 * dim
    links = 8 * kind.links + 4 * kind.links // max(1, kind.links - 1) + 12 if kind.links else 0
    held = count * (code + links + 8 * bool(kind.cells)) + 4 * dim * (kind.cells + CODES * bool(kind.bytes))
    trained = 4 * dim * min(count, MOST * max(kind.cells, CODES)) if kind.cells or kind.bytes else 0
    return Size(held + 4 * dim * count, held + trained)


def operations(kind: Kind, count: int, dim: int, topics: int) -> tuple[float, float]:
    """Returns the multiply-adds of building and of searching an index of FAISS that has no graph."""
    build = search = 0.0
    for centroids in (kind.cells, CODES if kind.bytes else 0):
        build += (ITERATIONS * min(count, MOST * centroids) + count) * centroids * dim
    share = min(1.0, kind.nprobe / kind.cells) if kind.cells else 1.0
    each = kind.bytes or dim
    search = topics * (kind.cells * dim + share * count * each)
    return build, search


def deeper(count: int, tried: int) -> float:
    """Returns how much longer the paths of a graph of so many vectors are than those of the one that was tried."""
    return max(1.0, math.log(max(count, 2)) / math.log(max(tried, 2)))


def postings(settings: ImpactSettings, count: int, vocabulary: int, dim: int, *, whole: bool) -> Size:
    """Returns the size of an index of impacts: at most `keep` postings a document, and what every block has of every token.

    Memory holds the unembedding, and a block of postings, or all of them twice where the engine keeps the `whole`.
    """
    disk = POSTING * settings.keep * count + 5 * vocabulary * -(-count // POSTINGS_BLOCK) + 4 * count
    held = 2 * disk if whole else 16 * settings.keep * min(count, POSTINGS_BLOCK)
    return Size(disk, held + 8 * vocabulary * dim)


def frequencies(each: float, count: int, vocabulary: int) -> Size:
    """Returns the size of an index of token frequencies, `each` bytes a document; memory holds a block of documents.

    Every block has five bytes of every token, and a document its length.
    """
    disk = round(each * count) + 5 * vocabulary * -(-count // POSTINGS_BLOCK) + 8 * count
    return Size(disk, round(12 * each * min(count, POSTINGS_BLOCK)) + 8 * vocabulary)


def held() -> int:
    """Returns the most bytes this process has held: Python, its libraries, and the model where it was loaded."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most << 10


def disk_free(folder: Path) -> int | None:
    """Returns the bytes free where a folder is or will be."""
    for place in (folder.absolute(), *folder.absolute().parents):
        if place.exists():
            return shutil.disk_usage(place).free
    return None


def memory_free() -> int | None:
    """Returns the bytes this process may have, those it has included; None where the system does not say."""
    try:
        facts = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free, left = int(facts["MemAvailable"].split()[0]) << 10, machine.memory_left()
        return held() + (free if left is None else min(free, left))
    except (OSError, KeyError, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
