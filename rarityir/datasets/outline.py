"""A dataset as far as it is on this machine: what a plan reads, which downloads nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rarityir.datasets import ALIASES, load_dataset
from rarityir.types import Dataset, Doc, RarityError, UnknownName


def outline(name: str) -> Dataset:
    """Returns the dataset of a name without downloading anything.

    Where its topics are not here, it is what ir_datasets' metadata says: so many documents, none of which can be read, so
    many topics, whose texts are empty, and so many judged documents, whose ids are not known. Raises what `load_dataset`
    raises if the metadata says nothing either.
    """
    try:
        with offline():
            found = load_dataset(name)
    except UnknownName:
        raise
    except RarityError as error:
        found = _known(ALIASES.get(name, name), error)
    count = (
        found.docs_count if found.docs_count is not None else _lines(Path(name.partition(":")[0]) / str(found.identity["source"]))
    )
    return dataclasses.replace(found, docs=lambda: _here(found), docs_count=count)


def _lines(path: Path) -> int | None:
    """The lines of a folder's documents, which are as many as its documents; None where a file is compressed or not there."""
    if path.suffix == ".gz" or not path.is_file():
        return None
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


@contextmanager
def offline() -> Iterator[None]:
    """Makes ir_datasets raise where it would download, as if there were no network, and say nothing of it."""
    import ir_datasets
    from ir_datasets.util import download

    kinds = (download.RequestsDownload, download.GoogleDriveDownload, download.GoogleCloudBucketStream)
    kept = [kind.stream for kind in kinds]
    logger = ir_datasets.log.easy().logger()
    silent, logger.disabled = logger.disabled, True
    for kind in kinds:
        kind.stream = _refuse
    try:
        yield
    finally:
        logger.disabled = silent
        for kind, stream in zip(kinds, kept, strict=True):
            kind.stream = stream


def _refuse(source: object) -> None:
    raise OSError("a plan downloads nothing")


def _here(dataset: Dataset) -> Iterator[Doc]:
    with offline():
        yield from dataset.docs()


def _known(name: str, error: RarityError) -> Dataset:
    import ir_datasets

    try:
        corpus = ir_datasets.docs_parent_id(name)
        counts = {part: facts.get("count") for part, facts in ir_datasets.load(name).metadata().items()}
        documents = ir_datasets.load(corpus).metadata()["docs"]["count"]
    except KeyError:
        raise error from None

    def missing() -> Iterator[Doc]:
        raise error

    return Dataset(
        name=name,
        corpus=corpus,
        identity={"source": f"ir_datasets:{corpus}", "documents": documents},
        docs=missing,
        topics={str(n): "" for n in range(counts.get("queries") or 0)},
        qrels={"": {str(n): 1 for n in range(counts.get("qrels") or 0)}},
        docs_count=documents,
    )
