"""A study as plain text: its figures, and neighbours that people can read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rarityir.geometry.cosines import isotropic

if TYPE_CHECKING:
    from rarityir.geometry.nulls import Fraction
    from rarityir.geometry.study import Cell, Example, Study

TESTS = {"cross": "other matrix", "distinct": "one a word", "self": "less t²", "beyond": "beyond moments"}
RARITY = ("1;34", "34", "0", "33", "1;31")  # terminal colours of the fifths of tokens, from frequent to rare
_UNSAFE = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}


def percent(found: Fraction) -> str:
    """Returns a share with its interval."""
    return f"{100 * found.value:5.1f} [{100 * found.low:4.1f}, {100 * found.high:5.1f}]"


def shown(token: str) -> str:
    """Returns a token as it can stand in a terminal: quoted, with nothing that moves the cursor or turns the line round."""
    safe = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in token.translate(_UNSAFE))
    return f"‹{safe}›"


def fifths(study: Study) -> list[int] | None:
    """Returns each token's fifth by falling count, 0 the most frequent; None without counts."""
    if study.counts is None:
        return None
    order = np.argsort(-np.asarray(study.counts), kind="stable")
    found = np.empty(len(order), np.int64)
    found[order] = np.arange(len(order)) * 5 // len(order)
    return list(map(int, found))


def text(study: Study) -> str:
    """Returns coherent fractions, cosines, frequency, hubs and intra-class correlations as tables."""
    plain = isotropic(study.tokens, study.width, study.k)
    lines = [
        f"{study.name}: {study.tokens} tokens, {study.width} wide; the {study.k} nearest to each direction",
        f"isotropic rows: sd {plain.sd:.4f}, nearest {plain.top:.4f}, mean of {study.k} {plain.nearest:.4f},"
        f" their pairs {plain.pairs:.4f}",
        "",
        "Directions whose neighbours belong together: percent at a false discovery rate of 5% with 95% interval | p < .05",
    ]
    kinds = [kind for kind in TESTS if any(kind in cell.tests for cell in study.cells)]
    names = {kind: f"{TESTS[kind]} ({study.channel})" if kind == "cross" and study.channel else TESTS[kind] for kind in kinds}
    lines.append(f"{'variant':<10}{'family':<14}{'n':>5}" + "".join(f"{names[kind]:>29}" for kind in kinds))
    for cell in study.cells:
        parts = [
            f"{percent(cell.tests[kind].fraction)} |{100 * cell.tests[kind].nominal.value:6.1f}" if kind in cell.tests else ""
            for kind in kinds
        ]
        lines.append(f"{cell.variant:<10}{cell.family:<14}{cell.directions:>5}" + "".join(f"{part:>29}" for part in parts))
    lines += ["", *_cosines(study), "", *_labels(study), "", *_correlations(study), "", *_hubs(study)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def neighbour_tables(study: Study, *, colour: bool = False) -> str:
    """Returns neighbours of each cell's first directions as drawn, then of its most coherent ones."""
    fifth = fifths(study) if colour else None
    lines = [f"{study.name}: tokens nearest to directions, with the cosine of the nearest; z: coherence against random sets"]
    for cell in study.cells:
        lines.append(f"\n{cell.variant} / {cell.family}")
        for chosen, title in ((False, "as drawn"), (True, "most coherent")):
            lines.append(f"  {title}")
            lines += [_example(study, example, fifth) for example in cell.examples if example.chosen == chosen]
    return "\n".join(lines) + "\n"


def _example(study: Study, example: Example, fifth: list[int] | None) -> str:
    words = []
    for token_id in example.ids:
        word = shown(study.token(token_id))
        words.append(word if fifth is None else f"\x1b[{RARITY[fifth[token_id]]}m{word}\x1b[0m")
    return f"  {example.number:>5}  z {example.score:>6.1f}  {example.cosines[0]:.2f}  {' '.join(words)}"


def _cosines(study: Study) -> list[str]:
    heads = (("mean", 8), ("sd", 8), ("skew", 7), ("kurt", 7), ("top", 7), ("top k", 7), ("pairs", 8), ("t²", 8), ("var", 7))
    lines = [
        "Cosines of all tokens; of the nearest, and between two of those; variance of log ICF by all tokens', its mean",
        f"{'variant':<10}{'family':<14}" + "".join(f"{head:>{width}}" for head, width in heads) + f"{'log ICF':>9}",
    ]
    for cell in study.cells:
        c, own, like = cell.cosines, cell.tests["self"], cell.homogeneity
        line = f"{cell.variant:<10}{cell.family:<14}{c.mean.mean():>8.4f}{c.sd.mean():>8.4f}{c.skew.mean():>7.2f}"
        line += f"{c.kurtosis.mean():>7.2f}{cell.top:>7.3f}{cell.mean_of_k:>7.3f}"
        line += f"{own.pairs.mean():>8.4f}{own.shared.mean():>8.4f}"
        lines.append(line + (f"{like.ratio:>7.3f}{like.mean:>9.2f}" if like else ""))
    return lines


def _labels(study: Study) -> list[str]:
    cells = [cell for cell in study.cells if cell.labels]
    if not cells:
        return []
    names = list(cells[0].labels)
    lines = ["Labels among the nearest: mean information in nats, and that of random sets of like frequency"]
    lines.append(f"{'variant':<10}{'family':<14}" + "".join(f"{name:>18}" for name in names))
    for cell in cells:
        parts = [f"{cell.labels[n].information:.3f} ({cell.labels[n].random_information:.3f})" for n in names]
        lines.append(f"{cell.variant:<10}{cell.family:<14}" + "".join(f"{part:>18}" for part in parts))
    return lines


def _correlations(study: Study) -> list[str]:
    if not any(study.correlations.values()):
        return []
    lines = [
        "Intra-class correlation over random directions: closed form, drawn with standard error, less what random labels give",
        f"{'variant':<10}{'labels':<16}{'clusters':>9}{'ICC':>9}{'drawn':>9}{'s.e.':>9}{'adjusted':>10}{'random':>9}{'p':>7}{'|m|²':>8}",
    ]
    for name, tables in study.correlations.items():
        for label, t in tables.items():
            line = f"{name:<10}{label:<16}{len(t.clusters):>9}{t.value:>9.4f}{t.drawn:>9.4f}{t.error:>9.4f}{t.adjusted:>10.4f}"
            lines.append(line + f"{t.expected:>9.4f}{t.p:>7.3f}{t.squared_mean:>8.4f}")
    return lines


def _hubs(study: Study) -> list[str]:
    lines = ["Hubs: skew of how often a token is among the nearest, by cosine and by CSLS; the most frequent ones"]
    for cell in study.cells:
        lines.append(
            f"{cell.variant:<10}{cell.family:<14}{cell.hubs.skew:>7.2f}{cell.hubs_csls.skew:>7.2f}  {_most(study, cell)}"
        )
    return lines


def _most(study: Study, cell: Cell) -> str:
    return " ".join(f"{shown(study.token(token_id))}{times}" for token_id, times in cell.hubs.hubs[:6])
