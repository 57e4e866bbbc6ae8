"""A folder is complete when its manifest is there and matches; everything else here serves that sentence.

Files reach their names by rename, the manifest is written last, and one process at a time builds a folder. So a kill at
any moment leaves either nothing, or a partial folder that the next run resumes, or a complete one.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from rarityir import parsing
from rarityir.types import Busy, Json, StaleArtefact

MANIFEST, PARTIAL, LOCK = "manifest.json", "partial.json", ".lock"
log = logging.getLogger(__name__)


def digest_file(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Writes a whole file or none of it."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Json) -> None:
    """Writes JSON with sorted keys, whole or not at all."""
    write_text(path, json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`; when the block ends well, it is synced and takes the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    yield temporary
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


def manifest(folder: Path, identity: Mapping[str, Json]) -> dict[str, Json] | None:
    """Returns the manifest of a complete folder, None if it is not complete.

    Raises `StaleArtefact` if the folder was built from another identity, or a file is missing or has another size.
    """
    path = folder / MANIFEST
    if not path.exists():
        return None
    try:
        found = parsing.mapping(path)
        stored, files = dict(found["identity"]), listed(found)
    except parsing.BROKEN:
        raise StaleArtefact(f"{path} is not a manifest; remove the folder to rebuild it: rm -r {folder}") from None
    difference = differing(stored, json.loads(json.dumps(identity)))
    if difference:
        raise StaleArtefact(f"{folder} was built with {difference}; remove it to rebuild, or choose another folder")
    for name, facts in files.items():
        size = (folder / name).stat().st_size if (folder / name).exists() else None
        if size != facts["bytes"]:
            state = "is missing" if size is None else f"has {size} bytes instead of {facts['bytes']}"
            raise StaleArtefact(f"{folder / name} {state}; remove the folder to rebuild it: rm -r {folder}")
    return found


def check_begun(folder: Path, identity: Mapping[str, Json]) -> None:
    """Raises `StaleArtefact` for a partial folder of another identity: its work is not thrown away unasked."""
    wanted, begun = json.loads(json.dumps(identity)), _read(folder / PARTIAL)
    if begun not in (None, wanted) and _files(folder, checksums=False):
        difference = differing(begun, wanted)
        raise StaleArtefact(f"{folder} was begun with {difference}; repeat that command, or remove it: rm -r {folder}")


def verify(folder: Path) -> None:
    """Checks every file of a complete folder against its checksum; raises `StaleArtefact` at the first that differs."""
    for name, facts in listed(parsing.mapping(folder / MANIFEST)).items():
        if not (folder / name).exists() or digest_file(folder / name) != facts["sha256"]:
            raise StaleArtefact(f"{folder / name} is corrupt (checksum differs); remove the folder: rm -r {folder}")


def listed(found: Mapping[str, Json]) -> dict[str, dict[str, Json]]:
    """Returns the files that a manifest lists; `ValueError` where one of them would lie outside its folder."""
    files = {str(name): {"bytes": int(facts["bytes"]), "sha256": str(facts["sha256"])} for name, facts in found["files"].items()}
    for name in files:
        parsing.need("\0" not in name and PurePosixPath(name).parts and ".." not in PurePosixPath(name).parts, f"a file {name!r}")
        parsing.need(not PurePosixPath(name).is_absolute(), f"a file {name!r}")
    return files


def differing(old: Mapping[str, Json], new: Mapping[str, Json]) -> str:
    """Returns "key old, now new" for every key that differs, or an empty string."""
    keys = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    return "; ".join(f"{key} {_short(old.get(key))}, now {_short(new.get(key))}" for key in keys)


@contextmanager
def building(folder: Path, identity: Mapping[str, Json], facts: dict[str, Json], wait: float = 3600.0) -> Iterator[bool]:
    """Builds a folder once: yields True if the caller must (re)build or resume, False if it is already complete.

    Holds the folder's lock meanwhile; a second process waits up to `wait` seconds, then gets `Busy`. When the block
    ends well the manifest is written: identity, `facts` (which the caller may fill meanwhile), size and SHA-256 of
    every file. A partial folder of another identity is a `StaleArtefact`, as `check_begun` says.
    """
    if manifest(folder, identity) is not None:
        yield False
        return
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / LOCK, wait):
        if manifest(folder, identity) is not None:  # another process finished it while we waited
            yield False
            return
        wanted, begun = json.loads(json.dumps(identity)), _read(folder / PARTIAL)
        check_begun(folder, identity)
        if begun is None and any(path.name != LOCK for path in folder.iterdir()):
            raise StaleArtefact(f"{folder} holds files that were not built here, and they are left alone; choose another folder")
        if begun != wanted:
            empty(folder)
            write_json(folder / PARTIAL, wanted)
        started = time.monotonic()
        yield True
        facts.setdefault("build_seconds", round(time.monotonic() - started, 3))
        for left in folder.rglob(".*.tmp"):  # what an earlier kill left half written
            left.unlink()
        write_json(folder / MANIFEST, {"identity": wanted, "facts": facts, "files": _files(folder)})
        (folder / PARTIAL).unlink()


@contextmanager
def locked(path: Path, wait: float) -> Iterator[None]:
    """Holds an exclusive lock that the system frees when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline, told = time.monotonic() + wait, False
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() >= deadline:
                    raise Busy(f"another process is building {path.parent}; wait for it, or choose another folder") from None
                if not told:
                    log.warning("waiting for another process that is building %s", path.parent)
                    told = True
                time.sleep(0.2)
        yield


def empty(folder: Path) -> None:
    """Removes everything in a folder but its lock."""
    for path in folder.iterdir():
        if path.name != LOCK:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def size(folder: Path) -> int:
    """Returns the bytes of a folder's files, those of the store itself left out."""
    return sum(facts["bytes"] for facts in _files(folder, checksums=False).values())


def _files(folder: Path, *, checksums: bool = True) -> dict[str, dict[str, Json]]:
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in (MANIFEST, PARTIAL, LOCK) and not path.name.endswith(".tmp"):
            facts: dict[str, Json] = {"bytes": path.stat().st_size}
            if checksums:
                facts["sha256"] = digest_file(path)
            files[path.relative_to(folder).as_posix()] = facts
    return files


def _read(path: Path) -> Json:
    try:
        return parsing.value(path)
    except parsing.BROKEN:
        return None


def _short(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:16] + "…" if len(text) == 64 and " " not in text else text
