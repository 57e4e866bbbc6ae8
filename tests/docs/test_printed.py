"""The comparison that pages are held to lets nothing pass but the last digit."""

from __future__ import annotations

from printed import alike


def test_numbers_are_compared_by_their_last_digit_and_words_exactly() -> None:
    said = "demo, raw\n\n 1   waves *    0.675  −1.5\n…\n5 shock"
    came = "x\ndemo, raw\n\n1 waves * 0.6765 −1.52\n2 a\n3 b\n5 shock\n"
    assert alike(said, came)
    assert alike("a 1,400 … b", "a 1,400 c d b")
    assert not alike(said, came.replace("0.6765", "0.678"))
    assert not alike(said, came.replace("−1.52", "1.52"))
    assert not alike(said, came.replace("waves", "wave"))
    assert not alike(said, came.replace("5 shock", "6 shock"))
    assert not alike("in 1", "in 2")


def test_a_line_is_whole_and_rows_are_told_apart_by_their_numbers() -> None:
    came = "rows\n1 b 0.2\n3 b 0.5\n4 b 0.1\n"
    assert alike("rows\n…\n3 b 0.5", came)
    assert alike("…\n3 b 0.5\n…\n4 b 0.1", came)
    assert not alike("…\n4 b 0.1\n…\n3 b 0.5", came)
    assert not alike("rows\n3 b 0.5", came)
    assert not alike("b 0.2", came)
    assert not alike("2 b 0.2", came)
