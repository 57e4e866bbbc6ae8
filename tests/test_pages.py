"""Pages as a browser shows them: every figure is there, nothing runs, nothing is asked of a network, nothing overflows."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from evals.browser import BROWSER, headless
from rarityir.report import page as pages
from rarityir.report import terminal
from rarityir.report.matching import Column, Instructed, Match, Pair, Reading, Score, Term, Word

HOSTILE = (
    '<script>document.title="owned"</script><img src="http://example.invalid/x.png" onerror="alert(1)">\x1b[31m\u202e&amp;"\''
)
VOID = {"meta", "link", "br", "img", "hr"}


def column(label: str, tokens: str, **more: object) -> Column:
    return Column(label, tuple(Word(t, 0.9 - i / 7, own=i == 1, **more) for i, t in enumerate(tokens.split("|"))))


def reading(text: str, tokens: str) -> Reading:
    second = column("edge:2", tokens, logit=3.25, first=-1.125)
    return Reading(text, (column("raw", "the|of|and", gone=True), replace(second, words=second.words)))


TERMS = tuple(
    Term(f"{name}{HOSTILE}" if i == 2 else name, 1.5 + i, 0.0625 * (i + 1), i % 2 == 0, i > 1) for i, name in enumerate("wxyz")
)
PAIR = Pair(
    "demo", "edge:2", 0.8125, 0.4375, reading(f"query {HOSTILE}", "w|q|flow"), reading("d " * 900, f"flow|long{'g' * 90}|w")
)
LOST, HEAVY = replace(TERMS[0], token="lost", impact=0.0), replace(TERMS[3], token="heavy", weight=0.0)
FOUND = Match(
    f"query {HOSTILE}",
    "d " * 900,
    "sparse:64+edge:2",
    10,
    PAIR,
    score=Score(sum(t.product for t in TERMS), TERMS, (LOST,), (HEAVY,)),
    against=replace(PAIR, encoder=f"other {HOSTILE}", cosine=0.5625),
    instructed=Instructed(HOSTILE, 0.75, 0.6875, 0.3125, 0.125, reading("query", "new|old|flow")),
    dataset="tiny/test",
    query_id=f"q{HOSTILE}",
    doc_id="d1",
    rank=3,
    documents=1400,
)


class Balanced(HTMLParser):
    """Fails on a tag that is not closed, and gathers tags with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module", params=["match", "readings"])
def html(request) -> str:
    if request.param == "match":
        return pages.match(FOUND)
    return pages.readings([PAIR.query, PAIR.document], f"demo {HOSTILE}")


def text_of(html: str) -> str:
    import html as entities

    return " ".join(entities.unescape(re.sub(r"<[^>]+>", " ", html.split("</style>")[1])).split())


def test_a_page_is_whole_and_has_no_script_handler_or_address(html):
    parser = Balanced()
    parser.feed(html)
    assert parser.open == []
    assert {tag for tag, _ in parser.tags} & {"script", "img", "iframe", "object", "embed", "form", "base"} == set()
    for tag, attributes in parser.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:,") == "data:,", tag
    assert "url(" not in html
    assert "@import" not in html
    assert "\x1b" not in html
    assert "\u202e" not in html
    policy = next(a["content"] for t, a in parser.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_tables_have_captions_and_heads_with_scopes(html):
    parser = Balanced()
    parser.feed(html)
    tags = [tag for tag, _ in parser.tags]
    assert tags.count("table") == tags.count("caption") == tags.count("thead") > 0
    assert {a.get("scope") for tag, a in parser.tags if tag == "th"} == {"row", "col"}
    assert next(a["lang"] for tag, a in parser.tags if tag == "html") == "en"
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    for table in re.findall(r"<table>.*?</table>", html, re.DOTALL):
        widths = {
            len(re.findall(r"<t[hd]", row)) + 3 * row.count("colspan") for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
        }
        assert len(widths) == 1
    assert len(rows) > 6


def test_a_match_page_says_every_figure_and_mark():
    shown = text_of(pages.match(FOUND))
    for t in TERMS:
        assert f"{t.weight:.4f} {t.impact:.4f} {t.product:.4f}" in shown
    assert f"score {FOUND.score.total:.4f}" in shown
    assert "rank 3 of 1400" in shown
    for figure in ("0.8125", "0.4375", "0.5625", "0.6875", "0.3125", "0.1250", "0.7500", "−0.1250"):
        assert figure in shown
    assert "lost 1.5" in shown
    assert "heavy * (in its text) 0.25" in shown
    assert "w = (written by both) 0.900" in shown
    assert "q * (in the text itself) 0.757" in shown
    assert shown.count("neither") == 1  # x: in no text
    bars = [float(found) for found in re.findall(r"--share:([\d.]+)%", pages.match(FOUND))]
    assert bars == pytest.approx([100 * t.product / max(t.product for t in TERMS) for t in TERMS], abs=0.06)


def test_a_long_text_is_there_once_and_opened_by_a_click():
    html = pages.match(FOUND)
    assert html.count("<details>") == 1
    assert len(re.findall(r"\bd\b", text_of(html).split("Sparse score")[0])) == 900


def test_a_readings_page_shows_the_split_and_the_marks():
    shown = text_of(pages.readings([PAIR.query], "demo"))
    assert "w 0.900 3.250 −1.125 4.375" in shown
    assert "the − (not in the next reading) 0.900" in shown
    assert "in the text itself: 1 of 3 raw, 1 of 3 edge:2" in shown
    alone = pages.readings([Reading("a", (column("raw", "b"),))], "demo")
    assert "not in the one before" not in alone
    assert "* in the text itself" in alone


def test_a_match_without_a_sparse_part_shows_the_pair_alone():
    shown = text_of(pages.match(replace(FOUND, score=None, against=None, instructed=None, dataset="")))
    assert "Sparse score" not in shown
    assert "Against" not in shown
    assert "instruction" not in shown
    assert "rank" not in shown
    assert "As demo reads both" in shown


def test_a_terminal_is_given_nothing_to_obey():
    shown = terminal.match(FOUND, width=120, colour=True) + terminal.readings([PAIR.query], f"demo {HOSTILE}", colour=True)
    assert re.sub(r"\x1b\[[0-9;]*m|\n", "", shown).isprintable()
    assert "\x1b[31m" not in shown
    plain = terminal.match(FOUND, colour=False)
    assert plain.replace("\n", "").isprintable()
    assert terminal.match(replace(FOUND, system="dense\x1b[2J"), colour=False).startswith("dense\\x1b[2J")


@pytest.mark.parametrize("width", [12, 24, 40, 60, 80])
def test_no_width_shortens_a_token_or_a_figure(width):
    def figures(shown: str) -> list[str]:
        return sorted(re.findall(r"[-−+]?\d+\.\d{3,4}\b", shown))

    def letters(shown: str) -> str:
        return "".join(sorted(re.sub(r"[\s─]", "", shown)))

    for show in (terminal.match, lambda found, **how: terminal.readings([found.pair.query], "demo", **how)):
        wide, narrow = show(FOUND, colour=False), show(FOUND, width=width, colour=False)
        assert figures(narrow) == figures(wide) != []
        assert letters(narrow) == letters(wide)


def browse(tmp_path: Path, html: str, *options: str) -> tuple[str, str]:
    """A page's DOM after it was loaded, and what the browser logged."""
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    address = (tmp_path / "page.html").as_uri()
    command = headless(tmp_path / "profile", "--enable-logging=stderr", *options, "--dump-dom", address)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome")


@needs_browser
def test_a_browser_shows_every_figure_without_an_error_or_a_request(tmp_path):
    html = pages.match(FOUND)
    dom, console = browse(tmp_path, html, f"--log-net-log={tmp_path / 'net.json'}")
    assert console == ""
    for t in TERMS:
        assert f'{t.weight:.4f}</td><td class="number">{t.impact:.4f}</td>' in dom
        assert f">{t.product:.4f}</td>" in dom
    assert "<title>query" in dom
    assert "owned</title>" not in dom
    assert "<script" not in dom
    assert "<img" not in dom
    assert "example.invalid/" not in (tmp_path / "net.json").read_text()


@needs_browser
def test_the_browser_would_have_told_of_an_error_and_of_a_request(tmp_path):
    html = '<!doctype html><title>x</title><script>console.error("seen")</script><img src="http://example.invalid/x.png">'
    _, console = browse(tmp_path, html, f"--log-net-log={tmp_path / 'net.json'}")
    assert "seen" in console
    assert "example.invalid/" in (tmp_path / "net.json").read_text()


@needs_browser
@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_never_scrolls_sideways(tmp_path, width):
    """The page in a frame of that width says how wide it is; only there is a script allowed."""
    for html in (pages.match(FOUND), pages.readings([PAIR.query, PAIR.document], "demo")):
        measured = html.replace("default-src 'none';", "script-src 'unsafe-inline';").replace(
            "</body>", "<script>parent.postMessage(document.documentElement.scrollWidth,'*')</script></body>"
        )
        (tmp_path / "framed.html").write_text(measured, encoding="utf-8")
        frame = (
            f'<!doctype html><iframe src="framed.html" width={width} height=900 style="border:0"></iframe>'
            "<script>onmessage=e=>document.title='wide '+e.data</script>"
        )
        dom, _ = browse(tmp_path, frame, "--virtual-time-budget=2000")
        assert 0 < int(re.search(r"<title>wide (\d+)</title>", dom)[1]) <= width


@needs_browser
def test_light_and_dark_differ_in_ground_and_ink_and_both_are_readable(tmp_path):
    script = (
        "<script>const of=e=>getComputedStyle(document.querySelector(e));"
        "document.title=JSON.stringify([of('body').backgroundColor,...['body','.own','.quiet','.moved'].map(e=>of(e).color)])"
        "</script></body>"
    )
    html = (
        pages.readings([PAIR.query], "demo")
        .replace("default-src 'none';", "script-src 'unsafe-inline';")
        .replace("</body>", script)
    )
    found = {}
    for name, number in (("dark", 0), ("light", 1)):
        dom, _ = browse(tmp_path, html, f"--blink-settings=preferredColorScheme={number}")
        found[name] = [tuple(map(int, re.findall(r"\d+", c))) for c in json.loads(re.search(r"<title>(.*?)</title>", dom)[1])]
        ground, *inks = found[name]
        assert all(contrast(ground, ink) >= 4.5 for ink in inks), name
    assert luminance(found["light"][0]) > 0.9
    assert luminance(found["dark"][0]) < 0.05


def luminance(colour: tuple[int, ...]) -> float:
    """Relative luminance (WCAG 2.1)."""
    parts = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
