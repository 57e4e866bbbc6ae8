"""Judged sub-collections: which documents they keep, and that nothing made of them goes without their label."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from pathlib import Path

import pytest
from tiny import write_beir

from rarityir import experiment
from rarityir.cli import main
from rarityir.datasets import load_dataset
from rarityir.encoders import load_encoder
from rarityir.experiment import Experiment, default_folder
from rarityir.retrieval import Retriever
from rarityir.subcollection import Pool, Sample, check, narrow
from rarityir.systems import System
from rarityir.types import RarityError, StaleArtefact, UnknownName

# Eight words each: only how often a document says ball, or kite, sets it apart. j1 and j2 are judged and say neither.
WORDS = {
    "u0": "stone", "u1": "ball", "u2": "ball ball", "j1": "stone", "u3": "ball ball ball", "u4": "kite",
    "u5": "kite kite", "j2": "stone", "u6": "stone",
}  # fmt: skip
DOCS = {doc_id: ("", " ".join([*words.split(), *["filler"] * (8 - len(words.split()))])) for doc_id, words in WORDS.items()}
QUERIES = {"q1": "ball", "q2": "kite", "q3": "zymurgy"}
QRELS = {"q1": {"j1": 1, "u2": 0}, "q2": {"j2": 2}, "q3": {"gone": 1}}
JUDGED = {"j1", "j2", "u2"}


@pytest.fixture
def words(tmp_path: Path) -> Path:
    return write_beir(tmp_path / "words", DOCS, QUERIES, QRELS)


def whole(folder: Path | str, indexes: Path, encoder=None) -> Retriever:
    """What answers over all documents; choosing documents asks no encoder, so there is none unless a test brings one."""
    return Retriever(load_dataset(str(folder)), encoder, indexes)


def kept(retriever: Retriever) -> list[str]:
    return [doc.doc_id for doc in retriever.dataset.docs()]


@pytest.mark.parametrize(
    ("depth", "found"),
    [(1, {"u3", "u5"}), (2, {"u3", "u2", "u5", "u4"}), (3, {"u3", "u2", "u1", "u5", "u4"}), (50, {"u1", "u2", "u3", "u4", "u5"})],
)
def test_a_pool_is_the_best_of_any_topic_and_the_judged_in_the_corpus_order(words, tmp_path, depth, found):
    made = narrow(whole(words, tmp_path / "ix"), pool=f"bm25:{depth}")
    assert kept(made) == [doc_id for doc_id in DOCS if doc_id in found | JUDGED]
    assert list(made.corpus.doc_ids) == kept(made)
    assert dict(made.dataset.subset) == {
        "tag": f"pool=bm25:{depth}", "documents": len(found | JUDGED), "of": 9, "judged": 3,
    }  # fmt: skip


def test_a_pool_of_cranfield_is_that_of_its_run_and_changes_neither_topics_nor_qrels(tmp_path):
    full = whole("cranfield", tmp_path / "ix")
    made = narrow(full, pool="bm25:5").dataset
    run = full.run(System.parse("bm25"), 40)
    wanted = {doc_id for query_id in run for doc_id, _ in run[query_id][:5]}
    wanted |= {doc_id for judged in full.dataset.qrels.values() for doc_id in judged}
    docs = [doc for doc in full.dataset.docs() if doc.doc_id in wanted]
    assert list(made.docs()) == docs
    assert len(docs) == made.docs_count < 1400
    assert made.topics == full.dataset.topics
    assert made.qrels == full.dataset.qrels


def test_a_pool_takes_the_settings_of_its_system(tmp_path):
    long = {"short": ("", "ball"), "long": ("", "ball ball " + "filler " * 60), "j": ("", "stone")}
    folder = write_beir(tmp_path / "b", long, {"q": "ball"}, {"q": {"j": 1}})
    assert kept(narrow(whole(folder, tmp_path / "ix"), pool="bm25:k1=2,b=1:1")) == ["short", "j"]
    assert kept(narrow(whole(folder, tmp_path / "ix"), pool="bm25:k1=2,b=0:1")) == ["long", "j"]


def test_a_query_that_is_a_document_does_not_pool_itself(tmp_path):
    folder = write_beir(tmp_path / "arguana", DOCS, {"u3": "ball"}, {"u3": {"j1": 1}})
    assert load_dataset(str(folder)).drops_query_document
    assert kept(narrow(whole(folder, tmp_path / "ix"), pool="bm25:1")) == ["u2", "j1"]


def test_a_sample_is_the_smallest_digests_of_what_nobody_judged(words, tmp_path):
    def drawn(count: int, seed: int) -> set[str]:
        unjudged = [doc_id for doc_id in DOCS if doc_id not in JUDGED]
        return {*sorted(unjudged, key=lambda d: hashlib.sha256(f"{seed}\t{d}".encode()).hexdigest())[:count]}

    full = whole(words, tmp_path / "ix")
    for count, seed in ((0, 0), (1, 0), (3, 0), (3, 5), (6, 1), (99, 0)):
        made = narrow(full, sample=f"{count},seed={seed}")
        assert kept(made) == [doc_id for doc_id in DOCS if doc_id in drawn(count, seed) | JUDGED]
        assert made.dataset.subset["tag"] == f"sample={count},seed={seed}"
    assert kept(narrow(full, sample="3")) == kept(narrow(full, sample="3,seed=0"))


def test_samples_are_even_nested_and_differ_by_seed(tmp_path):
    full = whole("cranfield", tmp_path / "ix")
    judged = {doc_id for relevance in full.dataset.qrels.values() for doc_id in relevance}
    drawn = {seed: {*kept(narrow(full, sample=f"100,seed={seed}"))} - judged for seed in range(3)}
    assert {len(found) for found in drawn.values()} == {100}
    assert len(drawn[0] & drawn[1]) < 60  # 100 of 476 unjudged twice: 21 expected
    assert drawn[0] == {*kept(narrow(full, sample="100"))} - judged
    assert drawn[0] < {*kept(narrow(full, sample="200"))}
    rows = [row for row, doc_id in enumerate(full.corpus.doc_ids) if doc_id in drawn[0] | drawn[1] | drawn[2]]
    assert 550 < sum(rows) / len(rows) < 850


@pytest.mark.parametrize("text", ["bm25:100", "bm25:k1=1.2,b=0.75:20"])
def test_a_pool_is_written_as_it_is_read(text):
    assert str(Pool.parse(text)) == text
    assert str(Sample.parse("007")) == "7,seed=0"


@pytest.mark.parametrize(
    ("pool", "sample", "words"),
    [
        ("bm25", "", "does not say how deep.*bm25:100"),
        ("bm25:k1=0.9", "", "does not say how deep"),
        ("bm25:0", "", "does not say how deep"),
        ("bm25:-3", "", "does not say how deep"),
        ("bm25:k1=-1:5", "", "k1 must be at least 0"),
        ("dense:10", "", "dense would need every document encoded.*bm25:10"),
        ("sparse:64:10", "", "sparse:64 would need every document encoded"),
        ("rrf(bm25,bm25:k1=2):10", "", "would need every document encoded"),
        ("", "-1", "no number of documents"),
        ("", "seed=1", "no number of documents"),
        ("", "many", "documents='many' is not a whole number"),
        ("bm25:10", "10", "two ways"),
    ],
)
def test_what_is_wrong_is_said_before_any_work(pool, sample, words):
    with pytest.raises(RarityError, match=words):
        check(pool, sample)
    with pytest.raises(RarityError, match=words):
        Experiment(dataset="no-such-dataset", systems=("bm25",), pool=pool, sample=sample).check()


def test_an_unknown_pool_system_or_sample_option_is_named():
    with pytest.raises(UnknownName, match="did you mean bm25"):
        check("bm52:10", "")
    with pytest.raises(UnknownName, match="option of sample 'sed'"):
        check("", "10,sed=1")


def test_nothing_asked_for_is_the_whole_itself(words, tmp_path):
    full = whole(words, tmp_path / "ix")
    assert narrow(full) is full
    assert not (tmp_path / "ix").exists()


def test_nothing_kept_is_an_error(tmp_path):
    folder = write_beir(tmp_path / "b", DOCS, {"q": "zymurgy"}, {"q": {"gone": 1}})
    for chosen in ({"pool": "bm25:3"}, {"sample": "0"}):
        with pytest.raises(RarityError, match="keeps no document of b/test"):
            narrow(whole(folder, tmp_path / "ix"), **chosen)


def test_pools_have_folders_of_their_own_and_share_the_index_of_the_whole(words, tmp_path):
    home = tmp_path / "ix"
    full, again = whole(words, home), whole(words, home)
    one = narrow(full, pool="bm25:1")
    built = (full.corpus.folder / "bm25" / "manifest.json").stat().st_mtime_ns
    two = narrow(again, pool="bm25:2")
    assert (full.corpus.folder / "bm25" / "manifest.json").stat().st_mtime_ns == built
    folders = {full.corpus.folder, one.corpus.folder, two.corpus.folder}
    assert len(folders) == 3
    assert one.corpus.folder.name == f"words--test@{full.corpus.folder.name.partition('@')[2]}@pool=bm25_1"
    assert one.corpus.digest != two.corpus.digest
    assert len(kept(narrow(whole(words, home), pool="bm25:1"))) == 5  # the first is still there and still itself


def test_a_pool_that_other_judgments_or_topics_chose_is_not_reused(words, tmp_path):
    before = narrow(whole(words, tmp_path / "ix"), pool="bm25:1").corpus
    write_beir(words, DOCS, QUERIES, {**QRELS, "q2": {"j2": 2, "u6": 1}})
    with pytest.raises(StaleArtefact, match="doc_ids"):
        narrow(whole(words, tmp_path / "ix"), pool="bm25:1").corpus  # noqa: B018
    write_beir(words, DOCS, {**QUERIES, "q3": "stone"}, QRELS)
    with pytest.raises(StaleArtefact, match="doc_ids"):
        narrow(whole(words, tmp_path / "ix"), pool="bm25:1").corpus  # noqa: B018
    write_beir(words, DOCS, QUERIES, QRELS)
    assert narrow(whole(words, tmp_path / "ix"), pool="bm25:1").corpus == before


def test_two_splits_of_a_corpus_have_pools_of_their_own(words, tmp_path):
    (words / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq2\tu0\t1\n")
    test, dev = (narrow(whole(f"{words}:{split}", tmp_path / "ix"), pool="bm25:1") for split in ("test", "dev"))
    assert kept(dev) == ["u0", "u5"]
    assert test.corpus.folder != dev.corpus.folder
    assert default_folder(test.dataset, "demo", "") != default_folder(dev.dataset, "demo", "")


def test_a_sub_collection_answers_as_a_collection_of_those_documents_alone(words, tmp_path, stories):
    encoder = load_encoder(stories)
    made = narrow(whole(words, tmp_path / "ix", encoder), pool="bm25:2")
    alone = write_beir(tmp_path / "alone", {doc_id: DOCS[doc_id] for doc_id in kept(made)}, QUERIES, QRELS)
    other = whole(alone, tmp_path / "ix", encoder)
    for name in ("bm25", "dense", "dense+whiten:2", "sparse:8", "rrf(bm25,dense)"):
        ours, theirs = (retriever.run(System.parse(name), 5) for retriever in (made, other))
        assert {query_id: ours[query_id] for query_id in ours} == {query_id: theirs[query_id] for query_id in theirs}
        assert (ours.name, theirs.name) == (f"{name}@pool=bm25:2", name)


@pytest.fixture(scope="module")
def performed(tmp_path_factory, stories):
    """The experiment over a pool, its report and its folder."""
    home = tmp_path_factory.mktemp("pooled")
    asked = Experiment(
        dataset=str(write_beir(home / "words", DOCS, QUERIES, QRELS)),
        pool="bm25:1",
        encoder=stories,
        systems=("bm25", "dense", "rrf(bm25,dense)"),
        cutoff=5,
        indexes=str(home / "indexes"),
        out=str(home / "out"),
    )
    return asked, experiment.perform(asked), home / "out"


NOTE = "Judged sub-collection pool=bm25:1: 5 of 9 documents, 3 of them judged. Figures do not compare with those of the whole"


def test_every_table_says_that_it_is_of_a_sub_collection(performed):
    _, report, folder = performed
    assert [row.name for row in report.rows] == ["bm25", "dense", "rrf(bm25,dense)"]
    for text in (str(report), report.markdown(), (folder / "report.md").read_text()):
        assert "words/test@pool=bm25:1, encoder stories260K" in text
        assert NOTE in text
    assert "words/test@pool=bm25:1, encoder" in (folder / "report.tex").read_text()
    found = json.loads((folder / "report.json").read_text())
    assert found["dataset"] == "words/test@pool=bm25:1"
    assert found["subset"] == {"tag": "pool=bm25:1", "documents": 5, "of": 9, "judged": 3}
    assert found["notes"][-1].startswith(NOTE)


def test_every_run_and_its_sidecar_and_the_provenance_say_so_too(performed):
    _, report, folder = performed
    subset = {"tag": "pool=bm25:1", "documents": 5, "of": 9, "judged": 3}
    for path in (folder / "runs").glob("*.trec"):
        facts = json.loads(path.with_suffix(".json").read_text())
        assert {line.split()[5] for line in path.read_text().splitlines()} == {f"{facts['system']}@pool=bm25:1"}
        assert facts["subset"] == subset
        assert facts["documents"]["of"]["sha256"]
    found = json.loads((folder / "provenance.json").read_text())
    assert found["experiment"]["pool"] == "bm25:1"
    assert found["dataset"]["name"] == "words/test@pool=bm25:1"
    assert found["dataset"]["corpus"].endswith("@pool=bm25:1")
    assert found["dataset"]["subset"] == subset
    assert report.subset == subset


def test_a_report_made_again_keeps_the_label_and_a_run_of_the_whole_does_not_join_it(performed, tmp_path):
    import shutil

    asked, report, folder = performed
    shutil.copytree(folder / "runs", tmp_path / "runs")
    assert experiment.rebuild(tmp_path).to_dict() == report.to_dict()
    assert (tmp_path / "report.md").read_text() == (folder / "report.md").read_text()
    other = dataclasses.replace(asked, pool="", systems=("bm25",), out=str(tmp_path / "whole"))
    assert "subset" not in experiment.perform(other).to_dict()
    for suffix in ("trec", "json"):
        shutil.copy(tmp_path / "whole" / "runs" / f"bm25.{suffix}", tmp_path / "runs" / f"other.{suffix}")
    with pytest.raises(RarityError, match="differ in subset"):
        experiment.rebuild(tmp_path)


def test_judged_documents_that_the_corpus_lacks_are_said_and_not_counted(words, tmp_path, stories, caplog):
    asked = Experiment(
        str(words), sample="1", encoder=stories, systems=("bm25",), indexes=str(tmp_path / "ix"), out=str(tmp_path)
    )
    with caplog.at_level(logging.WARNING):
        report = experiment.perform(asked)
    assert "1 judged doc_ids are not in the corpus (first: gone)" in caplog.text
    assert report.subset == {"tag": "sample=1,seed=0", "documents": 4, "of": 9, "judged": 3}
    assert report.topics == 3


def test_the_command_line_chooses_labels_and_keeps_folders_apart(words, tmp_path, stories, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    common = ["--dataset", str(words), "--encoder", stories, "--indexes", "ix"]
    assert main(["eval", *common, "--systems", "bm25", "--pool", "bm25:1"]) == 0
    assert NOTE in capsys.readouterr().out
    (made,) = Path("evals").iterdir()
    digest = load_dataset(str(words)).corpus.partition("@")[2]
    assert made.name == f"words--test@{digest}@pool=bm25_1-stories260K"
    assert main(["search", "dense", *common, "--sample", "1,seed=3", "--cutoff", "2"]) == 0
    assert {line.split()[5] for line in capsys.readouterr().out.splitlines()} == {"dense@sample=1,seed=3"}
    assert main(["search", "bm25", *common, "--pool", "bm25:1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dataset"] == "words/test@pool=bm25:1"
    for argv in (["encode", *common], ["index", "dense", *common]):
        assert main([*argv, "--pool", "bm25:1"]) == 0
        assert f"@{digest}@pool=bm25_1/" in capsys.readouterr().out
    assert main(["encode", "--dataset", "no-such", "--pool", "dense:1"]) == 1  # before anything is loaded
    assert "would need every document encoded" in capsys.readouterr().err
    assert main(["eval", *common, "--pool", "bm25:1", "--sample", "3"]) == 1
    assert "two ways" in capsys.readouterr().err


def test_an_experiment_file_pools_and_its_folder_is_not_used_for_another_choice(words, tmp_path, stories, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [
        f'dataset = "{words}"',
        f'encoder = "{stories}"',
        'systems = ["bm25"]',
        "sample = 2",
        'out = "mine"',
        'indexes = "ix"',
    ]
    Path("e.toml").write_text("\n".join(lines))
    assert main(["eval", "--experiment", "e.toml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["subset"]["tag"] == "sample=2,seed=0"
    before = {path: path.read_bytes() for path in Path("mine").rglob("*") if path.is_file()}
    assert before
    for argv, tag in (
        (["--sample", ""], None),
        (["--sample", "", "--pool", "bm25:1"], "pool=bm25:1"),
        (["--sample", "3"], "sample=3,seed=0"),
    ):
        assert main(["eval", "--experiment", "e.toml", "--json", *argv]) == 0
        assert json.loads(capsys.readouterr().out).get("subset", {}).get("tag") == tag
        assert {path: path.read_bytes() for path in Path("mine").rglob("*") if path.is_file()} == before
    assert main(["eval", "--experiment", "e.toml", "--sample", "", "--out", "yours"]) == 0
    assert Path("yours/report.json").exists()
