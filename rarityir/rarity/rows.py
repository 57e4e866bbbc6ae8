"""The matrices that a probe reads, as blocks of float32 rows: a model's stored ones, and its states in context.

`input`, `output`, `q` and `k` come straight from the safetensors shard; the model is loaded for `type:L` (each token alone
behind the token that opens a text), `context:L` (each occurrence in sampled documents) and `context-mean:L` (each token's mean
over them), the states after L layers. States are computed once and kept in a temporary file, never in memory together.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rarityir import checkpoints, progress, registry
from rarityir.checkpoints import ENTRIES
from rarityir.rarity.attention import projection
from rarityir.types import Floats, Ints, RarityError, UnknownName

if TYPE_CHECKING:
    from rarityir.encoders.hf import HFEncoder
    from rarityir.encoders.prompts import Templated

STORED, STATES = ("input", "output", "q", "k"), ("type", "context", "context-mean")
DOCUMENTS, LEAST = 500, 5  # documents sampled for states in context; occurrences that a token's mean is taken over at least
_CHUNK = 4096  # sequences laid out at a time


@dataclass(frozen=True, eq=False)
class Matrix:
    """An (N, D) matrix in float32 blocks, and what its rows are.

    `types` (N,) says which token each row is of, None where row i is token i. `contextual` says that a token may have many
    rows, which then must never stand on both sides of a fold. `stream` says whether the rows live in the residual stream, in
    which filters of embeddings live too. `tied` says whether input and output embeddings are one matrix, None where unknown.
    """

    name: str
    shape: tuple[int, int]
    read: Callable[[int], Iterator[Floats]] = field(repr=False)
    types: Ints | None = field(default=None, repr=False)
    contextual: bool = False
    stream: bool = True
    tied: bool | None = None

    def blocks(self, rows: int = 0) -> Iterator[Floats]:
        """Yields float32 blocks of at most so many rows, in order; of about 64 MB where nothing is said."""
        yield from self.read(rows or max(1, ENTRIES // self.shape[1]))

    def array(self) -> Floats:
        """Returns the whole matrix in float32."""
        return np.concatenate(list(self.blocks()))

    def take(self, wanted_N: NDArray[Any]) -> Matrix:
        """Returns some rows alone, in their order: a mask (N,), or row numbers in rising order."""
        wanted = np.asarray(wanted_N)
        mask = wanted if wanted.dtype == bool else np.bincount(wanted, minlength=self.shape[0]).astype(bool)
        if len(mask) != self.shape[0]:
            raise RarityError(f"{len(mask)} rows are marked of {self.shape[0]} of {self.name}; mark each, or give their numbers")
        types = np.arange(len(mask)) if self.types is None else self.types
        kept = types[mask]
        return replace(self, shape=(len(kept), self.shape[1]), read=partial(_taken, self.read, mask), types=kept)

    def projected(self, basis_KD: NDArray[Any], name: str = "") -> Matrix:
        """Returns the rows' coordinates along K directions, (N, K)."""
        turn = np.asarray(basis_KD, np.float64).T
        if len(turn) != self.shape[1]:
            raise RarityError(f"directions of width {len(turn)} do not fit {self.name}, which is {self.shape[1]} wide")
        read = partial(_mapped, self.read, lambda x: (x.astype(np.float64) @ turn).astype(np.float32))
        return replace(self, name=name or self.name, shape=(self.shape[0], turn.shape[1]), read=read, stream=False)

    def columns(self, first: int, last: int) -> Matrix:
        """Returns the coordinates [first, last) alone, (N, last − first)."""
        read = partial(_mapped, self.read, lambda x: x[:, first:last])
        return replace(self, shape=(self.shape[0], last - first), read=read, stream=False)

    def kept(self) -> Matrix:
        """Returns the same rows, computed when they are first read and then read from a temporary file."""
        return replace(self, read=_Once(lambda: self.blocks(), self.shape[1]))

    def of(self, values_V: NDArray[Any]) -> NDArray[Any]:
        """Returns what V tokens have, (V, …), row by row: (N, …)."""
        return values_V if self.types is None else values_V[self.types]

    def fold_groups(self, groups_V: Ints | None, *, allow_leaky: bool = False) -> Ints | None:
        """Returns the (N,) groups that folds keep whole, from those of tokens; rows of one token always share one.

        Raises:
            RarityError: for occurrences without groups, where a token's own rows would tell what is asked of it, unless
                `allow_leaky` asks for just that.
        """
        if groups_V is not None:
            return np.asarray(self.of(groups_V))
        if self.contextual and not allow_leaky:
            raise RarityError(
                f"{self.name}: folds of occurrences must keep a token's rows together; give groups, or allow_leaky=True to see "
                "what leaks"
            )
        return None


def rows(
    model: str,
    matrix: str = "output",
    *,
    gain: bool = False,
    layer: int | None = None,
    texts: Iterable[str] | None = None,
    documents: int = DOCUMENTS,
    seed: int = 0,
    device: str = "auto",
) -> Matrix:
    """Returns a model's rows by short name, hub id or path.

    Args:
        matrix: `input`, `output`, `q`, `k`, or `type:L`, `context:L`, `context-mean:L`, the states after L layers (0 is the
            input, the last comes after the final norm).
        gain: of `output`, whether the final norm's gain is folded in, w ⊙ g (and the row's mean taken off if it centres).
        layer: L, where the name of the matrix does not say it.
        texts: documents that `context` states are sampled from.
        documents: how many of them are read.
        seed: which of them.
        device: where the model computes states.

    Raises:
        RarityError: if the model has no such rows.
    """
    kind, colon, number = matrix.partition(":")
    if kind not in (*STORED, *STATES):
        raise UnknownName(registry.unknown("matrix", kind, (*STORED, *(f"{name}:L" for name in STATES))))
    if gain and kind != "output":
        raise RarityError(f"gain is the final norm's, which {matrix} rows never meet; use it with output")
    if kind in STORED:
        if colon or layer is not None:
            raise RarityError(f"{kind} rows are of no layer; leave {number or layer} out, or use type:{number or layer}")
        return _stored(model, kind, gain=gain)
    wanted = number if colon else "" if layer is None else str(layer)
    if not wanted.isdigit():
        raise RarityError(f"{matrix} needs the number of a layer, such as {kind}:2")
    if model.startswith("st:"):
        raise RarityError(f"{model}: states by layer are read of causal language models; leave st: out")
    encoder = _reader(model, int(wanted), device)
    tied = checkpoints.input_embeddings(model)[1]
    name = f"{kind}:{int(wanted)}"
    if kind == "type":
        return _type_states(encoder, model, name, int(wanted), tied=tied)
    if texts is None:
        raise RarityError(f"{name} rows are of a corpus's tokens; give a dataset's texts")
    found = _occurrences(encoder, name, int(wanted), _sampled(texts, documents, seed), tied=tied)
    return found if kind == "context" else _means(found, len(encoder.tokens()))


def _stored(model: str, kind: str, *, gain: bool) -> Matrix:
    embeddings, tied = checkpoints.input_embeddings(model)
    if kind == "output":
        head = checkpoints.unembedding(model)
        if not gain:
            return Matrix("output", head.shape, head.blocks, tied=tied)
        gain_D, centres = checkpoints.final_norm(model)
        if len(gain_D) != head.shape[1]:
            raise RarityError(f"{model}: its final norm has width {len(gain_D)}, its head {head.shape[1]}; leave gain out")

        def folded(x_BD: Floats) -> Floats:
            x = x_BD * gain_D
            return x - x.mean(axis=1, keepdims=True) if centres else x

        return Matrix("output x gain", head.shape, partial(_mapped, head.blocks, folded), tied=tied)
    if kind == "input":
        return Matrix("input", embeddings.shape, embeddings.blocks, tied=tied)
    found = projection(model, kind)
    if len(found.gain) != embeddings.shape[1]:
        raise RarityError(f"{model}: its first norm has width {len(found.gain)}, its input {embeddings.shape[1]}; use input rows")
    shape = (embeddings.shape[0], len(found.weight))
    return Matrix(kind, shape, partial(_mapped, embeddings.blocks, found), stream=False, tied=tied)


def _mapped(read: Callable[[int], Iterator[Floats]], change: Callable[[Floats], Floats], rows: int) -> Iterator[Floats]:
    return (change(block) for block in read(rows))


def _taken(read: Callable[[int], Iterator[Floats]], mask_N: NDArray[np.bool_], rows: int) -> Iterator[Floats]:
    start = 0
    for block in read(rows):
        kept = block[mask_N[start : start + len(block)]]
        start += len(block)
        if len(kept):
            yield kept


def _reader(model: str, layer: int, device: str) -> HFEncoder:
    from rarityir.encoders import load_encoder

    encoder: Any = load_encoder(model, pooling="mean", device=device)
    if layer > encoder.layers:
        raise RarityError(
            f"{model} has {encoder.layers} layers, so there are no states after {layer}; give 0 to {encoder.layers}"
        )
    found: HFEncoder = encoder
    return found


class _Once:
    """Blocks that are computed when they are first read, and kept in a file that goes with this value."""

    def __init__(self, compute: Callable[[], Iterator[Floats]], width: int) -> None:
        self._compute, self._width = compute, width
        self._file: Any = None

    def __call__(self, rows: int) -> Iterator[Floats]:
        if self._file is None:
            file = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as this value lives
            for block in self._compute():
                if block.shape[1] != self._width:  # a head narrower than the model: its last states are the head's
                    raise RarityError(
                        f"states of this layer are {block.shape[1]} wide, others {self._width}; ask for a lower layer"
                    )
                file.write(np.ascontiguousarray(block, "<f4").data)
            self._file = file
        start, size = 0, rows * self._width * 4
        while True:
            self._file.seek(start)  # another reading may stand elsewhere
            part = self._file.read(size)
            if not part:
                return
            start += len(part)
            yield np.frombuffer(part, "<f4").reshape(-1, self._width)


def _states(encoder: HFEncoder, sequences: Callable[[int, int], list[Templated]], count: int, layer: int) -> Iterator[Floats]:
    """Yields the states of so many sequences' spans, in order."""
    with progress.bar(f"states after {layer} layers", count) as advance:
        for start in range(0, count, _CHUNK):
            laid_out = sequences(start, min(start + _CHUNK, count))
            for first in range(0, len(laid_out), 256):
                part = laid_out[first : first + 256]
                yield np.concatenate(encoder.layer_states(part, layer))
                advance(len(part))


def _type_states(encoder: HFEncoder, model: str, name: str, layer: int, *, tied: bool) -> Matrix:
    count = checkpoints.input_embeddings(model)[0].shape[0]
    compute = partial(_states, encoder, lambda start, stop: encoder.alone(range(start, stop)), count, layer)
    return Matrix(name, (count, encoder.width), _Once(compute, encoder.width), tied=tied)


def _occurrences(encoder: HFEncoder, name: str, layer: int, texts: list[str], *, tied: bool) -> Matrix:
    sequences = [s for s in encoder.lay_out(texts) if len(s.ids) > 1]
    if not sequences:
        raise RarityError(f"{name}: there are no texts with tokens to sample")
    types = np.concatenate([np.asarray(s.ids[s.start : s.stop], np.int64) for s in sequences])
    compute = partial(_states, encoder, lambda start, stop: sequences[start:stop], len(sequences), layer)
    read = _Once(compute, encoder.width)
    return Matrix(name, (len(types), encoder.width), read, types, contextual=True, tied=tied)


def _means(found: Matrix, vocabulary: int) -> Matrix:
    """Each token's mean over its occurrences, where there are enough."""
    if found.types is None:
        raise RarityError(f"{found.name}: rows of no known tokens have no mean by token")
    counts, types = np.bincount(found.types, minlength=vocabulary), found.types
    kept = np.flatnonzero(counts >= LEAST)
    if not len(kept):
        raise RarityError(f"{found.name}: no token occurs {LEAST} times in the texts sampled; sample more documents")
    place = np.full(len(counts), -1)
    place[kept] = np.arange(len(kept))

    def compute() -> Iterator[Floats]:
        sums, start = np.zeros((len(kept), found.shape[1])), 0
        for block in found.blocks():
            at = place[types[start : start + len(block)]]
            np.add.at(sums, at[at >= 0], block[at >= 0])
            start += len(block)
        yield (sums / counts[kept][:, None]).astype(np.float32)

    shape = (len(kept), found.shape[1])
    return replace(found, shape=shape, read=_Once(compute, shape[1]), types=kept, contextual=False)


def _sampled(texts: Iterable[str], count: int, seed: int) -> list[str]:
    """So many of the texts, each with the same chance, in their order; all are read and no more than those are held."""
    rng, kept = np.random.default_rng(seed), list[tuple[int, str]]()
    for place, text in enumerate(texts):
        if len(kept) < count:
            kept.append((place, text))
        elif (drawn := int(rng.integers(place + 1))) < count:
            kept[drawn] = (place, text)
    return [text for _, text in sorted(kept)]
