"""Poolings as data: what is written around a text, and which states are averaged.

Sources: PromptEOL (Jiang et al., arXiv 2307.16645), Echo (Springer et al., arXiv 2402.15449), position-weighted mean
(Muennighoff, arXiv 2202.08904); the templates are those of EmbedFilter (arXiv 2606.07502, Appendix A).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Pooling:
    """A template around the text and the states that become the embedding.

    `states` says which: the mean of the text's tokens, their mean weighted by position, or the last token alone.
    `joint` templates are tokenised as one string, so the last token is the template's own; the others are joined token
    by token, so both copies of an echoed text are the same tokens.
    """

    states: Literal["mean", "weighted-mean", "last"]
    template: tuple[str, ...] = ("", "")
    joint: bool = False


POOLINGS: dict[str, Pooling] = {
    "echo": Pooling("mean", ("Rewrite the following paragraph:", ". The rewritten paragraph:", "")),
    "last": Pooling("last"),
    "mean": Pooling("mean"),
    "prompteol": Pooling("last", ('Summarize the sentence: "', '" in one word:"'), joint=True),
    "weighted-mean": Pooling("weighted-mean"),
}

WEIGHTED = "weighted"  # `weighted:FOLDER`: the mean of a text's tokens, each weighing what the folder says of it


@dataclass(frozen=True)
class Templated:
    """Token ids of one templated text and the span [start, stop) of states that are pooled."""

    ids: list[int]
    start: int
    stop: int


def lay_out(parts: Sequence[list[int]], text: list[int], bos: int, eos: int) -> Templated:
    """Returns bos + part + text + part (+ text + part …), pooled over the last copy of the text.

    With two copies (echo) the closing eos belongs to the pooled span, as published; with one there is no eos. The bos
    token is never pooled, except for a text without tokens, which has nothing else.
    """
    ids = [bos]
    start = 0
    for part in parts[:-1]:
        ids += part
        start = len(ids)
        ids += text
    ids += parts[-1]
    if len(parts) > 2:
        ids.append(eos)
    return Templated(ids, min(start, len(ids) - 1), len(ids))
