"""`align` and `explain` as a user meets them: what they print, in which form, and what they refuse."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny import STORIES_DOCS

from rarityir.cli import main
from rarityir.encoders import load_encoder
from rarityir.filters import EmbedFilter
from rarityir.report.page import BEGINNING
from rarityir.tokens import TokenLens

ROOT = Path(__file__).parents[1]
TEXT = "The cat looked at the red ball"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test works in an empty folder, all with a cache of their own, and leaves logging as it was."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "reading"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    root, own = logging.getLogger(), logging.getLogger("rarityir")
    before = (root.handlers[:], root.level, own.level)
    yield
    root.handlers[:], root.level, own.level = before


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    """Runs a command that must succeed, and returns its standard output."""

    def run(*argv: str) -> str:
        assert main(list(argv)) == 0, capsys.readouterr().err
        out, err = capsys.readouterr()
        assert not [line for line in err.splitlines() if not line.endswith("they are kept as rows")]
        return out

    return run


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch):
    """Makes standard output a terminal of so many columns."""

    def terminal(columns: int) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        monkeypatch.setenv("COLUMNS", str(columns))

    return terminal


def marked(out: str, column: int) -> list[tuple[str, str]]:
    """Tokens and marks of a column of a printed table of readings."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in out.splitlines() if re.match(r"\s*\d+\s{2}", line)]
    cells = [row[1 + 2 * column].split(" ") for row in rows]
    return [(cell[0], cell[1] if len(cell) > 1 else "") for cell in cells]


def test_align_prints_the_lens_before_and_after_a_filter_with_marks(run, stories):
    out = run("align", TEXT, "--encoder", stories, "--filter", "edge:2", "--k", "6")
    encoder = load_encoder(stories)
    x = encoder.encode_document([TEXT])
    edge = EmbedFilter.fit(encoder.unembedding(), "edge:2")
    (raw,), (after,) = (TokenLens(encoder, way).tokens(x, 6) for way in (None, edge))
    own = {(encoder.tokens()[i] or "").strip().lower() for i in encoder.tokenize([TEXT])[0]}
    assert marked(out, 0) == [(t, "*" * (t in own) + "-" * (t not in after)) for t in raw]
    assert marked(out, 1) == [(t, "*" * (t in own) + "+" * (t not in raw)) for t in after]
    assert set("".join(mark for _, mark in marked(out, 0) + marked(out, 1))) == {"*", "-", "+"}
    assert f"in the text itself: {sum(t in own for t in raw)} of 6 raw, {sum(t in own for t in after)} of 6 edge:2" in out
    assert out.splitlines()[-1] == "* in the text itself   - not in the next reading   + not in the one before"
    assert "\x1b" not in out


def test_align_without_a_filter_explains_only_the_mark_it_uses(run, stories):
    assert run("align", TEXT, "--encoder", stories).splitlines()[-1] == "* in the text itself"


def test_align_as_json_has_every_text_and_weight(run, stories):
    out = run("align", TEXT, "sand", "--encoder", stories, "--weighting", "softmax", "--k", "3", "--json")
    found = json.loads(out)
    assert (found["encoder"], found["weighting"], found["k"], found["filter"]) == ("stories260K", "softmax", 3, "")
    assert [reading["text"] for reading in found["readings"]] == [TEXT, "sand"]
    encoder = load_encoder(stories)
    wanted = TokenLens(encoder, weighting="softmax").align(encoder.encode_document([TEXT, "sand"]), 3).values
    weights = [w["weight"] for reading in found["readings"] for w in reading["columns"][0]["words"]]
    assert weights == pytest.approx(wanted.tolist(), abs=1e-6)


def test_align_reads_lines_of_standard_input(run, stories, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("a réd ball\n\n  \ntwo dogs\n".encode())))
    found = json.loads(run("align", "first", "-", "--encoder", stories, "--json"))
    assert [reading["text"] for reading in found["readings"]] == ["first", "a réd ball", "two dogs"]


def test_align_splits_logits_by_the_documents_first_component(run, beir, stories):
    out = run("align", TEXT, "--encoder", stories, "--dataset", str(beir), "--filter", "edge:2", "--split", "--json")
    raw, after = json.loads(out)["readings"][0]["columns"]
    for word in raw["words"] + after["words"]:
        assert word["first"] + word["rest"] == pytest.approx(word["logit"])
    encoder = load_encoder(stories)
    texts = [" ".join(filter(None, pair)) for pair in STORIES_DOCS.values()]
    direction = np.linalg.svd(encoder.encode_document(texts).astype(np.float64), full_matrices=False)[2][0]
    along_V = encoder.unembedding() @ direction * (encoder.encode_document([TEXT])[0] @ direction)
    forms = [(form or "").strip().lower() for form in encoder.tokens()]
    for word in raw["words"]:
        parts = [along_V[i] for i, form in enumerate(forms) if form == word["token"]]
        assert min(abs(part - word["first"]) for part in parts) < 1e-3
    text = run("align", TEXT, "--encoder", stories, "--dataset", str(beir), "--split", "--k", "4")
    head = next(line for line in text.splitlines() if "logit" in line)
    assert head.split("  ")[-1].strip() == "the rest"
    rows = [line.split() for line in text.splitlines() if re.match(r"\s*\d+\s{2}", line)]
    assert len(rows) == 4
    for row in rows:
        logit, first, rest = map(float, row[-3:])
        assert first + rest == pytest.approx(logit, abs=0.002)


def test_align_shows_an_instruction_side_by_side(run, stories):
    out = run("align", TEXT, "--encoder", stories, "--filter", "edge:2", "--instruction", "A colour:", "--k", "3")
    assert re.search(r"raw +weight +edge:2 +weight +edge:2, instructed +weight", out)
    assert "instruction 'A colour:'" in out
    plain = run("align", TEXT, "--encoder", stories, "--filter", "edge:2", "--k", "3")
    assert [t for t, _ in marked(out, 1)] == [t for t, _ in marked(plain, 1)]


def test_align_takes_a_filter_fitted_on_a_datasets_documents_and_a_saved_one(run, beir, stories):
    direct = run("align", TEXT, "--encoder", stories, "--dataset", str(beir), "--filter", "center+tail:2", "--json")
    run("filter", "fit", stories, "center+tail:2", "--dataset", str(beir), "--out", "saved")
    saved = run("align", TEXT, "--encoder", stories, "--filter", "./saved", "--json")
    one, two = (json.loads(out)["readings"][0]["columns"][1]["words"] for out in (direct, saved))
    assert one == two


def test_colour_is_for_terminals_and_says_nothing_that_marks_do_not(run, stories, terminal, monkeypatch):
    argv = ("align", TEXT, "--encoder", stories, "--filter", "edge:2")
    plain = run(*argv)
    terminal(200)
    coloured = run(*argv)
    assert "\x1b[1;38;5;33m" in coloured
    assert "\x1b[38;5;166m" in coloured
    strip = [line.rstrip() for line in COLOUR.sub("", coloured).splitlines()]
    assert strip == plain.splitlines()
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        with monkeypatch.context() as patched:
            patched.setenv(name, value)
            assert run(*argv) == plain


def test_a_narrow_terminal_is_not_overrun(run, stories, terminal):
    terminal(60)
    for argv in (("align", TEXT * 5, "--filter", "edge:2"), ("explain", TEXT, TEXT * 20, "--instruction", "Say so:")):
        out = COLOUR.sub("", run(*argv, "--encoder", stories))
        assert max(map(len, out.splitlines())) <= 60


def test_explain_prints_products_that_sum_to_the_score(run, stories):
    document = " ".join(STORIES_DOCS["d1"])
    out = run("explain", TEXT, document, "--encoder", stories, "--system", "sparse:64,query=both:16+edge:2")
    total = float(re.search(r"sparse score (\d+\.\d+), the sum of", out)[1])
    rows = [line.split() for line in out.splitlines() if re.search(r"\b(both|query|document|neither) +\d", line)]
    assert sum(float(row[-1]) for row in rows) == pytest.approx(total, abs=1e-4 * len(rows))
    assert all(float(row[-3]) * float(row[-2]) == pytest.approx(float(row[-1]), abs=2e-4) for row in rows)
    assert f"the sum of {len(rows)} tokens" in out
    assert len(rows) > 1
    assert re.search(r"stories260K: cosine 0\.\d{4} raw, 0\.\d{4} with edge:2; Jaccard@10 0\.\d\d raw, 0\.\d\d with edge:2", out)


def test_explain_takes_ids_of_a_dataset_and_says_the_rank(run, beir, stories):
    argv = (
        "explain",
        "q1",
        "d6",
        "--dataset",
        str(beir),
        "--encoder",
        stories,
        "--system",
        "sparse:32,query=both:8,weights=idf+edge:2",
    )
    out = run(*argv)
    found = json.loads(run(*argv, "--json"))
    assert out.startswith("sparse:32,query=both:8,weights=idf+edge:2, stories260K: query q1, document d6 of tiny/test, rank ")
    assert f"rank {found['rank']} of 6\n" in out
    assert found["query"] == "red ball"
    assert sum(t["product"] for t in found["score"]["terms"]) == pytest.approx(found["score"]["total"], abs=1e-6)


def test_explain_against_another_encoder_and_with_an_instruction(run, stories):
    out = run(
        "explain", TEXT, "sand", "--encoder", stories, "--system", "dense+edge:2", "--against", "demo", "--instruction", "Say:"
    )
    assert "sparse score" not in out
    assert re.search(r"cosine, edge:2 +-?0\.\d{4} +-?0\.\d{4}\n", out)
    for line in (
        "shared by both encoders: ",
        "shared by stories260K alone: ",
        "shared by demo alone: ",
        "demo reads the query as: ",
    ):
        assert f"\n{line}" in out
    without, with_, change = re.search(r"cosine, edge:2 +(\S+) +(\S+) +([+−]\S+)", out).groups()
    assert float(with_) - float(without) == pytest.approx(float(change.replace("−", "-")), abs=2e-4)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["explain", "q7", "d1", "--dataset", "{beir}"], "unknown query_id 'q7' in tiny/test; did you mean q"),
        (["explain", "q1", "d99", "--dataset", "{beir}"], "unknown doc_id 'd99' in tiny/test; the first are d1, d2"),
        (["explain", "a", "b", "--system", "bm25"], "bm25 reads no embeddings"),
        (["explain", "a", "b", "--system", "rrf(bm25,dense)"], "is a fusion"),
        (["explain", "a", "b", "--system", "sparse:8,weights=idf"], "weights=idf counts documents"),
        (["explain", "a", "b", "--against", "no/such-model"], "no/such-model"),
        (["explain", "a", "b\udcff"], "is not UTF-8"),
        (["align", "a", "--weighting", "mnus-mean"], "did you mean minus-mean"),
        (["align", "a", "--filter", "whiten:4"], "documents' embeddings"),
        (["align", "a", "--filter", "hedge:2"], "unknown filter 'hedge'"),
        (["align", "a\udcff"], "is not UTF-8"),
        (["align", "a", "--html", "mine.txt"], "mine.txt is there and is no page of this command"),
        (["explain", "a", "b", "--html", "mine.txt"], "mine.txt is there and is no page of this command"),
    ],
)
def test_what_a_user_can_put_right_is_one_line(argv, words, beir, stories, capsys):
    Path("mine.txt").write_text("precious")
    assert main([*(word.format(beir=beir) for word in argv), "--encoder", stories]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("rarityir: ")
    assert words in line
    assert Path("mine.txt").read_text() == "precious"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["align"], "TEXT is missing"),
        (["align", "a", "--split"], "--split needs --dataset"),
        (["align", "a", "--k", "0"], "--k"),
        (["align", "a", "--html", "."], "is a folder"),
        (["explain", "a"], "DOC"),
    ],
)
def test_wrong_usage_exits_with_two(argv, words, capsys):
    assert main(argv) == 2
    assert words in capsys.readouterr().err


def test_standard_input_that_is_no_text_is_one_line(stories, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"good\n\xff\xfe")))
    assert main(["align", "-", "--encoder", stories]) == 1
    assert capsys.readouterr().err == "rarityir: standard input is not UTF-8 at byte 5; convert it first\n"


def test_a_page_is_written_whole_and_an_earlier_one_replaced(run, stories):
    for argv in (("align", TEXT), ("explain", TEXT, "sand")):
        run(*argv, "--encoder", stories, "--html", "new/page.html")
        page = Path("new/page.html").read_text()
        assert page.startswith(BEGINNING)
        assert page.endswith("</html>\n")
    assert "Why this document" in page
    assert [path.name for path in Path("new").iterdir()] == ["page.html"]


def test_hostile_text_reaches_a_terminal_as_escapes(run, stories, terminal):
    hostile = "[bold]x[/bold] \x1b[31mred\x1b[0m \u202eevil \x9b2J ball \x07"
    terminal(200)
    for argv in (
        ("align", hostile),
        ("explain", hostile, hostile),
        ("align", hostile, "--json"),
        ("explain", hostile, "a", "--json"),
    ):
        out = run(*argv, "--encoder", stories, "--instruction", hostile)
        assert COLOUR.sub("", out).replace("\n", "").isprintable()
        assert "\x1b[31m" not in out
        assert "[bold]x[/bold]" in out
        assert "\\u202e" in out


PAGE = (ROOT / "docs" / "understanding.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```console\n\$ rarityir (.*?)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
INDEXES = os.environ.get("RARITYIR_TEST_INDEXES")  # a folder with what was built over Cranfield, which takes a while


@pytest.mark.parametrize(("command", "said"), BLOCKS, ids=[command.split()[0] for command, _ in BLOCKS])
def test_a_command_of_the_page_prints_what_the_page_says(run, command, said):
    argv = shlex.split(command)
    if "--dataset" in argv:
        if not INDEXES:
            pytest.skip("RARITYIR_TEST_INDEXES names no folder of built indexes")
        argv += ["--indexes", INDEXES]
    out = run(*argv)
    figure = re.compile(r"[−+-]?\b\d+\.\d+")
    assert " ".join(figure.sub("#", out).split()) == " ".join(figure.sub("#", said).split())
    one, other = ([float(found.replace("−", "-")) for found in figure.findall(text)] for text in (out, said))
    assert one == pytest.approx(other, abs=0.005)


def test_the_page_has_examples_of_both_commands_and_its_python_runs(capsys):
    assert {command.split()[0] for command, _ in BLOCKS} == {"align", "explain"}
    assert sum("--dataset" not in command for command, _ in BLOCKS) >= 3
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    exec(compile(block, "understanding.md", "exec"), {})
    assert capsys.readouterr().out
