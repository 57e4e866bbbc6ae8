"""Pyserini's prebuilt Lucene index of a collection: from its cache or its server, checked before it is used.

What it finds is what an index built here finds. Its documents carry the collection's own ids, and equal scores stand in another
order in it, so hits are put in order by score, then row, as everywhere; at the cutoff more are fetched until ties are whole.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tarfile
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

from rarityir import parsing, progress, store
from rarityir.indexes import java
from rarityir.types import Json, RarityError

# Corpora, and prebuilt indexes of them by our analyser: the first is fetched, any is taken that is here already.
KNOWN: Mapping[str, tuple[str, ...]] = {"msmarco-passage": ("msmarco-v1-passage-slim", "msmarco-v1-passage")}
FACTS = "prebuilt.json"
_TABLES = "prebuilt-indexes/*-inverted.json"
TIES = 64  # hits beyond the cutoff that are fetched at once
DEPTH, SAME = 1000, 2e-3  # hits among which a document must be by its own words, and how far its score may be rounded
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prebuilt:
    """An entry of Anserini's table: an archive's name, its MD5, where it is, and how many documents it holds."""

    name: str
    filename: str
    md5: str
    urls: tuple[str, ...]
    documents: int

    @property
    def folder(self) -> str:
        """The folder's name in Pyserini's cache."""
        return f"{self.filename.partition('.tar.gz')[0]}.{self.md5}"


def known(corpus: str) -> list[Prebuilt]:
    """Returns the prebuilt indexes of a corpus, as the table inside Anserini's jar has them."""
    names = KNOWN.get(corpus, ())
    found: dict[str, Prebuilt] = {}
    try:
        for row in _tables() if names else ():
            if row["name"] in names:
                found[row["name"]] = Prebuilt(row["name"], row["filename"], row["md5"], tuple(row["urls"]), int(row["documents"]))
    except (zipfile.BadZipFile, zlib.error, *parsing.BROKEN) as error:
        told = f"{type(error).__name__}: {error}"
        raise RarityError(f"{java.jar()} is no whole jar of Anserini ({told}); install Pyserini again") from None
    return [found[name] for name in names if name in found]


def _tables() -> Iterator[dict[str, Json]]:
    with zipfile.ZipFile(java.jar()) as jar:
        for path in jar.namelist():
            if Path(path).match(_TABLES):
                yield from parsing.loads(jar.read(path))


def cache() -> Path:
    """Returns where Pyserini keeps its indexes."""
    return Path(os.environ.get("PYSERINI_CACHE") or Path.home() / ".cache" / "pyserini") / "indexes"


def take(corpus: str, doc_ids: Sequence[str], probes: Callable[[], Mapping[int, str]], folder: Path) -> dict[str, Json] | None:
    """Puts the prebuilt index of a corpus into `folder` and returns its facts; None, after saying why, where none can be had.

    Args:
        doc_ids: the corpus's ids in row order; an index serves where they are the row's number.
        probes: gives some rows' texts, which must be found by their own words under those rows.
    """
    choices = known(corpus)
    if not choices:
        return None
    here = [one for one in choices if (cache() / one.folder).is_dir()]
    try:
        if any(doc_id != str(row) for row, doc_id in enumerate(doc_ids)):
            raise RarityError("its documents are not in the order of their ids")
        chosen = (here or choices)[0]
        if chosen.documents != len(doc_ids):
            raise RarityError(f"it holds {chosen.documents:,} documents, the corpus {len(doc_ids):,}")
        with _offered(chosen, folder) as files:
            target = folder / "lucene"
            shutil.rmtree(target, ignore_errors=True)  # an index that was begun here
            target.mkdir(parents=True)
            for name, file in files:
                with (target / name).open("wb") as out:
                    shutil.copyfileobj(file, out, 1 << 20)
        check(target, len(doc_ids), probes())
    except (RarityError, OSError, tarfile.TarError) as error:
        shutil.rmtree(folder / "lucene", ignore_errors=True)
        log.warning(
            "Pyserini's prebuilt index of %s cannot be had (%s); the corpus is indexed", corpus, str(error).splitlines()[0]
        )
        return None
    facts: dict[str, Json] = {"name": chosen.name, "md5": chosen.md5, "file": chosen.filename}
    store.write_json(folder / FACTS, facts)
    size = sum(path.stat().st_size for path in target.iterdir())
    return {"dim": None, "bytes_per_doc": round(size / len(doc_ids), 1), "prebuilt": facts}


def check(folder: Path, documents: int, probes: Mapping[int, str]) -> None:
    """Raises `RarityError` unless documents score for their own words as BM25 says, and stop words find nothing.

    So the index was made of these texts, all of them, by the analyser that serves here (English stop words, Porter's stems).
    """
    lucene = java.Lucene(folder, 0.9, 0.4)
    if lucene.documents != documents:
        raise RarityError(f"it holds {lucene.documents:,} documents, the corpus {documents:,}")
    stopped = [word for word in ("the", "of", "and") if lucene.frequency(word)]
    if stopped:
        raise RarityError(f"it holds the stop word {stopped[0]!r}: it was made by another analyser")
    for row, text in probes.items():
        terms = lucene.analysed(text)
        if any(not lucene.frequency(term) for term in terms):
            missing = next(term for term in terms if not lucene.frequency(term))
            raise RarityError(f"document {row} holds {missing!r}, which it lacks: it was made otherwise")
        (found,) = java.batch(lucene.searcher, [text], DEPTH)
        if terms and not any(doc == row and abs(score - lucene.own(terms)) < SAME for doc, score in found):
            raise RarityError(f"document {row} does not score for its own words as it must: it was made of other texts")


@contextmanager
def _offered(chosen: Prebuilt, folder: Path) -> Iterator[Iterator[tuple[str, BinaryIO]]]:
    """Gives the index's files by their bare names: from the cache, or from the archive once its checksum is right."""
    there = cache() / chosen.folder
    if there.is_dir():
        yield ((path.name, path.open("rb")) for path in sorted(there.iterdir()) if path.is_file())
        return
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        raise RarityError("it is not in Pyserini's cache, and HF_HUB_OFFLINE is set")
    archive = folder / f".{chosen.filename}.tmp"
    try:
        _download(chosen, archive)
        with tarfile.open(archive) as tar:
            yield _members(tar)
    finally:
        archive.unlink(missing_ok=True)


def _members(tar: tarfile.TarFile) -> Iterator[tuple[str, BinaryIO]]:
    """An archive's regular files by their bare names: no path in it leads anywhere, no link is followed."""
    for member in tar:
        file = tar.extractfile(member) if member.isreg() else None
        name = Path(member.name).name
        if file is not None and name not in ("", ".", ".."):
            yield name, file  # type: ignore[misc]  # read in chunks alone


def _download(chosen: Prebuilt, archive: Path) -> None:
    """Fetches the archive from the first place that has it; raises `RarityError` if its MD5 is another."""
    reason = "no place is known"
    for url in chosen.urls:
        digest = hashlib.md5(usedforsecurity=False)
        try:
            with urllib.request.urlopen(url, timeout=30) as source, archive.open("wb") as out:
                total = int(source.headers.get("Content-Length") or 0) or None
                with progress.bar(f"fetching {chosen.name}", total) as advance:
                    while block := source.read(1 << 20):
                        digest.update(block)
                        out.write(block)
                        advance(len(block))
        except (OSError, HTTPException) as error:
            reason = str(error)
            continue
        if digest.hexdigest() == chosen.md5:
            return
        reason = f"the checksum of {url} differs"
    raise RarityError(f"{chosen.filename}: {reason}")


class PrebuiltIndex:
    """Searches a prebuilt index; hits come as rows."""

    def __init__(self, lucene: java.Lucene) -> None:
        self._lucene = lucene

    def best(self, queries: Sequence[str], cutoff: int) -> list[list[tuple[int, float]]]:
        """Returns the best `cutoff` (row, score) of each query by score, then row."""
        found = []
        for query in queries:
            depth = cutoff + TIES
            hits = self._lucene.best(query, depth)
            while len(hits) == depth and hits[-1][1] == hits[cutoff - 1][1]:  # more may equal the last that is wanted
                depth *= 4
                hits = self._lucene.best(query, depth)
            ranked = sorted((-score, row) for row, score in hits)
            found.append([(row, -score) for score, row in ranked[:cutoff]])
        return found
