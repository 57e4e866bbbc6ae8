"""A rarityir encoder, filtered or not, as a model that mteb evaluates (extra `mteb`)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from rarityir.systems import slug
from rarityir.types import Encoder, Filter, Floats, MissingExtra

try:
    from mteb.models import ModelMeta
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ScoringFunction
    from mteb.types import PromptType
except ImportError:
    raise MissingExtra("rarityir.integrations.mteb needs mteb: pip install 'rarityir[mteb]'") from None


class FilteredEncoder(AbsEncoder):  # type: ignore[misc]
    """Embeds with an encoder, then filters; mteb compares by cosine, as rarityir does.

    mteb keeps results by a model's name and revision. Here the name holds encoder and filter, the revision digests of all
    that the encoder's vectors depend on and of the filter, so that no cache gives one model the figures of another. A
    filter of another width than the encoder's is a `RarityError` at once.
    """

    def __init__(self, encoder: Encoder, filter: Filter | None = None) -> None:
        self.encoder = encoder
        self.filter = filter
        instruction = getattr(encoder, "instruction", "")  # `identity` is about documents, which take none
        facts = json.dumps({**encoder.identity(), "instruction": instruction}, sort_keys=True)
        name = encoder.name if filter is None else f"{encoder.name}+{filter.name}"
        digests = hashlib.sha256(facts.encode()).hexdigest(), "raw" if filter is None else filter.digest
        self.mteb_model_meta = ModelMeta.create_empty(
            {
                "name": f"rarityir/{slug(name)}",
                "revision": "-".join(digest[:16] for digest in digests),
                "embed_dim": self._filtered(np.zeros((1, encoder.dim), np.float32)).shape[1],
                "framework": ["PyTorch"],
                "similarity_fn_name": ScoringFunction.COSINE,
                "use_instructions": bool(instruction),
            }
        )

    def encode(
        self,
        inputs: Any,
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: PromptType | None = None,
        **kwargs: Any,
    ) -> Floats:
        """Returns the (N, K) float32 vectors of mteb's batches; what is no query is encoded as a document.

        The encoder's own instruction and batches hold: mteb's prompts and batch size are not used.
        """
        texts = [text for batch in inputs for text in batch["text"]]
        encode = self.encoder.encode_query if prompt_type == PromptType.query else self.encoder.encode_document
        return self._filtered(encode(texts))

    def _filtered(self, x_BD: Floats) -> Floats:
        return x_BD if self.filter is None else self.filter(x_BD)
