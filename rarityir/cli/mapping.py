"""`rarityir modelmap resample | layers | trajectory | runs`: fewer texts, layers, checkpoints, and systems."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rarityir.cli.options import Choice, json_option, print_facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rarityir.runs import Run

FOLDER = click.Path(path_type=Path)
UNIT = click.option("--unit", default="bits/byte", show_default=True, help="bits/byte, bits/text or nats/text.")
BOS = click.option("--bos", default="tokenizer", show_default=True, help="What stands before a text: tokenizer, always or none.")
DTYPE = click.option("--dtype", default="float32", show_default=True, help="float32, bfloat16 or float16.")
DEVICE = click.option("--device", default="auto", show_default=True, help="cpu, cuda, mps or auto.")
SEED = click.option("--seed", type=int, default=0, show_default=True, help="Of every draw.")


@click.command()
@click.option("--map", "map_", type=FOLDER, help="A kept map, whose texts are drawn.")
@click.option("--runs", "runs_", type=FOLDER, multiple=True, help="Runs, whose topics are drawn; repeatable, with --dataset.")
@click.option("--dataset", metavar="D", help="The runs' dataset.")
@click.option("--measure", default="nDCG@10", show_default=True, help="The runs' measure.")
@click.option("--method", type=Choice(["uniform", "ls", "kl"]), default="ls", show_default=True)
@click.option("--n", type=click.IntRange(1), required=True, help="Draws, with replacement.")
@click.option("--estimate", type=click.IntRange(0), default=20, show_default=True, help="Runs that estimate the error.")
@click.option("--out", type=FOLDER, help="Keep the plan: a .json file.")
@SEED
@json_option
def resample(
    map_: Path | None,
    runs_: tuple[Path, ...],
    dataset: str | None,
    measure: str,
    method: str,
    n: int,
    estimate: int,
    out: Path | None,
    seed: int,
    *,
    as_json: bool,
) -> None:
    """Draw the texts (or topics) that tell models (or systems) apart.

    \b
    rarityir modelmap resample --map map.npz --method ls --n 200 --out plan.json
    """
    from rarityir.modelmap import ModelMap, ResamplePlan, error_estimate

    if bool(map_) == bool(runs_) or (runs_ and not dataset):
        raise click.UsageError("give --map, or --runs with --dataset")
    if map_:
        found = ModelMap.load(map_)
        values, columns, centre = found.values, [str(i) for i in range(found.texts)], True
        facts = {"map": map_.name}
    else:
        values, columns = _by_topic(_named(runs_), str(dataset), measure)
        centre, facts = False, {"dataset": str(dataset), "measure": measure}
    plan = ResamplePlan.fit(values, method, clip=0, centre=centre, facts=facts)
    if map_:  # whose values are raised already: its threshold is kept for models to come
        plan = replace(plan, floor=found.floor, facts={**plan.facts, "clip": found.clip})
    sample = plan.draw(n, seed)
    said: dict[str, Any] = {"method": method, "draws": n, "unique": sample.unique, "of": len(columns)}
    text = f"{n} draws, {sample.unique} of {len(columns)} {'texts' if map_ else 'topics'}"
    if estimate:
        said["error"] = error_estimate(values, plan, n, runs=estimate, seed=seed)
        text += "; relative error {relative:.3f}, of all texts' own bootstrap {floor:.3f}".format(**said["error"])
    if out:
        said["plan"] = str(plan.save(out))
    said["columns"] = [columns[i] for i in sample.indices]
    said["weights"] = sample.factors.tolist()
    print_facts(
        said, f"{text}\nthe plan is conditional on these {len(values)} {'models' if map_ else 'systems'}", as_json=as_json
    )


@click.command()
@click.argument("texts", type=FOLDER)
@click.option("--model", required=True, help="Short name, hub id or folder.")
@click.option("--final-norm", help="Dotted path of the norm before the head.  [default: the one that gives the last state]")
@click.option("--dataset", metavar="D", help="Also retrieve with every layer's states.")
@click.option("--measure", default="nDCG@10", show_default=True, help="With --dataset, the measure by layer.")
@click.option("--pooling", help="With --dataset, how states are pooled.  [default: the encoder's own]")
@click.option("--picture", type=FOLDER, help="Also draw the curve: .svg, .png or .pdf.")
@click.option("--out", type=FOLDER, help="Also keep the layers as a map: a .npz file.")
@BOS
@DTYPE
@DEVICE
@UNIT
@json_option
def layers(
    texts: Path,
    model: str,
    final_norm: str | None,
    dataset: str | None,
    measure: str,
    pooling: str | None,
    picture: Path | None,
    out: Path | None,
    bos: str,
    dtype: str,
    device: str,
    unit: str,
    *,
    as_json: bool,
) -> None:
    """Read every layer of a model by its own norm and head, and print how far each is from the last.

    \b
    rarityir modelmap layers texts.json --model demo --dataset cranfield --picture layers.svg
    """
    from rarityir.modelmap import ModelMap, TextSet, adjacent_kl, layer_loglik
    from rarityir.modelmap.scoring import opened
    from rarityir.modelmap.trajectories import from_row
    from rarityir.report import modelmap as pictures

    found = TextSet.load(texts)
    values, said = layer_loglik(opened(model, bos=bos, dtype=dtype, device=device), found, final_norm)
    last, following = from_row(values, -1, found.mean_bytes, unit), adjacent_kl(values, found.mean_bytes, unit)
    facts: dict[str, Any] = {
        "model": model, "unit": unit, "final_norm": said["final_norm"], "identity": said["identity"],
        "to_last": last.tolist(), "adjacent": following.tolist(), "mean": values.mean(axis=1).tolist(),
    }  # fmt: skip
    if dataset:
        facts["retrieval"] = _retrieval(model, dataset, measure, said["final_norm"], pooling, dtype=dtype, device=device)
    if out:
        names = [f"layer {i}" for i in range(len(values))]
        facts["map"] = str(ModelMap.from_matrix(names, values, found.mean_bytes, clip=0, facts={"texts": found.sha256}).save(out))
    if picture:
        drawn = {form: facts["retrieval"][form] for form in ("plain", "normed")} if dataset else None
        facts["picture"] = str(pictures.layers(picture, last, following, unit, drawn, measure))
    print_facts(facts, _by_layer(facts), as_json=as_json)


def _retrieval(
    model: str, dataset: str, measure: str, norm: str, pooling: str | None, *, dtype: str, device: str
) -> dict[str, Any]:
    """A measure by layer, of plain states and of normed ones, and each layer's test against the last."""
    from rarityir import measures
    from rarityir.datasets import load_dataset
    from rarityir.encoders import load_encoder
    from rarityir.modelmap import by_layer
    from rarityir.types import Scores

    measures.Measure.parse(measure)
    encoder, judged = load_encoder(model, pooling=pooling, device=device, dtype=dtype), load_dataset(dataset)
    rows = by_layer(encoder, judged, [measure], norm)
    facts: dict[str, Any] = {"dataset": judged.name, "measure": measure, "encoder": encoder.name}
    for at, form in enumerate(("plain", "normed")):
        named = [Scores(str(layer), pair[at].query_ids, pair[at].values) for layer, pair in enumerate(rows)]
        facts[form] = [round(one.mean(measure), 4) for one in named]
        facts[f"{form}_p_holm"] = [test.fisher_holm for test in measures.compare(named, named[-1].system, measure)]
    return facts


def _by_layer(facts: dict[str, Any]) -> str:
    """The layers as a table."""
    found: dict[str, Any] = facts.get("retrieval", {})
    following = facts["adjacent"]
    heading = f"{'layer':>5} {'nats/text':>12} {'to last':>10} {'to next':>10}"
    rows = [heading + (f" {found['measure']:>9} {'normed':>9}  {facts['unit']}" if found else f"  {facts['unit']}")]
    for i, (mean, to_last) in enumerate(zip(facts["mean"], facts["to_last"], strict=True)):
        line = f"{i:>5} {mean:>12.2f} {to_last:>10.4f} {f'{following[i]:.4f}' if i < len(following) else '–':>10}"
        for form in ("plain", "normed") if found else ():
            p = found[f"{form}_p_holm"][i] if i < len(following) else 1.0
            line += f" {found[form][i]:>8.4f}{'*' if p < 0.05 else ' '}"
        rows.append(line)
    rows.append(f"{facts['final_norm']}: the lens of the last layer is within {facts['identity']:.1e} of the model's logits")
    if found:
        rows.append(f"* differs from the last layer on {found['dataset']} (paired randomisation, Holm, .05)")
    return "\n".join(rows)


@click.command()
@click.argument("scores", type=FOLDER, nargs=-1, required=True)
@click.option("--start", type=click.IntRange(0), default=0, show_default=True, help="A place in the order, from 0.")
@click.option("--steps", help="The checkpoints' steps, such as 0,100,200.  [default: evenly spaced]")
@click.option("--lags", "count", type=click.IntRange(2), default=10, show_default=True, help="Checkpoints after it.")
@click.option(
    "--drop", type=float, default=0.0, show_default=True, help="Share of texts left out, those that jump most; not in bits/byte."
)
@click.option("--picture", type=FOLDER, help="Also draw it: .svg, .png or .pdf.")
@UNIT
@json_option
def trajectory(
    scores: tuple[Path, ...],
    start: int,
    steps: str | None,
    count: int,
    drop: float,
    picture: Path | None,
    unit: str,
    *,
    as_json: bool,
) -> None:
    """Print how a model's checkpoints move: SCORES in the order of training.

    \b
    rarityir modelmap trajectory scores/step* --start 2 --steps 0,50,100,200,400
    """
    from rarityir.modelmap import adjacent_kl, diffusion_exponent, steady
    from rarityir.modelmap.trajectories import from_row
    from rarityir.report import modelmap as pictures

    if drop and unit == "bits/byte":  # scores and maps hold the mean length of all texts, not each one's
        raise click.UsageError("--drop leaves texts out, and the mean bytes of the others are not known; add --unit bits/text")
    found = mapped(scores, 0.02)
    times = _steps(steps, len(found.names))
    values = found.values[:, steady([found.values], drop)]
    lags = range(1, min(count, len(values) - 1 - start) + 1)
    slope, fit = diffusion_exponent(values, start, lags, times)
    moved = from_row(values, start, found.mean_bytes, unit)
    following = adjacent_kl(values, found.mean_bytes, unit).tolist()
    facts = {
        "models": list(found.names), "unit": unit, "texts": values.shape[1], "exponent": slope, "r2": fit,
        "from_start": moved.tolist(), "adjacent": following,
    }  # fmt: skip
    if picture:
        import numpy as np

        rows = [start + lag for lag in lags]
        later = np.array([times[row] - times[start] for row in rows], float)
        facts["picture"] = str(pictures.lags(picture, later, moved[rows], slope, fit, unit))
    lines = [f"{name:<24} {value:>10.4f}" for name, value in zip(found.names, moved, strict=True)]
    lines = [f"{'from ' + found.names[start]:<24} {unit:>10}", *lines, f"exponent {slope:.3f}, R² {fit:.3f}"]
    print_facts(facts, "\n".join(lines), as_json=as_json)


@click.command("runs")
@click.argument("runs_", metavar="RUN...", type=FOLDER, nargs=-1, required=True)
@click.option("--pool", default="union@100", show_default=True, help="Documents compared: the N best of any run.")
@click.option("--tau", default="per-run-std", show_default=True, help="What scores are divided by: per-run-std or a number.")
@click.option("--weights", type=Choice(["mixture", "uniform"]), default="mixture", show_default=True)
@click.option("--map", "map_", type=FOLDER, help="A model map of the same names, in any order, to compare with.")
@click.option("--dataset", metavar="D", help="The runs' dataset: compare distances with differences of a measure.")
@click.option("--measure", default="nDCG@10", show_default=True, help="With --dataset, the measure.")
@click.option("--out", type=FOLDER, help="Folder for runmap.json, runmap.svg and distances.svg.")
@SEED
@json_option
def runs(
    runs_: tuple[Path, ...],
    pool: str,
    tau: str,
    weights: str,
    map_: Path | None,
    dataset: str | None,
    measure: str,
    out: Path | None,
    seed: int,
    *,
    as_json: bool,
) -> None:
    """Map systems by their distributions over shared documents; no language model is needed.

    \b
    rarityir modelmap runs evals/cranfield/runs/*.trec --dataset cranfield --out evals/modelmap/cranfield
    """
    from rarityir import store
    from rarityir.modelmap import RunMap
    from rarityir.report import modelmap as pictures

    given = _named(runs_)
    found = RunMap.from_runs(given, pool, tau, weights)
    apart, (xy, held) = found.kl(), found.embed()
    facts: dict[str, Any] = {
        "systems": list(found.names), "topics": len(found.query_ids), "dropped": found.dropped, "pool": pool, "weights": weights,
        "pairs": int(found.indptr[-1]), "tau": dict(zip(found.names, found.temperatures, strict=True)),
        "missing": dict(zip(found.names, found.missing, strict=True)), "unit": "nats/topic", "kl": apart.tolist(),
        "exact": found.exact().tolist(), "places": xy.tolist(), "held": held.tolist(),
    }  # fmt: skip
    notes = [f"{len(found.query_ids)} topics ({found.dropped} left out), {found.indptr[-1]} pooled documents"]
    if len(found.names) > 2:
        checked = found.check()
        facts["check"] = {"ratio": checked.ratio, "spearman": checked.spearman}
        notes.append(f"half the variance is {checked.ratio:.3f} times the true divergence, rank r {checked.spearman:.3f}")
    if map_:
        facts["agreement"], line = _agreement(found.names, apart, map_, seed)
        notes.append(line)
    if dataset:
        facts["by_measure"], line = _by_measure(given, apart, dataset, measure, seed)
        notes.append(line)
    if out:
        store.write_json(out / "runmap.json", facts)
        pictures.places(
            out / "runmap.svg", found.names, xy, f"{held.sum():.0%} of the variance", bar=math.sqrt, unit="nats/topic"
        )
        pictures.heatmap(out / "distances.svg", found.names, apart, "nats/topic")
    print_facts(facts, "\n".join([square(found.names, facts["kl"], "nats/topic"), *notes]), as_json=as_json)


def _by_measure(runs: dict[str, Run], apart: Any, dataset: str, measure: str, seed: int) -> tuple[dict[str, Any], str]:
    """Mantel's test of distances and differences of a measure's means."""
    from rarityir.modelmap import mantel

    means = _by_topic(runs, dataset, measure)[0].mean(axis=1)
    r, p = mantel(apart, abs(means[:, None] - means), seed=seed)
    facts = {"measure": measure, "means": dict(zip(runs, means.round(4).tolist(), strict=True)), "mantel": r, "p": p}
    return facts, f"Mantel's rank correlation with differences of {measure}: {r:.3f}, p {p:.4f}"


def _agreement(names: Sequence[str], apart: Any, path: Path, seed: int) -> tuple[dict[str, float], str]:
    from rarityir.modelmap import ModelMap, mantel
    from rarityir.types import RarityError

    other = ModelMap.load(path)
    if set(other.names) != set(names):
        raise RarityError(f"{path} maps {', '.join(other.names[:4])}…, not the runs; name models and runs alike")
    order = [other.names.index(name) for name in names]
    r, p = mantel(apart, other.kl()[order][:, order], seed=seed)
    return {"mantel": r, "p": p}, f"Mantel's rank correlation with {path}: {r:.3f}, p {p:.4f}"


def mapped(scores: Sequence[Path], clip: float) -> Any:
    """Returns the map of folders of `score`, or one that was kept."""
    from rarityir.modelmap import ModelMap
    from rarityir.modelmap.scoring import read_map

    return ModelMap.load(scores[0]) if len(scores) == 1 and scores[0].suffix == ".npz" else read_map([*scores], clip)


def _steps(text: str | None, count: int) -> list[float]:
    if text is None:
        return [float(i) for i in range(count)]
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        raise click.UsageError(f"--steps {text!r} should read 0,100,200") from None
    if len(found) != count:
        raise click.UsageError(f"--steps names {len(found)} steps for {count} checkpoints")
    return found


def _named(paths: Sequence[Path]) -> dict[str, Run]:
    """Runs by the names they carry, or by their files' where two carry one."""
    from rarityir.runs import read_run
    from rarityir.types import RarityError

    found = [(path.stem, read_run(path)) for path in paths]
    tags = [run.name for _, run in found]
    unique = len(set(tags)) == len(tags)
    named = {run.name if unique else stem: run for stem, run in found}
    if len(named) < len(found):
        stems = [stem for stem, _ in found]
        twice = next(stem for stem in stems if stems.count(stem) > 1)
        raise RarityError(f"two runs carry one name, and two of the files are called {twice}; call one of those files otherwise")
    return named


def _by_topic(runs: dict[str, Run], dataset: str, measure: str) -> tuple[Any, list[str]]:
    """A measure by system and topic (K, Q)."""
    import numpy as np

    from rarityir.datasets import load_dataset
    from rarityir.measures import evaluate

    qrels = load_dataset(dataset).qrels
    found = [evaluate(run, qrels, [measure]) for run in runs.values()]
    return np.array([next(iter(scores.values.values())) for scores in found]), list(found[0].query_ids)


def square(names: Sequence[str], values: list[list[float]], unit: str) -> str:
    """Returns distances as a table."""
    width = max(map(len, names))
    lines = [f"{unit:<{width}} {' '.join(f'{i + 1:>7}' for i in range(len(names)))}"]
    for i, (name, row) in enumerate(zip(names, values, strict=True)):
        lines.append(f"{name:<{width}} {' '.join(f'{value:>7.3f}' for value in row)}  {i + 1}")
    return "\n".join(lines)
