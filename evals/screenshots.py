"""Takes the pictures of an experiment's page that docs/report.md shows, light, dark and narrow: `python -m evals.screenshots`.

Evaluates the systems below on the embedded collection first, unless --page names a page that is there. Needs Chromium or Chrome.
Each picture is of frames that hold the page, one a place in it, as a phone is narrower than a browser's window may be.
"""

from __future__ import annotations

import argparse
import html
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from evals.browser import BROWSER, headless

OUT = Path(__file__).parent.parent / "docs" / "img"
SYSTEMS = (
    "bm25,dense,dense+edge:{2,4,8},dense+tail:{2,4,8},dense+head:2,dense+random:2,dense+auto,sparse:{64,256,1024},"
    "sparse:{64,256,1024}+auto,rrf(bm25,dense+edge:2)"
)
EVAL = ["eval", "--dataset", "cranfield", "--baseline", "dense", "--measures", "nDCG@10,RR@10,R@100,AP", "--systems", SYSTEMS]


class Picture(NamedTuple):
    """Places of the page side by side, each so many pixels wide."""

    name: str
    places: tuple[str, ...]
    width: int
    height: int
    dark: bool = False


PICTURES = (
    Picture("report-light", ("",), 1200, 2060),
    Picture("report-dark", ("#pairs",), 1200, 1900, dark=True),
    Picture("report-narrow", ("", "#cost", "#topics"), 360, 1150),
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--page", type=Path, help="report.html of an experiment that is there")
    options.add_argument("--out", type=Path, default=OUT, help="folder of the pictures (default: docs/img)")
    given = options.parse_args()
    if BROWSER is None:
        sys.exit("no Chromium or Chrome on the path")
    with tempfile.TemporaryDirectory() as scratch:
        page = given.page
        if page is None:
            page = Path(scratch) / "experiment" / "report.html"
            subprocess.run([sys.executable, "-m", "rarityir", *EVAL, "--out", str(page.parent)], check=True)
        if not page.is_file():
            sys.exit(f"no page {page}")
        for picture in PICTURES:
            taken(page.resolve(), picture, Path(scratch), given.out / f"{picture.name}.png")


def taken(page: Path, picture: Picture, scratch: Path, out: Path) -> None:
    """Takes a picture."""
    gap = 20
    frames = "".join(f'<iframe src="{html.escape(page.as_uri() + place)}"></iframe>' for place in picture.places)
    style = (
        f"body{{margin:0;display:flex;gap:{gap}px;background:#bbb}}"
        f"iframe{{border:0;width:{picture.width}px;height:{picture.height}px;flex:none}}"
    )
    (scratch / "frames.html").write_text(f"<!doctype html><style>{style}</style>{frames}", encoding="utf-8")
    width = len(picture.places) * (picture.width + gap) - gap
    out.parent.mkdir(parents=True, exist_ok=True)
    command = headless(
        scratch / "profile", "--hide-scrollbars", "--virtual-time-budget=5000",
        f"--blink-settings=preferredColorScheme={0 if picture.dark else 1}", f"--window-size={width},{picture.height}",
        f"--screenshot={out.resolve()}", (scratch / "frames.html").as_uri(),
    )  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    print(out, flush=True)


if __name__ == "__main__":
    main()
