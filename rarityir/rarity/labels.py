"""What kind of string a token writes: labels read from decoded strings, so that every tokenizer's conventions give the same."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarityir.rarity.forms import Forms
from rarityir.rarity.stop_words import STOP_WORDS
from rarityir.types import Ints

Bools = NDArray[np.bool_]
# The first words of a letter's Unicode name → the code of its script (ISO 15924).
SCRIPTS = {
    "LATIN": "Latn", "GREEK": "Grek", "CYRILLIC": "Cyrl", "ARMENIAN": "Armn", "HEBREW": "Hebr", "ARABIC": "Arab",
    "SYRIAC": "Syrc", "THAANA": "Thaa", "DEVANAGARI": "Deva", "BENGALI": "Beng", "GURMUKHI": "Guru", "GUJARATI": "Gujr",
    "ORIYA": "Orya", "TAMIL": "Taml", "TELUGU": "Telu", "KANNADA": "Knda", "MALAYALAM": "Mlym", "SINHALA": "Sinh",
    "THAI": "Thai", "LAO": "Laoo", "TIBETAN": "Tibt", "MYANMAR": "Mymr", "GEORGIAN": "Geor", "HANGUL": "Hang",
    "ETHIOPIC": "Ethi", "CHEROKEE": "Cher", "KHMER": "Khmr", "MONGOLIAN": "Mong", "HIRAGANA": "Hira", "KATAKANA": "Kana",
    "KATAKANA-HIRAGANA": "Kana", "BOPOMOFO": "Bopo", "CJK": "Hani", "YI": "Yiii", "COPTIC": "Copt", "GOTHIC": "Goth",
    "RUNIC": "Runr", "OGHAM": "Ogam", "TIFINAGH": "Tfng", "JAVANESE": "Java", "BALINESE": "Bali",
}  # fmt: skip
COMMON, UNKNOWN = "Zyyy", "Zzzz"  # no letter of any script; no text at all, or a letter of a script not named above
UNSPACED = frozenset({"Hani", "Hira", "Kana", "Bopo", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"})  # written without spaces
_PLAIN = str.maketrans("’ʼ", "''")


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of V tokens; a token that writes no text has none of them, and the script `Zzzz`.

    Attributes:
        stop_word: (V,) the whole word of a list of 200 English ones in any case, with or without its space. A single letter
            in lower case needs its space, and a piece marked as going on with a word is none.
        punctuation: (V,) nothing but punctuation (Unicode's P, and ASCII's marks), whether or not a space stands before it.
        digit: (V,) nothing but decimal digits.
        leading_space: (V,) begins with a space; under the `##` convention, begins a word.
        fragment: (V,) goes on with a word: has a letter or digit and no space before it, in a vocabulary that marks where
            words begin. Scripts without spaces have no fragments.
        script: (V,) ISO 15924 code of the first letter's script; `Zyyy` where there is no letter.
    """

    stop_word: Bools
    punctuation: Bools
    digit: Bools
    leading_space: Bools
    fragment: Bools
    script: NDArray[np.str_]

    @classmethod
    def of(cls, forms: Sequence[str | None] | Forms, continuing: Bools | None = None) -> Labels:
        """Returns the labels of surface forms, each with a space where its word-boundary mark is, None where it is no text.

        `continuing` (V,) says which forms go on with a word where the tokenizer marks these instead (`##`). `Forms` say it
        themselves; without it such a vocabulary has no fragments and no leading spaces.
        """
        texts = forms.texts if isinstance(forms, Forms) else tuple(forms)
        goes_on = forms.continuing if isinstance(forms, Forms) else continuing
        spaced = np.array([(text or "").startswith(" ") for text in texts], bool)
        words = np.array([any(c.isalnum() for c in text or "") for text in texts], bool)
        script = np.array([script_of(text) for text in texts])
        marked = goes_on is not None or bool((spaced & words).any())
        leading = spaced if goes_on is None else words & ~goes_on
        return cls(
            np.array([_stop(text, spaced=bool(space)) for text, space in zip(texts, leading | spaced)], bool)
            & (goes_on is None or ~goes_on),
            np.array([_punctuation(text) for text in texts], bool),
            np.array([(text or "").strip().isdecimal() for text in texts], bool),
            leading,
            words & ~leading & ~np.isin(script, sorted(UNSPACED)) & marked,
            script,
        )

    @classmethod
    def of_tokenizer(cls, tokenizer: Any, rows: int = 0) -> Labels:
        """Returns the labels of a tokenizer's ids, by a model's name or as an object, for so many rows (0: for its own ids)."""
        return cls.of(Forms.of(tokenizer, rows))

    def __len__(self) -> int:
        return len(self.script)


def groups(forms: Sequence[str | None]) -> Ints:
    """Returns the group (V,) of each form: those that differ in case, space or plural alone are one.

    Groups are numbered in order of first appearance; each None is alone. Folds of one group must not be parted, or a probe
    is asked about words that it has seen.
    """
    found: dict[object, int] = {}
    return np.array([found.setdefault(i if form is None else normal(form), len(found)) for i, form in enumerate(forms)], np.int64)


def normal(form: str) -> str:
    """Returns a surface form in lower case, without space around it and without an English plural's ending."""
    return _singular(form.casefold().translate(_PLAIN).strip())


def script_of(form: str | None) -> str:
    """Returns the ISO 15924 code of the script of a form's first letter."""
    if not form:
        return UNKNOWN
    return next((_script(letter) for letter in form if letter.isalpha()), COMMON)


@cache
def _script(letter: str) -> str:
    name = unicodedata.name(letter, "").removeprefix("FULLWIDTH ").removeprefix("HALFWIDTH ")
    if name.startswith(("MATHEMATICAL", "MICRO SIGN", "MODIFIER", "SCRIPT", "BLACK-LETTER", "DOUBLE-STRUCK")):
        return COMMON  # letters that stand for quantities or marks
    if letter in "ªº":
        return "Latn"
    return SCRIPTS.get(re.split(r"[ -]", name)[0], UNKNOWN)


def _stop(form: str | None, *, spaced: bool) -> bool:
    word = (form or "").strip()
    if len(word) == 1 and word.islower() and not spaced:
        return False  # `a` and `i` without a space are mostly pieces of words
    return word.casefold().translate(_PLAIN) in STOP_WORDS


def _punctuation(form: str | None) -> bool:
    text = (form or "").strip()
    return bool(text) and all(c in string.punctuation or unicodedata.category(c).startswith("P") for c in text)


def _singular(word: str) -> str:
    """Harman's S stemmer ("How effective is suffixing?", JASIS 1991), for words of more than three letters."""
    if len(word) <= 3 or not word.isalpha():
        return word
    if word.endswith("ies") and word[-4] not in "ea":
        return word[:-3] + "y"
    if word.endswith("es") and word[-3] not in "aeo":
        return word[:-1]
    return word[:-1] if word.endswith("s") and word[-2] not in "us" else word
