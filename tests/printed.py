"""What a page says a program prints, held against what it prints."""

from __future__ import annotations

import re

NUMBER = re.compile(r"[-−+]?\d[\d,]*(?:\.\d+)?(?:e[-−+]?\d+)?")


def alike(said: str, came: str) -> bool:
    """The same words and, to two units of their last digit, the same numbers; `…` stands for anything, alone for any lines."""
    lines = came.splitlines()
    places = set(range(len(lines) + 1))  # where the next line may stand
    for line in said.splitlines():
        if line.strip() == "…":
            places = set(range(min(places), len(lines) + 1))
        else:
            places = {i + 1 for i in places if i < len(lines) and same(line, lines[i])}
        if not places:
            return False
    return True


def same(said: str, came: str) -> bool:
    """One line, however it is spaced."""
    pattern = r"\s+".join(re.escape(NUMBER.sub("\0", word)).replace("…", ".*") for word in said.split())
    found = re.fullmatch(pattern.replace("\0", f"({NUMBER.pattern})"), came.strip())
    return found is not None and all(near(a, b) for a, b in zip(NUMBER.findall(said), found.groups(), strict=True))


def near(said: str, came: str) -> bool:
    """Two units of the last digit that the page prints; whole numbers are the same."""
    digits = re.search(r"\.(\d+)", said)
    a, b = (float(x.replace("−", "-").replace(",", "")) for x in (said, came))
    power = float("1" + (re.search(r"e.*", said) or ["e0"])[0].replace("−", "-"))
    return a == b if digits is None else abs(a - b) <= 2.01 * power * 10.0 ** -len(digits[1])
