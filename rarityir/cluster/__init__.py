"""A corpus encoded by a Ray cluster or by Spark, to the bytes one machine gives, as Parquet; and searched there, exactly."""

from __future__ import annotations

from rarityir.cluster.recipe import Recipe
from rarityir.cluster.shards import Encoded

__all__ = ["Encoded", "Recipe"]
