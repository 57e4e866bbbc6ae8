"""Statistics of tokens: counted as brute force counts them, in any order, by any processes, whenever they were stopped."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rarityir
from rarityir import store
from rarityir.counts import tokenizer_of
from rarityir.rarity import counting, words
from rarityir.rarity.stats import OF_WORDS, SYNONYMS, TARGETS, TokenStats
from rarityir.types import BadInput, Dataset, Doc, RarityError, StaleArtefact, UnknownName

STORIES = str(Path(__file__).parents[1] / "models" / "stories260K")
ROWS = ("df", "cf", "squares", "df2")


def made(texts, name="made") -> Dataset:
    docs = [Doc(str(i), text) for i, text in enumerate(texts)]
    return Dataset(name, name, {"documents": len(docs)}, lambda: iter(docs), {}, {}, len(docs))


def letters(texts):
    return [[ord(letter) - ord("a") for letter in text] for text in texts]


def brute(texts, size):
    df, cf, squares, df2 = (np.zeros(size, np.int64) for _ in ROWS)
    for text in texts:
        for letter, tf in Counter(text).items():
            i = ord(letter) - ord("a")
            df[i] += 1
            cf[i] += tf
            squares[i] += tf * tf
            df2[i] += tf >= 2
    return df, cf, squares, df2


def same(a: TokenStats, b: TokenStats) -> None:
    assert a.documents == b.documents
    for row in ROWS:
        np.testing.assert_array_equal(getattr(a, row), getattr(b, row), row)


texts_of_letters = st.lists(st.text("abcdefg", max_size=12), min_size=1, max_size=12)


# counting


@given(texts_of_letters, st.integers(1, 4))
def test_documents_are_counted_as_a_counter_counts_them_in_chunks_of_any_size(texts, chunk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "DOCUMENTS", chunk)
        found = TokenStats.from_dataset(made(texts), letters, workers=1)
    expected = brute(texts, found.vocabulary)
    for row, wanted in zip(ROWS, expected, strict=True):
        np.testing.assert_array_equal(getattr(found, row), wanted)
        assert getattr(found, row).dtype == np.int64
    assert (found.documents, found.tokens) == (len(texts), sum(map(len, texts)))
    assert found.vocabulary == max((ord(letter) - 96 for text in texts for letter in text), default=0)


@given(texts_of_letters, st.randoms(use_true_random=False))
def test_the_order_of_documents_changes_nothing(texts, random):
    other = texts[:]
    random.shuffle(other)
    whole = TokenStats.from_dataset(made(texts), letters, vocabulary=7)
    same(whole, TokenStats.from_dataset(made(other), letters, vocabulary=7))


@given(texts_of_letters, texts_of_letters)
def test_parts_add_up_to_the_whole_in_whichever_order(first, second):
    a, b = (TokenStats.from_dataset(made(texts, name), letters) for texts, name in ((first, "a"), (second, "b")))
    whole = TokenStats.from_dataset(made(first + second), letters)
    if a.identity["documents_sha256"] == b.identity["documents_sha256"]:
        with pytest.raises(RarityError, match="same documents"):
            a.merge(b)
        return
    same(a.merge(b), whole)
    assert (a.merge(b).digest, a.merge(b).source, a.merge(b).identity) == (
        b.merge(a).digest,
        b.merge(a).source,
        b.merge(a).identity,
    )


def test_three_parts_add_up_in_any_order_and_none_twice():
    a, b, c = (
        TokenStats.from_dataset(made([text], name), letters, vocabulary=4)
        for text, name in (("aab", "x"), ("abd", "y"), ("c", "z"))
    )
    left, right = a.merge(b).merge(c), c.merge(b.merge(a))
    assert (left.digest, left.identity, left.source) == (right.digest, right.identity, right.source)
    same(left, TokenStats.from_dataset(made(["aab", "abd", "c"]), letters, vocabulary=4))
    with pytest.raises(RarityError, match="same documents"):
        left.merge(b)


def test_two_processes_count_what_one_does(monkeypatch):
    monkeypatch.setattr(counting, "DOCUMENTS", 50)
    one, two, three = (TokenStats.from_dataset("cranfield", STORIES, limit=420, workers=n) for n in (1, 2, 3))
    same(one, two)
    same(one, three)
    assert one.identity == two.identity
    assert one.documents == 420


def test_a_real_collection_is_counted_as_its_tokenizer_reads_it():
    texts = [doc.text for doc in rarityir.load_dataset("cranfield").docs()]
    found = TokenStats.from_dataset("cranfield", "demo", limit=200)
    tokenizer = tokenizer_of("demo")
    tf = [Counter(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts[:200]]
    for token in (*range(0, found.vocabulary, 97), *tf[0]):
        each = [count[token] for count in tf]
        assert found.df[token] == sum(n > 0 for n in each)
        assert found.cf[token] == sum(each)
        assert found.squares[token] == sum(n * n for n in each)
        assert found.df2[token] == sum(n > 1 for n in each)
    assert found.vocabulary == tokenizer.get_vocab_size(with_added_tokens=True)
    assert found.counts().total == found.tokens == sum(map(Counter.total, tf))


def test_any_form_of_one_tokenizer_is_one_tokenizer(tmp_path):
    tokenizer = tokenizer_of(STORIES)
    cut = type(tokenizer).from_str(tokenizer.to_str())
    cut.enable_truncation(3)
    cut.enable_padding(length=9)
    data = made(["Once upon a time there was a cat. <s>", "", "The cat sat on a mat and looked at the big red ball."])
    found = [TokenStats.from_dataset(data, t) for t in (STORIES, Path(STORIES), tokenizer, cut)]
    ids = TokenStats.from_dataset(
        data, lambda texts: [tokenizer.encode(t, add_special_tokens=False).ids for t in texts], vocabulary=512
    )
    for other in [*found[1:], ids]:
        same(found[0], other)
    assert len({stats.identity["tokenizer"] for stats in found}) == 1
    assert cut.truncation is not None, "the caller's own tokenizer is to be left as it is"


def test_functions_of_two_encoders_are_two_tokenizers():
    class Encoder:
        def __init__(self, name):
            self.name = name

        def identity(self):
            return {"model": self.name}

        def tokenize(self, texts):
            return letters(texts)

    one, two, same_again = (TokenStats.from_dataset(made(["ab"]), Encoder(n).tokenize).identity["tokenizer"] for n in "aba")
    assert one != two
    assert one == same_again


def test_ids_beyond_the_rows_are_left_out_and_rows_beyond_the_ids_are_empty():
    found = TokenStats.from_dataset(made(["abcd", "dd"]), letters, vocabulary=3)
    assert found.df.tolist() == [1, 1, 1]
    assert TokenStats.from_dataset(made(["abcd", "dd"]), letters, vocabulary=6).cf.tolist() == [1, 1, 1, 3, 0, 0]


def test_a_chunk_ends_with_its_characters_too(monkeypatch):
    monkeypatch.setattr(counting, "CHARACTERS", 5)
    given = []
    texts = ["aaaa", "b", "cccccccc", "d", "e"]
    found = TokenStats.from_dataset(made(texts), lambda batch: given.append(list(batch)) or letters(batch), workers=1)
    assert given == [["aaaa", "b"], ["cccccccc"], ["d", "e"]]
    assert found.cf.tolist() == [4, 1, 8, 1, 1]


# targets


@given(texts_of_letters, st.sampled_from([0.1, 0.5, 1.0]))
def test_targets_are_what_their_formulas_say(texts, s):
    found = TokenStats.from_dataset(made(texts), letters, vocabulary=8)
    n, total = len(texts), sum(map(len, texts))
    for i in range(8):
        tf = [text.count("abcdefgh"[i]) for text in texts]
        df, cf, df2 = sum(f > 0 for f in tf), sum(tf), sum(f > 1 for f in tf)
        wanted = {
            "log_icf": -math.log((cf + s) / (total + 8 * s)),
            "log_idf": math.log((n + 1) / (df + s)),
            "bm25_idf": math.log(1 + (n - df + s) / (df + s)),
            "mp_idf": math.log(n / (df + 1)),
            "mp_icf": math.log(total / (cf + 1)) if total else -math.inf,
            "inverse_frequency": n / (df + 1),
            "inverse_occurrences": total / (cf + 1),
            "adapt": math.log((df2 + s) / (df - df2 + s)),
        }
        if cf:
            wanted["burstiness"] = math.log(cf / df)
            wanted["ridf"] = -math.log2(df / n) + math.log2(1 - math.exp(-cf / n))
            wanted["vmr"] = float(np.var(tf) / np.mean(tf))
        for name in TARGETS:
            value = found.target(name, smoothing=s)[i]
            assert value == pytest.approx(wanted[name], abs=1e-12) if name in wanted else math.isnan(value), name
    assert found.censored.tolist() == [not any(letter in text for text in texts) for letter in "abcdefgh"]


def test_the_names_of_the_first_study_are_synonyms():
    found = TokenStats.from_dataset(made(["aab", "bc", "b"]), letters)
    for synonym, name in SYNONYMS.items():
        np.testing.assert_array_equal(found.target(synonym), found.target(name))
    np.testing.assert_allclose(found.target("lif"), np.log(3 / np.array([2, 4, 2])))
    np.testing.assert_allclose(found.target("lio"), np.log(6 / np.array([3, 4, 2])))


def test_a_poisson_process_has_no_idf_beyond_its_own(rng):
    n, rate = 20000, 0.3
    tf = rng.poisson(rate, n)
    found = TokenStats.from_dataset(made(["a" * f for f in tf]), letters, vocabulary=1)
    # df/n and cf/n are means of n draws; the delta method bounds the standard errors by these
    assert abs(found.target("ridf")[0]) < 5 * 1.5 / math.sqrt(n * rate)
    assert abs(found.target("vmr")[0] - 1) < 5 * math.sqrt((2 + 1 / rate) / n)
    bursty = TokenStats.from_dataset(made(["a" * (f * 3) for f in tf]), letters, vocabulary=1)
    assert bursty.target("ridf")[0] > 0.5
    assert bursty.target("vmr")[0] == pytest.approx(3 * found.target("vmr")[0], rel=1e-9)


def test_an_unknown_target_and_no_smoothing_are_one_line():
    found = TokenStats.from_dataset(made(["ab"]), letters)
    with pytest.raises(UnknownName, match="did you mean log_idf"):
        found.target("log_id")
    with pytest.raises(RarityError, match="smoothing 0 "):
        found.target("log_icf", smoothing=0)


# words


@pytest.mark.parametrize("model", ["demo", STORIES])
def test_words_are_counted_as_tokens_of_running_text(model, tmp_path):
    (tmp_path / "words.tsv").write_text("the\t50\n\nof 7\nhahahaha\t3\nthe\t1\n")
    found = TokenStats.from_words(tmp_path / "words.tsv", model)
    tokenizer = tokenizer_of(model)
    wanted = Counter()
    before = tokenizer.encode("We saw", add_special_tokens=False).ids
    for word, count in {"the": 51, "of": 7, "hahahaha": 3}.items():
        running = tokenizer.encode(f"We saw {word}", add_special_tokens=False).ids
        assert running[: len(before)] == before
        for token in running[len(before) :]:
            wanted[token] += count
    assert {6, 9} & set(wanted.values()), "one word has a token more than once"
    assert {i: int(n) for i, n in enumerate(found.cf) if n} == dict(wanted)
    assert (found.documents, found.tokens) == (0, wanted.total())
    for name in TARGETS:
        if name in OF_WORDS:
            assert np.isfinite(found.target(name)).all()
        else:
            with pytest.raises(RarityError, match=f"^{name} needs documents[^\n]*words.tsv[^\n]*count a dataset$"):
                found.target(name)


@pytest.mark.parametrize("line", ["the", "the\tmany", "the\t-3", "\t5", "the 1.5"])
def test_a_line_that_is_no_word_count_is_one_line(tmp_path, line):
    (tmp_path / "words.tsv").write_text(f"of\t3\n{line}\n")
    with pytest.raises(BadInput, match=r"words.tsv:2: [^\n]*$"):
        list(words.read(tmp_path / "words.tsv"))


def test_no_words_and_no_tokenizer_are_one_line(tmp_path):
    (tmp_path / "words.tsv").write_text("\n")
    with pytest.raises(BadInput, match="holds no word counts"):
        TokenStats.from_words(tmp_path / "words.tsv", "demo")
    with pytest.raises(RarityError, match="letters is a function"):
        TokenStats.from_words(tmp_path / "words.tsv", letters)


def test_words_and_documents_do_not_add_up(tmp_path):
    (tmp_path / "words.tsv").write_text("the\t5\n")
    by_words, by_documents = (
        TokenStats.from_words(tmp_path / "words.tsv", STORIES),
        TokenStats.from_dataset(made(["the"]), STORIES),
    )
    with pytest.raises(RarityError, match="do not add up: one has documents"):
        by_words.merge(by_documents)
    with pytest.raises(RarityError, match="two tokenizers"):
        TokenStats.from_dataset(made(["the"]), "demo").merge(by_documents)


# keeping


def test_saved_statistics_load_as_they_were(tmp_path):
    found = TokenStats.from_dataset("cranfield", STORIES, limit=30)
    loaded = TokenStats.load(found.save(tmp_path / "s"))
    same(found, loaded)
    assert (loaded.source, loaded.identity, loaded.digest) == (found.source, found.identity, found.digest)
    kept = TokenStats.from_dataset("cranfield", STORIES, limit=30, folder=tmp_path / "t")
    assert (kept.identity, kept.digest) == (found.identity, found.digest)
    assert (tmp_path / "s" / "stats.safetensors").read_bytes() == (tmp_path / "t" / "stats.safetensors").read_bytes()
    assert not (tmp_path / "t" / "unfinished.safetensors").exists()
    manifest = json.loads((tmp_path / "t" / "manifest.json").read_text())
    assert {"corpus", "tokenizer", "limit", "vocabulary"} < manifest["identity"].keys()
    assert {"documents", "tokens", "documents_sha256", "source"} < manifest["facts"].keys()


def test_the_digest_of_all_documents_is_that_of_the_corpus(tmp_path):
    from rarityir.corpus import prepare

    found = TokenStats.from_dataset("cranfield", letters_of_any)
    assert found.identity["documents_sha256"] == prepare(rarityir.load_dataset("cranfield"), tmp_path).digest


def letters_of_any(texts):
    return [[0] for _ in texts]


def test_merged_and_hand_made_statistics_are_saved_too(tmp_path):
    a, b = (TokenStats.from_dataset(made([text], name), letters, vocabulary=3) for text, name in (("aab", "x"), ("abc", "y")))
    loaded = TokenStats.load(a.merge(b).save(tmp_path / "s"))
    assert (loaded.digest, loaded.identity) == (a.merge(b).digest, a.merge(b).identity)
    own = TokenStats(2, np.array([1]), np.array([2]), np.array([4]), np.array([1]), "own")
    same(TokenStats.load(own.save(tmp_path / "own")), own)
    own.save(tmp_path / "own")
    with pytest.raises(StaleArtefact, match="sha256"):
        replace(own, documents=3).save(tmp_path / "own")


def test_statistics_of_something_else_are_not_reused(tmp_path):
    TokenStats.from_dataset("cranfield", STORIES, limit=30, folder=tmp_path / "s")
    with pytest.raises(StaleArtefact, match="limit 30, now 40"):
        TokenStats.from_dataset("cranfield", STORIES, limit=40, folder=tmp_path / "s")
    with pytest.raises(StaleArtefact, match=r"tokenizer .*vocabulary 512, now 8192"):
        TokenStats.from_dataset("cranfield", "demo", limit=30, folder=tmp_path / "s")
    with pytest.raises(StaleArtefact, match="corpus cranfield, now made"):
        TokenStats.from_dataset(made(["a"]), STORIES, limit=30, folder=tmp_path / "s")


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(bytes(data))


BROKEN = {
    "a flipped bit": lambda folder: _flip(folder / "stats.safetensors"),
    "half a file": lambda folder: (folder / "stats.safetensors").write_bytes((folder / "stats.safetensors").read_bytes()[:-9]),
    "no file": lambda folder: (folder / "stats.safetensors").unlink(),
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "half a manifest": lambda folder: (folder / "manifest.json").write_text("{"),
    "another manifest": lambda folder: (folder / "manifest.json").write_text('{"identity": {}, "facts": {}, "files": {}}'),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_folder_is_one_line(tmp_path, broken):
    folder = TokenStats.from_dataset(made(["ab"]), letters).save(tmp_path / "s")
    BROKEN[broken](folder)
    with pytest.raises(RarityError, match=rf"^{folder}[^\n]*$"):
        TokenStats.load(folder)


class Stopped(Exception):
    pass


def test_a_stopped_pass_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(counting, "DOCUMENTS", 3)
    texts = ["ab" * i for i in range(20)]
    tokenised = []

    def stopping(batch):
        if len(tokenised) == 9:
            raise KeyboardInterrupt
        tokenised.extend(batch)
        return letters(batch)

    stopping.__qualname__ = "letters"
    with pytest.raises(KeyboardInterrupt):
        TokenStats.from_dataset(made(texts), stopping, workers=1, folder=tmp_path / "s", vocabulary=2)
    with pytest.raises(BadInput, match="its pass was stopped"):
        TokenStats.load(tmp_path / "s")
    again = []

    def noting(batch):
        again.extend(batch)
        return letters(batch)

    noting.__qualname__ = "letters"
    found = TokenStats.from_dataset(made(texts), noting, workers=1, folder=tmp_path / "s", vocabulary=2)
    assert tokenised + again == texts
    whole = TokenStats.from_dataset(made(texts), letters, workers=1, folder=tmp_path / "whole", vocabulary=2)
    same(found, whole)
    assert (tmp_path / "s" / "stats.safetensors").read_bytes() == (tmp_path / "whole" / "stats.safetensors").read_bytes()
    assert found.identity == whole.identity


def begun(folder: Path, monkeypatch, texts) -> None:
    monkeypatch.setattr(counting, "DOCUMENTS", 2)

    def stopping(batch):
        if texts[4] in batch:
            raise KeyboardInterrupt
        return letters(batch)

    stopping.__qualname__ = "letters"
    with pytest.raises(KeyboardInterrupt):
        TokenStats.from_dataset(made(texts), stopping, workers=1, folder=folder, vocabulary=7)


def test_documents_that_changed_since_are_named(tmp_path, monkeypatch):
    texts = ["a", "b", "c", "d", "e", "f"]
    begun(tmp_path / "s", monkeypatch, texts)
    with pytest.raises(StaleArtefact, match=r"^documents 3 to 4 of made have changed since they were counted in [^\n]*$"):
        TokenStats.from_dataset(made(["a", "b", "c", "x", "e", "f"]), letters, folder=tmp_path / "s", vocabulary=7)
    shorter = replace(made(["a", "b"]), identity={"documents": 6})
    with pytest.raises(StaleArtefact, match=r"made has fewer documents now \(2\)"):
        TokenStats.from_dataset(shorter, letters, folder=tmp_path / "s", vocabulary=7)
    same(
        TokenStats.from_dataset(made(texts), letters, folder=tmp_path / "s", vocabulary=7),
        TokenStats.from_dataset(made(texts), letters, vocabulary=7),
    )


def test_a_broken_journal_is_one_line(tmp_path, monkeypatch):
    texts = ["a", "b", "c", "d", "e", "f"]
    begun(tmp_path / "s", monkeypatch, texts)
    _flip(tmp_path / "s" / "unfinished.safetensors")
    with pytest.raises(StaleArtefact, match=r"unfinished.safetensors is corrupt \(checksum differs\)[^\n]*rm -r"):
        TokenStats.from_dataset(made(texts), letters, folder=tmp_path / "s", vocabulary=7)


KILLED = """
import sys, time
from rarityir.rarity import counting
from rarityir.rarity.stats import TokenStats
from rarityir.types import Dataset, Doc
counting.DOCUMENTS, counting.KEEP_SECONDS = 10, 0.0
docs = [Doc(str(i), "ab" * (i % 7)) for i in range(2000)]
def letters(texts):
    time.sleep(float(sys.argv[2]))
    return [[ord(letter) - ord("a") for letter in text] for text in texts]
ds = Dataset("made", "made", {}, lambda: iter(docs), {}, {}, len(docs))
print("ready", flush=True)
TokenStats.from_dataset(ds, letters, workers=2, folder=sys.argv[1], vocabulary=2)
"""


def test_a_killed_pass_leaves_no_process_and_goes_on_to_the_same_bytes(tmp_path):
    run = [sys.executable, "-c", KILLED, str(tmp_path / "s")]
    process = subprocess.Popen([*run, "0.03"], stdout=subprocess.PIPE)
    process.stdout.readline()
    journal = tmp_path / "s" / "unfinished.safetensors"
    deadline = time.monotonic() + 60
    while not journal.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert len(children) == 2
    while any(Path(f"/proc/{child}").exists() and _alive(child) for child in children):
        assert time.monotonic() < deadline, "a process outlived the one that started it"
        time.sleep(0.01)
    from rarityir import checkpoints

    done = len(checkpoints.read_tensors(journal)["numbers"])
    assert 0 < done < 200
    subprocess.run([*run, "0"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([*run[:-1], str(tmp_path / "whole"), "0"], check=True, stdout=subprocess.DEVNULL)
    assert (tmp_path / "s" / "stats.safetensors").read_bytes() == (tmp_path / "whole" / "stats.safetensors").read_bytes()
    store.verify(tmp_path / "s")


def _alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


# what is put right by who gives it


def dying(texts):
    os._exit(9)


def failing(texts):
    raise ValueError("no such letter")


def missing(texts):
    return [[0]] * (len(texts) - 1)


WRONG = {
    "limit": (lambda: TokenStats.from_dataset(made(["a"]), letters, limit=-1), "limit of -1"),
    "workers": (lambda: TokenStats.from_dataset(made(["a"]), letters, workers=-1), "-1 workers"),
    "no tokenizer": (lambda: TokenStats.from_dataset(made(["a"]), 7), "a int is no tokenizer"),
    "an unknown model": (lambda: TokenStats.from_dataset(made(["a"]), "/nowhere"), "/nowhere"),
    "an unknown dataset": (lambda: TokenStats.from_dataset("cranfeild", "demo"), "cranfield"),
    "no documents": (lambda: TokenStats.from_dataset(made([]), letters), "has no documents"),
    "negative ids": (lambda: TokenStats.from_dataset(made(["a"]), lambda texts: [[-1]]), "id -1"),
    "a failure": (lambda: TokenStats.from_dataset(made(["a", "b"]), failing), "documents 1 to 2 .ValueError: no such letter"),
    "a failure elsewhere": (lambda: TokenStats.from_dataset(made(["a"]), failing, workers=2), "ValueError: no such letter"),
    "a death": (lambda: TokenStats.from_dataset(made(["a"]), dying, workers=2), "a process that counts tokens has ended"),
    "a text without ids": (lambda: TokenStats.from_dataset(made(["a", "b"]), missing), "gives 1 lists of ids for 2 texts"),
    "other lengths": (lambda: TokenStats(1, *(np.zeros(n, np.int64) for n in (1, 1, 2, 1)), "x"), "one length"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_counted_is_one_line(what):
    call, said = WRONG[what]
    with pytest.raises(RarityError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)


@settings(max_examples=20)
@given(st.lists(st.lists(st.integers(0, 2**20), max_size=20), max_size=8))
def test_a_tally_is_sorted_and_exact(lists):
    found = counting.tally(lists)
    counts = [Counter(ids) for ids in lists]
    tokens = sorted(set().union(*counts)) if counts else []
    assert found.token_ids.tolist() == tokens
    for token, column in zip(tokens, found.counts.T, strict=True):
        tf = [count[token] for count in counts]
        assert column.tolist() == [sum(f > 0 for f in tf), sum(tf), sum(f * f for f in tf), sum(f > 1 for f in tf)]


def test_statistics_over_more_rows_and_over_fewer():
    found = TokenStats.from_dataset(made(["abcd", "dd"]), letters)
    assert found.over(6).cf.tolist() == [1, 1, 1, 3, 0, 0]
    assert found.over(2).df.tolist() == [1, 1]
    same(found.over(6), TokenStats.from_dataset(made(["abcd", "dd"]), letters, vocabulary=6))
    assert found.over(6).digest == TokenStats.from_dataset(made(["abcd", "dd"]), letters, vocabulary=6).digest
