"""Pairs of a relation, read from a table with a heading: query, answer, and optionally a group and a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rarityir.types import BadInput, RarityError


class Pair(NamedTuple):
    """One known answer of a query, in a group (a pathway, a kind of relation) and since a time; `None`: at no known time."""

    query: str
    answer: str
    group: str = ""
    time: float | None = None


def read_pairs(
    path: str | Path, *, group: str = "", time: str = "", query: str = "", answer: str = "", reverse: bool = False
) -> list[Pair]:
    """Reads a tab-separated table; columns are named by its first line.

    Args:
        group: the column of groups, time: of times, as numbers; empty where there is none.
        query: the column of queries (default: the first), answer: of answers (default: the second).
        reverse: ask for queries by answers.

    White space within a name becomes `_`, which runs need.
    """
    path = Path(path)
    try:
        heading, *lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise BadInput(f"no pairs at {path}") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 ({error.reason})") from None
    except ValueError:
        raise BadInput(f"{path} is empty; its first line names the columns") from None
    columns = heading.split("\t")
    if len(columns) < 2:
        raise BadInput(f"{path}:1: one column; a table of pairs has two, with a tab between")
    places = [_column(path, columns, name, default) for name, default in ((query, 0), (answer, 1), (group, -1), (time, -1))]
    found = []
    for number, line in enumerate(lines, start=2):
        fields = line.split("\t")
        if len(fields) != len(columns):
            raise BadInput(f"{path}:{number}: {len(fields)} columns instead of {len(columns)}")
        names = ["_".join(fields[place].split()) if place >= 0 else "" for place in places[:3]]
        if not (names[0] and names[1]):
            raise BadInput(f"{path}:{number}: a pair lacks its query or its answer")
        if reverse:
            names[:2] = names[1::-1]
        found.append(Pair(names[0], names[1], names[2], _number(path, number, fields[places[3]]) if places[3] >= 0 else None))
    if not found:
        raise BadInput(f"{path} names columns and holds no pair")
    return found


def split(pairs: Sequence[Pair], cut: float) -> tuple[list[Pair], list[Pair]]:
    """Returns the pairs known by a time, and the later ones that were not known by then in any group."""
    for pair in pairs:
        if pair.time is None:
            raise RarityError(f"the pair {pair.query} {pair.answer} has no time to cut at; name the column of times")
    early = [pair for pair in pairs if pair.time is not None and pair.time <= cut]
    known = {pair[:2] for pair in early}
    late = [pair for pair in pairs if pair.time is not None and pair.time > cut and pair[:2] not in known]
    if not early or not late:
        raise RarityError(f"{len(early)} pairs are of {cut:g} or before, {len(late)} are new after it; choose another cut")
    return early, late


def _column(path: Path, columns: list[str], name: str, default: int) -> int:
    if not name:
        return default
    if name not in columns:
        raise BadInput(f"{path} has no column {name!r}; its columns: {', '.join(columns)}")
    return columns.index(name)


def _number(path: Path, number: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise BadInput(f"{path}:{number}: the time {text!r} is not a number")
    return value
