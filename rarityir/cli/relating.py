"""`rarityir analogy years | gain`, and what its other commands share: pairs, vectors, pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rarityir.cli.options import (
    Choice,
    dataset_option,
    encoder_options,
    given,
    indexes_option,
    json_option,
    print_facts,
    retriever,
)

if TYPE_CHECKING:
    from rarityir.analogy.named import Named
    from rarityir.analogy.pairs import Pair
    from rarityir.analogy.scoring import Evaluation

PATH = click.Path(path_type=Path)
PAIRS = (
    click.option(
        "--pairs", type=PATH, required=True, help="Table with a heading, tabs between: query, answer, and more columns."
    ),
    click.option("--group-col", default="", metavar="C", help="The column of groups, such as pathway."),
    click.option("--time-col", default="", metavar="C", help="The column of times, such as year."),
    click.option("--reverse", is_flag=True, help="Ask for queries by answers."),
    click.option(
        "--vectors",
        metavar="V",
        help="Vectors: .npz, GloVe's or word2vec's text, random:D, or tokens:input and tokens:output, the mean row of a name's "
        "tokens.  [default: encode names]",
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Seed of all that is drawn."),
)
HOW = (
    click.option("--scheme", type=Choice(["pair-mean", "type-mean"]), default="pair-mean", show_default=True),
    click.option("--no-centre", is_flag=True, help="Leave the candidates' mean on both sides."),
    click.option("--cut", type=float, metavar="Y", help="Fit on pairs of Y or before alone; needs --time-col."),
)
LEAVE_OUT = click.option(
    "--leave-out", type=Choice(["query", "shared"]), default="query", show_default=True,
    help="A query's own pairs, or also those of all that share an answer with it.",
)  # fmt: skip
K = click.option("--k", type=click.IntRange(1), default=1000, show_default=True, help="Answers ranked for a query.")


def with_options(options: tuple[Callable[[Any], Any], ...]) -> Callable[[Any], Any]:
    """Returns what adds several options to a command."""

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@click.command()
@with_options(PAIRS)
@click.option("--cuts", required=True, metavar="Y,Z", help="Years to cut at, such as 1990,2000,2010; needs --time-col.")
@click.option("--scheme", type=Choice(["pair-mean", "type-mean"]), default="pair-mean", show_default=True)
@click.option("--no-centre", is_flag=True, help="Leave the candidates' mean on both sides.")
@click.option("--measure", default="hit_rate@10", show_default=True, help="The measure that is drawn.")
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True, help="Draws of the baselines that are drawn.")
@click.option("--picture", type=PATH, help="Also draw it: .svg, .png or .pdf.")
@encoder_options
@json_option
def years(
    cuts: str,
    scheme: str,
    measure: str,
    repeats: int,
    picture: Path | None,
    seed: int,
    *,
    no_centre: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Fit on what was known by each year of --cuts and find what came later, beside the baselines.

    \b
    rarityir analogy years --pairs pairs.tsv --time-col year --cuts 1990,2000,2010 --vectors concepts.npz --picture years.svg
    """
    from rarityir.analogy.scoring import MEASURES
    from rarityir.analogy.views import by_year
    from rarityir.report import analogy as pictures

    if not options["time_col"]:
        raise click.UsageError("--cuts needs --time-col")
    if measure not in MEASURES:
        raise click.UsageError(f"--measure {measure!r} is none of {', '.join(MEASURES)}")
    at, setting = numbers(cuts, "--cuts", "1990,2000,2010"), "P1" if options["group_col"] else "G"
    pairs, queries, answers = read(options, seed)
    found = by_year(queries, answers, pairs, at, setting=setting, scheme=scheme, centre=not no_centre, seed=seed, repeats=repeats)
    facts: dict[str, Any] = {"setting": setting, "seed": seed, "cuts": [one._asdict() for one in found]}
    rows = {row: [one.scores[row][measure] for one in found] for row in found[0].scores}
    if picture is not None:
        known, later = [one.known for one in found], [one.later for one in found]
        facts["picture"] = str(pictures.years(picture, [one.cut for one in found], known, later, rows, measure))
    lines = [f"{measure:<16}{'known':>8}{'later':>8}" + "".join(f"{row:>16}" for row in rows)]
    lines += [
        f"{one.cut:<16g}{one.known:>8}{one.later:>8}" + "".join(f"{one.scores[row][measure]:>16.3f}" for row in rows)
        for one in found
    ]
    print_facts(facts, "\n".join(lines), as_json=as_json)


@click.command()
@click.argument("offset", type=PATH)
@click.option("--measure", default="nDCG@10", show_default=True, help="What may be gained.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the bootstrap.")
@click.option("--picture", type=PATH, help="Also draw it: .svg, .png or .pdf.")
@dataset_option
@encoder_options
@indexes_option
@json_option
def gain(offset: Path, measure: str, seed: int, picture: Path | None, *, as_json: bool, **options: Any) -> None:
    """Print what OFFSET changes on a dataset's topics, cluster by cluster, with 95% intervals by the bootstrap.

    \b
    rarityir analogy gain offsets/scifact --dataset scifact --picture gain.svg
    """
    from rarityir import measures
    from rarityir.analogy.views import by_cluster
    from rarityir.indexes.offset import Offset
    from rarityir.report import analogy as pictures
    from rarityir.systems import System

    measures.Measure.parse(measure)
    found = Offset.load(offset)
    plain = System.parse(str(found.learned_on["system"]))
    index, plus, filters = str(plain).partition("+")
    moved = System.parse(f"{index}{',' if ':' in index else ':'}offset={offset}{plus}{filters}")
    source = retriever(options)
    before, after = (
        measures.evaluate(source.run(system), source.dataset.qrels, [measure], list(source.dataset.topics))
        for system in (plain, moved)
    )
    at = {query_id: row for row, query_id in enumerate(source.dataset.topics)}
    q_QK = source.queries(plain)[[at[query_id] for query_id in before.query_ids]]
    gains = by_cluster(found, q_QK, before, after, measure, seed=seed)
    whole = after.mean(measure) - before.mean(measure)
    facts: dict[str, Any] = {
        "offset": str(offset), "system": str(plain), "dataset": source.dataset.name, "measure": measure, "seed": seed,
        "before": round(before.mean(measure), 4), "after": round(after.mean(measure), 4),
        "clusters": [one._asdict() for one in gains],
    }  # fmt: skip
    if picture is not None:
        facts["picture"] = str(pictures.gains(picture, gains, measure))
    lines = [f"{'cluster':>7} {'topics':>7} {'change':>8}  95%"]
    lines += [f"{one.cluster:>7} {one.topics:>7} {one.mean:>8.4f}  {one.low:.4f} to {one.high:.4f}" for one in gains]
    lines.append(f"{plain}: {before.mean(measure):.4f} to {after.mean(measure):.4f} ({whole:+.4f}) on {source.dataset.name}")
    print_facts(facts, "\n".join(lines), as_json=as_json)


def drawn(folder: Path, found: Evaluation) -> None:
    """Draws an evaluation's pairs and, where it has groups, their scores by size."""
    from rarityir.analogy.views import by_group, plane, sizes
    from rarityir.report import analogy as pictures

    pictures.arrows(folder / "arrows.svg", *plane(found.task))
    if found.task.setting != "G":
        measure = next(iter(found.rows[0].values))
        pictures.groups(folder / "groups.svg", sizes(found.task), by_group(found, measure), measure)


def numbers(text: str, option: str = "--scale", example: str = "0,0.5,1") -> list[float]:
    """Reads finite numbers with commas between."""
    try:
        found = [float(one) for one in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(abs(one) < float("inf") for one in found):
        raise click.UsageError(f"{option} {text!r} is no number, or several with commas between, such as {example}")
    return found


def read(options: dict[str, Any], seed: int, more: tuple[str, ...] = ()) -> tuple[list[Pair], Named, Named]:
    """Returns the pairs of the options, and the vectors of their queries (and some more names) and of their answers."""
    from rarityir.analogy.pairs import read_pairs

    values = given(options)
    path, vectors = values.pop("pairs"), values.pop("vectors", None)
    columns = {"group": values.pop("group_col"), "time": values.pop("time_col"), "reverse": values.pop("reverse")}
    pairs = read_pairs(path, **columns)
    queries = tuple(dict.fromkeys((*(pair.query for pair in pairs), *more)))
    answers = tuple(dict.fromkeys(pair.answer for pair in pairs))
    found = _vectors(vectors, tuple(dict.fromkeys((*queries, *answers))), seed, values)
    return pairs, found.of(queries), found.of(answers)


def _vectors(vectors: str | None, names: tuple[str, ...], seed: int, values: dict[str, Any]) -> Named:
    from rarityir.analogy.named import Named
    from rarityir.encoders import load_encoder

    if vectors is None:
        return Named.encoded(names, load_encoder(values.pop("encoder", "demo"), **values))
    if vectors in ("tokens:input", "tokens:output"):
        encoder = load_encoder(values.pop("encoder", "demo"), **values)
        return Named.of_tokens(names, encoder, vectors.removeprefix("tokens:"))
    if not vectors.startswith("random:"):
        return Named.read(vectors)
    width = vectors.removeprefix("random:")
    if not width.isdigit() or int(width) < 1:
        raise click.UsageError(f"--vectors {vectors}: random: needs a width, such as random:300")
    return Named.drawn(names, int(width), seed)
