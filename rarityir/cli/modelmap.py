"""`rarityir modelmap …`: maps of language models by what they think of texts, and of systems by how they rank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rarityir.cli import mapping
from rarityir.cli.commands import Commands
from rarityir.cli.mapping import BOS, DEVICE, DTYPE, FOLDER, SEED, UNIT, mapped, square
from rarityir.cli.options import Choice, json_option, print_facts


@click.group("modelmap", cls=Commands)
def modelmap() -> None:
    """Map language models by their log-likelihoods of texts, and systems by their rankings.

    \b
    rarityir modelmap texts --dataset cranfield --n 500 --out texts.json
    rarityir modelmap score texts.json --model demo --model path/to/another --out scores
    rarityir modelmap kl scores/* --out map.npz
    rarityir modelmap runs evals/cranfield/runs/*.trec --out evals/modelmap/cranfield
    """


@modelmap.command()
@click.option("--dataset", metavar="D", help="Alias, ir_datasets id or folder.  [default: cranfield]")
@click.option("--file", "file", type=FOLDER, help="One text a line, or .jsonl with the member text, instead of a dataset.")
@click.option("--n", type=click.IntRange(1), default=1000, show_default=True, help="Texts drawn.")
@click.option("--max-bytes", type=int, default=1024, show_default=True, help="Documents are cut every so many bytes.")
@click.option("--min-bytes", type=int, default=256, show_default=True, help="Pieces of so many bytes or fewer are left out.")
@click.option("--seed", type=int, default=42, show_default=True, help="Of the draw.")
@click.option("--out", type=FOLDER, required=True, help="The JSON file to write.")
@json_option
def texts(
    dataset: str | None, file: Path | None, n: int, max_bytes: int, min_bytes: int, seed: int, out: Path, *, as_json: bool
) -> None:
    """Draw the texts that models are compared on.

    \b
    rarityir modelmap texts --dataset scifact --n 2000 --out texts.json
    """
    from rarityir.modelmap import TextSet

    if dataset and file:
        raise click.UsageError("--dataset and --file are two sources; name one")
    cut = {"max_bytes": max_bytes, "min_bytes": min_bytes, "seed": seed}
    found = TextSet.from_file(file, n, **cut) if file else TextSet.from_dataset(dataset or "cranfield", n, **cut)
    found.save(out)
    facts = {"file": str(out), "texts": len(found), "mean_bytes": found.mean_bytes, "sha256": found.sha256}
    print_facts(facts, f"{out}: {len(found)} texts of {found.mean_bytes:.1f} bytes, {found.sha256[:16]}…", as_json=as_json)


@modelmap.command()
@click.option("--model", "models", multiple=True, required=True, help="Short name, hub id or folder; NAME=MODEL names it.")
@click.option("--each", type=click.IntRange(1), default=100, show_default=True, help="Texts of every model.")
@click.option("--max-bytes", type=int, default=1024, show_default=True, help="A text is cut there.")
@click.option("--min-bytes", type=int, default=256, show_default=True, help="Texts of so many bytes or fewer are drawn anew.")
@click.option("--bos", default="always", show_default=True, help="What a text begins after: tokenizer or always.")
@click.option("--out", type=FOLDER, required=True, help="The JSON file to write.")
@SEED
@DTYPE
@DEVICE
@json_option
def sample(
    models: tuple[str, ...],
    each: int,
    max_bytes: int,
    min_bytes: int,
    bos: str,
    out: Path,
    seed: int,
    dtype: str,
    device: str,
    *,
    as_json: bool,
) -> None:
    """Draw texts that models write, as many of each: score them too, for kl --own.

    \b
    rarityir modelmap sample --model demo --model early=ckpts/step100 --each 100 --out own.json
    rarityir modelmap score own.json --bos always --model demo --model early=ckpts/step100 --out own
    rarityir modelmap kl scores/demo scores/early --own own/demo --own own/early
    """
    from rarityir.modelmap import sample as drawn

    named = dict(_named_model(given) for given in models)
    found = drawn(named, each, max_bytes=max_bytes, min_bytes=min_bytes, bos=bos, seed=seed, dtype=dtype, device=device)
    found.save(out)
    short = {name: facts["too_short"] for name, facts in found.source["written_by"].items()}
    facts = {
        "file": str(out), "texts": len(found), "mean_bytes": found.mean_bytes, "sha256": found.sha256, "too_short": short
    }  # fmt: skip
    lines = [f"{name}: {each} texts, {count} that ended too early" for name, count in short.items()]
    lines.append(f"{out}: {len(found)} texts of {found.mean_bytes:.1f} bytes, {found.sha256[:16]}…")
    print_facts(facts, "\n".join(lines), as_json=as_json)


@modelmap.command()
@click.argument("texts", type=FOLDER)
@click.option("--model", "models", multiple=True, required=True, help="Short name, hub id or folder; NAME=MODEL names it.")
@click.option("--out", type=FOLDER, required=True, help="Folder to write; each model has one in it.")
@BOS
@DTYPE
@DEVICE
@json_option
def score(texts: Path, models: tuple[str, ...], out: Path, bos: str, dtype: str, device: str, *, as_json: bool) -> None:
    """Score TEXTS by models; a stopped command goes on where it was.

    \b
    rarityir modelmap score texts.json --model demo --model early=ckpts/step100 --out scores
    """
    from rarityir.modelmap import TextSet
    from rarityir.modelmap import score as scored
    from rarityir.modelmap.scoring import read

    found = TextSet.load(texts)
    lines = {}
    for given in models:
        name, model = _named_model(given)
        place = scored(model, found, out, name=name, bos=bos, dtype=dtype, device=device)
        values, facts = read(place)
        bits = -float(values.mean()) / found.mean_bytes / 0.6931471805599453
        lines[place.name] = {"folder": str(place), "bits_per_byte": bits, "tokens": facts["tokens"], "cut": len(facts["cut"])}
    text = [
        f"{f['folder']}: {f['bits_per_byte']:.4f} bits/byte, {f['tokens']} tokens, {f['cut']} texts cut" for f in lines.values()
    ]
    print_facts({"models": lines}, "\n".join(text), as_json=as_json)


@modelmap.command()
@click.argument("scores", type=FOLDER, nargs=-1, required=True)
@click.option("--clip", type=float, default=0.02, show_default=True, help="Share of all values raised to their threshold.")
@click.option("--own", type=FOLDER, multiple=True, help="Scores, in the same order, of texts sampled from the models: a check.")
@click.option("--out", type=FOLDER, help="Also keep the map: a .npz file.")
@UNIT
@json_option
def kl(scores: tuple[Path, ...], clip: float, own: tuple[Path, ...], out: Path | None, unit: str, *, as_json: bool) -> None:
    """Print half the variance of every pair's difference, from folders of `score` or a kept map.

    \b
    rarityir modelmap kl scores/* --out map.npz
    """
    from rarityir.modelmap.scoring import read_map

    found = mapped(scores, clip)
    facts: dict[str, Any] = {
        "models": list(found.names),
        "unit": unit,
        "floor": found.floor if found.clip else None,
        "kl": found.kl(unit).tolist(),
    }
    notes = [] if own else ["relative to this text set; --own checks it on texts that the models write"]
    if own:
        other = read_map([*own], clip=0)
        checked = found.mismatch(other.values, other.mean_bytes)
        facts["mismatch"] = {"ratio": checked.ratio, "spearman": checked.spearman, "warning": checked.warning}
        notes = [checked.warning or f"matched: ratio {checked.ratio:.2f}, rank correlation {checked.spearman:.2f}"]
    if out:
        facts["map"] = str(found.save(out))
    print_facts(facts, "\n".join([square(found.names, facts["kl"], unit), *notes]), as_json=as_json)


@modelmap.command()
@click.argument("scores", type=FOLDER, nargs=-1, required=True)
@click.option("--method", type=Choice(["pca", "mds"]), default="pca", show_default=True)
@click.option("--heatmap", is_flag=True, help="Draw distances with a dendrogram instead of places.")
@click.option("--jitter", type=click.IntRange(0), default=0, show_default=True, help="Maps of texts drawn anew, for ellipses.")
@click.option("--ruler", is_flag=True, help="Draw all pairs on a scale below, beside published medians where it is bits/byte.")
@click.option("--out", type=FOLDER, required=True, help="The picture: .svg, .png or .pdf.")
@UNIT
@SEED
@json_option
def plot(
    scores: tuple[Path, ...],
    method: str,
    jitter: int,
    out: Path,
    unit: str,
    seed: int,
    *,
    heatmap: bool,
    ruler: bool,
    as_json: bool,
) -> None:
    """Draw a map from folders of `score` or a kept map; a bar says how far is far.

    An ellipse holds 95% of where a model stands when texts are drawn anew from the map's own: what the number of texts leaves
    open, not what other texts would show.

    \b
    rarityir modelmap plot map.npz --method mds --jitter 200 --ruler --out map.svg
    """
    import math

    from rarityir.modelmap.distances import per_unit
    from rarityir.modelmap.trajectories import REFERENCES
    from rarityir.report import modelmap as pictures

    found = mapped(scores, 0.02)
    if heatmap:
        pictures.heatmap(out, found.names, found.kl(unit), unit)
        print_facts({"picture": str(out)}, str(out), as_json=as_json)
        return
    xy, held = found.embed(method)
    said = f"{held.sum():.0%} of the variance" if method == "pca" else f"stress {held[0]:.2f}"
    nats = per_unit(unit, found.mean_bytes)
    strayed = found.jitter(jitter, seed, method) if jitter > 1 else None
    pictures.places(
        out,
        found.names,
        xy,
        said,
        jitter_RK2=strayed,
        apart_KK=found.kl(unit) if ruler else None,
        references=REFERENCES if unit == "bits/byte" else None,
        bar=lambda distance: math.sqrt(distance * nats),
        unit=unit,
    )
    facts: dict[str, Any] = {"picture": str(out), "places": xy.tolist(), "held": held.tolist()}
    if strayed is not None:
        facts["jitter"] = {"runs": jitter, "sd": strayed.std(axis=0).tolist()}
    print_facts(facts, f"{out}: {said}", as_json=as_json)


@modelmap.command()
@click.argument("map", type=FOLDER)
@click.argument("targets", type=FOLDER)
@click.option("--cv", type=click.IntRange(2), default=5, show_default=True, help="Folds.")
@SEED
@json_option
def predict(map: Path, targets: Path, cv: int, seed: int, *, as_json: bool) -> None:
    """Predict a score of models not seen from their places on MAP.

    TARGETS is a TSV file: model, score and, in a third column, its group, whose models are kept in one fold.

    \b
    rarityir modelmap predict map.npz ndcg.tsv --cv 5
    """
    from rarityir.modelmap import ModelMap
    from rarityir.types import BadInput

    found = ModelMap.load(map)
    lines = [line.split("\t") for line in targets.read_text(encoding="utf-8").splitlines() if line.strip()]
    rows = {line[0]: line[1:] for line in lines}
    missing = [name for name in found.names if name not in rows]
    if missing:
        raise BadInput(f"{targets} has no score of {missing[0]}; one line a model of {map} is needed")
    try:
        y = [float(rows[name][0]) for name in found.names]
        groups = [rows[name][1] for name in found.names] if all(len(rows[name]) > 1 for name in found.names) else None
    except (ValueError, IndexError):
        raise BadInput(f"{targets}: a line should read model, tab, score, and perhaps tab, group") from None
    said = found.predict(y, groups, cv=cv, seed=seed)
    facts = {
        "predicted": dict(zip(found.names, said.predicted.tolist(), strict=True)),
        "pearson": said.pearson,
        "spearman": said.spearman,
        "likelihood": said.likelihood,
        "grouped": groups is not None,
    }
    text = f"r {said.pearson:.3f}, rho {said.spearman:.3f}; mean log-likelihood alone r {said.likelihood:.3f}"
    print_facts(
        facts, text if groups else f"{text}\nno groups: relatives of a model may be in its training folds", as_json=as_json
    )


def _named_model(given: str) -> tuple[str, str]:
    """NAME=MODEL, or a model by the name it is called."""
    from rarityir import checkpoints

    name, equals, model = given.partition("=")
    return (name, model) if equals else (checkpoints.called(given), given)


for command in (mapping.resample, mapping.layers, mapping.trajectory, mapping.runs):
    modelmap.add_command(command)
