"""Goals of the benches: what meets them, and that each names figures that are made."""

from __future__ import annotations

import json
from importlib import import_module

import pytest

from evals.bench import __main__ as bench
from evals.bench.goals import Goal, about, at_least, at_most, exactly, held
from rarityir.types import RarityError


@pytest.mark.parametrize(
    ("goal", "met", "missed", "words"),
    [
        (at_least(1.5), [1.5, 9.0], [1.4999, float("nan"), "2"], "at least 1.5"),
        (at_most(1.1), [1.1, -3.0], [1.1001, float("nan")], "at most 1.1"),
        (about(2, 0.25), [1.5, 2.5], [1.49, 2.51], "at least 1.5, at most 2.5"),
        (exactly(1.0), [1.0, 1], [0.9999], "1.0"),
        (exactly("yes"), ["yes"], ["no", 1.0], "yes"),
    ],
)
def test_a_goal_is_met_within_its_bounds(goal: Goal, met: list, missed: list, words: str) -> None:
    assert all(map(goal.met, met))
    assert not any(map(goal.met, missed))
    assert str(goal) == words


def test_a_pattern_is_the_whole_name() -> None:
    figures = {"a: faster": 2.0, "b: faster": 0.5, "b: faster, lowest": 0.1}
    assert {name: kept for name, (_, kept) in held(figures, {".*: faster": at_least(1)}).items()} == {
        "a: faster": True,
        "b: faster": False,
    }


def test_every_goal_is_of_a_figure_that_was_made() -> None:
    results = json.loads((bench.FOLDER / "results.json").read_text())
    patterns = 0
    for area in sorted({*bench.AREAS, *bench.LONG} & results.keys()):
        for pattern in getattr(import_module(f"evals.bench.{area}"), "GOALS", {}):
            assert held(results[area], {pattern: at_least(0)}), f"{area}: no figure is called {pattern}"
            patterns += 1
    assert patterns > 10


def test_a_missed_goal_is_said_and_is_the_status(monkeypatch, tmp_path, capsys) -> None:
    area = type("area", (), {"bench": staticmethod(lambda: {"ratio": 0.5, "s": 3.0}), "GOALS": {"ratio": at_least(1)}})
    monkeypatch.setattr(bench, "import_module", lambda name: area)
    monkeypatch.setattr(bench, "FOLDER", tmp_path)
    monkeypatch.setattr("sys.argv", ["bench", "apply"])
    with pytest.raises(SystemExit, match=r"^1 missed:\napply, ratio: 0\.5, at least 1 was the goal$"):
        bench.main()
    assert "ratio" in capsys.readouterr().out
    assert "| ratio | 0.5 (at least 1: missed) |\n| s | 3 |" in (tmp_path / "RESULTS.md").read_text()
    assert json.loads((tmp_path / "results.json").read_text())["apply"]["ratio"] == 0.5


def test_what_was_not_measured_is_missed_and_its_last_figures_stay(monkeypatch, tmp_path, capsys) -> None:
    def bench_() -> dict[str, float]:
        raise RarityError("no topics here")

    areas = {
        "apply": type("area", (), {"bench": staticmethod(bench_), "GOALS": {"ratio": at_least(1)}}),
        "bm25": type("area", (), {"bench": staticmethod(lambda: {"s": 3.0}), "GOALS": {".* ratio": at_least(1)}}),
    }
    monkeypatch.setattr(bench, "import_module", lambda name: areas[name.rpartition(".")[2]])
    monkeypatch.setattr(bench, "FOLDER", tmp_path)
    monkeypatch.setattr("sys.argv", ["bench", *areas])
    (tmp_path / "results.json").write_text('{"apply": {"ratio": 2}}')
    with pytest.raises(SystemExit) as caught:
        bench.main()
    assert str(caught.value).splitlines() == [
        "2 missed:", "apply: not run, no topics here", "bm25: no figure .* ratio, which has a goal",
    ]  # fmt: skip
    assert json.loads((tmp_path / "results.json").read_text())["apply"] == {"ratio": 2}
