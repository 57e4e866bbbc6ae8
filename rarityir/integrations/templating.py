"""A pooling's template inside a tokenizer, so that any library that reads `tokenizer.json` writes it around every text.

What stands apart from the text is added as token ids, after the text is cut. What touches it, PromptEOL's quotation marks,
is written into the text before it is tokenised, as tokenizers join marks: `flow."` ends in one token, not in two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rarityir.encoders.prompts import POOLINGS
from rarityir.types import RarityError

# Texts whose ends tokenizers like to join with marks: letters, digits, marks, brackets, other scripts, broken lines.
_PROBES = ("wing", "Lift is lost.", "(a) 12.5%", "the flow , at mach 2 .", 'said "so"', "é漢字", "a\nb", "really?!", "x'")


@dataclass(frozen=True)
class Templated:
    """A `tokenizers.Tokenizer` that writes the template, how many tokens that adds to a text, and the id it begins with."""

    tokenizer: Any = field(repr=False)
    added: int
    bos: int
    pad: str


def templated(tokenizer: Any, pooling: str, name: str) -> Templated:
    """Returns the template of `last`, `mean` or `prompteol` in a copy of a transformers tokenizer.

    Checked against the encoder's own tokens on texts of all kinds; a tokenizer that cannot be given the template exactly
    is a `RarityError`.
    """
    from tokenizers import Regex, Tokenizer, normalizers, processors

    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise RarityError(f"{name} has no tokenizer.json, so no template can be written into it; export another model")
    bos, pad = _marks(tokenizer)
    own = tokenizer("a", add_special_tokens=False)["input_ids"]
    # As the encoder does: a word gets a space before it unless the tokenizer writes that itself.
    space = "" if tokenizer.convert_ids_to_tokens(own)[0][:1] in ("▁", "Ġ") else " "
    before, after = POOLINGS[pooling].template
    head, _, opening = before.rpartition(" ")
    closing, _, tail = after.partition(" ")
    prefix = [bos, *(_ids(tokenizer, head) if head else [])]
    suffix = _ids(tokenizer, space + tail) if tail else []

    copy = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    steps: list[Any] = [normalizers.Prepend(space + opening)] if space + opening else []
    steps += [normalizers.Replace(Regex(r"\z"), closing)] if closing else []
    if steps:
        copy.normalizer = normalizers.Sequence([*steps, copy.normalizer] if copy.normalizer else steps)
    marks = {"prefix": prefix, "suffix": suffix}
    copy.post_processor = processors.TemplateProcessing(
        single="prefix $A suffix" if suffix else "prefix $A",
        special_tokens=[
            {"id": mark, "ids": ids, "tokens": tokenizer.convert_ids_to_tokens(ids)} for mark, ids in marks.items() if ids
        ],
    )
    for probe in _PROBES:
        wanted = _ids(tokenizer, before + probe + after if head else space + probe)
        if copy.encode(probe).ids != [bos, *wanted]:
            raise RarityError(
                f"{name}: its tokenizer cannot be given the template of {pooling} exactly (it differs on {probe!r}); "
                "export with another --pooling"
            )
    return Templated(copy, len(prefix) + len(suffix), bos, pad)


def _ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _marks(tokenizer: Any) -> tuple[int, str]:
    """The id that begins every sequence, chosen as the encoder does, and the token that pads."""
    ends: Sequence[int | None] = (tokenizer.eos_token_id, tokenizer.sep_token_id, tokenizer.bos_token_id)
    eos = next((i for i in ends if i is not None), 0)
    bos = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else eos
    pad = tokenizer.pad_token if tokenizer.pad_token is not None else tokenizer.convert_ids_to_tokens(eos)
    return bos, pad
