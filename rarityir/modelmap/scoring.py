"""What a causal language model thinks of texts: the sum of its tokens' log-probabilities, in nats a text.

How a text begins is said, never guessed, because it changes every sum. `tokenizer` puts before it what the tokenizer itself does;
`always` one beginning-of-text token (the end-of-text one where the model has no other), never two; `none` nothing. A first token
with nothing before it is not scored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rarityir import checkpoints, parsing, store
from rarityir.encoders import forward
from rarityir.modelmap.distances import Matrix
from rarityir.modelmap.maps import ModelMap
from rarityir.modelmap.texts import TextSet
from rarityir.types import Json, RarityError, StaleArtefact

BOS = ("tokenizer", "always", "none")
BLOCK = 64  # texts between two files, so that a kill costs no more
BATCH = 4096  # tokens of one forward pass, and about the rows of logits held


@dataclass(frozen=True)
class Reader:
    """A loaded model with its tokenizer, and how texts are laid out for it."""

    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    bos: str
    length: int  # tokens that the model has places for

    def lay_out(self, texts: TextSet) -> tuple[list[list[int]], list[bool], int]:
        """Returns each text's token ids, whether it was cut, and how many leading ids are no part of a text (0 or more)."""
        plain = self.tokenizer(list(texts.texts), add_special_tokens=False)["input_ids"]
        before = self.before()
        whole = [[*before, *ids] for ids in plain]
        return [ids[: self.length] for ids in whole], [len(ids) > self.length for ids in whole], len(before)

    def before(self) -> list[int]:
        """Returns the ids that stand before every text."""
        if self.bos == "none":
            return []
        if self.bos == "always":
            ids = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id)
            first = next((i for i in ids if i is not None), None)
            if first is None:
                raise RarityError("this tokenizer has neither a beginning nor an end of text; score with bos=none")
            return [first]
        plain = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        added = self.tokenizer("a")["input_ids"]
        at = next((i for i in range(len(added)) if added[i : i + len(plain)] == plain), 0)
        return list(added[:at])


def opened(model: str, *, bos: str = "tokenizer", dtype: str = "float32", device: str = "auto") -> Reader:
    """Loads a causal language model by short name, hub id or folder. Code that comes with a model is never run."""
    from rarityir.encoders.batching import Execution
    from rarityir.encoders.hf import load

    if bos not in BOS:
        raise RarityError(f"unknown bos {bos!r}; known: {', '.join(BOS)}")
    encoder = load(
        model, pooling=None, instruction="", max_length=None, device=device, dtype=dtype, batch_tokens=0, execution=Execution()
    )
    lm, tokenizer = encoder.causal()
    return Reader(lm, tokenizer, bos, getattr(lm.config.get_text_config(), "max_position_embeddings", None) or 10**9)


def loglik(reader: Reader, texts: TextSet) -> tuple[Matrix, dict[str, Json]]:
    """Returns each text's log-likelihood in nats (N,), and what was read: tokens scored, texts cut, the policy."""

    def own(ids: Any, mask: Any) -> Iterator[Any]:
        yield reader.model(input_ids=ids, attention_mask=mask, use_cache=False).logits

    found, facts = summed(reader, texts, own)
    return found[0], facts


def summed(reader: Reader, texts: TextSet, logits: Callable[[Any, Any], Iterator[Any]]) -> tuple[Matrix, dict[str, Json]]:
    """Returns Σ_t log p(token t | those before) of every text for every (B, T, V) logits that are given (rows, N).

    The sum is of the text's own tokens, not of what stands before them; a text without any is a `RarityError`.
    """
    import torch

    ids, cut, before = reader.lay_out(texts)
    first = max(before, 1)  # the token from which on a text is scored
    short = next((i for i, of in enumerate(ids) if len(of) <= first), None)
    if short is not None:
        raise RarityError(
            f"text {short} has {len(ids[short])} tokens, none of which can be scored; leave it out, or use bos=always"
        )
    columns: list[Any] = [None] * len(ids)
    device = reader.model.device
    with torch.inference_mode():
        for rows in _batches([len(of) for of in ids]):
            width = max(len(ids[row]) for row in rows)
            padded = forward.padded(reader.model, [ids[row] for row in rows])
            mask = torch.zeros((len(rows), width), dtype=torch.long)
            for at, row in enumerate(rows):
                mask[at, : len(ids[row])] = 1
            padded, mask = padded.to(device), mask.to(device)
            parts = []
            for found_BTV in logits(padded, mask):
                scores_BTV = found_BTV[:, :-1].float()
                picked = scores_BTV.gather(2, padded[:, 1:, None])[..., 0] - scores_BTV.logsumexp(dim=2)
                parts.append((picked.double() * mask[:, 1:])[:, first - 1 :].sum(dim=1).cpu().numpy())
            for at, row in enumerate(rows):
                columns[row] = [part[at] for part in parts]
    values = np.array(columns, np.float64).T
    if not np.isfinite(values).all():
        raise RarityError(
            f"text {int(np.argwhere(~np.isfinite(values))[0, 1])} has a log-likelihood that is not finite; use float32"
        )
    scored = [len(of) - first for of in ids]
    facts = {"bos": reader.bos, "before": before, "scored": scored, "cut": [i for i, was in enumerate(cut) if was]}
    return values, facts


def _batches(lengths: list[int]) -> Iterator[list[int]]:
    """Rows of like lengths, so that little is padded."""
    rows: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if rows and (len(rows) + 1) * lengths[rows[0]] > BATCH:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def score(
    model: str,
    texts: TextSet,
    folder: str | Path,
    *,
    name: str = "",
    bos: str = "tokenizer",
    dtype: str = "float32",
    device: str = "auto",
) -> Path:
    """Scores a text set into `folder/name`, block by block: what is there already is not done again."""
    name = (name or checkpoints.called(model)).replace("/", "--")
    place = Path(folder) / name
    identity = {**checkpoints.fingerprint(model), "texts": texts.sha256, "bos": bos, "dtype": dtype}
    facts: dict[str, Json] = {"mean_bytes": texts.mean_bytes, "count": len(texts), "name": name}
    with store.building(place, identity, facts) as needed:
        if needed:
            reader = None
            for start in range(0, len(texts), BLOCK):
                path = place / f"{start:08d}.json"
                if store.kept(path):
                    continue
                reader = reader or opened(model, bos=bos, dtype=dtype, device=device)
                values, said = loglik(reader, texts[range(start, min(start + BLOCK, len(texts)))])
                with store.keeping(path) as temporary:
                    store.write_json(temporary, {"values": values.tolist(), **said})
    return place


def read(place: str | Path) -> tuple[Matrix, dict[str, Json]]:
    """Returns a scored folder's log-likelihoods (N,) and its manifest; one that is not complete or was changed is refused."""

    place = Path(place)
    if not (place / store.MANIFEST).is_file():
        raise StaleArtefact(f"{place} is not complete; the same rarityir modelmap score goes on where it was")
    try:
        store.verify(place)
        manifest = store.described(place)
        blocks = [parsing.mapping(path) for path in sorted(place.glob("[0-9]*.json"))]
        values = np.concatenate([np.array(block["values"], np.float64) for block in blocks])
        parsing.need(parsing.finite(values, None), "values that are no numbers")
        cut = [start * BLOCK + int(i) for start, block in enumerate(blocks) for i in block["cut"]]
        before = max(int(block["before"]) for block in blocks)
        facts = {"tokens": sum(int(n) for block in blocks for n in block["scored"]), "cut": cut, "before": before}
        return values, {**manifest["identity"], **manifest["facts"], **facts}
    except parsing.BROKEN as error:
        raise StaleArtefact(f"{place} is no scored text set ({type(error).__name__}); remove it and score again") from None


def read_map(places: Mapping[str, str | Path] | list[Path], clip: float = 0.02) -> ModelMap:
    """Returns the map of scored folders, which must be of one text set; what each was scored with is kept as its facts.

    Folders in a list are known by their names, which must differ; a mapping names them itself.
    """
    found = {Path(p).name: p for p in places} if isinstance(places, list) else dict(places)
    if len(found) < len(places):
        names = [Path(p).name for p in places]
        twice = next(name for name in names if names.count(name) > 1)
        raise RarityError(f"two folders of scores are called {twice}; score one again with --model ANOTHER=MODEL")
    rows = {name: read(place) for name, place in found.items()}
    if len(rows) < 2:
        raise RarityError(f"{len(rows)} scored models; a map needs two or more")
    sets = {str(facts["texts"]): name for name, (_, facts) in rows.items()}
    if len(sets) > 1:
        one, two = list(sets.values())[:2]
        raise RarityError(f"{one} and {two} were scored on different text sets; score both on one")
    facts = {name: said for name, (_, said) in rows.items()}
    mean = float(next(iter(facts.values()))["mean_bytes"])
    return ModelMap.from_matrix(tuple(rows), [values for values, _ in rows.values()], mean, clip=clip, facts={"models": facts})
