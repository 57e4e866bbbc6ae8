"""The page of an experiment: what is gathered for it, and what its HTML says, without a browser."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import itertools
import json
import re
import shutil
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from rarityir import experiment, overview
from rarityir.cli import evaluation, main
from rarityir.overview import Bounds, spectra
from rarityir.overview.rankings import bounded
from rarityir.report import overview_pictures as pictures
from rarityir.report import overview_tables as tables
from rarityir.report.matching import visible
from rarityir.report.model import Report, Row
from rarityir.report.overview import front
from rarityir.report.overview_data import clipped, embedded
from rarityir.runs import Run
from rarityir.types import Dataset, Doc, Hits, RarityError, Scores

HOSTILE = (
    '</script><script>document.title="owned"</script><img src="http://example.invalid/x.png" onerror="document.title=1">'
    "\x1b[31m\u202e&amp;\"'<!--"
)
SYSTEMS = (
    "bm25",
    "dense",
    "dense+edge:2",
    "dense+edge:4",
    "dense+edge:8",
    "sparse:64",
    "rrf(bm25,dense)",
    f"other{HOSTILE[:40]}",
)
DIMS = (None, 256, 128, 64, 32, 64, None, None)
BYTES = (150, 1024, 512, 256, 128, 180, 700, None)
QPS = (30.0, 43.5, 44.0, 45.0, 46.0, 7000.0, 12.0, None)
TOPICS, DOCUMENTS = 30, 120
MEASURES = ("nDCG@10", "AP")


@pytest.fixture(scope="module")
def made() -> tuple[Report, list[Scores], list[Run], Dataset]:
    """A report of eight systems on thirty topics, drawn at random but always the same; texts and a name are hostile."""
    rng = np.random.default_rng(7)
    docs = [
        Doc(f"d{i}", f"{HOSTILE} document {i} " + "long " * 60 if i % 5 == 0 else f"document {i} of flow")
        for i in range(DOCUMENTS)
    ]
    topics = {f"q{i}": f"topic {i} {HOSTILE if i % 7 == 0 else ''}" for i in range(TOPICS)}
    qrels = {q: {f"d{d}": int(rng.integers(-1, 4)) for d in rng.choice(DOCUMENTS, 25, replace=False)} for q in topics}
    dataset = Dataset("tiny/test", "tiny", {}, lambda: iter(docs), topics, qrels, docs_count=DOCUMENTS)
    runs, scores = [], []
    for i, name in enumerate(SYSTEMS):
        rows = np.array([rng.permutation(DOCUMENTS)[:40] for _ in topics])
        found = np.tile(np.arange(40, 0, -1, dtype=np.float32), (TOPICS, 1))
        runs.append(Run.from_hits(name, tuple(topics), [d.doc_id for d in docs], Hits(rows, found)))
        values = {m: np.clip(rng.normal(0.5 - 0.05 * i + 0.1 * (i == 0), 0.1, TOPICS), 0, 1).round(3) for m in MEASURES}
        scores.append(Scores(name, tuple(topics), values))
    costs = {n: {"dim": d, "bytes_per_doc": b, "qps": q} for n, d, b, q in zip(SYSTEMS, DIMS, BYTES, QPS) if b}
    report = experiment.tabulate(scores, costs, dataset, "demo", "dense", MEASURES, 40, 3)
    return report, scores, runs, dataset


@pytest.fixture(scope="module")
def page(made, tmp_path_factory) -> str:
    report, scores, runs, dataset = made
    folder = tmp_path_factory.mktemp("page")
    ranked = [overview.ranked(run, dataset) for run in runs]
    return overview.write(report, scores, ranked, dataset, folder).read_text(encoding="utf-8")


class Parsed(HTMLParser):
    """Fails on a tag that is not closed; gathers tags with their attributes, and the cells of each table by its id."""

    VOID = frozenset({"meta", "link", "br", "wbr", "input", "circle", "line", "polyline", "path", "img", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[tuple[dict[str, str | None], str]]]] = {}
        self._table = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "table":
            self._table = found.get("id") or f"table{len(self.tables)}"
            self.tables[self._table] = []
        if tag == "tr" and self._table:
            self.tables[self._table].append([])
        if tag in ("td", "th") and self._table:
            self.tables[self._table][-1].append((found, ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "table":
            self._table = ""

    def handle_data(self, data: str) -> None:
        if self._table and {"td", "th"} & set(self.open):
            facts, shown = self.tables[self._table][-1][-1]
            self.tables[self._table][-1][-1] = (facts, shown + data)

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def data_of(html: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1])


def test_the_front_is_what_no_other_point_beats():
    rng = np.random.default_rng(5)
    for size in (0, 1, 2, 9, 40):
        points = [(float(x), float(y)) for x, y in rng.integers(0, 8, (size, 2))]

        def beaten(at, points=points):
            return any(x <= at[0] and y >= at[1] and (x, y) != at for x, y in points)

        found = front(points)
        assert sorted(found) == [i for i, point in enumerate(points) if not beaten(point)]
        assert [points[i][0] for i in found] == sorted(points[i][0] for i in found)


def test_pairs_are_tested_by_sign_flips_and_corrected_over_all_of_them():
    rng = np.random.default_rng(2)
    names = ("a", "b", "c", "d")
    values = {n: np.round(rng.random(8) + 0.2 * i, 2) for i, n in enumerate(names)}
    scores = [Scores(n, tuple("12345678"), {"AP": values[n]}) for n in names]
    report = Report("x", "e", "c", ("AP",), 8, 10, 0, 0.05, [Row(n, {"AP": float(values[n].mean())}) for n in names])
    order, found = overview.pairs(report, scores)
    assert order == sorted(names, key=lambda n: -values[n].mean())
    exact = {}
    for one, other in itertools.combinations(order, 2):
        d = values[one] - values[other]
        flips = [abs(sum(s * x for s, x in zip(signs, d))) for signs in itertools.product((1, -1), repeat=8)]
        exact[one, other] = sum(f >= abs(d.sum()) - 1e-9 for f in flips) / 256
    stepped, worst = {}, 0.0
    for rank, (pair, p) in enumerate(sorted(exact.items(), key=lambda item: item[1])):
        worst = max(worst, min(1.0, p * (len(exact) - rank)))
        stepped[pair] = worst
    assert {(p.one, p.other): pytest.approx(p.p) for p in found} == stepped
    assert all(p.difference == pytest.approx(values[p.one].mean() - values[p.other].mean()) for p in found)
    assert len(found) == 6


def test_of_many_systems_the_best_and_the_baseline_are_compared():
    values = {f"s{i}": np.linspace(0, 1, 6) * (20 - i) / 20 for i in range(12)}
    scores = [Scores(n, tuple("123456"), {"AP": v}) for n, v in values.items()]
    rows = [Row(n, {"AP": float(v.mean())}) for n, v in values.items()]
    for baseline, expected in (("s11", ["s0", "s1", "s2", "s11"]), ("s2", ["s0", "s1", "s2", "s3"])):
        names, found = overview.pairs(Report("x", "e", baseline, ("AP",), 6, 10, 0, 0.05, rows), scores, 4)
        assert names == expected
        assert len(found) == 6


def swept(systems: dict[str, int | None]) -> dict[str, tuple]:
    rows = [Row(name, {"AP": 0.5}, cost={"dim": dim}) for name, dim in systems.items()]
    found = overview.sweeps(Report("x", "e", "dense", ("AP",), 1, 10, 0, 0.05, rows))
    return {one.name: (one.points, one.reference) for one in found}


def test_systems_that_differ_by_one_width_are_a_sweep():
    systems = {"dense": 256, "dense+edge:8": 32, "dense+edge:2": 128, "dense+edge:4": 64}
    systems |= {f"sparse:{k},query=aligned:16+tail:2": k for k in (64, 16, 256)} | {"sparse:64": 64, "sparse:256": 256}
    systems |= {f"dense+abtt:{k}": 256 for k in (1, 3, 8)}  # the same width
    systems |= {f"rrf(bm25,dense+edge:{k})": None for k in (2, 4, 8)} | {
        "dense+band:0-7": 7,
        "dense+band:1-9": 8,
        "dense+band:2-9": 7,
    }
    systems |= {"a run:3": 1, "a run:4": 2, "a run:5": 3}
    assert swept(systems) == {
        "dense+edge:*": ((("dense+edge:8", 32), ("dense+edge:4", 64), ("dense+edge:2", 128)), "dense"),
        "sparse:*,query=aligned:16+tail:2": (
            tuple((f"sparse:{k},query=aligned:16+tail:2", k) for k in (16, 64, 256)),
            "",
        ),
    }


def test_a_filter_that_is_one_of_several_is_swept_by_itself():
    systems = {f"dense+center+tail:{k}": 256 // k for k in (2, 4, 8)}
    assert swept(systems)["dense+center+tail:*"][1] == ""
    assert swept({**systems, "dense+center": 256})["dense+center+tail:*"][1] == "dense+center"


def test_rankings_are_those_of_the_run(made):
    _, _, runs, dataset = made
    for run in runs[:2]:
        found = overview.ranked(run, dataset, 4)
        for i, query_id in enumerate(dataset.topics):
            order = [doc_id for doc_id, _ in run[query_id]]
            assert list(found.best[i]) == order[:4]
            right = [d for d, grade in dataset.qrels[query_id].items() if grade > 0]
            assert found.ranks[i] == {d: order.index(d) + 1 for d in right if d in order}


def test_a_topic_that_a_run_lacks_has_an_empty_ranking(made):
    _, _, runs, dataset = made
    short = dataclasses.replace(runs[0], query_ids=runs[0].query_ids[:2], indptr=runs[0].indptr[:3])
    found = overview.ranked(short, dataset)
    assert found.best[1] == overview.ranked(runs[0], dataset).best[1]
    assert found.best[2:] == ((),) * (TOPICS - 2)
    assert found.ranks[2:] == ({},) * (TOPICS - 2)


def test_a_bound_on_bytes_shortens_texts_then_rankings_then_topics(made):
    _, scores, runs, dataset = made
    ranked = [overview.ranked(run, dataset, 8) for run in runs]
    sizes, kept = [], []
    for limit in (10**7, 60_000, 40_000, 25_000, 12_000, 4_000, 0):
        found = bounded(scores, ranked, dataset, "nDCG@10", Bounds(depth=8, bytes=limit))
        size = len(embedded(overview.rankings.rankings(found)))
        assert size <= max(limit, 150)  # of nothing at all
        sizes.append(size)
        kept.append((found.depth, len(found.topics), max((len(text) for _, text in found.documents), default=0)))
    assert sizes == sorted(sizes, reverse=True)
    assert kept[0][:2] == (8, TOPICS)
    assert kept[-1][1] == 0
    assert len(set(kept)) >= 5
    some = bounded(scores, ranked, dataset, "nDCG@10", Bounds(depth=8, bytes=4_000))
    spread = np.ptp([s.values["nDCG@10"] for s in scores], axis=0)
    assert min(spread[list(some.topics)]) >= max(np.delete(spread, list(some.topics)))
    assert any(f"{len(some.topics)} of {TOPICS} topics" in note for note in some.notes)
    assert bounded(scores, ranked, dataset, "nDCG@10", Bounds(depth=8)).notes == ()


def test_texts_of_a_large_or_unreadable_collection_are_left_out(made):
    _, scores, runs, dataset = made
    ranked = [overview.ranked(run, dataset, 3) for run in runs]
    large = bounded(scores, ranked, dataset, "AP", Bounds(documents=DOCUMENTS - 1))
    assert {text for _, text in large.documents} == {""}
    assert "120 documents" in large.notes[0]

    def broken():
        raise RarityError("the disk is gone")

    lost = bounded(scores, ranked, dataclasses.replace(dataset, docs=broken), "AP", Bounds())
    assert "the disk is gone" in lost.notes[0]
    assert all(text for _, text in bounded(scores, ranked, dataset, "AP", Bounds()).documents)


@pytest.mark.parametrize("values", [{"depth": 0}, {"bytes": -1}])
def test_a_bound_below_nothing_is_an_error_of_one_line(values):
    with pytest.raises(RarityError, match="at least 1 document"):
        Bounds(**values)


def test_embedded_json_reads_back_and_holds_nothing_that_a_parser_obeys():
    value = {"a": [HOSTILE, "\u2028\u2029\ud800", 0.25, None, "<!-- <script>"]}
    text = embedded(value)
    assert json.loads(text) == value
    assert not set("<>&") & set(text)
    assert text.isascii()
    with pytest.raises(ValueError, match="JSON"):
        embedded([float("nan")])


def test_a_text_is_cut_at_a_word():
    assert clipped("one two three", 13) == "one two three"
    assert clipped("one two three", 12) == "one two…"
    assert clipped("x" * 50, 10) == "x" * 10 + "…"
    assert clipped("a\n\n b\u202e", 20) == "a b\\u202e"


def test_the_page_is_whole_runs_one_script_and_asks_for_nothing(page):
    found = Parsed(page)
    assert len(found.all("script")) == 2
    assert [s.get("type") for s in found.all("script")] == ["application/json", None]
    script = page[page.rindex("<script>") + 8 : page.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(a["content"] for a in found.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    for tag, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert (attributes.get("src") or "") == ""
        assert (attributes.get("href") or "#").startswith(("#", "data:,"))
    assert not {"img", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in found.tags}
    assert not re.search(r"url\(|@import|innerHTML|insertAdjacentHTML|document\.write|\beval\(|fetch\(|XMLHttp", page)
    assert "\x1b" not in page
    assert "\u202e" not in page
    ids = [a["id"] for _, a in found.tags if "id" in a]
    assert len(ids) == len(set(ids))
    anchors = {a["href"][1:] for a in found.all("a") if "=" not in a["href"]}
    assert anchors <= set(ids)


def test_the_table_says_what_the_report_says(page, made):
    report = made[0]
    head, *rows = Parsed(page).tables["t-systems"]
    assert [shown for _, shown in head] == ["system", *MEASURES, "width", "bytes/doc", "index", "build s", "queries/s"]
    assert len(rows) == len(report.rows)
    for row, cells in zip(report.rows, rows, strict=True):
        for measure, (facts, shown) in zip(MEASURES, cells[1:3], strict=True):
            assert float(facts["data-v"]) == row.measures[measure]
            assert shown.startswith(f"{row.measures[measure]:.4f}")
            assert {"+": "significantly better", "-": "significantly worse", "": ""}[row.marks.get(measure, "")] in shown
            assert ("significantly" in shown) == bool(row.marks.get(measure))
        for cost, (facts, shown) in zip(("dim", "bytes_per_doc"), cells[3:5], strict=True):
            assert ("data-v" in facts) == (row.cost.get(cost) is not None)
            assert shown == ("–" if row.cost.get(cost) is None else f"{row.cost[cost]:,}")
    assert sum("+" in row.marks.get(m, "") for row in report.rows for m in MEASURES) > 0
    best = re.findall(r"<b>(0\.\d{4})</b>", page[page.index('id="t-systems"') : page.index('id="t-tests"')])
    assert best == [f"{report.best(m):.4f}" for m in MEASURES]


def test_every_test_is_listed_with_its_p_values(page, made):
    report = made[0]
    _, *rows = Parsed(page).tables["t-tests"]
    expected = [
        [found[k] for k in ("difference", "t", "t_holm", "fisher", "fisher_holm")]
        for row in report.rows for found in row.tests.values()
    ]  # fmt: skip
    assert [[float(facts["data-v"]) for facts, _ in cells[2:]] for cells in rows] == expected
    assert len(expected) == 7 * 2


def test_every_priced_system_is_a_mark_that_leads_to_its_row(page, made):
    report = made[0]
    pictures = re.findall(r'<svg class="cost".*?</svg>', page, re.DOTALL)
    assert len(pictures) == 2
    for picture, cost, sign in zip(pictures, ("bytes_per_doc", "qps"), (1, -1)):
        links = re.findall(r'href="#s(\d+)" class="mark( on)?"', picture)
        priced = [i for i, row in enumerate(report.rows) if row.cost.get(cost)]
        assert [int(i) for i, _ in links] == priced
        points = [(sign * report.rows[i].cost[cost], report.rows[i].measures["nDCG@10"]) for i in priced]
        assert [j for j, (_, on) in enumerate(links) if on] == sorted(front(points))


def drawn_labels(picture: str) -> list[tuple[str, tuple[float, float, float, float]]]:
    """Every name or number beside a mark, with about what it takes of the picture."""
    found = []
    for x, y, anchor, shown in re.findall(
        r'<text class="name" x="([-\d.]+)" y="([-\d.]+)" text-anchor="(\w+)">([^<]*)<', picture
    ):
        wide = len(shown) * 6.4
        left = float(x) - {"start": 0, "middle": wide / 2, "end": wide}[anchor]
        found.append((shown, (left, float(y) - 8, left + wide, float(y) + 2)))
    return found


def crosses(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@pytest.mark.parametrize("systems", [2, 8, 19, 24, 45])
def test_every_mark_of_a_picture_is_told_by_its_name_or_a_number_of_the_key(systems):
    rng = np.random.default_rng(systems)
    names = [f"dense+edge:{i}" if i % 3 else f"rrf(bm25,sparse:{i})" for i in range(systems)]
    rows = [
        Row(n, {"AP": float(v)}, cost={"qps": float(q)})
        for n, v, q in zip(names, rng.random(systems) ** 2, rng.random(systems) + 9)
    ]
    shown = pictures.costs(Report("x", "e", names[0], ("AP",), 1, 10, 0, 0.05, rows), "qps", "queries", more=True)
    picture, _, key = shown.partition('<ol class="key">')
    labels = drawn_labels(picture)
    told = {shown for shown, _ in labels if not shown.isdigit()}
    by_number = {int(n): re.sub("<.*?>", "", item) for n, item in re.findall(r"<li><b>(\d+)</b> (.*?)</li>", key)}
    assert sorted(int(shown) for shown, _ in labels if shown.isdigit()) == sorted(by_number)
    assert sorted([*told, *by_number.values()]) == sorted(names)
    order = sorted(rows, key=lambda row: -row.measures["AP"])
    assert all(order[n - 1].name == name for n, name in by_number.items())
    assert by_number or systems < 19
    boxes = [box for _, box in labels]
    assert not [pair for pair in itertools.combinations(boxes, 2) if crosses(*pair)]
    line = [tuple(map(float, at.split(","))) for at in re.search(r'class="front" points="([^"]*)"', picture)[1].split()]
    for (x, y), (to, down) in itertools.pairwise(line):
        edge = (min(x, to) - 0.1, min(y, down) - 0.1, max(x, to) + 0.1, max(y, down) + 0.1)
        assert not [box for box in boxes if crosses(box, edge)]


def test_an_axis_of_close_figures_has_ticks():
    rows = [Row(n, {"AP": 0.5}, cost={"qps": q}) for n, q in (("a", 31.0), ("b", 33.0))]
    shown = pictures.costs(Report("x", "e", "a", ("AP",), 1, 10, 0, 0.05, rows), "qps", "queries", more=True)
    ticks = re.findall(r'text-anchor="middle">([\d.,k]+)</text>', shown)
    assert len(ticks) >= 2
    assert all(20 < float(tick) < 50 for tick in ticks)


@pytest.mark.parametrize(
    ("top", "labels"),
    [
        (0.04, "0 0.02 0.04"),
        (0.62, "0 0.2 0.4 0.6 0.8"),
        (1.0, "0 0.2 0.4 0.6 0.8 1"),
        (1.2, "0 0.5 1 1.5"),
        (5.0, "0 1 2 3 4 5"),
        (5.1, "0 2 4 6"),
        (37.5, "0 10 20 30 40"),
        (100.0, "0 20 40 60 80 100"),
        (4300.0, "0 1,000 2,000 3,000 4,000 5,000"),
        (2.0e5, "0 50k 100k 150k 200k"),
    ],
)
def test_an_axis_of_a_measure_that_exceeds_1_has_a_few_round_ticks(top: float, labels: str):
    rows = [Row(n, {"hits@100": top * share}, cost={"qps": q}) for n, q, share in (("a", 31.0, 1), ("b", 33.0, 0.5))]
    shown = pictures.costs(Report("x", "e", "a", ("hits@100",), 1, 10, 0, 0.05, rows), "qps", "queries", more=True)
    ticks = re.findall(r'<text class="tick" x="[^"]+" y="([\d.]+)" text-anchor="end">([^<]+)</text>', shown)
    assert " ".join(text for _, text in ticks) == labels
    heights = [float(y) for y, _ in ticks]
    assert heights == pytest.approx(np.linspace(heights[0], heights[-1], len(heights)), abs=0.11)


@pytest.mark.parametrize(
    ("difference", "shown"),
    [(0.1234, "+.123"), (-0.1236, "−.124"), (0.0996, "+.100"), (10.1234, "+10.123"), (-20.0456, "−20.046"), (-1.0, "−1.000")],
)
def test_a_difference_in_a_cell_is_rounded_and_keeps_what_is_before_its_point(difference: float, shown: str):
    assert tables.brief(difference) == shown


def test_marks_stand_where_their_figures_say(page, made):
    """Circles, which the dense systems are: x over the logarithm of the cost, y over the measure, each on one straight line."""
    report = made[0]
    picture = re.search(r'<svg class="cost".*?</svg>', page, re.DOTALL)[0]
    at = [tuple(map(float, pair)) for pair in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', picture)]
    rows = [row for row in report.rows if row.name.startswith("dense")]
    assert len(at) == len(rows) == 4
    for places, values in (
        (0, [np.log(row.cost["bytes_per_doc"]) for row in rows]),
        (1, [row.measures["nDCG@10"] for row in rows]),
    ):
        seen = np.array([point[places] for point in at])
        slope, offset = np.polyfit(values, seen, 1)
        assert np.abs(slope * np.array(values) + offset - seen).max() < 0.15
        assert (slope > 0) == (places == 0)


def test_the_matrix_holds_every_pair_twice(page, made):
    report, scores = made[:2]
    names, found = overview.pairs(report, scores)
    p = {frozenset((x.one, x.other)): x.p for x in found}
    cells = re.findall(r'<td class="(up|down|)" data-p="([^"]+)"><a href="#a=(\d+)&amp;b=(\d+)"', page)
    assert len(cells) == 8 * 7
    order = {row.name: i for i, row in enumerate(report.rows)}
    assert [(int(a), int(b)) for *_, a, b in cells] == [(order[x], order[y]) for x in names for y in names if x != y]
    figures = re.findall(r'data-p="[^"]+"><a [^>]*>([^<]+)</a>', page)
    for (style, value, a, b), figure in zip(cells, figures, strict=True):
        one, other = report.rows[int(a)], report.rows[int(b)]
        difference = one.measures["nDCG@10"] - other.measures["nDCG@10"]
        assert float(re.match(r"[+−]\.\d{3}", figure)[0].replace("−", "-")) == pytest.approx(difference, abs=0.000501)
        assert float(value) == p[frozenset((one.name, other.name))]
        better = one.measures["nDCG@10"] > other.measures["nDCG@10"]
        assert style == ("" if float(value) >= 0.05 else "up" if better else "down")
    assert {style for style, *_ in cells} == {"up", "down", ""}


def test_the_sweep_is_drawn_with_a_mark_a_width_and_the_reference(page):
    (picture,) = re.findall(r'<svg class="sweep".*?</svg>', page, re.DOTALL)
    assert re.findall(r'href="#s(\d)"', picture) == ["4", "3", "2"]
    xs = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', picture)]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.15)  # widths double
    assert picture.count('class="without"') == 1


def test_the_data_of_the_script_are_the_topics_measures_and_rankings(page, made):
    report, scores, runs, dataset = made
    found = data_of(page)
    assert len(found["topics"]) == TOPICS
    for m, measure in enumerate(MEASURES):
        assert found["values"][m] == [s.values[measure].tolist() for s in scores]
        assert [row[m] for row in found["means"]] == [row.measures[measure] for row in report.rows]
    ids = [doc_id for doc_id, _ in found["docs"]]
    for s, run in enumerate(runs):
        for t, query_id in enumerate(dataset.topics):
            order = [doc_id for doc_id, _ in run[query_id]]
            assert [ids[d] for d in found["best"][s][t]] == order[:10]
            right = [ids[d] for d in found["relevant"][t]]
            assert found["ranks"][s][t] == [order.index(d) + 1 if d in order else 0 for d in right]
    for t, query_id in enumerate(dataset.topics):
        judged = dataset.qrels[query_id]
        flat = found["grades"][t]
        grades = {ids[d]: grade for d, grade in zip(flat[::2], flat[1::2], strict=True)}
        shown = {ids[d] for s in range(len(runs)) for d in found["best"][s][t]} | {ids[d] for d in found["relevant"][t]}
        assert grades == {d: judged[d] for d in shown if d in judged}
        assert found["count"][t] == sum(g > 0 for g in judged.values())
    assert found["baseline"] == 1


def test_the_same_inputs_give_the_same_bytes(made, tmp_path):
    report, scores, runs, dataset = made
    pages = []
    for name in ("a", "b"):
        ranked = [overview.ranked(run, dataset) for run in runs]
        pages.append(overview.write(report, scores, ranked, dataset, tmp_path / name).read_bytes())
    assert pages[0] == pages[1]


@pytest.fixture(scope="module")
def single(made, tmp_path_factory) -> str:
    """The page of one system."""
    report, scores, runs, dataset = made
    alone, folder = dataclasses.replace(report, rows=report.rows[1:2]), tmp_path_factory.mktemp("single")
    return overview.write(alone, scores[1:2], [overview.ranked(runs[1], dataset)], dataset, folder).read_text()


def test_one_system_alone_has_a_page_without_what_needs_two(single):
    found = Parsed(single)
    assert len(found.tables["t-systems"]) == 2
    assert [a["id"] for a in found.all("section")] == ["systems", "topics", "made"]
    assert not [a for _, a in found.tags if a.get("id") in ("a", "b", "swap")]
    assert " 1 system ·" in single
    assert re.search(r"has a mean nDCG@10 of <b>0\.\d{4}</b>\.</p>", single)
    assert "paired randomisation (seed" not in single
    assert data_of(single)["topics"][29][0] == "q29"


def test_a_p_that_is_the_least_of_the_permutations_is_a_bound(tmp_path):
    """Of 20 topics no random sign pattern is as extreme as the best system; the others' p are not at the floor."""
    topics = tuple(map(str, range(20)))
    values = {"a": np.linspace(0.5, 0.9, 20), "b": np.linspace(0.3, 0.4, 20), "c": np.linspace(0.41, 0.29, 20)}
    scores = [Scores(n, topics, {"AP": v}) for n, v in values.items()]
    dataset = Dataset("t", "t", {}, lambda: iter(()), dict.fromkeys(topics, ""), {q: {"d": 1} for q in topics})
    report = experiment.tabulate(scores, {}, dataset, "demo", "b", ("AP",), 10, 0)
    pairs = {(p.one, p.other): p for p in overview.pairs(report, scores)[1]}
    assert [(both, p.least) for both, p in pairs.items()] == [(("a", "b"), True), (("a", "c"), True), (("b", "c"), False)]
    assert pairs["a", "b"].p == pytest.approx(3 / 10_001)
    empty = overview.Ranked(((),) * 20, ({},) * 20)
    html = overview.write(report, scores, [empty] * 3, dataset, tmp_path).read_text()
    cells = [[shown for _, shown in row][-2:] for row in Parsed(html).tables["t-tests"]]
    assert cells[1] == ["< 0.0001", "≤ 0.0002"]
    assert "≤" not in "".join(cells[2])
    assert "none of 10,000 permutations was as extreme" in html
    assert [pair[3] for pair in data_of(html)["pairs"]] == [1, 1, 0]
    assert html.count(", p ≤ 0.0003, significantly better") == 2
    exact = [Scores(n, topics[:8], {"AP": v[:8]}) for n, v in values.items()]
    assert not any(p.least for p in overview.pairs(report, exact)[1])  # every sign pattern of 8 topics is tried


def test_an_encoder_whose_model_says_only_that_it_is_one_is_known_by_its_name(made, tmp_path):
    report, scores, runs, dataset = made
    shown, alone = {}, dataclasses.replace(report, rows=report.rows[1:2])
    for name in ("model", "Model-v2"):
        (tmp_path / "provenance.json").write_text(json.dumps({"encoder": {"model": name, "pooling": "mean"}}))
        html = overview.write(alone, scores[1:2], [overview.ranked(runs[1], dataset)], dataset, tmp_path).read_text()
        shown[name] = re.search(r"<dt>encoder</dt><dd>(.*?)</dd>", html)[1]
    assert shown == {"model": "demo, pooling mean", "Model-v2": "demo, model Model-v2, pooling mean"}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, stories) -> Path:
    """The folder of a small experiment with a filter, its dataset beside it."""
    from tiny import write_beir

    home = tmp_path_factory.mktemp("evaluated")
    experiment.perform(
        experiment.Experiment(
            dataset=str(write_beir(home / "tiny")),
            encoder=stories,
            systems=("dense", "dense+edge:2", "dense+center"),
            baseline="dense",
            cutoff=5,
            indexes=str(home / "indexes"),
            out=str(home / "out"),
        )
    )
    return home / "out"


def test_an_evaluation_writes_its_page_with_the_spectrum(evaluated):
    html = (evaluated / "report.html").read_text()
    found, explained = Parsed(html), json.loads((evaluated / "explained.json").read_text())
    assert [cut["filter"] for cut in explained["cuts"]] == ["edge:2", "center"]
    edge, center = (cut["kept"] for cut in explained["cuts"])
    width = len(edge)
    assert edge == [0.0] * (width // 4) + [1.0] * (width // 2) + [0.0] * (width // 4)
    assert center == [1.0] * width
    pictures = re.findall(r'<svg class="spectrum".*?</svg>', html, re.DOTALL)
    assert [p.count('class="cut"') for p in pictures] == [1, 0]
    left, right = map(float, re.search(r'<line class="axis" x1="([\d.]+)" x2="([\d.]+)"', pictures[0]).groups())
    bands = [tuple(map(float, band)) for band in re.findall(r"M([\d.]+) [\d.]+V[\d.]+H([\d.]+)V", pictures[0])]
    assert [round((x - left) / (right - left), 2) for band in bands for x in band] == [0, 0.25, 0.75, 1]
    assert html.count('class="read"') == 3
    assert "Topic q1: red ball" in html
    words = explained["written"][0]
    assert all(len(tokens) == len(words["raw"]) for tokens in words["filtered"])
    assert len(found.tables["t-zones"]) > 3
    made_of = html[html.index('<dl class="made">') :]
    provenance = json.loads((evaluated / "provenance.json").read_text())
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", provenance["date"])
    for words in ("stories260K", provenance["date"], f"numpy {provenance['versions']['numpy']}", "pooling mean"):
        assert words in made_of


@pytest.mark.usefixtures("elsewhere")
def test_a_page_made_again_from_the_runs_is_the_same_page(evaluated, tmp_path, capsys):
    shutil.copytree(evaluated, tmp_path / "out")
    (tmp_path / "out" / "report.html").unlink()
    experiment.rebuild(tmp_path / "out")
    assert not (tmp_path / "out" / "report.html").exists()  # unasked, none is made
    assert main(["report", str(tmp_path / "out"), "--html"]) == 0
    assert f"wrote {tmp_path / 'out' / 'report.html'}" in capsys.readouterr().err
    assert (tmp_path / "out" / "report.html").read_bytes() == (evaluated / "report.html").read_bytes()
    assert main(["report", "--html", str(tmp_path / "out"), "--depth", "1"]) == 0
    assert data_of((tmp_path / "out" / "report.html").read_text())["depth"] == 1
    capsys.readouterr()
    assert main(["report", str(tmp_path / "out"), "--html", str(tmp_path / "mine.html"), "--json", "--measures", "AP"]) == 0
    assert json.loads(capsys.readouterr().out)["measures"] == ["AP"]
    assert data_of((tmp_path / "mine.html").read_text())["measures"] == ["AP"]


def test_a_page_that_is_there_follows_its_tables(evaluated, tmp_path):
    shutil.copytree(evaluated, tmp_path / "out")
    found = experiment.rebuild(tmp_path / "out", measures=["P@1"])
    assert data_of(found.page.read_text())["measures"] == ["P@1"]
    assert found.page == tmp_path / "out" / "report.html"


def read_tables(html: str) -> list[list[tuple[str, list[str]]]]:
    """Of each topic read as tokens: how it was read, and the tokens."""
    tables = re.findall(r'<table class="read">.*?</table>', html, re.DOTALL)
    rows = [re.findall(r"<tr><th scope=\"row\"><code><bdi>(.*?)</bdi></code></th>(.*?)</tr>", table) for table in tables]
    return [[(way, re.findall(r"<li[^>]*><bdi>(.*?)</bdi>", cells)) for way, cells in found] for found in rows]


def test_tokens_are_those_of_their_filter_also_where_a_run_is_gone(evaluated, tmp_path):
    words = json.loads((evaluated / "explained.json").read_text())["written"]
    shown = read_tables((evaluated / "report.html").read_text())
    expected = [[("raw", w["raw"]), ("edge:2", w["filtered"][0]), ("center", w["filtered"][1])] for w in words]
    assert [[(way, list(map(escape, map(visible, tokens)))) for way, tokens in found] for found in expected] == shown
    assert all(w["filtered"][0] != w["raw"] for w in words)
    shutil.copytree(evaluated, tmp_path / "out")
    (tmp_path / "out" / "runs" / "dense+edge_2.trec").unlink()
    html = experiment.rebuild(tmp_path / "out").page.read_text()
    assert [[found[0], found[2]] for found in shown] == read_tables(html)
    assert len(re.findall(r'<svg class="spectrum"', html)) == 1


def again(evaluated: Path, out: Path, stories: str, *systems: str) -> Path:
    """The experiment performed again with the same indexes, in a copy of its folder; returns the page."""
    shutil.copytree(evaluated, out, dirs_exist_ok=True)
    home = evaluated.parent
    asked = experiment.Experiment(
        dataset=str(home / "tiny"), encoder=stories, systems=systems, baseline="dense", cutoff=5,
        indexes=str(home / "indexes"), out=str(out),
    )  # fmt: skip
    return experiment.perform(asked).page


def test_filters_are_explained_once_and_anew_where_they_are_others(evaluated, tmp_path, monkeypatch, stories):
    explained = []
    real = spectra.explain
    monkeypatch.setattr(spectra, "explain", lambda chosen, *a, **k: explained.append(chosen.name) or real(chosen, *a, **k))
    page = again(evaluated, tmp_path / "out", stories, "dense", "dense+edge:2", "dense+center")
    assert explained == []
    assert page.read_text().count('<svg class="spectrum"') == 2
    page = again(evaluated, tmp_path / "out", stories, "dense", "dense+center")
    assert explained == ["center"]
    assert page.read_text().count('<svg class="spectrum"') == 1
    again(evaluated, tmp_path / "none", stories, "dense")
    assert explained == ["center"]


def test_a_model_whose_spectrum_cannot_be_read_is_said(evaluated, tmp_path, monkeypatch, stories):
    def broken(*_, **__):
        raise RarityError("no output head <b> among the tensors")

    monkeypatch.setattr(spectra, "explain", broken)
    html = again(evaluated, tmp_path / "out", stories, "dense", "dense+tail:2").read_text()
    assert "not shown: no output head &lt;b&gt; among the tensors." in html
    assert len(Parsed(html).tables["t-systems"]) == 3


EDGE = {"filter": "edge:2", "kept": [0.0, 1.0], "zones": [["1", 0.0, 0.9, ["<b>"]]]}
SPECTRUM = {"model": HOSTILE, "vocabulary": 2, "values": [2.0, 1.0], "cuts": [EDGE], "written": []}


def test_a_spectrum_of_hostile_words_is_shown_as_it_is(evaluated, tmp_path):
    shutil.copytree(evaluated, tmp_path / "out")
    words = {"query_id": HOSTILE, "text": HOSTILE, "raw": [HOSTILE, "a"], "filtered": [["a", HOSTILE]]}
    (tmp_path / "out" / "explained.json").write_text(json.dumps(SPECTRUM | {"written": [words]}))
    html = experiment.rebuild(tmp_path / "out").page.read_text()
    found = Parsed(html)
    assert len(found.all("script")) == 2
    assert not found.all("img")
    assert read_tables(html)[0][1] == ("edge:2", ["a", escape(visible(HOSTILE))])
    assert "\u202e" not in html


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "explained.json is not in the folder"),
        ("{", "explained.json cannot be read"),
        ('{"model": 1}', "explained.json cannot be read"),
        (json.dumps(SPECTRUM | {"cuts": [{"filter": "tail:9"}]}), "of other filters"),
        (json.dumps(SPECTRUM | {"values": [1.0]}), "explained.json cannot be read"),
        (json.dumps(SPECTRUM | {"values": ["a", "b"]}), "explained.json cannot be read"),
        (json.dumps(SPECTRUM | {"values": [float("inf"), 1.0]}), "explained.json cannot be read"),
        (json.dumps(SPECTRUM | {"values": [0.0, 0.0]}), "explained.json cannot be read"),
        (json.dumps(SPECTRUM | {"written": [{"query_id": "q1"}]}), "explained.json cannot be read"),
        (
            json.dumps(SPECTRUM | {"cuts": [{"filter": "edge:2", "kept": [7.0, 0.0], "zones": []}]}),
            "explained.json cannot be read",
        ),
        ("[" * 100_000, "explained.json cannot be read"),
    ],
)
def test_a_spectrum_that_is_not_there_is_said_to_be_missing(evaluated, tmp_path, text, said):
    shutil.copytree(evaluated, tmp_path / "out")
    (tmp_path / "out" / "explained.json").unlink()
    if text is not None:
        (tmp_path / "out" / "explained.json").write_text(text)
    html = experiment.rebuild(tmp_path / "out").page.read_text()
    assert said in html
    assert '<svg class="spectrum"' not in html


def test_runs_of_another_tool_have_a_page_too(evaluated, tmp_path):
    (tmp_path / "a.trec").write_text("q1 Q0 d6 1 9 first<b>\nq2 Q0 d4 1 9 first<b>\n")
    (tmp_path / "b.trec").write_text("q1 Q0 d1 1 9 second\n")
    found = experiment.rebuild(tmp_path, dataset=str(evaluated.parent / "tiny"), page=tmp_path / "page.html")
    html = found.page.read_text()
    Parsed(html)
    assert data_of(html)["systems"] == ["first<b>", "second"]
    assert 'id="cost"' not in html
    assert 'id="spectrum"' not in html


def test_without_a_display_the_page_is_named_in_one_line(tmp_path, monkeypatch, caplog):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: bool(opened.append(address)) or len(opened) > 1)
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    page = tmp_path / "a b.html"
    evaluation.open_page(page)
    assert opened == []
    assert caplog.messages == [f"no browser to open it in; the page is {page.as_uri()}"]
    monkeypatch.setenv("DISPLAY", ":0")
    evaluation.open_page(page)  # nothing that opens it
    assert len(caplog.messages) == 2
    evaluation.open_page(page)
    assert len(caplog.messages) == 2
    assert opened == [page.as_uri()] * 2


@pytest.mark.usefixtures("elsewhere")
def test_eval_opens_the_page_it_wrote(evaluated, tmp_path, monkeypatch, stories):
    shown = []
    monkeypatch.setattr(evaluation, "open_page", shown.append)
    argv = ["eval", "--dataset", str(evaluated.parent / "tiny"), "--encoder", stories, "--systems", "dense", "--cutoff", "5"]
    argv += ["--indexes", str(evaluated.parent / "indexes"), "--out", str(tmp_path / "out"), "--json"]
    assert main(argv) == 0
    assert shown == []
    assert main([*argv, "--open"]) == 0
    assert shown == [tmp_path / "out" / "report.html"]
    assert shown[0].exists()
