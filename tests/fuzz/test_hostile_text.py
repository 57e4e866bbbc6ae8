"""A hostile corpus and a hostile vocabulary through every command that prints texts, tokens or names: nothing of it acts."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import pytest
from tiny import STORIES

from evals.browser import BROWSER, headless
from rarityir.cli import main
from rarityir.report import variation
from rarityir.report.bias import Bias
from rarityir.report.changes import Change, Changes, Side
from rarityir.report.variation import Twins
from rarityir.report.weighing import Against, Line, Ratio, Supposition, Table, Weighing

ACTS = "document.title='pwned'"
WORDS = (
    f"<script>{ACTS}</script>", f'"><img/src=x/onerror={ACTS}>', f"'/onmouseover={ACTS}//", f"</script><script>{ACTS}</script>",
    f"</style><svg/onload={ACTS}>", "\x1b[31mred\x1b[0m", "\x1b]52;c;aGk=\x07", "\x1b]8;;http://evil\x1b\\link", "\u202egnp.exe",
    "\x00nul", "\x9b31m", "pipe|`tick`|", "=cmd|'/C calc'!A0", "\\input{/etc/passwd}$x^{", "&amp;&lt;", 
    "[x](javascript:alert(1))",
    "\u2028line\u2029", "z" + "\u0301" * 200, "w" * 2000,
)  # fmt: skip
FOLDER = "<b onclick=x>&'`|[y](z) $^_{ \x1b[31m\u202e"  # a dataset's name, as a folder may have it
NAME = 'm"><script>alert(1)<script>\x1b[32m|`$x^{$'  # a model's
NAMES = ["".join(f"{number}{word}".split()).replace("\0", "")[:300] for number, word in enumerate(WORDS)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    home = tmp_path_factory.mktemp("hostile")
    folder, model = home / FOLDER, home / NAME
    (folder / "qrels").mkdir(parents=True)
    ids = [word for word in WORDS if word.isprintable() and word.split() == [word] and len(word) < 300]
    docs = [
        {"_id": i, "title": word, "text": f"the red ball and the dog {word} in the tree"}
        for i, word in zip(ids, WORDS, strict=False)
    ]
    docs += [{"_id": f"d{i}", "title": "", "text": f"{word} a bird sang to the cat {word}"} for i, word in enumerate(WORDS)]
    queries = [{"_id": i, "text": f"red ball {word}"} for i, word in zip(ids[:4], WORDS, strict=False)]
    for name, rows in (("corpus", docs), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judged = "".join(f"{row['_id']}\t{docs[at]['_id']}\t1\n" for at, row in enumerate(queries))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    hostile_model(model)
    patch = pytest.MonkeyPatch()
    (home / "work").mkdir()
    patch.chdir(home / "work")
    patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    before = (logging.getLogger().handlers[:], logging.getLogger().level, logging.getLogger("rarityir").level)
    yield SimpleNamespace(data=str(folder), model=str(model), ids=ids, queries=[row["_id"] for row in queries], home=home)
    logging.getLogger().handlers[:] = before[0]
    logging.getLogger().setLevel(before[1])
    logging.getLogger("rarityir").setLevel(before[2])
    patch.undo()


def hostile_model(folder: Path) -> None:
    """The small model with some of its tokens renamed, and the merges that made them left out."""
    shutil.copytree(STORIES, folder)
    found = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = found["model"]["vocab"]
    old = [token for token in vocabulary if len(token) == 3 and token.isalpha()][: len(WORDS)]
    new = dict(zip(old, WORDS, strict=False))
    found["model"]["vocab"] = {new.get(token, token): number for token, number in vocabulary.items()}
    merges = [pair if isinstance(pair, list) else pair.split(" ") for pair in found["model"]["merges"]]
    found["model"]["merges"] = [pair for pair in merges if not {*pair, "".join(pair)} & set(old)]
    (folder / "tokenizer.json").write_text(json.dumps(found), encoding="utf-8")


# Each command with what it prints and writes; {d} is the dataset, {m} the model, {q} and {i} a query's and a document's id.
COMMANDS = {
    "align": "align {t} --encoder {m} --html align.html",
    "align, JSON": "align {t} --encoder {m} --json",
    "align, split": "align {t} --encoder {m} --dataset {d} --split --filter edge:2 --html split.html",
    "explain": "explain {t} {t} --encoder {m} --system sparse:64+edge:2 --html explain.html --against {m} --instruction {t}",
    "explain by id": "explain {q} {i} --dataset {d} --encoder {m} --system sparse:16+edge:2 --html stored.html",
    "search": "search dense --dataset {d} --encoder {m} --out run.trec",
    "eval": "eval --dataset {d} --encoder {m} --systems dense,sparse:16 --baseline dense --out evaluated",
    "report": "report foreign --dataset {d} --html",
    "heat map": "rarity heatmap {t} --model {m} --dataset {d} --html map.html --out map.svg",
    "heat map, JSON": "rarity heatmap {t} --model {m} --dataset {d} --json",
    "statistics": "rarity stats --dataset {d} --model {m} --out stats --top 600 --workers 1",
    "under-trained": "rarity undertrained --dataset {d} --model {m} --out under --top 600 --workers 1 --no-probe",
    "geometry": "geometry --model {m} --n 20 --k 3 --random-sets 20 --out geometry --families iso,pcs",
    "axes": "ica fit --dataset {d} --encoder {m} --components 4 --seeds 1 --out axes",
    "axes shown": "ica axes axes",
    "axes, tree": "ica tree axes --nodes 4 --clusters 2 --format svg --out tree.svg",
    "axes, dot": "ica tree axes --nodes 4 --clusters 2 --format dot",
    "axes, explained": "ica explain axes --query {t} --doc {t}",
    "informativeness": "informativeness corpus --dataset {d} --encoder {m} --out weights",
    "weights shown": "informativeness report weights --top 600",
    "alignment": "alignment --dataset {d} --encoder {m} --out aligned --filters none,edge:2",
    "filter": "filter show {m} --filter edge:2 --text {t} --top 100 --picture spectrum.svg",
    "filter fitted": "filter fit {m} edge:2 --out filter",
    "analogy": "analogy search relation {a} --pairs pairs.tsv --vectors random:8",
    "sparse": "sparse stats vectors --top 50",
    "texts": "modelmap texts --file texts.txt --n 3 --min-bytes 1 --out texts.json",
}


class Done(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="module")
def done(world: SimpleNamespace) -> dict[str, Done]:
    """Every command above, run once for the tests of what it prints and of what it writes, whichever comes first."""
    prepare(world)
    found = {}
    for name, line in COMMANDS.items():
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(arguments(line, world))
        found[name] = Done(status, *(stream.buffer.getvalue().decode("utf-8") for stream in (out, err)))
    return found


def test_every_command_shows_hostile_text_without_obeying_it(done: dict[str, Done]) -> None:
    failed = []
    assert any(ended.out for ended in done.values())
    assert any(ended.err for ended in done.values())
    for name, ended in done.items():
        if ended.status != 0:
            failed.append(f"{name}: exit {ended.status}: {ended.err.strip()[-300:]}")
        for what, said in (("prints", ended.out), ("tells", ended.err)):
            bad = {hex(ord(letter)) for letter in said if not (letter in "\n\t" or letter.isprintable())}
            failed += [f"{name} {what} {sorted(bad)}"] if bad else []
    assert failed == []


def arguments(line: str, world: SimpleNamespace) -> list[str]:
    """A command's arguments."""
    known = {
        "{d}": world.data, "{m}": world.model, "{q}": world.queries[0], "{i}": world.ids[0],
        "{t}": " ".join(word[:300] for word in WORDS if "\0" not in word), "{a}": NAMES[0],
    }  # fmt: skip
    return [known.get(word, word) for word in line.split()]


def prepare(world: SimpleNamespace) -> None:
    """What some commands read."""
    rows = "".join(f"{name}\t{name}{at % 3}\n" for at, name in enumerate(NAMES))
    Path("pairs.tsv").write_text(f"query\tanswer\n{rows}", encoding="utf-8")
    assert main(["analogy", "fit", "--pairs", "pairs.tsv", "--vectors", "random:8", "--out", "relation"]) == 0
    lines = (json.dumps({"id": f"d{i}", "contents": "", "vector": {word: 2, "the": 1}}) + "\n" for i, word in enumerate(WORDS))
    Path("vectors.jsonl").write_text("".join(lines), encoding="utf-8")
    assert main(["sparse", "build", "vectors.jsonl", "vectors"]) == 0
    run = "".join(f"{world.queries[0]} Q0 {i} {rank} {-rank} =<b>|`{i[:9]}\x1b[31m\n" for rank, i in enumerate(world.ids))
    Path("foreign").mkdir()
    Path("foreign/one.trec").write_text(run, encoding="utf-8")
    Path("texts.txt").write_text("".join(f"{''.join(word.split())}\n" for word in WORDS), encoding="utf-8")


# What the commands above have written.


class Page(HTMLParser):
    """The elements and attributes of a page, what its scripts hold, and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        (self.scripts if self.inside == "script" else self.words).append(data)


def check_pages(pages: list[Path]) -> list[str]:
    """What is wrong with pages: an element or attribute that our text does not write, or a link that is run."""
    wrong = []
    for path in pages:
        raw = path.read_text(encoding="utf-8")
        page = Page(raw)
        wrong += [f"{path}: element {tag}" for tag in page.tags & {"img/src=x", "iframe", "object", "embed", "base", "form"}]
        wrong += [f"{path}: {name}={value[:40]}" for name, value in page.attributes if name.startswith("on") or "\x1b" in value]
        wrong += [
            f"{path}: {value[:40]}" for name, value in page.attributes if name in ("href", "src") and "javascript:" in value
        ]
        wrong += [f"{path}: a script of the text" for script in page.scripts if script.startswith((ACTS, "alert(1)"))]
        # The heat map shows an escape, and keeps the character itself where nobody sees it, so that the text can be copied.
        rest = re.sub(r'(?s)(<span class="code" data-code="[^"]*"><span>).(</span>)', r"\1\2", raw)
        bad = {hex(ord(letter)) for letter in rest if letter not in "\n\t" and not letter.isprintable()}
        wrong += [f"{path}: holds {sorted(bad)}"] if bad - {"0xa0", "0xad", "0x200b"} else []
        if not any("onerror" in words or "onclick" in words or "script" in words for words in page.words):
            wrong.append(f"{path} shows nothing of the hostile text")
    return wrong


def check_tables(files: list[Path]) -> list[str]:
    """What is wrong with Markdown: a row of other cells than its heading, or HTML outside code."""
    wrong = []
    for path in files:
        heads, fenced = 0, False
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            fenced ^= line.startswith("```")
            if fenced:
                continue
            cells = len(re.findall(r"(?<!\\)\|", line))
            if line.startswith("|"):
                wrong += [f"{path}:{number}: {cells} bars, {heads} in the heading"] if heads and cells != heads else []
                heads = heads or cells
            else:
                heads = 0
            plain = re.sub(r"(`+) ?.*?\1", "", line)
            wrong += [f"{path}:{number}: {plain[:60]}"] if re.search(r"<(script|b|img|svg|/)", plain) else []
    return wrong


BARS = "two|bars a\\|b `tick` <script>x</script> <b>y</b>\n| a | b |\n[z](javascript:1) \x1b[31m\u202e"  # in a name


def test_markdown_of_what_no_command_above_writes(tmp_path: Path) -> None:
    against, ratio = Against(0.1, 0.01), Ratio(0.5, 0.1, 0.9, 1.0)
    line = Line("x", BARS, BARS, True, {"AP": 0.5}, {"AP": against}, {}, {"AP": ratio}, {BARS: 0.5}, {})
    table = Table(BARS, BARS, 3, BARS, True, ("AP",), {BARS: 3}, (line, line))
    supposed = Supposition(f"`probe` at L0, mean over {BARS}: held", BARS, None)
    weighing = Weighing((table,), (supposed,), 0, 1)
    side, change = Side(BARS, BARS, BARS, 3, 10), Change(BARS, 0.5, 0.25, None)
    changes = Changes(side, side, 3, 0, 0.05, {"AP": (change, change)}, (BARS,), (), {}, ((BARS, BARS, BARS),), (BARS,))
    bias = Bias(BARS, BARS, BARS, 3, BARS, {"AP": {BARS: (0.5, 0.25), "y": (0.1, 0.2)}})
    for name, found in (("weighing", weighing), ("changes", changes), ("bias", bias)):
        written = found.markdown()
        assert all(letter == "\n" or letter.isprintable() for letter in written), name
        (tmp_path / f"{name}.md").write_text(written, encoding="utf-8")
        assert "`probe`" in written or name != "weighing"
    assert check_tables(sorted(tmp_path.glob("*.md"))) == []


def test_a_twin_of_a_hostile_name_is_told_and_drawn(tmp_path: Path) -> None:
    ones = np.ones(3)
    twins = Twins(NAME + BARS, NAME + "$x^{$", FOLDER, 3, BARS, ones, ones, ones, ones, ())
    head, *lines = variation.text(twins, 2).splitlines()
    assert all(letter.isprintable() for letter in "".join([head, *lines]))
    assert len(lines) == 9
    for element in ElementTree.parse(variation.picture(twins, tmp_path / "v.svg")).iter():
        assert str(element.tag).rpartition("}")[2] not in ("script", "img", "foreignObject")


@pytest.mark.usefixtures("done")
def test_what_the_commands_wrote_holds_text_and_nothing_that_acts() -> None:
    here = Path.cwd()
    pages, tables = sorted(here.rglob("*.html")), sorted(path for path in here.rglob("*.md") if "indexes" not in path.parts)
    assert len(pages) >= 7
    assert len(tables) >= 3
    assert check_pages(pages) + check_tables(tables) == []
    for path in here.rglob("*.svg"):
        for element in ElementTree.parse(path).iter():
            assert str(element.tag).rpartition("}")[2] not in ("script", "img", "foreignObject"), path
            assert not [name for name in element.attrib if name.startswith("on")], path
    for path in here.rglob("*.tex"):
        bare = re.sub(r"\\[&%_#${}]|\\text\w+\{\}|\$[^$\n]*\$", "", path.read_text(encoding="utf-8"))
        assert not re.search(r"[$#%^~]|\\input", bare), path
    for path in here.rglob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert [cell for cell in cells if cell[:1] in ("=", "@", "\t", "\r")] == [], path
        assert [cell for cell in cells if re.match(r"[+-](?![\d.]|inf)", cell)] == [], path
    assert any("'=" in path.read_text(encoding="utf-8") for path in here.rglob("*.csv"))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome")
@pytest.mark.usefixtures("done")
def test_no_script_of_the_text_runs_in_a_browser(tmp_path: Path) -> None:
    pages = [path for path in sorted(Path.cwd().rglob("*.html")) if path.stat().st_size < 4 << 20]
    for path in [next(page for page in pages if page.name == name) for name in ("explain.html", "map.html", "report.html")]:
        command = headless(tmp_path / "profile", "--virtual-time-budget=2000", "--dump-dom", path.as_uri())
        shown = subprocess.run(command, capture_output=True, text=True, timeout=300)
        title = re.search(r"<title>(.*?)</title>", shown.stdout, re.DOTALL)
        assert title, path
        assert title[1] != "pwned", path
