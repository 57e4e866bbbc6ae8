"""Alignment of a dataset's texts, end to end: what is read, what is reused, what is printed and written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import STORIES, STORIES_DOCS, STORIES_QUERIES

import rarityir as ri
from rarityir import embeddings
from rarityir.alignment import FILTERS, align, write
from rarityir.cli import main
from rarityir.encoders.hf import HFEncoder
from rarityir.filters import EmbedFilter
from rarityir.report.alignment import AlignmentRow, AlignmentTable
from rarityir.tokens import Vocabulary
from rarityir.tokens.measures import TokenSets, measure
from rarityir.types import RarityError, UnknownName

TEXTS = [f"{title} {text}".strip() for title, text in STORIES_DOCS.values()]


pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture(scope="module")
def encoder() -> HFEncoder:
    return ri.load_encoder(str(STORIES))


@pytest.fixture
def dataset(beir: Path) -> ri.Dataset:
    return ri.load_dataset(str(beir))


def aligned(dataset: ri.Dataset, encoder: HFEncoder, filters: list[str], **options: Any) -> AlignmentTable:
    """With the frequencies of the six documents, which are counted faster than those of English."""
    return align(dataset, encoder, filters, counts="corpus", **options)


def by_hand(encoder: HFEncoder, texts: list[str], x: np.ndarray, filter: str = "", cutoff: int = 10) -> list[dict]:
    """Both forms from the tokenizer that transformers gives and a product of matrices."""
    from transformers import AutoTokenizer

    phi = np.eye(encoder.dim)
    if filter:
        basis = EmbedFilter.fit(str(STORIES), filter).basis
        phi = basis.T @ basis
    z = x @ phi @ encoder.unembedding().T
    vocabulary = Vocabulary.of(encoder.tokens())
    words = np.array([z[:, vocabulary.class_of == c].max(axis=1) for c in range(len(vocabulary.names))]).T
    tokenizer = AutoTokenizer.from_pretrained(STORIES)
    raw = TokenSets.published([tokenizer.encode(text) for text in texts], z.shape[1], cutoff)
    read = TokenSets.corrected([tokenizer.encode(text, add_special_tokens=False) for text in texts], vocabulary)
    return [measure([logits], sets, cutoff=cutoff).json() for logits, sets in ((z, raw), (words, read))]


def same(found: dict, wanted: dict) -> None:
    """The figures that no table of frequencies enters."""
    for name in ("hit", "lar", "gar", "hit_idf", "lar_idf"):
        assert found[name] == pytest.approx(wanted[name], abs=2e-6), name
    assert (found["texts"], found["skipped"], found["tokens"]) == (wanted["texts"], wanted["skipped"], wanted["tokens"])


def test_documents_are_measured_in_both_forms_under_each_filter(dataset, encoder):
    found = aligned(dataset, encoder, ["none", "edge:2"], cutoff=3)
    assert [(row.filter, row.width) for row in found.rows] == [("none", 64), ("edge:2", 32)]
    x = encoder.encode_document(TEXTS)
    for row, filter in zip(found.rows, ("", "edge:2"), strict=True):
        raw, words = by_hand(encoder, TEXTS, x, filter, 3)
        same(row.published, raw)
        same(row.corrected, words)
    assert found.rows[0].published["lar"] != found.rows[1].published["lar"]
    assert (found.of, found.texts, found.longer, found.read, found.cutoff) == ("documents", 6, 0, 512, 3)


def test_special_tokens_are_in_the_published_form_alone(dataset, encoder):
    found = aligned(dataset, encoder, ["none"]).rows[0]
    ids = encoder.tokenize(TEXTS)
    assert found.published["tokens"] == pytest.approx(sum(len(set(row)) + 1 for row in ids) / 6)  # <s> before each text
    vocabulary = Vocabulary.of(encoder.tokens())
    assert found.corrected["tokens"] == pytest.approx(sum(len(own) for own in vocabulary.classes(ids)) / 6)


def test_topics_are_measured_by_their_own_embeddings(dataset, encoder):
    texts = list(STORIES_QUERIES.values())
    found = aligned(dataset, encoder, ["none"], topics=True)
    for row, wanted in zip(
        (found.rows[0].published, found.rows[0].corrected), by_hand(encoder, texts, encoder.encode_query(texts)), strict=True
    ):
        same(row, wanted)
    assert (found.of, found.texts) == ("topics", 3)
    assert not list(Path("indexes").rglob("embeddings"))


def test_tokens_that_the_encoder_does_not_read_are_no_words_of_the_text(dataset):
    short = ri.load_encoder(str(STORIES), max_length=6)
    found = aligned(dataset, short, ["none"])
    ids = short.tokenize(TEXTS)
    vocabulary = Vocabulary.of(short.tokens())
    assert (found.read, found.longer) == (6, sum(len(row) > 6 for row in ids))
    assert found.longer > 0
    assert found.rows[0].corrected["tokens"] == pytest.approx(sum(map(len, vocabulary.classes([i[:6] for i in ids]))) / 6)
    assert found.rows[0].published["tokens"] == pytest.approx(sum(len(set(row)) + 1 for row in ids) / 6)


def test_stored_embeddings_and_filters_serve_again(dataset, encoder, monkeypatch):
    first = aligned(dataset, encoder, ["edge:2", "abtt:1"])
    assert list(Path("indexes").rglob("embeddings/manifest.json"))

    def refuse(self: HFEncoder, texts: object) -> None:
        raise AssertionError("documents are encoded again")

    monkeypatch.setattr(HFEncoder, "encode_document", refuse)
    monkeypatch.setattr(HFEncoder, "reading", refuse)
    assert aligned(dataset, encoder, ["edge:2", "abtt:1"]).json() == first.json()
    assert aligned(dataset, encoder, ["edge:2"], sample=4).texts == 4


def test_a_sample_is_drawn_by_the_seed_whether_embeddings_are_stored_or_not(dataset, encoder, monkeypatch):
    monkeypatch.setattr(embeddings, "BLOCK", 2)  # so that the sample is of several stored blocks
    fresh = aligned(dataset, encoder, ["none", "edge:2"], sample=4, seed=1)
    assert not list(Path("indexes").rglob("embeddings"))
    aligned(dataset, encoder, ["none"])
    stored = aligned(dataset, encoder, ["none", "edge:2"], sample=4, seed=1)
    assert fresh.texts == stored.texts == 4
    for one, other in zip(fresh.rows, stored.rows, strict=True):
        same(one.published, other.published)
        same(one.corrected, other.corrected)
    drawn = {
        json.dumps(aligned(dataset, encoder, ["none"], sample=4, seed=seed).rows[0].corrected["tokens"]) for seed in range(6)
    }
    assert len(drawn) > 1
    assert aligned(dataset, encoder, ["none"], sample=99).texts == 6


def test_frequencies_come_from_the_table_that_is_named(dataset, encoder):
    english, corpus = (align(dataset, encoder, ["none"], counts=table) for table in ("english", "corpus"))
    same(english.rows[0].corrected, corpus.rows[0].corrected)
    entries = [[band["entries"] for band in found.rows[0].corrected["bands"]] for found in (english, corpus)]
    assert entries[0] != entries[1]
    assert sum(entries[0]) == sum(entries[1]) == round(6 * english.rows[0].corrected["tokens"])
    ids = [i for row in encoder.tokenize(TEXTS) for i in row]
    vocabulary = Vocabulary.of(encoder.tokens())
    counts = np.bincount(vocabulary.class_of[ids][vocabulary.class_of[ids] >= 0], minlength=len(vocabulary.names))
    often = set(np.flatnonzero(counts / len(ids) >= 1e-2))
    assert entries[1][0] == sum(len(often & set(own)) for own in vocabulary.classes(encoder.tokenize(TEXTS)))


@pytest.mark.parametrize(
    ("filters", "error", "words"),
    [
        ([], RarityError, "at least one filter; none stands for no filter"),
        (["none", "hedge:2"], UnknownName, "unknown filter 'hedge'"),
        (["edge"], RarityError, "needs a number"),
        (["edge 2"], RarityError, "cannot read 'edge 2'"),
    ],
)
def test_filters_are_checked_before_anything_is_read(dataset, filters, error, words):
    with pytest.raises(error, match=rf"^[^\n]*{words}[^\n]*$"):
        align(dataset, None, filters)


# -- what is shown --


def figure(own: float, control: float = 0.25) -> dict:
    return {
        "own": own,
        "control": control,
        "difference": own - control,
        "low": own - control - 0.01,
        "high": own - control + 0.02,
    }


def form(own: float, skipped: int) -> dict:
    nothing = dict.fromkeys(("own", "control", "difference", "low", "high"))
    names = ("hit", "lar", "gar", "hit_idf", "lar_idf")
    found = {name: figure(own + i / 100) for i, name in enumerate(names)}
    found |= {"skipped": skipped, "tokens": 12.0, "texts": 5 - skipped}
    for i, name in enumerate(("stop", "content")):
        found[name] = {"name": name, "entries": 3, "share": figure(own + 0.05 + i / 100), "hit": figure(own + 0.08 + i / 100)}
    found["bands"] = [
        {"name": "1e-2", "entries": 3, "share": figure(own + 0.11), "hit": figure(own)},
        {"name": "1e-3", "entries": 0, "share": nothing, "hit": nothing},
        {"name": "rarer", "entries": 2, "share": figure(own + 0.12), "hit": figure(own)},
    ]
    return found


TABLE = AlignmentTable(
    "mine", "tiny", "documents", 5, 2, 240, 7, 3, "english", {}, (
        AlignmentRow("none", 64, form(0.5, 1), form(0.7, 2)),
        AlignmentRow("edge:2", 32, form(0.1, 1), form(0.3, 2)),
    ),
)  # fmt: skip


def test_the_text_shows_both_forms_side_by_side_each_figure_above_its_control():
    lines = TABLE.text().splitlines()
    assert "5 documents, read by their first 240 tokens (2 are longer)" in lines[0]
    assert "cut at 7; 1 texts have none" in lines[1]
    assert "2 texts have none" in lines[2]
    head = next(i for i, line in enumerate(lines) if "published LAR" in line)
    assert [
        lines[head].index(name) for name in ("published Hit@7", "published GAR", "corrected Hit@7", "corrected GAR")
    ] == sorted(lines[head].index(name) for name in ("published Hit@7", "published GAR", "corrected Hit@7", "corrected GAR"))
    block = [line.split() for line in lines[head + 1 : head + 6]]
    assert block[0] == ["none", "64", "own", "0.500", "0.510", "0.520", "0.700", "0.710", "0.720"]
    assert block[1] == ["another's", *["0.250"] * 6]
    assert block[2] == ["above", "it", "+0.250", "+0.260", "+0.270", "+0.450", "+0.460", "+0.470"]
    assert block[3][2:4] == ["+0.240", "+0.250"]
    assert block[4][1:3] == ["+0.270", "+0.280"]
    assert lines[head + 6].split()[:4] == ["edge:2", "32", "own", "0.100"]
    assert lines[head + 8].split()[2] == "−0.150"
    assert all(len(line) == len(lines[head]) for line in lines[head : head + 11])
    assert sum(line.startswith("none ") for line in lines) == sum(line.startswith("edge:2 ") for line in lines) == 3


def test_bands_that_no_text_has_are_not_shown():
    lines = TABLE.text().splitlines()
    head = next(i for i, line in enumerate(lines) if "rarer" in line)
    assert lines[head].split()[-3:] == ["from", "1e-2", "rarer"]
    assert lines[head + 1].split() == ["none", "64", "own", "0.810", "0.820"]


def test_the_weighted_figures_and_those_of_stop_and_content_words_have_columns_of_their_own():
    lines = TABLE.text().splitlines()
    head = next(i for i, line in enumerate(lines) if "idf LAR" in line)
    assert lines[head].split("tokens of")[1].split("  ")[-1].strip() == "content Hit@7"
    assert lines[head + 1].split()[3:] == ["0.730", "0.740", "0.750", "0.760", "0.790"]


def test_a_figure_that_is_missing_is_a_dash():
    row = AlignmentRow("none", 64, form(0.5, 1), form(0.7, 2))
    row.corrected["stop"]["share"] = dict.fromkeys(("own", "control", "difference", "low", "high"))
    found = AlignmentTable("mine", "tiny", "documents", 5, 0, None, 7, 3, "english", {}, (row,))
    assert "–" in found.text()
    assert "– / –, – [–, –]" in found.markdown()
    assert "how far they are read is unknown" in found.text()
    assert "the words of whole texts" in found.text()


def test_a_difference_that_rounds_to_nothing_has_no_sign():
    row = AlignmentRow("none", 64, form(0.2499, 1), form(0.2501, 2))
    block = AlignmentTable("mine", "tiny", "documents", 5, 0, None, 7, 3, "english", {}, (row,)).text().splitlines()
    (above,) = [line.split() for line in block if "above it" in line][:1]
    assert above[2:] == ["0.000", "+0.010", "+0.020", "0.000", "+0.010", "+0.020"]


def test_the_markdown_has_a_line_for_each_filter_and_table():
    lines = TABLE.markdown().splitlines()
    assert "| `none` | 64 | 0.500 / 0.250, +0.250 [+0.240, +0.270] |" in "\n".join(lines)
    assert sum(line.startswith("| `edge:2` | 32 |") for line in lines) == 3
    assert all(line.count("|") == lines[i + 1].count("|") for i, line in enumerate(lines) if line.startswith("| filter"))


def test_what_is_written_is_what_is_shown(tmp_path):
    write(TABLE, tmp_path / "out")
    assert (tmp_path / "out" / "alignment.md").read_text() == TABLE.markdown()
    assert json.loads((tmp_path / "out" / "alignment.json").read_text()) == json.loads(json.dumps(TABLE.json()))


# -- the command --


def test_the_command_prints_the_table_and_writes_it(beir, capsys):
    argv = ["alignment", "--dataset", str(beir), "--encoder", str(STORIES), "--filters", "none,cut:2,4,edge:2", "--k", "2"]
    argv += ["--counts", "corpus"]
    assert main([*argv, "--out", "found"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines() if " own " in line] == ["none", "cut:2,4", "edge:2"] * 3
    assert {path.name for path in Path("found").iterdir()} == {"alignment.json", "alignment.md"}
    assert main([*argv, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts == json.loads(Path("found/alignment.json").read_text())
    assert (facts["cutoff"], facts["rows"][1]["width"], facts["made_of"]["encoder"]["model"]) == (2, 58, "stories260K")
    assert facts["made_of"]["dataset"]


def test_the_command_measures_topics_and_samples(beir, capsys):
    argv = ["alignment", "--dataset", str(beir), "--encoder", str(STORIES), "--json"]
    assert main([*argv, "--topics", "--filters", "none"]) == 0
    assert (facts := json.loads(capsys.readouterr().out))["of"] == "topics"
    assert facts["texts"] == 3
    assert main([*argv, "--sample", "4", "--seed", "2", "--counts", "corpus"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["texts"], facts["seed"]) == (4, 2)
    assert [row["filter"] for row in facts["rows"]] == list(FILTERS)
    assert facts["counts"].startswith("the 6 documents")


def test_what_a_user_can_put_right_is_one_line(beir, capsys):
    argv = ["alignment", "--dataset", str(beir), "--encoder", str(STORIES)]
    for more, words in (
        (["--filters", "hedge:2"], "unknown filter 'hedge'"),
        (["--sample", "1", "--counts", "corpus"], "so no other text can be their control"),
        (["--counts", "absent.safetensors"], "absent.safetensors holds no token counts"),
    ):
        assert main([*argv, *more]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert words in err
        assert len(err.splitlines()) == 1
    assert main([*argv, "--k", "0"]) == 2
