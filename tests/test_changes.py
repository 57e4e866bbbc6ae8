"""Two experiments side by side: what is tested, on which topics, and what is said where nothing can be."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from scipy.stats import ttest_rel

from rarityir.changes import compare
from rarityir.cli import main
from rarityir.types import BadInput, RarityError, UnknownName

TOPICS = [f"q{i}" for i in range(8)]
A = {
    "bm25": {"AP": [0.5, 0.25, 0.125, 1.0, 0.0, 0.75, 0.5, 0.5], "RR@10": [1.0, 0.5, 0.25, 1.0, 0.0, 1.0, 0.5, 0.5]},
    "dense": {"AP": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], "RR@10": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]},
    "dense+edge:2": {"AP": [0.1] * 8, "RR@10": [0.1] * 8},
}
B = {
    "bm25": A["bm25"],
    "dense": {"AP": [0.05, 0.1, 0.2, 0.2, 0.25, 0.3, 0.35, 0.4], "RR@10": [0.2, 0.1, 0.3, 0.5, 0.4, 0.6, 0.7, 0.9]},
    "sparse:8": {"AP": [0.3] * 8, "RR@10": [0.3] * 8},
}
Values = Mapping[str, Mapping[str, Sequence[float]]]


def write(folder: Path, values: Values, *, ids: Sequence[str] = TOPICS, stored: bool = True, **heads: object) -> Path:
    """Writes an experiment's report.json, and its topics.json, as `rarityir eval` does."""
    folder.mkdir()
    measures = list(next(iter(values.values())))
    systems = [
        {"name": name, "measures": {m: sum(v) / len(v) for m, v in by_measure.items()}, "dim": None, "bytes_per_doc": 4.0}
        for name, by_measure in values.items()
    ]
    report = {"dataset": "tiny/test", "encoder": "demo", "baseline": "bm25", "measures": measures, "topics": len(ids)}
    report |= {"cutoff": 10, "seed": 0, "alpha": 0.05, "notes": [], "systems": systems, **heads}
    (folder / "report.json").write_text(json.dumps(report))
    if stored:
        (folder / "topics.json").write_text(json.dumps({"query_ids": list(ids), "systems": values}))
    return folder


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return write(tmp_path / "a", A), write(tmp_path / "b", B)


def exact(differences: Sequence[float]) -> float:
    """Fisher's randomisation test by trying every pattern of signs."""
    patterns = list(itertools.product((-1, 1), repeat=len(differences)))
    sums = [abs(sum(s * d for s, d in zip(signs, differences, strict=True))) for signs in patterns]
    return sum(total >= abs(sum(differences)) - 1e-9 for total in sums) / len(patterns)


def test_systems_of_both_are_tested_over_topics_and_the_others_are_named(pair: tuple[Path, Path]) -> None:
    found = compare(*pair)
    assert (found.only_a, found.only_b, found.topics) == (["dense+edge:2"], ["sparse:8"], 8)
    assert list(found.values) == ["AP", "RR@10"]
    still, moved = found.values["AP"]
    assert (still.system, still.a, still.b, still.difference) == ("bm25", still.b, still.a, 0.0)
    assert still.test is not None
    assert (still.test.fisher, still.test.mark, still.test.better, still.test.worse) == (1.0, "", 0, 0)
    before, after = A["dense"]["AP"], B["dense"]["AP"]
    p = exact([b - a for a, b in zip(before, after, strict=True)])
    assert p == 2 / 256  # every topic is worse
    assert moved.test is not None
    assert moved.test.fisher == pytest.approx(p)
    assert moved.test.fisher_holm == pytest.approx(2 * p)  # the smaller of two systems'
    assert moved.test.t == pytest.approx(ttest_rel(after, before).pvalue, rel=1e-6)
    assert (moved.test.mark, moved.test.better, moved.test.worse) == ("-", 0, 8)
    assert moved.difference == pytest.approx(sum(after) / 8 - sum(before) / 8)
    assert (moved.a, moved.b) == (pytest.approx(0.45), pytest.approx(0.23125))
    uncertain = found.values["RR@10"][1].test
    assert uncertain is not None
    assert (uncertain.mark, uncertain.better, uncertain.worse) == ("", 3, 2)
    assert found.losses == ["dense by AP"]
    assert compare(pair[1], pair[0]).losses == []
    assert compare(pair[1], pair[0]).values["AP"][1].test.mark == "+"  # type: ignore[union-attr]


def test_only_topics_of_both_are_tested_whatever_their_order(tmp_path: Path) -> None:
    a = write(tmp_path / "a", {"dense": {"AP": [0.1, 0.2, 0.3, 0.4]}}, ids=["q1", "q2", "q3", "q4"])
    b = write(tmp_path / "b", {"dense": {"AP": [0.9, 0.25, 0.05, 0.3]}}, ids=["q9", "q2", "q1", "q3"])
    found = compare(a, b)
    (change,) = found.values["AP"]
    assert found.topics == 3
    assert change.test is not None
    assert change.test.difference == pytest.approx((0.05 - 0.1 + 0.25 - 0.2 + 0.0) / 3, abs=1e-6)
    assert (change.test.better, change.test.worse) == (1, 1)
    assert change.difference == pytest.approx(0.375 - 0.25)
    c = write(tmp_path / "c", {"dense": {"AP": [0.1, 0.2, 0.3, 0.4]}}, ids=["x1", "x2", "x3", "x4"])
    none = compare(a, c)
    assert none.values["AP"][0].test is None
    assert none.notes[0] == "A and B have no topic in common, so nothing is tested."


def test_rounding_of_stored_scores_is_no_difference(tmp_path: Path) -> None:
    thirds = [1 / 3, 2 / 3, 1 / 7] * 5
    ids = [f"q{i}" for i in range(15)]
    a = write(tmp_path / "a", {"dense": {"AP": thirds}}, ids=ids)
    b = write(tmp_path / "b", {"dense": {"AP": [round(v, 6) for v in thirds]}}, ids=ids)
    test = compare(a, b).values["AP"][0].test
    assert test is not None
    assert (test.difference, test.fisher, test.t, test.better, test.worse) == (0.0, 1.0, 1.0, 0, 0)


def test_where_topics_are_not_known_nothing_is_tested_and_it_is_said(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    bare = write(tmp_path / "bare", B, stored=False)
    found = compare(pair[0], bare)
    assert [change.test for change in found.values["AP"]] == [None, None]
    assert found.values["AP"][1].difference == pytest.approx(0.23125 - 0.45)
    assert any("bare keeps no scores by topic of bm25, dense, and no runs" in note for note in found.notes)
    assert (found.losses, found.untested) == ([], ["bm25", "dense"])
    other = {name: {m: [x / 2 for x in v] for m, v in values.items()} for name, values in B.items()}
    (pair[1] / "topics.json").write_text(json.dumps({"query_ids": TOPICS, "systems": other}))
    assert compare(*pair).untested == ["bm25", "dense"]  # scores of another evaluation than the report's
    few = {name: {m: [sum(v) / 8] * 4 for m, v in values.items()} for name, values in B.items()}  # the means, of fewer topics
    (pair[1] / "topics.json").write_text(json.dumps({"query_ids": TOPICS[:4], "systems": few}))
    assert compare(*pair).untested == ["bm25", "dense"]
    for text in ("{", "[]", "[" * 100_000, '{"query_ids": ["q1"], "systems": {"dense": {"AP": [0.5, 0.5]}}}', '{"query_ids": 3}'):
        (pair[1] / "topics.json").write_text(text)
        assert compare(*pair).untested == ["bm25", "dense"]


def test_two_collections_are_not_tested(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    found = compare(pair[0], write(tmp_path / "c", B, dataset="other/test"))
    assert found.untested == ["bm25", "dense"]
    assert found.notes[0].startswith("A is of tiny/test, B of other/test")
    pooled = write(tmp_path / "p", B, dataset="tiny/test@pool=bm25:100", subset={"tag": "pool=bm25:100"})
    assert compare(pair[0], pooled).untested == []  # fewer documents, the same topics


def test_settings_and_costs_that_differ_are_told(pair: tuple[Path, Path]) -> None:
    a, b = pair
    assert any("has no provenance.json" in note for note in compare(a, b).notes)
    made = {"experiment": {"encoder": "demo", "seed": 0, "out": "a"}, "versions": {"torch": "2.6"}}
    (a / "provenance.json").write_text(json.dumps(made))
    made |= {"experiment": {"encoder": "gpt2", "seed": 0, "out": "b"}, "versions": {"torch": "2.7", "ray": "3"}}
    (b / "provenance.json").write_text(json.dumps(made))
    report = json.loads((b / "report.json").read_text())
    report["systems"][1]["bytes_per_doc"] = 2.0
    (b / "report.json").write_text(json.dumps(report))
    found = compare(a, b)
    assert set(found.settings) == {
        ("experiment.encoder", "demo", "gpt2"),
        ("versions.torch", "2.6", "2.7"),
        ("versions.ray", None, "3"),
    }
    assert not any("provenance" in note for note in found.notes)
    assert found.costs["dense"]["bytes_per_doc"] == (4.0, 2.0)
    text = str(found)
    assert "4 → 2" in text
    assert "versions.torch" in text
    assert "Only in A: dense+edge:2." in text


def test_what_cannot_be_compared_is_one_line(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    with pytest.raises(BadInput, match="no report at"):
        compare(pair[0], tmp_path / "nowhere")
    with pytest.raises(UnknownName, match="unknown measure of both reports 'APP'"):
        compare(*pair, ["APP"])
    with pytest.raises(RarityError, match="share no system; the first has bm25, dense, dense\\+edge:2, the second lm"):
        compare(pair[0], write(tmp_path / "lm", {"lm": {"AP": [1.0]}}, ids=["q0"]))
    with pytest.raises(RarityError, match="share no measure"):
        compare(pair[0], write(tmp_path / "p", {"dense": {"P@1": [1.0]}}, ids=["q0"]))
    whole = json.loads((pair[1] / "report.json").read_text())
    for key, value in (("systems", 3), ("topics", None), ("measures", ["P@7"]), ("dataset", 4), ("systems", [{"name": "x"}])):
        (pair[1] / "report.json").write_text(json.dumps({**whole, key: value}))
        with pytest.raises(BadInput, match=r"report\.json"):
            compare(*pair)
    huge = json.dumps({**whole, "systems": [{"name": "dense", "measures": {"AP": 10**400, "RR@10": 1}}]})
    for text in ("\x00", "[" * 100_000, '{"systems": [{"name": "\\ud800"}]}', huge):
        (pair[1] / "report.json").write_text(text)
        with pytest.raises(BadInput, match="is not a report; remove it and make it again"):
            compare(*pair)


def test_the_command_prints_each_form_and_fails_on_loss_when_asked(
    pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = map(str, pair)
    assert main(["compare", a, f"{b}/report.json"]) == 0
    text, err = capsys.readouterr()
    assert err == ""
    (line,) = [line for line in text.splitlines() if line.startswith("dense") and "−0.2187" in line]
    assert line.split() == ["dense", "0.4500", "0.2313", "−0.2187−", "0.0156", "0", "8"]
    (still,) = [other for other in text.splitlines() if other.startswith("bm25") and "0.4531" in other]
    assert still.index("+0.0000") == line.index("−0.2187")  # digits stand below digits, marked or not
    assert main(["compare", a, b, "--measures", "AP", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["measures"] == ["AP"]
    assert found["systems"][1]["measures"]["AP"]["test"]["fisher_holm"] == 4 / 256
    assert found["losses"] == ["dense by AP"]
    assert main(["compare", a, b, "--markdown"]) == 0
    assert "| `dense` | 0.4500 | 0.2313 | −0.2187− | 0.0156 | 0 | 8 |" in capsys.readouterr().out
    assert main(["compare", a, b, "--fail-on-loss"]) == 1
    out, err = capsys.readouterr()
    assert err == f"rarityir: {b} is significantly worse than {a}: dense by AP\n"
    assert out == text.replace("/report.json", "")
    assert main(["compare", b, a, "--fail-on-loss"]) == 0
    assert main(["compare", a, b, "--measures", "RR@10", "--fail-on-loss"]) == 0
    (pair[1] / "topics.json").unlink()
    capsys.readouterr()
    assert main(["compare", a, b, "--measures", "RR@10", "--fail-on-loss"]) == 1
    assert "cannot be told" in capsys.readouterr().err
    assert main(["compare", a, b, "--json", "--markdown"]) == 2
    assert main(["compare", a]) == 2


def test_of_one_and_the_same_it_is_one_line_that_nothing_changed(
    tmp_path: Path, pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    a = str(pair[0])
    (pair[0] / "provenance.json").write_text('{"versions": {"python": "3"}}')
    assert main(["compare", a, a]) == 0
    said = "nothing changed: 3 systems by AP, RR@10 on 8 topics, their costs and settings are the same."
    assert capsys.readouterr().out == f"{a}: {said}\n"
    other = Path(shutil.copytree(a, tmp_path / "copy"))
    assert main(["compare", a, str(other), "--measures", "AP"]) == 0
    assert capsys.readouterr().out == f"{a} and {other}: {said.replace(', RR@10', '')}\n"
    assert main(["compare", a, a, "--markdown"]) == 0
    assert capsys.readouterr().out == f"A is `{a}`, B is `{a}`.\n\n{said}\n"
    assert main(["compare", a, a, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["systems"][2]["measures"]["AP"]["difference"] == 0
    # Whatever differs has its table: a system, a topic, a cost, a setting; and so has what could not be tested.
    ones = {name: dict(found) for name, found in A.items()}
    ones["bm25"] = {"AP": [0.25, 0.5, *A["bm25"]["AP"][2:]], "RR@10": A["bm25"]["RR@10"]}  # the same mean
    changed = [
        write(tmp_path / "topic", ones),
        write(tmp_path / "fewer", {"bm25": A["bm25"]}),
        write(tmp_path / "un", A, stored=False),
    ]
    costly = json.loads((other / "report.json").read_text())
    costly["systems"][0]["bytes_per_doc"] = 5.0
    (other / "report.json").write_text(json.dumps(costly))
    later = Path(shutil.copytree(a, tmp_path / "later"))
    (later / "provenance.json").write_text('{"versions": {"python": "4"}}')
    part = write(tmp_path / "part", {name: {m: v[:6] for m, v in found.items()} for name, found in A.items()}, ids=TOPICS[:6])
    based = write(tmp_path / "based", A, baseline="dense")
    for side in (part, based):  # a report made again, of what one experiment has made
        shutil.copy(f"{a}/provenance.json", side)
    for side in (*changed, part, based, other, later):
        for ends in ((a, str(side)), (str(side), a)):
            assert main(["compare", *ends]) == 0
            assert "nothing changed" not in capsys.readouterr().out


def test_hostile_names_do_not_reach_the_terminal(tmp_path: Path) -> None:
    name = "dense\x1b[31m\u202e|\n"
    a, b = (write(tmp_path / side, {name: {"AP": [ap]}}, ids=["q0"], notes=["\x1b[2J"]) for side, ap in (("a", 0.5), ("b", 1)))
    for text in (str(compare(a, b)), compare(a, b).markdown(), str(compare(a, a)), compare(a, a).markdown()):
        assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert "\\|" in compare(a, b).markdown()


@pytest.mark.usefixtures("elsewhere")
def test_scores_are_made_from_runs_where_they_are_not_kept(beir: Path, stories: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["eval", "--dataset", str(beir), "--encoder", stories, "--systems", "dense", "--measures", "AP,nDCG@10", "--out", "a"]
    assert main(argv) == 0
    shutil.copytree("a", "b")
    with_topics = compare(Path("a"), Path("b"))
    Path("b/topics.json").unlink()
    capsys.readouterr()
    from_runs = compare(Path("a"), Path("b"))
    assert from_runs.values == with_topics.values
    assert from_runs.untested == []
    # The runs were changed since: they no longer are what the report tells of.
    (run,) = Path("b/runs").glob("*.trec")
    run.write_text("q1 Q0 d3 1 2 dense\nq2 Q0 d3 1 2 dense\n")
    found = compare(Path("a"), Path("b"))
    assert found.untested == ["dense"]
    assert any("are not those of its report" in note for note in found.notes)
    for side in run.parent.glob("*.json"):
        side.unlink()
    assert any("give --dataset" in note for note in compare(Path("a"), Path("b")).notes)
