"""What a bench's figures are held to. An area declares its `GOALS`: names of figures, as patterns, and what they must come to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple


class Goal(NamedTuple):
    """A figure's bounds, both allowed; text stands for itself."""

    least: float | str = float("-inf")
    most: float | str = float("inf")

    def __str__(self) -> str:
        if self.least == self.most:
            return str(self.least)
        ends = [f"at least {self.least:g}"] * (self.least != float("-inf")) + [f"at most {self.most:g}"] * (
            self.most != float("inf")
        )
        return ", ".join(ends)

    def met(self, value: float | str) -> bool:
        if isinstance(value, str) or isinstance(self.least, str) or isinstance(self.most, str):
            return value == self.least == self.most
        return self.least <= value <= self.most


def at_least(bound: float) -> Goal:
    return Goal(least=bound)


def at_most(bound: float) -> Goal:
    return Goal(most=bound)


def exactly(value: float | str) -> Goal:
    return Goal(value, value)


def about(value: float, share: float) -> Goal:
    """Within a share of a value."""
    return Goal(value * (1 - share), value * (1 + share))


def held(figures: Mapping[str, float | str], goals: Mapping[str, Goal]) -> dict[str, tuple[Goal, bool]]:
    """Returns each figure's goal, and whether it is met."""
    found = {}
    for pattern, goal in goals.items():
        for name, value in figures.items():
            if re.fullmatch(pattern, name):
                found[name] = goal, goal.met(value)
    return found


def unmeasured(figures: Mapping[str, float | str], goals: Mapping[str, Goal]) -> list[str]:
    """Returns the goals for which no figure was made: a check that did not take place is not passed."""
    return [pattern for pattern in goals if not any(re.fullmatch(pattern, name) for name in figures)]
