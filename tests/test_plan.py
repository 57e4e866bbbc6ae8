"""Plans: closed forms, what is reused, what does not fit, and that a plan does no work."""

from __future__ import annotations

import dataclasses
import json
import shutil
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tiny import STORIES, STORIES_DOCS, write_beir

from rarityir import registry, store
from rarityir.cli import main
from rarityir.corpus import prepare
from rarityir.datasets import load_dataset
from rarityir.datasets.outline import outline
from rarityir.embeddings import embed, identify
from rarityir.encoders import load_encoder
from rarityir.encoders.batching import Execution
from rarityir.encoders.hf import HFEncoder
from rarityir.encoders.workers import Piece
from rarityir.experiment import Experiment
from rarityir.indexes import prebuilt
from rarityir.indexes.approximate import FaissIndex, Kind
from rarityir.indexes.dense import DenseIndex
from rarityir.planning import calibration, plan, sizes
from rarityir.planning.outlay import Outlay
from rarityir.planning.plan import Job
from rarityir.report.plan import Plan, Step, duration, size
from rarityir.subcollection import Pool, Sample, expected, narrow
from rarityir.systems import Part, System
from rarityir.types import RarityError, StaleArtefact

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
    """Encoding is watched for a moment only, and files are written at a known rate."""
    monkeypatch.setattr(calibration, "writing", lambda: 1e6)
    monkeypatch.setattr(calibration, "BUDGET", 0.3)
    monkeypatch.setattr(calibration, "SAMPLE", 200)
    monkeypatch.setattr(calibration, "FLAT", 1 << 20)


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
        "documents", "embeddings", "queries", "+edge:2", "bm25", "dense", "sparse:8+edge:2", "runs, measures",
    ]  # fmt: skip
    encoder = load_encoder(stories)
    assert found["tokens"] == sum(len(ids) for ids in encoder.tokenize([doc.text for doc in load_dataset(str(beir)).docs()]))
    assert found["cut"] == 0
    assert found["disk"] == sum(step["disk"] for step in found["steps"])
    assert found["seconds"] == pytest.approx(sum(step["seconds"] for step in found["steps"]))
    assert found["memory"] == found["held"] + max(step["memory"] for step in found["steps"])
    assert found["lacking"] == ""
    assert list(work.iterdir()) == []


def test_encoding_is_watched_in_windows_that_grow_and_what_comes_once_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(calibration, "time", SimpleNamespace(monotonic=clock.monotonic, perf_counter=clock.monotonic))
    encoder, texts = Slow(clock), ["a b c d e f g h"] * 2000
    found = calibration.lengths(encoder, texts)
    assert (found.mean, found.cut) == (4.0, 0.5)
    rate, x_ND = calibration.encoding(encoder, texts, found.counts, 10**6, 20.0)
    assert rate.each == pytest.approx(1000)
    assert rate.before == pytest.approx(7.0, abs=0.01)
    assert encoder.blocks[:6] == [1, 1, 8, 32, 128, 512]  # loaded, workers started, and windows that grow
    assert clock.now <= 7.0 + 20.0 + 4  # a window more at most
    assert x_ND.shape[1] == 16
    hurried = Slow(clock)
    began = clock.now
    calibration.encoding(hurried, texts, found.counts, 10**6, budget=0.5)
    assert clock.now - began <= 7.0 + 0.5 + 0.2
    short = Slow(clock)
    calibration.encoding(short, texts, found.counts, 1000, budget=20.0, enough=5.0)  # 4 s in all
    assert short.blocks == [1, 1, 8]
    small = Slow(clock)
    calibration.encoding(small, texts[:40], found.counts[:40], 40, budget=20.0)
    assert sum(small.blocks) <= 2 + 40  # never more than there is to do


def test_the_rate_of_windows_is_that_of_those_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(calibration, "time", SimpleNamespace(monotonic=clock.monotonic, perf_counter=clock.monotonic))

    def read(windows):
        for window in windows:
            clock.now += 0.5 * (window.number == 0) + 4 * len(window.texts) / 1000  # nobody is at work when a reading begins
            yield Piece(window.number, list(range(len(window.texts))), np.ones((len(window.texts), 16), np.float32), 0, 0)

    monkeypatch.setattr(calibration, "_reading", lambda *_: nullcontext(read))
    rate, _ = calibration.encoding(Slow(clock), ["a b c d"] * 4096, np.full(4096, 4), 10**6, 60.0)
    assert rate.each == pytest.approx(1000)


@pytest.fixture
def three_gpus(monkeypatch: pytest.MonkeyPatch) -> HFEncoder:
    """An encoder of a machine that has them, as far as a plan can see."""
    encoder = load_encoder(str(STORIES))
    encoder.__dict__["torch_device"] = "cuda"
    monkeypatch.setattr(calibration, "worker_count", lambda *_: 3)
    return encoder


def test_gpus_load_the_model_themselves_and_before_the_clock_of_encoding(
    three_gpus: HFEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, sizes_seen = Clock(), []
    monkeypatch.setattr(calibration, "time", SimpleNamespace(monotonic=clock.monotonic, perf_counter=clock.monotonic))
    monkeypatch.setattr(HFEncoder, "encode_document", lambda *_: pytest.fail("the model was loaded here too"))

    def read(windows):
        for window in windows:
            sizes_seen.append(len(window.texts))
            clock.now += 7.0 * (len(sizes_seen) <= 3) + 4 * len(window.texts) / 1000  # a worker's first
            yield Piece(window.number, list(range(len(window.texts))), np.ones((len(window.texts), 16), np.float32), 0, 0)

    monkeypatch.setattr(calibration, "_reading", lambda *_: nullcontext(read))
    rate, _ = calibration.encoding(three_gpus, ["a b c d"] * 4096, np.full(4096, 4), 10**6, 60.0)
    assert sizes_seen[:4] == [1, 1, 1, 8]
    assert rate.before == pytest.approx(21, abs=0.1)
    assert rate.each == pytest.approx(1000)


def test_states_that_one_process_reads_are_priced_by_one_gpu(three_gpus: HFEncoder) -> None:
    rates = SimpleNamespace(
        encoding=lambda _: calibration.Rate(300.0, 0.0, ""),
        lengths=SimpleNamespace(mean=4.0),
        multiplying=1e30,
        measured=lambda _: "measured",
    )
    part = Part.parse("sparse:8,style=lightretriever")
    made = Outlay(rates, three_gpus, 1000, 3, 10, True, 0.0).impacts(part, registry.resolve("indexes", "sparse"))
    assert made.build == pytest.approx(1000 * 4 / 100)
    three_gpus.__dict__["torch_device"] = "cpu"  # whose cores read one text together
    made = Outlay(rates, three_gpus, 1000, 3, 10, True, 0.0).impacts(part, registry.resolve("indexes", "sparse"))
    assert made.build == pytest.approx(1000 * 4 / 300)


def test_sizes_and_times_are_those_of_their_closed_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = load_dataset(str(many(tmp_path / "d", 1300)))
    clock = Clock()
    encoder = Slow(clock)
    monkeypatch.setattr(calibration, "encoding", lambda *_: (calibration.Rate(100.0, 3.0, "told"), np.ones((4, 16), np.float32)))
    monkeypatch.setattr(calibration, "flat", lambda *_: calibration.Tried(0.0, 0.01, 64.0, 1e-3, "told"))
    found = plan.plan(Job(dataset, encoder, [SYSTEMS[0]], 100, tmp_path / "none"))
    made = steps(found)
    lengths = [min(4, len(doc.text.split())) for doc in dataset.docs()]
    assert found.tokens == sum(lengths)
    assert made["embeddings"].seconds == pytest.approx(3 + sum(lengths) / 100 + 4 * 16 * 1300 / 1e6)
    assert made["embeddings"].disk == 4 * 16 * 1300
    queries = [min(4, len(text.split())) for text in dataset.topics.values()]
    assert made["queries"].seconds == pytest.approx(sum(queries) / 100)
    assert made["dense"].disk == 64 * 1300
    assert made["dense"].memory == (16 << 20) + 2 * (100 + 64) * 3 * 12 + 4 * 16 * 3  # a block's scores, what 3 queries keep
    assert made["dense"].seconds == pytest.approx(1300 * 0.01 + 3 * 1300 * 1e-3)
    assert not (tmp_path / "none").exists()


def test_what_is_there_is_reused(tmp_path: Path, stories: str) -> None:
    dataset, encoder, indexes = load_dataset(str(many(tmp_path / "d", 1300))), load_encoder(stories), tmp_path / "indexes"
    corpus = prepare(dataset, indexes)
    folder = embed(dataset, corpus, encoder).folder
    whole = steps(plan.plan(Job(dataset, encoder, SYSTEMS, 100, indexes)))
    assert (whole["embeddings"].seconds, whole["embeddings"].disk, whole["embeddings"].reused) == (0.0, 0, "all")
    assert whole["documents"].reused == "all"
    assert whole["dense"].reused == ""
    (folder / store.MANIFEST).unlink()
    (folder / "000002.npy").unlink()
    store.write_json(folder / store.PARTIAL, identify(corpus, encoder))
    begun = steps(plan.plan(Job(dataset, encoder, SYSTEMS, 100, indexes)))["embeddings"]
    assert begun.disk == 4 * encoder.dim * (1300 - 1024)
    assert begun.reused == "1,024 of 1,300"
    with pytest.MonkeyPatch.context() as patched:
        rate = calibration.Rate(100.0, 0.0, "told"), np.ones((4, encoder.dim), np.float32)
        patched.setattr(calibration, "encoding", lambda *_: rate)
        found = plan.plan(Job(dataset, encoder, SYSTEMS[:1], 100, indexes))
    assert steps(found)["embeddings"].seconds == pytest.approx(
        found.tokens / 100 * 276 / 1300 + 4 * encoder.dim * 276 / 1e6, abs=0.1
    )
    half = load_encoder(stories, store_dtype="float16")
    with pytest.raises(StaleArtefact, match="was begun with store_dtype null, now float16"):
        plan.begin(Job(dataclasses.replace(dataset, docs_count=1300), half, SYSTEMS, 100, indexes))
    shutil.rmtree(corpus.folder)
    assert steps(plan.plan(Job(dataset, encoder, SYSTEMS, 100, indexes)))["embeddings"].reused == ""


def test_an_index_that_is_there_costs_its_search_alone(tmp_path: Path, beir: Path, stories: str) -> None:
    from rarityir.retrieval import Retriever

    dataset, encoder = load_dataset(str(beir)), load_encoder(stories)
    Retriever(dataset, encoder, tmp_path / "i").index(SYSTEMS[0])
    made = steps(plan.plan(Job(dataset, encoder, SYSTEMS, 100, tmp_path / "i")))
    assert (made["dense"].disk, made["dense"].reused) == (0, "index")
    assert made["sparse:8"].disk > 0
    assert made["sparse:8"].reused == ""


@pytest.mark.parametrize("short", ["disk", "memory"])
def test_what_cannot_fit_stops_before_it_starts(
    short: str, beir: Path, stories: str, work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sizes, "disk_free" if short == "disk" else "memory_free", lambda *_: 100)
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


def test_the_room_that_is_checked_is_that_of_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = dataclasses.replace(load_dataset(str(write_beir(tmp_path / "d"))), docs_count=1_000_000)
    job = Job(dataset, Slow(Clock()), SYSTEMS[:1], 100, tmp_path, until="index")
    needed = (4 * 16 + 4 * 16 + plan.DOC_ID) * 1_000_000  # embeddings, the flat index, doc_ids
    monkeypatch.setattr(sizes, "disk_free", lambda folder: needed)
    plan.begin(job)
    monkeypatch.setattr(sizes, "disk_free", lambda folder: needed - 1)
    with pytest.raises(RarityError, match="of disk"):
        plan.begin(job)
    plan.begin(job, force=True)
    assert plan.begin(dataclasses.replace(job, dataset=dataclasses.replace(dataset, docs_count=None))) == ""


def test_half_precision_halves_the_embeddings(tmp_path: Path) -> None:
    dataset = load_dataset(str(write_beir(tmp_path / "d")))
    for kept, each in (("float32", 4), ("float16", 2)):
        encoder = Slow(Clock())
        encoder.execution = Execution(store_dtype=kept)
        found = steps(plan.plan(Job(dataset, encoder, (), 0, tmp_path / "i", until="encode")))
        assert list(found) == ["documents", "embeddings"]
        assert found["embeddings"].disk == each * 16 * 6


@pytest.mark.parametrize(
    ("name", "kept", "known"),
    [
        ("edge:2", 32, True), ("tail:4", 16, True), ("random:1.03", 62, True), ("band:8-24", 16, True), ("offset:9,20", 20, True),
        ("cut:8,6", 50, True), ("truncate:24", 24, True), ("pca:12", 12, True), ("whiten:k=7", 7, True), ("abtt:3", 61, True),
        ("randproj:seed=1,k=9", 9, True), ("center", 64, True), ("logfreq", 63, True), ("pca:99", 64, True), ("auto", 64, False),
        ("ica-drop:rarity", 32, True), ("ica-drop:random,tau=4,draw=1", 16, True), ("ica-drop:rarity,keep=9", 9, True),
        ("ica-drop:rarity,tau=1.142,on=documents", 56, True), ("ica:12", 12, True),
        ("edge:2+pca:5", 5, True), ("edge:2+auto", 32, False),
    ],
)  # fmt: skip
def test_the_width_a_filter_leaves_is_known_before_it_is_fitted(name: str, kept: int, known: bool) -> None:
    assert sizes.width([Part.parse(part) for part in name.split("+")], 64) == (kept, known)


@pytest.mark.parametrize(
    ("name", "on"), [("ica-drop:rarity", False), ("ica-drop:rarity,tau=2,on=documents", True), ("pca:3", True), ("edge:2", False)]
)
def test_what_a_filter_is_fitted_on_is_known(name: str, on: bool) -> None:
    assert sizes.on_documents(Part.parse(name)) is on


def test_a_search_for_axes_is_counted_by_its_iterations_rows_and_axes() -> None:
    assert sizes.searching(Part.parse("edge:2"), 1000, 64) == 0
    assert sizes.searching(Part.parse("ica:8,iterations=1,sample=100"), 1000, 64) == 2 * 100 * 64**2 + 10 * 64**3
    assert sizes.searching(Part.parse("ica-drop:rarity,iterations=3,sample=0,components=5"), 1000, 64) == 3 * (50_000 + 1250)
    assert sizes.searching(Part.parse("ica:8"), 10**6, 64) == 500 * (2 * 20_000 * 64**2 + 10 * 64**3)


def test_a_filtered_index_is_as_wide_as_its_filter(tmp_path: Path) -> None:
    from rarityir.retrieval import Retriever

    dataset, encoder = load_dataset(str(write_beir(tmp_path / "d"))), load_encoder("demo")
    systems = [System.parse(name) for name in ("dense+edge:2", "dense+pca:3", "dense+truncate:5")]
    found = steps(plan.plan(Job(dataset, encoder, systems, 10, tmp_path / "none", until="index")))
    retriever = Retriever(dataset, encoder, tmp_path / "i")
    for system in systems:
        retriever.search(system)
        assert found[str(system)].disk == 4 * retriever.search(system).cost["dim"] * 6


@pytest.mark.parametrize("name", ["hnsw,8", "hnsw,32", "ivf8", "ivf8,pq4", "ivf8,sq8", "sq8"])
def test_an_index_of_faiss_is_as_large_as_planned(name: str, tmp_path: Path) -> None:
    kind, x_ND = Kind.parse(name), np.random.default_rng(0).standard_normal((800, 16), np.float32)
    FaissIndex.build(kind, [x_ND], tmp_path)
    held = sum(path.stat().st_size for path in tmp_path.iterdir())
    planned = sizes.approximate(kind, 800, 16)
    assert planned.disk - x_ND.nbytes == pytest.approx(held, rel=0.03)
    assert planned.memory >= 0.97 * held


def test_what_approximate_systems_are_measured_by_is_planned_too(tmp_path: Path) -> None:
    dataset, encoder = load_dataset(str(write_beir(tmp_path / "d"))), Slow(Clock())
    systems = [System.parse("dense:hnsw,8"), System.parse("dense:hnsw,8,ef=99")]
    found = {until: plan.plan(Job(dataset, encoder, systems, 10, tmp_path / "i", until=until)) for until in ("eval", "search")}
    assert [s.name for s in found["eval"].steps[3:]] == ["dense:hnsw,8", "dense:hnsw,8,ef=99", "dense", "runs, measures"]
    assert [s.name for s in found["search"].steps[3:]] == ["dense:hnsw,8", "dense:hnsw,8,ef=99"]
    assert steps(found["eval"])["dense:hnsw,8,ef=99"].reused == "index, shared"
    assert steps(found["eval"])["dense:hnsw,8,ef=99"].disk == 0


@pytest.mark.parametrize(("name", "least"), [("milvus:dense", 64), ("qdrant:dense:hnsw,8", 128), ("milvus:sparse:16", 64)])
def test_engines_are_planned_to_hold_what_they_have_whether_they_are_here_or_not(
    name: str, least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = dataclasses.replace(load_dataset(str(write_beir(tmp_path / "d"))), docs_count=100_000_000)
    job = Job(dataset, Slow(Clock()), [System.parse(name)], 100, tmp_path / "i", until="index")
    monkeypatch.setattr(sizes, "disk_free", lambda folder: 1 << 50)
    monkeypatch.setattr(sizes, "memory_free", lambda: 1 << 50)
    plan.begin(job)
    monkeypatch.setattr(sizes, "memory_free", lambda: least * 100_000_000)
    with pytest.raises(RarityError, match="of memory"):
        plan.begin(job)
    if "dense" in name:
        plan.begin(dataclasses.replace(job, systems=SYSTEMS[:1]))  # from disk


@pytest.mark.parametrize("name", ["milvus:dense", "qdrant:dense:hnsw,8", "qdrant:sparse:8"])
def test_nothing_is_tried_on_a_server(name: str, tmp_path: Path, stories: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def tried(*_: object) -> None:
        raise AssertionError("something was built")

    monkeypatch.setenv(f"RARITYIR_{name.partition(':')[0].upper()}", "http://host:1")
    monkeypatch.setattr(calibration, "flat", tried)
    monkeypatch.setattr(calibration, "reading", tried)
    dataset = load_dataset(str(write_beir(tmp_path / "d")))
    job = Job(dataset, load_encoder(stories), [System.parse(name)], 10, tmp_path / "i", until="index")
    assert "assumed" in steps(plan.plan(job))[name].basis


def test_a_judged_sub_collection_is_planned_by_its_own_size(tmp_path: Path, stories: str) -> None:
    from rarityir.retrieval import Retriever

    dataset, encoder = load_dataset(str(many(tmp_path / "d", 300))), load_encoder(stories)
    judged = {doc_id for relevance in dataset.qrels.values() for doc_id in relevance}
    job = Job(dataset, encoder, SYSTEMS[:1], 10, tmp_path / "i", sample="20", until="index")
    found = plan.plan(job)
    assert found.dataset == "d/test@sample=20,seed=0"
    assert found.documents == len(judged) + 20
    assert steps(found)["embeddings"].disk == 4 * encoder.dim * (len(judged) + 20)
    assert steps(found)["documents"].disk == plan.DOC_ID * 300
    pooled = plan.plan(dataclasses.replace(job, sample="", pool="bm25:2"))
    whole = Retriever(dataset, encoder, tmp_path / "i")
    real = narrow(whole, "bm25:2")
    kept = real.dataset.docs_count
    assert kept <= pooled.documents <= len(judged) + 2 * 3
    assert steps(pooled)["pool=bm25:2"].disk > steps(found)["sample=20,seed=0"].disk  # an index over the whole
    real.index(SYSTEMS[0])
    again = plan.plan(dataclasses.replace(job, sample="", pool="bm25:2"))
    assert again.documents == kept
    assert [s.disk for s in again.steps] == [0, 0, 0, 0]
    assert again.read.startswith(f"{kept} of 300 documents")
    assert plan.begin(dataclasses.replace(job, sample="", pool="bm25:2")) == ""
    assert steps(plan.plan(dataclasses.replace(job, sample="", pool="bm25:3")))["embeddings"].disk > 0


def test_a_dataset_that_is_a_path_names_no_experiment(beir: Path, stories: str, work: Path) -> None:
    (beir.parent / "tiny.toml").write_text("nonsense = 1")
    assert main(["eval", "--dataset", str(beir), "--encoder", stories, "--systems", "bm25", "--dry-run"]) == 0


@pytest.mark.parametrize("name", ["msmarco-dev", "trec-dl-2019", "trec-dl-2020"])
def test_the_experiments_on_ms_marco_are_whole(name: str) -> None:
    found = Experiment.load(Path(__file__).parents[1] / "evals" / f"{name}.toml")
    assert found.check()
    assert (found.dataset, found.baseline, found.cutoff) == (name, "bm25", 1000)
    assert outline(name).docs_count == 8_841_823


def test_a_prebuilt_index_that_is_here_is_planned_as_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSERINI_CACHE", str(tmp_path))
    monkeypatch.setattr(calibration, "lucene", lambda *_: calibration.Tried(3.0, 0.001, 50.0, 0.5, "told"))
    job = Job(outline("msmarco-dev"), Slow(Clock()), [System.parse("bm25")], 10, tmp_path / "i", until="index")
    made = steps(plan.plan(job))["bm25"]
    assert made.seconds > 3 + 0.001 * 8_841_823
    assert "where it can be fetched" in made.basis
    folder = prebuilt.cache() / prebuilt.known("msmarco-passage")[0].folder
    folder.mkdir(parents=True)
    (folder / "segments").write_bytes(bytes(5000))
    made = steps(plan.plan(job))["bm25"]
    assert (made.disk, made.seconds) == (5000, pytest.approx(5000 / 1e6))
    monkeypatch.setattr("rarityir.indexes.milvus.Milvus.version", lambda _: "2")
    other = steps(plan.plan(dataclasses.replace(job, systems=[System.parse("milvus:bm25")])))["milvus:bm25"]
    assert other.seconds > 3 + 0.001 * 8_841_823  # which no prebuilt index is of
    assert "prebuilt" not in other.basis
    pooled = plan.plan(dataclasses.replace(job, pool="bm25:10"))
    kept = pooled.documents
    assert steps(pooled)["pool=bm25:10"].disk == 5000 + plan.DOC_ID * kept
    assert steps(pooled)["bm25"].disk > 50 * kept  # a sub-collection's own


def test_a_pool_is_expected_between_what_it_must_and_what_it_can_hold() -> None:
    assert expected(Sample(100), 1000, 5, 50) == 150
    assert expected(Sample(100), 120, 5, 50) == 120
    assert expected(Pool.parse("bm25:10"), 1000, 1, 0) == 10
    assert expected(Pool.parse("bm25:10"), 1000, 2, 0) == round(1000 * (1 - 0.99**2))
    assert expected(Pool.parse("bm25:1000"), 100, 3, 7) == 100
    assert expected(Pool.parse("bm25:10"), 1000, 2, 1000) == 1000


def test_every_long_command_begins_with_what_it_will_take(
    beir: Path, stories: str, work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--dataset", str(beir), "--encoder", stories, "--indexes", "here"]
    commands = {
        "encode": ["encode", *common],
        "index": ["index", "dense", *common],
        "search": ["search", "dense", "--out", "run.trec", *common],
        "eval": ["eval", "--systems", "bm25,dense", "--out", "out", *common],
    }
    for argv in commands.values():  # a job of seconds says nothing
        assert main([*argv, "--indexes", "quick"]) == 0
        assert capsys.readouterr().err == ("out: report.html, report.md, runs\n" if argv[0] == "eval" else "")
    monkeypatch.setattr(plan, "LONG", 0.0)
    for name, argv in commands.items():
        assert main([*argv, "--dry-run"]) == 0
        assert not Path("here").exists()
        planned = capsys.readouterr()
        assert planned.err == ""
        assert ("embeddings" in planned.out, "queries" in planned.out) == (True, name in ("search", "eval"))
        shutil.rmtree("here", ignore_errors=True)
        assert main(argv) == 0
        said = capsys.readouterr().err.splitlines()
        assert said[1:] == ["out: report.html, report.md, runs"] * (name == "eval")
        assert said[0].startswith("tiny/test, encoder stories260K: 6 documents, about 1")
        assert "of disk here (--dry-run says more)" in said[0]
        assert main(["-q", *argv, "--indexes", f"quiet-{name}"]) == 0
        assert capsys.readouterr().err == ""
        assert main([*argv, "--cutoff", "9"] if name == "search" else argv) == 0
        assert [line for line in capsys.readouterr().err.splitlines() if "--dry-run" in line] == []
        shutil.rmtree("here")


def test_a_collection_that_is_not_here_is_planned_from_its_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "encoding", lambda *_: (calibration.Rate(1e4, 0.0, "told"), np.ones((4, 16), np.float32)))
    dataset = outline("msmarco-dev")
    found = plan.plan(Job(dataset, Slow(Clock(), most=512), SYSTEMS[:1], 1000, tmp_path / "none"))
    assert (found.documents, found.topics) == (8_841_823, 6_980)
    assert found.tokens == 56 * 8_841_823
    assert "assumed" in found.read
    assert steps(found)["embeddings"].seconds == pytest.approx(56 * 8_841_823 / 1e4 + 4 * 16 * 8_841_823 / 1e6)
    told = " ".join(found.cheaper)
    for way in ("--pool bm25:100", "--sample 100000", "--cluster"):
        assert way in told
    assert "107,437 documents" in told  # the judged and 100,000 others
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
