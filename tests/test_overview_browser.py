"""The page of an experiment in headless Chromium: it sorts, filters, follows links and keys, asks nobody, and fits a phone."""

from __future__ import annotations

import html as entities
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from test_overview import DOCUMENTS, MEASURES, SYSTEMS, TOPICS, made, page, single
from test_pages import contrast, luminance, needs_browser

from evals.browser import headless
from evals.screenshots import Picture, taken
from rarityir import experiment, overview
from rarityir.types import Dataset, Scores

__all__ = ["made", "page", "single"]  # fixtures
pytestmark = needs_browser

# What a person would do, step by step; each step's outcome is kept by its name.
DEEDS = """
<script>
const found = {}, $ = (s) => document.querySelector(s), all = (s) => [...document.querySelectorAll(s)];
const press = (key) => $("#bars svg").dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const order = () => all("#t-systems tbody tr").map((row) => Number(row.id.slice(1)));
const change = (id, value) => { $(id).value = value; $(id).dispatchEvent(new Event("change")); };
const bars = () => all("#bars rect").map((bar) =>
  [Number(bar.dataset.topic), bar.getAttribute("class"), Number(bar.getAttribute("height"))]);
const chosen = () => [$("#a").value, $("#b").value, $("#m").value, $("#topic").value].map(Number);
const lists = () => all("#rankings .two .ranking").map((list) =>
  [...list.children].map((li) => [li.className, li.querySelector("code").textContent]));
const boxes = (s) => all(s).map((mark) => mark.getBoundingClientRect()).map((box) => box.width * box.height);
addEventListener("error", (event) => { (found.errors ??= []).push(event.message); });
const step = {
  start: () => [order(), bars(), chosen(), lists(), ...["#count", "#tally", "#rankings h3"].map((s) => $(s).textContent)],
  marks: () => [boxes("svg.cost .mark").length,
    ...["svg.cost .mark", "svg.sweep .mark", ".line", "#bars rect"].map((s) => Math.min(...boxes(s)))],
  sorts: () => {
    const result = [];
    for (const column of [1, 1, 1, 0, 7, 7]) {
      const head = all("#t-systems thead th")[column];
      head.querySelector("button").click();
      result.push([head.getAttribute("aria-sort"), order(), all("#t-systems th[aria-sort]:not([aria-sort=none])").length]);
    }
    return result;
  },
  filters: () => ["EDGE dense", "zzz", ""].map((text) => {
    $("#filter").value = text;
    $("#filter").dispatchEvent(new Event("input"));
    return [all("#t-systems tbody tr:not([hidden])").map((row) => Number(row.id.slice(1))).sort(), $("#count").textContent];
  }),
  reveals: () => {
    $("#filter").value = "sparse";
    $("#filter").dispatchEvent(new Event("input"));
    const row = $("#s0"), hidden = row.hidden;
    $('svg.cost a[href="#s0"]').dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
    return [hidden, row.hidden, $("#filter").value, $("#count").textContent];
  },
  keeps: () => {  // a row that is shown already leaves the filter as it is
    $("#filter").value = "bm25";
    $("#filter").dispatchEvent(new Event("input"));
    $('svg.cost a[href="#s0"]').dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
    const kept = $("#filter").value;
    $("#filter").value = "";
    $("#filter").dispatchEvent(new Event("input"));
    return kept;
  },
  systems: () => {
    for (const [id, value] of [["#a", 3], ["#b", 0], ["#m", 1]]) change(id, value);
    return [chosen(), bars(), $("#tally").textContent, location.hash];
  },
  swapped: () => { $("#swap").click(); return [chosen(), bars()]; },
  keys: () => {
    $("#bars svg").focus();
    const at = () => Number($("#bars svg").getAttribute("aria-activedescendant").slice(3));
    const places = [];
    for (const key of ["Home", "ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowRight"]) { press(key); places.push(at()); }
    const told = [$("#tip").hidden, $("#tip").textContent];
    press("Enter");
    const picked = chosen()[3];
    press("Escape");
    return [places, told, picked, $("#tip").hidden, bars().map(([topic]) => topic), lists()];
  },
  stays: () => {  // what is chosen draws the bars anew, and the keys go on from there
    $("#bars svg").focus();
    const at = () => Number($("#bars svg").getAttribute("aria-activedescendant")?.slice(3) ?? -1);
    const go = (key) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    const result = [];
    for (const key of ["Enter", " "]) {
      press("Home");
      press("ArrowRight");
      go(key);
      result.push([document.activeElement === $("#bars svg"), at()]);
      go("ArrowRight");
      result.at(-1).push(at());
    }
    const box = $("#bars svg").getBoundingClientRect();
    const where = { clientX: box.left + box.width * (2.5 / all("#bars rect").length), bubbles: true };
    $("#bars svg").dispatchEvent(new MouseEvent("click", where));
    result.push([document.activeElement === $("#bars svg"), at()]);
    go("ArrowRight");
    result.at(-1).push(at());
    press("Escape");
    return result;
  },
  points: () => {
    const mark = $("svg.cost .mark");
    mark.focus();
    const shown = [$("#tip").hidden, $("#tip").textContent, mark.dataset.said];
    mark.blur();
    return [...shown, $("#tip").hidden];
  },
  roves: () => {
    const stops = ["svg.cost", ".matrix"].map((s) => all(`${s} a`).filter((link) => link.tabIndex === 0).length);
    const go = (key) => {
      document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
      return document.activeElement.getAttribute("href");
    };
    all(".matrix a")[0].focus();
    const cells = ["ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowUp", "ArrowUp"].map(go);
    const marks = all("svg.cost")[0].querySelector('a[tabindex="0"]');
    marks.focus();
    return [stops, cells, [marks.getAttribute("href"), ..."1234567".split("").map(() => go("ArrowRight"))]];
  },
  table: () => {
    $("#all").open = true;
    $("#all").dispatchEvent(new Event("toggle"));
    const rows = all("#all-topics tbody tr");
    return [rows.length, rows[4].querySelector("a").getAttribute("href"), rows.map((row) => row.cells[4].textContent)];
  },
  narrows: () => {
    const shown = () => all("#all-topics tbody tr:not([hidden]) th").map((cell) => cell.textContent).sort();
    const result = ["TOPIC q1", "q2 zzz", ""].map((text) => {
      $("#topics-filter").value = text;
      $("#topics-filter").dispatchEvent(new Event("input"));
      return [shown(), $("#topics-count").textContent];
    });
    $("#topics-filter").value = "q29";
    change("#m", 0);  // the table is made anew, and the box still holds
    result.push([shown(), $("#topics-count").textContent]);
    $("#topics-filter").value = "";
    change("#m", 1);
    return result;
  },
};
for (const [name, deed] of Object.entries(step)) found[name] = deed();
found.link = [];
location.hash = $("#all-topics tbody tr:nth-child(5) a").getAttribute("href");
setTimeout(() => {
  found.link.push(chosen(), Number($("#bars .chosen").dataset.topic), $("#rankings h3").textContent);
  location.hash = "#a=2&b=no-such&topic=no-such";
  setTimeout(() => {
    found.link.push(chosen());
    const out = document.createElement("pre");
    out.id = "found";
    out.textContent = JSON.stringify(found);
    document.body.append(out);
  }, 50);
}, 50);
</script></body>"""


def browse(folder: Path, address: str, *options: str) -> tuple[str, str]:
    """A page's DOM after its script has run, and what the browser logged."""
    budget = "--virtual-time-budget=3000"
    command = headless(folder / "profile", "--enable-logging=stderr", budget, *options, "--dump-dom", address)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def permissive(html: str) -> str:
    """The page with a policy that lets the test's own script run too."""
    return re.sub(r"script-src 'sha256-[^']+'", "script-src 'unsafe-inline'", html, count=1)


@pytest.fixture(scope="module")
def done(page, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("deeds")
    (folder / "page.html").write_text(permissive(page).replace("</body>", DEEDS), encoding="utf-8")
    dom, console = browse(folder, (folder / "page.html").as_uri(), "--window-size=1200,900")
    assert console == ""
    found = json.loads(entities.unescape(re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)[1]))
    assert "errors" not in found
    return found


def differences(made, one: int, other: int, measure: int) -> list[float]:
    scores = made[1]
    return list((scores[one].values[MEASURES[measure]] - scores[other].values[MEASURES[measure]]).round(6))


def check_bars(bars: list, wanted: list[float]) -> None:
    assert len(bars) == TOPICS
    assert [topic for topic, *_ in bars] == sorted(range(TOPICS), key=lambda t: (-wanted[t], t))
    for topic, kind, height in bars:
        d = wanted[topic]
        assert kind.split()[0] == ("a" if d > 0 else "b" if d < 0 else "tie")
        assert height > 0
        if d:
            assert height == pytest.approx(abs(d), abs=1e-6)


def test_the_page_loads_without_an_error_or_a_request_and_draws_everything(page, tmp_path):
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    dom, console = browse(tmp_path, (tmp_path / "page.html").as_uri(), f"--log-net-log={tmp_path / 'net.json'}")
    assert console == ""
    assert len(re.findall(r"<rect [^>]*role=\"option\"", dom)) == TOPICS
    assert len(re.findall(r'<li class="is-', dom.split('id="rankings"')[1].split("<details>")[0])) == 20
    assert "owned</title>" not in dom
    assert "<img" not in dom
    assert "example.invalid/" not in (tmp_path / "net.json").read_text()


def test_a_script_that_is_not_the_page_s_own_does_not_run(page, tmp_path):
    inserted = page.replace("<main>", '<main><script>document.title="owned"</script><img src="x:" onerror="document.title=1">', 1)
    (tmp_path / "page.html").write_text(inserted, encoding="utf-8")
    dom, console = browse(tmp_path, (tmp_path / "page.html").as_uri())
    assert "<title>tiny/test" in dom
    assert "Content Security Policy" in console


def test_without_its_script_the_page_offers_nothing_that_needs_one(page, tmp_path):
    asked = (
        "<script>document.title=JSON.stringify(['#filter','#a','#bars','#t-systems','svg.cost','.matrix','noscript p']"
        ".map(s=>document.querySelector(s)?.getClientRects().length))</script></body>"
    )
    script = page[page.rindex("<script>") : page.rindex("</script>")]
    (tmp_path / "page.html").write_text(permissive(page).replace(script, "<script>").replace("</body>", asked), encoding="utf-8")
    dom, console = browse(tmp_path, (tmp_path / "page.html").as_uri())
    assert console == ""
    assert json.loads(re.search(r"<title>(.*?)</title>", dom)[1]) == [0, 0, 0, 1, 1, 1, None]  # scripts are on here


def test_what_is_shown_first(done, made):
    order, bars, chosen, lists, count, tally, title = done["start"]
    report = made[0]
    assert order == list(range(len(SYSTEMS)))
    best = max((i for i in range(len(SYSTEMS)) if i != 1), key=lambda i: report.rows[i].measures["nDCG@10"])
    assert chosen[:3] == [best, 1, 0]
    wanted = differences(made, best, 1, 0)
    check_bars(bars, wanted)
    assert chosen[3] == bars[0][0]
    assert count == f"{len(SYSTEMS)} of {len(SYSTEMS)} systems"
    wins, losses = sum(d > 0 for d in wanted), sum(d < 0 for d in wanted)
    assert f"better on {wins}, " in tally
    assert f" on {losses}, and they are level on {TOPICS - wins - losses} of {TOPICS} topics" in tally
    check_rankings(lists, made, best, 1, chosen[3])
    assert title.startswith(f"Topic q{chosen[3]}: topic {chosen[3]}")


def check_rankings(lists: list, made, one: int, other: int, topic: int) -> None:
    _, _, runs, dataset = made
    query_id = f"q{topic}"
    for system, shown in zip((one, other), lists, strict=len(lists) > 1):
        order = [doc_id for doc_id, _ in runs[system][query_id]][:10]
        assert [doc_id for _, doc_id in shown] == order
        for kind, doc_id in shown:
            grade = dataset.qrels[query_id].get(doc_id)
            assert kind == ("is-unjudged" if grade is None else "is-relevant" if grade > 0 else "is-not")


def test_every_picture_has_its_marks_and_none_is_empty(done, made):
    count, cost, sweep, line, bar = done["marks"]
    assert count == 2 * sum("bytes_per_doc" in row.cost for row in made[0].rows)
    assert min(cost, sweep, line) > 20
    assert bar > 1


def test_a_head_sorts_its_column_one_way_then_the_other_then_not(done, made):
    rows = made[0].rows
    by_measure = sorted(range(len(rows)), key=lambda i: -rows[i].measures["nDCG@10"])
    down, up, none, names, costly, cheap = done["sorts"]
    assert down == ["descending", by_measure, 1]
    assert up == ["ascending", by_measure[::-1], 1]
    assert none == ["none", list(range(len(rows))), 0]
    assert names[0] == "ascending"
    assert sorted(names[1], key=lambda i: rows[i].name.lower())[0] == names[1][0] == 0
    assert names[2] == 1
    priced = sorted((i for i, row in enumerate(rows) if "qps" in row.cost), key=lambda i: -rows[i].cost["qps"])
    absent = [i for i, row in enumerate(rows) if "qps" not in row.cost]
    assert costly == ["descending", priced + absent, 1]
    assert cheap == ["ascending", priced[::-1] + absent, 1]


def test_the_filter_keeps_what_has_every_word(done):
    edge, nothing, everything = done["filters"]
    assert edge == [[i for i, name in enumerate(SYSTEMS) if "edge" in name and "dense" in name], "3 of 8 systems"]
    assert nothing == [[], "0 of 8 systems"]
    assert everything == [list(range(8)), "8 of 8 systems"]


def test_a_mark_leads_to_its_row_through_a_filter_that_hides_it(done):
    assert done["reveals"] == [True, False, "", "8 of 8 systems"]
    assert done["keeps"] == "bm25"


def test_the_table_of_topics_has_a_box_too(done):
    some, none, everything, again = done["narrows"]
    ones = sorted(f"q{i}" for i in range(TOPICS) if "q1" in f"q{i}")
    assert some == [ones, f"{len(ones)} of {TOPICS} topics"]
    assert none == [[], f"0 of {TOPICS} topics"]
    assert everything == [sorted(f"q{i}" for i in range(TOPICS)), f"{TOPICS} of {TOPICS} topics"]
    assert again == [["q29"], f"1 of {TOPICS} topics"]


ALONE = """
<script>
const $ = (s) => document.querySelector(s), all = (s) => [...document.querySelectorAll(s)];
location.hash = "#topic=q5&m=AP";
setTimeout(() => {
  $("#all").open = true;
  $("#all").dispatchEvent(new Event("toggle"));
  const out = document.createElement("pre");
  out.id = "found";
  out.textContent = JSON.stringify([
    $("#tally").textContent, all("#bars rect").map((bar) => [Number(bar.dataset.topic), Number(bar.getAttribute("height"))]),
    all("#rankings .ranking").map((list) => [...list.children].map((li) => [li.className, li.querySelector("code").textContent])),
    $("#rankings h4").textContent, all("#all-topics th[scope=col]").map((head) => head.textContent),
    all("#all-topics tbody tr:first-child td.number").map((cell) => cell.textContent), location.hash,
    $("#rankings").textContent]);
  document.body.append(out);
}, 50);
</script></body>"""


def test_one_system_alone_is_shown_topic_by_topic(single, made, tmp_path):
    _, scores, runs, dataset = made
    (tmp_path / "page.html").write_text(permissive(single).replace("</body>", ALONE), encoding="utf-8")
    dom, console = browse(tmp_path, (tmp_path / "page.html").as_uri())
    assert console == ""
    told, bars, lists, title, heads, first, place, section = json.loads(
        entities.unescape(re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)[1])
    )
    values = scores[1].values["AP"]
    order = sorted(range(TOPICS), key=lambda t: (-values[t], t))
    assert told == f"dense has a mean AP of {values.mean():.4f}; it is 0 on 0 of {TOPICS} topics."
    assert [topic for topic, _ in bars] == order
    assert [height for _, height in bars] == pytest.approx(values[order])
    check_rankings(lists[:1], made, 1, 1, 5)
    assert title == f"dense AP {values[5]:.4f}"
    assert heads == ["topic", "text", "AP"]
    assert first == [f"{values[order[0]]:.4f}"]
    assert place == "#topic=q5&m=AP"
    further = [f"d{i}" for i in range(DOCUMENTS) if dataset.qrels["q5"].get(f"d{i}", 0) > 0]
    further = [d for d in further if d not in [doc_id for doc_id, _ in runs[1]["q5"]][:10]]
    assert sorted(doc_id for _, doc_id in lists[1]) == sorted(further)
    assert "A: " not in section
    assert "B: " not in section


def test_two_systems_and_a_measure_are_chosen_and_swapped(done, made):
    chosen, bars, tally, place = done["systems"]
    assert chosen[:3] == [3, 0, 1]
    wanted = differences(made, 3, 0, 1)
    check_bars(bars, wanted)
    assert f"better on {sum(d > 0 for d in wanted)}, " in tally
    assert "Holm" not in tally  # pairs are tested on the first measure
    assert "a=dense%2Bedge%3A4&b=bm25&m=AP" in place
    swapped, turned = done["swapped"]
    assert swapped[:2] == [0, 3]
    check_bars(turned, [-d for d in wanted])


def test_keys_move_over_the_topics_and_choose_one(done, made):
    places, (hidden, told), picked, gone, order, lists = done["keys"]
    assert places == [order[0], order[1], order[2], order[1], order[-1], order[-1]]
    assert not hidden
    assert told.startswith(f"q{order[-1]} · topic {order[-1]}")
    assert picked == order[-1]
    assert gone
    check_rankings(lists, made, 0, 3, picked)


def test_keys_go_on_after_one_chose_a_topic(done):
    order = done["keys"][4]
    assert done["stays"] == [[True, order[1], order[2]]] * 2 + [[True, order[2], order[3]]]


def test_a_mark_says_what_it_is_where_it_is_focused(done):
    hidden, shown, said, gone = done["points"]
    assert not hidden
    assert shown == said
    assert shown.startswith("bm25\nnDCG@10 0.")
    assert gone


def test_of_many_cells_and_marks_one_is_a_stop_and_arrows_reach_the_others(done, made):
    stops, cells, marks = done["roves"]
    assert stops == [2, 1]
    report = made[0]
    order = sorted(range(len(SYSTEMS)), key=lambda i: -report.rows[i].measures["nDCG@10"])

    def cell(row: int, column: int) -> str:
        return f"#a={order[row]}&b={order[column]}"

    # The diagonal holds nothing and is leapt over; at the edge one stays.
    assert cells == [cell(0, 2), cell(1, 2), cell(3, 2), cell(3, 1), cell(2, 1), cell(0, 1), cell(0, 1)]
    priced = sorted((i for i, row in enumerate(report.rows) if row.cost), key=lambda i: report.rows[i].cost["bytes_per_doc"])
    assert marks == [f"#s{i}" for i in [*priced, priced[-1]]]


def test_topics_stand_in_a_table_whose_links_lead_to_them(done, made):
    count, place, figures = done["table"]
    wanted = sorted(differences(made, 0, 3, 1), reverse=True)
    assert count == TOPICS
    assert figures == [f"{d:+.4f}".replace("-", "−") for d in wanted]
    topic = int(re.match(r"#topic=q(\d+)&", place)[1])
    chosen, marked, title, last = done["link"]
    assert chosen == [0, 3, 1, topic]
    assert marked == topic
    assert title.startswith(f"Topic q{topic}: ")
    assert last == [2, 3, 1, topic]  # what is not known changes nothing


def test_hostile_texts_are_shown_as_texts(done):
    assert done["start"][6].startswith("Topic")
    titles = [done["start"][6], done["link"][2], done["keys"][1][1]]
    assert all("\x1b" not in text and "\u202e" not in text for text in titles)


def test_a_link_from_elsewhere_opens_its_topic_its_systems_and_its_measure(page, tmp_path, made):
    _, scores, runs, dataset = made
    # Of the topics with hostile texts, one whose rankings hold a document that was judged not relevant.
    best = {t: [doc_id for s in (5, 2) for doc_id, _ in runs[s][f"q{t}"][:10]] for t in range(0, TOPICS, 7)}
    topic = next(t for t, ids in best.items() if 0 in [dataset.qrels[f"q{t}"].get(doc_id) for doc_id in ids])
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    address = (tmp_path / "page.html").as_uri() + f"#topic=q{topic}&a=sparse%3A64&b=dense+edge:2&m=AP"
    dom, console = browse(tmp_path, address)
    assert console == ""
    section = dom.split('id="rankings"')[1]
    assert re.search(rf"<h3>Topic <bdi>q{topic}</bdi>: <bdi>topic {topic} &lt;/script&gt;&lt;script&gt;", section)
    assert "\\x1b[31m\\u202e&amp;amp;" in section
    shown = re.findall(r'<li class="(is-[a-z]+)">.*?<code>(d\d+)</code>', section.split("<details>")[0])
    check_rankings([shown[:10], shown[10:]], made, 5, 2, topic)
    assert "is-not" in dict(shown)
    figures = re.findall(r"</bdi> AP (\d\.\d{4})</h4>|</code> AP (\d\.\d{4})</h4>", section)
    assert [float(one or other) for one, other in figures] == [scores[s].values["AP"][topic] for s in (5, 2)]


@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_never_scrolls_sideways(page, tmp_path, width):
    script = "<script>parent.postMessage(document.documentElement.scrollWidth,'*')</script></body>"
    (tmp_path / "framed.html").write_text(permissive(page).replace("</body>", script), encoding="utf-8")
    frame = (
        f'<!doctype html><iframe src="framed.html" width={width} height=900 style="border:0"></iframe>'
        "<script>onmessage=e=>document.title='wide '+e.data</script>"
    )
    (tmp_path / "frame.html").write_text(frame)
    dom, _ = browse(tmp_path, (tmp_path / "frame.html").as_uri())
    assert 0 < int(re.search(r"<title>wide (\d+)</title>", dom)[1]) <= width


@pytest.mark.parametrize(
    ("measure", "most", "labels"),
    [
        ("AP", 0.6, "−0.2 0 +0.2 +0.4 +0.6"),
        ("dcg@10", 2.5, "−1 0 +1 +2"),
        ("hits@100", 60, "−20 0 +20 +40 +60"),
        ("hits", 3000, "−1000 0 +1000 +2000 +3000"),
    ],
)
def test_bars_of_a_measure_that_exceeds_1_have_a_few_round_ticks(tmp_path, measure, most, labels):
    topics = tuple(map(str, range(8)))
    values = {"bm25": np.full(8, most / 2), "dense": np.linspace(0, 1.5 * most, 8)}
    scores = [Scores(name, topics, {measure: found}) for name, found in values.items()]
    dataset = Dataset("t", "t", {}, lambda: iter(()), dict.fromkeys(topics, ""), {q: {"d": 1} for q in topics})
    report = experiment.tabulate(scores, {"bm25": {}, "dense": {}}, dataset, "demo", "bm25", (measure,), 10, 0)
    written = overview.write(report, scores, [overview.Ranked(((),) * 8, ({},) * 8)] * 2, dataset, tmp_path)
    dom, console = browse(tmp_path, written.as_uri())
    assert console == ""
    assert " ".join(re.findall(r'<span class="tick"[^>]*>([^<]*)</span>', dom)) == labels


@pytest.fixture(scope="module")
def twenty(tmp_path_factory) -> str:
    """The page of twenty systems with long names and figures."""
    rng = np.random.default_rng(4)
    names = [f"sparse:{64 << i % 5}+spectroscopy:{i}" if i % 7 == 3 else f"dense+edge:{i}" for i in range(20)]
    topics = tuple(map(str, range(20)))
    measures = ("nDCG@10", "RR@10", "R@100", "R@1000", "AP")
    scores = [
        Scores(n, topics, {m: np.clip(rng.normal(0.2 + i / 40, 0.02, 20), 0, 1) for m in measures}) for i, n in enumerate(names)
    ]
    dataset = Dataset("t", "t", {}, lambda: iter(()), dict.fromkeys(topics, ""), {q: {"d": 1} for q in topics})
    cost = {"dim": 1024, "bytes_per_doc": 2416, "index_bytes": 364_100, "build_seconds": 108.6, "qps": 115_757.0}
    report = experiment.tabulate(scores, dict.fromkeys(names, cost), dataset, "demo", names[0], measures, 10, 0)
    ranked = [overview.Ranked(((),) * 20, ({},) * 20)] * 20
    return overview.write(report, scores, ranked, dataset, tmp_path_factory.mktemp("twenty")).read_text()


def test_on_a_phone_the_line_between_rows_runs_through_the_column_that_stays(twenty, tmp_path):
    (tmp_path / "page.html").write_text(twenty, encoding="utf-8")
    taken(tmp_path / "page.html", Picture("phone", ("#systems",), 360, 1100), tmp_path, tmp_path / "phone.png")
    line = np.abs(imread(tmp_path / "phone.png")[:, :, :3] - 0xD4 / 255).max(axis=2) < 0.02
    lines = [y for y in range(1100) if line[y, 200:330].all()]
    assert len(lines) >= 15
    assert [y for y in lines if not line[y, 15]] == []


def test_on_a_page_of_paper_twenty_systems_fit(twenty, tmp_path):
    """What holds for print holds for the screen here, at the width of A4 less its margins."""
    asked = (
        "<script>document.title=JSON.stringify([innerWidth,document.documentElement.scrollWidth,"
        "document.querySelectorAll('.matrix td a').length])</script></body>"
    )
    paper = permissive(twenty).replace("@media print{", "@media all{").replace("</body>", asked)
    (tmp_path / "page.html").write_text(paper, encoding="utf-8")
    dom, _ = browse(tmp_path, (tmp_path / "page.html").as_uri(), "--window-size=688,900", "--hide-scrollbars")
    assert json.loads(re.search(r"<title>(.*?)</title>", dom)[1]) == [688, 688, 380]


def test_inks_are_readable_in_light_and_dark(page, tmp_path):
    kinds = [
        "body",
        ".quiet",
        ".up",
        ".down",
        "nav a",
        "td.up a",
        "td.down a",
        ".is-unjudged .text",
        "button",
        "select",
        "output",
    ]
    script = (
        "<script>const of=e=>getComputedStyle(document.querySelector(e));"
        f"document.title=JSON.stringify([of('body').backgroundColor,...{json.dumps(kinds)}.map(e=>of(e).color)])</script></body>"
    )
    (tmp_path / "page.html").write_text(permissive(page).replace("</body>", script), encoding="utf-8")
    for number, dark in ((0, True), (1, False)):
        dom, _ = browse(tmp_path, (tmp_path / "page.html").as_uri(), f"--blink-settings=preferredColorScheme={number}")
        found = json.loads(re.search(r"<title>(.*?)</title>", dom)[1])
        ground, *inks = [tuple(map(int, re.findall(r"\d+", colour)[:3])) for colour in found]
        assert (luminance(ground) < 0.05) == dark
        assert {kind: contrast(ground, ink) for kind, ink in zip(kinds, inks) if contrast(ground, ink) < 4.5} == {}


def test_pictures_for_the_docs_are_taken_light_dark_and_narrow(page, tmp_path):
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    command = [sys.executable, "-m", "evals.screenshots", "--page", tmp_path / "report.html", "--out", tmp_path / "img"]
    subprocess.run(command, check=True, cwd=Path(__file__).parent.parent)
    taken = {path.stem: path.read_bytes() for path in (tmp_path / "img").iterdir()}
    sizes = {name: (int.from_bytes(png[16:20]), int.from_bytes(png[20:24])) for name, png in taken.items()}
    assert sizes == {"report-light": (1200, 2060), "report-dark": (1200, 1900), "report-narrow": (1120, 1150)}
    assert min(map(len, taken.values())) > 20_000  # an empty window is a tenth of that
