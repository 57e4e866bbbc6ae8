"""`docs/input.md` row by row: the error or the counted warning, its message, and what was built before left as it was."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import STORIES, write_beir

from rarityir.cli import main

DOCS = Path(__file__).parents[2] / "docs" / "input.md"
ROWS = {
    cells[0].strip("`"): (cells[2], cells[3].strip("`"))
    for line in DOCS.read_text(encoding="utf-8").splitlines()
    if line.startswith("| `")
    for cells in [[cell.strip() for cell in line.strip("|").split(" | ")]]
}
GOOD = {f"d{i}": f"red ball number {i}" for i in range(1, 5)}
Files = dict[str, str | bytes | None]


def jsonl(records: dict[str, str]) -> str:
    return "".join(json.dumps({"_id": i, "text": text}) + "\n" for i, text in records.items())


def beir(folder: Path, files: Files) -> Path:
    """A BEIR folder of four documents and two queries, with some files written over, or removed (None)."""
    write_beir(
        folder,
        docs={i: ("", t) for i, t in GOOD.items()},
        queries={"q1": "red", "q2": "ball"},
        qrels={"q1": {"d1": 1}, "q2": {"d2": 1}},
    )
    return overwrite(folder, files)


def tsv(folder: Path, files: Files) -> Path:
    """The same as TSV files with TREC qrels."""
    folder.mkdir()
    plain = {"docs.tsv": "".join(f"{i}\t{t}\n" for i, t in GOOD.items()), "queries.tsv": "q1\tred\nq2\tball\n"}
    return overwrite(folder, {**plain, "qrels.txt": "q1 0 d1 1\nq2 0 d2 1\n", **files})


def overwrite(folder: Path, files: Files) -> Path:
    for name, content in files.items():
        if content is None:
            (folder / name).unlink(missing_ok=True)
        else:
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def in_beir(files: Files, *, split: str = "") -> Callable[[Path], list[str]]:
    return lambda here: ["index", "bm25", "--dataset", f"{beir(here / 'bad', files)}{split}"]


def in_tsv(files: Files, *, split: str = "") -> Callable[[Path], list[str]]:
    return lambda here: ["index", "bm25", "--dataset", f"{tsv(here / 'bad', files)}{split}"]


def on_good(*argv: str) -> Callable[[Path], list[str]]:
    return lambda here: [*argv, "--dataset", str(here.parent / "good")]


def experiment(text: str) -> Callable[[Path], list[str]]:
    def argv(here: Path) -> list[str]:
        (here / "some.toml").write_text(text)
        return ["eval", "--experiment", str(here / "some.toml"), "--dataset", str(here.parent / "good")]

    return argv


def run(*lines: str, dataset: bool = True) -> Callable[[Path], list[str]]:
    def argv(here: Path) -> list[str]:
        (here / "runs").mkdir()
        (here / "runs" / "other.trec").write_text("".join(f"{line}\n" for line in lines))
        return ["report", str(here), *(["--dataset", str(here.parent / "good")] if dataset else [])]

    return argv


def corpus(*lines: str) -> Files:
    return {"corpus.jsonl": "".join(f"{line}\n" for line in (jsonl({"d1": "red", "d2": "ball"}).strip(), *lines))}


def queries(*lines: str) -> Files:
    return {"queries.jsonl": "".join(f"{line}\n" for line in (jsonl({"q1": "red", "q2": "ball"}).strip(), *lines))}


BARE = "q1\td1\t0\nq2\td2\t-1\n"  # judged, and nothing is relevant
# id → (what to run, what the message must name: the file with its line, or the name)
ERRORS: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "unknown-dataset": (lambda _: ["index", "bm25", "--dataset", "scifcat"], "'scifcat'; did you mean scifact"),
    "file-for-folder": (
        lambda here: ["index", "bm25", "--dataset", str(here.parent / "good" / "corpus.jsonl")],
        "/good/corpus.jsonl is a file; a dataset is a folder: give ",
    ),
    "no-corpus": (in_beir({"corpus.jsonl": None}), "/bad holds neither"),
    "no-queries": (in_beir({"queries.jsonl": None}), "/bad holds"),
    "no-qrels": (in_beir({"qrels/test.tsv": None}), "/bad has no qrels/test.tsv"),
    "no-split": (in_beir({}, split=":dev"), "/bad has no qrels/dev.tsv; splits there: test"),
    "tsv-no-queries": (in_tsv({"qrels.txt": None}), "/bad needs"),
    "tsv-split": (in_tsv({}, split=":dev"), "dev"),
    "bad-json": (in_beir(corpus('{"_id": "d3", "text": "no end')), "/bad/corpus.jsonl:3:"),
    "not-an-object": (in_beir(corpus('["d3", "text"]')), "/bad/corpus.jsonl:3:"),
    "missing-field": (in_beir(corpus('{"_id": "d3", "title": "no text"}')), "/bad/corpus.jsonl:3:"),
    "missing-query-field": (in_beir(queries('{"_id": "q3"}')), "/bad/queries.jsonl:3:"),
    "field-not-text": (in_beir(corpus('{"_id": "d3", "text": ["a", "b"]}')), "/bad/corpus.jsonl:3:"),
    "half-character": (in_beir(corpus('{"_id": "d3", "text": "half \\ud83d"}')), "/bad/corpus.jsonl:3:"),
    "half-character-in-query": (in_beir({"queries.jsonl": jsonl({"q1": "red", "q2": "half \ud83d"})}), "/bad/queries.jsonl:2:"),
    "duplicate-doc-id": (in_beir(corpus('{"_id": "d1", "text": "again"}')), "'d1' (documents 1 and 3)"),
    "duplicate-query-id": (in_beir(queries('{"_id": "q1", "text": "again"}')), "/bad/queries.jsonl:3: duplicate query_id 'q1'"),
    "white-space-id": (in_beir(corpus('{"_id": "d 3", "text": "red"}')), "/bad/corpus.jsonl:3: id 'd 3'"),
    "white-space-query-id": (in_beir(queries('{"_id": "q\\u00a03", "text": "red"}')), "/bad/queries.jsonl:3: id"),
    "broken-utf8": (in_beir({"corpus.jsonl": b'{"_id": "d1", "text": "caf\xe9"}\n'}), "/bad/corpus.jsonl:1: byte 26"),
    "not-gzip": (in_beir({"corpus.jsonl": None, "corpus.jsonl.gz": jsonl(GOOD)}), "/bad/corpus.jsonl.gz"),
    "cut-gzip": (
        in_beir({"corpus.jsonl": None, "corpus.jsonl.gz": gzip.compress(jsonl(GOOD).encode())[:-12]}),
        "/bad/corpus.jsonl.gz",
    ),
    "beir-qrels-columns": (in_beir({"qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\td1\n"}), "/bad/qrels/test.tsv:2: 2 col"),
    "trec-qrels-columns": (in_tsv({"qrels.txt": "q1 0 d1 1\nq2 d2 1\n"}), "/bad/qrels.txt:2: 3 columns"),
    "relevance": (in_beir({"qrels/test.tsv": "q1\td1\t1\nq1\td2\t0.5\n"}), "/bad/qrels/test.tsv:2: relevance '0.5'"),
    "no-judgments": (in_beir({"qrels/test.tsv": "query-id\tcorpus-id\tscore\n"}), "/bad/qrels/test.tsv"),
    "no-tab": (in_tsv({"docs.tsv": "d1\tred\nd2 ball\n"}), "/bad/docs.tsv:2:"),
    "no-documents": (in_beir({"corpus.jsonl": "\n"}), "bad/test"),
    "no-judged-query": (in_beir({"qrels/test.tsv": "1\td1\t1\n"}), "/bad:test"),
    "no-relevant": (
        lambda here: ["eval", "--systems", "bm25", "--dataset", str(beir(here / "bad", {"qrels/test.tsv": BARE}))],
        "bad/test: no query",
    ),
    "unknown-system": (on_good("index", "bm52"), "'bm52'; did you mean bm25"),
    "unknown-filter": (on_good("index", "dense+egde:2"), "'egde'; did you mean edge"),
    "filtered-bm25": (on_good("index", "bm25+edge:2"), "'bm25+edge:2'"),
    "unbalanced": (on_good("eval", "--systems", "rrf(bm25,dense"), "'rrf(bm25,dense'"),
    "unknown-measure": (on_good("eval", "--systems", "bm25", "--measures", "nDGC@10"), "'nDGC@10'"),
    "unknown-encoder": (on_good("eval", "--systems", "dense", "--encoder", "qwen2.5-0.6b"), "did you mean qwen2.5-0.5b"),
    "not-a-model": (lambda here: on_good("eval", "--systems", "dense", "--encoder", str(here))(here), " has no config.json"),
    "unknown-pooling": (on_good("eval", "--systems", "dense", "--pooling", "maen"), "'maen'; did you mean mean"),
    "unknown-dtype": (on_good("eval", "--systems", "dense", "--dtype", "int8"), "'int8'"),
    "unknown-device": (on_good("encode", "--encoder", str(STORIES), "--device", "nonsense"), "nonsense"),
    "negative-length": (on_good("encode", "--encoder", str(STORIES), "--max-length", "-3"), "-3"),
    "baseline": (on_good("eval", "--systems", "bm25", "--baseline", "dense"), "'dense' is not among the systems"),
    "cutoff": (on_good("eval", "--systems", "bm25", "--cutoff", "0"), "cutoff is 0"),
    "seed": (on_good("eval", "--systems", "bm25", "--seed", "-1"), "seed is -1"),
    "no-measures": (on_good("eval", "--systems", "bm25", "--measures", ""), "measure"),
    "negative-batch": (on_good("encode", "--encoder", str(STORIES), "--batch-tokens", "-5"), "batch_tokens is -5"),
    "filter-of-documents": (lambda here: ["filter", "fit", str(STORIES), "whiten:4", "--out", "f"], "--dataset"),
    "no-filter": (lambda here: ["filter", "apply", "nowhere", "emb", "--out", "f"], "nowhere holds no whole filter"),
    "no-experiment": (on_good("eval", "--experiment", "nowhere.toml"), "nowhere.toml"),
    "bad-toml": (experiment('systems = ["bm25"'), "/some.toml"),
    "unknown-key": (experiment('sistems = ["bm25"]'), "/some.toml: unknown key 'sistems'"),
    "not-a-list": (experiment('measures = "nDCG@10"'), "/some.toml: measures"),
    "number-for-list": (experiment("systems = 3"), "/some.toml: systems"),
    "wrong-type": (experiment('seed = "a"'), "/some.toml: seed"),
    "number-for-name": (experiment("pooling = 3"), "/some.toml: pooling"),
    "no-runs": (lambda here: ["report", str(here)], "holds no runs"),
    "run-columns": (run("q1 Q0 d1 1 2.5 tag", "q1 Q0 d2 2 1.5"), "/runs/other.trec:2: 5 columns"),
    "run-score": (run("q1 Q0 d1 1 high tag"), "/runs/other.trec:1: rank '1' or score 'high'"),
    "run-duplicate": (run("q1 Q0 d1 1 2 tag", "q1 Q0 d1 2 1 tag"), "/runs/other.trec:2: document 'd1'"),
    "run-dataset": (run("q1 Q0 d1 1 2 tag", dataset=False), "/runs do not say"),
}  # fmt: skip

_BLANK = jsonl({**GOOD, "d2": " ", "d4": ""})
BARE = "q1\td1\t0\nq2\td2\t-1\n"  # judged, and nothing is relevant
# id → (what to run, the whole warning)
WARNINGS: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "empty-text": (in_beir({"corpus.jsonl": _BLANK}), "2 of 4 documents are empty: they are kept as rows"),
    "absent-doc-id": (
        lambda here: [
            "eval", "--systems", "bm25", "--measures", "RR@10", "--dataset",
            str(beir(here / "bad", {"qrels/test.tsv": "q1\td1\t1\nq1\tx9\t1\nq2\tx8\t1\nq2\tx9\t0\n"})),
        ],
        "2 judged doc_ids are not in the corpus (first: x8): they cannot be found",
    ),
    "query-without-judgments": (
        in_beir({"queries.jsonl": jsonl({"q1": "red", "q2": "ball", "q3": "a", "q4": "b", "q5": "c"})}),
        "3 queries without judgments in {here}/bad:test: left out of the evaluation",
    ),
    "query-without-relevant": (
        in_beir(
            {
                "queries.jsonl": jsonl({"q1": "red", "q2": "ball", "q3": "a"}),
                "qrels/test.tsv": "q1\td1\t1\nq1\td2\t0\nq2\td1\t0\nq2\td2\t-1\nq3\td1\t0\n",
            }
        ),
        "2 queries without a relevant document in {here}/bad:test: every measure of it is 0",
    ),
    "judged-query-without-text": (
        in_beir({"qrels/test.tsv": "q1\td1\t1\nq8\td1\t1\nq9\td1\t1\nq2\td2\t1\n"}),
        "2 judged queries without a text in {here}/bad:test: left out",
    ),
    "empty-query": (
        in_beir({"queries.jsonl": jsonl({"q1": "", "q2": " \t"})}),
        "2 empty queries: nothing useful can be found for it",
    ),
}  # fmt: skip


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def matches(pattern: str, message: str) -> bool:
    return re.fullmatch(".+".join(map(re.escape, re.split("…", pattern))).replace(".+", ".*"), message) is not None


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A folder with a good dataset and indexes over it, and every byte of them."""
    root = tmp_path_factory.mktemp("built")
    beir(root / "good", {})
    assert main(["index", "bm25", "--dataset", str(root / "good"), "--indexes", str(root / "indexes")]) == 0
    before = snapshot(root / "indexes")
    assert sum(name.endswith("manifest.json") for name in before) == 2
    return root, before


@pytest.fixture(scope="module")
def encoded(built) -> tuple[Path, Path]:
    """The good dataset and a folder that holds its embeddings."""
    good, indexes = built[0] / "good", built[0] / "encoded"
    assert main(["encode", "--dataset", str(good), "--encoder", str(STORIES), "--indexes", str(indexes)]) == 0
    return good, indexes


@pytest.fixture
def here(built, request, monkeypatch) -> Path:
    """A folder of the test's own beside the good dataset; relative paths go there."""
    path = built[0] / re.sub(r"\W", "-", request.node.name)
    path.mkdir()
    monkeypatch.chdir(path)
    return path


def perform(argv: list[str], root: Path) -> int:
    return main(argv if argv[0] == "report" or argv[:2] == ["filter", "apply"] else [*argv, "--indexes", str(root / "indexes")])


def test_every_row_of_the_table_has_a_test_and_every_test_a_row():
    assert sorted(ROWS) == sorted([*ERRORS, *WARNINGS])
    assert {row for row, (what, _) in ROWS.items() if what == "error, exit 1"} == set(ERRORS)
    assert {row for row, (what, _) in ROWS.items() if what == "counted warning"} == set(WARNINGS)


def test_every_id_stands_in_one_row_and_no_row_is_passed_over():
    ids = re.findall(r"^\| `([a-z0-9-]+)` \|", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(ids) == len(set(ids)) == len(ROWS)


@pytest.mark.parametrize("row", ERRORS)
def test_an_error_is_one_line_that_names_its_place_and_leaves_what_was_built(built, here, capsys, row):
    root, before = built
    make, named = ERRORS[row]
    argv = make(here)
    there = set(snapshot(root / "indexes"))
    capsys.readouterr()
    assert perform(argv, root) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("\n")
    [line] = err.splitlines()
    assert line.startswith("rarityir: ")
    assert "Traceback" not in line
    assert named in line
    assert matches(ROWS[row][1], line.removeprefix("rarityir: ")), f"docs/input.md says {ROWS[row][1]!r}, it was {line!r}"
    after = snapshot(root / "indexes")
    assert {name: after.get(name) for name in before} == before
    assert not [name for name in after.keys() - there if name.endswith("manifest.json")], "nothing broken is called complete"


def test_what_cannot_be_measured_can_be_searched_and_its_runs_are_measured_by_other_qrels(here, capsys):
    """As shared tasks hand out collections before they are judged."""
    folder = beir(here / "unjudged", {"qrels/test.tsv": BARE})
    assert main(["search", "bm25", "--dataset", str(folder), "--out", "runs/bm25.trec"]) == 0
    assert main(["report", ".", "--dataset", str(folder)]) == 1
    assert "no query has a relevant document" in capsys.readouterr().err.splitlines()[-1]
    assert main(["report", ".", "--dataset", str(here.parent / "good"), "--measures", "RR@10"]) == 0


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta", "hpu"])
@pytest.mark.parametrize("command", [["encode"], ["index", "dense"], ["eval", "--systems", "dense"]])
def test_a_device_that_is_not_there_is_told_of_before_what_was_built_is_called_another_encoders(
    encoded, here, capsys, command, device
):
    common = ["--dataset", str(encoded[0]), "--encoder", str(STORIES), "--indexes", str(encoded[1]), "--device", device]
    assert main([*command, *common]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"rarityir: device '{device}' cannot be used (")


@pytest.mark.parametrize("row", WARNINGS)
def test_a_warning_counts_what_is_left_out_and_the_work_goes_on(built, here, capsys, row):
    root, before = built
    make, expected = WARNINGS[row]
    argv = make(here)
    capsys.readouterr()
    assert perform(argv, root) == 0
    out, err = capsys.readouterr()
    assert out
    lines = err.splitlines()
    if argv[0] == "eval":
        assert lines.pop().endswith(": report.html, report.md, runs")  # where the results are
    assert lines == [expected.format(here=here)]
    assert matches(ROWS[row][1], lines[0])
    after = snapshot(root / "indexes")
    assert {name: after.get(name) for name in before} == before


def test_good_input_gives_no_warning_at_all(built, here, capsys):
    for number, made in enumerate((beir, tsv)):
        assert perform(["index", "bm25", "--dataset", str(made(here / f"good{number}", {}))], built[0]) == 0
    assert capsys.readouterr().err == ""


def test_a_warning_about_one_thing_speaks_of_one(built, here, capsys):
    folder = beir(here / "one", {"queries.jsonl": jsonl({"q1": "red", "q2": "", "q3": "left out"})})
    assert perform(["index", "bm25", "--dataset", str(folder)], built[0]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "1 empty query: nothing useful can be found for it",
        f"1 query without judgments in {folder}:test: left out of the evaluation",
    ]


def test_warnings_can_be_silenced_and_errors_cannot(built, here, capsys):
    make, _ = WARNINGS["empty-query"]
    assert perform(["--quiet", *make(here)], built[0]) == 0
    assert capsys.readouterr().err == ""
    assert perform(["--quiet", "index", "bm52"], built[0]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_corpus_that_breaks_after_it_was_indexed_is_refused_and_its_index_stays(built, here, capsys):
    folder, indexes = beir(here / "breaks", {}), here / "own"
    argv = ["index", "bm25", "--dataset", str(folder), "--indexes", str(indexes)]
    assert main(argv) == 0
    before = snapshot(indexes)
    overwrite(folder, corpus("not json"))
    capsys.readouterr()
    assert main(argv) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "was built with sha256" in line
    assert snapshot(indexes) == before


def test_a_corpus_put_right_after_an_error_is_indexed_as_if_nothing_had_been(built, here, capsys):
    folder = beir(here / "mended", corpus("not json"))
    argv = ["index", "bm25", "--dataset", str(folder)]
    assert perform(argv, built[0]) == 1
    beir(folder, {})
    assert perform(argv, built[0]) == 0
    [made] = (built[0] / "indexes").glob("mended@*")
    assert (made / "documents" / "doc_ids.txt").read_text().split() == list(GOOD)
    assert capsys.readouterr().err.count("\n") == 1
