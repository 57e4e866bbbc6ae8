"""Which rows are fitted together and which are judged: folds that hold groups whole, and a tenth nobody looks at before the end.

Forms of one word (`the`, `The`, ` the`) have nearly the same row and nearly the same frequency. Folds that part them judge
a probe on what it has learnt by heart.
"""

from __future__ import annotations

import heapq
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir.types import Ints, RarityError

TEST = -1  # the fold of rows that take no part in cross-validation
_SALT = 0x7E57  # of the test rows: the same ones whatever the seed


def grouped(groups_V: NDArray[Any], folds: int, seed: int, test: float = 0.0) -> Ints:
    """Returns each row's fold (V,), `TEST` for the test rows; rows of one group are never parted.

    Groups (integers or strings) go, the largest first and equals by a hash, to the lightest fold; so the folds depend on
    the groups and the seed, not on the order of rows. A group is of the test rows by a hash of itself alone.

    Raises `RarityError` where there are fewer groups than folds.
    """
    names, group_V, sizes = np.unique(np.asarray(groups_V), return_inverse=True, return_counts=True)
    kept = hashes(names, _SALT) >= np.uint64(min(test * 2.0**64, 2.0**64 - 2048))
    if kept.sum() < folds:
        raise RarityError(f"{int(kept.sum())} groups of rows outside the test rows cannot be dealt to {folds} folds; take fewer")
    order = np.lexsort((hashes(names, seed + 1), -sizes))
    fold_G = np.full(len(names), TEST, np.int64)
    heap = [(0, fold) for fold in range(folds)]
    for group, size in zip(order[kept[order]].tolist(), sizes[order[kept[order]]].tolist(), strict=True):
        weight, fold = heap[0]
        fold_G[group] = fold
        heapq.heapreplace(heap, (weight + size, fold))
    return np.asarray(fold_G[group_V.ravel()], np.int64)


def parted(folds_V: Ints, folds: int, seed: int) -> Ints:
    """Returns folds dealt row by row at random, as most probes are judged; the test rows stay where they are."""
    found = folds_V.copy()
    rows = np.flatnonzero(folds_V != TEST)
    found[np.random.default_rng([seed, 2]).permutation(rows)] = np.arange(len(rows)) % folds
    return found


def orders(groups_V: NDArray[Any], folds_V: Ints, count: int, seed: int) -> NDArray[np.int32]:
    """Returns so many permutations (V, P): row i takes the target and the weight of row `orders[i, p]`.

    Groups of one size change places whole, so what the rows of a group share stays shared. Sizes that fewer than 20 groups
    have are mixed row by row. Test rows stay.
    """
    rng = np.random.default_rng([seed, 3])
    found = np.empty((len(folds_V), count), np.int32)
    found[:] = np.arange(len(folds_V), dtype=np.int32)[:, None]
    rows = np.flatnonzero(folds_V != TEST)
    _, group, sizes = np.unique(np.asarray(groups_V)[rows], return_inverse=True, return_counts=True)
    by_group = rows[np.argsort(group, kind="stable")]
    size_of = np.repeat(sizes, sizes)
    blocks: list[NDArray[np.int64]] = []
    alone: list[NDArray[np.int64]] = []
    for size in np.unique(sizes).tolist():
        members = by_group[size_of == size].reshape(-1, size)
        (blocks if len(members) >= 20 else alone).append(members)
    if alone:
        blocks.append(np.concatenate([members.ravel() for members in alone])[:, None])
    for p in range(count):
        for members in blocks:
            found[members.ravel(), p] = members[rng.permutation(len(members))].ravel()
    return found


def hashes(names: NDArray[Any], salt: int) -> NDArray[np.uint64]:
    """Returns a hash of each integer or string, the same on every machine (splitmix64 over the integer or its BLAKE2 digest)."""
    if names.dtype.kind in "iu":
        found = names.astype(np.int64).view(np.uint64)
    elif names.dtype.kind in "US":
        digests = [blake2b(str(name).encode(), digest_size=8).digest() for name in names.tolist()]
        found = np.array([int.from_bytes(digest, "little") for digest in digests], np.uint64)
    else:
        raise RarityError(f"groups are integers or strings, not {names.dtype}; give one group for each row")
    with np.errstate(over="ignore"):
        mixed = found + np.uint64((salt * 0x9E3779B97F4A7C15) % 2**64)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
