"""Embeddings read as tokens through the unembedding, and queries made of tokens."""

from __future__ import annotations

from rarityir.tokens.lens import TokenLens
from rarityir.tokens.queries import Asking, ask, literal
from rarityir.tokens.vocabulary import Vocabulary
from rarityir.tokens.weightings import WEIGHTINGS, check_weighting

__all__ = ["WEIGHTINGS", "Asking", "TokenLens", "Vocabulary", "ask", "check_weighting", "literal"]
