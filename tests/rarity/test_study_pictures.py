"""Pictures of a study: of its own numbers."""

from __future__ import annotations

import json
import re

import pytest
from tiny import STORIES, write_beir

from rarityir.cli import main
from rarityir.rarity import pictures as of
from rarityir.rarity.rows import rows
from rarityir.rarity.sample import Sample
from rarityir.rarity.stats import TokenStats
from rarityir.rarity.study import Asked, Study, study

KINDS, NAMES = (".svg", ".png"), ("curve", "component-bands", "scatter", "scatter-repaired")


@pytest.fixture(scope="module")
def tiny_study(tmp_path_factory) -> Study:
    stats = TokenStats.from_dataset(str(write_beir(tmp_path_factory.mktemp("beir"))), str(STORIES), workers=1)
    sample = Sample.of(str(STORIES), stats, rows(str(STORIES), "input"))
    return study("tiny", sample, Asked(("log_idf",), folds=3, permutations=9, bands=4, replicates=50, repair="balanced"))


def test_a_studys_pictures_have_its_numbers(tiny_study, tmp_path):
    curve, bands, scatter, repaired = of.parts(tiny_study)
    target = tiny_study.result.targets[0]
    assert curve.types.tolist() == [target.curve.type[k - 1] for k in curve.components]
    assert curve.components[-1] == len(target.curve.components)
    assert curve.ridge[0] == tuple(target.fits["ridge"].r2.type)
    assert curve.ridge[1] == tuple(target.fits["ridge"].r2.occurrence)
    training = (tiny_study.result.rows - tiny_study.result.test_rows) * 2 / 3
    assert curve.rows == round(training)
    assert (curve.null_low <= curve.null_high).all()
    assert curve.null_high[-1] < 0.5
    assert (curve.null_high - curve.null_low > 1e-6).all(), "permuted targets differ from each other"
    assert bands.types.tolist() == list(target.bands.type)
    assert bands.edges.tolist() == [0, *target.bands.last.tolist()]
    used = tiny_study.result.folds >= 0
    assert scatter.predicted.tolist() == tiny_study.result.predicted[used, 0].tolist()
    assert scatter.actual.tolist() == tiny_study.sample.stats.target("log_idf")[tiny_study.sample.types[used]].tolist()
    assert repaired.predicted.tolist() == tiny_study.result.repaired.predicted[used, 0].tolist()
    files = of.write(tiny_study, tmp_path)
    assert {path.name for path in files} == {
        *(f"{name}{kind}" for name in NAMES for kind in KINDS), "probe.html",
    }  # fmt: skip
    layers, grid = of.layers([tiny_study, tiny_study]), of.grid([tiny_study])
    assert layers.control.tolist() == [tiny_study.result.targets[1].fits["ridge"].r2.type.value] * 2
    pair = tiny_study.result.targets[0].fits["ridge"].r2
    assert [v[0] for v in (layers.low, layers.high, layers.least, layers.most)] == [*pair.type[1:], *pair.occurrence[1:]]
    assert grid.types[0].tolist() == [t.fits["ridge"].r2.type.value for t in tiny_study.result.targets]


def test_the_command_probes_each_matrix_and_draws_them(tmp_path, capsys, beir, stories):
    argv = ["--model", stories, "--dataset", str(beir), "--matrices", "input,output", "--targets", "log_idf", "--folds", "2"]
    assert main(["rarity", "layers", *argv, "--out", str(tmp_path / "o"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [one["matrix"] for one in facts["matrices"]] == ["input", "output"]
    assert {path.name for path in (tmp_path / "o").iterdir()} == {
        *(f"{name}{kind}" for name in ("layers", "models") for kind in KINDS), "layers.html", "layers.json",
    }  # fmt: skip
    html = (tmp_path / "o" / "layers.html").read_text()
    for one in facts["matrices"]:
        pair = one["r2"]["log_idf"]["ridge"]
        shown = f"{pair['type']['value']:.3f}".replace("-", "−")
        assert re.search(rf">{one['matrix']}</th>[^/]*>{shown}<", html)
