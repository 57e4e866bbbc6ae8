"""A sub-collection's figures beside the whole's, and how far they order systems alike."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from rarityir.cli import main
from rarityir.report import Report, Row, bias
from rarityir.report.bias import Order
from rarityir.types import BadInput, RarityError

WHOLE = {"bm25": (0.6, 0.9), "dense": (0.2, 0.5), "dense+edge:2": (0.3, 0.4), "rrf(bm25,dense)": (0.5, 0.8)}
HERE = {
    "bm25": (0.7, 0.9),
    "dense": (0.45, 0.6),
    "dense+edge:2": (0.4, 0.5),
    "sparse:64": (0.1, 0.1),
    "rrf(bm25,dense)": (0.8, 0.95),
}
NOTE = "Judged sub-collection pool=bm25:20: 5 of 9 documents, 3 of them judged. Figures do not compare."


def report(figures, name="tiny/test", **more) -> Report:
    rows = [Row(system, {"nDCG@10": a, "R@100": b}) for system, (a, b) in figures.items()]
    return Report(name, "demo", "dense", ("nDCG@10", "R@100"), 7, 1000, 0, 0.05, rows, **more)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    subset = {"tag": "pool=bm25:20", "documents": 5, "of": 9, "judged": 3}
    notes = ["R@1000 counts only 10.", NOTE]
    made = report(HERE, "tiny/test@pool=bm25:20", notes=notes, subset=subset), report(WHOLE)
    for name, found in zip(("here", "whole"), made, strict=True):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(found.json())
    return tmp_path / "here", tmp_path / "whole"


def change(folder: Path, **values) -> None:
    path = folder / "report.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_tau_is_scipys_with_ties_and_without():
    rng = np.random.default_rng(3)
    for size in (2, 3, 8, 30):
        for grades in (3, 10**6):
            one, two = (rng.integers(0, grades, size).tolist() for _ in range(2))
            found = Order.of(
                dict(zip(map(str, range(size)), one, strict=True)), dict(zip(map(str, range(size)), two, strict=True))
            )
            expected = kendalltau(one, two).statistic
            assert found.tau == pytest.approx(expected, abs=1e-12) or (math.isnan(expected) and math.isnan(found.tau))
            assert found.pairs == size * (size - 1) // 2


def test_the_pairs_ordered_apart_are_named_and_a_tie_is_none():
    assert Order.of({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 3, "c": 2}) == Order(pytest.approx(1 / 3), 3, (("b", "c"),))
    assert Order.of({"a": 1, "b": 2, "c": 2}, {"a": 1, "b": 3, "c": 2}) == Order(pytest.approx(2 / math.sqrt(6)), 3, ())
    assert Order.of({"a": 1, "b": 2}, {"a": 2, "b": 1}).tau == -1


def test_figures_stand_beside_the_wholes_for_the_systems_both_have(folders):
    found = bias.compare(*folders)
    assert found.values["nDCG@10"] == {
        "bm25": (0.6, 0.7), "dense": (0.2, 0.45), "dense+edge:2": (0.3, 0.4), "rrf(bm25,dense)": (0.5, 0.8),
    }  # fmt: skip
    assert [*found.values] == ["nDCG@10", "R@100"]
    assert found.orders["nDCG@10"].swapped == (("bm25", "rrf(bm25,dense)"), ("dense", "dense+edge:2"))
    assert found.orders["nDCG@10"].tau == pytest.approx(2 / 6)
    assert found.orders["R@100"].tau == pytest.approx(4 / 6)
    assert [*bias.compare(*folders, ["R@100"]).values] == ["R@100"]


def test_every_form_says_what_is_compared_and_how_the_order_changed(folders, capsys):
    here, whole = map(str, folders)
    assert main(["report", here, "--against", whole]) == 0
    text = capsys.readouterr().out
    (line,) = [line for line in text.splitlines() if line.startswith("dense+edge:2")]
    assert line.split() == ["dense+edge:2", "0.3000", "0.4000", "+0.1000", "0.4000", "0.5000", "+0.1000"]
    apart = "tau 0.333, 2 of 6 pairs of systems in another order: bm25 and rrf(bm25,dense), dense and dense+edge:2."
    for form in ("text", "markdown"):
        assert main(["report", here, "--against", whole, "--form", form]) == 0
        text = capsys.readouterr().out
        assert "tiny/test@pool=bm25:20 (here) against tiny/test (whole), encoder demo, 7 topics." in text
        assert f"nDCG@10: Kendall's {apart}" in text
        assert NOTE in text
        assert "counts only" not in text
    assert "| `bm25` | 0.6000 | 0.7000 | +0.1000 | 0.9000 | 0.9000 | +0.0000 |" in text
    assert main(["report", here, "--against", whole, "--measures", "R@100", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["dataset"], found["against"], found["note"]) == ("tiny/test@pool=bm25:20", "tiny/test", NOTE)
    assert found["orders"]["R@100"] == {"tau": pytest.approx(2 / 3), "pairs": 6, "swapped": [["bm25", "rrf(bm25,dense)"]]}
    assert found["systems"][0] == {"name": "bm25", "measures": {"R@100": {"whole": 0.9, "here": 0.9}}}
    assert main(["report", whole, "--against", here]) == 0  # nothing is written, either way round
    assert sorted(path.name for folder in folders for path in folder.iterdir()) == ["report.json", "report.json"]
    assert main(["report", here, "--against", whole, "--form", "latex"]) == 2


def test_a_loss_has_a_minus_that_reads_as_one(folders):
    assert "−0.3000" in str(bias.compare(*reversed(folders)))


def test_a_tau_that_is_not_defined_is_null(folders):
    for folder in folders:
        change(folder, systems=[{"name": name, "measures": {"nDCG@10": 0.5, "R@100": 0.5}} for name in ("a", "b")])
    found = bias.compare(*folders)
    assert math.isnan(found.orders["R@100"].tau)
    assert json.loads(json.dumps(found.json(), allow_nan=False))["orders"]["R@100"]["tau"] is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"dataset": "other/test"}, "differ in collection"),
        ({"encoder": "st:x"}, "differ in encoder"),
        ({"topics": 8}, "differ in number of topics"),
        ({"measures": ["AP"]}, "do not both hold a measure"),
        ({"systems": []}, "share fewer than two systems"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(folders, values, words):
    change(folders[1], **values)
    with pytest.raises(RarityError, match=words):
        bias.compare(*folders)


def test_a_measure_that_one_lacks_and_a_folder_without_a_report_are_named(folders, tmp_path):
    with pytest.raises(RarityError, match="do not both hold RR@10; both hold: nDCG@10, R@100"):
        bias.compare(*folders, ["RR@10"])
    with pytest.raises(BadInput, match=r"holds no report\.json"):
        bias.compare(folders[0], tmp_path)
    (folders[1] / "report.json").write_text("[]")
    with pytest.raises(BadInput, match="is not a report"):
        bias.compare(*folders)


def test_only_a_label_of_the_report_itself_is_taken_off(folders):
    """A folder may be called a@b: two such collections are not one because their names begin alike."""
    change(folders[1], dataset="tiny/test@sample=3,seed=0")
    with pytest.raises(RarityError, match="differ in collection"):
        bias.compare(*folders)
    assert dataclasses.replace(bias.compare(folders[0], folders[0]), note="").orders["R@100"].tau == pytest.approx(1)
