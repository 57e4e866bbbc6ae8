"""The command line of maps, from texts to pictures, on models with random weights and on small runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny import STORIES_DOCS

from rarityir.cli import main
from rarityir.datasets import load_dataset
from rarityir.measures import evaluate
from rarityir.modelmap import ModelMap, ResamplePlan, TextSet, kl, mantel, steady
from rarityir.runs import Run, read_run
from rarityir.types import Hits


@pytest.fixture(autouse=True)
def _elsewhere(elsewhere: None) -> None:
    return


def said(capsys: pytest.CaptureFixture[str], *words: object) -> dict:
    assert main(["modelmap", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["modelmap", *map(str, words)]) in (1, 2)
    return capsys.readouterr().err


def test_from_texts_to_a_map(capsys, beir, stories) -> None:
    found = said(capsys, "texts", "--dataset", beir, "--n", 6, "--max-bytes", 60, "--min-bytes", 20, "--out", "texts.json")
    texts = TextSet.load("texts.json")
    assert (found["texts"], found["sha256"]) == (6, texts.sha256)
    scored = ["score", "texts.json", "--out", "scores", "--model", stories]
    one = said(capsys, *scored, "--bos", "always")["models"]["stories260K"]
    assert 0.3 < one["bits_per_byte"] < 3
    for name, bos in (("none", "none"), ("again", "always")):
        said(capsys, "score", "texts.json", "--out", "scores", "--model", f"{name}={stories}", "--bos", bos)
    found = said(capsys, "kl", "scores/stories260K", "scores/none", "scores/again", "--out", "map.npz", "--clip", 0)
    assert found["models"] == ["stories260K", "none", "again"]
    kept = ModelMap.load("map.npz")
    np.testing.assert_allclose(found["kl"], kl(kept.values, texts.mean_bytes))
    assert found["kl"][0][2] == 0 < found["kl"][0][1]
    assert kept.facts["models"]["none"]["bos"] == "none"
    assert main(["modelmap", "kl", "map.npz"]) == 0
    assert "relative to this text set" in capsys.readouterr().out
    for words in (("--out", "map.svg"), ("--heatmap", "--out", "heat.svg"), ("--method", "mds", "--out", "mds.png")):
        said(capsys, "plot", "map.npz", *words)
        assert Path(words[-1]).stat().st_size > 1000
    assert "a picture is" in refused(capsys, "plot", "map.npz", "--out", "map.gif")
    plain = Path("map.svg").read_text()
    jitter = said(capsys, "plot", "map.npz", "--jitter", 9, "--ruler", "--out", "map.svg")["jitter"]
    assert (jitter["runs"], np.shape(jitter["sd"])) == (9, (3, 2))
    marked = Path("map.svg").read_text()
    assert "third-party" in marked
    assert "third-party" not in plain
    assert marked.count("<path") > plain.count("<path") + 3  # ellipses and strokes
    said(capsys, "plot", "map.npz", "--ruler", "--unit", "nats/text", "--out", "map.svg")
    assert "third-party" not in Path("map.svg").read_text()
    assert "two or more" in refused(capsys, "kl", "scores/none")
    layers = said(capsys, "layers", "texts.json", "--model", stories, "--bos", "always", "--out", "l.npz", "--picture", "l.svg")
    assert layers["identity"] < 1e-5
    assert len(layers["to_last"]) == 6
    assert layers["to_last"][-1] == 0
    np.testing.assert_allclose(ModelMap.load("l.npz").values[-1], kept.values[0], rtol=1e-4)
    found = said(capsys, "layers", "texts.json", "--model", stories, "--dataset", beir, "--measure", "RR", "--picture", "l.svg")
    assert main(["search", "dense", "--encoder", stories, "--dataset", str(beir), "--out", "dense.trec"]) == 0
    capsys.readouterr()
    dense = evaluate(read_run(Path("dense.trec")), load_dataset(str(beir)).qrels, ["RR"]).mean("RR")
    for form in ("plain", "normed"):
        assert len(found["retrieval"][form]) == 6
        assert len(found["retrieval"][f"{form}_p_holm"]) == 5
        assert found["retrieval"][form][-1] == pytest.approx(dense, abs=1e-4)
    assert main(["modelmap", "layers", "texts.json", "--model", stories, "--dataset", str(beir), "--measure", "RR"]) == 0
    assert "differs from the last layer" in capsys.readouterr().out


def test_texts_of_the_models_own_check_a_text_set(capsys, beir, stories) -> None:
    texts = said(capsys, "texts", "--dataset", beir, "--n", 6, "--max-bytes", 60, "--min-bytes", 20, "--out", "texts.json")
    models = [word for name in ("a", "b", "c") for word in ("--model", f"{name}={stories}")]
    drawn = said(capsys, "sample", *models, "--each", 2, "--max-bytes", 60, "--min-bytes", 20, "--out", "own.json")
    assert (drawn["texts"], set(drawn["too_short"])) == (6, {"a", "b", "c"})
    assert drawn["sha256"] != texts["sha256"]
    for file in ("texts", "own"):
        for name, bos in (("a", "always"), ("b", "none"), ("c", "tokenizer")):
            said(capsys, "score", f"{file}.json", "--out", file, "--model", f"{name}={stories}", "--bos", bos)
    owned = [word for name in "ab" for word in ("--own", f"own/{name}")]
    assert "the same three models or more" in refused(capsys, "kl", "texts/a", "texts/b", *owned)
    assert "equal on the texts that they write" in refused(
        capsys, "kl", "texts/a", "texts/b", "texts/c", *owned, "--own", "own/c"
    )  # b with no beginning, a and c with one


def made(names: str = "abcdefgh", texts: int = 50) -> ModelMap:
    rng = np.random.default_rng(3)
    walk = np.cumsum(rng.standard_normal((len(names), texts)) * np.geomspace(1, 9, texts), axis=0)
    found = ModelMap.from_matrix(names, walk - 300, 80.0, clip=0)
    found.save("map.npz")
    return found


def test_prediction_trajectory_and_plan_of_a_kept_map(capsys) -> None:
    found = made()
    rows = [f"{name}\t{value}\t{name < 'e'}" for name, value in zip(found.names, found.values @ np.arange(50))]
    Path("y.tsv").write_text("\n".join(rows) + "\n")
    predicted = said(capsys, "predict", "map.npz", "y.tsv", "--cv", 2)
    assert predicted["grouped"]
    assert set(predicted["predicted"]) == set(found.names)
    Path("y.tsv").write_text("\n".join(rows[1:]) + "\n")
    assert "no score of a" in refused(capsys, "predict", "map.npz", "y.tsv")
    path = said(capsys, "trajectory", "map.npz", "--lags", 5, "--picture", "t.svg")
    assert 0.5 < path["exponent"] < 1.6
    assert path["from_start"][0] == 0
    assert len(path["adjacent"]) == 7
    assert "add --unit bits/text" in refused(capsys, "trajectory", "map.npz", "--lags", 5, "--drop", 0.1)
    dropped = said(capsys, "trajectory", "map.npz", "--lags", 5, "--drop", 0.1, "--unit", "bits/text")
    assert dropped["texts"] == 45
    kept = found.values[:, steady([found.values], 0.1)]
    np.testing.assert_allclose(dropped["from_start"], kl(kept, unit="bits/text")[0], rtol=1e-9, atol=1e-9)
    assert "2 steps for 8" in refused(capsys, "trajectory", "map.npz", "--steps", "1,2")
    drawn = said(capsys, "resample", "--map", "map.npz", "--n", 20, "--out", "plan.json")
    sample = ResamplePlan.load("plan.json").draw(20, 0)
    assert drawn["columns"] == [str(i) for i in sample.indices]
    assert 0 < drawn["error"]["relative"] < 2
    assert "give --map, or" in refused(capsys, "resample", "--n", 5)


def test_a_plan_of_a_kept_map_clips_nothing_twice(capsys) -> None:
    found = ModelMap.from_matrix("abcd", made("abcd").values, 80.0, clip=0.1)
    found.save("map.npz")
    said(capsys, "resample", "--map", "map.npz", "--n", 20, "--out", "plan.json")
    plan = ResamplePlan.load("plan.json")
    assert (plan.floor, plan.facts["clip"]) == (found.floor, 0.1)
    np.testing.assert_array_equal(plan.probabilities, ResamplePlan.fit(found.values, clip=0).probabilities)
    assert np.abs(plan.probabilities - ResamplePlan.fit(found.values, clip=0.1).probabilities).max() > 0


def test_no_run_takes_the_place_of_another(capsys) -> None:
    rng = np.random.default_rng(6)
    for folder, name in (("x", "bm25"), ("y", "bm25"), ("z", "dense")):
        scores = -np.sort(-rng.standard_normal((3, 6)), axis=1).astype(np.float32)
        rows = np.array([rng.permutation(6) for _ in range(3)])
        Path(folder).mkdir()
        Run.from_hits("tag", ["q1", "q2", "q3"], list(STORIES_DOCS), Hits(rows, scores)).save(f"{folder}/{name}.trec")
    given = [f"{folder}/{name}.trec" for folder, name in (("x", "bm25"), ("y", "bm25"), ("z", "dense"))]
    assert "two of the files are called bm25" in refused(capsys, "runs", *given)
    Path(given[0]).rename("x/sparse.trec")
    assert said(capsys, "runs", "x/sparse.trec", *given[1:])["systems"] == ["sparse", "bm25", "dense"]


def test_a_map_of_runs_and_the_topics_that_separate_them(capsys, beir) -> None:
    rng = np.random.default_rng(5)
    for name in ("one", "two", "three", "four"):
        scores = -np.sort(-rng.standard_normal((3, 6)), axis=1).astype(np.float32)
        rows = np.array([rng.permutation(6) for _ in range(3)])
        Run.from_hits(name, ["q1", "q2", "q3"], list(STORIES_DOCS), Hits(rows, scores)).save(f"{name}.trec")
    files = [f"{name}.trec" for name in ("one", "two", "three", "four")]
    found = said(capsys, "runs", *files, "--out", "out")
    assert found["systems"] == ["one", "two", "three", "four"]
    assert found == {**json.loads(Path("out/runmap.json").read_text())}
    assert Path("out/runmap.svg").exists()
    assert Path("out/distances.svg").exists()
    given = [word for file in files for word in ("--runs", file)]
    drawn = said(capsys, "resample", *given, "--dataset", beir, "--n", 2)
    assert set(drawn["columns"]) <= {"q1", "q2", "q3"}
    told = said(capsys, "runs", *files, "--dataset", beir, "--measure", "RR")["by_measure"]
    means = np.array(list(told["means"].values()))
    wanted = mantel(found["kl"], np.abs(means[:, None] - means))
    assert (told["mantel"], told["p"]) == pytest.approx(wanted)
    own = evaluate(read_run(Path("two.trec")), load_dataset(str(beir)).qrels, ["RR"]).mean("RR")
    assert told["means"]["two"] == pytest.approx(own, abs=1e-4)
    names = ["four", "one", "two", "three"]
    ModelMap.from_matrix(names, rng.standard_normal((4, 9)), 5.0).save("map.npz")
    agreed = said(capsys, "runs", *files, "--map", "map.npz")["agreement"]
    assert -1 <= agreed["mantel"] <= 1
    made("abcd")
    assert "name models and runs alike" in refused(capsys, "runs", *files, "--map", "map.npz")
    assert main(["modelmap", "runs", *files]) == 0
    assert "times the true divergence" in capsys.readouterr().out
