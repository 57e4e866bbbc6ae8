"""Every Python block of docs/integrations runs as it stands, in an empty folder; a page says which libraries it needs."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[2] / "docs" / "integrations").glob("[a-z]*.md"))


def needed(page: Path) -> list[str]:
    """The modules that a page's first line names, as in `<!-- needs: onnx, onnxruntime -->`."""
    found = re.match(r"<!-- needs: (.+?) -->", page.read_text(encoding="utf-8"))
    assert found, f"{page.name} does not say on its first line which libraries it needs"
    return [name.strip() for name in found[1].split(",")]


def there(module: str) -> bool:
    parents = module.split(".")[:-1]
    return (not parents or there(".".join(parents))) and find_spec(module) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_does_what_it_says(page, tmp_path, monkeypatch) -> None:
    missing = [name for name in needed(page) if not there(name)]
    if missing:
        pytest.skip(f"{page.name} needs {', '.join(missing)}")
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert blocks, "a page shows how"
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": page.stem}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
    assert len(page.read_text(encoding="utf-8").splitlines()) <= 50
