"""Surface forms under every tokenizer convention; the tokenizers are built in memory."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from rarityir.encoders import load_encoder
from rarityir.encoders.vocabulary import surface_forms


def wrapped(model, decoder, pre, **specials) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(model)
    tokenizer.decoder, tokenizer.pre_tokenizer = decoder, pre
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **specials)


def sentencepiece(*pieces: str) -> PreTrainedTokenizerFast:
    """Llama's convention: ▁ for a space, <0x41> for a byte."""
    vocabulary = {piece: i for i, piece in enumerate(("<unk>", "<s>", "</s>", "<0x0A>", "<0xE2>", *pieces))}
    decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    model = models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    pre = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return wrapped(model, decoder, pre, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def bytelevel(*pieces: str) -> PreTrainedTokenizerFast:
    """GPT-2's convention: a printable letter for every byte, Ġ for a space."""
    vocabulary = {piece: i for i, piece in enumerate(("<|endoftext|>", *pieces))}
    pre = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return wrapped(models.BPE(vocabulary, []), decoders.ByteLevel(), pre, eos_token="<|endoftext|>")


def wordpiece(*pieces: str) -> PreTrainedTokenizerFast:
    """BERT's convention: ## before a piece that goes on a word."""
    vocabulary = {piece: i for i, piece in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *pieces))}
    model = models.WordPiece(vocabulary, unk_token="[UNK]")
    return wrapped(
        model, decoders.WordPiece(), pre_tokenizers.BertPreTokenizer(),
        pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
    )  # fmt: skip


def forms(tokenizer: PreTrainedTokenizerFast, specials: int) -> list[str | None]:
    found = surface_forms(tokenizer, len(tokenizer))
    assert found[:specials] == [None] * specials
    return found[specials:]


def test_sentencepieces_mark_is_a_space_and_its_byte_tokens_write_no_text():
    assert forms(sentencepiece("▁cat", "cat", "▁", "▁▁x", "é", "漢"), 5) == [" cat", "cat", " ", "  x", "é", "漢"]


def test_gpt2s_alphabet_is_undone_and_half_a_character_writes_no_text():
    pieces = {"Ġcat": " cat", "cat": "cat", "Ã©": "é", "ĠÃ©t": " ét", "Ċ": "\n", "Ġ": " ", "Ã": None, "æ¼": None, "æ¼¢": "漢"}
    assert dict(zip(pieces, forms(bytelevel(*pieces), 1), strict=True)) == pieces


def test_berts_marks_are_taken_off_and_its_specials_write_no_text():
    assert forms(wordpiece("cat", "##s", "##ing", "é", "##é"), 4) == ["cat", "s", "ing", "é", "é"]


@pytest.mark.parametrize("made", [sentencepiece, bytelevel])
def test_number_signs_are_text_where_they_are_no_mark(made):
    assert forms(made("##", "####", "#", "##x"), 5 if made is sentencepiece else 1) == ["##", "####", "#", "##x"]


@pytest.mark.parametrize("made", [sentencepiece, bytelevel, wordpiece])
def test_rows_beyond_the_vocabulary_are_none_and_rows_short_of_it_cut_the_list(made):
    tokenizer = made("cat", "dog")
    whole = surface_forms(tokenizer, len(tokenizer))
    assert whole[-2:] == ["cat", "dog"]
    assert surface_forms(tokenizer, len(tokenizer) + 3) == [*whole, None, None, None]
    assert surface_forms(tokenizer, len(tokenizer) - 1) == whole[:-1]


def test_added_special_tokens_write_no_text_and_added_words_do():
    tokenizer = bytelevel("cat")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|user|>"]})
    tokenizer.add_tokens(["wombat"])
    assert surface_forms(tokenizer, len(tokenizer)) == [None, "cat", None, "wombat"]


def test_the_small_models_forms_join_to_the_text_they_were_read_from(stories):
    encoder = load_encoder(stories, pooling="mean")
    text = "The cat sat on the mat."
    assert "".join(encoder.tokens()[i] for i in encoder.tokenize([text])[0]) == f" {text}"
    assert sum(form is None for form in encoder.tokens()) == 3 + 256
