"""One figure of several panels in the house style, written so that the same data give the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rarityir.report.variation import check_picture

INK = "#1b1b1b"


@contextmanager
def pictured(path: Path, **options: Any) -> Iterator[tuple[Any, Any]]:
    """Gives a figure and its axes by the options of `pyplot.subplots`, and writes it when the block ends well."""
    check_picture(path)
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with matplotlib.rc_context(
        {"svg.hashsalt": "rarityir", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure, axes = pyplot.subplots(layout="constrained", **options)
        try:
            yield figure, axes
            path.parent.mkdir(parents=True, exist_ok=True)
            metadata = {"Date": None} if path.suffix == ".svg" else {"CreationDate": None} if path.suffix == ".pdf" else None
            figure.savefig(path, dpi=150, metadata=metadata)
        finally:
            pyplot.close(figure)


@contextmanager
def drawn(path: Path, size: tuple[float, float], shape: tuple[int, int]) -> Iterator[tuple[Any, Any]]:
    """Gives a figure and its panels, rows by columns, and writes them where the path says."""
    with pictured(path, nrows=shape[0], ncols=shape[1], figsize=size, squeeze=False) as found:
        yield found
