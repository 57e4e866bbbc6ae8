"""What all bands share: how wide τ makes them, and what their argument may be."""

from __future__ import annotations

from rarityir.types import RarityError


def kept_width(name: str, arg: str, width: int) -> int:
    """Returns k = floor(D / τ), the width that `name:τ` keeps of D (EmbedFilter, §3: τ = 2, 4, 8)."""
    try:
        ratio = float(arg)
    except ValueError:
        raise RarityError(f"{name}:{arg or '?'} needs a number τ ≥ 1, the share 1/τ to keep, such as {name}:2") from None
    if not 1 <= ratio <= width:
        raise RarityError(f"{name}:{arg}: τ must lie between 1 (keep all) and the width {width}")
    return int(width / ratio)
