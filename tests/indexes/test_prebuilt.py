"""A prebuilt Lucene index ranks as one built here, is checked before it is used, and never writes outside its folder."""

from __future__ import annotations

import dataclasses
import hashlib
import http.client
import io
import json
import logging
import random
import tarfile
from pathlib import Path

import pytest
from tiny import write_beir

from rarityir import store
from rarityir.datasets import load_dataset
from rarityir.indexes import java, prebuilt
from rarityir.indexes.bm25 import BM25Index
from rarityir.indexes.prebuilt import Prebuilt
from rarityir.retrieval import Retriever
from rarityir.subcollection import narrow
from rarityir.systems import System

WORDS = ["cat", "dog", "bird", "tree", "rain", "snow", "sun", "moon", "running", "houses", "lights"]
BM25 = System.parse("bm25")


class NoEncoder:
    def __getattr__(self, name: str) -> object:
        raise AssertionError(name)


def texts(count: int = 240) -> list[str]:
    """Short ones of few words, so that many score alike; every one holds stop words too."""
    rng = random.Random(0)
    return [f"the {' '.join(rng.choice(WORDS) for _ in range(rng.randint(1, 4)))} of and" for _ in range(count)]


def lucene(folder: Path, some: list[str], *more: str) -> Path:
    """A Lucene index whose ids are numbers without leading zeros, as Pyserini's are."""
    (folder / "source").mkdir(parents=True)
    lines = [json.dumps({"id": str(i), "contents": text}) for i, text in enumerate(some)]
    (folder / "source" / "documents.jsonl").write_text("\n".join(lines) + "\n")
    argv = ["-collection", "JsonCollection", "-generator", "DefaultLuceneDocumentGenerator", "-threads", "1", "-quiet"]
    argv += ["-input", str(folder / "source"), "-index", str(folder / "index"), *more]
    java.classes()("io.anserini.index.IndexCollection").main(argv)
    return folder / "index"


def archived(index: Path, archive: Path, count: int = 240, **more: bytes) -> Prebuilt:
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(index, "made-elsewhere")
        for name, content in more.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("made-elsewhere/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    digest = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    return Prebuilt("fake-slim", archive.name, digest, ("file:///nowhere", archive.as_uri()), count)


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Retriever:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("PYSERINI_CACHE", str(tmp_path / "cache"))
    queries = {
        f"q{i}": " ".join(words) for i, words in enumerate([("cat",), ("dog", "cat"), ("rain", "running", "the"), ("zyzzyva",)])
    }
    docs = {str(i): ("", text) for i, text in enumerate(texts())}
    dataset = load_dataset(str(write_beir(tmp_path / "d", docs, queries, {name: {"7": 1} for name in queries})))
    return Retriever(dataclasses.replace(dataset, corpus="msmarco-passage"), NoEncoder(), tmp_path / "indexes")


def cut_off(*_: object, **__: object) -> None:
    raise http.client.IncompleteRead(b"some")


def offer(monkeypatch: pytest.MonkeyPatch, *choices: Prebuilt) -> None:
    monkeypatch.setattr(prebuilt, "known", lambda corpus: list(choices) if corpus == "msmarco-passage" else [])


def identity(whole: Retriever) -> dict[str, str]:
    return {"index": "bm25", "form": BM25Index.version(), "documents": whole.corpus.digest}


def rows(retriever: Retriever, cutoff: int) -> list[list[int]]:
    return retriever.search(BM25, cutoff).hits.rows.tolist()


def test_the_table_in_the_jar_is_read() -> None:
    slim, full = prebuilt.known("msmarco-passage")
    assert (slim.name, slim.documents, slim.md5) == ("msmarco-v1-passage-slim", 8_841_823, "229c750cc39eaa25f0c37bf69c2c708f")
    assert full.folder == "lucene-inverted.msmarco-v1-passage.20221004.252b5e.678876e8c99a89933d553609a0fd8793"
    assert full.urls[0].startswith("https://")
    assert prebuilt.known("cranfield") == []


def test_a_prebuilt_index_ranks_as_one_built_here_at_every_cutoff(
    tmp_path: Path, whole: Retriever, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    offer(
        monkeypatch,
        archived(
            lucene(tmp_path / "p", texts()), tmp_path / "fake.tar.gz", **{"../../outside": b"no", "/tmp/evil-outside": b"no"}
        ),
    )
    monkeypatch.setattr(prebuilt, "TIES", 2)
    home = tmp_path / "indexes" / "msmarco-passage" / "bm25"
    begun = home / "lucene" / "_9.cfs"  # of an index that was begun here, and stopped
    begun.parent.mkdir(parents=True)
    begun.touch()
    store.write_json(home / store.PARTIAL, identity(whole))
    with caplog.at_level(logging.WARNING, "rarityir"):
        found = {cutoff: rows(whole, cutoff) for cutoff in (1, 2, 7, 40, 100, 1000)}
    assert caplog.messages == []
    assert not begun.exists()
    facts = json.loads((home / "manifest.json").read_text())["facts"]
    assert facts["prebuilt"]["name"] == "fake-slim"
    assert whole.search(BM25, 7).cost["prebuilt"] == facts["prebuilt"]
    assert not list(home.glob(".*.tar.gz.tmp"))
    assert not (home / "lucene" / "link").exists()
    assert list(tmp_path.rglob("outside")) in ([], [home / "lucene" / "outside"])
    assert not Path("/tmp/evil-outside").exists()
    own = Retriever(dataclasses.replace(whole.dataset, corpus="mine"), NoEncoder(), tmp_path / "indexes")
    assert found == {cutoff: rows(own, cutoff) for cutoff in found}
    assert "prebuilt" not in own.search(BM25, 7).cost
    scores = [retriever.search(BM25, 40).hits.scores for retriever in (whole, own)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)


def test_the_cache_is_used_without_a_network(tmp_path: Path, whole: Retriever, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    one = Prebuilt("fake", "fake.tar.gz", "0" * 32, ("file:///nowhere",), 240)
    (tmp_path / "cache" / "indexes").mkdir(parents=True)
    lucene(tmp_path / "p", texts()).rename(tmp_path / "cache" / "indexes" / one.folder)
    offer(monkeypatch, Prebuilt("other", "other.tar.gz", "1" * 32, (), 240), one)
    assert whole.search(BM25, 5).cost["prebuilt"]["name"] == "fake"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("checksum", "the checksum of file://"), ("nowhere", "nowhere"), ("cut", "IncompleteRead"),
        ("offline", "HF_HUB_OFFLINE is set"),
        ("texts", "it was made"), ("stems", "it was made"), ("stops", "stop word"), ("count", "it holds 239 documents"),
        ("shuffled", "it was made of other texts"), ("part", "it holds 200 documents"), ("ids", "not in the order of their ids"),
    ],
)  # fmt: skip
def test_what_is_not_this_corpus_is_not_used_and_the_corpus_is_indexed(
    wrong: str, said: str, tmp_path: Path, whole: Retriever, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    some, more = texts(), ()
    if wrong == "texts":
        some = [text.replace("cat", "zebra") for text in some]
    if wrong == "part":
        some = some[:200]
    if wrong == "shuffled":
        some = some[::-1]
    if wrong == "stems":
        more = ("-stemmer", "none")
    if wrong == "stops":
        more = ("-keepStopwords",)
    one = archived(lucene(tmp_path / "p", some, *more), tmp_path / "fake.tar.gz", 239 if wrong == "count" else 240)
    if wrong == "checksum":
        one = dataclasses.replace(one, md5="0" * 32)
    if wrong == "nowhere":
        one = dataclasses.replace(one, urls=("file:///nowhere",))
    if wrong == "cut":
        monkeypatch.setattr(prebuilt.urllib.request, "urlopen", cut_off)
    if wrong == "offline":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    if wrong == "ids":
        docs = whole.dataset.docs
        whole.dataset = dataclasses.replace(whole.dataset, docs=lambda: (doc._replace(doc_id=f"d{doc.doc_id}") for doc in docs()))
    offer(monkeypatch, one)
    with caplog.at_level(logging.WARNING, "rarityir"):
        found = whole.search(BM25, 20)
    (line,) = [message for message in caplog.messages if "prebuilt" in message]
    assert said in line
    assert line.endswith("; the corpus is indexed")
    assert "prebuilt" not in found.cost
    own = Retriever(dataclasses.replace(whole.dataset, corpus="mine"), NoEncoder(), tmp_path / "indexes")
    assert found.hits.rows.tolist() == rows(own, 20)


def test_a_sub_collection_is_never_answered_by_the_whole(
    tmp_path: Path, whole: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, archived(lucene(tmp_path / "p", texts()), tmp_path / "fake.tar.gz"))
    found = narrow(whole, sample="50")
    assert "prebuilt" not in found.search(BM25, 20).cost
    assert found.search(BM25, 1000).hits.rows.max() < 51
