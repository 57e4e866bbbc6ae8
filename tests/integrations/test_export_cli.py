"""`rarityir export`: every kind, every way to name a filter, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import rarityir as ri
from rarityir import registry
from rarityir.cli.completing import exports
from rarityir.cli.exporting import export
from rarityir.integrations.exports import exporter
from rarityir.types import RarityError, UnknownName


def run(*args: object) -> dict:
    done = CliRunner().invoke(export, [*map(str, args), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("filters")
    return ri.EmbedFilter.fit("demo", "edge:2", cache=out / "spectra").save(out / "edge")


@pytest.mark.parametrize("kind", sorted(registry.table("exports")))
def test_every_kind_is_written(kind, saved) -> None:
    if kind == "onnx":
        pytest.importorskip("onnx")
    facts = run("demo", "--pooling", "last", "--filter", saved, "--to", kind, "--out", "out")
    assert facts["files"] == sorted(str(path.relative_to("out")) for path in Path("out").rglob("*") if path.is_file())
    assert "export.json" in facts["files"]
    assert (facts["filter"], facts["kept"], facts["width"]) == ("edge:2", 128, 256)


def test_the_help_names_every_kind() -> None:
    text = " ".join(CliRunner().invoke(export, ["--help"]).output.split())
    for kind in registry.table("exports"):
        assert callable(exporter(kind))
    for kind in exports():
        assert kind in text


def test_a_filter_is_named_fitted_or_saved(saved) -> None:
    from safetensors.numpy import load_file

    for name in ("edge:2", saved, f"saved:{saved}"):
        run("demo", "--filter", name, "--to", "pytorch", "--out", "out")
        assert np.array_equal(load_file("out/linear.safetensors")["weight"], ri.EmbedFilter.load(saved).basis)


def test_a_filter_of_documents_is_fitted_on_a_dataset(beir, stories) -> None:
    args = (stories, "--filter", "center+pca:4", "--to", "faiss", "--out", "out")
    with pytest.raises(RarityError, match="give a dataset"):
        run(*args)
    assert run(*args, "--dataset", beir, "--indexes", "ix")["kept"] == 4
    assert json.loads(Path("out/export.json").read_text())["filter"]["fitted_on"]["documents"]["count"] == 6


def test_what_is_wrong_is_said_before_anything_is_fitted(saved, stories) -> None:
    with pytest.raises(UnknownName, match=r"unknown export 'vepsa'; did you mean vespa\?"):
        run("nonsense", "--filter", "edge:2", "--to", "vepsa", "--out", "out")
    with pytest.raises(UnknownName, match="unknown export 'fais'; did you mean faiss"):
        run("nonsense", "--filter", "edge:2", "--to", "fais", "--out", "out")
    Path("out").mkdir()
    Path("out/mine").touch()
    with pytest.raises(RarityError, match="out is there already and is no faiss export"):
        run("nonsense", "--filter", "edge:2", "--to", "faiss", "--out", "out")
    with pytest.raises(RarityError, match=r"demo.*stories260K"):
        run(stories, "--filter", saved, "--to", "faiss", "--out", "elsewhere")
    assert sorted(path.name for path in Path().iterdir()) == ["out"]
    assert [path.name for path in Path("out").iterdir()] == ["mine"]
