"""An integration whose library is not installed says in one line how to install it."""

from __future__ import annotations

import importlib
import sys

import pytest

from rarityir.types import MissingExtra

LIBRARIES = {
    "haystack": "haystack", "langchain": "langchain_core", "llamaindex": "llama_index", "mteb": "mteb", "pyterrier": "pyterrier",
}  # fmt: skip


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_missing_library_is_one_line_that_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = f"rarityir.integrations.{name}"
    for loaded in [m for m in sys.modules if m == module or m.split(".")[0] == LIBRARIES[name]]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, LIBRARIES[name], None)
    with pytest.raises(MissingExtra, match=rf"^[^\n]*pip install 'rarityir\[{name}\]'$"):
        importlib.import_module(module)
