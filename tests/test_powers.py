"""Powers of weights: the changes by hand, names of systems, and runs that are those of the systems themselves."""

from __future__ import annotations

import numpy as np
import pytest
import seeds
from tiny import write_beir

import rarityir as ri
from rarityir.informativeness import from_corpus
from rarityir.measures import evaluate
from rarityir.measures.significance import holm, randomisation
from rarityir.powers import measured, powers, weighed
from rarityir.report import informativeness as drawing
from rarityir.retrieval import Retriever
from rarityir.systems import System
from rarityir.types import RarityError

SEED = seeds.seed(__name__)


def test_changes_are_against_no_weights_at_all() -> None:
    rng = np.random.default_rng(SEED)
    base = rng.random(60)
    values = {2.0: base + rng.normal(0.1, 0.05, 60), 0.0: base, 0.5: base + rng.normal(0, 0.3, 60), 1.0: base}
    found = powers(values, seed=4)
    assert [row.gamma for row in found] == [0.0, 0.5, 1.0, 2.0]
    for row in found:
        assert row.mean == pytest.approx(values[row.gamma].mean())
        assert row.change == pytest.approx((values[row.gamma] - base).mean())
        assert row.low <= row.change + 1e-12
        assert row.high >= row.change - 1e-12
    raw = [randomisation(values[gamma] - base, seed=4) for gamma in (0.5, 1.0, 2.0)]
    assert [row.p for row in found] == [1.0, *raw]
    assert [row.p_holm for row in found] == [1.0, *holm(raw)]
    assert (found[0].low, found[0].high, found[2].low, found[2].high) == (0, 0, 0, 0)
    assert found[3].low > 0
    assert found[3].p_holm < 0.01
    spread = (values[2.0] - base).std() / np.sqrt(60)  # a bootstrap's interval is about the normal's
    assert found[3].high - found[3].low == pytest.approx(2 * 1.96 * spread, rel=0.25)
    assert found[1].json()["gamma"] == 0.5
    with pytest.raises(RarityError, match=r"^[^\n]*give 0 among them$"):
        powers({1.0: base})


def test_weights_are_put_into_the_names_of_systems() -> None:
    assert weighed("bm25-idf", "w/a", 0.5) == System.parse("bm25-idf:w/a,gamma=0.5")
    assert weighed("sparse:64", "w", 2.0) == System.parse("sparse:64,weights=w,gamma=2")
    assert weighed("sparse:64+edge:2", "w", 1.0) == System.parse("sparse:64,weights=w,gamma=1+edge:2")
    for system in ("dense", "bm25", "bm25-idf:uniform", "sparse", "sparse:64,weights=w", "sparse:64,gamma=2", "sparsest:3"):
        with pytest.raises(RarityError, match=r"^system [^\n]*that has none yet$"):
            weighed(system, "w", 1.0)


@pytest.mark.parametrize("system", ["bm25-idf", "sparse:64"])
def test_what_is_measured_are_the_systems_themselves(system: str, tmp_path, stories: str) -> None:
    retriever = Retriever(ri.load_dataset(str(write_beir(tmp_path / "tiny"))), ri.load_encoder(stories), tmp_path / "indexes")
    weights = from_corpus(retriever.dataset, retriever.encoder).save(tmp_path / "w")
    found = measured(retriever, system, weights, [0.0, 2.0], "nDCG@10")
    plain = {"bm25-idf": "bm25-idf:uniform,level=L2", "sparse:64": "sparse:64"}[system]
    heavy = {"bm25-idf": f"bm25-idf:{weights},gamma=2", "sparse:64": f"sparse:64,weights={weights},gamma=2"}[system]
    for gamma, name in ((0.0, plain), (2.0, heavy)):
        run = retriever.run(System.parse(name))
        assert found[gamma].tolist() == evaluate(run, retriever.dataset.qrels, ["nDCG@10"]).values["nDCG@10"].tolist()


def test_curves_are_drawn_alike_each_time_and_no_more_than_can_be_told_apart(tmp_path) -> None:
    line = [[0.0, 1.0], [0.0, 0.1], [0.0, 0.05], [0.0, 0.2]]
    panels = [
        drawing.Curve("one", {"a": line, "b": line}),
        drawing.Curve("two", {"a": line}),
        drawing.Curve("three", {"b": line}),
    ]
    one, other = (drawing.curves(panels, tmp_path / n, columns=2, ylabel="y").read_bytes() for n in ("a.svg", "b.svg"))
    assert one == other
    with pytest.raises(RarityError, match="cannot be told apart"):
        drawing.curves([drawing.Curve("many", dict.fromkeys(map(str, range(9)), line))], tmp_path / "c.svg", columns=1, ylabel="")
