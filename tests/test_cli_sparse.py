"""`rarityir sparse`: vectors in, runs out, as a user meets it; what is wrong is one line and leaves what was built."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from rarityir import vectors
from rarityir.cli import main
from rarityir.runs import read_run

REAL = Path(__file__).parent / "vectors"


pytestmark = pytest.mark.usefixtures("elsewhere")


def topics(name: str) -> dict[str, Counter[str]]:
    """A file of repeated terms, read here: query_id → term → how often."""
    names: dict[str, int] = {}
    vectors.write_repeated("plain.tsv", vectors.topics(REAL / name, names), list(names))
    pairs = (line.split("\t") for line in Path("plain.tsv").read_text().splitlines())
    return {query_id: Counter(terms.split()) for query_id, terms in pairs}


def documents(path: str = "docs.jsonl", more: int = 40) -> dict[str, dict[str, int]]:
    """Documents of real SPLADE terms: the topics themselves, and mixtures of two of them."""
    real = list(topics("dl19.splade-v3.tsv.gz").values())
    docs = {f"q{i}": dict(vector) for i, vector in enumerate(real)}
    for i in range(more):
        one, other = list(real[i % 8].items()), list(real[(i * 3 + 1) % 8].items())
        docs[f"m{i}"] = dict([*one[i % 5 :: 2], *other[i % 3 :: 3]])
    Path(path).write_text("".join(json.dumps({"id": i, "contents": "", "vector": v}) + "\n" for i, v in docs.items()))
    return docs


def by_dictionaries(docs: dict[str, dict[str, int]], query: Counter[str], cutoff: int) -> list[tuple[str, float]]:
    """Whole weights: every sum is exact, and equal ones rank the earlier document first."""
    sums = {doc_id: float(sum(weight * query[term] for term, weight in doc.items())) for doc_id, doc in docs.items()}
    return sorted(((doc_id, s) for doc_id, s in sums.items() if s), key=lambda hit: -hit[1])[:cutoff]


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> dict:
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_real_splade_queries_find_what_dictionaries_find(capsys) -> None:
    docs = documents()
    built = run(capsys, "sparse", "build", "docs.jsonl", "index")
    assert (built["folder"], built["documents"], built["postings"]) == ("index", 48, sum(map(len, docs.values())))
    queries = str(REAL / "dl19.splade-v3.tsv.gz")
    facts = run(capsys, "sparse", "search", "index", queries, "--out", "runs/s.trec", "--cutoff", "30", "--tag", "splade-v3")
    assert facts["queries"] == 8
    assert facts["unknown_tokens"] == 0
    found = read_run("runs/s.trec")
    assert found.name == "splade-v3"
    for query_id, query in topics("dl19.splade-v3.tsv.gz").items():
        expected = by_dictionaries(docs, query, 30)
        assert [doc_id for doc_id, _ in found[query_id]] == [doc_id for doc_id, _ in expected]
        assert [score for _, score in found[query_id]] == pytest.approx([score for _, score in expected], rel=1e-5)
    provenance = json.loads(Path("runs/s.json").read_text())
    assert (provenance["index"], provenance["topics"], provenance["cutoff"]) == ("index", queries, 30)


def test_queries_of_another_model_say_how_many_tokens_no_document_has(capsys) -> None:
    docs = documents()
    main(["sparse", "build", "docs.jsonl", "index"])
    capsys.readouterr()
    queries = topics("dl19.unicoil.tsv")
    known = {term for doc in docs.values() for term in doc}
    tokens, lost = sum(map(len, queries.values())), sum(term not in known for query in queries.values() for term in query)
    assert 0 < lost < tokens
    assert main(["sparse", "search", "index", str(REAL / "dl19.unicoil.tsv"), "--out", "u.trec", "--threads", "1"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"u.trec: {len(read_run('u.trec').rows)} documents for 3 queries in ")
    assert err == f"{lost} of {tokens} query tokens are in no document: they can match nothing\n"
    for query_id, query in queries.items():
        assert [doc_id for doc_id, _ in read_run("u.trec")[query_id]] == [i for i, _ in by_dictionaries(docs, query, 1000)]


def test_parts_merged_answer_as_the_whole(capsys) -> None:
    documents()
    lines = Path("docs.jsonl").read_text().splitlines(keepends=True)
    for name, part in (("a", lines[:11]), ("b", lines[11:30]), ("c", lines[30:])):
        Path(f"{name}.jsonl").write_text("".join(part))
        assert main(["sparse", "build", f"{name}.jsonl", name]) == 0
    assert main(["sparse", "build", "docs.jsonl", "whole"]) == 0
    capsys.readouterr()
    assert main(["sparse", "merge", "a", "b", "c", "--out", "merged"]) == 0
    assert capsys.readouterr().out.startswith("merged: 48 documents, ")
    for name in ("whole", "merged"):
        main(["sparse", "search", name, str(REAL / "dl19.splade-v3.tsv.gz"), "--out", f"{name}.trec", "--tag", "t"])
    assert Path("whole.trec").read_bytes() == Path("merged.trec").read_bytes()


def test_statistics_count_what_was_written(capsys) -> None:
    docs = documents()
    main(["sparse", "build", "docs.jsonl", "index"])
    capsys.readouterr()
    counts = Counter(term for doc in docs.values() for term in doc)
    facts = run(capsys, "sparse", "stats", "index", "--top", "3")
    assert (facts["documents"], facts["vocabulary"], facts["postings"]) == (48, len(counts), counts.total())
    assert list(facts["frequent"].values()) == sorted(counts.values(), reverse=True)[:3]
    assert all(counts[term] == count for term, count in facts["frequent"].items())
    assert main(["sparse", "stats", "index", "--top", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "             documents  48" in lines
    assert not [line for line in lines if "'" in line]


@pytest.mark.parametrize("kind", ["anserini", "elasticsearch", "milvus", "opensearch", "qdrant", "vespa"])
def test_every_kind_is_exported_and_says_what_it_lost(kind, capsys) -> None:
    documents()
    main(["sparse", "build", "docs.jsonl", "index"])
    capsys.readouterr()
    facts = run(capsys, "sparse", "export", "index", "--to", kind, "--out", "out", "--levels", "20")
    assert (facts["export"], facts["documents"], facts["levels"]) == (kind, 48, 20)
    assert 0 < facts["largest_change"] <= 1
    assert json.loads(Path("out/export.json").read_text())["unit"] == facts["unit"]
    assert main(["sparse", "export", "index", "--to", kind, "--out", "out"]) == 0
    plain = kind in ("milvus", "qdrant")
    words = "impacts as they are" if plain else "impacts changed by at most 0.0 of 255 units, 0 raised to 1"
    assert capsys.readouterr().out == f"out: 48 documents, {words}\n"


def test_rows_and_numbers_stand_in_for_ids_and_names(capsys) -> None:
    documents()
    main(["sparse", "build", "docs.jsonl", "index"])
    assert main(["sparse", "export", "index", "--to", "anserini", "--out", "out", "--rows", "--numbered"]) == 0
    first = json.loads(Path("out/corpus/documents.jsonl").read_text().splitlines()[0])
    assert first["id"] == "0000000000"
    assert list(first["vector"]) == [f"t{i}" for i in range(len(first["vector"]))]
    assert Path("out/doc_ids.txt").read_text().startswith("q0\nq1\n")
    capsys.readouterr()
    assert main(["sparse", "export", "index", "--to", "qdrant", "--out", "q", "--rows"]) == 2
    assert "--numbered and --rows are for --to anserini" in capsys.readouterr().err
    assert not Path("q").exists()


def test_a_systems_index_is_searched_and_exported_by_the_encoders_tokens(beir, stories, capsys) -> None:
    for system in ("sparse:16", "sparse:16+edge:2"):
        assert main(["index", system, "--dataset", str(beir), "--encoder", stories]) == 0
    capsys.readouterr()
    [folder] = Path("indexes").rglob("sparse_16+edge_2")
    facts = run(capsys, "sparse", "export", str(folder), "--encoder", stories, "--to", "qdrant", "--out", "points")
    points = [json.loads(line) for line in Path("points/points.jsonl").read_text().splitlines()]
    assert [point["payload"]["doc_id"] for point in points] == ["d1", "d2", "d3", "d4", "d5", "d6"]
    assert facts["postings"] == sum(len(point["vector"]["tokens"]["indices"]) for point in points)
    names = [json.loads(line) for line in Path("points/tokens.txt").read_text().splitlines()]
    heaviest = {name: i for i, name in enumerate(names)}
    token = points[2]["vector"]["tokens"]["indices"][0]
    Path("topics.tsv").write_text(f"1\t{names[token]}\n")
    assert heaviest[names[token]] == token
    assert main(["sparse", "search", str(folder), "topics.tsv", "--encoder", stories, "--out", "r.trec"]) == 0
    having = {p["payload"]["doc_id"] for p in points if token in p["vector"]["tokens"]["indices"]}
    assert {doc_id for doc_id, _ in read_run("r.trec")["1"]} == having
    capsys.readouterr()
    assert main(["sparse", "export", str(folder), "--encoder", "demo", "--to", "qdrant", "--out", "other"]) == 1
    assert "was built with another encoder than demo" in capsys.readouterr().err
    assert main(["sparse", "stats", str(folder)]) == 1
    assert capsys.readouterr().err.endswith("holds no names of tokens; give --encoder, the encoder that rarityir built it with\n")
    moved = folder.rename("moved")
    assert main(["sparse", "stats", str(moved), "--encoder", stories]) == 1
    assert "give the folder of an index where rarityir built it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["build", "nowhere.jsonl", "x"], "no file nowhere.jsonl"),
        (["build", "bad.jsonl", "x"], "bad.jsonl:2: not JSON"),
        (["build", "docs2.jsonl", "index"], "index was built with sha256"),
        (
            ["search", "nowhere", "plain.tsv", "--out", "r.trec"],
            "nowhere holds no sparse index; build one: rarityir sparse build",
        ),
        (["search", "index", "bad.tsv", "--out", "r.trec"], "bad.tsv:1: no tab between query_id and terms"),
        (["search", "index", "absent.tsv", "--out", "r.trec"], "no file absent.tsv"),
        (["merge", "index", "index", "--out", "x"], "doc_id 'q0' is in index and in index; merge parts"),
        (["export", "index", "--to", "lucene", "--out", "x"], "unknown export 'lucene'; known: anserini, elasticsearch"),
        (["export", "index", "--to", "qdrant", "--out", "index"], "index is there already and is no qdrant export"),
    ],
)
def test_what_a_user_can_put_right_is_one_line_and_changes_nothing(argv, words, capsys) -> None:
    documents("docs2.jsonl", more=3)
    documents()
    Path("bad.jsonl").write_text('{"id": "1", "vector": {"a": 1}}\n{"id"\n')
    Path("bad.tsv").write_text("1 a a\n")
    assert main(["sparse", "build", "docs.jsonl", "index"]) == 0
    before = {path: path.read_bytes() for path in Path("index").iterdir()}
    capsys.readouterr()
    assert main(["sparse", *argv]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    [line] = err.splitlines()
    assert line.startswith("rarityir: ")
    assert words in line
    assert {path: path.read_bytes() for path in Path("index").iterdir()} == before
    assert not Path("r.trec").exists()
    assert not Path("x/manifest.json").exists()


@pytest.mark.parametrize(
    "argv",
    [
        ["build", "x"],
        ["search", "x", "y"],
        ["merge", "--out", "x"],
        ["export", "x", "--out", "y"],
        ["stats"],
        ["export"],
        ["many"],
    ],
)
def test_wrong_usage_exits_with_two(argv, capsys) -> None:
    assert main(["sparse", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Error:" in err


@pytest.mark.parametrize("command", ["build", "search", "merge", "stats", "export"])
def test_every_command_has_help_and_is_listed(command, capsys) -> None:
    assert main(["sparse", "--help"]) == 0
    assert f"\n  {command} " in capsys.readouterr().out
    assert main(["sparse", command, "--help"]) == 0
    assert "--json" in capsys.readouterr().out
