"""Finds what was built, says what of it is still of use, and frees what is chosen: `rarityir clean`.

Only what carries the store's own manifest, or its mark of a folder begun, is known here; every other file is left alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from rarityir import corpus, machine, parsing, registry, store, unfinished
from rarityir.systems import Part
from rarityir.types import Busy, Json, RarityError, StaleArtefact, UnknownName

STATES = ("whole", "stale", "broken", "partial", "leftover", "in use")
USELESS = ("stale", "broken", "leftover")  # what was begun is hours of work that the same command goes on with
_HELD = (store.MANIFEST, store.PARTIAL, store.LOCK, store.PARTS)
_QUIET = 3600.0  # seconds that a half-written file of another process must have lain still
_RELEASES = {"encoder.torch": "torch", "encoder.transformers": "transformers"}


@dataclass(frozen=True)
class Built:
    """A folder that the store built or began, or a half-written file; `why` says what is wrong with it."""

    path: Path
    name: str  # relative to the folder that was looked through
    kind: str
    state: str  # one of STATES
    why: str
    bytes: int
    used: float  # seconds since the epoch when any of its files was last read or written, as far as the disk tells

    def json(self) -> dict[str, Json]:
        """Returns it as JSON values; the time is UTC."""
        used = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.used))
        facts = {"path": str(self.path), "kind": self.kind, "state": self.state, "why": self.why, "bytes": self.bytes}
        return {**facts, "last_used": used}


def survey(root: Path) -> list[Built]:
    """Returns everything built under a folder, by name; links are not followed, and what is of unknown origin is left out."""
    found = []
    for folder, files in _folders(root):
        name = folder.relative_to(root).as_posix()
        if store.MANIFEST in files or store.PARTIAL in files:
            state, why = _state(folder)
            own = [path for path in _own(folder) if path.name not in _HELD]
            times = [max(s.st_atime, s.st_mtime) for s in map(os.lstat, own)] or [folder.lstat().st_mtime]
            found.append(Built(folder, name, _kind(folder), state, why, _bytes(own), max(times)))
        elif abandoned := [folder / file for file in files if _abandoned(folder / file)]:
            for path in abandoned:
                facts, why = path.lstat(), "half written by a process that ended"
                label = path.relative_to(root).as_posix()
                found.append(Built(path, label, "file", "leftover", why, facts.st_size, facts.st_mtime))
    return sorted(found, key=lambda built: built.name)


def choose(found: Sequence[Built], states: Sequence[str], patterns: Sequence[str]) -> list[Built]:
    """Returns what is in one of the states and matches a pattern; a pattern of a folder matches all in it.

    Without states, patterns alone choose; without either, what is of no use is chosen, which what was begun is not. What is in
    use is never chosen. Raises `UnknownName` for a pattern that matches nothing.
    """
    for pattern in patterns:
        if not any(_matches(built.name, pattern) for built in found):
            near = registry.near(pattern.strip("*/"), {part for built in found for part in _parts(built.name)})
            raise UnknownName(f"nothing built matches {pattern!r}" + (f"; did you mean {' or '.join(near)}?" if near else ""))
    wanted = states or (STATES if patterns else USELESS)
    return [
        built
        for built in found
        if built.state in wanted and built.state != "in use" and (not patterns or any(_matches(built.name, p) for p in patterns))
    ]


def free(built: Built) -> tuple[int, list[str]]:
    """Frees what was built and returns the bytes freed and the names of files left, which are not of it.

    A folder keeps its lock. One that another process builds is left whole and raises `Busy`. A stop at any moment leaves a folder
    begun, which can be freed or gone on with.
    """
    if built.path.is_symlink():
        raise RarityError(f"{built.path} is a link; remove it yourself")
    if not built.path.is_dir():
        built.path.unlink(missing_ok=True)
        return built.bytes, []
    folder = built.path
    with store.locked(folder / store.LOCK, wait=0.0):
        if _condition(folder)[0] != built.state:
            raise Busy(f"{folder} is not what it was any more; look again: rarityir clean")
        manifest = _read(folder / store.MANIFEST)
        own = [path for path in _own(folder) if path.name not in _HELD]
        if (folder / store.MANIFEST).exists():
            if not (folder / store.PARTIAL).exists():
                store.write_json(folder / store.PARTIAL, manifest.get("identity", {}))
            (folder / store.MANIFEST).unlink()
        freed = _bytes(own)
        for path in own:
            path.unlink()
        left = sorted(path.relative_to(folder).as_posix() for path in _all(folder) if path.name not in _HELD)
        for name in (store.PARTS, store.PARTIAL):
            (folder / name).unlink(missing_ok=True)
        for inner, _ in sorted(_folders(folder), key=lambda pair: -len(pair[0].parts)):
            if inner != folder and not any(inner.iterdir()):
                inner.rmdir()
    return freed, left


def _state(folder: Path) -> tuple[str, str]:
    """In which state a folder is, and what is wrong with it."""
    try:
        with store.locked(folder / store.LOCK, wait=0.0) if (folder / store.LOCK).exists() else nullcontext():
            return _condition(folder)
    except Busy:
        return "in use", "another process is building it"
    except PermissionError:
        return "in use", "its lock belongs to somebody else"


def _condition(folder: Path) -> tuple[str, str]:
    """The state of a folder that nobody is building."""
    if not (folder / store.MANIFEST).exists():
        why = _stale(folder, _read(folder / store.PARTIAL))  # what it was begun with
        return ("stale", f"begun, {why}") if why else ("partial", "begun and not finished")
    try:
        found = store.described(folder)
    except StaleArtefact:
        return "broken", "its manifest is not whole, or was changed"
    for name, facts in found["files"].items():
        path = folder / name
        size = path.stat().st_size if path.exists() else None
        if size != facts["bytes"]:
            return "broken", f"{name} {'is missing' if size is None else 'has another size than it was built with'}"
    why = _stale(folder, found["identity"])
    return ("stale", why) if why else ("whole", "")


def _stale(folder: Path, identity: dict[str, Json]) -> str:
    """Why what is asked for now would not be found in a folder, or nothing where it would as far as can be told."""
    for key, package in _RELEASES.items():
        now = (machine.installed(package) or "").partition("+")[0]
        if identity.get(key) is not None and now and identity[key] != now:
            return f"made with {package} {identity[key]}, now {now}"
    if folder.name == "documents" and "text" in identity and identity.get("form") != corpus.FORM:
        return f"form {identity.get('form', 1)} of documents, now {corpus.FORM}"
    digest, documents = identity.get("documents"), _documents(folder)  # of what is no corpus it may be a count
    if isinstance(digest, str) and documents is not None and digest != documents:
        return "its documents are other ones now"
    if isinstance(identity.get("index"), str):
        form = _form(identity["index"])
        if form is not None and identity.get("form") != form:
            return f"{identity.get('form')}, now {form}"
    return ""


def _documents(folder: Path) -> Json:
    """The digest of the documents of the corpus that a folder belongs to; None where they are not there."""
    for parent in folder.parents:
        if (parent / "documents" / store.MANIFEST).is_file():
            facts = _read(parent / "documents" / store.MANIFEST).get("facts")
            return facts.get("sha256") if isinstance(facts, dict) else None
    return None


def _form(index: str) -> str | None:
    """The form that an index has now; None where it cannot be told, as where its package is missing."""
    try:
        found: str = registry.resolve("indexes", Part.parse(index.split("+")[0]).name).version()
    except (RarityError, ImportError, OSError):
        return None
    return found


def _kind(folder: Path) -> str:
    identity = _read(folder / store.MANIFEST).get("identity") or _read(folder / store.PARTIAL)
    if folder.name in ("documents", "embeddings"):
        return folder.name
    if folder.parent.name == "filters":
        return "filter"
    return "index" if isinstance(identity, dict) and "index" in identity else "other"


def _own(folder: Path) -> list[Path]:
    """The files of a folder that the store wrote: all that its manifest names, or all in it where it was only begun."""
    temporary = [path for path in _all(folder) if unfinished.written(path.name) is not None]
    files = _read(folder / store.MANIFEST).get("files")
    if not (folder / store.MANIFEST).exists():
        return [path for path in _all(folder) if path.name != store.LOCK]
    named = {folder / name for name in files} if isinstance(files, dict) else set()
    held = [folder / name for name in (store.MANIFEST, store.PARTIAL) if (folder / name).exists()]
    return [*(path for path in _all(folder) if path in named), *temporary, *held]


def _all(folder: Path) -> list[Path]:
    """Every plain file under a folder but those of folders that have a manifest of their own."""
    return [
        inner / file
        for inner, files in _folders(folder)
        if inner == folder or not _below(inner, folder)
        for file in files
        if not (inner / file).is_symlink()
    ]


def _below(inner: Path, folder: Path) -> bool:
    """Whether a folder lies in another one that was built for itself."""
    between = [inner, *(parent for parent in inner.parents if parent.is_relative_to(folder) and parent != folder)]
    return any((parent / name).exists() for parent in between for name in (store.MANIFEST, store.PARTIAL))


def _folders(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Every folder under a root with its files' names; no link is followed."""
    for folder, _, files in os.walk(root, followlinks=False):
        yield Path(folder), sorted(files)


def _abandoned(path: Path) -> bool:
    """Whether a file was left half written: its name says by which process, which is gone, and it has lain still."""
    if unfinished.written(path.name) is not False or path.is_symlink():
        return False
    return time.time() - path.lstat().st_mtime >= _QUIET


def _read(path: Path) -> dict[str, Json]:
    try:
        found = parsing.value(path)
    except parsing.BROKEN:
        return {}
    return found if isinstance(found, dict) else {}


def _bytes(paths: Sequence[Path]) -> int:
    return sum(path.lstat().st_size for path in paths)


def _parts(name: str) -> Iterator[str]:
    """A name and the folders that it lies in."""
    pieces = name.split("/")
    return ("/".join(pieces[: i + 1]) for i in range(len(pieces)))


def _matches(name: str, pattern: str) -> bool:
    return any(fnmatchcase(part, pattern.rstrip("/")) for part in _parts(name))
