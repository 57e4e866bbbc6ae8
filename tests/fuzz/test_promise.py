"""What is told of a reader that breaks the promise, and of one that keeps it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from fuzz.promise import SECONDS, kept

from rarityir.types import BadInput


def busy(seconds: float) -> None:
    started = time.thread_time()
    while time.thread_time() - started < seconds:
        pass


def says(message: str) -> Callable[[], object]:
    def read() -> object:
        raise BadInput(message)

    return read


def test_a_reader_that_is_slow_each_time_breaks_it() -> None:
    assert kept(lambda: busy(SECONDS * 1.1)).startswith("it took 1.")


def test_what_is_slow_at_its_first_use_alone_keeps_it() -> None:
    seconds = iter([SECONDS * 1.1, 0.0])
    assert kept(lambda: busy(next(seconds))) == ""
    assert list(seconds) == []


def test_a_line_keeps_it_and_whatever_else_is_raised_does_not() -> None:
    assert kept(says("the file ends early")) == ""
    assert kept(says(" ")).startswith("the message is no line")
    assert kept(lambda: [][1]).startswith("IndexError: list index out of range")


def test_what_comes_slowly_to_an_error_is_read_again_too() -> None:
    raised = [0]

    def read() -> object:
        raised[0] += 1
        busy(SECONDS * 1.1 if raised[0] == 1 else 0.0)
        raise BadInput("no")

    assert kept(read) == ""
    assert raised == [2]


def test_memory_beyond_the_room_breaks_it() -> None:
    with pytest.raises(AssertionError, match="MemoryError"):
        assert kept(lambda: bytearray(3 << 30)) == ""
