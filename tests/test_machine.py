"""What a container may use is what its control group says, in both forms that Linux has."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

from rarityir import __version__, machine
from rarityir.datasets import load_dataset
from rarityir.experiment import Experiment, provenance
from rarityir.planning import sizes


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A control group two levels down, of a machine with eight cores."""
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    monkeypatch.setattr(machine, "OWN", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    (tmp_path / "own").write_text("0::/pods/one\n")
    (tmp_path / "pods" / "one").mkdir(parents=True)
    return tmp_path / "pods" / "one"


@pytest.mark.parametrize(
    ("own", "above", "cores"),
    [("max 100000", "max 100000", 8), ("400000 100000", "max 100000", 4), ("250000 100000", "max 100000", 3),
     ("max 100000", "150000 100000", 2), ("50000 100000", "150000 100000", 1), ("9900000 100000", "max 100000", 8),
     ("nonsense", "", 8), ("1 2 3", "-1 100000", 8)],
)  # fmt: skip
def test_cores_are_those_of_the_tightest_quota(group: Path, own: str, above: str, cores: int) -> None:
    (group / "cpu.max").write_text(f"{own}\n")
    (group.parent / "cpu.max").write_text(f"{above}\n")
    assert machine.cores() == cores


def test_the_older_form_has_a_quota_too(group: Path) -> None:
    folder = machine.CGROUPS / "cpu"
    folder.mkdir()
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    for quota, cores in (("-1", 8), ("200000", 2)):
        (folder / "cpu.cfs_quota_us").write_text(f"{quota}\n")
        assert machine.cores() == cores


def test_without_control_groups_all_cores_and_all_memory_are_there(group: Path) -> None:
    assert machine.cores() == 8
    assert machine.memory_left() is None


def test_memory_is_what_the_tightest_limit_leaves_with_the_cache_that_can_go(
    group: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, most, used, cache in ((group, "max", "900", "0"), (group.parent, "1000", "700", "250")):
        (folder / "memory.max").write_text(f"{most}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 3\ninactive_file {cache}\n")
    assert machine.memory_left() == 550
    assert sizes.memory_free() == pytest.approx(sizes.held() + 550, abs=1 << 26)
    (group / "memory.max").write_text("800\n")
    assert machine.memory_left() == 0


def test_the_older_form_of_a_memory_limit(group: Path) -> None:
    folder = machine.CGROUPS / "memory"
    folder.mkdir()
    (folder / "memory.usage_in_bytes").write_text("700\n")
    (folder / "memory.stat").write_text("total_inactive_file 100\n")
    for most, left in ((str(0x7FFFFFFFFFFFF000), None), ("1000", 400)):
        (folder / "memory.limit_in_bytes").write_text(most)
        assert machine.memory_left() == left


def test_a_package_that_was_installed_by_another_name_costs_no_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    """As conda's `faiss` and a source tree that is only on the path: what is not known is said to be."""

    def missing(package: str) -> str:
        raise PackageNotFoundError(package)

    assert machine.installed("numpy") == np.__version__
    monkeypatch.setattr(machine, "version", missing)
    made = Experiment("cranfield", systems=["dense", "rrf(bm25,milvus:dense)"])
    found = provenance(made, load_dataset("cranfield"), None)["versions"]
    assert found["rarityir"] == __version__
    assert found["faiss-cpu"] is found["pymilvus"] is found["milvus-lite"] is None
    assert "qdrant-client" not in found
