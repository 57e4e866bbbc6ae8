"""Labels of tokens that no embedding had a part in: what their strings show, or what a file says of them.

Clusters found in the very rows whose geometry is asked about would answer the question by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarityir import registry
from rarityir.geometry.families import seeded
from rarityir.geometry.nulls import Bands
from rarityir.geometry.rows import ENTRIES
from rarityir.rarity.forms import Forms
from rarityir.rarity.labels import Labels
from rarityir.types import BadInput, Ints, Json, RarityError, UnknownName

SYSTEMS = {
    "script": "the writing system of its letters",
    "casing": "lower, Capitalised, UPPER, Mixed, or no letters with a case",
    "leading_space": "begins a word or goes on with one",
    "digit": "nothing but digits, or not",
    "suffix": "the ending of a word of five letters or more, where it is one of the common English ones",
}
# Longest first where one ends in another, so that each word has one ending.
_SUFFIXES = (
    "ations", "ation", "ments", "ness", "ment", "able", "ible", "less", "ship", "ings", "ward", "tion", "sion", "ance", "ence",
    "ical", "ized", "ize", "ise", "ing", "ity", "ive", "ous", "ful", "ism", "ist", "ant", "ent", "ary", "ers", "ies", "est",
    "ed", "ly", "er", "or", "al", "ic", "en", "es", "s",
)  # fmt: skip
_SETS = 20  # random sets for each direction, of which only the mean is read


class Purity(NamedTuple):
    """How much alike a system's labels are among the nearest tokens, and among random sets of tokens as frequent.

    The share of the commonest label, the entropy by its largest possible value, and the mean pointwise mutual information in
    nats of a set with its tokens' labels, Σ p̂ ln(p̂ / p).
    """

    purity: float
    entropy: float
    information: float
    random_purity: float
    random_entropy: float
    random_information: float

    def json(self) -> dict[str, Json]:
        """Returns the figures by name."""
        return self._asdict()


def label_systems(forms: Sequence[str | None] | Forms, names: Sequence[str] = tuple(SYSTEMS)) -> dict[str, NDArray[Any]]:
    """Returns the label of each of V tokens under each system, (V,) arrays of strings; None where a token writes no text.

    Args:
        forms: what each token writes, its word-boundary mark as a space; or a tokenizer's `Forms`, which also know `##`.
        names: some of `SYSTEMS`.
    """
    for name in names:
        if name not in SYSTEMS:
            raise UnknownName(registry.unknown("system of labels", name, SYSTEMS))
    shown = Labels.of(forms)
    texts = forms.texts if isinstance(forms, Forms) else tuple(forms)
    every: dict[str, Iterable[str]] = {
        "script": shown.script,
        "casing": [casing(text or "") for text in texts],
        "leading_space": np.where(shown.leading_space, "begins", "goes on"),
        "digit": np.where(shown.digit, "digits", "none"),
        "suffix": [suffix(text or "") for text in texts],
    }
    return {name: _where(texts, every[name]) for name in names}


def casing(text: str) -> str:
    """Returns lower, Capitalised, UPPER, Mixed, or – where nothing has a case; one capital alone is Capitalised."""
    letters = [letter for letter in text if letter.lower() != letter.upper()]
    if not letters:
        return "–"
    word = "".join(letters)
    if word == word.lower():
        return "lower"
    if word[0] != word[0].lower() and word[1:] == word[1:].lower():
        return "Capitalised"
    return "UPPER" if word == word.upper() else "Mixed"


def suffix(text: str) -> str:
    """Returns the common ending of a word of five letters or more, – where it has none."""
    word = text.strip().lower()
    if len(word) < 5 or not word.isalpha():
        return "–"
    return next((f"-{ending}" for ending in _SUFFIXES if word.endswith(ending) and len(word) >= len(ending) + 3), "–")


def read_labels(path: Path, texts: Sequence[str | None]) -> NDArray[Any]:
    """Returns the labels of a file of lines token<TAB>label, as WordNet's supersenses could be written; None for all others.

    A token of the file stands for every token that writes it, with or without a space before it and in any case; the file's own
    first label counts.

    Raises:
        RarityError: if it cannot be read, a line is of another form, or no token is in it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RarityError(f"labels cannot be read from {path} ({error}); give lines of token<TAB>label") from None
    known: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        token, tab, label = line.partition("\t")
        if not line.strip():
            continue
        if not (tab and label.strip()):
            raise BadInput(f"{path}:{number}: {line[:40]!r} should read token<TAB>label")
        known.setdefault(token.strip().lower(), label.strip())
    found = [None if text is None else known.get(text.strip().lower()) for text in texts]
    if not any(found):
        raise RarityError(f"{path}: none of its {len(known)} tokens is in the vocabulary; are its tokens words?")
    return np.array(found, dtype=object)


def purities(
    ids_nk: Ints, systems: Mapping[str, NDArray[Any]], bands: Bands, seed: int = 0, sets: int = _SETS
) -> dict[str, Purity]:
    """Returns each system's purity among n directions' k nearest tokens, beside that of random sets of like frequency.

    Tokens without a label count as one label more.
    """
    rng = seeded(seed, "labels")
    chance = np.stack([bands.draw(row, sets, rng) for row in ids_nk]).reshape(-1, ids_nk.shape[1])
    found = {}
    for name, labels in systems.items():
        codes = np.unique(np.array([str(label) for label in labels]), return_inverse=True)[1]
        share = np.bincount(codes[bands.order]) / len(bands.order)
        share = np.append(share, np.zeros(codes.max() + 1 - len(share)))
        found[name] = Purity(*_alike(codes[ids_nk], share), *_alike(codes[chance], share))
    return found


def _alike(codes_Sk: NDArray[Any], share_C: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean purity, normalised entropy and information of sets of codes."""
    (sets, k), kinds = codes_Sk.shape, len(share_C)
    most = np.log(min(k, kinds)) if min(k, kinds) > 1 else 1.0
    usual = np.log(np.where(share_C > 0, share_C, 1.0))
    total, step = np.zeros(3), max(1, ENTRIES // kinds)
    for start in range(0, sets, step):
        codes = codes_Sk[start : start + step]
        places = codes + np.arange(len(codes))[:, None] * kinds
        part = np.bincount(places.ravel(), minlength=len(codes) * kinds).reshape(len(codes), kinds) / k
        logs = np.log(np.where(part > 0, part, 1.0))
        total += part.max(axis=1).sum(), -(part * logs).sum() / most, (part * (logs - usual)).sum()
    purity, entropy, information = (total / sets).tolist()
    return purity, entropy, information


def _where(texts: Sequence[str | None], labels: Iterable[str]) -> NDArray[Any]:
    return np.array([None if text is None else str(label) for text, label in zip(texts, labels, strict=True)], dtype=object)
