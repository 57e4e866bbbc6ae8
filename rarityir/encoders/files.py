"""What transformers makes of a model's files, or one line that says why it cannot."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from rarityir.types import RarityError

TOKENIZER = "tokenizer_config.json"
log = logging.getLogger(__name__)


def tokenizer(model: str) -> Any:
    """Returns a model's tokenizer; what a folder does not say of it is taken as transformers has it, and told."""
    from transformers import AutoTokenizer

    if Path(model).is_dir() and not (Path(model) / TOKENIZER).is_file():
        log.warning("%s has no %s: which special tokens frame a text is guessed, and embeddings may be others", model, TOKENIZER)
    try:
        return AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    except Exception as error:  # of a file or of a network, and any
        raise RarityError(f"no tokenizer for {model} ({first_line(error)})") from None


def config(model: str) -> Any:
    """Returns a model's configuration."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(model, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise RarityError(f"no configuration for {model} ({first_line(error)})") from None


def causal_lm(model: str, dtype: str, attention: str) -> tuple[Any, set[str]]:
    """Returns a model, and the names of parameters that its files lack (transformers fills those with random numbers)."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as told

    told.disable_progress_bar()
    try:
        found, said = AutoModelForCausalLM.from_pretrained(
            model,
            dtype=getattr(torch, dtype),
            attn_implementation=None if attention == "auto" else attention,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:  # of a file, a network, or attention that is not here, and any
        raise RarityError(f"{model} does not load as a causal language model ({first_line(error)})") from None
    return found, set(said["missing_keys"])


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message, or its kind where it has none."""
    return str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
