"""The site builds without a warning, its links lead somewhere, nothing on it asks a network, and it knows every command."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import click
import pytest
from blocks import ROOT
from filelock import FileLock

from evals.browser import BROWSER, headless
from rarityir.cli import cli

pytest.importorskip("sphinx", reason="the site needs pip install 'rarityir[docs]'")
TEXT = re.compile(r"<[^>]+>")
LOADED = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src", "object": "data", "use": "href"}


class Page(HTMLParser):
    """What a page links to, loads, and can be linked at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        self.ids |= {given[key] for key in ("id", "name") if key in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in LOADED and given.get("rel") not in ("canonical", "index", "search", "next", "prev", "author"):
            self.loads.append(given.get(LOADED[tag], ""))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site, whichever process builds it."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    out = base / "site"
    with FileLock(f"{out}.lock"):
        if not out.exists():
            (command,) = [line for line in (ROOT / "Makefile").read_text().splitlines() if "-m sphinx" in line]
            words = command.split()[1:]
            words[words.index("build/doctrees")] = str(base / "doctrees")
            words[words.index("build/site")] = str(out)
            away = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}  # who asks a network fails
            done = subprocess.run([sys.executable, *words], cwd=ROOT, env=os.environ | away, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def read(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def test_what_make_builds_is_ignored_by_git_and_strict() -> None:
    (command,) = [line for line in (ROOT / "Makefile").read_text().splitlines() if "-m sphinx" in line]
    assert "--fail-on-warning" in command
    assert "build/" in (ROOT / ".gitignore").read_text().split()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {"sphinx", "myst-nb", "furo"} <= {re.split(r"[<>=]", name)[0] for name in extras["docs"]}


def test_every_page_of_the_repository_is_there(read: dict[Path, Page], site: Path) -> None:
    folders = (ROOT / "docs", ROOT / "evals", ROOT / "rarityir")
    pages = [ROOT / "README.md", *(path for folder in folders for path in folder.rglob("*.md"))]
    wanted = {site / path.relative_to(ROOT).with_suffix(".html") for path in pages if "runs" not in path.parts}
    assert wanted - read.keys() == set()
    assert (site / "index.html").read_text() == (site / "README.html").read_text()


def test_links_within_the_site_lead_to_a_page_and_a_place(read: dict[Path, Page]) -> None:
    broken = []
    for path, page in read.items():
        for link in page.links:
            address, place = urldefrag(link)
            if re.match(r"\w+:", address):
                continue
            target = (path.parent / unquote(address)).resolve() if address else path
            if not target.exists() or (place and target in read and unquote(place) not in read[target].ids):
                broken.append(f"{path.name}: {link}")
    assert broken == []


def test_nothing_is_loaded_from_elsewhere(read: dict[Path, Page], site: Path) -> None:
    assert [f"{path.name}: {what}" for path, page in read.items() for what in page.loads if re.match(r"(\w+:)?//", what)] == []
    for sheet in site.rglob("*.css"):
        assert re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")) == [], sheet.name


def commands(command: click.Command, path: str) -> list[tuple[str, click.Command]]:
    if command.hidden:
        return []
    found = [(path, command)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            found += commands(below, f"{path} {name}")
    return found


def test_the_reference_has_every_command_every_option_and_its_help(site: Path) -> None:
    shown = (site / "docs" / "cli.html").read_text(encoding="utf-8")
    for path, command in commands(cli, "rarityir"):
        place = f'id="{path.replace(" ", "-")}"'
        assert place in shown, path
        section = TEXT.sub("", shown.partition(place)[2].partition("<section")[0])
        wanted = [flag for p in command.params if isinstance(p, click.Option) and not p.hidden for flag in p.opts]
        assert [flag for flag in wanted if not re.search(rf"(?m)^  (.*, )?{flag}\b", section)] == [], path
        says = " ".join((command.help or "").split("\b")[0].split())[:60]
        assert says in " ".join(html.unescape(section).split()), path


def test_tabs_hold_every_page_about_a_stack(site: Path) -> None:
    text = (site / "docs" / "integrations" / "README.html").read_text(encoding="utf-8")
    pages = sorted((ROOT / "docs" / "integrations").glob("[a-z]*.md"))
    assert text.count('class="sd-tab-label"') == len(pages)
    for page in pages:
        assert f'href="{page.stem}.html"' in text, page.name


def test_formulas_are_drawn_by_the_browser(site: Path) -> None:
    for page in ("filters", "rarity-rows"):
        text = (site / "docs" / f"{page}.html").read_text(encoding="utf-8")
        assert "<math" in text
        assert text.count('display="block"') == text.count('<div class="formula"><math')  # which scrolls where it is wide
        assert not re.search(r"<munderover>(?:(?!</munderover>).)*[ˆˉ]</mo>", text, re.S)  # ŷ_t is no sum from t
    assert not list(site.rglob("*mathjax*"))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
@pytest.mark.parametrize("width", [500, 1100, 1320, 1440])
def test_no_page_is_wider_than_the_window(site: Path, width: int, tmp_path: Path) -> None:
    """Long commands and formulas scroll in their own boxes: at a phone's width, and where the theme's side bars come and go."""
    path = site / "docs" / "rarity-rows.html"
    probe = path.with_name(f"wide-{width}.html")
    told = "`${document.documentElement.scrollWidth} of ${innerWidth}`"
    script = f"<script>addEventListener('load', () => {{ document.title = {told} }})</script></body>"
    probe.write_text(path.read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")
    command = headless(tmp_path / "profile", "--hide-scrollbars", f"--window-size={width},900", "--dump-dom", probe.as_uri())
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    finally:
        probe.unlink()
    found = re.search(r"<title>(\d+) of (\d+)</title>", done.stdout)
    assert found, done.stdout[:200]
    assert found[1] == found[2] == str(width)
