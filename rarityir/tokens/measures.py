"""How far texts' embeddings write the texts' own tokens: Hit@K, local and global alignment rate, each beside its control.

Source: "A Text is Worth Several Tokens" (arXiv 2406.17378), the measures as its authors' code computes them. T is the set of
a text's own tokens, T̂ its aligned list: the tokens of its n largest logits, of equal logits the lower id first.

    Hit@K  share of texts whose K best tokens hold one of T
    LAR    mean over texts of |T̂ ∩ T| / |T|
    GAR    |∪ (T̂ ∩ T)| / |∪ T|, unions over texts

Frequent tokens are in nearly every text and near the top of nearly every list, so a figure says something only beside its
control: the same lists against another text's tokens.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rarityir.tokens.queries import inverse_document_frequencies
from rarityir.tokens.vocabulary import Vocabulary
from rarityir.types import Floats, Ints, Json, RarityError

CUTOFF = 10  # the K of Hit@K, and how deep the published form's lists go
FLOORS = (1e-2, 1e-3, 1e-4, 1e-5)  # bands of relative frequency, each from its floor up to the one before
STOP = 1e-3  # a token that is one in a thousand running tokens or more counts as a stop word
REPLICATES = 1000  # of the bootstrap
LEVEL = 0.95

Vectors = NDArray[np.float64]
Bits = NDArray[np.uint8]
_AT_ONCE = 4096  # tokens whose bits are counted at a time


@dataclass(frozen=True, eq=False)
class TokenSets:
    """The tokens of N texts in CSR form, `token_ids[indptr[i]:indptr[i+1]]` rising without repeats, out of `size` tokens.

    `depths` (N,) says how deep each text's aligned list goes.
    """

    indptr: Ints
    token_ids: Ints = field(repr=False)
    depths: Ints = field(repr=False)
    size: int

    @classmethod
    def published(cls, token_ids: Iterable[Sequence[int]], size: int, cutoff: int = CUTOFF) -> TokenSets:
        """Returns the published form of texts given as raw ids of the tokenizer, special tokens and repeats among them.

        A list goes as deep as the text has ids, repeats counted, but no deeper than `cutoff`: the published code ranks no
        more than K tokens and cuts T̂ short without saying so. Ids beyond the unembedding's `size` rows are left out.
        """
        found = [(np.unique(ids), min(len(ids), cutoff)) for ids in (np.asarray(text, np.int64) for text in token_ids)]
        return cls._of([ids[ids < size] for ids, _ in found], [depth for _, depth in found], size)

    @classmethod
    def corrected(cls, token_ids: Iterable[Sequence[int]], vocabulary: Vocabulary) -> TokenSets:
        """Returns the canonical tokens of texts given as ids: no special token or mark, each word once, lists as deep as |T|."""
        sets = [vocabulary.classes([ids])[0] for ids in token_ids]
        return cls._of(sets, [len(ids) for ids in sets], len(vocabulary.names))

    @classmethod
    def _of(cls, sets: Sequence[Ints], depths: Sequence[int], size: int) -> TokenSets:
        indptr = np.cumsum([0, *(len(ids) for ids in sets)], dtype=np.int64)
        token_ids = np.concatenate(sets) if sets else np.empty(0, np.int64)
        return cls(indptr, token_ids, np.asarray(depths, np.int64), size)

    def __len__(self) -> int:
        return len(self.depths)

    def __getitem__(self, text: int) -> Ints:
        """Returns a text's tokens, rising."""
        return self.token_ids[self.indptr[text] : self.indptr[text + 1]]

    @property
    def frequencies(self) -> Ints:
        """The (C,) number of texts that have each token."""
        return np.bincount(self.token_ids, minlength=self.size)


@dataclass(frozen=True)
class Figure:
    """A measure of texts' own tokens, the same of another text's tokens, and what the first is above the second.

    `low` and `high` bound that difference in 95% of resamples of the texts. NaN where no text has such a token.
    """

    own: float
    control: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Band:
    """Tokens of one range of frequency: how many entries texts have of them, the share found in T̂, and Hit@K of them alone."""

    name: str
    entries: int
    share: Figure
    hit: Figure


@dataclass(frozen=True)
class Alignment:
    """What `measure` found over `texts` texts; `skipped` more have no token. `tokens` is the mean |T|.

    `hit_idf` weighs a hit by the rarest token hit, as a share of the text's rarest; `lar_idf` weighs every token by its
    inverse document frequency among these texts. `bands` share out all tokens by frequency; so do `stop` and `content`.
    """

    texts: int
    skipped: int
    tokens: float
    cutoff: int
    seed: int
    hit: Figure
    lar: Figure
    gar: Figure
    hit_idf: Figure
    lar_idf: Figure
    stop: Band
    content: Band
    bands: tuple[Band, ...]

    def json(self) -> dict[str, Json]:
        """Returns the whole as JSON values, null for what no text has."""
        found: dict[str, Json] = _plain(dataclasses.asdict(self))
        return found


def measure(
    logit_blocks: Iterable[Floats],
    texts: TokenSets,
    *,
    cutoff: int = CUTOFF,
    frequency: Vectors | None = None,
    seed: int = 0,
) -> Alignment:
    """Returns the alignment of texts whose logits come as blocks (B, C), in the order of the texts.

    One block is held at a time; beside it, the texts' own tokens and a few bits for each token. A text without tokens is
    skipped and counted. The interval is of a Poisson bootstrap over texts (Chamandy et al., 2012): the spread of resampled
    differences about their mean, laid about the difference found, since a union over a resample is smaller than one over all.

    Args:
        texts: each text's own tokens, as published or corrected.
        cutoff: the K of Hit@K.
        frequency: each token's (C,) relative frequency, by which tokens are told apart as stop words and in bands (default:
            its share of these texts' entries).
        seed: of the control and of the bootstrap.

    Raises `RarityError` for logits that are not those of the texts, and where no other text can be a text's control.
    """
    if cutoff < 1:
        raise RarityError(f"Hit@{cutoff} has no token to look at; take a cutoff of at least 1")
    tally = _Tally(texts, cutoff, frequency, seed)
    row = 0
    for z_BC in logit_blocks:
        if z_BC.ndim != 2 or z_BC.shape[1] != texts.size or row + len(z_BC) > len(texts):
            raise RarityError(f"logits of shape {z_BC.shape} after {row} texts; {len(texts)} rows of {texts.size} are wanted")
        if not np.isfinite(z_BC).all():
            raise RarityError(f"logits of texts {row + 1} to {row + len(z_BC)} are not finite; encode them again")
        tally.add(z_BC, row)
        row += len(z_BC)
    if row < len(texts):
        raise RarityError(f"logits of {row} texts, but tokens of {len(texts)}; give a row of logits for every text")
    return tally.result()


def partners(texts: TokenSets, seed: int = 0) -> Ints:
    """Returns for each text (N,) the other text whose tokens are its control, −1 for a text without tokens.

    A seeded derangement: every text is the control of one text, never of itself nor of one that has the same tokens.
    """
    used = np.flatnonzero(np.diff(texts.indptr) > 0)
    numbers: dict[bytes, int] = {}
    group = np.array([numbers.setdefault(texts[i].tobytes(), len(numbers)) for i in used.tolist()], np.int64)
    most = int(np.bincount(group).max()) if len(used) else 0
    if not len(used) or 2 * most > len(used):
        why = f"{most} of {len(used)} texts have the same tokens" if len(used) > 1 else f"{len(used)} texts have tokens"
        raise RarityError(f"{why}, so no other text can be their control; give more texts, each once")
    rng = np.random.default_rng([seed, 0])
    # Texts of equal tokens stand side by side in an order that is random otherwise; a shift by the largest such run leaves it.
    order = used[np.lexsort((rng.permutation(len(used)), rng.permutation(len(numbers))[group]))]
    found = np.full(len(texts), -1, np.int64)
    found[order] = np.roll(order, -most)
    return found


def strata(frequency: Vectors) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    """Returns the names of stop words, content words and bands, and which tokens (G, C) belong to each."""
    ceilings = (math.inf, *FLOORS)
    names = ("stop", "content", *(f"{floor:.0e}".replace("e-0", "e-") for floor in FLOORS), "rarer")
    bands = [(frequency >= low) & (frequency < high) for low, high in zip((*FLOORS, 0.0), ceilings, strict=True)]
    return names, np.stack([frequency >= STOP, frequency < STOP, *bands])


class _Tally:
    """Sums every measure over texts, once for all texts (column 0) and once for each resample."""

    def __init__(self, texts: TokenSets, cutoff: int, frequency: Vectors | None, seed: int) -> None:
        self.texts, self.cutoff, self.seed = texts, cutoff, seed
        self.partner = partners(texts, seed)
        df = texts.frequencies
        count = int((self.partner >= 0).sum())
        self.idf = inverse_document_frequencies(df, count).astype(np.float64)
        if frequency is not None and frequency.shape != df.shape:
            raise RarityError(f"frequencies of shape {frequency.shape} for {texts.size} tokens; one for each is wanted")
        self.names, self.member = strata(df / df.sum() if frequency is None else frequency)
        self.entries = self.member @ df
        self.rng = np.random.default_rng([seed, 1])
        self.sums = np.zeros((REPLICATES + 1, 2, 4 + 2 * len(self.names), 2))
        self.place = np.cumsum(df > 0) - 1  # only tokens that some text has need bits
        self.found, self.there = (np.zeros((2, int((df > 0).sum()), -(-(REPLICATES + 1) // 8)), np.uint8) for _ in range(2))

    def add(self, z_BC: Floats, first: int) -> None:
        """Adds the texts from `first` on."""
        rows = [(z, first + i) for i, z in enumerate(z_BC) if self.partner[first + i] >= 0]
        weights = np.ones((len(rows), REPLICATES + 1))
        weights[:, 1:] = self.rng.poisson(1.0, (len(rows), REPLICATES))
        bits = np.packbits(weights > 0, axis=1)
        scores = np.zeros((len(rows), *self.sums.shape[1:]))
        for row, (z, text) in enumerate(rows):
            best, top = _best(z, int(self.texts.depths[text]), self.cutoff)
            for side, other in enumerate((text, self.partner[text])):
                ids = self.texts[other]
                scores[row, side] = self._score(ids, best[ids], top[ids])
                self.found[side, self.place[ids[best[ids]]]] |= bits[row]
                self.there[side, self.place[ids]] |= bits[row]
        self.sums += np.tensordot(weights, scores, axes=(0, 0))

    def _score(self, ids: Ints, found: NDArray[np.bool_], hit: NDArray[np.bool_]) -> Vectors:
        """One text's part of each measure as numerator and denominator."""
        rare, inside = self.idf[ids], self.member[:, ids]
        means = [hit.any(), found.mean(), (rare * hit).max() / rare.max(), rare @ found / rare.sum()]
        shares = np.stack([(inside & found).sum(axis=1), inside.sum(axis=1)], axis=1)
        hits = np.stack([(inside & hit).any(axis=1), inside.any(axis=1)], axis=1)
        return np.concatenate([np.stack([means, np.ones(len(means))], axis=1), shares, hits])

    def result(self) -> Alignment:
        """Returns the figures."""
        rates = _ratio(self.sums[..., 0], self.sums[..., 1])
        hit, lar, hit_idf, lar_idf, *rest = (_figure(*rates[:, :, i].T) for i in range(rates.shape[2]))
        global_rates = [_ratio(_counted(f), _counted(t)) for f, t in zip(self.found, self.there, strict=True)]
        groups = len(self.names)
        stop, content, *bands = (
            Band(*row) for row in zip(self.names, map(int, self.entries), rest[:groups], rest[groups:], strict=True)
        )
        texts = int((self.partner >= 0).sum())
        return Alignment(
            texts,
            len(self.texts) - texts,
            len(self.texts.token_ids) / texts,
            self.cutoff,
            self.seed,
            hit,
            lar,
            _figure(*global_rates),
            hit_idf,
            lar_idf,
            stop,
            content,
            tuple(bands),
        )


def _best(z_C: Floats, depth: int, cutoff: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which tokens are among the `depth` and among the `cutoff` best; of equal logits the lower id is better."""
    masks = []
    for count in (depth, cutoff):
        if count >= len(z_C):
            masks.append(np.ones(len(z_C), bool))
            continue
        last = np.partition(z_C, len(z_C) - count)[len(z_C) - count]
        mask = z_C > last
        mask[np.flatnonzero(z_C == last)[: count - int(mask.sum())]] = True
        masks.append(mask)
    return masks[0], masks[1]


def _counted(bits_UP: Bits) -> Vectors:
    """How many tokens' bits are set in each resample."""
    blocks = (bits_UP[at : at + _AT_ONCE] for at in range(0, len(bits_UP), _AT_ONCE))
    counts = [np.unpackbits(block, axis=1, count=REPLICATES + 1).sum(axis=0, dtype=np.int64) for block in blocks]
    return np.asarray(np.sum(counts, axis=0), np.float64)


def _ratio(part: Vectors, whole: Vectors) -> Vectors:
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0))


def _figure(own_R: Vectors, control_R: Vectors) -> Figure:
    """A measure from its values over all texts (first) and over each resample."""
    differences = own_R - control_R
    spread = differences[1:][np.isfinite(differences[1:])]
    around = np.quantile(spread, ((1 - LEVEL) / 2, (1 + LEVEL) / 2)) - spread.mean() if len(spread) else np.full(2, np.nan)
    return Figure(float(own_R[0]), float(control_R[0]), float(differences[0]), *(differences[0] + around).tolist())


def _plain(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
