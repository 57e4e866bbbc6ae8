"""Pictures of a probe: drawn where the values are, the same bytes each time, whole and inert in their page."""

from __future__ import annotations

import json
import re
from html import unescape

import numpy as np
import pytest
from test_pages import HOSTILE, Balanced, browse, contrast, needs_browser

from rarityir.report import colours, rarity_page
from rarityir.report.rarity import Bands, Curve, Grid, Layers, Scatter, said
from rarityir.report.rarity_ink import OCCURRENCES, TYPES
from rarityir.report.rarity_picture import picture, pictures
from rarityir.types import RarityError

K = np.array([1, 2, 4, 8, 16, 32, 64, 100])
CURVE = Curve(
    K, 0.7 * (1 - np.exp(-K / 20)), 900, np.full(8, -0.1), np.full(8, 0.8), np.full(8, -0.1), np.zeros(8), -0.5 + K / 120,
    ((0.72, 0.7, 0.74), (0.31, 0.2, 0.4)), title=f"R² {HOSTILE}",
)  # fmt: skip
BANDS = Bands(np.array([0, 30, 60, 100]), np.array([0.3, 0.01, 0.125]), np.geomspace(9, 0.5, 100), np.array([-2.0, 0.1, -0.25]))
LAYERS = Layers(
    ("input", "type:1"), np.array([0.6, 0.5]), np.array([0.5, 0.4]), np.array([0.7, 0.6]), np.array([0.2, -0.3]), np.zeros(2)
)
RNG = np.random.default_rng(5)
ACTUAL = RNG.gamma(4, 1.2, 200)
SCATTER = Scatter(
    ACTUAL, ACTUAL + RNG.normal(0.2, 0.5, 200) + 3 * (ACTUAL < 1.5), np.ceil(3000 * np.exp(-ACTUAL)).astype(np.int64)
)
GRID = Grid(("one", "two"), ("log_idf", "noise"), np.array([[0.9, -0.2], [0.4, np.nan]]), np.array([[0.1, -3.0], [0.3, np.nan]]))
PARTS = [CURVE, BANDS, LAYERS, SCATTER, GRID]


def path_of(svg: str, colour: str) -> np.ndarray:
    """The points (N, 2) of the longest line of a colour, y upwards."""
    found = re.findall(rf'<path d="([^"]*)"[^>]*style="fill: none; stroke: {colour}', svg)
    points = [np.array(re.findall(r"[ML] (-?[\d.]+) (-?[\d.]+)", path), float) for path in found]
    longest = max(points, key=len)
    return np.stack([longest[:, 0], -longest[:, 1]], axis=1)


def test_a_curve_is_drawn_where_its_values_are(tmp_path):
    svg = picture(CURVE, tmp_path / "a.svg").read_text()
    types, occurrences = path_of(svg, TYPES), path_of(svg, OCCURRENCES)
    # One straight map takes log k to x, and one takes R² of both kinds to y.
    for where, values in (
        (np.concatenate([types[:, 0], occurrences[:, 0]]), np.log(np.concatenate([K, K]))),
        (np.concatenate([types[:, 1], occurrences[:, 1]]), np.concatenate([CURVE.types, CURVE.occurrences])),
    ):
        slope, start = np.polyfit(values, where, 1)
        assert slope > 0
        assert np.abs(where - (slope * values + start)).max() < 1e-3
    assert said(CURVE).startswith(f"With 100 components R² is {CURVE.types[-1]:.3f} by types and {CURVE.occurrences[-1]:.3f}")


def test_the_null_of_a_curve_is_what_least_squares_reach_on_noise(rng):
    n, k, found = 60, 12, []
    for _ in range(700):
        x, y = np.c_[np.ones(n), rng.standard_normal((n, k))], rng.standard_normal(n)
        new, fresh = np.c_[np.ones(1000), rng.standard_normal((1000, k))], rng.standard_normal(1000)
        error = fresh - new @ np.linalg.lstsq(x, y, rcond=None)[0]
        found.append(1 - (error @ error) / ((fresh - fresh.mean()) ** 2).sum())
    null = Curve(np.array([k, n - 2, n]), np.zeros(3), n).null
    # With an intercept the closed form leaves out 1 / n of the error and less.
    assert null[0] == pytest.approx(-k / (n - k - 1))
    assert np.mean(found) == pytest.approx(null[0], abs=4.5 * np.std(found) / 700**0.5 + 2 / n)
    assert null[1] == -(n - 2)
    assert np.isnan(null[2])


def test_bias_by_band_is_the_mean_error_of_what_is_in_it():
    edges, by_type, by_occurrence, share = SCATTER.bias()
    total = SCATTER.counts.sum()
    for b in range(len(edges) - 1):
        last = b == len(edges) - 2
        inside = [i for i, a in enumerate(ACTUAL) if edges[b] <= a and (a < edges[b + 1] or last)]
        assert share[b] == pytest.approx(sum(SCATTER.counts[i] for i in inside) / total)
        errors = [SCATTER.predicted[i] - ACTUAL[i] for i in inside]
        assert by_type[b] == pytest.approx(sum(errors) / len(errors)) if inside else np.isnan(by_type[b])
        weights = [SCATTER.counts[i] for i in inside]
        if inside:
            assert by_occurrence[b] == pytest.approx(sum(w * e for w, e in zip(weights, errors, strict=True)) / sum(weights))
    assert "too rare on the mean" in said(SCATTER)
    alone = Scatter(np.array([0.0, 1.0]), np.array([1.0, 1.0])).bias()
    assert alone[3].sum() == 1
    assert np.isnan(alone[1][5])


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_picture_is_the_same_bytes_each_time(part, tmp_path):
    for kind in (".svg", ".png"):
        one, other = (picture(part, tmp_path / f"{name}{kind}").read_bytes() for name in "ab")
        assert one == other


def test_pictures_have_their_own_names_and_kinds(tmp_path):
    found = pictures([BANDS, LAYERS], tmp_path / "new", (".svg",))
    assert [path.name for path in found] == ["bands.svg", "layers.svg"]
    with pytest.raises(RarityError, match="one name"):
        pictures([BANDS, BANDS], tmp_path)
    with pytest.raises(RarityError, match=r"\.svg, \.png or \.pdf"):
        picture(BANDS, tmp_path / "a.bmp")


def test_the_best_band_and_layer_are_said():
    assert "components 1 to 30, has R² 0.300 by types and −2.000 by occurrences" in said(BANDS)
    assert "The best is input with R² 0.600 by types and 0.200 by occurrences. A control task has 0.000" in said(LAYERS)
    assert "0.900 by types" not in said(GRID)


@pytest.fixture(scope="module")
def html() -> str:
    return rarity_page.render(PARTS, f"title {HOSTILE}", [HOSTILE])


def test_the_page_is_whole_and_inert(html):
    parser = Balanced()
    parser.feed(re.sub(r"<(\w+)([^>]*)/>", r"<\1\2></\1>", html))
    assert parser.open == []
    assert {tag for tag, _ in parser.tags} & {"script", "img", "image", "iframe", "foreignobject", "style2", "a"} == set()
    assert [tag for tag, _ in parser.tags].count("style") == 1  # no picture brings rules for the whole page
    for _, attributes in parser.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("href", "xlink:href", "src"):
            assert (attributes.get(name) or "#").startswith(("#", "data:,"))
    assert not re.search(r"url\((?!#)", html)
    names = [attributes["id"] for _, attributes in parser.tags if attributes.get("id")]
    assert len(set(names)) == len(names)
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', html))
    assert {one or other for one, other in used} <= set(names)
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert html.count("<svg ") == html.count('role="img"') == len(PARTS)


def test_the_page_says_the_numbers(html):
    shown = " ".join(unescape(re.sub(r"<[^>]+>", " ", html.split("</style>")[1])).split())
    for value in (*CURVE.types, *CURVE.null, *BANDS.types, *BANDS.occurrences, *LAYERS.types, *LAYERS.low, *GRID.types[0]):
        assert f"{value:.3f}".replace("-", "−") in shown
    assert "two 0.400 – 0.300 –" in shown


def test_colours_of_the_page_follow_the_reader(html):
    for fixed in (TYPES, OCCURRENCES, "#1b1b1b"):
        assert f"fill: {fixed}" not in html
        assert f"stroke: {fixed}" not in html
    light, dark = (colours.hexed(colours.table("rarity", dark=d)[round(256 * 0.9)]) for d in (False, True))
    assert f"fill: {light}; fill: light-dark({light},{dark})" in html


@needs_browser
def test_a_browser_shows_every_picture_readably_in_light_and_dark(html, tmp_path):
    script = (
        "<script>const s=[...document.querySelectorAll('svg')].map(e=>e.getBoundingClientRect().width>200);"
        "const c=e=>getComputedStyle(e);const t=document.querySelector('svg #p0-text_1 use, svg #p0-text_1 path, svg text');"
        "document.title=JSON.stringify([s,c(document.body).backgroundColor,t?c(t.closest('g[style]')||t).fill:''])</script></body>"
    )
    page = html.replace("default-src 'none';", "script-src 'unsafe-inline';").replace("</body>", script)
    for scheme in (0, 1):
        dom, _ = browse(tmp_path, page, f"--blink-settings=preferredColorScheme={scheme}")
        widths, ground, ink = json.loads(unescape(re.search(r"<title>(.*?)</title>", dom)[1]))
        assert widths == [True] * len(PARTS)
        one, other = (tuple(map(int, re.findall(r"\d+", c)[:3])) for c in (ground, ink))
        assert contrast(one, other) >= 4.5
