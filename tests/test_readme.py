"""The README's map of files is true: every path exists, and every part of the package is on it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import rarityir

PACKAGE = Path(rarityir.__file__).parent
ROOT = PACKAGE.parent
README = ROOT / "README.md"


def file_map(text: str) -> dict[str, str]:
    """Path → description of the lines that begin with `rarityir/` in fenced blocks."""
    found: dict[str, str] = {}
    for block in re.findall(r"^```[^\n]*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if line.startswith("rarityir/"):
                path, _, description = line.partition(" ")
                assert path not in found, f"{path} is on the map twice"
                found[path] = description.strip()
    return found


@pytest.fixture
def paths() -> dict[str, str]:
    found = file_map(README.read_text(encoding="utf-8"))
    assert found, "README.md has no fenced block with lines `rarityir/…  description`"
    return found


def test_every_path_on_the_map_exists_and_is_described(paths: dict[str, str]) -> None:
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [path for path, description in paths.items() if not description] == []


def test_a_folder_on_the_map_ends_in_a_slash(paths: dict[str, str]) -> None:
    assert [path for path in paths if (ROOT / path).is_dir() != path.endswith("/")] == []


def test_every_module_and_package_is_on_the_map(paths: dict[str, str]) -> None:
    parts = {f"rarityir/{path.name}" for path in PACKAGE.glob("*.py") if not path.name.startswith("__")}
    parts |= {f"rarityir/{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
    assert sorted(parts - paths.keys()) == []


def test_the_map_is_read_from_fenced_blocks_alone() -> None:
    text = "rarityir/a.py  prose\n```sh\nrarityir eval\n```\n```\nrarityir/types.py   the nouns\nrarityir/cli/  commands\n```\n"
    assert file_map(text) == {"rarityir/types.py": "the nouns", "rarityir/cli/": "commands"}
