"""Axes and what they are worth, as tables of plain text."""

from __future__ import annotations

from rarityir.ica.axes import Axes
from rarityir.ica.rarity import Correlation
from rarityir.ica.sweeping import Sweep


def table(axes: Axes, first: int, correlation: Correlation | None = None) -> str:
    """Returns the flags, how the search went, and the first axes; by rank correlation with rarity where that is given."""
    found = axes.diagnostics
    lines = [f"beware: {flag}" for flag in found.flags]
    agree = "" if found.stability is None else f"; {found.seeds} seeds agree by {found.stability.mean():.3f} on the mean"
    lines.append(
        f"{len(axes)} axes of {found.rows} rows, {found.variance_kept:.1%} of the variance; {found.n_iter} iterations on"
        f" {found.fitted_rows} rows, orthogonal to {found.orth_error:.1e}{agree}"
    )
    lines.append(f"{'axis':>5} {'skew':>7} {'kurt':>8} {'stable':>7}" + (f" {'rarity':>7} {'95 %':>16}" if correlation else ""))
    order = range(len(axes)) if correlation is None else correlation.order.tolist()
    whole = len(found.skew) == len(axes)
    for i in list(order)[:first]:
        moments = f"{found.skew[i]:>7.2f} {found.kurtosis[i]:>8.2f}" if whole else f"{'':>16}"
        stable = f"{found.stability[i]:>7.3f}" if whole and found.stability is not None else f"{'–':>7}"
        rare = ""
        if correlation is not None:
            rare = f" {correlation.rho[i]:>7.3f} {f'{correlation.low[i]:.3f} … {correlation.high[i]:.3f}':>16}"
        lines.append(f"{i:>5} {moments} {stable}{rare}  {axes.label(i, 6)}".rstrip())
    return "\n".join(lines)


def effects(found: Sweep, axes: Axes, first: int) -> str:
    """Returns what taking out axes does, the largest effects first, and its controls."""
    ordered = sorted(found.effects, key=lambda effect: -abs(effect.difference))
    lines = [f"{found.measure} {found.full:.4f} over {found.topics} topics with all axes; taken out:"]
    held = any(effect.p_control is not None for effect in ordered)
    lines.append(f"{'axes':>12} {'change':>8} {'95 %':>18} {'p Holm':>7} {'others':>8}" + (f" {'p others':>8}" if held else ""))
    for effect in ordered[:first]:
        name = ",".join(map(str, effect.axes[:3])) + (f" +{len(effect.axes) - 3}" if len(effect.axes) > 3 else "")
        span = f"{effect.low:+.4f} … {effect.high:+.4f}"
        words = axes.label(effect.axes[0], 6) if effect.axes else ""
        rank = f" {'–' if effect.p_control is None else f'{effect.p_control:.3f}':>8}" if held else ""
        others = f"{effect.control_difference:>+8.4f}{rank}"
        lines.append(f"{name:>12} {effect.difference:>+8.4f} {span:>18} {effect.p_holm:>7.3f} {others}  {words}")
    if found.directions:
        lines.append(f"{len(found.directions)} random directions: {min(found.directions):+.4f} … {max(found.directions):+.4f}")
    return "\n".join(line.rstrip() for line in lines)
