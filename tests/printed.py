"""What a page says a program prints, held against what it prints."""

from __future__ import annotations

import re

NUMBER = re.compile(r"[-−+]?\d[\d,]*(?:\.\d+)?(?:e[-−+]?\d+)?")


def alike(said: str, came: str) -> bool:
    """The same words and, to two units of their last digit, the same numbers; `…` stands for anything, alone for any lines."""
    pattern = ""
    for line in said.splitlines():
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
            continue
        words = [re.escape(NUMBER.sub("\0", word)).replace("…", ".*") for word in line.split()]
        pattern += r"[ \t]*" + r"[ \t]+".join(words) + r"[ \t]*\n" if words else r"[ \t]*\n"
    found = re.search(pattern.replace("\0", f"({NUMBER.pattern})").rstrip("\n"), came + "\n")
    if found is None:
        return False
    return all(
        near(a, b) for a, b in zip(NUMBER.findall(re.sub(r"^\s*…\s*$", "", said, flags=re.M)), found.groups(), strict=True)
    )


def near(said: str, came: str) -> bool:
    """Two units of the last digit that the page prints; whole numbers are the same."""
    digits = re.search(r"\.(\d+)", said)
    a, b = (float(x.replace("−", "-").replace(",", "")) for x in (said, came))
    power = float("1" + (re.search(r"e.*", said) or ["e0"])[0].replace("−", "-"))
    return a == b if digits is None else abs(a - b) <= 2.01 * power * 10.0 ** -len(digits[1])
