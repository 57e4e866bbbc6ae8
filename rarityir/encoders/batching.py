"""Length-sorted batches by token budget, so that little is padded and memory is bounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Yields positions in batches whose padded size is at most `budget` tokens, longest first.

    Longest first shows at once whether memory suffices. A text longer than the budget is a batch of its own.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    start = 0
    while start < len(order):
        width = max(1, lengths[order[start]])
        count = max(1, budget // width)
        yield order[start : start + count]
        start += count
