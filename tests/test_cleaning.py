"""What was built is found, told apart and freed; nothing else is ever touched."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from rarityir import cleaning, machine, store, unfinished
from rarityir.cleaning import Built, choose, free, survey
from rarityir.cli import main
from rarityir.types import Busy, UnknownName

pytestmark = pytest.mark.usefixtures("elsewhere")
INDEXES = Path("indexes")


def build(folder: Path, files: dict[str, bytes], identity: dict[str, object] | None = None) -> Path:
    with store.building(folder, identity or {"index": "other"}, {}):
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    return folder


def begin(folder: Path) -> Path:
    """Leaves a folder as a kill does."""
    with suppress(KeyboardInterrupt), store.building(folder, {"of": "this"}, {}):
        (folder / "000000.npy").write_bytes(b"12345")
        (folder / ".000001.npy.77.tmp").write_bytes(b"123")
        raise KeyboardInterrupt
    return folder


def state(folder: Path) -> str:
    (found,) = [built for built in survey(INDEXES) if built.path == folder]
    return found.state


def edit(folder: Path, **values: object) -> None:
    path = folder / store.MANIFEST
    found = json.loads(path.read_text())
    found.pop("sha256", None)
    found["identity"] |= values
    path.write_text(json.dumps(found))


def files() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file() and not path.is_symlink()}


def only(found: list[Built]) -> Built:
    (one,) = found
    return one


def test_what_commands_build_is_shown_by_kind_and_freed_only_when_asked(
    beir: Path, stories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--dataset", str(beir), "--encoder", stories]
    assert main(["index", "dense+edge:2", *common]) == 0
    built = files()
    capsys.readouterr()
    assert main(["clean", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    kinds = {entry["path"].rsplit("/", 1)[1]: entry["kind"] for entry in facts["found"]}
    assert kinds == {"documents": "documents", "embeddings": "embeddings", "edge_2": "filter", "dense+edge_2": "index"}
    assert {entry["state"] for entry in facts["found"]} == {"whole"}
    for entry in facts["found"]:
        assert entry["bytes"] == sum(
            f["bytes"] for f in json.loads(Path(entry["path"], "manifest.json").read_text())["files"].values()
        )
        assert entry["last_used"].startswith("20")
    for argv in (["clean"], ["clean", "--yes"], ["clean", "--stale", "--partial", "--yes"], ["clean", "*"], ["clean", "--all"]):
        assert main(argv) == 0
        assert files() == built
    out = capsys.readouterr().out
    assert "nothing to free of" in out
    assert out.splitlines()[-1].startswith("would free")
    assert main(["clean", "*/dense*", "--yes"]) == 0
    gone = built.keys() - files().keys()
    assert {Path(path).parent.name for path in gone} == {"dense+edge_2"}
    assert main(["index", "dense+edge:2", *common]) == 0
    again = files()
    assert {path for path in again if "build_seconds" not in again[path].decode("latin-1")} == {
        path for path in built if "build_seconds" not in built[path].decode("latin-1")
    }
    assert all(again[path] == content for path, content in built.items() if path.endswith((".npy", ".safetensors", ".txt")))
    assert main(["clean", "--all", "--yes"]) == 0
    assert {Path(path).name for path in files()} == {".lock"}
    assert main(["index", "dense+edge:2", *common]) == 0


def test_what_is_stale_or_broken_is_chosen_and_what_is_of_use_or_begun_is_not() -> None:
    home = INDEXES / "c"
    build(home / "documents", {"ids": b"1"}, {"text": "rule", "form": cleaning.corpus.FORM, "documents": 1})
    manifest = json.loads((home / "documents" / store.MANIFEST).read_text())
    del manifest["sha256"]  # as earlier releases wrote it: with it, a change is seen
    (home / "documents" / store.MANIFEST).write_text(json.dumps({**manifest, "facts": {"sha256": "new"}}))
    whole = build(home / "m" / "dense", {"v": b"123"}, {"index": "dense", "documents": "new", "form": dense_form()})
    stale = build(home / "m" / "dense+edge_2", {"v": b"123"}, {"index": "dense", "documents": "old", "form": dense_form()})
    partial = begin(home / "m" / "embeddings")
    found = {built.path: built for built in survey(INDEXES)}
    assert {path: built.state for path, built in found.items()} == {
        home / "documents": "whole", whole: "whole", stale: "stale", partial: "partial",
    }  # fmt: skip
    assert found[stale].why == "its documents are other ones now"
    assert found[partial].bytes == 8
    assert [built.path for built in choose(list(found.values()), [], [])] == [stale]
    assert [built.path for built in choose(list(found.values()), ["partial"], [])] == [partial]
    # What was begun by another release would be refused, not gone on with.
    (partial / store.PARTIAL).write_text('{"encoder.torch": "1.0"}')
    again = only(built for built in survey(INDEXES) if built.path == partial)
    assert (again.state, again.why.partition(" 1.0,")[0]) == ("stale", "begun, made with torch")
    assert choose([again], [], []) == [again]
    for key, value in (("form", "form 1"), ("encoder.torch", "1.0"), ("encoder.transformers", "1.0")):
        before = (whole / store.MANIFEST).read_text()
        edit(whole, **{key: value})
        assert state(whole) == "stale"
        (whole / store.MANIFEST).write_text(before)
        assert state(whole) == "whole"
    edit(whole, **{"encoder.torch": machine.installed("torch").partition("+")[0]})
    assert state(whole) == "whole"
    (whole / "v").write_bytes(b"1")
    assert state(whole) == "broken"
    (whole / "v").unlink()
    assert state(whole) == "broken"
    changed = json.dumps(json.loads((stale / store.MANIFEST).read_text()) | {"facts": {"documents": 9}})
    for text in ("{", "[]", '{"identity": 3}', changed):
        (whole / store.MANIFEST).write_text(text)
        assert state(whole) == "broken"
    edit(home / "documents", form=1)
    assert state(home / "documents") == "stale"


def dense_form() -> str:
    from rarityir.indexes.dense import DenseIndex

    return DenseIndex.version()


def test_an_index_of_a_package_that_is_not_here_is_no_error() -> None:
    build(INDEXES / "x", {"v": b"1"}, {"index": "nosuch:64+edge:2", "form": "any"})
    assert only(survey(INDEXES)).state == "whole"


def test_freeing_what_was_begun_lets_it_be_built_anew() -> None:
    folder = begin(INDEXES / "c" / "embeddings")
    assert main(["clean", "--partial", "--yes"]) == 0
    assert sorted(path.name for path in folder.iterdir()) == [".lock"]
    assert survey(INDEXES) == []
    build(folder, {"a": b"1"}, {"another": "identity"})
    assert only(survey(INDEXES)).state == "whole"


def test_what_was_begun_stays_unless_it_is_named_and_is_shown_with_its_size(capsys: pytest.CaptureFixture[str]) -> None:
    folder = begin(INDEXES / "c" / "embeddings")
    before = files()
    for argv in (["clean"], ["clean", "--yes"], ["clean", "--stale", "--yes"]):
        assert main(argv) == 0
        assert files() == before
        out = capsys.readouterr().out.splitlines()
        assert "partial  c/embeddings (begun and not finished)" in out[1]
        assert out[2] == "8 B begun and not finished stay, and the same command goes on with them; free them with --partial"
    assert main(["clean", "--partial"]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == ["would free 8 B of 8 B; free it with --yes"]
    assert main(["clean", "c", "--yes"]) == 0
    assert sorted(path.name for path in folder.iterdir()) == [".lock"]


def test_what_another_process_builds_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "import sys, time; from pathlib import Path; from rarityir import store\n"
        "with store.building(Path('indexes/c'), {}, {}):\n"
        "    Path('indexes/c/block').write_bytes(b'1')\n"
        "    print('begun', flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths()}
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"begun\n"
        assert state(Path("indexes/c")) == "in use"
        assert choose(survey(INDEXES), cleaning.STATES, []) == []
        assert main(["clean", "--all", "--yes"]) == 0
        assert main(["clean", "c", "--yes"]) == 0
        assert Path("indexes/c/block").exists()
        looked = Built(Path("indexes/c"), "c", "other", "partial", "", 1, 0.0)
        with pytest.raises(Busy):
            free(looked)
        other.communicate(b"\n", timeout=120)
    assert state(Path("indexes/c")) == "whole"
    capsys.readouterr()
    with pytest.raises(Busy, match="not what it was"):  # it was finished since it was looked at
        free(looked)
    assert Path("indexes/c/block").exists()


def paths() -> str:
    return os.pathsep.join([str(Path(cleaning.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])


def test_what_was_not_built_here_is_never_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outside = tmp_path / "outside"
    build(outside / "theirs", {"v": b"1"})
    (outside / "precious").write_text("mine")
    folder = build(INDEXES / "c", {"v": b"12", "sub/w": b"345"})
    (folder / "notes.txt").write_text("mine")
    (folder / "sub" / "mine").write_text("mine")
    (folder / "link").symlink_to(outside / "precious")
    (folder / "linked").symlink_to(outside)
    (INDEXES / "elsewhere").symlink_to(outside)
    (INDEXES / "README.md").write_text("mine")
    (INDEXES / "own").mkdir()
    (INDEXES / "own" / "data.npy").write_text("mine")
    assert [built.name for built in survey(INDEXES)] == ["c"]
    assert main(["clean", "--all", "--yes"]) == 0
    assert "indexes/c keeps what was not built with it: notes.txt, sub/mine" in capsys.readouterr().out
    assert (outside / "theirs" / "v").read_bytes() == b"1"
    assert sorted(str(path) for path in INDEXES.rglob("*")) == [
        "indexes/README.md", "indexes/c", "indexes/c/.lock", "indexes/c/link", "indexes/c/linked", "indexes/c/notes.txt",
        "indexes/c/sub", "indexes/c/sub/mine", "indexes/elsewhere", "indexes/own", "indexes/own/data.npy",
    ]  # fmt: skip


def test_a_manifest_that_names_files_outside_its_folder_frees_none_of_them(tmp_path: Path) -> None:
    folder = build(INDEXES / "c", {"v": b"12"})
    (tmp_path / "work" / "precious").write_text("mine")
    manifest = json.loads((folder / store.MANIFEST).read_text())
    for name in ("../../precious", str(tmp_path / "work" / "precious")):
        manifest["files"][name] = {"bytes": 4}
    (folder / store.MANIFEST).write_text(json.dumps(manifest))
    free(only(survey(INDEXES)))
    assert (tmp_path / "work" / "precious").read_text() == "mine"
    assert not (folder / "v").exists()


def test_a_folder_in_another_is_freed_for_itself() -> None:
    outer = build(INDEXES / "c", {"v": b"12"})
    inner = build(outer / "in", {"w": b"345"})
    assert {built.name: built.bytes for built in survey(INDEXES)} == {"c": 2, "c/in": 3}
    free(survey(INDEXES)[0])
    assert not (outer / "v").exists()
    assert (inner / "w").exists()
    assert state(inner) == "whole"
    begun = begin(INDEXES / "d")
    within = build(begun / "in", {"w": b"345"})
    free(next(built for built in survey(INDEXES) if built.path == begun))
    assert state(within) == "whole"


def test_a_stop_while_freeing_leaves_a_folder_that_can_be_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    for stop in range(1, 6):
        folder = build(INDEXES / f"c{stop}", {f"{i}.npy": b"1" for i in range(3)})
        real, count = Path.unlink, [0]

        def unlink(self: Path, missing_ok: bool = False, real=real, count=count, stop=stop) -> None:
            count[0] += 1
            if count[0] == stop:
                raise KeyboardInterrupt
            real(self, missing_ok=missing_ok)

        (whole,) = [built for built in survey(INDEXES) if built.path == folder]
        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", unlink)
            with pytest.raises(KeyboardInterrupt):
                free(whole)
        (found,) = [built for built in survey(INDEXES) if built.path == folder]
        assert found.state == ("whole" if stop == 1 else "partial")
        free(found)
        assert [path.name for path in folder.iterdir()] == [".lock"]


def test_half_written_files_of_ended_processes_are_freed() -> None:
    results = Path("evals") / "cranfield-demo"
    results.mkdir(parents=True)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = platform.node()
    assert unfinished.beside(results / "b").name == f".b.{here}-{os.getpid()}.tmp"
    old, earlier, fresh, alive = (
        results / name
        for name in (
            f".report.md.{here}-{ended.pid}.tmp",
            f".report.md.{ended.pid}.tmp",
            f".a.{here}-{ended.pid}.tmp",
            f".b.{here}-{os.getpid()}.tmp",
        )
    )
    others = [results / name for name in ("report.md", "x.tmp", f"b.{ended.pid}.tmp", f".b.elsewhere-{ended.pid}.tmp")]
    for path in (old, earlier, fresh, alive, *others):
        path.write_text("half")
        if path != fresh:
            os.utime(path, (1, 1))
    assert main(["clean"]) == 0
    assert old.exists()
    assert main(["clean", "--partial", "--yes"]) == 0
    assert not old.exists()
    assert not earlier.exists()
    assert all(path.exists() for path in (fresh, alive, *others))


def test_patterns_choose_by_name_and_one_that_matches_nothing_is_told() -> None:
    for name in ("scifact/demo/dense", "scifact/demo/sparse_64", "cranfield/demo/dense"):
        build(INDEXES / name, {"v": b"1"})
    begin(INDEXES / "cranfield" / "demo" / "embeddings")
    found = survey(INDEXES)

    def chosen(*patterns: str, states: tuple[str, ...] = ()) -> list[str]:
        return [built.name for built in choose(found, states, patterns)]

    assert chosen("scifact") == chosen("scifact/demo/") == ["scifact/demo/dense", "scifact/demo/sparse_64"]
    assert chosen("*/dense") == ["cranfield/demo/dense", "scifact/demo/dense"]
    assert chosen("cranfield", states=("partial",)) == ["cranfield/demo/embeddings"]
    assert chosen("cranfield") == ["cranfield/demo/dense", "cranfield/demo/embeddings"]
    assert chosen(states=("partial",)) == ["cranfield/demo/embeddings"]
    assert chosen() == []
    with pytest.raises(UnknownName, match="nothing built matches 'scifcat'; did you mean scifact"):
        chosen("scifcat")


def test_no_folder_is_nothing_to_free(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clean", "--yes"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "freed 0 B of 0 B"
