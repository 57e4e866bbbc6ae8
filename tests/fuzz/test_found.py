"""What fuzzing found, one example each: each of these was a traceback, a hang, or a file outside its folder."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from fuzz import stored
from fuzz.parsers import PARSERS
from fuzz.promise import kept
from fuzz.stored import seal_manifest

from rarityir import parsing, registry, store
from rarityir.analogy.named import Named
from rarityir.checkpoints import write_tensors
from rarityir.counts import TokenCounts
from rarityir.datasets import load_dataset
from rarityir.doc_ids import DocIds
from rarityir.embeddings import filtered
from rarityir.experiment import Experiment, rebuild
from rarityir.filters.embed_filter import EmbedFilter
from rarityir.indexes.postings import SparseIndex
from rarityir.measures.names import Measure
from rarityir.settings import ImpactSettings
from rarityir.systems import System, expand, slug
from rarityir.types import BadInput, RarityError, StaleArtefact


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda: expand("bm25" + "{a,b}" * 24), "more than 10,000 systems"),
        (lambda: System.parse("rrf(" * 3000 + "bm25" + ",dense)" * 3000), "50 deep"),
        (lambda: ImpactSettings.parse("9" * 5000), "whole number"),
        (lambda: registry.resolve("filters", "tail")("1e999999999"), "a number τ"),
        (lambda: registry.resolve("filters", "band")("1-" + "9" * 5000), "two positions"),
        (lambda: Measure.parse("nDCG@" + "9" * 5000), "unknown measure"),
        (lambda: load_dataset("x" * 3000), "unknown dataset"),
        (lambda: System.parse("dense+saved:\x1b[31m\x07+\n"), r"cannot read '\\n'|cannot read ''"),
    ],
)
def test_a_hostile_name_is_one_line_at_once(read: Callable[[], object], said: str) -> None:
    with pytest.raises(RarityError, match=said):
        read()
    assert kept(read) == ""


def test_a_message_is_one_line_whatever_it_tells_of() -> None:
    said = str(RarityError("doc\n\x1b[31m\u202e\x00\ud800" + "x" * 5000 + "end"))
    assert said.startswith("doc\\n\\x1b[31m\\u202e\\x00\\ud800")
    assert said.endswith("xend")
    assert len(said) < 2100
    assert str(RarityError("plain – é 日本")) == "plain – é 日本"


def test_a_message_stays_short_where_all_of_it_is_escapes() -> None:
    for letter in ("\x00", "\ud800", "\U000e0001"):
        assert len(str(RarityError(letter * 1900))) < 2100
        assert set(str(RarityError(letter * 1900))) <= set(repr(letter) + " …")


def test_names_that_no_file_can_have_are_told_apart_as_file_names() -> None:
    long = [f"rrf({','.join(['dense+edge:2'] * n)})" for n in (40, 41)]
    for one, other in (("saved:a*b", "saved:a!b"), long, (".", ".."), ("", ".")):
        assert slug(one) != slug(other)
        assert {len(name.encode()) < 220 and name not in ("", ".", "..") for name in (slug(one), slug(other))} == {True}
    assert slug("sparse:64+edge:2") == "sparse_64+edge_2"


@pytest.mark.parametrize("text", ["x = " + "[" * 5000, "cutoff = " + "9" * 5000, "seed = -1\nsystems = ['bm25']"])
def test_an_experiment_that_is_too_deep_or_too_large(text: str, tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text(text)
    with pytest.raises(RarityError, match=r"is not TOML|seed is -1"):
        Experiment.load(tmp_path / "e.toml").check()


def test_json_that_is_nested_too_deep(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="too deep"):
        parsing.value(tmp_path / "x.json")


@pytest.mark.parametrize("shape", ["(1000000000000000,)", "(" * 400, "-" * 3000 + "1", "(2, -3)"])
def test_a_header_that_says_more_than_there_is(shape: str, tmp_path: Path) -> None:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 8)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.write(tmp_path / "x.npy", "vectors.npy")
    for read in (lambda: parsing.array(tmp_path / "x.npy"), lambda: parsing.arrays(tmp_path / "x.npz")):
        with pytest.raises(ValueError, match=r"no array of numbers|an array of shape"):
            read()


def test_a_member_that_says_it_is_larger_than_deflate_can_make_it(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", vectors=np.zeros(4))
    raw = bytearray((tmp_path / "x.npz").read_bytes())
    at = raw.rindex(b"PK\x01\x02")
    raw[at + 24 : at + 28] = (2**31).to_bytes(4, "little")  # its size in the directory
    (tmp_path / "x.npz").write_bytes(raw)
    with pytest.raises(BadInput, match="no arrays"):
        Named.read(tmp_path / "x.npz")


def test_vectors_with_a_blank_line(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("a 1 2\n\n  \nb 3 4\n")
    assert Named.read(tmp_path / "v.txt").ids == ("a", "b")


@pytest.mark.parametrize("name", ["../../outside.npy", "/outside.npy", "a/../../outside.npy"])
def test_a_manifest_that_lists_a_file_outside_its_folder(name: str, tmp_path: Path) -> None:
    folder, outside = tmp_path / "in" / "raw", tmp_path / "outside.npy"
    with store.building(folder, {"documents": "x"}, {"documents": 2}) as needed:
        assert needed
        np.save(folder / "a.npy", np.zeros((2, 3), np.float32))
    said = json.loads((folder / store.MANIFEST).read_text())
    said["files"][name] = said["files"]["a.npy"]
    said.pop("sha256")
    (folder / store.MANIFEST).write_text(json.dumps(store.sealed(said)))
    np.save(outside, np.zeros((2, 3), np.float32))
    chosen = EmbedFilter("x", np.eye(3, dtype=np.float32))
    with pytest.raises(RarityError, match=r"no complete embeddings|not a manifest"):
        filtered(folder, chosen, tmp_path / "in" / "out")
    with pytest.raises(StaleArtefact, match="not a manifest"):
        store.manifest(folder, {"documents": "x"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "outside.npy"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("measures", [3]), ("cost", {"qps": "many"}), ("dataset", {"a": 1}), ("seed", -1), ("subset", {"tag": 1}), ("cost", [])],
)
def test_a_runs_sidecar_of_other_types(key: str, value: object, tmp_path: Path) -> None:
    PARSERS["runs and their sidecars"].write(tmp_path, Random(0))
    path = tmp_path / "runs" / "bm25.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(BadInput, match="no run's provenance"):
        rebuild(tmp_path)


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"basis": np.ones(3, np.float32)}, "no matrix"),
        ({"basis": np.full((2, 3), np.nan, np.float32)}, "no matrix"),
        ({"basis": np.ones((2, 3))}, "no matrix"),
        ({"basis": np.ones((2, 3), np.float32), "mean": np.ones(2, np.float32)}, "no vector"),
    ],
)
def test_a_filter_whose_checksum_is_true_and_whose_arrays_are_not(tensors: dict[str, object], said: str, tmp_path: Path) -> None:
    PARSERS["saved filters"].write(tmp_path, Random(0))
    write_tensors(tmp_path / "model.safetensors", tensors)
    stored._seal_filter(tmp_path)
    with pytest.raises(RarityError, match=said):
        EmbedFilter.load(tmp_path)


@pytest.mark.parametrize("name", ["starts", "pointers", "peaks", "steps", "rows", "impacts", "heavy", "columns", "scales"])
def test_compiled_loops_never_see_an_array_of_another_type_or_size(name: str, tmp_path: Path) -> None:
    PARSERS["sparse indexes"].write(tmp_path, Random(0))
    array, facts = np.load(tmp_path / f"{name}.npy"), json.loads((tmp_path / "index.json").read_text())
    for other in (array.astype("f8" if array.dtype != np.float64 else "f4"), np.concatenate([array, array, array])):
        np.save(tmp_path / f"{name}.npy", other)
        facts["shapes"][name] = list(other.shape)
        (tmp_path / "index.json").write_text(json.dumps(facts))
        with pytest.raises(RarityError, match="damaged"):
            SparseIndex.load(tmp_path)


def test_doc_ids_that_do_not_fit_their_ends(tmp_path: Path) -> None:
    PARSERS["document ids"].write(tmp_path, Random(0))
    with (tmp_path / "doc_ids.txt").open("ab") as file:
        file.write(b"more\n")
    with pytest.raises(StaleArtefact, match="no whole doc_ids"):
        DocIds(tmp_path)


def test_statistics_of_more_documents_than_there_can_be(tmp_path: Path) -> None:
    PARSERS["token statistics"].write(tmp_path, Random(0))
    said = json.loads((tmp_path / store.MANIFEST).read_text())
    said["facts"]["documents"] = 10**30
    (tmp_path / store.MANIFEST).write_text(json.dumps(said))
    seal_manifest(tmp_path)
    with pytest.raises(BadInput, match="number of documents"):
        PARSERS["token statistics"].read(tmp_path)


def test_counts_below_zero(tmp_path: Path) -> None:
    write_tensors(tmp_path / "c.safetensors", {"counts": np.array([-1, 2]), "source": np.frombuffer(b"x", np.uint8)})
    with pytest.raises(RarityError, match="below 0"):
        TokenCounts.load(tmp_path / "c.safetensors")


def test_a_checkpoint_whose_index_leads_out_of_its_folder(tmp_path: Path) -> None:
    PARSERS["models' folders"].write(tmp_path, Random(0))
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"lm_head.weight": "../../x.safetensors"}}')
    with pytest.raises(RarityError, match="no files of its folder"):
        PARSERS["models' folders"].read(tmp_path)
