"""Letters in pictures: those of the font that matplotlib brings, so that a picture is the same bytes everywhere."""

from __future__ import annotations

from functools import cache

FONT = "DejaVu Sans"


@cache
def width(text: str, size: float) -> float:
    """Returns how wide letters of a size are drawn, in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=FONT, size=size)
    # White space at an end has no outline of its own and is measured between two letters.
    wide, *_ = text_to_path.get_text_width_height_descent(f"|{text}|", font, False)
    edges, *_ = text_to_path.get_text_width_height_descent("||", font, False)
    return float(wide - edges)


def drawable(text: str) -> str:
    """Returns a text in which a character that is not printed, or that the font lacks, is its escape."""
    return "".join(map(_drawable, text))


@cache
def _drawable(character: str) -> str:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties(family=FONT)))
    if character.isprintable() and font.get_char_index(ord(character)):
        return character
    return character.encode("unicode_escape").decode()
