"""What a download or a parser of ir_datasets raises becomes one line that says what to do."""

from __future__ import annotations

import pytest

from rarityir.datasets import irds
from rarityir.types import RarityError

MD5 = OSError("Expected md5 hash to be 0e60 but got d41d")
FIRST = ("site", OSError("first\nmore"))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MD5, f"its server sent an error page, half a file or another one: {MD5}"),
        (RuntimeError("All download sources failed", [FIRST, ("mirror", MD5)]), f"half a file or another one: {MD5}"),
        (RuntimeError("All download sources failed", [FIRST]), "(first)"),
        (RuntimeError("All download sources failed", []), "All download sources failed"),
        (ConnectionError(111, "Connection refused"), "Connection refused"),
        (EOFError(), "(EOFError)"),
    ],
)  # fmt: skip
def test_what_a_server_did_is_told_in_one_line(error: Exception, told: str) -> None:
    with pytest.raises(RarityError, match=r"^[^\n]*check the network[^\n]*$") as caught, irds._readable("vaswani"):
        raise error
    assert told in str(caught.value)
    assert str(caught.value).startswith("vaswani cannot be read (")
