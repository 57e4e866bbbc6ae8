"""Texts that models write themselves, as many of each: what shows whether a text set is like what they write.

Drawn token by token from the whole distribution, at temperature 1 and with nothing cut off it. A text ends at a special token or
where it is as long as asked; those that end too early are drawn anew, so the texts are of the models given that length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rarityir import checkpoints
from rarityir.modelmap.scoring import Reader, opened
from rarityir.modelmap.texts import TextSet, pieces
from rarityir.types import RarityError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = 32  # texts written together
STEPS = 32  # tokens between two looks at how long the texts are
ROUNDS = 20  # without a text that is long enough, until it is said that there are none


def sample(
    models: Mapping[str, str],
    each: int,
    *,
    max_bytes: int = 1024,
    min_bytes: int = 256,
    bos: str = "always",
    seed: int = 0,
    dtype: str = "float32",
    device: str = "auto",
) -> TextSet:
    """Returns `each` texts written by each named model, of more than `min_bytes` and at most `max_bytes` of UTF-8.

    A model that writes no such text in many tries is a `RarityError`, and so is one that has no token to begin with.
    """
    if each < 1 or not 0 <= min_bytes < max_bytes:
        raise RarityError(
            f"{each} texts of more than {min_bytes} and at most {max_bytes} bytes; ask for 1 or more of some length"
        )
    found: list[str] = []
    facts = {}
    for at, (name, model) in enumerate(models.items()):
        reader = opened(model, bos=bos, dtype=dtype, device=device)
        texts, short = written(reader, each, max_bytes=max_bytes, min_bytes=min_bytes, seed=seed + at, name=name)
        facts[name] = {**checkpoints.fingerprint(model), "too_short": short}
        found += texts
    source = {"written_by": facts, "each": each, "max_bytes": max_bytes, "min_bytes": min_bytes, "bos": bos, "seed": seed}
    return TextSet(tuple(found), source)


def written(
    reader: Reader, count: int, *, max_bytes: int, min_bytes: int = 0, seed: int = 0, name: str = "the model"
) -> tuple[list[str], int]:
    """Returns so many texts of one model, and how many more were too short."""
    import torch

    generator = torch.Generator(reader.model.device).manual_seed(seed)
    kept: list[str] = []
    short = barren = 0
    while len(kept) < count:
        long = 0
        for ids in draw(reader, ROWS, generator, max_bytes):
            text = next(pieces(_decoded(reader, ids), max_bytes), "")
            long += len(text.encode()) > min_bytes
            if len(text.encode()) <= min_bytes:
                short += 1
            elif len(kept) < count:
                kept.append(text)
        barren = 0 if long else barren + 1
        if barren == ROUNDS:
            raise RarityError(f"{name} wrote no text of over {min_bytes} bytes in {ROUNDS * ROWS} tries; ask for shorter ones")
    return kept, short


def draw(reader: Reader, rows: int, generator: Any, max_bytes: int) -> Iterator[list[int]]:
    """Yields the token ids of texts drawn from the model, without what begins and ends them, until they are that long."""
    import torch

    before = reader.before()
    if not before:
        raise RarityError("a text is drawn from its beginning, and this model is given none; sample with --bos always")
    ends = set(reader.tokenizer.all_special_ids)
    step = torch.tensor([before] * rows, device=reader.model.device)
    ids: list[list[int]] = [[] for _ in range(rows)]
    done, cache = [False] * rows, None
    with torch.inference_mode():
        for at in range(reader.length - len(before)):
            out = reader.model(input_ids=step, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            step = torch.multinomial(out.logits[:, -1].float().softmax(dim=-1), 1, generator=generator)
            for row, token in enumerate(step[:, 0].tolist()):
                done[row] |= token in ends
                if not done[row]:
                    ids[row].append(token)
            if at % STEPS == STEPS - 1:
                done = [was or len(_decoded(reader, of).encode()) > max_bytes for was, of in zip(done, ids, strict=True)]
            if all(done):
                break
    yield from ids


def _decoded(reader: Reader, ids: list[int]) -> str:
    return str(reader.tokenizer.decode(ids, clean_up_tokenization_spaces=False))
