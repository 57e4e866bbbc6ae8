"""Every parser gives a result or one line, of any input; and what it wrote comes back exactly."""

from __future__ import annotations

import contextlib
import tempfile
from functools import cache, partial
from pathlib import Path
from random import Random

import pytest
from fuzz.hostile import Files, mutated
from fuzz.parsers import PARSERS, placed, taken
from fuzz.promise import kept
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

VALID = 6


@cache
def valid(name: str) -> tuple[Files, ...]:
    """Some valid inputs of a parser, read once, so that what is compiled is compiled."""
    found = []
    for number in range(VALID):
        with tempfile.TemporaryDirectory() as folder:
            PARSERS[name].write(Path(folder), Random(number))
            found.append(taken(Path(folder)))
            kept(partial(PARSERS[name].read, Path(folder)))
    return tuple(found)


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_hostile_input_is_a_result_or_one_line(name: str) -> None:
    parser = PARSERS[name]

    @settings(max_examples=100, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, VALID - 1), st.randoms(use_true_random=False), st.booleans())
    def check(number: int, rng: Random, sealed: bool) -> None:
        files = mutated(valid(name)[number], rng)
        with tempfile.TemporaryDirectory() as scratch:
            folder = placed(files, Path(scratch))
            if sealed and parser.seal is not None:
                with contextlib.suppress(Exception):
                    parser.seal(folder)
            assert kept(partial(parser.read, folder)) == ""

    check()


@pytest.mark.parametrize("name", sorted(name for name in PARSERS if name not in ("arguments of parts",)))
def test_valid_input_comes_back(name: str, tmp_path: Path) -> None:
    parser = PARSERS[name]
    for number in range(10):
        folder = tmp_path / str(number)
        folder.mkdir()
        wrote = parser.write(folder, Random(f"valid {number}"))
        found = parser.read(folder)
        assert wrote is None or _plain(found) == _plain(wrote)


def _plain(value: object) -> object:
    """Tuples as lists, so that a pair is a pair."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
