"""Filters as model repositories of the Hugging Face hub, by huggingface_hub's own mixin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import ModelHubMixin, snapshot_download

from rarityir.filters.embed_filter import CARD, WEIGHTS, EmbedFilter
from rarityir.types import RarityError


class _Shared(ModelHubMixin, library_name="rarityir"):  # type: ignore[call-arg,misc]
    """A filter as the mixin wants it; its files are those of `EmbedFilter.save`."""

    filter: EmbedFilter  # not an argument: the mixin would write it as JSON

    @classmethod
    def of(cls, filter: EmbedFilter) -> _Shared:
        shared = cls()
        shared.filter = filter
        return shared

    def _save_pretrained(self, save_directory: Path) -> None:
        self.filter.save(save_directory)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, revision: str | None, token: Any, **options: Any) -> _Shared:
        folder = Path(model_id)
        if not folder.is_dir():
            known = {key: options[key] for key in ("cache_dir", "force_download", "local_files_only") if key in options}
            files = [WEIGHTS, CARD, "README.md"]
            folder = Path(snapshot_download(model_id, revision=revision, token=token, allow_patterns=files, **known))
        return cls.of(EmbedFilter.load(folder))


def push(found: EmbedFilter, repo_id: str, *, private: bool, token: str | None) -> str:
    """Uploads a filter and returns the commit's address."""
    try:
        return str(_Shared.of(found).push_to_hub(repo_id, private=private, token=token))
    except Exception as error:  # what a network does comes as any error
        raise RarityError(f"the filter cannot be pushed to {repo_id} ({_first(error)})") from None


def pull(repo_id: str, *, revision: str | None, token: str | None) -> EmbedFilter:
    """Returns the filter of a repository or folder; what cannot be had is one `RarityError`."""
    try:
        return _Shared._from_pretrained(model_id=repo_id, revision=revision, token=token).filter
    except (OSError, ValueError, KeyError) as error:
        raise RarityError(f"no filter can be had from {repo_id} ({_first(error)})") from None


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
