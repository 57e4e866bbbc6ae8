"""Labels of what tokens write: the same in every tokenizer's convention; groups of what is nearly one word; surface features."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from rarityir.rarity import forms as module
from rarityir.rarity.forms import Forms, byte_of
from rarityir.rarity.labels import Labels, groups, normal, script_of
from rarityir.rarity.surface import BASELINES, columns_of, surface
from rarityir.types import RarityError

STORIES = str(Path(__file__).parents[1] / "models" / "stories260K")
# string, begins a word, and what it is: s stop word, p punctuation, d digit, f fragment; script.
TABLE = [
    ("the", True, "s", "Latn"),
    ("The", True, "s", "Latn"),
    ("THE", True, "s", "Latn"),
    ("This", True, "s", "Latn"),
    ("I", True, "s", "Latn"),
    ("a", True, "s", "Latn"),
    ("A", True, "s", "Latn"),
    ("of", True, "s", "Latn"),
    ("and", True, "s", "Latn"),
    ("is", True, "s", "Latn"),
    ("with", True, "s", "Latn"),
    ("themselves", True, "s", "Latn"),
    ("don't", True, "s", "Latn"),
    ("don’t", True, "s", "Latn"),
    ("cat", True, "", "Latn"),
    ("Cats", True, "", "Latn"),
    ("embed", True, "", "Latn"),
    ("ded", False, "f", "Latn"),
    ("ings", False, "f", "Latn"),
    ("s", False, "f", "Latn"),  # the end of "embeddings"
    ("s", True, "", "Latn"),
    ("S", False, "f", "Latn"),
    ("t", False, "f", "Latn"),
    ("ll", False, "f", "Latn"),
    ("d", False, "f", "Latn"),
    ("re", False, "f", "Latn"),
    ("ve", False, "f", "Latn"),
    ("m", True, "", "Latn"),
    ("don", True, "", "Latn"),
    ("a", False, "f", "Latn"),
    ("i", False, "f", "Latn"),
    ("o", True, "", "Latn"),
    ("'s", False, "f", "Latn"),
    ("n't", False, "f", "Latn"),
    ("theory", True, "", "Latn"),
    ("naïve", True, "", "Latn"),
    ("ß", False, "f", "Latn"),
    ("µ", True, "", "Zyyy"),
    ("λ", True, "", "Grek"),
    ("κόσμος", True, "", "Grek"),
    ("слово", True, "", "Cyrl"),
    ("ами", False, "f", "Cyrl"),
    ("שלום", True, "", "Hebr"),
    ("كتاب", True, "", "Arab"),
    ("शब्द", True, "", "Deva"),
    ("คำ", True, "", "Thai"),
    ("東京", False, "", "Hani"),
    ("の", False, "", "Hira"),
    ("カ", False, "", "Kana"),
    ("단어", True, "", "Hang"),
    (".", False, "p", "Zyyy"),  # the end of a sentence
    (".", True, "p", "Zyyy"),
    (",", False, "p", "Zyyy"),
    ("!", False, "p", "Zyyy"),
    ("...", False, "p", "Zyyy"),
    ('."', False, "p", "Zyyy"),
    ("“", True, "p", "Zyyy"),
    ("’", False, "p", "Zyyy"),
    ("—", True, "p", "Zyyy"),
    ("$", True, "p", "Zyyy"),
    ("。", False, "p", "Zyyy"),
    ("€", True, "", "Zyyy"),
    ("2020", True, "d", "Zyyy"),
    ("7", False, "df", "Zyyy"),
    ("٣", True, "d", "Zyyy"),
    ("3rd", True, "", "Latn"),
    ("x2", False, "f", "Latn"),
    ("1.5", True, "", "Zyyy"),
]
STRINGS = {"▁": lambda s, spaced: ("▁" if spaced else "") + s, "##": lambda s, spaced: s if spaced else "##" + s}


def byte_level(text: str) -> str:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)[0][0]


def tokenizer(convention: str) -> Tokenizer:
    """One with every string of the table as a token of its own, and three special tokens before them."""
    spell = STRINGS.get(convention, lambda s, spaced: byte_level((" " if spaced else "") + s))
    pieces = list(dict.fromkeys(spell(s, spaced) for s, spaced, _, _ in TABLE))
    assert len(pieces) == len(TABLE)
    vocabulary = {piece: i for i, piece in enumerate(["<unk>", "<s>", "</s>", *pieces])}
    if convention == "##":
        found = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>"))
        found.decoder = decoders.WordPiece()
    elif convention == "▁":
        found = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
        found.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    else:
        found = Tokenizer(models.BPE(vocabulary, []))
        found.decoder = decoders.ByteLevel()
    found.add_special_tokens(["<unk>", "<s>", "</s>"])
    return found


@pytest.mark.parametrize("convention", ["▁", "Ġ", "##"])
def test_labels_are_right_in_every_convention(convention):
    found = Labels.of_tokenizer(tokenizer(convention), rows=3 + len(TABLE) + 2)
    assert len(found) == len(TABLE) + 5
    for i, (text, spaced, kinds, script) in enumerate(TABLE, start=3):
        where = f"{text!r} {'with' if spaced else 'without'} a space"
        assert found.stop_word[i] == ("s" in kinds), where
        assert found.punctuation[i] == ("p" in kinds), where
        assert found.digit[i] == ("d" in kinds), where
        assert found.fragment[i] == ("f" in kinds), where
        assert found.script[i] == script, where
        # Under ## no mark says whether a space stood before punctuation.
        begins = spaced and (convention != "##" or any(c.isalnum() for c in text))
        if convention != "##" or script not in ("Hani", "Hira", "Kana"):
            assert found.leading_space[i] == begins, where
    for i in (0, 1, 2, -2, -1):  # special tokens and padding rows
        assert found.script[i] == "Zzzz"
        assert not any(getattr(found, name)[i] for name in ("stop_word", "punctuation", "digit", "leading_space", "fragment"))


def test_both_forms_of_a_stop_word_are_one_and_a_marked_piece_is_none():
    assert Labels.of([" the", "the", "The", " and", "and", " cat"]).stop_word.tolist() == [True] * 5 + [False]
    assert Labels.of(["the", "the", "s"], np.array([False, True, True])).stop_word.tolist() == [True, False, False]
    assert Labels.of(["the", "cat", "s"]).fragment.tolist() == [False] * 3, "nothing says where words begin"


def test_labels_of_no_tokens_and_of_no_texts():
    assert len(Labels.of([])) == 0
    found = Labels.of([None, "", " ", "\n"])
    assert found.script.tolist() == ["Zzzz", "Zzzz", "Zyyy", "Zyyy"]
    assert found.leading_space.tolist() == [False, False, True, False]
    assert not (found.punctuation | found.digit | found.stop_word | found.fragment).any()


@pytest.mark.parametrize(("model", "stop", "plain"), [("demo", " the", " wing"), (STORIES, " the", " dog")])
def test_labels_of_real_vocabularies(model, stop, plain):
    forms = Forms.of(model)
    labels = Labels.of(forms)
    place = {text: i for i, text in enumerate(forms.texts) if text is not None}
    assert labels.stop_word[place[stop]]
    assert labels.punctuation[place["."]]
    assert labels.fragment[place["ing"]]
    assert not labels.stop_word[place["ing"]]
    if plain in place:
        assert not labels.stop_word[place[plain]]
        assert labels.leading_space[place[plain]]
    assert 0.05 < labels.fragment.mean() < 0.5
    assert set(labels.script) <= {"Latn", "Grek", "Zyyy", "Zzzz"}


# groups


def test_words_that_differ_in_case_space_or_plural_are_one_group():
    forms = [" cat", "Cat", None, " CATS", "city", " Cities", None, " is", "is", " glass", " dogs", "dog", ".", " .", "bus"]
    assert groups(forms).tolist() == [0, 0, 1, 0, 2, 2, 3, 4, 4, 5, 6, 6, 7, 7, 8]


def test_nothing_else_is_one_group():
    forms = ["cat", "cart", "ca", "c", "glas", "thin", "this", "2", "22", "2s", "", "é", "e"]
    assert len(set(groups(forms).tolist())) == len(forms)
    assert [normal(w) for w in ("Boxes", "ladies", "toes", "series", "corpus", "Straße", "don’t")] == [
        "boxe", "lady", "toe", "sery", "corpus", "strasse", "don't",
    ]  # fmt: skip


# kinds


@pytest.mark.parametrize("model", ["demo", STORIES])
def test_an_id_is_ok_when_some_text_is_read_as_it(model):
    forms = Forms.of(model, rows=Forms.of(model).tokens.vocabulary + 3)
    kinds = forms.categories()
    assert kinds[-3:] == ("padding",) * 3
    assert set(kinds) <= set(module.CATEGORIES)
    seen = {i for ids in forms.tokens.encode([f"The cat's {t} 12,{t}." for t in ("house", "Éclair", "wing")]) for i in ids}
    assert {kinds[i] for i in seen} <= {"ok", "byte", "partial"}
    assert [forms.pieces[i] for i in np.flatnonzero(np.array(kinds) == "invalid")] != []
    assert sum(kind == "invalid" for kind in kinds) == 13


def test_kinds_of_a_vocabulary_made_for_it():
    pieces = ["<unk>", "<s>", "Ab", "ab", "c", "##c", "##zz", "[unused1]", "<0x41>", "<0xC0>", "<0xF5>", "<0xF4>", "zz"]
    made = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="<unk>"))
    made.normalizer, made.pre_tokenizer, made.decoder = (
        normalizers.Lowercase(),
        pre_tokenizers.BertPreTokenizer(),
        decoders.WordPiece(),
    )
    made.add_special_tokens(["<unk>", "<s>"])
    found = dict(zip(pieces, Forms.of(made).categories(), strict=True))
    assert found == {
        "<unk>": "special", "<s>": "special", "Ab": "unreachable", "ab": "ok", "c": "ok", "##c": "ok", "##zz": "ok",
        "[unused1]": "unreachable", "<0x41>": "byte", "<0xC0>": "invalid", "<0xF5>": "invalid", "<0xF4>": "byte", "zz": "ok",
    }  # fmt: skip


def test_bytes_in_both_spellings():
    assert [byte_of(piece) for piece in ("<0xC0>", "<0x0a>", "À", "Ā", "Ġ", "!", "ab", "<0x1>")] == [
        0xC0,
        10,
        0xC0,
        0,
        32,
        33,
        None,
        None,
    ]
    assert len(set(module._BYTE_LEVEL.values())) == 256
    assert byte_level(" ") == "Ġ"


# surface


def test_surface_features_are_what_their_names_say():
    forms = [" the", "Cat", None, " NASA", "λ", "é", "."]
    x, names = surface(forms)
    columns = dict(zip(names, x.T.tolist(), strict=True))
    np.testing.assert_allclose(columns["ln_id"], np.log(np.arange(1, 8)))
    np.testing.assert_allclose(columns["ln_rank"], [0, np.log(2), 0, np.log(3), np.log(4), np.log(5), np.log(6)])
    assert columns["byte_length"] == [4, 3, 0, 5, 2, 2, 1]
    assert columns["leading_space"] == [1, 0, 0, 1, 0, 0, 0]
    assert columns["no_text"] == [0, 0, 1, 0, 0, 0, 0]
    assert columns["case=lower"] == [1, 0, 0, 0, 1, 1, 0]
    assert columns["case=title"] == [0, 1, 0, 0, 0, 0, 0]
    assert columns["case=upper"] == [0, 0, 0, 1, 0, 0, 0]
    assert columns["script=Grek"] == [0, 0, 0, 0, 1, 0, 0]
    assert "script=Latn" not in columns
    assert x.dtype == np.float64


def test_features_of_rows_do_not_depend_on_how_they_are_read():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((7, 3)).astype(np.float32)
    x[2] = 0
    forms = ["a", "b", None, " c", "D", "e", "."]
    bias = np.arange(7, dtype=np.float32)
    features, names = surface(forms, x, bias)
    by_block = SimpleNamespace(shape=x.shape, blocks=lambda rows: iter(np.array_split(x, 3)))
    other, same_names = surface(forms, by_block, bias)
    np.testing.assert_allclose(features, other, atol=1e-12)
    assert names == same_names
    columns = dict(zip(names, features.T, strict=True))
    norm = np.sqrt((x.astype(float) ** 2).sum(axis=1))
    mean = x.astype(float).mean(axis=0)
    np.testing.assert_allclose(columns["norm"], norm)
    np.testing.assert_allclose(columns["squared_norm"], norm**2)
    for i in (0, 1, 3, 4, 5, 6):
        assert columns["cosine_to_mean"][i] == pytest.approx(x[i] @ mean / norm[i] / np.linalg.norm(mean), abs=1e-6)
    assert columns["cosine_to_mean"][2] == 0
    assert columns["head_bias"].tolist() == bias.tolist()


def test_each_baseline_has_its_own_columns():
    x, names = surface([" the", "Cat", None, "λ"], np.eye(4), np.ones(4))
    found = {baseline: [names[i] for i in columns_of(baseline, names)] for baseline in BASELINES}
    assert found["constant"] == []
    assert found["ln id"] == ["ln_id"]
    assert found["row norm"] == ["norm"]
    assert found["head bias"] == ["head_bias"]
    assert found["squared norm and cosine to the mean"] == ["squared_norm", "cosine_to_mean"]
    assert set(found["all surface"]) == set(names) - {"norm", "squared_norm", "cosine_to_mean", "head_bias"}
    assert set(found["all without direction"]) == set(names)
    assert x.shape == (4, len(names))
    assert columns_of("head bias", surface(["a", "b"])[1]) == []


def test_rows_of_another_length_are_one_line():
    with pytest.raises(RarityError, match="3 rows for 2 tokens"):
        surface(["a", "b"], np.ones((3, 2)))
    with pytest.raises(RarityError, match="3 biases for 2 tokens"):
        surface(["a", "b"], bias_V=np.ones(3))
    with pytest.raises(RarityError, match="is a function"):
        Forms.of(lambda texts: [])


def test_scripts_by_the_first_letter():
    wanted = {"Ａ": "Latn", "12a": "Latn", "ª": "Latn", "𝐀": "Zyyy", "ｱ": "Kana", "": "Zzzz", None: "Zzzz"}
    assert {text: script_of(text) for text in wanted} == wanted
