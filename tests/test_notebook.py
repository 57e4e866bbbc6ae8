"""What a notebook shows is small, escaped and without scripts; frames hold the very numbers of the objects."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import rarityir
from rarityir import notebook
from rarityir.filters import EmbedFilter
from rarityir.measures import evaluate
from rarityir.rarity import RarityProbe, TokenStats
from rarityir.rarity.result import ProbeResult
from rarityir.report import Explanation, Report, Row
from rarityir.runs import Run
from rarityir.types import Hits, RarityError

HOSTILE = "<script>alert(1)</script>&\"'\x1b[31m\u202e"


class Reader(HTMLParser):
    """Reads tags, attributes and text of what a notebook is given, and fails where tags do not close."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.cells: list[str] = []
        self.opened: list[str] = []
        self.feed(html)
        self.close()
        assert self.opened == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.opened.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.opened):
            self.cells[-1] += data


def read(html: str) -> Reader:
    found = Reader(html)
    assert found.tags <= {"div", "b", "table", "thead", "tbody", "tr", "th", "td"}
    assert found.attributes == {"style"}
    assert len(html) < 100_000
    assert "color:" not in html.replace("border-", "")  # text and ground are the reader's own, dark or light
    return found


def a_run(queries: int = 3, cutoff: int = 4, name: str = "dense") -> Run:
    rng = np.random.default_rng(5)
    rows = np.array([rng.permutation(20)[:cutoff] for _ in range(queries)])
    rows[0, -1] = -1  # a query that finds one fewer
    scores = np.sort(rng.random((queries, cutoff)).astype(np.float32), axis=1)[:, ::-1]
    return Run.from_hits(name, [f"q{i}" for i in range(queries)], [f"d{i}{HOSTILE}" for i in range(20)], Hits(rows, scores))


def a_report(systems: int = 2) -> Report:
    rows = [
        Row(f"s{i}{HOSTILE}", {"AP": i / 10, "R@5": 0.5}, {"AP": {"fisher_holm": 0.01}}, {"AP": "+"}, {"dim": 8, "qps": 2.0})
        for i in range(systems)
    ]
    return Report(f"tiny{HOSTILE}", "demo", "s0", ("AP", "R@5"), 3, 10, 0, 0.05, rows, (HOSTILE,))


@pytest.fixture(scope="module")
def probed() -> ProbeResult:
    rng = np.random.default_rng(11)
    x_VD = rng.normal(size=(60, 6))
    y_VT = np.stack([x_VD @ rng.normal(size=6) + 0.1 * rng.normal(size=60), rng.normal(size=60)], axis=1)
    return RarityProbe((f"a{HOSTILE}", "b"), folds=3, replicates=20).fit(x_VD, y_VT).result


def test_a_runs_frame_is_its_trec_file(tmp_path: Path) -> None:
    run = a_run(name="dense+edge:2")
    frame = run.to_frame()
    assert list(frame.columns) == ["query_id", "doc_id", "rank", "score"]
    assert frame["score"].dtype == np.float32
    assert len(frame) == 11
    assert [
        (query_id, doc_id, rank, score)
        for query_id in run
        for rank, (doc_id, score) in enumerate(run[query_id], start=1)
    ] == list(frame.itertuples(index=False, name=None))  # fmt: skip
    empty = Run.from_hits("none", ["q"], [], Hits(np.full((1, 0), -1), np.zeros((1, 0), np.float32)))
    assert len(empty.to_frame()) == 0


def test_a_run_shows_its_best_documents_of_few_queries() -> None:
    found = read(a_run(500)._repr_html_())
    assert len(found.cells) == 5 + 10 * 5
    assert found.cells[5:7] == ["q0", "3"]
    assert found.cells[7].startswith(a_run(500)["q0"][0][0][:8])
    assert "490 queries more" in a_run(500)._repr_html_()
    assert "more" not in a_run(10)._repr_html_()
    assert "500 queries, 1,999 documents retrieved" in a_run(500)._repr_html_()


def test_a_report_shows_its_table_and_frames_hold_its_numbers() -> None:
    html = a_report()._repr_html_()
    found = read(html)
    assert "alert(1)" in html
    assert "<script" not in html
    assert "\x1b" not in html
    assert found.cells[:3] == ["system", "AP", "R@5"]
    assert "<b>0.1000+</b>" in html
    assert "<b>0.0000" not in html
    frame = a_report().to_frame()
    assert list(frame.columns[:4]) == ["AP", "AP p", "R@5", "R@5 p"]
    assert frame.loc[f"s1{HOSTILE}", "AP"] == 0.1
    assert frame.loc[f"s1{HOSTILE}", "AP p"] == 0.01
    assert frame["dim"].tolist() == [8, 8]
    with pytest.raises(RarityError, match="no scores by topic"):
        a_report().to_topics_frame()


def test_a_long_table_is_cut_and_says_so() -> None:
    html = a_report(200)._repr_html_()
    assert read(html).cells.count("0.5000 ") + html.count("<b>0.5000</b>") == notebook.ROWS
    assert "… and 170 rows more" in html
    wide = notebook.table("t", [str(i) for i in range(50)], [["x" * 500] * 50])
    assert len(read(wide).cells) == 2 * notebook.COLUMNS
    assert "… and 38 columns more" in wide
    assert "x" * 81 not in wide


def test_the_topics_of_a_report_are_those_that_were_scored() -> None:
    from rarityir.experiment import tabulate
    from rarityir.types import Dataset

    qrels = {"q0": {f"d1{HOSTILE}": 1}, "q1": {f"d2{HOSTILE}": 2}, "q2": {f"d3{HOSTILE}": 1, f"d4{HOSTILE}": 1}}
    dataset = Dataset("tiny", "tiny", {}, lambda: iter(()), dict.fromkeys(qrels, ""), qrels)
    scores = [evaluate(a_run(name=name), qrels, ["AP", "RR@10"]) for name in ("a", "b")]
    report = tabulate(scores, {}, dataset, "demo", "a", ["AP", "RR@10"], 10, 0)
    frame = report.to_topics_frame()
    assert list(frame.columns) == ["system", "query_id", "AP", "RR@10"]
    assert len(frame) == 6
    means = frame.groupby("system")[["AP", "RR@10"]].mean()
    for row in report.rows:
        for m in report.measures:
            assert means.loc[row.name, m] == pytest.approx(row.measures[m], abs=1e-12)
    assert frame[(frame.system == "b") & (frame.query_id == "q2")]["AP"].item() == scores[1].values["AP"][2]


def test_a_filter_shows_what_it_keeps(stories: str) -> None:
    chosen = EmbedFilter("edge:2", np.eye(3, 6, dtype=np.float32), {"model": HOSTILE, "nested": {"a": 1}})
    cells = read(chosen._repr_html_()).cells
    assert cells[2:6] == ["keeps", "3 of 6 directions", "centred", "no"]
    assert "nested" not in cells
    assert cells[-2:] == ["sha256", chosen.digest]
    read(EmbedFilter.fit(stories, "tail:2")._repr_html_())


def sides(html: str) -> list[list[str]]:
    """On which side each cell of each row stands."""
    return [re.findall(r"text-align:(\w+)", row) for row in html.split("<tr>")[1:]]


def test_figures_stand_to_the_right_and_words_to_the_left_and_none_is_broken() -> None:
    html = notebook.table("t", ["a", "b", "c", "d"], [["1", "**0.5**", "205.0 KiB", "d3 (1.2)"], ["x", "–", "", "4 (1)"]])
    assert sides(html) == [["left", "right", "right", "left"]] * 3
    facts = notebook.facts("t", {"sha256": "0" * 64, "tokens": 3})
    assert sides(facts) == [["left"] * 2] * 3
    for shown in (html, facts, a_report()._repr_html_(), a_run()._repr_html_()):
        cells = re.findall(r"<t[dh] style=\"([^\"]*)\"", shown)
        assert cells
        assert all("white-space:nowrap" in style for style in cells)


def test_a_filter_has_a_frame_of_one_row() -> None:
    two = [EmbedFilter(f"edge:{k}", np.eye(6 // k, 6, dtype=np.float32), {"model": HOSTILE, "nested": {}}) for k in (2, 3)]
    frame = pd.concat([one.to_frame() for one in two])
    assert frame.index.tolist() == ["edge:2", "edge:3"]
    assert frame["kept"].tolist() == [3, 2]
    assert frame["width"].tolist() == [6, 6]
    assert frame["centred"].tolist() == [False, False]
    assert frame["model"].tolist() == [HOSTILE] * 2
    assert frame["sha256"].tolist() == [one.digest for one in two]
    assert "nested" not in frame


def test_an_explanation_has_a_frame_of_a_row_a_direction() -> None:
    values = np.array([3.0, 2.0, 1.0])
    arrays = (values, np.array([0.0, 1, 1]), values / 7, values / 6)
    plain = Explanation("m", "edge:3", 3, 9, "english", *arrays, None, (), (), {})
    frame = plain.to_frame()
    assert frame.index.tolist() == [1, 2, 3]
    assert list(frame.columns) == ["value", "energy", "frequency", "shift", "kept"]
    np.testing.assert_allclose(frame["energy"], [9 / 14, 13 / 14, 1])
    for name, array in zip(("value", "kept", "shift", "frequency"), arrays, strict=True):
        np.testing.assert_array_equal(frame[name], array)
    assert repr(plain) == "<Explanation of 'm', 9 × 3: 'edge:3' keeps 2 of 3 directions>"
    read_too = dataclasses.replace(plain, filter="", energy=values / 6).to_frame()
    assert read_too["texts"].tolist() == (values / 6).tolist()


def test_what_is_written_of_a_result_in_plain_text_is_one_short_line(probed: ProbeResult) -> None:
    probe = RarityProbe(("a", "b", "c", "d"), folds=3, seed=2)
    assert repr(probe) == "<RarityProbe of 'a', 'b', 'c', …, 3 folds, seed 2: not fitted; call fit(X, y)>"
    best = "".join(("s1", HOSTILE))
    assert repr(a_report()) == (
        f"<Report: 2 systems on 3 topics of {f'tiny{HOSTILE}'!r}, encoder 'demo'; best AP: {best!r}, 0.1000>"
    )
    assert repr(dataclasses.replace(a_report(), rows=())).endswith("encoder 'demo'>")
    first, second = (target.fits["ridge"].r2.type.value for target in probed.targets)
    assert repr(probed) == f"<ProbeResult of 60 rows of width 6: R² over types {f'a{HOSTILE}'!r} {first:.3f}, 'b' {second:.3f}>"
    many = dataclasses.replace(probed, targets=probed.targets * 3)
    assert repr(many).endswith(" and 3 more>")
    for found in (probe, a_report(200), probed, many):
        assert len(repr(found)) < 400
        assert repr(found).isprintable()


def test_a_probe_shows_its_result() -> None:
    rng = np.random.default_rng(3)
    x_VD = rng.normal(size=(40, 4))
    probe = RarityProbe("rare <b>", folds=3, replicates=5)
    assert read(probe._repr_html_()).cells == []
    assert "rare &lt;b&gt;" in probe._repr_html_()
    with pytest.raises(RarityError, match="not fitted"):
        probe.to_frame()
    probe.fit(x_VD, x_VD @ rng.normal(size=4))
    assert probe._repr_html_() == probe.result._repr_html_()
    assert repr(probe) == f"<RarityProbe of 'rare <b>', 3 folds, seed 0: {probe.result!r}>"
    pd.testing.assert_frame_equal(probe.to_frame(), probe.result.to_frame())


def test_a_probes_frames_hold_its_numbers(probed: ProbeResult) -> None:
    read(probed._repr_html_())
    frame = probed.to_frame()
    first = probed.targets[0]
    row = frame[(frame.target == first.name) & (frame.fit == "ridge")].iloc[0]
    assert (row.type, row.type_low, row.type_high) == first.fits["ridge"].r2.type
    assert row.train == first.fits["ridge"].train
    assert len(frame) == sum(len(target.fits) for target in probed.targets)
    curve = probed.curve_frame()
    assert list(curve.columns) == ["target", "components", "type", "occurrence"]
    for target in probed.targets:
        own = curve[curve.target == target.name]
        np.testing.assert_array_equal(own["components"], target.curve.components)
        np.testing.assert_array_equal(own["type"], target.curve.type)
    bands = probed.bands_frame()
    assert list(bands.columns) == ["target", "first", "last", "variance", "type", "occurrence"]
    assert len(bands) == sum(len(target.bands.first) for target in probed.targets)
    np.testing.assert_array_equal(bands[bands.target == "b"]["variance"], probed.targets[1].bands.variance)


def test_token_statistics_have_a_frame() -> None:
    rows = [np.array([0, 2, 1]), np.array([0, 5, 1]), np.array([0, 13, 1]), np.array([0, 1, 0])]
    stats = TokenStats(4, *rows, HOSTILE)
    frame = stats.to_frame()
    for name, row in zip(("df", "cf", "squares", "df2"), rows, strict=True):
        assert frame[name].tolist() == row.tolist()
    assert read(stats._repr_html_()).cells[2:8] == ["documents", "4", "tokens", "6", "vocabulary", "3"]


USER = """
import rarityir as ri
import pandas as pd

def study(name: str) -> pd.DataFrame:
    dataset: ri.Dataset = ri.load_dataset(name)
    encoder: ri.Encoder = ri.load_encoder("demo")
    chosen: ri.EmbedFilter = ri.EmbedFilter.fit("demo", "edge:2")
    vectors = chosen(encoder.encode_document(["boundary layer"]))
    width: int = vectors.shape[1]
    run: ri.Run = ri.retrieve("dense", dataset, encoder, cutoff=width)
    best: list[tuple[str, float]] = run["1"]
    scores = ri.evaluate(run, dataset.qrels, ["nDCG@10"])
    mean: float = scores.mean("nDCG@10")
    report: ri.Report = ri.perform(ri.Experiment(dataset=name, systems=["bm25", "dense"]))
    value: float = report["dense"].measures["nDCG@10"]
    text: str = report.markdown()
    print(best, mean, value, text, ri.System.parse("dense"), ri.read_run("a.trec"))
    try:
        report.to_topics_frame()
    except ri.RarityError as error:
        print(error)
    return run.to_frame()

{wrong}
"""


def test_a_users_script_is_checked_by_strict_types(tmp_path: Path) -> None:
    assert (Path(rarityir.__file__).parent / "py.typed").is_file()
    wrong = 'study(3)\nri.EmbedFilter.fit("demo")\nri.Run.nonsense\nnumber: int = ri.read_run("a").name'
    (tmp_path / "good.py").write_text(USER.format(wrong=""))
    (tmp_path / "bad.py").write_text(USER.format(wrong=wrong))
    home = str(Path(rarityir.__file__).parents[1])
    settings = tomllib.loads(Path(home, "pyproject.toml").read_text())["tool"]["mypy"]
    skipped = ",".join(name for part in settings["overrides"] if "follow_imports" in part for name in part["module"])
    (tmp_path / "mypy.ini").write_text(
        f"[mypy]\nstrict = true\n[mypy-{skipped}]\nignore_missing_imports = true\nfollow_imports = skip\n"
    )
    cache = ["--cache-dir", str(Path(home) / ".mypy_cache" / "user")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--follow-imports", "silent", *cache, "good.py", "bad.py"],
        cwd=tmp_path, env={**os.environ, "MYPYPATH": home, "PYTHONPATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert [line for line in errors if line.startswith("good.py")] == []
    assert sorted(line.rpartition("[")[2] for line in errors) == ["arg-type]", "assignment]", "attr-defined]", "call-arg]"]
