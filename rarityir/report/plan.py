"""What a command will take, step by step: the value that `--dry-run` prints."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from rarityir.types import Json


@dataclass(frozen=True)
class Step:
    """One step of the work: seconds (None where they were not estimated), bytes it writes, and the most memory it holds at once.

    `reused` says what of it is there already; `basis` where the figures come from.
    """

    name: str
    seconds: float | None
    disk: int
    memory: int
    basis: str
    reused: str = ""


@dataclass(frozen=True)
class Plan:
    """What a command will take on this machine.

    `tokens` are those of all documents that the encoder reads, `cut` the share of the documents' tokens that it does not.
    `held` are the bytes in memory throughout. `disk_free` and `memory_free` are None where the system does not say.
    """

    dataset: str
    encoder: str
    documents: int
    topics: int
    tokens: int | None
    cut: float
    read: str  # where documents and tokens come from
    steps: tuple[Step, ...]
    held: int
    disk_free: int | None
    memory_free: int | None
    cheaper: tuple[str, ...] = ()

    @property
    def seconds(self) -> float | None:
        """All steps' seconds; None where a step has no estimate."""
        known = [step.seconds for step in self.steps if step.seconds is not None]
        return sum(known) if len(known) == len(self.steps) else None

    @property
    def disk(self) -> int:
        """The bytes that will be written."""
        return sum(step.disk for step in self.steps)

    @property
    def memory(self) -> int:
        """The most memory held at once: steps come one after another."""
        return self.held + max((step.memory for step in self.steps), default=0)

    def lacking(self) -> str:
        """Returns, in one line, what does not fit on this machine; nothing where all fits."""
        for what, needed, free in (("disk", self.disk, self.disk_free), ("memory", self.memory, self.memory_free)):
            if free is not None and needed > free:
                most = max(self.steps, key=lambda step: step.disk if what == "disk" else step.memory)
                return (
                    f"{self.dataset} with {self.encoder} needs {size(needed)} of {what}, {size(free)} are free "
                    f"(most of it for {most.name}); choose fewer or narrower systems, or go on all the same with --force"
                )
        return ""

    def first_line(self) -> str:
        """Returns documents, tokens, time and bytes in one line."""
        tokens = "" if self.tokens is None else f", about {self.tokens:,} tokens"
        what = f"{self.dataset}, encoder {self.encoder}: {self.documents:,} documents{tokens}"
        return f"{what}; about {duration(self.seconds)} and {size(self.disk)} of disk here (--dry-run says more)"

    def json(self) -> dict[str, Json]:
        """Returns the plan as JSON values."""
        return {
            **dataclasses.asdict(self),
            "seconds": self.seconds,
            "disk": self.disk,
            "memory": self.memory,
            "lacking": self.lacking(),
        }

    def __str__(self) -> str:
        tokens = "" if self.tokens is None else f", {self.tokens:,} tokens read ({self.cut:.0%} of the documents' tokens are cut)"
        lines = [f"{self.dataset}, encoder {self.encoder}: {self.documents:,} documents, {self.topics:,} topics{tokens}"]
        lines += [f"  ({self.read})", ""]
        rows = [(s.name, duration(s.seconds), size(s.disk), size(s.memory), s.reused, s.basis) for s in self.steps]
        rows.append(("in all", duration(self.seconds), size(self.disk), size(self.memory), "", "memory: the most held at once"))
        head = ("step", "time", "disk", "memory", "there already", "basis")
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
        for row in (head, *rows):
            cells = [c.ljust(w) if i in (0, 4, 5) else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
            lines.append("  ".join(cells).rstrip())
        free = [f"{size(n)} of {what}" for what, n in (("disk", self.disk_free), ("memory", self.memory_free)) if n is not None]
        lines += ["", f"free here: {', '.join(free)}"] if free else []
        lines += [f"cheaper: {line}" for line in self.cheaper]
        return "\n".join(lines)

    def dumps(self) -> str:
        """Returns the plan as one JSON object's text."""
        return json.dumps(self.json(), indent=1)


def size(count: float) -> str:
    """Returns bytes in the largest unit of which there is one: `1.4 GiB`."""
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    power = next((n for n in range(4) if count < 1024 ** (n + 1)), 4)
    return f"{count:,.0f} B" if power == 0 else f"{count / 1024**power:,.1f} {units[power]}"


def duration(seconds: float | None) -> str:
    """Returns seconds as a reader counts them: `4.2 s`, `12 min`, `7.5 h`."""
    if seconds is None:
        return "?"
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"
