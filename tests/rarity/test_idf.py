"""IDF without a corpus: closed forms, every source through one stored index, and what no score may depend on."""

from __future__ import annotations

import json
import math
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tiny import STORIES_DOCS, STORIES_QRELS, STORIES_QUERIES, write_beir

import rarityir as ri
from rarityir import retrieval
from rarityir.counts import TokenCounts
from rarityir.indexes.subword import SubwordIndex, counted
from rarityir.measures.significance import randomisation
from rarityir.rarity import idf
from rarityir.rarity.recovered import recovered
from rarityir.rarity.sources import Rarities
from rarityir.rarity.stats import TokenStats
from rarityir.settings import IDFS, IdfSettings
from rarityir.systems import System
from rarityir.types import RarityError, UnknownName

pytestmark = pytest.mark.usefixtures("elsewhere")


ENGLISH = cache(TokenCounts.english)  # a second to cut in tokens


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TokenCounts, "english", ENGLISH)


# What a surprise becomes.


def test_a_surprise_becomes_the_idf_of_the_documents_it_expects():
    for df, documents in ((1, 10), (3, 1000), (999, 1000), (12345, 10**6)):
        y = -math.log(df / documents)
        expected = math.log(1 + (documents - df + 0.5) / (df + 0.5))
        assert idf.expected_idf(np.array([y]), documents)[0] == pytest.approx(expected, rel=1e-9)


def test_no_surprise_and_endless_surprise_are_half_a_document_from_the_ends():
    low, high = idf.expected_idf(np.array([-3.0, 500.0]), 1000)
    assert low == pytest.approx(math.log(1 + 1 / 1000))
    assert high == pytest.approx(math.log(1 + 1000 / 1))
    assert (idf.expected_idf(np.linspace(-50, 900, 99), 10**6) > 0).all()


def test_draws_one_by_one_leave_a_token_out_as_poisson_says():
    rng, p, length = np.random.default_rng(0), np.array([0.002, 0.02]), 50
    there = rng.poisson(length * p, size=(400_000, 2)) > 0
    assert np.abs(np.exp(-idf.poisson_surprise(p, length)) - there.mean(axis=0)).max() < 4 * 0.5 / math.sqrt(400_000)
    assert idf.poisson_surprise(np.array([1e-9]), 200)[0] == pytest.approx(-math.log(2e-7), rel=1e-6)


def test_counts_are_raised_by_a_half_before_they_are_shares():
    found = idf.counted_surprise(TokenCounts(np.array([0, 3, 96]), "x"), 10)
    shares = np.array([0.5, 3.5, 96.5]) / 100.5
    np.testing.assert_allclose(found, -np.log(1 - np.exp(-10 * shares)))


def test_numbered_tokens_follow_zipf():
    found = idf.numbered_surprise(1000, 200)
    h = sum(1 / r for r in range(1, 1001))
    assert found[499] == pytest.approx(-math.log(1 - math.exp(-200 / (500 * h))))
    assert (np.diff(found) > 0).all()


def test_a_class_is_missing_where_all_its_tokens_are():
    y = -np.log(np.array([0.5, 0.2, 0.1, 0.9]))
    found = idf.joined_surprise(y, np.array([0, 1, 0, -1]), 2)
    np.testing.assert_allclose(np.exp(-found), [1 - 0.5 * 0.9, 0.2])


def test_pieces_of_words():
    cut = {"flow": [1, 2], "past": [3], "a": [4], "body": [5, 6, 7]}

    def tokenize(texts):
        return [[i for word in text.replace(".", "").split() for i in cut[word]] for text in texts]

    weights = np.array([0, 9, 8, 1, 1, 2, 3, 1.0])
    texts = ["flow past a body.", ""]
    assert idf.pieces(texts, tokenize, weights, "sum") == [[1, 2, 3, 4, 5, 6, 7], []]
    assert idf.pieces(texts, tokenize, weights, "max") == [[1, 3, 4, 6], []]
    assert idf.pieces(texts, tokenize, weights, "last") == [[2, 3, 4, 7], []]


# The gap.


def test_the_gap_is_a_ratio_of_mean_gains():
    rng = np.random.default_rng(0)
    uniform, oracle = rng.random(300), rng.random(300) + 1
    found = uniform + 0.3 * (oracle - uniform)
    gap = recovered([(found, uniform, oracle)])
    assert gap.value == pytest.approx(0.3)
    assert gap.low == pytest.approx(0.3)
    assert gap.high == pytest.approx(0.3)
    assert gap.sound
    two = recovered([(found, uniform, oracle), (uniform[:9] + 0.5, uniform[:9], uniform[:9] + 1)])
    gains = [0.3 * (oracle - uniform).mean(), 0.5], [(oracle - uniform).mean(), 1]
    assert two.low <= two.value <= two.high
    assert two.value == pytest.approx(sum(gains[0]) / sum(gains[1]))  # datasets weigh the same, however many topics they have


def test_the_interval_of_the_gap_covers_it(rng):
    inside = 0
    for _ in range(200):
        uniform = rng.random(80)
        oracle = uniform + rng.normal(0.2, 0.1, 80)
        found = uniform + 0.5 * (oracle - uniform) + rng.normal(0, 0.1, 80)
        gap = recovered([(found, uniform, oracle)], resamples=400)
        inside += gap.low <= 0.5 <= gap.high
    assert 172 <= inside <= 199  # of 200 at 95 %: fewer or more is rarer than one in 10,000


def test_where_there_is_no_gap_none_is_told():
    rng = np.random.default_rng(1)
    uniform = rng.random(50)
    assert not recovered([(uniform, uniform, uniform + rng.normal(0, 0.1, 50))]).sound
    assert not recovered([(uniform, uniform, uniform)]).sound


# Every source through the systems.


@pytest.fixture
def tiny(tmp_path: Path) -> ri.Dataset:
    return ri.load_dataset(str(write_beir(tmp_path / "tiny")))


@pytest.fixture(scope="session")
def encoder(stories: str) -> ri.Encoder:
    return ri.load_encoder(stories)


def opened(retriever: retrieval.Retriever, name: str) -> SubwordIndex:
    """The index of a system, weighed by its IDF, through what is public."""
    system = System.parse(name)
    (folder,) = retriever.index(system)
    index = SubwordIndex.open(system.index.arg, folder)
    rarities = retriever.rarities
    found = idf.idf(index.settings, rarities.vocabulary, rarities.surprise, index.documents, index.first_frequencies)
    return index.weighed(found)


def test_all_idfs_share_one_stored_index(tiny, encoder, tmp_path):
    retriever = retrieval.Retriever(tiny, encoder, tmp_path / "indexes")
    for name in IDFS:
        run = retriever.run(System.parse(f"bm25-idf:{name},level=L1,k1=1.2"))
        assert {run.doc_ids[row] for row in run.rows} <= set(STORIES_DOCS)
        assert run["q1"][0][1] > 0
    assert len(list((tmp_path / "indexes").rglob("lengths.npy"))) == 1
    assert not list((tmp_path / "indexes").rglob("embeddings"))


def test_the_oracle_is_the_bm25_of_the_corpus(tiny, encoder, tmp_path):
    retriever = retrieval.Retriever(tiny, encoder, tmp_path / "indexes")
    documents = encoder.tokenize([doc.text for doc in tiny.docs()])
    df, n = Counter(token for document in documents for token in set(document)), len(documents)
    mean = sum(map(len, documents)) / n
    run = retriever.run(System.parse("bm25-idf:oracle"))
    plain = retriever.run(System.parse("bm25-idf"))
    assert np.array_equal(run.rows, plain.rows)
    assert np.abs(run.scores - plain.scores).max() <= 1e-9
    for query_id, query in STORIES_QUERIES.items():
        expected = {}
        for doc_id, document in zip(STORIES_DOCS, documents, strict=True):
            total = 0.0
            for token in encoder.tokenize([query])[0]:
                tf = document.count(token)
                weight = math.log(1 + (n - df[token] + 0.5) / (df[token] + 0.5))
                total += weight * tf / (tf + 0.9 * (0.6 + 0.4 * len(document) / mean))
            expected[doc_id] = total
        ranked = sorted((d for d in expected if expected[d]), key=lambda d: -expected[d])
        assert [doc_id for doc_id, _ in run[query_id]] == ranked
        for doc_id, score in run[query_id]:
            assert score == pytest.approx(expected[doc_id], rel=1e-6)


def random_corpus(folder: Path, rng: np.random.Generator, count: int, kept: np.ndarray | None = None) -> ri.Dataset:
    """Documents of random words of the tiny collection; `kept` of them alone where given."""
    words = sorted({word for _, text in STORIES_DOCS.values() for word in text.split()})
    texts = [" ".join(rng.choice(words, rng.integers(3, 60))) for _ in range(count)]
    docs = {f"d{i}": ("", text) for i, text in enumerate(texts) if kept is None or i in kept}
    return ri.load_dataset(str(write_beir(folder, docs, STORIES_QUERIES, {"q1": {next(iter(docs)): 1}})))


@pytest.mark.parametrize("name", [name for name in IDFS if name != "oracle"])
def test_no_peeking_at_level_0(name, encoder, tmp_path, rng):
    """Nine of ten other documents can go: a document's score stays what it was to the last bits."""
    seed, kept = int(rng.integers(2**32)), rng.permutation(100)[:10]
    whole, few = (
        random_corpus(tmp_path / part, np.random.default_rng(seed), 100, some) for part, some in (("a", None), ("b", set(kept)))
    )
    queries = counted(encoder.tokenize(list(STORIES_QUERIES.values())), len(encoder.tokens()))
    scores = [
        opened(retrieval.Retriever(dataset, encoder, tmp_path / "indexes"), f"bm25-idf:{name}").scores(queries)
        for dataset in (whole, few)
    ]
    assert scores[0].max() > 0
    assert np.abs(scores[0][:, np.sort(kept)] - scores[1]).max() <= 1e-12


def test_the_oracle_does_peek_at_level_0(encoder, tmp_path):
    seed = 3
    whole, few = (
        random_corpus(tmp_path / part, np.random.default_rng(seed), 100, some)
        for part, some in (("a", None), ("b", set(range(10))))
    )
    queries = counted(encoder.tokenize(list(STORIES_QUERIES.values())), len(encoder.tokens()))
    one, two = (
        opened(retrieval.Retriever(dataset, encoder, tmp_path / "indexes"), "bm25-idf:oracle,level=L0").scores(queries)
        for dataset in (whole, few)
    )
    assert np.abs(one[:, :10] - two).max() > 1e-3


def test_a_source_that_is_the_corpus_is_marked_whatever_it_is_called(tiny, encoder, tmp_path):
    copy = write_beir(tmp_path / "copy")  # the same documents by another name
    cut = {f"x{doc_id}": ("", text.partition(" ")[2]) for doc_id, (_, text) in STORIES_DOCS.items()}
    other = write_beir(tmp_path / "other", cut, {"q": "cat"}, {"q": {"xd1": 1}})
    own = TokenStats.from_dataset(tiny, encoder.tokenize, vocabulary=len(encoder.tokens())).save(tmp_path / "own")
    alone = TokenStats.from_dataset(tiny, encoder.tokenize, vocabulary=len(encoder.tokens()))
    nameless = TokenStats(alone.documents, alone.df, alone.cf, alone.squares, alone.df2, "somewhere").save(tmp_path / "nameless")
    retriever = retrieval.Retriever(tiny, encoder, tmp_path / "indexes")

    def marked(source: object, names: tuple[str, ...] = ("transfer", "probe", "shuffled")) -> bool:
        costs = [retriever.search(System.parse(f"bm25-idf:{name},source={source}")).cost for name in names]
        assert len({cost["in_domain"] for cost in costs}) == 1
        return bool(costs[0]["in_domain"])

    assert [marked(source) for source in (tmp_path / "tiny", copy, own, nameless)] == [True] * 4
    assert [marked("english"), marked(other, ("transfer",))] == [False, False]
    assert "in_domain" not in retriever.search(System.parse("bm25-idf:uniform")).cost
    assert retriever.search(System.parse(f"sparse:8,weights=transfer,source={copy}")).cost["in_domain"]  # by its digest alone


def test_in_domain_statistics_at_full_knowledge_are_nearly_the_oracle(tiny, encoder, tmp_path):
    """From the corpus's own statistics, transfer expects the document frequencies that the oracle counts."""
    retriever = retrieval.Retriever(tiny, encoder, tmp_path / "indexes")
    transfer = opened(retriever, f"bm25-idf:transfer,source={tmp_path / 'tiny'},level=L1")
    oracle = opened(retriever, "bm25-idf:oracle")
    df = oracle.document_frequencies
    expected = np.clip(6 * (df + 0.5) / 7, 0.5, 5.5)
    np.testing.assert_allclose(transfer.idf, np.log(1 + (6 - expected + 0.5) / (expected + 0.5)))


def test_a_probe_is_fitted_once_and_kept(tiny, encoder, tmp_path, monkeypatch):
    from rarityir.rarity import predictions

    calls, real = [], predictions.predict
    monkeypatch.setattr(predictions, "predict", lambda *args, **more: calls.append(more) or real(*args, **more))
    for _ in range(2):
        rarities = Rarities(encoder, tmp_path / "indexes")
        one, two = (rarities.surprise(IdfSettings.parse(name)) for name in ("probe", "probe-repaired"))
    assert calls == [{"repair": "none"}, {"repair": "balanced"}]
    assert one.shape == two.shape == (len(encoder.tokens()),)
    assert np.isfinite(one).all()


def test_shuffled_is_the_probe_in_another_order(encoder, tmp_path):
    rarities = Rarities(encoder, tmp_path / "indexes")

    def found(arg: str) -> np.ndarray:
        return idf.idf(IdfSettings.parse(arg), rarities.vocabulary, rarities.surprise, 50, lambda _: np.zeros(0))

    assert np.array_equal(np.sort(found("shuffled")), np.sort(found("probe")))
    assert not np.array_equal(found("shuffled"), found("probe"))
    assert np.array_equal(found("shuffled,seed=4"), found("shuffled,seed=4"))
    assert not np.array_equal(found("shuffled,seed=4"), found("shuffled"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere-to-be-found", "neither english, a folder of rarity stats nor a dataset"),
        ("TOO-MANY", "600 tokens, stories260K has 512"),
        ("ANOTHER", "tokens of another model than stories260K"),
    ],
)
def test_a_source_that_cannot_be_used_is_one_line(encoder, tiny, tmp_path, source, message):
    if source == "TOO-MANY":
        many = np.ones(600, np.int64)
        source = TokenStats(3, many, many, many, many * 0, "many").save(tmp_path / "many")
    if source == "ANOTHER":
        source = TokenStats.from_dataset(tiny, "demo", vocabulary=512).save(tmp_path / "another")
    with pytest.raises(RarityError, match=message) as raised:
        retrieval.retrieve(f"bm25-idf:transfer,source={source}", tiny, encoder, indexes=tmp_path / "indexes")
    assert "\n" not in str(raised.value)


def test_statistics_of_fewer_tokens_are_those_of_padded_rows(encoder, tmp_path):
    few = np.arange(1, 401)
    folder = TokenStats(500, few, few, few, few * 0, "few").save(tmp_path / "few")
    found = Rarities(encoder, tmp_path / "indexes").statistics(str(folder), 200.0)
    assert found.seen.tolist() == [True] * 400 + [False] * 112
    assert found.surprise[-1] == found.surprise.max() == pytest.approx(math.log(501 / 0.5))


def test_a_surprise_is_mixed_with_what_the_first_documents_say(tiny, encoder, tmp_path):
    retriever = retrieval.Retriever(tiny, encoder, tmp_path / "indexes")
    documents = encoder.tokenize([doc.text for doc in tiny.docs()])[:4]
    df = Counter(token for document in documents for token in set(document))
    alone = retriever.rarities.surprise(IdfSettings.parse("transfer"))
    found = opened(retriever, "bm25-idf:transfer,first=4,mix=0.3").idf
    for token in (documents[0][1], documents[3][2], 400, 500):
        y = 0.3 * alone[token] + 0.7 * math.log(5 / (df[token] + 0.5))
        assert found[token] == pytest.approx(idf.expected_idf(np.array([y]), 10**6)[0], rel=1e-12)
    assert np.array_equal(opened(retriever, "bm25-idf:transfer,first=4,mix=1").idf, opened(retriever, "bm25-idf:transfer").idf)
    assert retriever.search(System.parse("bm25-idf:transfer,first=4")).cost["first"] == 4


# Sparse queries weighed without a corpus.


def test_sparse_queries_take_the_same_weights(tiny, encoder, tmp_path):
    retriever = retrieval.Retriever(tiny, encoder, tmp_path / "indexes")
    vocabulary = ri.Vocabulary.of(encoder.tokens()) if hasattr(ri, "Vocabulary") else None
    for name in ("id-zipf", "transfer", "probe", "shuffled"):
        asked = retriever.queries(System.parse(f"sparse:40,weights={name}"))
        assert (asked.values > 0).all()
        assert len(set(asked.values.tolist())) > 3
    assert vocabulary is None or len(vocabulary.names)
    plain, weighed = (retriever.queries(System.parse(f"sparse:40{more}")) for more in ("", ",weights=transfer"))
    assert np.array_equal(plain.token_ids, weighed.token_ids)
    assert len({p.name for p in (tmp_path / "indexes").rglob("sparse*")}) == 1
    classes = retriever._lens(System.parse("sparse:40"), None).vocabulary
    probe, shuffled = (
        retriever.rarities.canonical(IdfSettings(name, "L0"), classes.class_of, len(classes.names))
        for name in ("probe", "shuffled")
    )
    assert np.array_equal(np.sort(probe), np.sort(shuffled))
    assert not np.array_equal(probe, shuffled)
    common, rare = ("the", "castle")
    lens = retriever._lens(System.parse("sparse:40"), None).vocabulary
    weights = retriever.rarities.canonical(IdfSettings("transfer", "L0"), lens.class_of, len(lens.names))
    names = [name for name in (common, rare) if name in lens.names]
    if len(names) == 2:
        assert weights[lens.names.index(common)] < weights[lens.names.index(rare)]


def test_a_weight_nobody_knows_names_those_there_are(tiny, encoder, tmp_path):
    with pytest.raises(RarityError, match="transfer, probe, probe-repaired"):
        retrieval.check(System.parse("sparse:8,weights=prob"))


# What the comparison is for: on topics that are about something, a better IDF ranks better.


def zipf_world(rng: np.random.Generator) -> tuple[list[list[int]], list[list[int]], np.ndarray, np.ndarray]:
    """Documents of Zipf's tokens with a topic each, queries for one of them, its row, and p of the same law, unevenly known."""
    v, count = 800, 300
    p = 1 / np.arange(1, v + 1)
    p /= p.sum()
    documents, queries, wanted = [], [], []
    for row in range(count):
        topic = rng.integers(100, v, 4)
        words = np.where(rng.random(60) < 0.25, rng.choice(topic, 60), rng.choice(v, 60, p=p))
        documents.append(words.tolist())
        queries.append([*rng.choice(topic, 2).tolist(), *rng.choice(v, 6, p=p).tolist()])
        wanted.append(row)
    known = p * np.exp(rng.normal(0, 1.5, v))
    return documents, queries, np.array(wanted), known / known.sum()


def reciprocal_ranks(index: SubwordIndex, queries: list[list[int]], wanted: np.ndarray) -> np.ndarray:
    rows = index.search(counted(queries, 800), 300).rows
    found = [np.flatnonzero(row == one) for row, one in zip(rows, wanted, strict=True)]
    return np.array([1 / (1 + places[0]) if len(places) else 0.0 for places in found])


def test_the_corpus_own_idf_beats_another_corpus_which_beats_none_and_shuffled_is_never_better(tmp_path, rng):
    documents, queries, wanted, known = zipf_world(rng)
    SubwordIndex.build("", [counted(documents, 800)], tmp_path)
    index = SubwordIndex.open("transfer,level=L0,length=60", tmp_path)
    transfer_V = idf.expected_idf(idf.poisson_surprise(known, 60), idf.DOCUMENTS)
    ranks = {
        "uniform": reciprocal_ranks(index.weighed(np.ones(800)), queries, wanted),
        "transfer": reciprocal_ranks(index.weighed(transfer_V), queries, wanted),
        "oracle": reciprocal_ranks(index.weighed(idf.bm25_idf(index.document_frequencies, 300)), queries, wanted),
    }

    def gain(better: str, worse: str) -> float:
        d = ranks[better] - ranks[worse]
        return float(d.mean() / (d.std() / math.sqrt(len(d))))

    assert gain("transfer", "uniform") > 0
    assert gain("oracle", "transfer") > 0
    assert gain("oracle", "uniform") > 4
    for _ in range(5):
        shuffled = reciprocal_ranks(index.weighed(rng.permutation(transfer_V)), queries, wanted)
        difference = shuffled - ranks["uniform"]
        assert difference.mean() <= 0 or randomisation(difference) > 1e-3


# The command.


def test_the_command_writes_its_tables(tmp_path, stories, capsys):
    from rarityir.cli import main

    write_beir(tmp_path / "tiny")
    args = ["rarity", "idf", "--dataset", f"{tmp_path / 'tiny'}", "--encoder", stories, "--out", str(tmp_path / "out")]
    assert main([*args, "--indexes", str(tmp_path / "indexes"), "--json", "--levels", "L0,L1"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == json.loads((tmp_path / "out" / "idf.json").read_text())
    files = {path.name for path in (tmp_path / "out").iterdir()}
    drawn = {f"{name}{kind}" for name in ("gains", "agreement-1") for kind in (".svg", ".png")}
    assert files >= {"idf.json", "idf.md", "idf.html"} | drawn
    assert (tmp_path / "out" / "idf.html").read_text().count("<svg ") == len([name for name in files if name.endswith(".svg")])
    (table,) = shown["tables"]
    assert [(line["idf"], line["level"]) for line in table["lines"]] == [(name, level) for level in ("L0", "L1") for name in IDFS]
    assert sum(table["strata"].values()) == len(STORIES_QRELS)
    assert not table["in_domain"]
    assert {one["held"] for one in shown["suppositions"]} <= {True, False, None}
    page = (tmp_path / "out" / "idf.md").read_text()
    assert page.count("\n| `") == 14
    assert "In-domain" not in page


def test_the_command_marks_a_source_that_is_the_corpus(tmp_path, stories, capsys):
    from rarityir.cli import main

    folder = write_beir(tmp_path / "tiny")
    args = ["rarity", "idf", "--dataset", str(folder), "--encoder", stories, "--source", str(folder), "--levels", "L0"]
    assert main([*args, "--indexes", str(tmp_path / "indexes"), "--systems", "uniform,transfer,oracle"]) == 0
    assert "**In-domain: the source holds documents of this corpus.**" in capsys.readouterr().out


def test_the_command_refuses_what_it_does_not_know(tmp_path, stories, capsys):
    from rarityir.cli import main

    assert main(["rarity", "idf", "--encoder", stories, "--systems", "uniform,prob"]) == 1
    assert "did you mean probe" in capsys.readouterr().err
    assert main(["rarity", "idf", "--encoder", stories, "--levels", "L4"]) == 1
    assert "unknown level 'L4'" in capsys.readouterr().err
    assert main(["rarity", "idf", "--encoder", stories, "--dataset", ","]) == 2
    assert "names no collection" in capsys.readouterr().err
    assert main(["rarity", "idf", "--encoder", stories, "--seed", "-1"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    for wrong in (["--source", "nosuch"], ["--measures", "nDCG@10,nope"]):
        assert main(["rarity", "idf", "--encoder", stories, "--indexes", str(tmp_path / "none"), *wrong]) == 1
        assert wrong[-1].split(",")[-1] in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_unknown_sources_are_unknown_names(encoder, tmp_path):
    with pytest.raises(UnknownName):
        Rarities(encoder, tmp_path).statistics("no-such-thing", 200.0)


def test_the_table_says_which_systems_are_in_domain(tiny, stories, tmp_path):
    folder = tmp_path / "tiny"
    inside = f"bm25-idf:transfer,source={folder}"
    systems = [
        "bm25-idf:uniform",
        inside,
        f"rrf(bm25-idf:uniform,{inside})",
        "bm25-idf:transfer",
        f"sparse:8,weights=transfer,source={folder}",
    ]
    report = ri.perform(
        ri.Experiment(
            dataset=str(folder), encoder=stories, systems=systems, baseline=systems[0], measures=["nDCG@10"],
            indexes=str(tmp_path / "indexes"), out=str(tmp_path / "out"),
        )
    )  # fmt: skip
    marked = [name for name in systems if any(note.startswith(f"{name} is in-domain") for note in report.notes)]
    assert marked == [systems[1], systems[2], systems[4]]
    assert "in-domain" in str(report)


def test_a_plan_prices_the_index_and_encodes_nothing(tiny, encoder, tmp_path):
    from rarityir.planning import plan
    from rarityir.planning.plan import Job

    systems = [System.parse(name) for name in ("bm25-idf:uniform", "bm25-idf:probe,level=L1")]
    job = Job(tiny, encoder, systems, 10, tmp_path / "indexes", until="search")
    before = plan.plan(job)
    steps = {step.name: step for step in before.steps}
    assert not {"embeddings", "queries"} & steps.keys()
    assert steps["bm25-idf:probe,level=L1"].reused == "index, shared"
    assert not (tmp_path / "indexes").exists()
    retriever = retrieval.Retriever(tiny, encoder, tmp_path / "indexes")
    (folder,) = retriever.index(systems[0])
    size = sum(path.stat().st_size for path in folder.glob("*.npy"))
    assert 0.5 * size < steps["bm25-idf:uniform"].disk < 2 * size
    after = {step.name: step for step in plan.plan(job).steps}
    assert after["bm25-idf:uniform"].disk == 0
    assert after["bm25-idf:uniform"].reused == "index"
    assert plan.begin(job) == ""


def test_a_filter_before_tokens_is_refused():
    with pytest.raises(RarityError, match="a filter cannot change"):
        System.parse("bm25-idf:probe+edge:2")


def test_names_with_braces_are_systems():
    from rarityir.systems import expand, split

    text = "bm25-idf:{uniform,id-zipf,transfer,probe,oracle,shuffled},level=L1,k1=1.2,dense"
    names = [name for piece in split(text) for name in expand(piece)]
    assert names[:2] == ["bm25-idf:uniform,level=L1,k1=1.2", "bm25-idf:id-zipf,level=L1,k1=1.2"]
    assert len(names) == 7
    assert all(str(System.parse(name)) == name for name in names)
