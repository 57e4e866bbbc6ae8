"""Archives and files from elsewhere: nothing leaves its folder, nothing is run, and nothing small becomes large."""

from __future__ import annotations

import ast
import gzip
import hashlib
import io
import shutil
import tarfile
from pathlib import Path

import pytest

import rarityir
from rarityir.datasets import reading
from rarityir.indexes import prebuilt
from rarityir.types import BadInput, RarityError

PACKAGE = Path(rarityir.__file__).parent


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", raw: bytes = b"x") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(raw) if kind == tarfile.REGTYPE else 0
    return info, raw


HOSTILE = (
    member("good/segments_1"),
    member("../../outside"),
    member("/tmp/rarityir-absolute"),
    member("a/../../../up"),
    member("link", tarfile.SYMTYPE, "../../../etc/passwd"),
    member("link/through"),
    member("hard", tarfile.LNKTYPE, "../../outside"),
    member("fifo", tarfile.FIFOTYPE),
    member("device", tarfile.CHRTYPE),
    member("folder", tarfile.DIRTYPE),
    member(".."),
    member("."),
)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "there" / "index.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as tar:
        for info, raw in HOSTILE:
            tar.addfile(info, io.BytesIO(raw))
    return path


def taken(path: Path, target: Path) -> list[str]:
    """Writes an archive's members as an index is taken, and returns their names."""
    target.mkdir(parents=True)
    with tarfile.open(path) as tar:
        for name, file in prebuilt._members(tar):
            with (target / name).open("wb") as out:
                shutil.copyfileobj(file, out, 1 << 20)
    return sorted(found.name for found in target.iterdir())


def test_members_lie_in_their_folder_by_their_bare_names_and_links_and_devices_are_passed_over(archive: Path) -> None:
    home = archive.parents[1]
    names = taken(archive, home / "deep" / "down" / "lucene")
    assert names == ["outside", "rarityir-absolute", "segments_1", "through", "up"]
    assert not any(path.is_symlink() for path in home.rglob("*"))
    assert {path.parent.name for path in home.rglob("*") if path.is_file()} == {"there", "lucene"}
    assert not Path("/tmp/rarityir-absolute").exists()


def test_a_member_that_says_it_is_larger_than_the_archive_is_an_error(tmp_path: Path) -> None:
    info, _ = member("large")
    info.size = 10**12
    raw = info.tobuf() + b"x" * 512
    (tmp_path / "bomb.tar").write_bytes(raw)
    with pytest.raises(tarfile.TarError):
        taken(tmp_path / "bomb.tar", tmp_path / "lucene")


def test_an_archive_of_another_checksum_is_never_opened(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr(prebuilt.tarfile, "open", lambda *given: opened.append(given))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("PYSERINI_CACHE", str(archive.parents[1] / "none"))
    wrong = prebuilt.Prebuilt("x", "index.tar.gz", "0" * 32, (archive.as_uri(),), 1)
    target = archive.parents[1] / "target"
    target.mkdir()
    with pytest.raises(RarityError, match="checksum"), prebuilt._offered(wrong, target):
        pass
    assert opened == []
    assert list(target.iterdir()) == []
    right = wrong.__class__("x", "index.tar.gz", hashlib.md5(archive.read_bytes()).hexdigest(), wrong.urls, 1)
    monkeypatch.undo()
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("PYSERINI_CACHE", str(archive.parents[1] / "none"))
    with prebuilt._offered(right, target) as files:
        assert "segments_1" in [name for name, _ in files]


def test_a_small_gzip_file_of_one_endless_line_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LONGEST", 1 << 16)
    path = tmp_path / "docs.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": "' + b"x" * (1 << 22)))
    with pytest.raises(BadInput, match="a line of more than"):
        list(reading.lines(path))
    path.write_bytes(gzip.compress(b"x" * ((1 << 16) - 2) + b"\nshort\n"))
    assert [number for number, _ in reading.lines(path)] == [1, 2]


# What the package may call, read from its source.


def calls() -> list[tuple[str, str, ast.Call]]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                found.append((path.relative_to(PACKAGE).as_posix(), ast.unparse(node.func), node))
    return found


def test_arrays_are_read_in_one_place_alone_which_unpickles_nothing() -> None:
    loads = [(path, ast.unparse(node)) for path, called, node in calls() if called in ("np.load", "numpy.load", "torch.load")]
    # In place, and of a file that the line before has written.
    assert loads == [("doc_ids.py", "np.load(folder / SORTED, mmap_mode='r+')")]
    reads = {path for path, called, _ in calls() if called.endswith(("format.open_memmap", "form.read_array"))}
    assert reads == {"parsing.py"}


def test_nothing_is_run_extracted_or_named_for_somebody_else_to_guess() -> None:
    forbidden = (
        "eval",
        "exec",
        "compile",
        "os.system",
        "os.popen",
        "__import__",
        "tempfile.mktemp",
        "yaml.load",
        "marshal.loads",
    )
    assert [(path, called) for path, called, _ in calls() if called in forbidden] == []
    assert [(path, called) for path, called, _ in calls() if called.endswith((".extractall", ".extract", "unpack_archive"))] == []
    shells = [path for path, _, node in calls() for keyword in node.keywords if keyword.arg == "shell"]
    assert shells == []


def test_parsers_of_markup_that_others_write_are_not_used() -> None:
    imported = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            imported |= {name.split(".")[0] for name in names}
    assert imported & {"xml", "lxml", "yaml", "pickle", "shelve", "dill", "joblib", "cloudpickle", "marshal"} == set()


def test_code_that_comes_with_a_model_is_refused_in_so_many_words_wherever_one_is_loaded() -> None:
    """There is no flag that would run it."""
    loaders = [
        (path, ast.unparse(node), {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords})
        for path, called, node in calls()
        if called.endswith((".from_pretrained", "SentenceTransformer")) and not called.startswith("_")
    ]
    assert len(loaders) >= 5
    assert [line for _, line, given in loaders if given.get("trust_remote_code") != "False"] == []
