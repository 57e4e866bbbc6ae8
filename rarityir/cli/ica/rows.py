"""What the commands of `rarityir ica` share: the rows that axes are of, and options that say which."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rarityir import parsing, store
from rarityir.cli.options import Command, given, retriever
from rarityir.types import Json, RarityError, StaleArtefact

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rarityir.ica import Axes
    from rarityir.retrieval import Retriever
    from rarityir.types import Encoder

ROWS = ("documents", "output", "input")
OUT = click.option("--out", type=click.Path(path_type=Path), help="File for the JSON.")
PICTURE = click.option("--picture", type=click.Path(path_type=Path), metavar="FILE", help="Draw it: .svg, .png or .pdf.")
SEED = click.option("--seed", type=click.IntRange(0), default=0, show_default=True)


def folder(command: Command) -> Command:
    """Adds the folder of saved axes."""
    return click.argument("folder", type=click.Path(path_type=Path))(command)


def opened(path: Path) -> Axes:
    """Returns saved axes."""
    from rarityir.ica import Axes

    return Axes.load(path)


def reader(axes: Axes, dataset: str | None, indexes: str | None) -> Retriever:
    """Returns what reads topics and documents with the encoder that axes were fitted with."""
    name = axes.fitted_on.get("encoder")
    if name is None:
        raise RarityError("these axes were fitted on an array and know no encoder; fit them with --encoder")
    reading = dict(axes.fitted_on["reading"])
    found = retriever({"encoder": name, "dataset": dataset or axes.fitted_on.get("dataset"), "indexes": indexes, **reading})
    difference = store.differing(axes.fitted_on["identity"], _known(found.encoder))
    if difference:
        raise StaleArtefact(f"the axes were fitted with {difference}; fit them again")
    return found


def read_by(encoder: Encoder, options: dict[str, Any]) -> dict[str, Json]:
    """Returns what axes say of the encoder they were fitted with, and how it read."""
    reading = {key: value for key, value in given(options).items() if key not in ("encoder", "dataset", "indexes")}
    return {"encoder": options["encoder"] or "demo", "reading": reading, "identity": _known(encoder)}


def _known(encoder: Encoder) -> dict[str, Json]:
    said = encoder.identity()
    return {key: said.get(key) for key in ("model", "revision", "pooling", "instruction", "max_length")}


def fitted_rows(axes: Axes, indexes: str | None) -> NDArray[Any]:
    """Returns the rows that axes were fitted on, read anew."""
    source = str(axes.fitted_on.get("rows"))
    if source not in ROWS:
        return array(Path(source))
    found = reader(axes, None, indexes)
    return documents(found) if source == "documents" else token_rows(found.encoder, source)


def documents(found: Retriever) -> NDArray[Any]:
    """Returns all documents' raw embeddings."""
    import numpy as np

    return np.concatenate(list(found.embeddings))


def token_rows(encoder: Encoder, kind: str) -> NDArray[Any]:
    """Returns the unembedding's rows or those of the input embeddings."""
    if kind == "output":
        return encoder.unembedding()
    from rarityir import checkpoints

    return checkpoints.input_embeddings(encoder.model)[0].array()


def array(path: Path) -> NDArray[Any]:
    """Returns the matrix of a .npy file."""
    import numpy as np

    try:
        return np.asarray(parsing.array(path, mapped=True))
    except parsing.BROKEN as error:
        raise RarityError(
            f"{path} is no .npy file of rows ({type(error).__name__}); give one, or leave --embeddings out"
        ) from None


def numbers(text: str) -> list[int]:
    """Reads `12,85`."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise click.UsageError(f"{text!r} is no list of numbers such as 12,85") from None
