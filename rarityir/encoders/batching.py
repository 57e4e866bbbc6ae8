"""Length-sorted batches by token budget, so that little is padded and memory is bounded; how they are carried out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from rarityir import registry
from rarityir.types import RarityError, UnknownName

T = TypeVar("T")
ATTENTIONS = ("auto", "sdpa", "eager", "flash_attention_2")
STORED = ("float32", "float16")


@dataclass(frozen=True)
class Execution:
    """How a model's arithmetic is carried out, and in what type the store keeps what comes out.

    `workers` is 0 for as many as there are cores or GPUs; it changes no byte. Raises `RarityError` for what cannot be.
    """

    workers: int = 0
    attention: str = "auto"
    compile: bool = False
    store_dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise RarityError(f"workers is {self.workers}; give the number of processes, or 0 for one a core or GPU")
        if self.attention not in ATTENTIONS:
            raise UnknownName(registry.unknown("attention", self.attention, ATTENTIONS))
        if self.store_dtype not in STORED:
            raise UnknownName(registry.unknown("store_dtype", self.store_dtype, STORED))


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


def ahead(items: Iterable[T], count: int = 1) -> Iterator[T]:
    """Yields the items in order; up to `count` of them are made ready by a thread while the one before is in use."""
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1) as thread:
        waiting = deque(thread.submit(next, iterator, end) for _ in range(count + 1))
        try:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(thread.submit(next, iterator, end))
                yield item  # type: ignore[misc]  # the end alone is no T
        finally:
            for future in waiting:
                future.cancel()
