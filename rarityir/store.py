"""A folder is complete when its manifest is there and matches; everything else here serves that sentence.

Files reach their names by rename, the manifest is written last, and one process at a time builds a folder. So a kill at
any moment leaves either nothing, or a partial folder that the next run resumes, or a complete one. Every file has its
SHA-256 in the manifest, which has its own: what is read is compared with it, once by each process.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from typing import Any

from rarityir import machine, parsing, unfinished
from rarityir.types import Busy, Json, RarityError, StaleArtefact

MANIFEST, PARTIAL, LOCK = "manifest.json", "partial.json", ".lock"
PARTS = ".parts"  # the checksums of what a build that may be stopped has finished, as sha256sum writes them
TRUST = "RARITYIR_TRUST"  # an environment variable: where it is set, sizes are compared and checksums are not
_HELD = (errno.EAGAIN, errno.EACCES)  # by another process; what has no locks says something else
log = logging.getLogger(__name__)
_OWN = (MANIFEST, PARTIAL, LOCK, PARTS)
_lists: dict[Path, tuple[int, Any]] = {}  # what lists of files said, as those lists were then
_seen: set[int] = set()  # files whose checksum this process has compared, as they were then


def digest_file(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Writes a whole file or none of it."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Writes a whole file or none of it, a line at a time."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


def write_json(path: Path, value: Json) -> None:
    """Writes JSON with sorted keys, whole or not at all."""
    write_text(path, json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`; when the block ends well, it is synced and takes the name, else it is removed.

    An error that a full disk brings about is the system's, with the name: libraries say less, such as "2048 requested and 1984
    written", or otherwise.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished.beside(path)
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
    except BaseException as error:
        told = machine.refusal(error, temporary, path)
        temporary.unlink(missing_ok=True)
        if told is error:
            raise
        raise told from None


@contextmanager
def keeping(path: Path) -> Iterator[Path]:
    """Is `replacing` for a part of a folder that is being built: its checksum is noted, by which `kept` knows it again."""
    with replacing(path) as temporary:
        yield temporary
        digest, noted = digest_file(temporary), _parts(path.parent)
        with (path.parent / PARTS).open("ab", buffering=0) as file:
            file.write(f"{digest}  {path.name}\n".encode())
        noted[path.name] = digest
        _lists[path.parent / PARTS] = _state(path.parent / PARTS, ""), noted


def kept(path: Path) -> bool:
    """Returns whether an earlier, stopped build has finished this part; one that was damaged since is removed, and said."""
    if not path.is_file():
        return False
    wanted = _parts(path.parent).get(path.name)
    if wanted is not None and _same(path, wanted):
        return True
    log.warning("%s is damaged, or not by this build; it is made again", path)
    path.unlink()
    return False


def sync(path: Path) -> None:
    """Returns when a file, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sealed(value: Mapping[str, Json], key: str = "sha256") -> dict[str, Json]:
    """Returns an object with its own SHA-256 under a key, by which `unbroken` knows a change."""
    plain: dict[str, Json] = json.loads(json.dumps(value))
    return {**plain, key: _sum(plain)}


def unbroken(value: Mapping[str, Json], key: str = "sha256") -> bool:
    """Returns whether an object that was read is as it was `sealed`; one without the key, of an earlier release, is trusted."""
    return key not in value or value[key] == _sum({name: of for name, of in value.items() if name != key})


def manifest(folder: Path, identity: Mapping[str, Json]) -> dict[str, Json] | None:
    """Returns the manifest of a complete folder, None if it is not complete.

    Raises `StaleArtefact` if the folder was built from another identity, or a file is missing or has another size.
    """
    if not (folder / MANIFEST).exists():
        return None
    found = described(folder)
    stored, files = found["identity"], found["files"]
    difference = differing(stored, json.loads(json.dumps(identity)))
    if difference:
        raise StaleArtefact(f"{folder} was built with {difference}; remove it to rebuild, or choose another folder")
    for name, facts in files.items():
        size = (folder / name).stat().st_size if (folder / name).exists() else None
        if size != facts["bytes"]:
            state = "is missing" if size is None else f"has {size} bytes instead of {facts['bytes']}"
            raise StaleArtefact(f"{folder / name} {state}; remove the folder to rebuild it: rm -r {folder}")
    return found


def described(folder: Path) -> dict[str, Json]:
    """Returns the manifest of a complete folder, whatever it was built from; `StaleArtefact` for one that is not whole."""
    path = folder / MANIFEST
    try:
        found = parsing.mapping(path)
        for name, facts in found["files"].items():
            _ = int(facts["bytes"]), facts["sha256"].encode()
            inside = PurePosixPath(name).parts and not PurePosixPath(name).is_absolute() and "\0" not in name
            parsing.need(inside and ".." not in PurePosixPath(name).parts, f"{name!r} is no file of this folder")
        whole = isinstance(found["identity"], dict) and isinstance(found["facts"], dict) and unbroken(found)
    except parsing.BROKEN:
        whole = False
    if not whole:
        raise StaleArtefact(f"{path} is not a manifest, or was changed; remove the folder to rebuild it: rm -r {folder}")
    return found


def check_folder(folder: Path) -> None:
    """Raises `RarityError` where a folder is to be written and a file has its name, or that of one above it."""
    for place in (folder, *folder.parents):
        if place.is_dir():
            return
        if place.exists():
            raise RarityError(f"{place} is a file; name a folder instead, or move it away")


def check_begun(folder: Path, identity: Mapping[str, Json]) -> None:
    """Raises `StaleArtefact` for a partial folder of another identity: its work is not thrown away unasked."""
    wanted, begun = json.loads(json.dumps(identity)), _read(folder / PARTIAL)
    if begun not in (None, wanted) and _files(folder, checksums=False):
        difference = differing(begun, wanted)
        raise StaleArtefact(f"{folder} was begun with {difference}; repeat that command, or remove it: rm -r {folder}")


def verify(folder: Path) -> None:
    """Compares every file of a complete folder with its checksum; raises `StaleArtefact` at the first that differs."""
    _compare(folder, _sums(described(folder)))


def opened(folder: Path, identity: Mapping[str, Json]) -> dict[str, Json]:
    """Returns the manifest of a folder that `building` has left complete, once its files are found to be what it says."""
    found = manifest(folder, identity)
    if found is None:
        raise StaleArtefact(f"{folder} was removed while it was in use; give the command again")
    check(folder)
    return found


def check(folder: Path, *names: str) -> None:
    """Compares the named files of a complete folder, or all of them, with their checksums before they are read.

    A file is read for this once by a process, as long as its size and times stay. Raises `StaleArtefact` at the first that
    differs. Where the environment sets `RARITYIR_TRUST`, nothing is compared.
    """
    if os.environ.get(TRUST):
        return
    sums: Mapping[str, str] = _once(folder / MANIFEST, lambda: _sums(described(folder)))
    _compare(folder, {name: sums[name] for name in names} if names else sums)


def unchanged(path: Path, digest: str) -> bool:
    """Returns whether a file has this SHA-256, compared as `check` does: once by a process, not where `RARITYIR_TRUST` is set."""
    return bool(os.environ.get(TRUST)) or _same(path, digest)


def _sums(manifest: Mapping[str, Json]) -> dict[str, str]:
    return {name: facts["sha256"] for name, facts in manifest["files"].items()}


def _compare(folder: Path, sums: Mapping[str, str]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(machine.cores()) if len(sums) > 1 else nullcontext() as pool:  # a thread costs more than a block
        same = (pool.map if pool else map)(lambda name: _same(folder / name, sums[name]), sums)
        for name, whole in zip(sums, same, strict=True):
            if not whole:
                raise StaleArtefact(f"{folder / name} is corrupt (checksum differs); remove the folder: rm -r {folder}")


def _same(path: Path, wanted: str) -> bool:
    """Whether a file has this checksum; it is not read again while it stays as it was."""
    try:
        now = _state(path, wanted)
        if now not in _seen:
            if digest_file(path) != wanted:
                return False
            _seen.add(now)
    except FileNotFoundError:
        return False
    return True


def _state(path: Path, digest: str) -> int:
    """One number for a file as it is now: a million documents are thousands of files."""
    stat = path.stat()
    return hash((os.fspath(path), digest, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))


def differing(old: Mapping[str, Json], new: Mapping[str, Json]) -> str:
    """Returns "key old, now new" for every key that differs, or an empty string."""
    keys = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    return "; ".join(f"{key} {_short(old.get(key))}, now {_short(new.get(key))}" for key in keys)


@contextmanager
def building(
    folder: Path, identity: Mapping[str, Json], facts: dict[str, Json], wait: float = 3600.0, *, resumes: bool = True
) -> Iterator[bool]:
    """Builds a folder once: yields True if the caller must (re)build or resume, False if it is already complete.

    Holds the folder's lock meanwhile; a second process waits up to `wait` seconds, then gets `Busy`. When the block
    ends well the manifest is written: identity, `facts` (which the caller may fill meanwhile), size and SHA-256 of
    every file. A partial folder of another identity is a `StaleArtefact`, as `check_begun` says. Without `resumes` a
    `RarityError` in the block empties the folder: input that is put right is other input, and must not find this begun.
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
        if begun is None and (folder / PARTIAL).exists():
            raise StaleArtefact(f"{folder / PARTIAL} is damaged; remove the folder to build it anew: rm -r {folder}")
        if begun is None and any(path.name != LOCK and not unfinished.unnamed(path) for path in folder.iterdir()):
            raise StaleArtefact(f"{folder} holds files that were not built here, and they are left alone; choose another folder")
        if begun != wanted:
            empty(folder)
            write_json(folder / PARTIAL, wanted)
        started = time.monotonic()
        try:
            yield True
        except RarityError:
            if not resumes:
                empty(folder)
            raise
        facts.setdefault("build_seconds", round(time.monotonic() - started, 3))
        for left in filter(unfinished.unnamed, folder.rglob(".*.tmp")):  # what an earlier kill left half written
            left.unlink()
        files = _files(folder)
        # On the disk before the manifest says that they are there; parts were when they were noted.
        for path in (*folder.rglob("*"), folder):
            if path.is_dir() or (path.relative_to(folder).as_posix() in files and path.name not in _parts(path.parent)):
                sync(path)
        write_json(folder / MANIFEST, sealed({"identity": wanted, "facts": facts, "files": files}))
        (folder / PARTIAL).unlink()
        for left in folder.rglob(PARTS):
            left.unlink()
            _lists.pop(left, None)


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
            except OSError as error:
                if error.errno not in _HELD:
                    reason = f"{path.parent} cannot be locked ({error.strerror})"
                    raise RarityError(f"{reason}; put it on a file system that has locks (flock)") from None
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
        if path.is_file() and path.name not in _OWN and not path.name.endswith(".tmp"):
            facts: dict[str, Json] = {"bytes": path.stat().st_size}
            if checksums:
                parts = _parts(path.parent)
                if path.name in parts:  # as it was written, not as it is now
                    facts["sha256"] = parts[path.name]
                else:
                    facts["sha256"] = digest_file(path)
                    _seen.add(_state(path, facts["sha256"]))
            files[path.relative_to(folder).as_posix()] = facts
    return files


def _once(path: Path, read: Callable[[], Any]) -> Any:
    """What a list of files says; blocks are checked one by one, and the list is read again only when it has changed."""
    try:
        now = _state(path, "")
    except OSError:
        return read()
    if path not in _lists or _lists[path][0] != now:
        if len(_lists) >= 8:  # lists of millions of documents are long
            _lists.clear()
        _lists[path] = now, read()
    return _lists[path][1]


def _parts(folder: Path) -> dict[str, str]:
    noted: dict[str, str] = _once(folder / PARTS, lambda: _noted(folder))
    return noted


def _noted(folder: Path) -> dict[str, str]:
    """What `keeping` has noted in a folder, name → checksum; a line that a kill cut off counts for nothing."""
    try:
        lines = (folder / PARTS).read_bytes().decode(errors="replace").split("\n")[:-1]
    except OSError:
        return {}
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _sum(value: Mapping[str, Json]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _read(path: Path) -> Json:
    try:
        return parsing.value(path)
    except parsing.BROKEN:
        return None


def _short(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:16] + "…" if len(text) == 64 and " " not in text else text
