"""Plans: closed forms, what is reused, what does not fit, and that a plan does no work."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tiny import STORIES_DOCS, write_beir

from rarityir import calibration, plan, store
from rarityir.cli import main
from rarityir.corpus import prepare
from rarityir.datasets import load_dataset
from rarityir.datasets.outline import outline
from rarityir.embeddings import embed, identify
from rarityir.encoders import load_encoder
from rarityir.indexes.dense import DenseIndex
from rarityir.report.plan import Plan, Step, duration, size
from rarityir.systems import System
from rarityir.types import RarityError

SYSTEMS = [System.parse("dense"), System.parse("sparse:8")]


class Clock:
    """Time that passes only when somebody works."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class Slow:
    """An encoder that reads words at 1,000 a second on a given clock, and takes 7 s to load."""

    dim, name, model = 16, "slow", "slow"

    def __init__(self, clock: Clock, most: int = 4) -> None:
        self.clock, self.most, self.loaded, self.blocks = clock, most, False, []

    def identity(self):
        return {"max_length": self.most, "dtype": "float32"}

    def tokenize(self, texts):
        return [text.split() for text in texts]

    def tokens(self):
        return ["word"] * 50

    def encode_document(self, texts):
        self.clock.now += 0.0 if self.loaded else 7.0
        self.loaded = True
        self.blocks.append(len(texts))
        self.clock.now += sum(min(self.most, len(text.split())) for text in texts) / 1000
        return np.ones((len(texts), self.dim), np.float32)


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoding is watched for a moment only."""
    monkeypatch.setattr(calibration, "BUDGET", 0.3)
    monkeypatch.setattr(calibration, "SAMPLE", 200)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def many(folder: Path, count: int) -> Path:
    return write_beir(folder, docs={**STORIES_DOCS, **{f"x{n}": ("", "the red ball is in the park") for n in range(count - 6)}})


def steps(found: Plan) -> dict[str, Step]:
    return {step.name: step for step in found.steps}


def test_a_dry_run_prints_a_plan_and_makes_nothing(
    beir: Path, stories: str, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["eval", "--dataset", str(beir), "--encoder", stories, "--systems", "bm25,dense,sparse:8+edge:2", "--dry-run"]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "6 documents, 3 topics" in text
    assert "in all" in text
    assert list(work.iterdir()) == []
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [step["name"] for step in found["steps"]] == [
        "documents", "embeddings", "queries", "+edge:2", "bm25", "dense", "sparse:8+edge:2",
    ]  # fmt: skip
    encoder = load_encoder(stories)
    assert found["tokens"] == sum(len(ids) for ids in encoder.tokenize([doc.text for doc in load_dataset(str(beir)).docs()]))
    assert found["cut"] == 0
    assert found["disk"] == sum(step["disk"] for step in found["steps"])
    assert found["seconds"] == pytest.approx(sum(step["seconds"] for step in found["steps"]))
    assert found["memory"] == found["held"] + max(step["memory"] for step in found["steps"])
    assert found["lacking"] == ""
    assert list(work.iterdir()) == []


def test_encoding_time_is_tokens_by_the_steady_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(calibration, "time", SimpleNamespace(monotonic=clock.monotonic, perf_counter=clock.monotonic))
    encoder, texts = Slow(clock), ["a b c d e f g h"] * 2000
    assert calibration.lengths(encoder, texts) == (4.0, 0.5)
    rate, x_ND = calibration.encoding(encoder, texts, 4.0, 512)
    assert rate.each == pytest.approx(1000)
    assert rate.before == pytest.approx(7.0, abs=0.01)
    assert encoder.blocks == [1, 8, 32, 128, 512]
    assert x_ND.shape == (sum(encoder.blocks[1:]), 16)
    hurried = Slow(clock)
    began = clock.now
    calibration.encoding(hurried, texts, 4.0, 512, budget=0.5)
    assert clock.now - began <= 7.0 + 0.5 + 0.01


def test_sizes_and_times_are_those_of_their_closed_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = load_dataset(str(many(tmp_path / "d", 1300)))
    clock = Clock()
    encoder = Slow(clock)
    monkeypatch.setattr(calibration, "encoding", lambda *_: (calibration.Rate(100.0, 3.0, "told"), np.ones((4, 16), np.float32)))
    monkeypatch.setattr(calibration, "flat", lambda *_: calibration.Tried(0.0, 0.01, 64.0, 1e-3, "told"))
    found = plan.plan(dataset, encoder, [SYSTEMS[0]], 100, tmp_path / "none")
    made = steps(found)
    lengths = [min(4, len(doc.text.split())) for doc in dataset.docs()]
    assert found.tokens == sum(lengths)
    assert made["embeddings"].seconds == pytest.approx(3 + sum(lengths) / 100)
    assert made["embeddings"].disk == 4 * 16 * 1300
    queries = [min(4, len(text.split())) for text in dataset.topics.values()]
    assert made["queries"].seconds == pytest.approx(sum(queries) / 100)
    assert made["dense"].disk == 64 * 1300
    assert made["dense"].memory == 2 * 64 * 1300
    assert made["dense"].seconds == pytest.approx(1300 * 0.01 + 3 * 1300 * 1e-3)
    assert not (tmp_path / "none").exists()


def test_what_is_there_is_reused(tmp_path: Path, stories: str) -> None:
    dataset, encoder, indexes = load_dataset(str(many(tmp_path / "d", 1300))), load_encoder(stories), tmp_path / "indexes"
    corpus = prepare(dataset, indexes)
    folder = embed(dataset, corpus, encoder).folder
    whole = steps(plan.plan(dataset, encoder, SYSTEMS, 100, indexes))
    assert (whole["embeddings"].seconds, whole["embeddings"].disk, whole["embeddings"].reused) == (0.0, 0, "all")
    assert whole["documents"].reused == "all"
    assert whole["dense"].reused == ""
    (folder / store.MANIFEST).unlink()
    (folder / "000002.npy").unlink()
    store.write_json(folder / store.PARTIAL, identify(corpus, encoder))
    begun = steps(plan.plan(dataset, encoder, SYSTEMS, 100, indexes))["embeddings"]
    assert begun.disk == 4 * encoder.dim * (1300 - 1024)
    assert begun.reused == "1,024 of 1,300"
    with pytest.MonkeyPatch.context() as patched:
        rate = calibration.Rate(100.0, 0.0, "told"), np.ones((4, encoder.dim), np.float32)
        patched.setattr(calibration, "encoding", lambda *_: rate)
        found = plan.plan(dataset, encoder, SYSTEMS[:1], 100, indexes)
    assert steps(found)["embeddings"].seconds == pytest.approx(found.tokens / 100 * 276 / 1300, rel=1e-4)
    shutil.rmtree(corpus.folder)
    assert steps(plan.plan(dataset, encoder, SYSTEMS, 100, indexes))["embeddings"].reused == ""


def test_an_index_that_is_there_costs_its_search_alone(tmp_path: Path, beir: Path, stories: str) -> None:
    from rarityir.retrieval import Retriever

    dataset, encoder = load_dataset(str(beir)), load_encoder(stories)
    Retriever(dataset, encoder, tmp_path / "i").index(SYSTEMS[0])
    made = steps(plan.plan(dataset, encoder, SYSTEMS, 100, tmp_path / "i"))
    assert (made["dense"].disk, made["dense"].reused) == (0, "index")
    assert made["sparse:8"].disk > 0
    assert made["sparse:8"].reused == ""


@pytest.mark.parametrize("short", ["disk", "memory"])
def test_what_cannot_fit_stops_before_it_starts(
    short: str, beir: Path, stories: str, work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plan, "_disk_free" if short == "disk" else "_memory_free", lambda *_: 100)
    monkeypatch.setattr(plan, "outline", lambda name: dataclasses.replace(load_dataset(name), docs_count=6))
    arguments = ["eval", "--dataset", str(beir), "--encoder", stories, "--systems", "dense"]
    for more in ([], ["--dry-run"]):
        assert main([*arguments, *more]) == 1
        said = capsys.readouterr().err.strip().splitlines()
        assert len(said) == 1
        assert f"of {short}, 100 B are free" in said[0]
        assert "--force" in said[0]
        assert list(work.iterdir()) == []
    assert main([*arguments, "--dry-run", "--force"]) == 0
    assert main([*arguments, "--force"]) == 0
    assert (work / "indexes").is_dir()


def test_the_room_that_is_checked_is_that_of_the_plan(tmp_path: Path, beir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = dataclasses.replace(load_dataset(str(beir)), docs_count=1_000_000)
    encoder = Slow(Clock())
    needed = (4 * 16 + 4 * 16 + plan.DOC_ID) * 1_000_000  # embeddings, the flat index, doc_ids
    monkeypatch.setattr(plan, "_disk_free", lambda folder: needed)
    plan.check_room(dataset, encoder, SYSTEMS[:1], tmp_path)
    monkeypatch.setattr(plan, "_disk_free", lambda folder: needed - 1)
    with pytest.raises(RarityError, match="of disk"):
        plan.check_room(dataset, encoder, SYSTEMS[:1], tmp_path)
    plan.check_room(dataclasses.replace(dataset, docs_count=None), encoder, SYSTEMS[:1], tmp_path)


def test_a_collection_that_is_not_here_is_planned_from_its_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "encoding", lambda *_: (calibration.Rate(1e4, 0.0, "told"), np.ones((4, 16), np.float32)))
    dataset = outline("msmarco-dev")
    found = plan.plan(dataset, Slow(Clock(), most=512), SYSTEMS[:1], 1000, tmp_path / "none")
    assert (found.documents, found.topics) == (8_841_823, 6_980)
    assert found.tokens == 56 * 8_841_823
    assert "assumed" in found.read
    assert steps(found)["embeddings"].seconds == pytest.approx(56 * 8_841_823 / 1e4)
    assert any("100,000 of the documents" in line for line in found.cheaper)
    assert not (tmp_path / "none").exists()


def test_documents_past_the_sample_are_counted(beir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "READ", 4)
    dataset = load_dataset(str(beir))
    found = calibration.sample(dataclasses.replace(dataset, docs_count=None))
    assert (found.total, len(found.texts)) == (6, 4)
    assert "4 of the first 4 documents" in found.basis
    assert calibration.sample(dataclasses.replace(dataset, docs_count=7)).total == 7


def test_a_flat_index_is_measured_as_it_is() -> None:
    tried = calibration.flat(64, DenseIndex, "")
    assert tried.bytes_each == pytest.approx(4 * 64, rel=0.001)
    assert tried.each > 0
    assert tried.query > 0


def test_units_are_those_of_a_reader() -> None:
    assert [size(n) for n in (0, 1023, 1024, 1.5 * 2**30, 3 * 2**40)] == ["0 B", "1,023 B", "1.0 KiB", "1.5 GiB", "3.0 TiB"]
    assert [duration(s) for s in (None, 4.24, 600, 7200)] == ["?", "4.2 s", "10 min", "2.0 h"]
    step = Step("a", None, 5, 7, "")
    assert Plan("d", "e", 1, 1, None, 0.0, "", (step,), 1, 4, 8).seconds is None
    assert "of disk" in Plan("d", "e", 1, 1, None, 0.0, "", (step,), 1, 4, 8).lacking()
    assert Plan("d", "e", 1, 1, None, 0.0, "", (step,), 1, 5, 8).lacking() == ""
    assert "of memory" in Plan("d", "e", 1, 1, None, 0.0, "", (step,), 1, 5, 7).lacking()
