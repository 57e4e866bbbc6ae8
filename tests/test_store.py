"""A folder is complete when its manifest is there and matches: also after a kill, and with two processes at once."""

from __future__ import annotations

import errno
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import faiss
import numpy as np
import pytest

from rarityir import store, unfinished
from rarityir.types import BadInput, Busy, RarityError, StaleArtefact

IDENTITY = {"encoder": "a", "pooling": "mean", "dtype": "float32"}

HOLDER = """
import sys, time
from pathlib import Path
from rarityir import store
with store.building(Path(sys.argv[1]), {"encoder": "a", "pooling": "mean", "dtype": "float32"}, {}) as needed:
    assert needed
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
    (Path(sys.argv[1]) / "built.txt").write_text("by the holder")
"""


def build(folder: Path, text: str = "content", identity=IDENTITY, **facts) -> bool:
    with store.building(folder, identity, facts) as needed:
        if needed:
            store.write_text(folder / "data.txt", text)
            store.write_text(folder / "parts" / "more.txt", text * 2)
    return needed


def hold(folder: Path, seconds: float) -> subprocess.Popen[str]:
    """A second process that has begun to build the folder and takes some seconds over it."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder), str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_folder_is_built_once_and_its_manifest_tells_what_it_holds(tmp_path: Path) -> None:
    assert build(tmp_path / "a", documents=3)
    assert not build(tmp_path / "a", text="never written")
    found = store.manifest(tmp_path / "a", IDENTITY)
    assert found["identity"] == IDENTITY
    assert found["facts"]["documents"] == 3
    assert found["facts"]["build_seconds"] >= 0
    assert {name: facts["bytes"] for name, facts in found["files"].items()} == {"data.txt": 7, "parts/more.txt": 14}
    assert (tmp_path / "a" / "data.txt").read_text() == "content"
    assert store.size(tmp_path / "a") == 21
    assert not (tmp_path / "a" / store.PARTIAL).exists()


def test_a_folder_without_a_manifest_is_not_complete(tmp_path: Path) -> None:
    assert store.manifest(tmp_path, IDENTITY) is None
    assert store.manifest(tmp_path / "absent", IDENTITY) is None


def test_a_mismatch_names_every_key_that_differs_and_no_other(tmp_path: Path) -> None:
    build(tmp_path / "a")
    with pytest.raises(StaleArtefact) as caught:
        store.manifest(tmp_path / "a", {"encoder": "b", "dtype": "float16", "pooling": "mean", "instruction": "Find:"})
    message = str(caught.value)
    assert "encoder a, now b" in message
    assert "dtype float32, now float16" in message
    assert "instruction null, now Find:" in message
    assert "pooling" not in message
    assert "\n" not in message
    assert str(tmp_path / "a") in message


def test_a_mismatch_is_never_rebuilt_or_reused(tmp_path: Path) -> None:
    build(tmp_path / "a")
    with pytest.raises(StaleArtefact):
        build(tmp_path / "a", text="other", identity={**IDENTITY, "encoder": "b"})
    assert (tmp_path / "a" / "data.txt").read_text() == "content"


def test_an_identity_is_compared_as_json_so_tuples_equal_lists(tmp_path: Path) -> None:
    build(tmp_path / "a", identity={"template": ("x", "y")})
    assert store.manifest(tmp_path / "a", {"template": ["x", "y"]}) is not None


def test_a_long_digest_is_shortened_in_a_mismatch(tmp_path: Path) -> None:
    build(tmp_path / "a", identity={"documents": "0" * 64})
    with pytest.raises(StaleArtefact, match=r"documents 0{16}…, now 1{16}…;"):
        store.manifest(tmp_path / "a", {"documents": "1" * 64})


def test_a_missing_file_and_a_short_file_are_named(tmp_path: Path) -> None:
    build(tmp_path / "a")
    data = tmp_path / "a" / "data.txt"
    data.write_text("conten")
    with pytest.raises(StaleArtefact, match=r"data\.txt has 6 bytes instead of 7.*rm -r"):
        store.manifest(tmp_path / "a", IDENTITY)
    data.unlink()
    with pytest.raises(StaleArtefact, match=r"data\.txt is missing.*rm -r"):
        store.manifest(tmp_path / "a", IDENTITY)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"identity": {}}', '{"identity": {}, "files": []}', '{"files": {}}'])
def test_a_manifest_that_is_none_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / store.MANIFEST).write_text(text)
    with pytest.raises(StaleArtefact, match="is not a manifest"):
        store.manifest(tmp_path, {})


def test_verify_finds_one_flipped_bit_that_no_size_shows(tmp_path: Path) -> None:
    build(tmp_path / "a")
    store.verify(tmp_path / "a")
    more = tmp_path / "a" / "parts" / "more.txt"
    content = bytearray(more.read_bytes())
    content[5] ^= 1
    more.write_bytes(content)
    assert store.manifest(tmp_path / "a", IDENTITY) is not None
    with pytest.raises(StaleArtefact, match=r"more\.txt is corrupt"):
        store.verify(tmp_path / "a")


def test_what_is_opened_is_compared_once_and_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path / "a")
    hashed: list[str] = []
    digest = store.digest_file
    monkeypatch.setattr(store, "digest_file", lambda path: hashed.append(path.name) or digest(path))
    store._seen.clear()
    store.opened(tmp_path / "a", IDENTITY)
    store.opened(tmp_path / "a", IDENTITY)
    assert sorted(hashed) == ["data.txt", "more.txt"]
    (tmp_path / "a" / "data.txt").write_text("c0ntent")
    store.check(tmp_path / "a", "parts/more.txt")
    with pytest.raises(StaleArtefact, match=r"^[^\n]*data\.txt is corrupt \(checksum differs\); remove the folder: rm -r \S+$"):
        store.opened(tmp_path / "a", IDENTITY)
    monkeypatch.setenv("RARITYIR_TRUST", "1")
    store.opened(tmp_path / "a", IDENTITY)


@pytest.mark.parametrize(
    ("old", "new"), [('"documents": 3', '"documents": 7'), ('"bytes": 7', '"bytes": 8'), ('"build_seconds"', '"build_s"')]
)
def test_a_manifest_knows_when_it_was_changed(old: str, new: str, tmp_path: Path) -> None:
    build(tmp_path / "a", documents=3)
    path = tmp_path / "a" / store.MANIFEST
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(StaleArtefact, match=r"manifest\.json is not a manifest, or was changed; remove the folder"):
        store.manifest(tmp_path / "a", IDENTITY)


def test_a_manifest_of_an_earlier_release_has_no_checksum_of_its_own(tmp_path: Path) -> None:
    build(tmp_path / "a")
    path = tmp_path / "a" / store.MANIFEST
    found = json.loads(path.read_text())
    del found["sha256"]
    path.write_text(json.dumps(found))
    assert store.opened(tmp_path / "a", IDENTITY)["identity"] == IDENTITY


def test_a_part_is_known_again_by_its_checksum_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a", "b", "c"):
        with store.keeping(tmp_path / name) as temporary:
            temporary.write_text(name)
    (tmp_path / "b").write_text("B")
    (tmp_path / "d").write_text("never noted")
    with (tmp_path / store.PARTS).open("a") as file:
        file.write("0000")  # as a kill cuts a line off
    assert [store.kept(tmp_path / name) for name in ("a", "b", "c", "d", "e")] == [True, False, True, False, False]
    assert sorted(path.name for path in tmp_path.iterdir()) == [store.PARTS, "a", "c"]
    assert "b is damaged, or not by this build; it is made again" in caplog.text


def test_the_manifest_holds_the_checksum_of_a_part_as_it_was_written(tmp_path: Path) -> None:
    with store.building(tmp_path / "a", IDENTITY, {}):
        with store.keeping(tmp_path / "a" / "part") as temporary:
            temporary.write_text("right")
        (tmp_path / "a" / "part").write_text("wrong")
    assert not (tmp_path / "a" / store.PARTS).exists()
    with pytest.raises(StaleArtefact, match="part is corrupt"):
        store.opened(tmp_path / "a", IDENTITY)


def test_a_kill_before_anything_was_begun_is_no_folder_of_others(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".partial.json.77.tmp").write_text('{"encoder":')
    assert build(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / store.PARTIAL).write_text('{"encoder":')
    with pytest.raises(StaleArtefact, match=r"partial\.json is damaged; remove the folder"):
        build(tmp_path / "b")


def test_a_partial_folder_of_the_same_identity_is_kept_for_resuming(tmp_path: Path) -> None:
    with suppress(KeyboardInterrupt), store.building(tmp_path / "a", IDENTITY, {}) as needed:
        assert needed
        store.write_text(tmp_path / "a" / "000000.npy", "done before the stop")
        raise KeyboardInterrupt
    assert store.manifest(tmp_path / "a", IDENTITY) is None
    with store.building(tmp_path / "a", IDENTITY, {}) as needed:
        assert needed
        assert (tmp_path / "a" / "000000.npy").read_text() == "done before the stop"
    assert "000000.npy" in store.manifest(tmp_path / "a", IDENTITY)["files"]


def test_a_partial_folder_of_another_identity_is_an_error_that_loses_nothing(tmp_path: Path) -> None:
    with suppress(KeyboardInterrupt), store.building(tmp_path / "a", {"encoder": "other"}, {}):
        store.write_text(tmp_path / "a" / "000000.npy", "by another encoder")
        store.write_text(tmp_path / "a" / "parts" / "more.txt", "by another encoder")
        raise KeyboardInterrupt
    with pytest.raises(StaleArtefact, match=r"begun with .*encoder other, now"), store.building(tmp_path / "a", IDENTITY, {}):
        pass
    assert (tmp_path / "a" / "000000.npy").read_text() == "by another encoder"
    assert (tmp_path / "a" / "parts" / "more.txt").exists()


def test_files_of_unknown_origin_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "text.txt").write_text("who wrote this?")
    with pytest.raises(StaleArtefact, match="not built here"), store.building(tmp_path, IDENTITY, {}):
        raise AssertionError
    assert (tmp_path / "thesis" / "text.txt").read_text() == "who wrote this?"


def test_what_a_kill_left_half_written_is_removed_and_not_in_the_manifest(tmp_path: Path) -> None:
    with suppress(KeyboardInterrupt), store.building(tmp_path / "a", IDENTITY, {}):
        (tmp_path / "a" / ".000000.npy.tmp").write_text("half a bl")
        (tmp_path / "a" / "parts").mkdir()
        (tmp_path / "a" / "parts" / ".000001.npy.tmp").write_text("half a bl")
        raise KeyboardInterrupt
    build(tmp_path / "a")
    assert sorted(store.manifest(tmp_path / "a", IDENTITY)["files"]) == ["data.txt", "parts/more.txt"]
    assert not list((tmp_path / "a").rglob("*.tmp"))


def test_a_file_takes_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    store.write_text(path, "before")
    with suppress(KeyboardInterrupt), store.replacing(path) as temporary:
        temporary.write_text("aft")
        raise KeyboardInterrupt
    assert path.read_text() == "before"


def test_a_second_process_waits_and_then_finds_the_folder_complete(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    holder = hold(tmp_path / "a", 1.0)
    assert not build(tmp_path / "a", text="never written")
    assert holder.wait(30) == 0
    assert (tmp_path / "a" / "built.txt").read_text() == "by the holder"
    assert not (tmp_path / "a" / "data.txt").exists()
    assert [record.message for record in caplog.records if "waiting for another process" in record.message] != []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told_at_once(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(store.fcntl, "flock", flock)
    with pytest.raises(RarityError, match=r"cannot be locked \(.+\); put it on a file system that has locks") as caught:
        build(tmp_path / "a")
    assert not isinstance(caught.value, Busy)


def test_with_a_short_wait_a_second_process_gets_busy(tmp_path: Path) -> None:
    holder = hold(tmp_path / "a", 60)
    try:
        started = time.monotonic()
        with (
            pytest.raises(Busy, match="another process is building") as caught,
            store.building(tmp_path / "a", IDENTITY, {}, wait=0.3),
        ):
            pytest.fail("the lock is held by another process")
        assert 0.3 <= time.monotonic() - started < 50  # the holder holds for 60
        assert str(tmp_path / "a") in str(caught.value)
    finally:
        holder.kill()
        holder.wait(30)


def test_a_kill_of_the_holder_frees_the_lock(tmp_path: Path) -> None:
    holder = hold(tmp_path / "a", 60)
    os.kill(holder.pid, signal.SIGKILL)
    assert holder.wait(30) == -signal.SIGKILL
    assert store.manifest(tmp_path / "a", IDENTITY) is None
    with store.building(tmp_path / "a", IDENTITY, {}, wait=0.0) as needed:
        assert needed
        store.write_text(tmp_path / "a" / "data.txt", "by the next")
    assert store.manifest(tmp_path / "a", IDENTITY)["files"].keys() == {"data.txt"}


def test_json_is_written_with_sorted_keys_and_real_letters(tmp_path: Path) -> None:
    store.write_json(tmp_path / "a.json", {"z": "é", "a": 1})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text == '{\n "a": 1,\n "z": "é"\n}\n'
    assert json.loads(text) == {"a": 1, "z": "é"}


def test_what_a_killed_process_left_goes_when_its_file_is_written_again(tmp_path: Path) -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait(30)
    here = f".table[1].md.{platform.node()}"
    dead, live, foreign = (
        tmp_path / name for name in (f"{here}-{done.pid}.tmp", f"{here}-{os.getppid()}.tmp", ".table[1].md.x-1.tmp")
    )
    for path in (dead, live, foreign):
        path.touch()
    store.write_text(tmp_path / "table[1].md", "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([foreign.name, live.name, "table[1].md"])


def test_a_name_in_a_folder_that_is_not_there_yet_is_a_name_like_any(tmp_path: Path) -> None:
    assert unfinished.beside(tmp_path / "later" / "x").parent == tmp_path / "later"


def write_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(1 << 15))


def write_faiss(path: Path) -> None:
    index = faiss.IndexFlatIP(1 << 10)
    index.add(np.zeros((1 << 6, 1 << 10), np.float32))
    faiss.write_index(index, str(path))


@pytest.mark.parametrize("write", [write_array, write_faiss, lambda path: path.write_bytes(bytes(1 << 18))])
def test_what_a_full_disk_refuses_is_said_by_the_system_with_the_file(tmp_path: Path, write: Callable[[Path], object]) -> None:
    """numpy says "32768 requested and 12000 written", FAISS raises no `OSError`: what stopped them is not lost."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large") as told, store.replacing(tmp_path / "data.npy") as temporary:
            write(temporary)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert (told.value.errno, told.value.filename) == (errno.EFBIG, str(tmp_path / "data.npy"))
    assert list(tmp_path.iterdir()) == []
    for error in (OSError("2 requested and 1 written"), RuntimeError("something else")):
        with pytest.raises(type(error), match=str(error)), store.replacing(tmp_path / "data.npy"):
            raise error  # the disk takes more: it is not to blame


def test_a_folder_of_many_blocks_has_its_list_read_once_and_again_when_it_changes(tmp_path, monkeypatch):
    folder, read = tmp_path / "made", []
    with store.building(folder, {"of": "blocks"}, {}):
        for name in "abc":
            (folder / name).write_text(name)
    described = store.described
    monkeypatch.setattr(store, "described", lambda of: read.append(of) or described(of))
    for name in "abcabc":
        store.check(folder, name)
    assert len(read) == 1
    held = (folder / store.MANIFEST).read_text()
    (folder / store.MANIFEST).write_text(held.replace('"blocks"', '"stocks"'))
    with pytest.raises(StaleArtefact, match="was changed"):
        store.check(folder, "a")


def test_a_build_of_many_parts_lists_its_folder_and_reads_its_notes_no_oftener(tmp_path, monkeypatch):
    reads, lists, synced = [], [], []
    noted, listed, sync = store._noted, os.listdir, store.sync
    monkeypatch.setattr(store, "_noted", lambda folder: (reads.append(folder), noted(folder))[1])
    monkeypatch.setattr(os, "listdir", lambda folder: (lists.append(folder), listed(folder))[1])
    monkeypatch.setattr(store, "sync", lambda path: (synced.append(path.name), sync(path))[1])
    with store.building(tmp_path / "x", {"a": 1}, {}) as needed:
        assert needed
        for part in range(200):
            assert not store.kept(tmp_path / "x" / f"{part}.npy")
            with store.keeping(tmp_path / "x" / f"{part}.npy") as temporary:
                temporary.write_bytes(bytes([part]))
            assert store.kept(tmp_path / "x" / f"{part}.npy")
    assert len(reads) <= 2, len(reads)
    assert len(lists) <= 5, len(lists)
    assert not [name for name in synced if name.endswith(".npy")]  # once, before they took their names
    assert len([name for name in synced if ".npy." in name]) == 200
    store.check(tmp_path / "x")


@pytest.mark.parametrize("resumes", [True, False])
def test_what_an_error_leaves_of_a_build_is_kept_for_one_that_resumes_only(tmp_path, resumes):
    folder = tmp_path / "built"

    def stopped() -> None:
        with store.building(folder, {"of": 1}, {}, resumes=resumes):
            (folder / "begun").write_text("half")
            raise BadInput("line 3")

    with pytest.raises(BadInput, match="line 3"):
        stopped()
    assert (folder / "begun").exists() == resumes
    with store.building(folder, {"of": 1 if resumes else 2}, {}, resumes=resumes) as needed:
        assert needed
        assert (folder / "begun").exists() == resumes
    assert store.manifest(folder, {"of": 1 if resumes else 2}) is not None
