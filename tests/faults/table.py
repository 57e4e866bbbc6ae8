"""What faults came to, one JSON file an area under `evals/reliability`, and the page that shows them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rarityir import store

ROOT = Path(__file__).parents[2]
FOLDER, PAGE = ROOT / "evals" / "reliability", ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- rows: python -m tests.faults --render -->", "<!-- end of rows -->"
AREAS = {
    "kills": "Killed",
    "stops": "Stopped",
    "damage": "Files that change on the disk",
    "disk": "Disks and folders",
    "together": "Several at once, clocks, memory",
    "java": "Java, which BM25 runs in",
    "hub": "Models and the hub",
    "downloads": "Collections and where they are downloaded from",
    "soak": "For long",
    "fuzz": "Hostile input",
    "guided": "Hostile input led by coverage",
}


@dataclass
class Row:
    """A fault: what is promised, how often it was put in, how often the promise was not kept, and the command that does it."""

    fault: str
    promise: str
    command: str
    injected: int = 0
    lost: int = 0
    note: str = ""
    failures: list[str] = field(default_factory=list)  # what was lost, in words; not kept

    def count(self, wrong: str = "") -> None:
        """Counts one injection, and what is wrong after it, where something is."""
        self.injected += 1
        if wrong:
            self.lost += 1
            self.failures.append(wrong)


def keep(area: str, rows: Sequence[Row]) -> Path:
    """Writes an area's rows, each in place of an earlier one of the same fault; of two processes one waits for the other.

    A fault that was put in zero times has shown nothing: its row is left out.
    """
    path = FOLDER / f"{area}.json"
    new = {row.fault: {key: value for key, value in asdict(row).items() if key != "failures"} for row in rows if row.injected}
    with store.locked(path.with_suffix(".lock"), 60):
        before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
        store.write_json(path, [new.pop(row["fault"], row) for row in before] + list(new.values()))
    return path


def lines(area: str) -> Iterable[str]:
    """Yields an area's table in Markdown; nothing where it has no file."""
    path = FOLDER / f"{area}.json"
    if not path.is_file():
        return
    rows = [row for row in json.loads(path.read_text(encoding="utf-8")) if row["injected"]]  # else it has shown nothing
    if not rows:
        return
    yield from (f"### {AREAS.get(area, area)}", "", "| fault | promised | injected | lost |", "|---|---|--:|--:|")
    for row in rows:
        note = f" {row['note']}" if row.get("note") else ""
        yield f"| {row['fault']} | {row['promise']}{note} | {row['injected']:,} | {row['lost']:,} |"
    commands = dict.fromkeys(row["command"] for row in rows)
    yield from ("", "By " + ", ".join(f"`{command}`" for command in commands) + ".", "")


def render() -> Path:
    """Puts every area's table into the page, between its two marks."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    areas = [*AREAS, *sorted(path.stem for path in FOLDER.glob("*.json") if path.stem not in AREAS)]
    rows = [line for area in areas for line in lines(area)]
    PAGE.write_text("\n".join([before + BEGIN, "", *rows]) + END + after, encoding="utf-8")
    return PAGE
