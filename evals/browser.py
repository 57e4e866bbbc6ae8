"""The browser that pages are looked at with, where there is one: `BROWSER`, and the command that runs it without a window."""

from __future__ import annotations

import shutil
from pathlib import Path

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


def headless(profile: Path, *options: str) -> list[str]:
    """Returns the command of a browser that keeps all it writes in `profile` and asks nobody for anything."""
    if BROWSER is None:
        raise FileNotFoundError("no Chromium or Chrome on the path")
    return [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
        "--disable-component-update", "--no-first-run", f"--user-data-dir={profile}", *options,
    ]  # fmt: skip
