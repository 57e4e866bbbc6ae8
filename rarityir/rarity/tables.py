"""A study of rows as plain text: pairs of R² with their controls, labels, bias by frequency, filters, bands."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rarityir.rarity.listing import columns, shown
from rarityir.rarity.result import Target
from rarityir.rarity.sample import CONTROLS, LABELS
from rarityir.rarity.scores import Interval, Pair
from rarityir.rarity.study import Study
from rarityir.rarity.ties import Part

_FITS = {
    "ridge": "ridge", "ols": "least squares", "pcr": "PCA, k chosen", "surface": "surface alone", "both": "surface and rows",
}  # fmt: skip


def heading(found: Study) -> list[str]:
    """Returns what was probed, on how many rows, and what is not among them."""
    sample, result = found.sample, found.result
    tied = {True: ", tied to the output", False: ", untied", None: ""}[sample.x.tied if sample.x.name == "input" else None]
    if sample.x.tied and sample.x.name.startswith("output"):
        tied = ", tied to the input"
    left = [f"{count:,} {name}" for name, count in sample.left_out.items() if count]
    kind = "occurrences" if sample.x.contextual else "types"
    return [
        f"{found.model} {sample.x.name} ({result.width} wide{tied}); {sample.stats.source}",
        f"{result.rows:,} {kind} in {result.groups:,} groups of word forms; {result.test_rows:,} are kept apart, the others in "
        f"{found.asked.folds} folds; left out: {', '.join(left) or 'none'}",
    ]


def pairs(found: Study) -> list[str]:
    """Returns R² out of fold of every target: over types and over occurrences."""
    rows = []
    for target in found.result.targets:
        chance = "" if target.chance is None else f"{target.chance.p_type:.3g} / {target.chance.p_occurrence:.3g}"
        for place, (name, pair) in enumerate(_kinds(found, target).items()):
            rows.append((target.name if not place else "", name, *_both(pair), chance if not place else ""))
        if target.name == CONTROLS[0] and not math.isnan(found.chance):
            rows.append(("", "least squares, expected", f"{found.chance:.3f}", "", ""))
    heads = ("R² of", "", "by type", "by occurrence", "p")
    shown = 5 if found.asked.permutations else 4
    return columns(heads[:shown], [row[:shown] for row in rows], words=(0, 1))


def _kinds(found: Study, target: Target) -> dict[str, Pair]:
    """Each kind of regression's pair; of the control those alone that are to show nothing."""
    control = target.name == CONTROLS[0]
    fits = [name for name in target.fits if not control or name in ("ridge", "ols")]
    kinds = {_FITS.get(name, name): found.pair(target, name) for name in fits}
    kinds[f"PCA-{found.components}"] = found.components_pair(target)
    if control:
        return kinds
    others = {
        "increment over surface": target.increment,
        "ridge, head repaired": target.head.r2 if target.head else None,
        "ridge, forms parted": target.leakage.random if target.leakage else None,
        "ridge, kept apart": target.test,
    }
    return kinds | {name: found.straight(pair) for name, pair in others.items() if pair is not None}


def labels(found: Study) -> list[str]:
    """Returns how well labels are told, by type and by occurrence; what tells nothing has ½ and the share of positives."""
    rows = []
    for target in found.result.targets:
        if target.ranking is None:
            continue
        auroc, precision = found.straight(target.ranking.auroc), found.straight(target.ranking.precision)
        count, shares = str(target.ranking.positives), found.shares(target)
        rows.append((target.name, "type", count, interval(auroc.type), interval(precision.type), f"{shares[0]:.3f}"))
        rows.append(("", "occurrence", "", interval(auroc.occurrence), interval(precision.occurrence), f"{shares[1]:.3f}"))
    heads = ("label", "by", "positives", "AUROC", "average precision", "share of positives")
    return columns(heads, rows, words=(0, 1)) if rows else []


def bias(found: Study, place: int = 0) -> list[str]:
    """Returns the table of bias by frequency of one target."""
    rows = []
    for band in found.table(place):
        of = [found.sample.types[i] for i in band.first[:4]] if not found.sample.x.contextual else list(band.first[:4])
        forms = found.sample.forms
        words = "  ".join(shown(forms.texts[i], forms.pieces[i]) for i in of)
        rows.append(
            (
                band.name, f"{band.rows:,}", f"{100 * band.share:.1f} %", f"{band.actual:.2f}", f"{band.predicted:.2f}",
                f"{band.bias_type:+.2f}", f"{band.bias_occurrence:+.2f}", f"{band.mae:.2f}", f"{100 * band.error:.1f} %", words,
            )
        )  # fmt: skip
    heads = (
        f"{found.result.targets[place].name} by frequency", "types", "of text", "actual", "predicted", "bias", "bias in text",
        "error", "of text's error", "such as",
    )  # fmt: skip
    return columns(heads, rows, words=(0, 9)) if rows else []


def filters(found: Study) -> list[str]:
    """Returns each filter's tie with rarity: R² inside and outside what it removes, and where the probe's direction lies."""
    rows = []
    for tie in found.ties:
        share = tie.share
        said = f"{share.value:.2f} of the direction (chance {share.expected:.2f} ± {share.spread:.2f}), {tie.angle:.0f}° from it"
        rows.append((tie.filter, "removed", *_part(tie.inside), said))
        means = f"{tie.pattern_share.value:.2f} of the covariance, {tie.mean_share.value:.2f} of the mean row"
        rows.append(("", "kept", *_part(tie.outside), means))
        rows += [("", "removed by chance", *_part(part), "") for part in tie.chance]
    first = found.result.targets[0].name
    heads = (f"filter, {first}", "part", "width", "of variance", "R² by type", "by occurrence", "of removed")
    return columns(heads, rows, words=(0, 1, 6)) if rows else []


def bands(found: Study) -> list[str]:
    """Returns the bands of the unembedding's spectrum, and what each says by itself."""
    names = [tie.filter for tie in found.ties]
    rows = []
    for band in found.spectrum:
        kept = [f"{100 * band.kept[name]:.0f} %" for name in names]
        value = f"{band.values[0]:.3g}–{band.values[1]:.3g}"
        rows.append((f"{band.first + 1}–{band.last}", value, *_part(band.part)[1:], f"{band.share:.3f}", *kept))
    heads = ("directions", "singular values", "of variance", "R² by type", "by occurrence", "of direction")
    return columns((*heads, *(f"{name} keeps" for name in names)), rows) if rows else []


def text(found: Study) -> str:
    """Returns all tables."""
    parts: list[Sequence[str]] = [heading(found), pairs(found), labels(found)]
    parts += [bias(found, i) for i, t in enumerate(found.result.targets) if t.name not in (*LABELS, *CONTROLS)]
    parts += [filters(found), bands(found), angles(found)]
    return "\n\n".join("\n".join(part) for part in parts if part)


def angles(found: Study) -> list[str]:
    """Returns the principal angles between the targets' directions and what filters remove, and their cosines with the mean."""
    if not found.angles:
        return []
    names = [t.name for t in found.result.targets if t.name not in CONTROLS]
    lines = [f"principal angles of {', '.join(names)} with what is removed, in degrees"]
    for name, values in found.angles["principal_angles_degrees"].items():
        lines.append(f"  {name}: {', '.join(f'{value:.1f}' for value in values) or 'nothing is removed'}")
    cosines = ", ".join(f"{name} {value:+.3f}" for name, value in found.angles["cosine_with_mean_row"].items())
    return [*lines, f"  cosine with the mean row: {cosines}"]


def interval(value: Interval) -> str:
    """Returns a value with its interval, where it has one."""
    if math.isnan(value.value):
        return "–"
    if math.isnan(value.low):
        return f"{value.value:.3f}"
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


def _both(pair: Pair) -> tuple[str, str]:
    return interval(pair.type), interval(pair.occurrence)


def _part(part: Part) -> tuple[str, str, str, str]:
    r2 = _both(part.r2) if part.r2 else ("–", "–")
    return str(part.width), f"{100 * part.energy:.1f} %", *r2
