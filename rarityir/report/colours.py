"""Colours that stand for values: tables from low to high, for pages and pictures, and for terminals of 256 colours.

`rarity` goes from pale yellow over green and blue to dark blue, straight lines in OKLab (Ottosson 2020) between #fbf6c4, #93d3a6,
#2f97ab, #2a4f9e and #14174f at 17 places whose lightness falls by equal steps: who sees fewer colours sees the same order. On a
dark ground it is read from the other end, so that what is rare stands out from either. `error` goes from violet below zero to
orange above, straight lines in OKLab from #5b3da8 over #ececec to #a84a00, and on a dark ground from #b9a7ff over #33363b to
#ffa552. `red` and `blue` go from black to the pure colour.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

Colour = tuple[int, int, int]

_RARITY = "fbf6c4 deecbb bfe2b2 a0d7aa 86caa8 6fbcaa 58adab 3e9fab 2e8eaa 2c7da7 2b6ba4 2a59a0 284995 233c83 1e2f71 192360 14174f"
_ERROR = "5b3da8 6a54b2 7b6abb 8c80c5 9e95cd b1abd6 c4c0de d8d6e5 ececec e5d8d1 dec4b6 d7b09c ce9c82 c68868 bc744d b25f2f a84a00"
_ERROR_DARK = (
    "b9a7ff a798e4 9589ca 837bb0 726c97 625e7f 525168 424351 33363b 4a4340 625145 7a5e49 946c4d ae7a4f c88851 e39752 ffa552"
)
# The same for terminals of 256 colours, by number and for a dark ground, as most terminals have.
_TERMINAL = {
    "rarity": (17, 18, 19, 25, 31, 37, 79, 157, 230),
    "error": (147, 141, 98, 60, 238, 95, 131, 173, 215),
    "red": (16, 52, 88, 124, 160, 196),
    "blue": (16, 17, 18, 19, 20, 21),
}
_STEPS = 16
_CUBE = (0, 95, 135, 175, 215, 255)  # the steps of a terminal's colours 16 to 231


@cache
def table(palette: str, *, dark: bool = False) -> tuple[Colour, ...]:
    """Returns a palette's colours from low to high: 257, so that zero has one of its own; 256 of `red` and `blue`."""
    if palette == "red":
        return tuple((i, 0, 0) for i in range(256))
    if palette == "blue":
        return tuple((0, 0, i) for i in range(256))
    if palette == "error":
        return _between(_ERROR_DARK if dark else _ERROR)
    found = _between(_RARITY)
    return found[::-1] if dark else found


def terminal(palette: str) -> tuple[int, ...]:
    """Returns a palette's colours from low to high as numbers of a terminal's 256; `error` has one for zero."""
    return _TERMINAL[palette]


def hexed(colour: Colour) -> str:
    """Returns a colour as pages write it, `#1d91c0`."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def ink(colour: Colour) -> Colour:
    """Returns black or white, whichever is read more easily on a colour (WCAG 2.1, relative luminance)."""
    parts = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    luminance = 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
    return (0, 0, 0) if luminance > 0.179 else (255, 255, 255)


def of_terminal(number: int) -> Colour:
    """Returns the colour that a terminal shows for a number from 16 to 255."""
    if number >= 232:
        return (8 + 10 * (number - 232),) * 3
    red, rest = divmod(number - 16, 36)
    return _CUBE[red], _CUBE[rest // 6], _CUBE[rest % 6]


def _between(places: str) -> tuple[Colour, ...]:
    """The colours of 17 places, and 15 on the straight line from each to the next."""
    known = [tuple(bytes.fromhex(place)) for place in places.split()]
    found: list[Colour] = []
    for one, other in pairwise(known):
        for i in range(_STEPS):
            red, green, blue = (round(a + i / _STEPS * (b - a)) for a, b in zip(one, other))
            found.append((red, green, blue))
    red, green, blue = known[-1]
    return (*found, (red, green, blue))
