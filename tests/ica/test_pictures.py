"""Pictures of axes: what is on them, drawn alike each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from rarityir.report import axes as drawing
from rarityir.types import RarityError


def text(path: Path) -> str:
    """The words of a picture, which SVG keeps as comments beside their outlines."""
    return path.read_text(encoding="utf-8")


def test_few_coordinates_have_a_panel_a_measure_and_a_line_a_kind(tmp_path: Path) -> None:
    panels = {"overlap@10": {"ica": [0.1, 1.0], "pca": [0.0, 1.0]}, "nDCG@10": {"ica": [0.1, 0.2], "pca": [0.1, 0.2]}}
    near = {"m": {"ica": [0.1, 0.2, 0.3]}}
    ticks = text(drawing.few("made", [7, 50, 64], near, tmp_path / "c.svg"))
    assert [f"<!-- {p} -->" in ticks for p in (7, 50, 64)] == [True, False, True]
    one, other = (drawing.few("made", [1, 8], panels, tmp_path / name) for name in ("a.svg", "b.svg"))
    assert one.read_bytes() == other.read_bytes()
    for word in ("overlap@10", "nDCG@10", "ica", "pca", "made"):
        assert f"<!-- {word} -->" in text(one)


def test_the_largest_effects_are_shown_and_what_is_beyond_chance_is_filled(tmp_path: Path) -> None:
    rows = [drawing.Change(f"axis {i}", i / 100, i / 100 - 0.1, i / 100 + 0.1, (0.0,), i == 44) for i in range(45)]
    drawn = text(drawing.effects("made", "nDCG@10", rows, (-0.01, 0.02), tmp_path / "a.svg"))
    assert "<!-- axis 44 -->" in drawn
    assert "<!-- axis 5 -->" in drawn
    assert "<!-- axis 4 -->" not in drawn
    assert "<!-- random directions -->" in drawn
    assert "<!-- random directions -->" not in text(drawing.effects("made", "m", rows[:2], (), tmp_path / "b.svg"))
    plain = [row for row in rows if not row.beyond]
    filled = drawing.effects("made", "m", [*plain[-3:], rows[44]], (), tmp_path / "c.svg").read_bytes()
    unfilled = [drawing.Change(*[*list(vars(rows[44]).values())[:-1], False])]
    assert filled != drawing.effects("made", "m", [*plain[-3:], *unfilled], (), tmp_path / "d.svg").read_bytes()
    with pytest.raises(RarityError, match="nothing to draw"):
        drawing.effects("made", "m", [], (), tmp_path / "e.svg")


def test_tails_are_drawn_by_rank_with_what_chance_reaches(tmp_path: Path) -> None:
    reach = dict(zip(drawing.TAILS, (0.2, 0.4), strict=True))
    drawn = text(drawing.tails("made", [2.0, 1.0], [9.0, 3.0], reach, tmp_path / "a.svg"))
    assert "<!-- skewness -->" in drawn
    assert "<!-- excess kurtosis -->" in drawn
    with pytest.raises(RarityError, match="a picture is"):
        drawing.tails("made", [2.0], [9.0], reach, tmp_path / "a.gif")
