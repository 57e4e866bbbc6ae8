"""How a fine-tuned twin moves a backbone's texts, component by component, as a table and as a picture."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarityir.report.letters import drawable
from rarityir.report.matching import visible
from rarityir.types import Json, RarityError

_INK, _LINES = "#1b1b1b", ("#0072b2", "#d55e00")  # Okabe and Ito's colours, told apart by all


@dataclass(frozen=True)
class Contribution:
    """A token's logit for a text: what u_1 writes of it, what the rest of the embedding writes, and their sum."""

    token: str
    total: float
    first: float
    rest: float


@dataclass(frozen=True)
class Reading:
    """A text's best aligned tokens: of the backbone, of the backbone moved by λ u_1, and of the twin."""

    text: str
    backbone: tuple[Contribution, ...]
    adjusted: tuple[Contribution, ...]
    twin: tuple[Contribution, ...]


@dataclass(frozen=True, eq=False)
class Twins:
    """A backbone and its twin on the same documents; arrays are over the D components, by falling energy.

    `shares` of the backbone's energy, `coefficients` the mean of h · u_j, `variation` the mean of (ĥ − h) · u_j and `spread`
    its standard deviation, both in the units of the embeddings. `folder` holds the twin's embeddings.
    """

    backbone: str
    twin: str
    dataset: str
    documents: int
    folder: str
    shares: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    variation: NDArray[np.float64]
    spread: NDArray[np.float64]
    texts: tuple[Reading, ...]

    @property
    def move(self) -> float:
        """λ = v_1."""
        return float(self.variation[0])

    @property
    def filter(self) -> str:
        """The filter that moves texts by λ u_1, as a system's name takes it."""
        return f"pc1:{self.move:.6g}".replace("e+", "e")  # `+` joins filters

    @property
    def concentration(self) -> float:
        """The share v_1² / Σ v_j² of the mean move that lies along u_1; 0 where there is none."""
        return float(self.variation[0] ** 2 / max((self.variation**2).sum(), np.finfo(float).tiny))

    def json(self) -> dict[str, Json]:
        """Returns the whole as JSON values."""
        found = {
            key: [round(float(v), 8) for v in value] if isinstance(value, np.ndarray) else value
            for key, value in dataclasses.asdict(self).items()
        }
        return {**found, "lambda": self.move, "filter": self.filter, "concentration": round(self.concentration, 8)}


def text(found: Twins, rows: int) -> str:
    """Returns the first components as a table, the largest of the others, the filter to use, and the texts."""
    width = len(found.shares)
    lines = [
        visible(f"{found.backbone} to {found.twin}: {found.documents} documents of {found.dataset}, {width} wide"),
        f"u_1 holds {found.shares[0]:.1%} of the energy and {found.concentration:.1%} of the mean move",
        "",
        f"{'component':>9} {'energy':>8} {'mean':>10} {'variation':>10} {'spread':>10}",
    ]
    shown = list(range(min(rows, width)))
    others = np.abs(found.variation[len(shown) :])
    if len(others):
        shown.append(len(shown) + int(others.argmax()))
    for j in shown:
        values = f"{found.shares[j]:>8.4f} {found.coefficients[j]:>10.4f} {found.variation[j]:>10.4f} {found.spread[j]:>10.4f}"
        lines.append(f"{j + 1:>9} {values}{'  largest variation of the others' if j >= rows else ''}")
    lines += ["", f"{found.filter}  moves every text along u_1 as the twin does on the average"]
    if found.folder:
        lines.append(f"{visible(f'pc1:twin={found.folder}')}  reads that from the twin's embeddings")
    for reading in found.texts:
        lines.append(f"\n{reading.text[:100]!r}")
        for name, best in (("backbone", reading.backbone), (found.filter, reading.adjusted), ("twin", reading.twin)):
            lines.append(f"  {name:<24} {'logit':>9} {'from u_1':>9} {'the rest':>9}")
            lines += [f"    {c.token!r:<22} {c.total:>9.3f} {c.first:>9.3f} {c.rest:>9.3f}" for c in best]
    return "\n".join(lines) + "\n"


def check_picture(path: Path) -> None:
    """Raises `RarityError` unless a picture can be drawn into a file of that name."""
    if path.suffix not in (".svg", ".png", ".pdf"):
        raise RarityError(f"{path}: a picture is .svg, .png or .pdf")


def picture(found: Twins, path: Path) -> Path:
    """Draws energy and variation by component, a standard deviation on either side shaded, as SVG, PNG or PDF."""
    check_picture(path)
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with matplotlib.rc_context(
        {"svg.hashsalt": "rarityir", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure, (energy, moved) = pyplot.subplots(2, 1, figsize=(7, 4.2), sharex=True, layout="constrained")
        ranks = np.arange(1, len(found.shares) + 1)
        energy.plot(ranks, np.maximum(found.shares, found.shares[found.shares > 0].min()), color=_LINES[0], linewidth=1)
        energy.set_yscale("log")
        energy.set_ylabel("share of energy", color=_INK)
        low, high = found.variation - found.spread, found.variation + found.spread
        moved.vlines(ranks, low, high, color=_LINES[1], alpha=0.3, linewidth=1)
        moved.plot(ranks, found.variation, "o", color=_LINES[1], markersize=2)
        moved.axhline(0, color=_INK, linewidth=0.5)
        moved.set_xscale("log")
        moved.set_ylabel("variation", color=_INK)
        moved.set_xlabel("component, by falling energy")
        title = drawable(f"{found.backbone} to {found.twin}, λ = {found.move:.4g}")
        energy.set_title(title, loc="left", parse_math=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"Date": None} if path.suffix == ".svg" else {"CreationDate": None} if path.suffix == ".pdf" else None
        figure.savefig(path, dpi=150, metadata=metadata)
        pyplot.close(figure)
    return path
