"""What each layer of a model thinks of texts: its states read by the model's own final norm and head (the logit lens).

The last state that transformers returns is normalised already. Normalising it again is the classic mistake, so for the last layer
the model's own logits stand, and the norm that was found is proved first: applied to what entered it, then the head, it must give
those logits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rarityir.modelmap.distances import Matrix
from rarityir.modelmap.scoring import Reader, summed
from rarityir.modelmap.texts import TextSet
from rarityir.types import Json, RarityError

LIMIT = 1e-4  # of the largest logit


def layer_loglik(reader: Reader, texts: TextSet, final_norm: str | None = None) -> tuple[Matrix, dict[str, Json]]:
    """Returns log-likelihoods (layers + 1, N) in nats: row 0 of the embeddings, the last the model's own.

    `final_norm` is the dotted path of the norm before the head, where it cannot be found by what it gives. The facts hold its
    path and `identity`, the largest difference between the lens at the last layer and the model's logits, over the largest logit.
    """
    path, norm = _norm(reader.model, final_norm)
    identity = _proved(reader.model, norm, path)
    head = reader.model.get_output_embeddings()

    def each(ids: Any, mask: Any) -> Iterator[Any]:
        out = reader.model(input_ids=ids, attention_mask=mask, use_cache=False, output_hidden_states=True)
        for state_BTD in out.hidden_states[:-1]:
            yield _shaped(reader.model, head(norm(state_BTD)))
        yield out.logits

    found, facts = summed(reader, texts, each)
    return found, {**facts, "final_norm": path, "identity": identity}


def proved_norm(model: Any, path: str | None = None) -> Any:
    """Returns the final norm's module, found or named by its dotted path, after proving it; see the module's text."""
    path, norm = _norm(model, path)
    _proved(model, norm, path)
    return norm


def _shaped(model: Any, logits: Any) -> Any:
    """Logits as the model gives them: scaled and capped as its configuration says."""
    config = model.config.get_text_config()
    scale, cap = getattr(config, "logit_scale", None), getattr(config, "final_logit_softcapping", None)
    if scale:
        logits = logits * scale
    return (logits / cap).tanh() * cap if cap else logits


def _norm(model: Any, path: str | None) -> tuple[str, Any]:
    """The module whose output is the last hidden state: the one named, or the one that is found so."""
    import torch

    modules = dict(model.named_modules())
    if path is not None:
        if path not in modules:
            raise RarityError(
                f"the model has no module {path!r}; its norms: {', '.join(n for n in modules if 'norm' in n)[:120]}"
            )
        return path, modules[path]
    given: dict[str, Any] = {}

    def keep(name: str) -> Any:
        return lambda _module, _inputs, output: given.__setitem__(name, output)

    named = {n: m for n, m in modules.items() if "norm" in n.rpartition(".")[2] or n.rpartition(".")[2].startswith("ln")}
    hooks = [module.register_forward_hook(keep(name)) for name, module in named.items()]
    try:
        last = _tried(model).hidden_states[-1]
    finally:
        for hook in hooks:
            hook.remove()
    same = [n for n, out in given.items() if torch.is_tensor(out) and out.shape == last.shape and torch.equal(out, last)]
    if len(same) != 1:
        said = f"{', '.join(same)} all give" if same else "no module gives"
        raise RarityError(f"{said} the last hidden state, so the final norm is not clear; name it with final_norm")
    return same[0], named[same[0]]


def _proved(model: Any, norm: Any, path: str) -> float:
    """The largest difference between head(norm(what entered it)) and the model's logits, over the largest logit."""
    import torch

    entered: list[Any] = []
    hook = norm.register_forward_pre_hook(lambda _module, inputs: entered.append(inputs[0]))
    try:
        logits = _tried(model).logits
    finally:
        hook.remove()
    if not entered:
        raise RarityError(f"{path} is not used in a forward pass, so it is not the final norm")
    with torch.inference_mode():
        ours = _shaped(model, model.get_output_embeddings()(norm(entered[-1])))
    if ours.shape != logits.shape:
        raise RarityError(f"{path} is not the final norm: the head gives {tuple(ours.shape)} from it, not {tuple(logits.shape)}")
    missed = float((ours - logits).abs().max() / logits.abs().max())
    if not missed <= LIMIT:
        raise RarityError(
            f"{path} and the head miss the model's own logits by {missed:.2g} of the largest; this model has another head"
        )
    return missed


def _tried(model: Any) -> Any:
    import torch

    ids = torch.arange(1, 9, device=model.device)[None] % model.config.get_text_config().vocab_size
    with torch.inference_mode():
        return model(input_ids=ids, use_cache=False, output_hidden_states=True)
