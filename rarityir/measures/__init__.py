"""Scores runs against qrels, per topic, and compares them: ranx computes the measures, the tests are seeded and ours."""

from __future__ import annotations

from rarityir.measures.names import DEFAULT, Measure
from rarityir.measures.scoring import evaluate
from rarityir.measures.significance import Comparison, compare

__all__ = ["DEFAULT", "Comparison", "Measure", "compare", "evaluate"]
