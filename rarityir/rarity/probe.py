"""A linear probe of rows: how well they tell each row's rarity, over types and over running text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rarityir.rarity import crossfit, folds, grams, judging
from rarityir.rarity.grams import FoldGrams, Source, Vectors, Weighing
from rarityir.rarity.repair import PURPOSES
from rarityir.rarity.result import Bands, Curve, ProbeResult
from rarityir.rarity.scores import REPLICATES, Interval
from rarityir.types import Ints, RarityError

if TYPE_CHECKING:
    import pandas as pd


class RarityProbe:
    """Ridge regressions of targets on rows, fitted and judged in folds that hold groups whole, from Gram matrices alone.

        probe = RarityProbe().fit(X, y, counts=counts)
        probe.r2_type, probe.r2_occurrence, probe.curve, probe.bands

    The penalty of each fold is chosen inside its training rows, by generalised cross-validation. A tenth of the groups, the
    same ones for every seed, is kept apart: the final ridge, which `predict` and `direction` come from, has not seen it.

    Args:
        targets: names of the columns of y; one name, or one for each.
        folds: how many folds the groups are dealt to.
        seed: of the folds, permutations and resamples. The same seed gives the same result to the last byte.
        alphas: penalties to choose from, as scikit-learn's Ridge takes them on standardised columns (default: 34 from 1e-6
            to 1e5 in units of the mean eigenvalue of the rows' Gram matrix).
        bands: into how many runs of components, of equal length, the rows are cut for `bands`; or the places of components
            (from 0, in falling order of variance) of each band.
        permutations: how many permuted targets are fitted beside each target (199 or more for a p-value).
        subspaces: (K, D) bases by name; each gets a ridge on the rows inside it, `name`, and one outside, `not name`.
        test: the share of groups kept apart.
        standardise: whether columns are brought to one standard deviation in each training fold.
        precision: `exact` (float64), or `fast`: products in float32.
        replicates: of the bootstrap that intervals come from.
        leakage: whether the ridge is judged in folds dealt row by row too, where groups have more than one row.
        repair: `none`, or what the head is repaired for: `balanced` (types and running text) or `occurrence` (running text
            alone); needs counts. See `rarityir.rarity.repair`.
        block: how many rows are read at a time (0: about 64 MB).
        allow_leaky: rows in context without groups are refused, since occurrences of one type in several folds are learnt
            by heart; this takes them.
    """

    def __init__(
        self,
        targets: str | Sequence[str] = "custom",
        folds: int = 5,
        seed: int = 0,
        *,
        alphas: float | Sequence[float] | NDArray[Any] | None = None,
        bands: int | Sequence[Sequence[int]] = 20,
        permutations: int = 0,
        subspaces: Mapping[str, NDArray[Any]] | None = None,
        test: float = 0.1,
        standardise: bool = True,
        precision: str = "exact",
        replicates: int = REPLICATES,
        leakage: bool = True,
        repair: str = "none",
        block: int = 0,
        allow_leaky: bool = False,
    ) -> None:
        self.targets = (targets,) if isinstance(targets, str) else tuple(targets)
        self.folds, self.seed, self.test = folds, seed, test
        self.alphas = None if alphas is None else np.sort(np.atleast_1d(np.array(alphas, np.float64)))
        self.bands_asked, self.permutations = bands, permutations
        self.subspaces = {} if subspaces is None else dict(subspaces)
        self.standardise, self.precision, self.replicates = standardise, precision, replicates
        self.leakage, self.block, self.allow_leaky = leakage, block, allow_leaky
        self.repair = repair
        self._result: ProbeResult | None = None
        if not isinstance(folds, int | np.integer) or folds < 2:
            raise RarityError(f"{folds} folds leave nothing to fit on; take a whole number of at least 2")
        if not isinstance(seed, int | np.integer) or seed < 0:
            raise RarityError(f"a seed of {seed}; take a whole number from 0")
        if len(set(self.targets)) < len(self.targets) or not self.targets:
            raise RarityError("targets are known by their names; name each, and no two alike")
        if repair not in ("none", *PURPOSES):
            raise RarityError(f"repair {repair!r} is none of none, {', '.join(PURPOSES)}")
        if not 0 <= test < 0.9:
            raise RarityError(f"a share of {test} of test rows; take one from 0 to below 0.9")
        if (
            permutations < 0
            or replicates < 1
            or (isinstance(bands, int) and bands < 1)
            or (not isinstance(bands, int) and not bands)
        ):
            raise RarityError("permutations are 0 or more, resamples and bands 1 or more")
        if self.alphas is not None and (not len(self.alphas) or not (self.alphas >= 0).all()):
            raise RarityError("alphas are one or more penalties of at least 0")

    def fit(
        self,
        X: Any,
        y: NDArray[Any],
        groups: NDArray[Any] | None = None,
        counts: NDArray[Any] | None = None,
        surface: NDArray[Any] | None = None,
    ) -> RarityProbe:
        """Fits and judges; returns the probe itself.

        Args:
            X: rows (V, D), an array of numbers (mapped from a file too) or anything with `.shape` and `.blocks(rows)`.
            y: the target (V,), or targets (V, T).
            groups: an integer or string for each row; rows of one group are never parted (default: each row alone).
            counts: how often each row occurs in running text; without them there is no R² over occurrences.
            surface: features (V, F) of the rows' names; then R² of them alone and of them and the rows together is found too.

        Raises `RarityError` for shapes that do not match, entries that are not finite and targets that do not vary.
        """
        rows = grams.source(X)
        y_VT, names = self._targets(y, rows.shape[0])
        counts_V = None if counts is None else _counts(counts, rows.shape[0])
        if counts_V is None and self.repair != "none":
            raise RarityError("the head is the most frequent rows: repair needs counts; pass them to fit")
        groups_V = self._groups(X, groups, rows.shape[0])
        folds_V = folds.grouped(groups_V, self.folds, self.seed, self.test)
        if counts_V is not None and not counts_V[folds_V != folds.TEST].any():
            raise RarityError("no row outside the test rows occurs at all; fit without counts, or with test=0")
        surface_VF = None if surface is None else _surface(surface, rows.shape[0])
        design = self._design(rows.shape[1], y_VT.shape[1], 0 if surface_VF is None else surface_VF.shape[1])
        orders = folds.orders(groups_V, folds_V, self.permutations, self.seed)
        permutations = crossfit.Permutations(orders, y_VT, counts_V) if self.permutations else None
        first = y_VT if surface_VF is None else np.concatenate([y_VT, surface_VF], axis=1)
        sums = self._sums(rows, first, y_VT.shape[1], counts_V, folds_V, permutations)
        if surface_VF is not None:
            surface_VF = surface_VF - sums[0].y_mean[y_VT.shape[1] : first.shape[1]]
        given = judging.Material(
            rows, y_VT, names, counts_V, surface_VF, np.unique(groups_V, return_inverse=True)[1], folds_V, design
        )
        settings = judging.Settings(self.seed, self.replicates, self.precision, self.leakage, self.repair, self.block)
        self._result = judging.judged(given, sums, permutations, settings)
        return self

    def _sums(
        self,
        rows: Source,
        first_VE: Vectors,
        targets: int,
        counts_V: Vectors | None,
        folds_V: Ints,
        permutations: crossfit.Permutations | None,
    ) -> list[FoldGrams]:
        used = folds_V != folds.TEST

        def columns(which: Ints) -> Vectors:
            found = first_VE[which]
            return found if permutations is None else np.concatenate([found, permutations.targets(which)], axis=1)

        x_mean = grams.centre(rows, used, self.block)
        mean = first_VE[used].mean(axis=0)
        outer = first_VE.shape[1]
        weighings = [Weighing(None, columns, outer + targets * self.permutations, outer)]
        if counts_V is not None:
            weighings.append(Weighing(counts_V, lambda which: first_VE[which, :targets], targets, 0))
        means = [np.concatenate([mean, np.tile(mean[:targets], self.permutations)]), mean[:targets]]
        return grams.fold_grams(
            rows, folds_V, weighings, x_mean, means[: len(weighings)], precision=self.precision, block=self.block
        )

    def _targets(self, y: NDArray[Any], rows: int) -> tuple[Vectors, tuple[str, ...]]:
        found = np.asarray(y)
        if found.ndim not in (1, 2) or len(found) != rows or not found.size or found.dtype.kind not in "fiub":
            raise RarityError(f"targets of shape {found.shape} and {found.dtype} for {rows} rows; give numbers (V,) or (V, T)")
        found = found.reshape(rows, -1).astype(np.float64)
        if not np.isfinite(found).all():
            raise RarityError(
                f"{int((~np.isfinite(found)).any(axis=1).sum())} rows have targets that are not finite; leave them out"
            )
        if (np.ptp(found, axis=0) == 0).any():
            raise RarityError(
                f"target {int(np.argmin(np.ptp(found, axis=0)))} is the same for all rows; there is nothing to regress"
            )
        names = self.targets
        if len(names) != found.shape[1]:
            if len(names) > 1:
                raise RarityError(f"{len(names)} names for {found.shape[1]} targets; name each")
            names = tuple(f"{names[0]}-{i}" for i in range(found.shape[1]))
        return found, names

    def _groups(self, X: Any, groups: NDArray[Any] | None, rows: int) -> NDArray[Any]:
        if groups is None:
            if getattr(X, "contextual", False) and not self.allow_leaky:
                raise RarityError("rows in context are learnt by heart in folds that part a type; pass groups (each row's type)")
            return np.arange(rows)
        found = np.asarray(groups)
        if found.dtype == object and all(isinstance(name, str) for name in found.ravel()):
            found = found.astype(str)  # as columns of a table have them
        if found.dtype.kind not in "iuUS":
            raise RarityError(f"groups are integers or strings, not {found.dtype}; give one group for each row")
        if found.shape != (rows,):
            raise RarityError(f"groups of shape {found.shape} for {rows} rows; give one for each")
        return found

    def _design(self, width: int, targets: int, surface: int) -> crossfit.Design:
        if isinstance(self.bands_asked, int):
            edges = np.linspace(0, width, min(self.bands_asked, width) + 1).round().astype(np.int64)
            bands = [np.arange(a, b) for a, b in pairwise(edges)]
        else:
            bands = [np.asarray(band, np.int64) for band in self.bands_asked]
        if any(not len(band) or band.min() < 0 or band.max() >= width for band in bands):
            raise RarityError(f"a band names components outside 0 to {width - 1}, or none")
        subspaces: dict[str, Vectors] = {}
        for name, basis in self.subspaces.items():
            inside, outside = _parts(name, np.asarray(basis, np.float64), width)
            subspaces |= {name: inside, f"not {name}": outside}
        return crossfit.Design(targets, surface, self.alphas, bands, subspaces, self.standardise)

    @property
    def result(self) -> ProbeResult:
        """All that was found. Raises `RarityError` before `fit`."""
        if self._result is None:
            raise RarityError("this probe is not fitted; call fit(X, y) first")
        return self._result

    def __repr__(self) -> str:
        """One line: what is asked for and, once fitted, what was found."""
        names = ", ".join(map(repr, self.targets[:3])) + ", …" * (len(self.targets) > 3)
        found = "not fitted; call fit(X, y)" if self._result is None else repr(self._result)
        return f"<RarityProbe of {names}, {self.folds} folds, seed {self.seed}: {found}>"

    def _repr_html_(self) -> str:
        """What its result shows in a notebook; before `fit`, one line."""
        return (
            f'<div style="white-space:pre-wrap">{escape(repr(self))}</div>'
            if self._result is None
            else self._result._repr_html_()
        )

    def to_frame(self) -> pd.DataFrame:
        """Returns the result's DataFrame: a row for each target and regression. Raises `RarityError` before `fit`."""
        return self.result.to_frame()

    @property
    def r2_type(self) -> Interval:
        """R² of the first target out of fold, each row counted once: value, low, high."""
        return self.result.targets[0].fits["ridge"].r2.type

    @property
    def r2_occurrence(self) -> Interval:
        """R² of the first target out of fold, each row counted as often as it occurs: value, low, high; NaN without counts."""
        return self.result.targets[0].fits["ridge"].r2.occurrence

    @property
    def curve(self) -> Curve:
        """R² of the first target out of fold by the number of components."""
        return self.result.targets[0].curve

    @property
    def bands(self) -> Bands:
        """R² of the first target out of fold on each band of components alone."""
        return self.result.targets[0].bands

    @property
    def direction(self) -> Vectors:
        """The final ridge's coefficients (D,) of the first target on raw rows."""
        return self.result.targets[0].direction

    def predict(self, X: Any, *, repaired: bool = False) -> Vectors:
        """Returns the final ridge's predictions (V,) of rows, or (V, T) where several targets were fitted.

        `repaired` predictions are by the remedy that was chosen for the head.
        """
        rows = grams.source(X)
        if rows.shape[1] != self.result.width:
            raise RarityError(f"rows of {rows.shape[1]} columns; the probe was fitted on {self.result.width}")
        if repaired:
            if self.result.repaired is None:
                raise RarityError("this probe was fitted without repair; ask for it: RarityProbe(repair='balanced')")
            mended = self.result.repaired.predict(rows, self.block)
            _finite(mended)
            return mended[:, 0] if mended.shape[1] == 1 else mended
        slopes = np.stack([target.direction for target in self.result.targets], axis=1)
        offsets = np.array([target.intercept for target in self.result.targets])
        found = np.concatenate([part.astype(np.float64) @ slopes + offsets for _, part in grams.reading(rows, self.block)])
        _finite(found)
        return found[:, 0] if len(offsets) == 1 else found


def _finite(predicted_VT: Vectors) -> None:
    bad = np.flatnonzero(~np.isfinite(predicted_VT).all(axis=1))
    if len(bad):
        raise RarityError(f"row {bad[0]} has no finite prediction, so its entries are not finite; leave such rows out")


def _counts(counts: NDArray[Any], rows: int) -> Vectors:
    found = np.asarray(counts)
    if found.shape != (rows,) or found.dtype.kind not in "fiub":
        raise RarityError(f"counts of shape {found.shape} and {found.dtype} for {rows} rows; give one number for each")
    found = found.astype(np.float64)
    if not np.isfinite(found).all() or (found < 0).any() or not found.any():
        raise RarityError("counts are of occurrences: finite, not negative, and not all zero")
    return found


def _surface(surface: NDArray[Any], rows: int) -> Vectors:
    found = np.asarray(surface)
    if found.ndim != 2 or len(found) != rows or not found.shape[1] or found.dtype.kind not in "fiub":
        raise RarityError(f"surface features of shape {found.shape} and {found.dtype} for {rows} rows; give numbers (V, F)")
    found = found.astype(np.float64)
    if not np.isfinite(found).all():
        raise RarityError("surface features hold entries that are not finite; leave such columns out")
    if not np.ptp(found, axis=0).any():
        raise RarityError("surface features are the same for all rows, and say nothing of any; leave them out")
    return found


def _parts(name: str, basis_KD: Vectors, width: int) -> tuple[Vectors, Vectors]:
    """Orthonormal columns of a subspace and of what is outside it."""
    from scipy.linalg import qr

    if basis_KD.ndim != 2 or basis_KD.shape[1] != width or not 0 < len(basis_KD) < width:
        raise RarityError(f"the basis {name!r} has shape {basis_KD.shape}; give (K, {width}) with K from 1 to {width - 1}")
    turn, triangle = qr(basis_KD.T)
    if np.abs(np.diagonal(triangle)).min() < 1e-10 * np.abs(triangle).max():
        raise RarityError(f"the {len(basis_KD)} rows of the basis {name!r} are not independent; give a basis")
    return turn[:, : len(basis_KD)], turn[:, len(basis_KD) :]
