"""A folder that can be searched by name: a sparse index, its documents' ids and its tokens' names, under one manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rarityir import parsing, progress, store
from rarityir.doc_ids import ENDS, DocIds, writing
from rarityir.indexes.postings import SparseIndex
from rarityir.settings import ImpactSettings
from rarityir.systems import System
from rarityir.tokens import Vocabulary
from rarityir.types import BadInput, Encoder, Impacts, Json, RarityError
from rarityir.vectors.reading import BLOCK, documents, files, place

TOKENS = "tokens.txt"
FORM = "JSON vectors, 8 bits, form 2"
_AT_ONCE = 1 << 16
# Vectors that were read, until all are; `store` removes files of such names.
_SPILL = (".lengths.tmp", ".token_ids.tmp", ".values.tmp")


@dataclass(frozen=True)
class Collection:
    """Row i of the index is the document `doc_ids[i]`, its token t is `tokens[t]`."""

    folder: Path
    index: SparseIndex = field(repr=False)
    doc_ids: Sequence[str] = field(repr=False)
    tokens: Sequence[str] = field(repr=False)


def build(source: str | Path, out: str | Path) -> Collection:
    """Indexes JSON vectors, a file or a folder of files, into a folder; one that is complete already is opened.

    The vectors are read once and lie on disk meanwhile, 8 bytes an impact, as the vocabulary is not known before the last one.
    A folder that was built of other vectors is a `StaleArtefact`.
    """
    source, out = Path(source), Path(out)
    facts: dict[str, Json] = {}
    identity: dict[str, Json] = {"vectors": source.name, "sha256": _digests(source), "form": FORM}
    with store.building(out, identity, facts, resumes=False) as needed:
        if needed:
            names: dict[str, int] = {}
            try:
                count = _spill(source, out, names)
                index = SparseIndex.build(_spilled(out, count, len(names)), out)
            finally:
                for name in _SPILL:
                    (out / name).unlink(missing_ok=True)
            write_tokens(out, list(names))
            facts.update(index.statistics())
    return opened(out)


def opened(folder: str | Path) -> Collection:
    """Opens a complete folder of `build` or `merge`, memory-mapped."""
    folder = Path(folder)
    if not (folder / TOKENS).is_file():
        if (folder / "index.json").is_file():
            raise RarityError(f"{folder} holds no names of tokens; give --encoder, the encoder that rarityir built it with")
        raise RarityError(f"{folder} holds no sparse index; build one: rarityir sparse build VECTORS {folder}")
    _complete(folder)
    try:
        tokens = [str(parsing.loads(line)) for line in (folder / TOKENS).read_text(encoding="utf-8").split("\n") if line]
    except parsing.BROKEN:
        raise RarityError(f"{folder} holds no whole names of documents and tokens; build it again") from None
    return _fitting(Collection(folder, SparseIndex.load(folder), DocIds(folder), tokens))


def opened_corpus(folder: str | Path, encoder: Encoder) -> Collection:
    """Opens the index of a system such as `indexes/cranfield/demo/sparse_64`.

    Its doc_ids are those of the corpus two folders up, its tokens the encoder's canonical ones. An encoder of another identity
    than the index's is a `RarityError`.
    """
    folder = Path(folder)
    identity = _complete(folder)["identity"]
    if not str(identity.get("index", "")).startswith("sparse:"):
        raise RarityError(f"{folder} holds no sparse index; give the folder of one, such as sparse_64")
    for name, value in json.loads(json.dumps(encoder.identity())).items():
        if identity.get(f"encoder.{name}", value) != value:
            raise RarityError(f"{folder} was built with another encoder than {encoder.name} ({name} differs); give that one")
    found = folder.resolve().parents[1] / "documents"
    if not (found / ENDS).is_file():
        raise RarityError(f"{folder} has no {found / ENDS}; give the folder of an index where rarityir built it")
    store.check(found)
    index = System.parse(str(identity["index"])).index
    vocabulary = Vocabulary.of(encoder.tokens(), ImpactSettings.parse(index.arg).stem if index else "")
    return _fitting(Collection(folder, SparseIndex.load(folder), DocIds(found), vocabulary.names))


def merge(parts: Sequence[str | Path], out: str | Path) -> Collection:
    """Joins folders into one, the documents of the parts one after another; tokens of one name become one.

    Nothing is rounded twice: stored anew, n/255 of a document's largest is the same n/255.
    """
    found, out = [opened(part) for part in parts], Path(out)
    facts: dict[str, Json] = {}
    identity: dict[str, Json] = {"merged": [_digest(part) for part in found], "form": FORM}
    with store.building(out, identity, facts, resumes=False) as needed:
        if needed:
            _join_ids(found, out)
            names: dict[str, int] = {}
            for name in (name for part in found for name in part.tokens):
                names.setdefault(name, len(names))
            if all(len(part.tokens) == len(names) and list(part.tokens) == list(names) for part in found):
                index = SparseIndex.merge([part.index for part in found], out)
            else:
                index = SparseIndex.build((block for part in found for block in _renamed(part, names)), out)
            write_tokens(out, list(names))
            facts.update(index.statistics())
    return opened(out)


def blocks(index: SparseIndex) -> Iterator[Impacts]:
    """Yields an index's impacts in row order, so many documents at a time as it holds in one block."""
    for start in range(0, index.documents, _AT_ONCE):
        yield index.impacts(start, min(start + _AT_ONCE, index.documents))


def _spill(source: Path, out: Path, names: dict[str, int]) -> int:
    """Reads all vectors into files that are removed when the folder is complete, and keeps the ids; returns how many."""
    with ExitStack() as stack, progress.bar("reading vectors", None) as advance:
        held = [stack.enter_context((out / name).open("wb")) for name in _SPILL]
        take = stack.enter_context(writing(out))
        for ids, impacts in documents(source, names, unique=False):
            held[0].write(np.diff(impacts.indptr).astype(np.int32).tobytes())
            held[1].write(impacts.token_ids.astype(np.int32).tobytes())
            held[2].write(impacts.values.tobytes())
            for doc_id in ids:
                take(doc_id)
            advance(len(ids))
    if not names:
        raise BadInput(f"{source} holds no token: every vector is empty")
    doc_ids = DocIds(out)
    if twice := doc_ids.repeated():
        first, second = twice
        where = f"{place(source, second)}: duplicate id {doc_ids[first]!r}"
        raise BadInput(f"{where} (vectors {first + 1} and {second + 1})")
    return len(doc_ids)


def _spilled(out: Path, count: int, vocabulary: int) -> Iterator[Impacts]:
    with ExitStack() as stack, progress.bar("indexing", count) as advance:
        held = [stack.enter_context((out / name).open("rb")) for name in _SPILL]
        for _ in range(0, count, BLOCK):
            lengths = np.fromfile(held[0], np.int32, BLOCK)  # the last ones may be fewer
            indptr = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
            token_ids = np.fromfile(held[1], np.int32, int(indptr[-1])).astype(np.int64)
            yield Impacts(indptr, token_ids, np.fromfile(held[2], np.float32, int(indptr[-1])), vocabulary)
            advance(len(indptr) - 1)


def _renamed(part: Collection, names: dict[str, int]) -> Iterator[Impacts]:
    new_id = np.array([names[token] for token in part.tokens], np.int64)
    for block in blocks(part.index):
        yield Impacts(block.indptr, new_id[block.token_ids], block.values, len(names))


def write_tokens(out: Path, tokens: Sequence[str]) -> None:
    """Writes tokens as a JSON string a line, as a token may hold a line's end."""
    store.write_lines(out / TOKENS, (json.dumps(token, ensure_ascii=False) for token in tokens))


def _join_ids(parts: Sequence[Collection], out: Path) -> None:
    """Writes the doc_ids of all parts; one that is there twice is a `RarityError`."""
    with writing(out) as take:
        for part in parts:
            for doc_id in part.doc_ids:
                take(doc_id)
    doc_ids = DocIds(out)
    if twice := doc_ids.repeated():
        ends = np.cumsum([len(part.doc_ids) for part in parts])
        one, other = (parts[int(np.searchsorted(ends, row, side="right"))].folder for row in twice)
        raise RarityError(f"doc_id {doc_ids[twice[0]]!r} is in {one} and in {other}; merge parts that share no document")


def _fitting(found: Collection) -> Collection:
    have, want = (len(found.doc_ids), len(found.tokens)), (found.index.documents, found.index.vocabulary)
    if have != want:
        raise RarityError(
            f"{found.folder} holds {want[0]} documents and {want[1]} tokens, but names {have[0]} and {have[1]}; build it again"
        )
    return found


def _complete(folder: Path) -> dict[str, Json]:
    """The manifest of a folder whose files are all there; one that is not complete is a `RarityError`."""
    if not (folder / store.MANIFEST).is_file():
        raise RarityError(f"{folder} holds no whole index; repeat the command that builds it")
    found = store.described(folder)
    store.manifest(folder, found["identity"])
    store.check(folder)
    return found


def _digests(source: Path) -> Json:
    """The SHA-256 of a file of vectors, or of each file of a folder."""
    if source.is_dir():
        return {file.name: store.digest_file(file) for file in files(source)}
    if not source.is_file():
        raise BadInput(f"no file {source}")
    return store.digest_file(source)


def _digest(part: Collection) -> str:
    contents = {name: facts["sha256"] for name, facts in _complete(part.folder)["files"].items()}
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()
