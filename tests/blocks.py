"""What README and docs tell a reader to type: their blocks, how each is run, and what they say comes out.

A block is indented or fenced. What an indented one holds is commands; a fence names its language. A comment on the line before a
block says where it is not run as a matter of course, and why:

    <!-- run: no, a model of the hub -->      parsed alone
    <!-- run: all, 20 s -->                   run with RARITYIR_DOCS=all
    <!-- run: all, beir/scifact pymilvus, 20 s -->   the same, where that collection and that package are here
    <!-- file: mine/corpus.jsonl -->          not code that runs, but a file that what follows reads
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LANGUAGES = {"commands", "python", "console", "toml", "json", "text", "math"}
MARK = re.compile(r"<!-- run: (no|all), (.+?) -->$")
FILE = re.compile(r"<!-- file: (\S+) -->$")
INDENT = "    "


@dataclass(frozen=True)
class Block:
    """Some lines of a page that are code, commands, or what they print."""

    page: Path
    line: int  # of the first, from 1
    language: str  # commands, or a fence's
    text: str
    run: str = "yes"  # no, all
    why: str = ""
    file: str = ""  # that it is the text of

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> list[Command]:
        """Commands and, of a console, what they print."""
        if self.language == "commands":
            return [Command(self, self.line + i, line) for i, line in enumerate(self.text.splitlines()) if line.strip()]
        found: list[tuple[int, str, list[str]]] = []
        for i, line in enumerate(self.text.splitlines()):
            if line.startswith("$ "):
                found.append((self.line + i, line[2:], []))
            else:
                found[-1][2].append(line)
        return [Command(self, line, command, "\n".join(said).strip("\n")) for line, command, said in found]


@dataclass(frozen=True)
class Command:
    """One line for a shell, and what the page says it prints."""

    block: Block
    line: int
    text: str
    prints: str = ""

    @property
    def where(self) -> str:
        return f"{self.block.page.relative_to(ROOT)}:{self.line}"

    @property
    def words(self) -> list[str]:
        """As a shell splits it, without a comment behind it."""
        return shlex.split(self.text, comments=True)


def pages() -> list[Path]:
    """Everything that tells a reader what to type."""
    rest = [*(ROOT / "evals").rglob("README.md"), ROOT / "evals" / "bench" / "RESULTS.md"]
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"), ROOT / "indexes" / "README.md", *rest]
    return sorted(found)


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    found, i = [], 0
    while i < len(lines):
        fence = re.match(r"(`{3,}|:{3,})(.*)", lines[i])
        if fence and fence[1][0] == "`":
            end = next(j for j in range(i + 1, len(lines)) if lines[j].startswith(fence[1]))
            found.append(_block(page, lines, i, fence[2].strip().split(" ")[0], i + 1, end))
            i = end + 1
        elif lines[i].startswith(INDENT) and _opens(lines, i):
            end = next((j for j in range(i, len(lines)) if lines[j].strip() and not lines[j].startswith(INDENT)), len(lines))
            found.append(_block(page, lines, i, "commands", i, end))
            i = end
        else:
            i += 1
    return found


def inline(page: Path) -> list[tuple[int, str]]:
    """Line and text of each `rarityir …` within a sentence or a table."""
    prose = re.sub(r"^```.*?^```", lambda m: "\n" * m[0].count("\n"), page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return [(prose.count("\n", 0, m.start()) + 1, m[1].replace("\\|", "|")) for m in re.finditer(r"`(rarityir [^`\n]+)`", prose)]


def _block(page: Path, lines: list[str], opened: int, language: str, start: int, end: int) -> Block:
    before = next((lines[j] for j in range(opened - 1, -1, -1) if lines[j].strip()), "")
    mark, file = MARK.match(before), FILE.match(before)
    text = "\n".join(line.removeprefix(INDENT) if language == "commands" else line for line in lines[start:end])
    run, why = (mark[1], mark[2]) if mark else ("yes", "")
    return Block(page, start + 1, language, text.rstrip() + "\n", run, why, file[1] if file else "")


def _opens(lines: list[str], i: int) -> bool:
    """An indented line behind a blank one begins a block, unless it goes on with an item of a list."""
    if i and lines[i - 1].strip() and not lines[i - 1].startswith("<!--"):
        return False
    before = next((lines[j] for j in range(i - 1, -1, -1) if lines[j].strip()), "")
    return not re.match(r"\s*([-*]|\d+\.) ", before)
