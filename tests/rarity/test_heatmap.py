"""Heat maps: the text is there whole in each of them, its values can be read back from numbers and from colours alone."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from html.parser import HTMLParser
from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_pages import HOSTILE, Balanced, browse, needs_browser

from rarityir import counts
from rarityir.report import colours, heatmap_page, heatmap_picture, heatmap_terminal
from rarityir.report.heatmap import ACTUAL, ERROR, PREDICTED, HeatMap, Scale, heat_map
from rarityir.types import RarityError

ODD = [
    *("👩‍🚀", "🇩🇪", "👍🏽", "שלום ", "مرحبا", "日本語", "é", " the", "ing", " ", "a" * 50, "$x^2$"),
    *("\t", "\n", "\r\n", "\r", "\xa0", "\x00", "\x9b2J", "\x1b[31m", "\x1b]0;x\x07", "\u202e", "\u200d", "\ud83d"),
    *("<script>alert(1)</script>", "&amp;", '"', "'", "\\n"),
]
TEXTS = st.lists(st.sampled_from(ODD) | st.text(max_size=4), max_size=12).map("".join)
SENTENCE = "the boundary layer past a flat plate, by Glauert (1956)."


@st.composite
def maps(draw: st.DrawFn, texts: st.SearchStrategy[str] = TEXTS) -> HeatMap:
    """Any text under any spans: touching, overlapping, empty, beyond its ends, out of order."""
    text = draw(texts)
    place = st.integers(0, len(text) + 1)
    spans = draw(st.lists(st.tuples(place, place).map(sorted).map(tuple), max_size=10))
    values = st.lists(st.floats(-3, 15) | st.just(math.nan), min_size=len(spans), max_size=len(spans))
    seen = draw(st.none() | st.lists(st.booleans(), min_size=len(spans), max_size=len(spans)))
    forms = [f"tok{i}\x1b<b>" for i in range(len(spans))]
    layers = {"type:1": draw(values)} if draw(st.booleans()) else None
    return heat_map(
        text,
        spans,
        forms,
        draw(values),
        draw(values),
        seen=seen,
        layers=layers,
        classic=draw(st.booleans()),
        title="a <b>\x1b title",
    )


def plain(classic: bool = False, **options: object) -> HeatMap:
    """A sentence in the packaged model's tokens, its values a rule that shows in each."""
    encoding = counts.tokenizer_of("demo").encode(SENTENCE, add_special_tokens=False)
    actual = [0.3 + 8.3 * i / len(encoding.ids) for i in range(len(encoding.ids))]
    predicted = [7.7 - 0.9 * a for a in actual]
    return heat_map(SENTENCE, encoding.offsets, encoding.tokens, actual, predicted, classic=classic, **options)  # type: ignore[arg-type]


# ---- the layout


@given(
    TEXTS.flatmap(lambda t: st.tuples(st.just(t), st.lists(st.tuples(st.integers(-2, len(t) + 2), st.integers(-2, len(t) + 2)))))
)
def test_cells_are_the_text_and_each_token_is_in_one_of_them(case):
    text, spans = case
    found = heat_map(text, spans, [str(i) for i in range(len(spans))], [1.0] * len(spans))
    assert "".join(cell.text for cell in found.cells) == text
    assert all(cell.text and text[cell.start : cell.start + len(cell.text)] == cell.text for cell in found.cells)
    held = [piece.form for cell in found.cells for piece in cell.pieces]
    assert sorted(held) == (sorted(str(i) for i in range(len(spans))) if text else [])
    for cell in found.cells:
        for piece in cell.pieces:
            start, stop = (min(max(at, 0), len(text)) for at in spans[int(piece.form)])
            if start < stop:
                assert cell.start <= start
                assert stop <= cell.start + len(cell.text)


@pytest.mark.parametrize("model", ["demo", "stories"])
@given(text=TEXTS.filter(lambda t: not any("\ud800" <= c <= "\udfff" for c in t)))
def test_tokens_of_a_real_tokenizer_cover_each_glyph_once(model, text, stories):
    encoding = counts.tokenizer_of(stories if model == "stories" else model).encode(text, add_special_tokens=False)
    found = heat_map(text, encoding.offsets, encoding.tokens, [1.0] * len(encoding.ids))
    assert "".join(cell.text for cell in found.cells) == text
    assert sum(len(cell.pieces) for cell in found.cells) == (len(encoding.ids) if text else 0)
    for one, other in pairwise(found.cells):
        assert not unicodedata.category(other.text[0]).startswith("M") or one.text[-1].isspace()


def test_pieces_of_a_glyph_are_one_cell_and_the_rarest_stands_for_it(stories):
    encoding = counts.tokenizer_of(stories).encode("日本 👩‍🚀", add_special_tokens=False)
    found = heat_map("日本 👩‍🚀", encoding.offsets, encoding.tokens, [float(i % 5) for i in range(len(encoding.ids))])
    assert [cell.text for cell in found.cells] == ["日", "本", " ", "👩‍🚀"]
    assert [len(cell.pieces) for cell in found.cells] == [4, 3, 1, 11]
    for cell in found.cells:
        assert cell.values == (max(piece.values[0] for piece in cell.pieces),)


def test_what_no_token_covers_has_no_values_and_what_is_not_known_none():
    found = heat_map("ab  cd", [(0, 2), (4, 6)], ["ab", "cd"], [2.0, math.nan], [3.5, 1.0], seen=[True, False])
    assert [(cell.text, cell.values) for cell in found.cells] == [("ab", (2.0, 3.5, 1.5)), ("  ", ()), ("cd", (None, 1.0, None))]
    assert [cell.seen for cell in found.cells] == [True, False, False]
    assert [row.label for row in found.rows] == [ACTUAL, PREDICTED, ERROR]
    assert found.rows[2].scale == Scale(-2, 2)
    assert heat_map("ab", [(0, 2)], ["ab"], [math.nan]).cells[0].shown is None
    assert json.loads(json.dumps(found.json()))["cells"][0]["values"] == [2.0, 3.5, 1.5]


def test_what_cannot_be_laid_out_is_said_in_a_line():
    with pytest.raises(RarityError, match="1 tokens need so many"):
        heat_map("ab", [(0, 2)], ["ab"], [1.0, 2.0])
    with pytest.raises(RarityError, match="infinite"):
        heat_map("ab", [(0, 2)], ["ab"], [math.inf])
    with pytest.raises(RarityError, match="no values"):
        Scale(3, 3)


def test_the_classic_map_is_a_red_and_a_blue_bar_from_black():
    found = heat_map("ab", [(0, 1), (1, 2)], ["a", "b"], [0.0, 12.0], [24.0, 6.0], classic=True, scale=Scale(0, 12))
    assert [row.palette for row in found.rows] == ["red", "blue"]
    assert colours.table("red")[0] == colours.table("blue")[0] == (0, 0, 0)
    assert colours.table("red")[-1] == (255, 0, 0)
    assert colours.table("blue")[-1] == (0, 0, 255)
    html = heatmap_page.render([found], "classic")
    assert "--l0:#000000;--d0:#000000;--l1:#0000ff;--d1:#0000ff" in html  # 24 is drawn as 12
    assert "--l0:#ff0000;--d0:#ff0000;--l1:#000080;--d1:#000080" in html
    assert "drawn as its end: 1" in html


# ---- colours


def lightness(colour: tuple[float, ...]) -> float:
    """CIE L* of a linear colour's luminance."""
    y = 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]
    return 116 * max(y, 0.008856) ** (1 / 3) - 16


# Machado, Oliveira and Fernandes (2009), severity 1: protan, deutan, tritan; in linear RGB.
SEEN = {
    "all": np.eye(3),
    "protan": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deutan": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "tritan": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}


def linear(colour: colours.Colour) -> np.ndarray:
    c = np.array(colour) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("eye", SEEN)
def test_colours_are_in_the_order_of_their_values_to_every_eye(eye):
    turn = SEEN[eye]
    rarity = [lightness(turn @ linear(c)) for c in colours.table("rarity")]
    assert all(a > b - 0.15 for a, b in pairwise(rarity))  # a step of 8 bits may go back, a hundredth of the whole
    assert all(a > b for a, b in pairwise(rarity[::4]))
    steps = np.abs(np.diff(rarity[::15]))
    assert steps.max() < 2.6 * steps.min()  # about equal
    for dark in (False, True):
        table = colours.table("error", dark=dark)
        sign = 1 if dark else -1
        below, above = ([sign * lightness(turn @ linear(c)) for c in arm] for arm in (table[128::-1], table[128:]))
        assert all(a < b for a, b in pairwise(below[::8]))
        assert all(a < b for a, b in pairwise(above[::8]))
        far = np.clip(turn @ linear(table[0]), 0, 1) ** (1 / 2.2) - np.clip(turn @ linear(table[-1]), 0, 1) ** (1 / 2.2)
        assert np.abs(far).max() > 0.3, "the ends of the error's colours look alike"


def test_tables_have_one_colour_a_level_and_dark_ones_are_read_from_the_other_end():
    assert len(set(colours.table("rarity"))) == 257
    assert len(set(colours.table("error"))) == len(set(colours.table("error", dark=True))) == 257
    assert colours.table("rarity", dark=True) == colours.table("rarity")[::-1]
    middle = colours.table("error")[128]
    assert max(middle) - min(middle) == 0
    for palette in ("rarity", "error", "red", "blue"):
        numbers = colours.terminal(palette)
        assert len(set(numbers)) == len(numbers)
        light = [lightness(linear(colours.of_terminal(n))) for n in numbers]
        if palette == "error":
            half = len(numbers) // 2
            assert len(numbers) % 2 == 1
            assert light[: half + 1] == sorted(light[: half + 1], reverse=True)
            light = light[half:]
        assert light == sorted(light)
    assert colours.of_terminal(16) == (0, 0, 0)
    assert colours.of_terminal(231) == (255, 255, 255)
    assert colours.of_terminal(208) == (255, 135, 0)
    assert colours.of_terminal(244) == (128, 128, 128)


# ---- HTML


class Cells(HTMLParser):
    """Reads cells back: their attributes, and the characters inside, the hidden ones too."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[tuple[dict[str, str], list[str]]] = []
        self.depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = {name: value or "" for name, value in attrs}
        if tag == "span" and facts.get("class", "").split(" ")[0] == "t":
            self.cells.append((facts, []))
            self.depth = 1
        elif self.depth:
            self.depth += 1

    def handle_endtag(self, tag: str) -> None:
        self.depth = max(0, self.depth - 1)

    def handle_data(self, data: str) -> None:
        if self.depth:
            self.cells[-1][1].append(data)


def read(html: str) -> list[tuple[dict[str, str], str]]:
    parser = Cells()
    parser.feed(html)
    return [(facts, "".join(inside)) for facts, inside in parser.cells]


def keys(html: str, theme: str) -> list[tuple[float, float, list[tuple[float, ...]]]]:
    """Each scale of the key as a reader has it: its ends, and the colours between them."""
    found = re.findall(r'<em>([−\d.]+)</em><span class="strip" style="([^"]*)"></span>(\+?[\d.]+) nats</p>', html)
    ramps = [re.search(rf"--{theme}:linear-gradient\(to right,([^)]*)\)", style)[1].split(",") for _, style, _ in found]
    ends = [(float(low.replace("−", "-")), float(high)) for low, _, high in found]
    return [
        (*pair, [(float(c.split()[1][:-1]), *bytes.fromhex(c[1:7])) for c in ramp])
        for pair, ramp in zip(ends, ramps, strict=True)
    ]


def decoded(colour: str, low: float, high: float, ramp: list[tuple[float, ...]]) -> float:
    """Where on the key's ramp, straight between its colours as a browser draws it, a colour stands."""
    places = [place for place, *_ in ramp]
    fine = np.linspace(0, 100, 8193)
    line = np.stack([np.interp(fine, places, [c[i] for c in ramp]) for i in (1, 2, 3)], 1)
    at = np.square(line - np.array(tuple(bytes.fromhex(colour[1:])))).sum(1).argmin()
    return low + float(fine[at]) / 100 * (high - low)


@given(maps())
def test_a_page_holds_the_text_and_the_values_exactly(found):
    html = heatmap_page.render([found], "a page")
    cells = read(html.encode("utf-8").decode("utf-8"))
    assert "".join(json.loads(facts["data-text"]) for facts, _ in cells) == found.text
    kept = "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in found.text)
    assert "".join(inside for _, inside in cells) == kept
    for cell, (facts, _) in zip(found.cells, cells, strict=True):
        assert int(facts["data-start"]) == cell.start
        for row, value in zip(found.rows, cell.values):
            name = "data-" + row.label.replace(":", "-")
            assert (float(facts[name]) if name in facts else None) == value
        assert ("seen" in facts["class"].split()) == cell.seen
        assert ("data-said" in facts) == bool(cell.values)


@given(maps())
def test_nothing_in_a_page_can_run_or_turn_the_page_round(found):
    html = heatmap_page.render([found], HOSTILE, [HOSTILE])
    parser = Balanced()
    parser.feed(html)
    assert parser.open == []
    assert {tag for tag, _ in parser.tags} & {"script", "img", "iframe", "object", "embed", "form", "base", "a"} == set()
    for tag, attributes in parser.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert all((attributes.get(name) or "data:,") == "data:," for name in ("src", "href")), tag
        assert "url(" not in (attributes.get("style") or "")
    assert "@import" not in html
    # Where something not printed stands in the page at all, it is in an element that is not drawn.
    shown = re.sub(r'<span class="code" data-code="[^"]*"><span>.*?</span></span>', "", html, flags=re.DOTALL)
    assert all(c.isprintable() or c in "\n\t\u200b\u200c\u200d" for c in shown)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("classic", [False, True])
def test_colours_say_the_values_to_who_has_the_key_alone(theme, classic):
    found = plain(classic, scale=Scale(0, 9), error=8)
    html = heatmap_page.render([found], "a page")
    scales = keys(html, theme)
    assert len(scales) == 2
    which = [0, 1] if classic else [0, 0, 1]
    for facts, _ in read(html):
        for i, row in enumerate(found.rows):
            colour = re.search(rf"--{theme[0]}{i}:(#\w+)", facts["style"])[1]
            low, high, ramp = scales[which[i]]
            step = (high - low) / (len(colours.table(row.palette)) - 1)
            assert decoded(colour, low, high, ramp) == pytest.approx(float(facts[f"data-{row.label}"]), abs=step)


def test_a_page_says_the_numbers_where_one_points_and_in_a_table():
    html = heatmap_page.render([plain(seen=[i == 1 for i in range(len(plain().cells))])], "a page", ["a note"])
    cell = next(facts for facts, inside in read(html) if inside == " boundary")
    actual = float(cell["data-actual"])
    assert cell["data-said"].split("\n") == [
        "“ boundary”",
        f"actual {actual:.2f} nats",
        f"predicted {float(cell['data-predicted']):.2f}",
        f"error {float(cell['data-error']):+.2f}".replace("-", "−"),
        "seen by the fit",
    ]
    assert cell["tabindex"] == "0"
    table = html.split("<table>")[1]
    assert re.search(r"boundary</bdi></th><td>Ġboundary</td><td class=\"number\">" + f"{actual:.2f}", table)
    assert "<p>a note</p>" in html
    assert "hatched" in html
    assert "hatched" not in heatmap_page.render([plain()], "a page")


# ---- terminal


def shown(text: str, *, ascii: bool) -> str:
    """A text as a terminal may print it."""
    good = (lambda c: c.isascii() and c.isprintable()) if ascii else str.isprintable
    return "".join(c if good(c) else c.encode("unicode_escape").decode() for c in text)


@given(maps(), st.sampled_from(["true", "256", "none", "ascii"]), st.integers(10, 120))
def test_a_terminal_prints_the_text_and_obeys_nothing_of_it(found, depth, width):
    ascii = depth == "ascii"
    printed = heatmap_terminal.render(found, width=width, depth="none" if ascii else depth, ascii=ascii)
    bare = re.sub(r"\x1b\[(48;[25];[\d;]+;38;5;\d+|0)m", "", printed)
    assert bare.replace("\n", "").isprintable()
    assert not ascii or bare.isascii()
    assert ("\x1b" in printed) <= (depth in ("true", "256"))
    gutter = max(len(row.label) for row in found.rows) + 2
    blocks = bare.split("\n\n")[1:-1]
    lines = [block.split("\n")[0][max(gutter, 10 * found.seen) :] for block in blocks]
    assert "".join(lines) == shown(found.text, ascii=ascii)


def test_lines_are_broken_at_words_and_fit():
    printed = heatmap_terminal.render(plain(), width=36)
    lines = [block.split("\n") for block in printed.split("\n\n")[:-1]]
    texts = [block[-4] if len(block) > 4 else block[0] for block in lines]
    assert [text[11:] for text in texts if text.strip()] == ["the boundary layer past ", "a flat plate, by Glauert ", "(1956)."]
    assert max(len(line) for line in printed.split("\n")) <= 40  # the key's own names need as much
    long = heatmap_terminal.render(heat_map("x" * 100, [(0, 100)], ["x"], [1.0]), width=50)
    assert max(map(len, long.split("\n"))) <= 50


@pytest.mark.parametrize("depth", ["true", "256", "none", "ascii"])
def test_a_terminals_colours_and_marks_say_the_values_within_a_step(depth):
    found = plain(scale=Scale(0, 9), error=8)
    ascii = depth == "ascii"
    printed = heatmap_terminal.render(found, width=300, depth="none" if ascii else depth, ascii=ascii)
    for i, row in enumerate(found.rows):
        line = next(line for line in printed.split("\n") if line.startswith(row.label))
        if depth in ("true", "256"):
            table = colours.table(row.palette, dark=True) if depth == "true" else colours.terminal(row.palette)
            numbers = re.findall(r"48;2;(\d+);(\d+);(\d+)" if depth == "true" else r"48;5;(\d+)()()", line)
            levels = [table.index(tuple(map(int, n)) if depth == "true" else int(n[0])) for n in numbers]
            expected = [cell.values[i] for cell in found.cells]
        else:
            table = {True: ".:-=+*#%@", False: "▁▂▃▄▅▆▇█"}[ascii] if i < 2 else {True: "Vv.^A", False: "▼▽·△▲"}[ascii]
            marks = [(c, len(list(run))) for c, run in groupby(line[11:])]
            levels = [table.index(c) for c, size in marks for _ in range(size) if c != " "]
            cores = [(cell.text.strip(), cell.values[i]) for cell in found.cells]
            expected = [value for text, value in cores for _ in text]
        values = [row.scale.low + level / (len(table) - 1) * (row.scale.high - row.scale.low) for level in levels]
        step = (row.scale.high - row.scale.low) / (len(table) - 1)
        assert values == pytest.approx(expected, abs=step / 2 + 1e-9)


def test_a_terminal_without_colour_marks_what_a_fit_saw():
    found = heat_map("ab cd", [(0, 2), (2, 5)], ["ab", " cd"], [1.0, 2.0], [2.0, 1.0], seen=[False, True])
    assert "\x1b" not in heatmap_terminal.render(found, depth="true", ascii=True)
    assert "training      //" in heatmap_terminal.render(found)
    assert "training" not in heatmap_terminal.render(heat_map("ab", [(0, 2)], ["ab"], [1.0]))


# ---- pictures


@pytest.mark.parametrize("kind", [".svg", ".png"])
def test_a_picture_is_the_same_bytes_each_time(tmp_path, kind):
    found = [plain(seen=[True, *[False] * (len(plain().cells) - 1)], title="demo"), plain(True)]
    one, other = (heatmap_picture.picture(found, tmp_path / f"{name}{kind}").read_bytes() for name in "ab")
    assert one == other
    assert one.startswith(b"\x89PNG" if kind == ".png" else b"<?xml")


def test_a_picture_says_the_values_in_colours_and_draws_what_its_font_lacks_as_escapes(tmp_path):
    found = plain(scale=Scale(0, 9), error=8)
    svg = heatmap_picture.picture([found], tmp_path / "a.svg").read_text()
    for number, cell in enumerate(found.cells):
        for row, value in zip(found.rows, cell.values, strict=True):
            colour = re.search(rf'id="map1-cell{number}-{row.label}">.*?fill: (#\w+)', svg, re.DOTALL)[1]
            table = colours.table(row.palette)
            level = table.index(tuple(bytes.fromhex(colour[1:])))
            step = (row.scale.high - row.scale.low) / (len(table) - 1)
            assert row.scale.low + level * step == pytest.approx(value, abs=step / 2 + 1e-9)
    odd = "".join(o for o in ODD)
    laid = heat_map(odd, [(i, i + 1) for i in range(len(odd))], list(odd), [1.0] * len(odd))
    assert heatmap_picture.picture([laid], tmp_path / "b.png").stat().st_size > 1000
    with pytest.raises(RarityError, match=r"\.svg, \.png or \.pdf"):
        heatmap_picture.picture([found], tmp_path / "a.gif")


# ---- a browser


@needs_browser
def test_a_browser_shows_the_text_whole_and_never_scrolls_sideways(tmp_path):
    text = "".join(o for o in ODD if o != "\ud83d" and "\0" not in o) + SENTENCE
    encoding = counts.tokenizer_of("demo").encode(text, add_special_tokens=False)
    found = heat_map(text, encoding.offsets, encoding.tokens, [float(i % 9) for i in encoding.ids], [4.0] * len(encoding.ids))
    script = (
        "<script>const all=[...document.querySelectorAll('.t')];const said={text:all.map(t=>t.textContent).join(''),"
        "wide:document.documentElement.scrollWidth,bar:getComputedStyle(all[1].querySelector('.w')).backgroundImage,"
        "drawn:document.querySelector('.text').innerText};parent.postMessage(JSON.stringify(said),'*')</script></body>"
    )
    html = heatmap_page.render([found], "a page").replace("default-src 'none';", "script-src 'unsafe-inline';")
    (tmp_path / "framed.html").write_text(html.replace("</body>", script), encoding="utf-8", newline="")
    frame = (
        '<!doctype html><meta charset="utf-8"><iframe src="framed.html" width=360 height=900 style="border:0"></iframe>'
        "<script>onmessage=e=>document.title=btoa(unescape(encodeURIComponent(e.data)))</script>"
    )
    dom, _ = browse(tmp_path, frame, "--virtual-time-budget=2000")
    import base64

    said = json.loads(base64.b64decode(re.search(r"<title>(.*?)</title>", dom)[1]))
    assert said["text"] == text
    assert said["wide"] <= 360
    assert said["bar"].count("linear-gradient") == 4  # three rows, and what parts tokens
    assert not set(said["drawn"]) & set("\u202e\x1b")
