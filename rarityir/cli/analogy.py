"""`rarityir analogy fit | search | eval | offset`: relations of named things, and of queries to their documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rarityir.cli import relating
from rarityir.cli.commands import Commands
from rarityir.cli.options import Choice, dataset_option, encoder_options, indexes_option, json_option, print_facts, retriever
from rarityir.cli.relating import HOW, LEAVE_OUT, PAIRS, PATH, K, drawn, numbers, read, with_options


@click.group("analogy", cls=Commands)
def analogy() -> None:
    """Learn what leads from queries to answers as one vector, and find answers with it.

    Every figure leaves the query's own pairs out, or has the word in-sample; eval puts it beside what needs no relation.
    """


@analogy.command()
@with_options(PAIRS)
@with_options(HOW)
@click.option("--out", type=PATH, required=True, help="Folder to write.")
@encoder_options
@json_option
def fit(scheme: str, cut: float | None, seed: int, out: Path, *, no_centre: bool, as_json: bool, **options: Any) -> None:
    """Fit a relation to --pairs and save its sums, from which any query can be left out.

    \b
    rarityir analogy fit --pairs capitals.tsv --group-col kind --out relations/capitals
    """
    from rarityir.analogy.pairs import split
    from rarityir.analogy.relation import Relation
    from rarityir.analogy.saving import save

    pairs, queries, answers = read(options, seed)
    if cut is not None:
        pairs, _ = split(pairs, cut)
    groups = [pair.group for pair in pairs] if options["group_col"] else None
    found = Relation.fit(queries, answers, [pair[:2] for pair in pairs], groups, scheme=scheme, centre=not no_centre)
    facts = {
        "relation": str(save(found, out)),
        "pairs": int((found.triples[:, 0] == 0).sum()),
        "queries": len(found.known),
        "groups": len(found.groups),
        "width": found.width,
    }
    text = f"{out}: {facts['pairs']} pairs of {facts['queries']} queries in {facts['groups']} groups"
    print_facts(facts, text, as_json=as_json)


@analogy.command()
@click.argument("relation", type=PATH)
@click.argument("queries", nargs=-1, required=True)
@with_options(PAIRS)
@click.option("--group", help="Ask in this group of the relation.")
@click.option("--known", is_flag=True, help="Let answers that are in the relation be found too.")
@click.option("--out", type=PATH, help="The run file.  [default: print the answers]")
@click.option("--k", type=click.IntRange(1), default=10, show_default=True, help="Answers ranked for a query.")
@encoder_options
@json_option
def search(
    relation: Path,
    queries: tuple[str, ...],
    group: str | None,
    out: Path | None,
    k: int,
    seed: int,
    *,
    known: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Find answers for QUERIES among those of --pairs, moved by RELATION without the queries' own pairs.

    \b
    rarityir analogy search relations/capitals Athens Oslo --pairs capitals.tsv --group capital-common-countries --known
    """
    from rarityir.analogy.saving import load
    from rarityir.runs import check_place

    if out is not None:
        check_place(out)
    found = load(relation)
    ids = tuple("_".join(name.split()) for name in queries)
    _, asked, answers = read(options, seed, more=ids)
    groups = [group] * len(ids) if group is not None else None
    run = found.search(asked, answers, asked=ids, groups=groups, k=k, exclude=None if known else found.known)
    sources = dict(zip(run, found.moves(ids, groups).source, strict=True))
    facts: dict[str, Any] = {"answers": {name: run[name] for name in run}, "vector_of": sources}
    if out is not None:
        facts = {"run": str(run.save(out, {"relation": str(relation), "vector_of": sources})), "queries": len(run)}
    lines = [f"{name}: " + ", ".join(f"{answer} {score:.3f}" for answer, score in run[name]) for name in run]
    print_facts(facts, str(out) if out else "\n".join(lines), as_json=as_json)


@analogy.command("eval")
@with_options(PAIRS)
@with_options(HOW)
@click.option("--years", type=Choice(["Y1", "Y2"]), default="Y2", show_default=True, help="With --cut: before it, or after.")
@click.option("--setting", type=Choice(["G", "P1", "P2"]), help="[default: P1 with --group-col, else G]")
@LEAVE_OUT
@click.option("--in-sample", is_flag=True, help="Leave nothing out; every figure is then called in-sample.")
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True, help="Draws of the baselines that are drawn.")
@K
@click.option("--out", type=PATH, help="Also write the figures as JSON.")
@click.option("--pictures", type=PATH, help="Also draw arrows.svg and, of groups, groups.svg into this folder.")
@encoder_options
@json_option
def eval_(
    scheme: str,
    cut: float | None,
    years: str,
    setting: str | None,
    leave_out: str,
    repeats: int,
    k: int,
    out: Path | None,
    pictures: Path | None,
    seed: int,
    *,
    no_centre: bool,
    in_sample: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Score --pairs beside zero, popularity, random vectors and shuffled pairs.

    \b
    rarityir analogy eval --pairs pairs.tsv --group-col pathway --time-col year --cut 2010 --vectors concepts.npz
    rarityir analogy eval --pairs pairs.tsv --vectors random:300
    """
    from rarityir import store
    from rarityir.analogy.scoring import evaluate
    from rarityir.analogy.task import Task

    if cut is not None and not options["time_col"]:
        raise click.UsageError("--cut needs --time-col")
    pairs, queries, answers = read(options, seed)
    task = Task.of(
        queries,
        answers,
        pairs,
        setting=setting or ("P1" if options["group_col"] else "G"),
        cut=cut,
        years=years,
        scheme=scheme,
        centre=not no_centre,
        leave_out=None if in_sample else leave_out,  # type: ignore[arg-type]  # one of click's choice
        k=k,
    )
    found = evaluate(task, seed=seed, repeats=repeats)
    if out is not None:
        store.write_json(out, found.json())
    if pictures is not None:
        drawn(pictures, found)
    print_facts(found.json(), str(found), as_json=as_json)


@analogy.command()
@click.argument("system", default="dense")
@click.option("--clusters", type=click.IntRange(1), default=1, show_default=True, help="Clusters of topics, a vector each.")
@click.option("--scale", default="1", show_default=True, help="The vector's factor; of several, the best by leaving topics out.")
@click.option("--measure", default="nDCG@10", show_default=True, help="By which one of several is chosen.")
@LEAVE_OUT
@click.option("--control", type=Choice(["none", "random", "shuffled", "unjudged"]), default="none", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of clusters and controls.")
@click.option("--out", type=PATH, required=True, help="Folder to write.")
@dataset_option
@encoder_options
@indexes_option
@json_option
def offset(
    system: str,
    clusters: int,
    scale: str,
    measure: str,
    leave_out: str,
    control: str,
    seed: int,
    out: Path,
    *,
    as_json: bool,
    **options: Any,
) -> None:
    """Learn what leads from a dataset's topics to their documents under SYSTEM, dense or dense behind filters.

    \b
    rarityir analogy offset dense --dataset beir/scifact/train --scale 0,0.25,0.5,1 --out offsets/scifact
    rarityir eval --dataset scifact --systems dense,dense:offset=offsets/scifact --baseline dense
    """
    from rarityir.analogy.offsets import Judged, learn, tune
    from rarityir.measures import Measure
    from rarityir.systems import System

    scales, parsed = numbers(scale), System.parse(system)
    Measure.parse(measure)
    source = retriever(options)
    judged = Judged.of(source, parsed)
    tried: dict[str, float] = {}
    if len(scales) > 1:
        left: Any = leave_out
        scores = tune(source, parsed, judged, scales, clusters=clusters, measure=measure, leave_out=left, seed=seed)
        tried = {f"{one:g}": round(found.mean(measure), 4) for one, found in scores.items()}
        scales = [max(scales, key=lambda one: (scores[one].mean(measure), -abs(one)))]
    found = learn(judged, clusters=clusters, scale=scales[0], control=control, seed=seed)
    found.save(out)
    facts = {"offset": str(out), **{key: value for key, value in found.learned_on.items() if key != "vectors"}}
    facts |= {"left_out": {measure: tried}} if tried else {}
    said = "every topic left out" if leave_out == "query" else "every topic left out, and all that share a document with it"
    lines = [f"{measure} {value:.4f} at scale {one}, {said}" for one, value in tried.items()]
    lines.append(
        f"{out}: scale {scales[0]:g}, {facts['clusters']} cluster(s), {facts['pairs']} pairs of {facts['topics']} topics"
    )
    print_facts(facts, "\n".join(lines), as_json=as_json)


for command in (relating.years, relating.gain):
    analogy.add_command(command)
