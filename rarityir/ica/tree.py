"""The maximum spanning tree of energy correlations, its clusters, and the forms in which it leaves: DOT, JSON, SVG."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir.ica.structure import Structure
from rarityir.report.matching import visible
from rarityir.types import Json, RarityError

Vectors = NDArray[np.float64]
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999", "#f0e442")  # Okabe and Ito's


@dataclass(frozen=True, eq=False)
class Tree:
    """Axes joined where they fire together most: `edges` (M − 1, 2) are positions in `nodes` (M,), `weights` their H."""

    nodes: NDArray[np.int64]
    edges: NDArray[np.int64]
    weights: Vectors
    labels: tuple[str, ...] = field(default=(), repr=False)

    def clusters(self, count: int, seed: int = 0) -> NDArray[np.int64]:
        """Returns each node's cluster (M,), by spectral clustering of the tree; numbered by their first nodes."""
        if not 1 <= count <= len(self.nodes):
            raise RarityError(f"{count} clusters of {len(self.nodes)} axes; ask for 1 to {len(self.nodes)}")
        if count in (1, len(self.nodes)):
            return np.zeros(len(self.nodes), np.int64) if count == 1 else np.arange(len(self.nodes))
        from sklearn.cluster import SpectralClustering

        near = np.zeros((len(self.nodes),) * 2)
        near[self.edges[:, 0], self.edges[:, 1]] = near[self.edges[:, 1], self.edges[:, 0]] = self.weights
        found = SpectralClustering(count, affinity="precomputed", random_state=seed).fit_predict(near)
        _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
        return np.asarray(np.argsort(np.argsort(first))[inverse], np.int64)

    def groups(self, count: int, seed: int = 0) -> list[list[int]]:
        """Returns the axes of each cluster, to be taken out together."""
        of = self.clusters(count, seed)
        return [self.nodes[of == i].tolist() for i in range(int(of.max()) + 1)]

    def named(self, node: int) -> str:
        """Returns a node's name: its axis's number and words."""
        return visible(f"{self.nodes[node]} {self.labels[node]}") if self.labels else str(self.nodes[node])

    def json(self, clusters: Sequence[int] | None = None) -> dict[str, Json]:
        """Returns nodes and edges as JSON values."""
        of = [0] * len(self.nodes) if clusters is None else [int(c) for c in clusters]
        labels = self.labels or ("",) * len(self.nodes)
        nodes = [{"axis": int(a), "label": label, "cluster": c} for a, label, c in zip(self.nodes, labels, of, strict=True)]
        edges = [
            {"a": int(self.nodes[i]), "b": int(self.nodes[j]), "h": float(h)}
            for (i, j), h in zip(self.edges, self.weights, strict=True)
        ]
        return {"nodes": nodes, "edges": edges}

    def dot(self, clusters: Sequence[int] | None = None) -> str:
        """Returns the tree in Graphviz's language."""
        of = np.zeros(len(self.nodes), int) if clusters is None else np.asarray(clusters)
        lines = ["graph ica {", "  node [shape=box, style=rounded];"]
        for i, axis in enumerate(self.nodes):
            name = json.dumps(self.named(i), ensure_ascii=False)
            lines.append(f'  {axis} [label={name}, color="{COLOURS[of[i] % len(COLOURS)]}"];')
        for (i, j), h in zip(self.edges, self.weights, strict=True):
            lines.append(f'  {self.nodes[i]} -- {self.nodes[j]} [label="{h:.2f}"];')
        return "\n".join([*lines, "}"]) + "\n"

    def svg(self, clusters: Sequence[int] | None = None, size: int = 1000) -> str:
        """Returns a picture: the node that halves the tree best in the middle, the others around it by their distance."""
        of = np.zeros(len(self.nodes), int) if clusters is None else np.asarray(clusters)
        at = (_places(len(self.nodes), self.edges) * 0.42 + 0.5) * size
        lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" font-family="sans-serif" font-size="11">']
        lines.append(f'<rect width="{size}" height="{size}" fill="white"/>')
        for (i, j), h in zip(self.edges, self.weights, strict=True):
            (x, y), (u, v) = at[i], at[j]
            lines.append(
                f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{u:.1f}" y2="{v:.1f}" stroke="#999" stroke-width="{min(6.0, h):.2f}">'
                f"<title>{h:.3f}</title></line>"
            )
        for i, (x, y) in enumerate(at):
            name = html.escape(self.named(i))
            lines.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{COLOURS[of[i] % len(COLOURS)]}"/>')
            lines.append(f'<text x="{x + 6:.1f}" y="{y + 4:.1f}" fill="#1b1b1b">{name}</text>')
        return "\n".join([*lines, "</svg>"]) + "\n"


def spanning_tree(found: Structure | Vectors, nodes: Any = None, labels: Sequence[str] = ()) -> Tree:
    """Returns the tree of largest total H over some axes, or all; scipy's minimum spanning tree of 1/H.

    Args:
        nodes: the axes that take part, such as `coherence(S, X).top(150)`.
        labels: names of all K axes.
    """
    from scipy.sparse.csgraph import minimum_spanning_tree

    h = found.values if isinstance(found, Structure) else np.asarray(found, np.float64)
    chosen = np.arange(len(h)) if nodes is None else np.asarray(nodes, np.int64)
    if not len(chosen) or len(set(chosen.tolist())) < len(chosen) or chosen.min() < 0 or chosen.max() >= len(h):
        raise RarityError(f"nodes of a tree are axes of 0 to {len(h) - 1}, each once")
    part = h[np.ix_(chosen, chosen)]
    if not (part > 0).all():
        raise RarityError("energy correlations are positive; some of these are not")
    upper = np.triu(1 / part, 1)
    rows, columns = minimum_spanning_tree(upper).nonzero()
    order = np.lexsort((np.maximum(rows, columns), np.minimum(rows, columns)))
    edges = np.stack([np.minimum(rows, columns), np.maximum(rows, columns)], axis=1)[order].astype(np.int64)
    return Tree(chosen, edges, part[edges[:, 0], edges[:, 1]], tuple(labels[i] for i in chosen) if labels else ())


def _places(count: int, edges: NDArray[np.int64]) -> Vectors:
    """Nodes on rings about a centroid: (M, 2) in −1 … 1, a branch's share of the circle by how many leaves it has."""
    near: list[list[int]] = [[] for _ in range(count)]
    for i, j in edges.tolist():
        near[i].append(j)
        near[j].append(i)

    def walked(root: int) -> tuple[list[int], dict[int, int]]:
        order, parent = [root], {root: -1}
        for node in order:
            for other in near[node]:
                if other != parent[node]:
                    parent[other] = node
                    order.append(other)
        return order, parent

    order, parent = walked(0)
    below = dict.fromkeys(order, 1)
    for node in reversed(order[1:]):
        below[parent[node]] += below[node]
    heaviest = [max([count - below[n], *(below[o] for o in near[n] if parent[o] == n)]) for n in range(count)]
    order, parent = walked(int(np.argmin(heaviest)))
    leaves = {node: 0 if any(parent[o] == node for o in near[node]) else 1 for node in order}
    for node in reversed(order[1:]):
        leaves[parent[node]] += leaves[node]
    start, span, depth = {order[0]: 0.0}, {order[0]: 2 * np.pi}, {order[0]: 0}
    for node in order:
        begin = start[node]
        for other in near[node]:
            if parent[other] == node:
                start[other], span[other] = begin, span[node] * leaves[other] / leaves[node]
                begin, depth[other] = begin + span[other], depth[node] + 1
    deepest = max(1, *depth.values()) if count > 1 else 1
    angle = np.array([start[n] + span[n] / 2 for n in range(count)])
    radius = np.array([depth[n] / deepest for n in range(count)])
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
