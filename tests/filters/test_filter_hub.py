"""Filters as repositories of the hub: what is uploaded is what `save` writes, and what cannot be had is one line."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rarityir.filters import EmbedFilter
from rarityir.types import RarityError

MATRIX = np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32)


@pytest.fixture
def found(tmp_path) -> EmbedFilter:
    return EmbedFilter.fit(MATRIX, "edge:2+whiten:3", embeddings=MATRIX, cache=tmp_path / "cache")


class Hub:
    """What the mixin asks of the hub, kept in a folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.created = root, {}

    def __call__(self, token: str | None = None, **_: object) -> Hub:
        self.token = token
        return self

    def create_repo(self, repo_id: str, private: bool | None = None, **_: object) -> SimpleNamespace:
        self.created[repo_id] = private
        return SimpleNamespace(repo_id=repo_id)

    def upload_folder(self, repo_id: str, folder_path: str | Path, **_: object) -> str:
        shutil.copytree(folder_path, self.root / repo_id)
        return f"https://hub.test/{repo_id}/commit/0123"


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Hub:
    made = Hub(tmp_path / "hub")
    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", made)
    return made


def test_what_is_pushed_is_what_is_saved_and_loads_as_it_was(found, hub, tmp_path):
    assert found.push_to_hub("me/filter", private=True, token="secret") == "https://hub.test/me/filter/commit/0123"
    assert hub.created == {"me/filter": True}
    assert hub.token == "secret"
    pushed, saved = hub.root / "me" / "filter", found.save(tmp_path / "saved")
    names = {"model.safetensors", "filter.json", "README.md"}
    assert {path.name for path in pushed.iterdir()} - {".gitattributes"} == names
    assert all((pushed / name).read_bytes() == (saved / name).read_bytes() for name in names)
    assert EmbedFilter.from_hub(str(pushed)).digest == found.digest


def test_a_push_without_a_network_is_one_line(found, hub, monkeypatch):
    def refused(*_, **__):
        raise type("ConnectError", (Exception,), {})("[Errno 111] Connection refused")  # as the hub's own client raises

    monkeypatch.setattr(hub, "create_repo", refused)
    with pytest.raises(RarityError, match=r"cannot be pushed to me/filter \(\[Errno 111\] Connection refused\)"):
        found.push_to_hub("me/filter")


def test_a_push_that_fails_is_one_line(found, hub, monkeypatch):
    def refused(*_: object, **__: object) -> None:
        raise OSError("401 Unauthorized\nlog in first")

    monkeypatch.setattr(hub, "create_repo", refused)
    with pytest.raises(RarityError, match=r"^[^\n]*me/filter[^\n]*401[^\n]*$"):
        found.push_to_hub("me/filter")


def test_a_folder_of_that_form_loads_as_a_repository_does(found, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    loaded = EmbedFilter.from_hub(str(found.save(tmp_path / "saved")))
    assert (loaded.name, loaded.digest, loaded.fitted_on) == (found.name, found.digest, found.fitted_on)
    assert caplog.records == [], "nothing is missing that a filter should have"


def test_a_repository_is_fetched_at_its_revision_with_its_own_files_alone(found, tmp_path, monkeypatch):
    folder, asked = found.save(tmp_path / "saved"), {}

    def snapshot(repo_id: str, **options: object) -> str:
        asked.update(repo_id=repo_id, **options)
        return str(folder)

    monkeypatch.setattr("rarityir.filters.hub.snapshot_download", snapshot)
    monkeypatch.setattr("huggingface_hub.hub_mixin.hf_hub_download", lambda **_: None)
    assert EmbedFilter.from_hub("me/filter", revision="abc", token="secret").digest == found.digest
    assert (asked["repo_id"], asked["revision"], asked["token"]) == ("me/filter", "abc", "secret")
    assert set(asked["allow_patterns"]) >= {"model.safetensors", "filter.json"}


@pytest.mark.parametrize("repo_id", ["nobody/no-such-filter", "a/b/c/d", "no such name"])
def test_what_is_no_repository_is_one_line(repo_id):
    with pytest.raises(RarityError, match=r"^no filter can be had from [^\n]*$"):
        EmbedFilter.from_hub(repo_id)


def test_a_folder_without_a_filter_is_one_line_that_names_it(tmp_path):
    with pytest.raises(RarityError, match=rf"^{tmp_path} holds no whole filter[^\n]*$"):
        EmbedFilter.from_hub(str(tmp_path))


def test_a_damaged_filter_is_not_loaded_from_the_hub_either(found, tmp_path):
    folder = found.save(tmp_path / "saved")
    card = json.loads((folder / "filter.json").read_text())
    (folder / "filter.json").write_text(json.dumps({**card, "sha256": "0" * 64}))
    with pytest.raises(RarityError, match="was changed after it was written"):
        EmbedFilter.from_hub(str(folder))
