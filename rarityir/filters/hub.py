"""Filters as model repositories of the Hugging Face hub, by huggingface_hub's own mixin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import ModelHubMixin, snapshot_download

from rarityir.filters.embed_filter import CARD, WEIGHTS, EmbedFilter
from rarityir.types import RarityError


class _Shared(ModelHubMixin, library_name="rarityir"):  # type: ignore[call-arg,misc]
    """A filter as the mixin wants it; its files are those of `EmbedFilter.save`."""

    def __init__(self, filter: EmbedFilter) -> None:
        self.filter = filter

    def _save_pretrained(self, save_directory: Path) -> None:
        self.filter.save(save_directory)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, revision: str | None, token: Any, **options: Any) -> _Shared:
        folder = Path(model_id)
        if not folder.is_dir():
            known = {key: options[key] for key in ("cache_dir", "force_download", "local_files_only") if key in options}
            files = [WEIGHTS, CARD, "README.md"]
            folder = Path(snapshot_download(model_id, revision=revision, token=token, allow_patterns=files, **known))
        return cls(EmbedFilter.load(folder))


def push(found: EmbedFilter, repo_id: str, *, private: bool, token: str | None) -> str:
    """Uploads a filter and returns the commit's address."""
    return str(_Shared(found).push_to_hub(repo_id, private=private, token=token))


def pull(repo_id: str, *, revision: str | None, token: str | None) -> EmbedFilter:
    """Returns the filter of a repository or folder; what cannot be had is one `RarityError`."""
    try:
        shared: _Shared = _Shared.from_pretrained(repo_id, revision=revision, token=token)
    except (OSError, ValueError, KeyError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise RarityError(f"no filter can be had from {repo_id} ({first})") from None
    return shared.filter
