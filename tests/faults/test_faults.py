"""A small dose of every fault; `python -m tests.faults` gives the long one, whose figures are in docs/reliability.md."""

from __future__ import annotations

import json
import random
import shutil
import signal
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
import seeds
from faults import damage, disk, downloads, hub, kills, soak, stops, table, together
from faults.harness import MODEL, launched
from faults.stages import STAGES, Base
from faults.table import Row

from rarityir import store

SEED = seeds.BASE  # python -m tests.faults --seed draws far more


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Base]:
    home = tmp_path_factory.mktemp("faults")
    with launched(home / "launcher") as launcher:
        yield Base(launcher, home / "base")


@pytest.fixture
def rng() -> random.Random:
    print(f"seed {SEED}")
    return random.Random(SEED)


def kept(row: Row, least: int = 1) -> None:
    assert row.failures == []
    assert row.injected >= least


@pytest.mark.parametrize(("name", "count"), [("encode", 3), ("index sparse", 2), ("filter fit", 3), ("search", 1)])
def test_a_kill_at_a_boundary_is_gone_on_from_to_the_same_bytes(
    name: str, count: int, base: Base, rng: random.Random, tmp_path: Path
) -> None:
    base.result(STAGES[name])
    row = Row(name, "", "")
    for at in kills.moments(base.boundaries[name], count, rng):
        kills.killed(base, STAGES[name], tmp_path / "trial", row, [at], 0.0)
    kept(row, count)


def test_the_harness_sees_what_a_kill_loses(base: Base, tmp_path: Path) -> None:
    folder = base.fresh(STAGES["encode"], tmp_path / "trial")
    assert kills.afterwards(base, STAGES["encode"], folder) == ""
    block = next(folder.glob("indexes/*/*/embeddings/000001.npy"))
    whole = block.read_bytes()
    block.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "other bytes" in kills.afterwards(base, STAGES["encode"], folder)
    block.write_bytes(whole)
    (block.parent / ".000001.npy.7.tmp").touch()
    assert "left behind" in kills.afterwards(base, STAGES["encode"], folder)
    (folder / "notes.txt").write_text("")
    assert "own file" in kills.afterwards(base, STAGES["encode"], folder)


@pytest.mark.parametrize(
    ("what", "how"),
    [
        ("embeddings", damage.flip),
        ("a dense index", damage.cut),
        ("a saved filter", damage.flip),
        ("runs' provenance", damage.flip),
        ("manifests", damage.flip),
    ],
)
def test_a_damaged_file_is_never_another_result(what: str, how, base: Base, rng: random.Random, tmp_path: Path) -> None:
    row = Row(what, "", "")
    found = next(kept for kept in damage.KEPT if kept.what == what)
    damage.damaged(base, found, tmp_path / "trial", row, how, rng)
    kept(row)


def test_where_checksums_are_not_compared_the_harness_sees_another_result(base: Base, tmp_path: Path, monkeypatch) -> None:
    launch = base.launch
    trusting = lambda *args, **given: launch(*args, **{**given, "env": {"RARITYIR_TRUST": "1"}})  # noqa: E731
    monkeypatch.setattr(base, "launch", trusting)
    row = Row("", "", "")
    found = next(kept for kept in damage.KEPT if kept.what == "a dense index")

    def turn(path: Path, rng: random.Random) -> str:
        vectors = path.with_name("vectors.npy")
        held = bytearray(vectors.read_bytes())
        for at in range(131, len(held), 4):  # signs
            held[at] ^= 128
        vectors.write_bytes(held)
        return "signs"

    damage.damaged(base, found, tmp_path / "trial", row, turn, random.Random(1))
    assert row.lost == 1
    assert "nothing says so" in row.failures[0]


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "encode"), (signal.SIGTERM, "index sparse")])
def test_a_stopped_command_says_so_in_a_line_and_goes_on(
    number: int, name: str, base: Base, rng: random.Random, tmp_path: Path
) -> None:
    base.result(STAGES[name])
    row = Row(name, "", "")
    at = rng.randint(1, len(base.boundaries[name]) // 2)
    stops.stopped(base, STAGES[name], tmp_path / "trial", row, number, at, 0.0)
    kept(row)


def test_a_reader_that_goes_away_is_no_traceback(base: Base, rng: random.Random, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kept(stops.pipes(base, tmp_path / "trial", 1, rng))


def test_a_disk_that_is_full_or_fixed_is_one_line_and_room_is_enough(base: Base, rng: random.Random, tmp_path: Path) -> None:
    try:
        kept(disk.full(base, STAGES["index sparse"], tmp_path / "trial", 1, rng))
    except OSError as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    kept(disk.full(base, STAGES["modelmap texts"], tmp_path / "trial", 2, rng), 2)  # a page or two is all that it writes
    kept(disk.read_only(base, [STAGES["filter fit"]], tmp_path / "trial"))


def test_a_file_that_may_not_grow_and_a_folder_of_others_are_one_line(base: Base, rng: random.Random, tmp_path: Path) -> None:
    kept(disk.limited(base, [STAGES["index dense"]], tmp_path / "trial", rng))
    disk.not_ours(base, [STAGES["filter fit"]], tmp_path / "trial")


def test_a_call_that_fails_is_one_line_and_later_goes_on(base: Base, rng: random.Random, tmp_path: Path) -> None:
    kept(disk.refused(base, [STAGES["filter fit"]], tmp_path / "trial", 2, rng), 2)


def test_damaged_parquet_of_a_cluster_is_one_line_or_the_same(rng: random.Random, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    for row in damage.shards(tmp_path / "trial", 8, rng):
        kept(row, 4)


def test_two_writers_come_to_one_result(base: Base, tmp_path: Path) -> None:
    kept(together.two_writers(base, [STAGES["encode"]], tmp_path / "trial"))


def test_a_clock_that_jumps_changes_nothing(base: Base, rng: random.Random, tmp_path: Path) -> None:
    kept(together.clocks(base, [STAGES["index dense"]], tmp_path / "trial", rng))


@pytest.mark.parametrize("texts", [3, 0])
def test_a_batch_that_does_not_fit_is_halved_and_a_text_that_does_not_is_one_line(texts: int, base: Base, tmp_path: Path) -> None:
    folder = base.fresh(STAGES["encode"], tmp_path / "trial")
    done = base.launch(base.argv(STAGES["encode"], folder), folder, faults={"frozen": True, "memory": texts})
    if texts:
        assert (done.status, "were halved" in done.err) == (0, True)
        assert together.close(folder, base.result(STAGES["encode"])) == ""
    else:
        assert done.told
        assert "does not fit in memory" in done.err


def test_a_model_that_is_not_whole_is_one_line(base: Base, rng: random.Random, tmp_path: Path) -> None:
    kept(together.models(base, tmp_path / "trial", 1, rng), 2)


def test_a_hub_that_breaks_off_is_one_line_and_never_half_a_model(
    base: Base, rng: random.Random, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(hub, "FAULTS", [fault for fault in hub.FAULTS if fault[0].startswith("breaks off half")])
    for row in hub.rows(base, tmp_path / "trial", 1, rng):
        kept(row)


def test_half_a_collection_is_one_line_and_is_downloaded_again(
    base: Base, rng: random.Random, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(downloads, "FAULTS", [fault for fault in downloads.FAULTS if fault[0].startswith("sends half")])
    for row in downloads.rows(base, tmp_path / "trial", 1, rng):
        kept(row)


def test_experiments_in_one_process_leave_nothing_open(tmp_path: Path) -> None:
    found = soak.measured(tmp_path, 6)
    assert len(found) == 6
    assert max(one["files"] for one in found[3:]) <= found[3]["files"] + 2
    assert max(one["threads"] for one in found[3:]) <= found[3]["threads"] + 2


def test_a_soak_that_grows_is_lost() -> None:
    flat = [{"kib": 500_000 + number % 3, "peak": 600_000, "files": 9, "threads": 4} for number in range(90)]
    assert soak.held(flat).lost == soak.needed(flat).lost == 0
    assert soak.held([{**one, "kib": one["kib"] + 100 * number} for number, one in enumerate(flat)]).lost == 1
    assert soak.needed([{**one, "peak": 620_000 if number == 80 else 600_000} for number, one in enumerate(flat)]).lost == 1
    assert soak.needed([{**one, "files": 9 + number // 10} for number, one in enumerate(flat)]).lost == 1
    assert soak.needed([{**one, "threads": 4 + number // 10} for number, one in enumerate(flat)]).lost == 1


def test_a_fault_that_was_never_put_in_stands_in_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "FOLDER", tmp_path)
    idle, done = Row("idle", "promised", "command"), Row("done", "promised", "command", injected=2)
    table.keep("disk", [idle, done])
    assert [row["fault"] for row in json.loads((tmp_path / "disk.json").read_text())] == ["done"]
    table.keep("disk", [Row("done", "promised", "command")])  # what was shown before stays
    assert json.loads((tmp_path / "disk.json").read_text())[0]["injected"] == 2
    store.write_json(tmp_path / "disk.json", [asdict(idle), asdict(done)])
    assert [line for line in table.lines("disk") if line.endswith("| 0 |")] == ["| done | promised | 2 | 0 |"]
    store.write_json(tmp_path / "disk.json", [asdict(idle)])
    assert list(table.lines("disk")) == []


def test_a_run_that_was_changed_is_said_in_the_report_itself(base: Base, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(base.result(STAGES["eval"]), tmp_path / "trial"))
    run = folder / "report" / "runs" / "dense.trec"
    run.write_text(run.read_text().replace(" 1 ", " 1  ", 1))
    done = base.launch(["-q", "report", "report", "--json"], folder)
    assert done.status == 0
    assert json.loads(done.out)["notes"][-1] == "dense.trec was changed after it was written."
    assert MODEL.name in done.out
