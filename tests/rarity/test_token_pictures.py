"""Pictures and pages of tokens: drawn where the counts are, said as they are, inert whatever a token is."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
from test_pages import HOSTILE, Balanced, browse, needs_browser

from rarityir.cli import main
from rarityir.report import rarity_page, weighing_page
from rarityir.report.rarity import said
from rarityir.report.rarity_ink import INK, OCCURRENCES, TYPES
from rarityir.report.rarity_picture import picture
from rarityir.report.rarity_tokens import Bursts, Forest, Listing, Ranks, Suspicion
from rarityir.report.weighing import Against, Agreement, Line, Ratio, Table, Weighing

RNG = np.random.default_rng(7)
CF = np.array([0, 7, 1, 400, 30, 0, 30, 1, 2, 90, 0])
DF = np.array([0, 7, 1, 100, 5, 0, 20, 1, 1, 60, 0])
RANKS, BURSTS = Ranks(CF, DF), Bursts(DF, CF, 100)
SCORE = np.array([0.5, 5.0, -1.25, 6.0, 4.5, 7.0, 8.0, 6.5, 0.25, -0.5, 0.75])
FLAGGED, UNUSED = np.isin(np.arange(11), [1, 3]), np.isin(np.arange(11), [5, 6, 7])
SUSPICION = Suspicion(SCORE, FLAGGED, UNUSED, 3.5, CF)
FOREST = Forest(
    ("one", f"two {HOSTILE}"), (("uniform", "L0"), ("probe", "L0"), ("probe", "L1")),
    np.array([[0.25, 0.5, 0.625], [0.125, np.nan, 0.375]]), np.array([[True, False, True], [True, True, False]]),
    "gap", "no gap", "a sentence", np.array([[0.2, 0.25, 0.5], [0.0, np.nan, 0.25]]),
    np.array([[0.3, 0.75, 0.75], [0.25, np.nan, 0.5]]),
    (0.0,),
)  # fmt: skip
PARTS = [RANKS, BURSTS, SUSPICION, FOREST]
TOKENS = [HOSTILE, "\x00nul\x1b[31m", "\u202egnp", "\u0645\u0646", "</table></section>"]
LISTING = Listing("Tokens", ["token", "#id", "kind"], [[t, str(i), f"kind {t}"] for i, t in enumerate(TOKENS)], "note", "legend")


def lines(svg: str, colour: str) -> list[np.ndarray]:
    """The points (N, 2) of each line of a colour, y upwards."""
    found = re.findall(rf'<path d="([^"]*)"[^>]*style="fill: none; stroke: {colour}', svg)
    return [np.array(re.findall(r"[ML] (-?[\d.]+) (-?[\d.]+)", path), float) * [1, -1] for path in found]


def marks(svg: str, colour: str) -> np.ndarray:
    """The places (N, 2) of the marks whose edge is of a colour, y upwards."""
    found = re.findall(rf'<use xlink:href="[^"]*" x="(-?[\d.]+)" y="(-?[\d.]+)" style="[^"]*stroke: {colour}', svg)
    return np.array(found, float) * [1, -1]


def straight(where: np.ndarray, values: np.ndarray) -> bool:
    """Whether one rising straight map takes values to places."""
    slope, start = np.polyfit(values, where, 1)
    return slope > 0 and np.abs(where - slope * values - start).max() < 2e-3


def test_counts_are_drawn_by_falling_rank_and_the_unseen_are_said(tmp_path):
    svg = picture(RANKS, tmp_path / "a.svg").read_text()
    one, other = max(lines(svg, OCCURRENCES), key=len), max(lines(svg, TYPES), key=len)
    sorted_cf, sorted_df = [400, 90, 30, 30, 7, 2, 1, 1], [100, 60, 20, 7, 5, 1, 1, 1]
    assert straight(np.r_[one[:, 0], other[:, 0]], np.log([*range(1, 9)] * 2))
    assert straight(np.r_[one[:, 1], other[:, 1]], np.log(sorted_cf + sorted_df))
    assert said(RANKS) == "The 8 commonest tokens are 100.0% of what is written; 2 are seen once, 3 of 11 never are."
    assert said(Ranks(np.arange(1, 201))).startswith(f"The 100 commonest tokens are {sum(range(101, 201)) / 20100:.1%}")
    heads, rows = RANKS.table()
    assert heads == ["rank", "#cf", "#df", "#Zipf's cf", "#of tokens, so far"]
    assert [row[0] for row in rows] == ["1", "2", "5", "8"]
    assert rows[1] == ["2", "90", "60", f"{561 / sum(1 / r for r in range(1, 9)) / 2:.1f}", f"{100 * 490 / 561:.1f} %"]
    assert Ranks(CF).table()[0] == ["rank", "#cf", "#Zipf's cf", "#of tokens, so far"]


def test_chance_is_what_tokens_dealt_to_documents_have(rng):
    n, cf, trials = 200, 150, 400
    df = [len(set(rng.integers(0, n, cf).tolist())) for _ in range(trials)]
    found = Bursts(np.array([1]), np.array([1]), n).poisson(np.array([np.mean(df)]))[0]
    # d cf / d df = 1 / (1 − df / N); dealing a fixed number differs from Poisson by less than one occurrence.
    assert found == pytest.approx(cf, abs=4.5 * np.std(df) / trials**0.5 / (1 - np.mean(df) / n) + 1)
    assert np.isinf(BURSTS.poisson(np.array([100.0]))[0])


def test_bands_of_documents_are_what_a_loop_finds():
    edges, tokens, found, chance = BURSTS.bands()
    assert edges.tolist() == [1, 2, 4, 8, 16, 32, 64, 128]
    for b in range(7):
        inside = [i for i in range(11) if edges[b] <= DF[i] < edges[b + 1]]
        assert tokens[b] == len(inside)
        if inside:
            assert found[b].tolist() == pytest.approx(np.quantile([CF[i] / DF[i] for i in inside], (0.1, 0.5, 0.9)).tolist())
            expected = np.median([-100 * np.log(1 - DF[i] / 100) / DF[i] if DF[i] < 100 else np.inf for i in inside])
            assert chance[b] == pytest.approx(expected)
        else:
            assert np.isnan(found[b]).all()
    rows = BURSTS.table()[1]
    assert [row[0] for row in rows] == ["1", "2 to 3", "4 to 7", "8 to 15", "16 to 31", "32 to 63", "64 to 100"]
    assert rows[-1] == ["64 to 100", "1", "4.00", "4.00", "4.00", "–"]
    # The burstiest band is held against chance and not against one: 5 and 7 documents, 30 and 7 times.
    expected = np.median([-100 * np.log1p(-0.05) / 5, -100 * np.log1p(-0.07) / 7])
    few = Bursts(DF[[2, 7, 1, 4]], CF[[2, 7, 1, 4]], 100)  # and two that are in one document, once
    assert "in 4 to 7 of 100 documents are written 3.50 times in each on the median" in said(few)
    assert said(few).endswith(f"it would be {expected:.2f}.")


def test_flagged_and_reference_tokens_are_marked_where_they_are(tmp_path):
    svg = picture(SUSPICION, tmp_path / "a.svg").read_text()
    flagged, unused = marks(svg, OCCURRENCES), marks(svg, INK)
    # The legend's own mark comes last.
    y = np.concatenate([flagged[:2, 1], [p[1] for p in unused if p[1] > flagged[:2, 1].min()][-3:]])
    assert straight(y, np.r_[np.sort(SCORE[FLAGGED])[::-1], np.sort(SCORE[UNUSED])[::-1]])
    assert straight(flagged[:2, 0], np.log(CF[[3, 1]]))
    text = said(SUSPICION)
    assert "2 tokens are flagged, 0 of them never seen." in text
    assert "score 7.00 on the median, and a token is suspect from 3.50 on. 1 more score as high" in text
    assert "more score" not in said(Suspicion(SCORE, FLAGGED | (SCORE == 4.5), UNUSED, 3.5))
    rows = SUSPICION.table()[1]
    assert [row[:3] for row in rows] == [["usual", "6", "4"], ["flagged", "2", "2"], ["reference rows", "3", "2"]]
    assert rows[1][3:] == ["5.10", "5.50", "5.90"]


def test_rows_of_figures_say_their_intervals_and_what_is_not_sure():
    assert FOREST.table() == (
        ["", "#one", f"#two {HOSTILE}"],
        [
            ["uniform L0", "0.250 (0.200 to 0.300)", "0.125 (0.000 to 0.250)"],
            ["probe L0", "[0.500 (0.250 to 0.750)]", "–"],
            ["probe L1", "0.625 (0.500 to 0.750)", "[0.375 (0.250 to 0.500)]"],
        ],
    )


@pytest.mark.parametrize("part", [*PARTS, Suspicion(SCORE, FLAGGED, UNUSED, 3.5), Bursts(np.array([1, 0]), np.array([1, 0]), 1)])
def test_a_picture_is_the_same_bytes_each_time(part, tmp_path):
    one, other = (picture(part, tmp_path / f"{name}.svg").read_text() for name in "ab")
    assert one == other
    assert "mathdefault" not in re.sub(r"\s", "", one)
    assert "$" not in one  # figures at an axis are figures, not the source of a formula


@pytest.fixture(scope="module")
def html() -> str:
    return rarity_page.render(PARTS, f"title {HOSTILE}", [HOSTILE], [LISTING])


def test_the_page_is_whole_and_inert(html):
    parser = Balanced()
    parser.feed(re.sub(r"<(\w+)([^>]*)/>", r"<\1\2></\1>", html))
    assert parser.open == []
    assert {tag for tag, _ in parser.tags} & {"script", "img", "image", "iframe", "foreignobject", "a"} == set()
    assert not re.search(r"url\((?!#)", html)
    for character in "\x00\x1b\u202e":
        assert character not in html
    assert html.count("<svg ") == html.count('role="img"') == len(PARTS)
    assert html.count("</table>") == len(PARTS) + 1
    for token in TOKENS:
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in token)
        cells = [unescape(cell) for cell in re.findall(r'<th scope="row"><bdi>(.*?)</bdi></th>', html)]
        assert shown in cells
    assert "<bdi>kind " in html
    assert "<caption>note</caption>" in html
    assert html.index('</table>\n</div>\n<p class="quiet">legend</p>') > 0


@needs_browser
def test_the_page_does_not_scroll_sideways_on_a_telephone(html, tmp_path):
    script = "<script>parent.postMessage(document.documentElement.scrollWidth,'*')</script></body>"
    framed = html.replace("default-src 'none';", "script-src 'unsafe-inline';").replace("</body>", script)
    (tmp_path / "framed.html").write_text(framed, encoding="utf-8")
    frame = (
        '<!doctype html><iframe src="framed.html" width=360 height=900 style="border:0"></iframe>'
        "<script>onmessage=e=>document.title='wide '+e.data</script>"
    )
    dom, _ = browse(tmp_path, frame, "--virtual-time-budget=2000")
    assert 0 < int(re.search(r"<title>wide (\d+)</title>", dom)[1]) <= 360


@pytest.mark.usefixtures("elsewhere")
def test_statistics_are_drawn_and_told_on_one_page(capsys, tmp_path, beir, stories):
    out, kinds = tmp_path / "s", (".svg", ".png")
    argv = ["rarity", "stats", "--dataset", str(beir), "--model", stories, "--out", str(out), "--top", "3"]
    assert main([*argv, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert {path.name for path in out.iterdir()} >= {f"{name}{kind}" for name in ("ranks", "bursts") for kind in kinds}
    html = (out / "stats.html").read_text()
    shown = " ".join(unescape(re.sub(r"<[^>]+>", " ", html.split("</style>")[1])).split())
    top = facts["top"][0]
    assert f"{top['token']} {top['id']} {top['cf']:,}" in shown
    assert f"{facts['unseen']} of 512 never are" in shown
    assert "The burstiest tokens" in shown
    (tmp_path / "w.tsv").write_text("the\t5\nball 2\n")
    assert main(["rarity", "stats", "--words", str(tmp_path / "w.tsv"), "--model", stories, "--out", str(tmp_path / "w")]) == 0
    assert not (tmp_path / "w" / "bursts.svg").exists()
    assert "words, without documents" in (tmp_path / "w" / "stats.html").read_text().lower()


@pytest.mark.usefixtures("elsewhere")
def test_under_trained_tokens_are_drawn_and_told_on_one_page(capsys, tmp_path, beir, stories):
    argv = ["rarity", "undertrained", "--model", stories, "--dataset", str(beir), "--no-probe", "--out", str(tmp_path), "--json"]
    assert main(argv) == 0
    facts = json.loads(capsys.readouterr().out)
    assert {"undertrained.svg", "undertrained.png", "undertrained.html"} <= {path.name for path in tmp_path.iterdir()}
    html = (tmp_path / "undertrained.html").read_text()
    rows = [
        [unescape(re.sub(r"<[^>]+>", "", cell)) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", html)
    ]
    for token in facts["most"]:
        head = [token["token"], str(token["id"]), token["kind"], f"{token['score']:.2f}", f"{token['cf']:,}"]
        assert head in [row[:5] for row in rows]
    touched = facts["touched"]["tiny/test"]["queries"]
    assert ["queries", "3", f"{touched['touched']:,}"] in [row[:3] for row in rows]
    assert f"{facts['flagged_count']:,} tokens are flagged" in html


def compared(low: float = 0.5) -> Weighing:
    """Two collections on which a probe gains, and on the second of which there is no gap beyond doubt."""

    def line(idf: str, gain: float, p: float, steady: float) -> Line:
        gaps = {} if idf in ("uniform", "oracle") else {"nDCG@10": Ratio(gain * 10, low, 1.5, steady)}
        uniform = {} if idf == "uniform" else {"nDCG@10": Against(gain, p)}
        return Line(idf, idf, "L0", False, {"nDCG@10": 0.25 + gain}, uniform, {}, gaps, {}, {})

    def table(name: str, p: float, steady: float) -> Table:
        lines = (line("uniform", 0, 1, steady), line("probe", 0.0625, p, steady), line("oracle", 0.125, p, steady))
        return Table(name, "demo", 9, f"source {HOSTILE}", name == "two", ("nDCG@10",), {}, lines)

    agreement = Agreement("one", "probe", np.array([1.0, 2.0, 6.0]), np.array([1.5, 2.5, 6.5]))
    return Weighing((table("one", 0.01, 1.0), table("two", 0.3, 0.9)), (), 0, 10, (agreement,))


def test_idfs_are_drawn_with_their_tests_their_gaps_and_their_agreement(tmp_path):
    gains, gaps, agreement = weighing_page.parts(compared())
    assert gains.values.tolist() == [[0.0625, 0.125]] * 2
    assert gains.sure.tolist() == [[True, True], [False, False]]
    assert said(gains) == "The IDF oracle at L0 gains most over uniform IDF: +0.125 nDCG@10 on the mean of 2 collections."
    assert gaps.rows == (("probe", "L0"),)
    assert [gaps.values[0, 0], gaps.low[0, 0], gaps.high[0, 0]] == [0.625, 0.5, 1.5]
    assert np.isnan([gaps.values[1, 0], gaps.low[1, 0], gaps.high[1, 0]]).all()
    assert said(gaps).endswith("No gap beyond doubt on two.")
    assert (agreement.predicted - agreement.actual).tolist() == [0.5] * 3
    svg = picture(gains, tmp_path / "a.svg").read_text()
    marks_of = re.findall(r'<use xlink:href="#[^"]*" x="[^"]*" y="[^"]*" style="([^"]*)"', svg)
    marks_of = [style for style in marks_of if TYPES in style]
    assert [f"fill: {TYPES}" in style for style in marks_of] == [True, True, False, False], "what is significant is filled"
    files = {path.name for path in weighing_page.write(compared(), tmp_path)}
    drawn = {f"{name}{kind}" for name in ("gains", "gaps", "agreement-1") for kind in (".svg", ".png")}
    assert files == {"idf.json", "idf.md", "idf.html"} | drawn
    html = (tmp_path / "idf.html").read_text()
    assert "In-domain, as the source holds documents of the corpus: two." in html
    assert "<script" not in html
    assert "0.62 (0.50 to 1.50)" in html
    assert "no gap" in html
    assert json.loads((tmp_path / "idf.json").read_text()) == compared().json()


def test_without_uniform_idf_the_measure_itself_is_drawn():
    found = compared()
    lines = tuple(replace(line, uniform={}, gaps={}) for line in found.tables[0].lines)
    (means,) = weighing_page.parts(replace(found, tables=(replace(found.tables[0], lines=lines),), agreements=()))
    assert means.values.tolist() == [[0.25, 0.3125, 0.375]]
    assert said(means) == "The IDF oracle at L0 is best: 0.375 on one."
