"""The table as terminals of any width show it: every name, figure and mark whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rarityir.report import Report, Row
from rarityir.report.render import on_terminal
from rarityir.types import Scores

MEASURES = ("nDCG@10", "RR@10", "R@100", "R@1000", "AP")
COST = {"dim": 256, "bytes_per_doc": 1024, "index_bytes": 3 * 2**20, "build_seconds": 12.3, "qps": 1234.0}
SHORT = ("bm25", "dense", "dense+edge:2")
LONG = ("rrf(bm25,dense+edge:2,sparse:64,query=both:16,weights=idf+edge:2)", "saved:[best]/of/all", "dense 二")


def report(names: tuple[str, ...], *, recall: bool = False, share_of: str = "") -> Report:
    """Figures that are all different, marked but for the first system."""
    rows = tuple(
        Row(
            name,
            {m: 0.1 + 0.0101 * (5 * i + k) for k, m in enumerate(MEASURES)},
            marks=dict(zip(MEASURES, "+-+-+", strict=True)) if i else {},
            cost=COST | ({"recall": 0.987} if recall else {}),
            share=(0.5, 0.25, 0.75) if share_of and i else None,
        )
        for i, name in enumerate(names)
    )
    return Report("tiny", "demo", names[0], MEASURES, 3, 10, 0, 0.05, rows, ["a [note] of its own"], share_of)


def tables(text: str) -> list[dict[str, list[str]]]:
    """Every table's lines by its first word; a table begins at its heads."""
    found: list[dict[str, list[str]]] = []
    for line in text.splitlines():
        if line.strip().startswith("system "):
            found.append({})
        if found and line.startswith(" ") and "─" not in line:
            name, _, rest = line.strip().partition("  ")
            found[-1][name] = rest.split()
    return found


@pytest.mark.parametrize("width", [1, 20, 60, 80, 100, 120, 200])
@pytest.mark.parametrize("names", [SHORT, LONG])
@pytest.mark.parametrize("share_of", ["", "dense"])
def test_no_name_figure_or_mark_is_cut_at_any_width(width: int, names: tuple[str, ...], share_of: str) -> None:
    found = report(names, share_of=share_of)
    text = on_terminal(found, width=width)
    assert "…" not in text
    parts = tables(text)
    assert text.count("system") == len(parts)
    for row in found.rows:
        cells = [cell for part in parts for cell in part[row.name]]
        wanted = [f"{row.measures[m]:.4f}{row.marks.get(m, '').replace('-', '−')}" for m in MEASURES]
        assert [cell for cell in cells if cell in wanted] == wanted
        assert not row.share or cells[cells.index("0.50") :][:2] == ["0.50", "(0.25–0.75)"]
    for m in MEASURES:
        assert sum(m in part["system"] for part in parts) == 1
    if width >= 60 and names == SHORT:
        assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize(
    ("width", "left"),
    [
        (200, []), (110, ["queries/s"]), (100, ["build s", "queries/s"]), (90, ["index", "build s", "queries/s"]),
        (70, ["width", "bytes/doc", "index", "build s", "queries/s"]),
    ],
)  # fmt: skip
def test_costs_without_room_are_left_out_from_the_right_and_named(width: int, left: list[str]) -> None:
    text = on_terminal(report(SHORT), width=width)
    (part,) = tables(text)
    assert not {word for head in left for word in head.split()} & {*part["system"]}
    said = f"No room here for {', '.join(left)}: report.md has them, and a wider terminal."
    assert (said in " ".join(text.splitlines())) == bool(left)
    shown = {"width": "256", "bytes/doc": "1,024", "index": "3.0 MiB", "build s": "12.3", "queries/s": "1,234"}
    assert " ".join(part["dense"]).endswith(" ".join(cell for head, cell in shown.items() if head not in left))


def test_recall_is_the_last_to_go_and_its_line_goes_with_it() -> None:
    for width, there in ((85, True), (66, False)):
        text = " ".join(on_terminal(report(SHORT, recall=True), width=width).splitlines())
        assert (" recall" in text.partition("bm25")[0]) == ("Recall: of the exact best" in text) == there


def test_plain_text_has_everything_in_one_table_and_notes_are_shown_as_they_are() -> None:
    found = report(("x" * 20_000, *LONG))
    text = str(found)
    (part,) = tables(text)
    assert part["system"] == [*MEASURES, "width", "bytes/doc", "index", "build", "s", "queries/s"]
    assert "No room" not in text
    assert text.endswith("\na [note] of its own\n")
    words = " ".join(on_terminal(found, width=80).split())
    assert words.endswith("a [note] of its own No room here for width, bytes/doc, index, build s, queries/s: report.md has them, "
                          "and a wider terminal.")  # fmt: skip


def test_a_real_terminal_of_eighty_columns_shows_whole_figures(tmp_path: Path) -> None:
    import pty
    import struct
    from fcntl import ioctl
    from termios import TIOCSWINSZ

    (tmp_path / "table.py").write_text(
        "from test_render import SHORT, report\nfrom rarityir.cli.evaluation import show\nshow(report(SHORT), as_json=False)\n"
    )
    leader, follower = pty.openpty()
    ioctl(follower, TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", ""), str(Path(__file__).parents[1])])
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")} | {"PYTHONPATH": paths, "TERM": "xterm"}
    process = subprocess.Popen([sys.executable, str(tmp_path / "table.py")], stdout=follower, env=env)
    os.close(follower)
    out = b""
    try:
        while chunk := os.read(leader, 1 << 16):
            out += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(leader)
    assert process.wait() == 0
    text = out.decode().replace("\r\n", "\n")
    assert "\x1b[1m0.2414\x1b[0m" in text  # AP's best, in bold
    assert "…" not in text
    assert max(map(len, text.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines())) <= 80


def test_one_system_is_compared_with_none() -> None:
    assert "tiny, encoder demo, 3 topics, cutoff 10. + and − differ from bm25 (" in on_terminal(report(SHORT), width=120)
    alone = on_terminal(report(SHORT[:1]), width=120)
    assert "tiny, encoder demo, 3 topics, cutoff 10. bm25 alone, so nothing is compared." in alone
    assert "differ from" not in alone


def test_scores_show_themselves_in_a_line() -> None:
    scores = Scores("dense", ("q1", "q2"), {"AP": np.array([0.25, 0.75]), "RR": np.array([0.0, 1.0])})
    assert repr(scores) == "Scores('dense', 2 topics: AP 0.5000, RR 0.5000)"
