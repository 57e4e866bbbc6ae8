"""What Java does not do is one line that says what helps: a start that fails, too little memory, a limit of addresses."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from rarityir.indexes import java
from rarityir.types import RarityError

BOOT = """
from rarityir.indexes import java
from rarityir.types import RarityError
try:
    java.classes()
except RarityError as error:
    print(error)
"""


def test_a_java_that_does_not_start_is_one_line() -> None:
    """Java reads `_JAVA_OPTIONS` as it starts, so it starts in a process of its own."""
    env = {**os.environ, "_JAVA_OPTIONS": "-Xnonsense"}
    done = subprocess.run([sys.executable, "-c", BOOT], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1
    assert "does not start" in done.stdout
    assert "install them again" in done.stdout


def test_out_of_memory_is_told_how_to_get_more_and_nothing_else() -> None:
    short = java.failed("Lucene cannot open x", RuntimeError("JVM exception: java.lang.OutOfMemoryError: heap\n at x"), "rm -r x")
    assert str(short) == f"Lucene cannot open x (JVM exception: java.lang.OutOfMemoryError: heap); {java.MORE}"
    assert str(java.failed("Lucene cannot open x", RuntimeError("no segments"), "rm -r x")).endswith("(no segments); rm -r x")


@pytest.mark.parametrize(("room", "refused"), [(2.9, True), (3.1, False)])
def test_a_limit_of_addresses_under_which_java_would_end_the_process_is_one_line(room: float, refused: bool, monkeypatch) -> None:
    monkeypatch.delenv("_JAVA_OPTIONS", raising=False)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = {resource.RLIMIT_AS: (held + int(room * 2**30), resource.RLIM_INFINITY)}
    monkeypatch.setattr(resource, "getrlimit", lambda of: limits[of])
    if not refused:
        java._check_addresses()
        return
    with pytest.raises(RarityError, match=r"^Java reserves 3 GiB of addresses, .* 2\.9 more; raise .*: ulimit -v unlimited$"):
        java._check_addresses()
    monkeypatch.setenv("_JAVA_OPTIONS", "-Xmx64m -XX:CompressedClassSpaceSize=64m")  # who says so knows what is needed
    java._check_addresses()
