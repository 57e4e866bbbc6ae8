"""How often tokens occur: counted in texts, taken from the packaged table of running English, kept in a file."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

import rarityir
from rarityir.counts import ENGLISH, TokenCounts, tokenizer_of
from rarityir.types import RarityError

STORIES = Path(__file__).parent / "models" / "stories260K"
MODELS = {"demo": "demo", "stories": str(STORIES)}
TEXTS = [
    "The cat The black cat sat on the mat and looked at the big red ball.",
    "The dog A little dog ran to the park and found a shiny stone near the tree.",
    "Lily and Tom went to the beach. They made a castle from the sand.",
    "The bird The bird sang a happy song in the tree. The sun was warm.",
    "Rain It started to rain. Mom said we must go home now and drink warm milk.",
    "The ball Tom lost his red ball. The dog found the ball under the car.",
]


@cache
def english(name: str) -> TokenCounts:
    return TokenCounts.english(MODELS[name], size(name))


@cache
def size(name: str) -> int:
    return tokenizer_of(MODELS[name]).get_vocab_size()


def encoded(name: str, text: str) -> list[int]:
    return tokenizer_of(MODELS[name]).encode(text, add_special_tokens=False).ids


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Puts another table in the place of the packaged one."""

    def write(pieces: dict[str, int]) -> None:
        path = tmp_path / "table.tsv.gz"
        rows = "".join(f"{count}\t{json.dumps(piece, ensure_ascii=False)}\n" for piece, count in pieces.items())
        path.write_bytes(gzip.compress(rows.encode()))
        monkeypatch.setattr("rarityir.counts.ENGLISH", path)

    return write


# counting texts


@pytest.mark.parametrize("name", MODELS)
def test_texts_are_counted_as_a_counter_counts_them(name):
    ids = [encoded(name, text) for text in TEXTS]
    found = TokenCounts.of(iter(ids), size(name), "six stories")
    expected = Counter(token for text in ids for token in text)
    assert {i: int(c) for i, c in enumerate(found.counts) if c} == dict(expected)
    assert (found.total, found.source, found.counts.dtype) == (expected.total(), "six stories", np.int64)


@given(st.lists(st.lists(st.integers(0, 9), max_size=8), max_size=8))
def test_no_text_and_no_token_are_counted_as_nothing(texts):
    found = TokenCounts.of(texts, 10, "")
    assert found.counts.tolist() == [sum(text.count(i) for text in texts) for i in range(10)]


def test_ids_beyond_the_rows_of_the_unembedding_are_left_out():
    assert TokenCounts.of([[0, 4, 5, 99], [4]], 5, "").counts.tolist() == [1, 0, 0, 0, 2]


# running English


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("word", ["the", "of", "and", "to", "in", "that", "was"])
def test_a_word_is_counted_as_the_token_it_is_in_running_text(name, word, table):
    running = encoded(name, f"We saw {word}")[len(encoded(name, "We saw")) :]
    table({f" {word}": 7})
    found = TokenCounts.english(MODELS[name], size(name))
    assert {i: int(c) for i, c in enumerate(found.counts) if c} == {i: 7 * n for i, n in Counter(running).items()}
    assert running[0] != encoded(name, f"({word}")[-1], "a word behind a bracket is to be another token"


@pytest.mark.parametrize("name", MODELS)
def test_the_pieces_of_a_text_are_counted_as_the_text_itself_is(name, table):
    text = " ".join(["", *TEXTS, "A well-known (very old) tree; 25 birds, 3 stones!"]).replace("  ", " ")
    pieces = re.findall(r" ?[^\W\d_]+| ?\d+| ?[^\w\s]+", text)
    assert "".join(pieces) == text
    table(Counter(pieces))
    running = encoded(name, f"So{text}")[len(encoded(name, "So")) :]
    direct = TokenCounts.of([running], size(name), "").counts
    np.testing.assert_array_equal(TokenCounts.english(MODELS[name], size(name)).counts, direct)


@pytest.mark.parametrize("name", MODELS)
def test_a_piece_of_any_kind_is_counted_without_what_it_is_read_behind(name, table):
    for piece in ("s", "word", "'", ".", ' "', " (", " 25", "7", "é", " naïve", " 東京", "…", " —", "\n", "ß"):
        table({piece: 1})
        found = TokenCounts.english(MODELS[name], size(name))
        before = '"' if piece[0].isalnum() else "e"
        running = encoded(name, f"{before}{piece}")[len(encoded(name, before)) :]
        assert {i: int(c) for i, c in enumerate(found.counts) if c} == dict(Counter(running)), piece


# How Qwen and, but for digits, Llama 3 cut texts into words: one mark other than a space may begin a word.
TAKES_A_MARK = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def test_a_word_behind_a_mark_is_counted_as_that_word_where_tokenizers_take_a_mark_into_a_word(table, tmp_path):
    words = {word: i for i, word in enumerate(["<unk>", "Ġsaid", 'Ġ"', "known", "(known", '"', "Ċ", "a", "("])}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<unk>"))
    cut = Split(Regex(TAKES_A_MARK), "isolated")
    tokenizer.pre_tokenizer = Sequence([cut, ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    running = tokenizer.encode('a said "known"').ids[1:]
    assert running == [words["Ġsaid"], words['Ġ"'], words["known"], words['"']]
    table({" said": 1, ' "': 1, "known": 1, '"': 1})
    found = TokenCounts.english(str(tmp_path), len(words)).counts
    np.testing.assert_array_equal(found, TokenCounts.of([running], len(words), "").counts)


@pytest.mark.parametrize(("name", "least"), [("demo", 0.3), ("stories", 0.9)])
def test_running_english_ranks_tokens_as_abstracts_on_aerodynamics_do(name, least):
    texts = [doc.text for doc in islice(rarityir.load_dataset("cranfield").docs(), 400)]
    encodings = tokenizer_of(MODELS[name]).encode_batch(texts, add_special_tokens=False)
    direct = TokenCounts.of((e.ids for e in encodings), size(name), "cranfield").counts
    seen = direct > 0
    assert spearmanr(english(name).counts[seen], direct[seen]).statistic > least
    shuffled = np.random.default_rng(0).permutation(english(name).counts[seen])
    assert abs(spearmanr(shuffled, direct[seen]).statistic) < 0.2
    assert direct[english(name).counts == 0].sum() < 0.02 * direct.sum()


@pytest.mark.parametrize("name", MODELS)
def test_the_most_frequent_tokens_of_running_english_are_what_one_expects(name):
    top = set(np.argsort(-english(name).counts)[:60].tolist())
    assert {encoded(name, f"We saw {word}")[-1] for word in ("the", "a")} <= top
    assert {encoded(name, f"We saw{mark}")[-1] for mark in (".", ",")} <= top
    assert english(name).source == "english"


def test_the_endings_that_tokenizers_keep_whole_are_counted_whole():
    counts = english("demo").counts
    ending, letter = encoded("demo", "it's")[-1], encoded("demo", "a-s")[-1]
    assert tokenizer_of("demo").id_to_token(ending) == "'s"
    assert counts[ending] > 50_000
    assert counts[letter] < 100_000


@pytest.mark.parametrize("name", MODELS)
def test_no_special_token_occurs_in_running_english(name):
    added = tokenizer_of(MODELS[name]).get_added_tokens_decoder()
    special = [i for i, token in added.items() if token.special]
    assert special
    assert english(name).counts[special].sum() == 0


def test_padded_rows_have_no_count_and_missing_rows_lose_theirs(table):
    table({" the": 3, ".": 2, " a": 1})
    whole = TokenCounts.english(str(STORIES), 512).counts
    assert whole.sum() > 0
    assert TokenCounts.english(str(STORIES), 600).counts.tolist() == [*whole, *[0] * 88]
    assert TokenCounts.english(str(STORIES), 300).counts.tolist() == whole[:300].tolist()


def test_the_packaged_table_is_sorted_and_has_no_piece_twice():
    lines = gzip.decompress(ENGLISH.read_bytes()).decode().removesuffix("\n").split("\n")
    rows = [line.split("\t", 1) for line in lines]
    counts, pieces = [int(count) for count, _ in rows], [json.loads(piece) for _, piece in rows]
    assert counts == sorted(counts, reverse=True)
    assert len(set(pieces)) == len(pieces) > 50_000
    assert min(map(len, pieces)) > 0
    assert counts[-1] > 0


def test_a_tokenizer_that_cuts_and_pads_is_told_not_to(tmp_path):
    path = tmp_path / "tokenizer.json"
    told = json.loads((STORIES / "tokenizer.json").read_text())
    told["truncation"] = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    told["padding"] = {"strategy": {"Fixed": 40}, "direction": "Right", "pad_id": 0, "pad_type_id": 0, "pad_token": "<unk>"}
    path.write_text(json.dumps(told))
    assert tokenizer_of(str(tmp_path)).encode(TEXTS[0]).ids == tokenizer_of(str(STORIES)).encode(TEXTS[0]).ids


def test_a_model_without_a_tokenizer_file_is_one_line(tmp_path):
    with pytest.raises(RarityError, match=rf"^{tmp_path} has no tokenizer.json[^\n]*$"):
        TokenCounts.english(str(tmp_path), 10)


def test_a_tokenizer_file_that_is_none_is_one_line(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(RarityError, match=rf"^{tmp_path}[^\n]*tokenizer.json[^\n]*$"):
        TokenCounts.english(str(tmp_path), 10)


# what filters read off counts


def test_probabilities_are_smoothed_by_one_half_and_add_up_to_one():
    found = TokenCounts(np.array([0, 1, 10]), "").log_probability()
    np.testing.assert_allclose(np.exp(found), np.array([0.5, 1.5, 10.5]) / 12.5, rtol=1e-12)
    assert np.exp(english("demo").log_probability()).sum() == pytest.approx(1, abs=1e-9)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=20))
def test_a_token_that_occurs_more_is_never_less_probable(counts):
    log_p = TokenCounts(np.array(counts), "").log_probability()
    assert np.isfinite(log_p).all()
    assert (np.diff(log_p[np.argsort(counts, kind="stable")]) >= 0).all()


# files


@given(st.lists(st.integers(0, 2**62), max_size=9), st.text(max_size=20))
def test_saved_counts_load_as_they_were(tmp_path_factory, counts, source):
    found = TokenCounts(np.array(counts, np.int64), source)
    loaded = TokenCounts.load(found.save(tmp_path_factory.getbasetemp() / "counts.safetensors"))
    assert loaded.counts.tolist() == counts
    assert (loaded.source, loaded.digest, loaded.counts.dtype) == (source, found.digest, np.int64)


def test_one_more_occurrence_is_another_digest_and_another_source_is_not():
    counts = np.arange(9)
    found, more = TokenCounts(counts, "a"), TokenCounts(counts + (np.arange(9) == 4), "a")
    assert found.digest != more.digest
    assert found.digest == TokenCounts(counts.copy(), "b").digest == TokenCounts(counts.astype(np.int32), "a").digest
    assert found.digest != TokenCounts(np.append(counts, 0), "a").digest


def filter_file(path: Path) -> None:
    from rarityir.filters import EmbedFilter

    folder = EmbedFilter.fit(np.eye(4, dtype=np.float32) * np.arange(1, 5), "edge:2", cache=path.parent).save(
        path.parent / "filter"
    )
    (folder / "model.safetensors").rename(path)


BROKEN = {
    "nothing": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "an empty file": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("the\t3\nof\t2\n"),
    "a filter": filter_file,
    "half a file": lambda path: TokenCounts(np.arange(9), "a").save(path).write_bytes(path.read_bytes()[:-9]),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_file_that_holds_no_counts_is_one_line_that_says_how_to_make_one(tmp_path, broken):
    path = tmp_path / "counts.safetensors"
    BROKEN[broken](path)
    with pytest.raises(RarityError, match=rf"^{path} holds no token counts [^\n]*rarityir filter count$"):
        TokenCounts.load(path)
