"""Reads JSON and arrays that anybody may have written: what is wrong with one is among `BROKEN`, and costs no more than its file.

A header is believed only as far as the file is long, nothing is unpickled, and what Python or numpy raise at odd content
(too deep, too large, no tokens of Python) becomes a `ValueError`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rarityir.types import Json

if TYPE_CHECKING:
    from zipfile import ZipFile, ZipInfo

    from numpy.typing import NDArray

# What taking stored values apart raises where they are not what they should be.
BROKEN = (
    OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, MemoryError, EOFError,
)  # fmt: skip
_DENSEST = 1032  # bytes that one byte of deflate can stand for, at most


def loads(text: str | bytes) -> Json:
    """Returns the value of a JSON text; `ValueError` for what is none, or is nested too deep to read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def value(path: Path) -> Json:
    """Returns the value of a JSON file; `OSError` or `ValueError`, also where a text in it holds half of a character."""
    text = path.read_text(encoding="utf-8")
    found = loads(text)
    if "\\ud" in text.lower():
        json.dumps(found, ensure_ascii=False).encode()
    return found


def mapping(path: Path) -> dict[str, Json]:
    """Returns the object of a JSON file; `OSError` or `ValueError`."""
    found = value(path)
    if not isinstance(found, dict):
        raise ValueError(f"a JSON object is needed, not a {type(found).__name__}")
    return found


def need(holds: object, what: str) -> None:
    """Raises `ValueError` with what is wrong, unless it holds."""
    if not holds:
        raise ValueError(what)


def finite(found: NDArray[Any], *shape: int | None, kind: str = "f") -> bool:
    """Returns whether an array is of this shape, None where any length will do, of this kind of number, and finite."""
    import numpy as np

    fits = found.ndim == len(shape) and all(want in (None, have) for want, have in zip(shape, found.shape, strict=True))
    return fits and found.dtype.kind == kind and bool(np.isfinite(found).all())


def array(path: Path, *, mapped: bool = False) -> NDArray[Any]:
    """Returns the array of a .npy file, in memory or mapped; `OSError` or `ValueError`."""
    import numpy as np

    found: NDArray[Any] = _numbers(lambda: np.lib.format.open_memmap(path, mode="r"))  # type: ignore[no-untyped-call]
    return found if mapped else np.array(found)


def arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Returns the arrays of a .npz file by name; `OSError` or `ValueError`."""
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(path) as archive:
            return {info.filename.removesuffix(".npy"): _member(archive, info) for info in archive.infolist()}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(str(error)) from None


def _member(archive: ZipFile, info: ZipInfo) -> NDArray[Any]:
    import io

    import numpy as np

    if info.compress_size > Path(str(archive.filename)).stat().st_size or info.file_size > _DENSEST * (info.compress_size + 1):
        raise ValueError(f"{info.filename} says it is {info.file_size} bytes long")
    with archive.open(info) as file:
        raw = file.read()
    found: NDArray[Any] = _numbers(lambda: np.array(_within(io.BytesIO(raw), len(raw))))
    return found


def _within(file: Any, size: int) -> Any:
    """The array of a file in memory, once its header is known not to say more than is there."""
    from math import prod

    import numpy as np

    form = np.lib.format
    version = form.read_magic(file)
    header = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
    shape, _, dtype = header(file)
    if dtype.hasobject or prod(shape) * dtype.itemsize > size:
        raise ValueError(f"an array of shape {shape} in {size} bytes")
    file.seek(0)
    return form.read_array(file, allow_pickle=False)


def _numbers(read: Any) -> Any:
    """What numpy reads; whatever it raises at a header that is none is a `ValueError`."""
    try:
        return read()
    except OSError:
        raise
    except Exception as error:  # tokenize's, the parser's and numpy's own, from the header's Python
        raise ValueError(f"no array of numbers ({type(error).__name__}: {error})") from None
