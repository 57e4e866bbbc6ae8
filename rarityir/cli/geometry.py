"""`rarityir geometry`: the tokens nearest to directions, and whether they belong together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rarityir.cli.options import json_option, print_facts

if TYPE_CHECKING:
    from rarityir.rarity.rows import Matrix
    from rarityir.types import Ints

_MATRICES = {"in": "input", "out": "output"}


@click.command()
@click.option("--model", default="demo", show_default=True, help="Short name, hub id or folder of a causal LM.")
@click.option("--matrix", default="out", show_default=True, help="Rows that are searched: in, out, or a layer's states, type:L.")
@click.option(
    "--channel",
    help="Rows in which neighbours are scored independently: in, out, type:L, none, or a .npy file of (V, D) rows.  "
    "[default: out for in and in for out, where they are not one matrix]",
)
@click.option(
    "--families",
    default="iso,cov,pc,filter,pcs,pairs",
    show_default=True,
    help="iso, cov, pc:K, pcs, removed, kept (filter for both), pairs, rows, or a name of --directions.",
)
@click.option(
    "--variants",
    default="raw,centred",
    show_default=True,
    help="raw, centred, zipf, whitened, filtered, shuffled, gaussian.",
)
@click.option(
    "--filter", "filter_", default="edge:2", show_default=True, help="The filter of filter, removed, kept and filtered."
)
@click.option("--directions", multiple=True, metavar="NAME=FILE", help="A family from a .npy file of (M, D) vectors; repeatable.")
@click.option("--n", type=click.IntRange(1), default=1000, show_default=True, help="Directions of a family.")
@click.option("--k", type=click.IntRange(2), default=10, show_default=True, help="Nearest tokens of a direction.")
@click.option("--random-sets", type=click.IntRange(1), default=1000, show_default=True, help="Matched sets for each direction.")
@click.option("--labels", default="script,casing,leading_space,digit,suffix", show_default=True, help="Systems of labels.")
@click.option("--labels-file", multiple=True, metavar="[NAME=]FILE", help="Labels of lines token<TAB>label; repeatable.")
@click.option("--dataset", metavar="D", help="Count tokens in a dataset's documents.  [default: running English]")
@click.option("--stats", metavar="DIR", help="Count tokens as a folder of statistics says.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write JSON, tables, picture and page there.")
@json_option
def geometry(matrix: str, families: str, variants: str, out: Path | None, *, model: str, as_json: bool, **options: Any) -> None:
    """Find the tokens nearest to random and other directions, and say how many directions' belong together.

    \b
    rarityir geometry --out geometry
    rarityir geometry --matrix in --families iso,filter --variants raw,centred,gaussian --n 200
    rarityir geometry --model gpt2 --channel type:6 --dataset scifact --json
    rarityir geometry --directions probe=probe.npy --families iso,probe --labels-file supersense=wordnet.tsv

    Whether they belong together is scored in a matrix that had no part in choosing them (--channel), and in the same one less
    what chance gives there; each against random sets of tokens as frequent. Variants shuffled and gaussian hold no tokens: they
    show what the tests say of nothing. Labels come from the tokens' strings, or from files you have; nothing is downloaded.
    """
    study = _study(model, matrix, _names(families), _names(variants), options)
    if out is not None:
        study.save(out)
    print_facts(study.json() if as_json else {}, study.text().rstrip(), as_json=as_json)


def _study(model: str, matrix: str, families: list[str], variants: list[str], options: dict[str, Any]) -> Any:
    import numpy as np

    from rarityir import checkpoints
    from rarityir.filters import EmbedFilter
    from rarityir.geometry.families import check as check_family
    from rarityir.geometry.labelling import label_systems, read_labels
    from rarityir.geometry.study import report
    from rarityir.geometry.variants import check as check_variant
    from rarityir.rarity.forms import Forms
    from rarityir.rarity.rows import rows

    families = [name for family in families for name in (("removed", "kept") if family == "filter" else (family,))]
    given = {name or path.stem: _array(path) for name, path in map(_split, options["directions"])}
    for family in families:
        check_family(family, given)
    for variant in variants:
        check_variant(variant)
    found = rows(model, _MATRICES.get(matrix, matrix))
    x_VD = found.array()
    channel, named = _channel(model, found, options["channel"])
    forms = Forms.of(model, len(x_VD))
    labels = label_systems(forms, _names(options["labels"]))
    for name, path in map(_split, options["labels_file"]):
        labels[name or path.stem] = read_labels(path, forms.texts)
    wanted = {"removed", "kept"} & set(families) or "filtered" in variants
    return report(
        x_VD,
        families=families,
        variants=variants,
        channel=channel,
        texts=forms.texts,
        counts=_counts(model, len(x_VD), options["dataset"], options["stats"]),
        labels=labels,
        basis=np.asarray(EmbedFilter.fit(model, options["filter_"]).basis) if wanted else None,
        given=given,
        n=options["n"],
        k=options["k"],
        n_null=options["random_sets"],
        seed=options["seed"],
        name=f"{checkpoints.called(model)} {found.name}" + (f", filter {options['filter_']}" if wanted else ""),
        channel_name=named,
    )


def _channel(model: str, searched: Matrix, given: str | None) -> tuple[Any, str]:
    """The rows of the independent channel and what to call them; none where there is none."""
    from rarityir.rarity.rows import rows

    stored = set(_MATRICES.values())
    if given is None:
        given = "none" if searched.tied or searched.name not in stored else "output" if searched.name == "input" else "input"
    if given == "none":
        return None, ""
    if given.endswith(".npy"):
        return _array(Path(given)), Path(given).stem
    found = rows(model, _MATRICES.get(given, given))
    if found.name == searched.name or (searched.tied and {found.name, searched.name} == stored):
        raise click.UsageError(f"--channel {given} is the searched matrix itself, so nothing in it is independent; give another")
    return found.array(), found.name


def _counts(model: str, vocabulary: int, dataset: str | None, stats: str | None) -> Ints:
    from rarityir.counts import TokenCounts
    from rarityir.rarity.stats import TokenStats
    from rarityir.rarity.tokenizing import Tokenizing
    from rarityir.types import RarityError

    if dataset and stats:
        raise click.UsageError("--dataset and --stats both say how frequent tokens are; give one")
    if stats:
        counts = TokenStats.load(stats).counted_by(Tokenizing.of(model)).counts().counts
    elif dataset:
        counts = TokenStats.from_dataset(dataset, model).counts().counts
    else:
        counts = TokenCounts.english(model, vocabulary).counts
    if len(counts) > vocabulary:
        raise RarityError(f"the statistics are of {len(counts)} tokens, the matrix has {vocabulary} rows; count with {model}")
    import numpy as np

    return np.pad(counts, (0, vocabulary - len(counts)))


def _array(path: Path) -> Any:
    import numpy as np

    from rarityir import parsing
    from rarityir.types import RarityError

    try:
        found = parsing.array(path)
    except parsing.BROKEN as error:
        raise RarityError(f"{path} is no array of numbers ({error}); save one with numpy.save") from None
    return np.atleast_2d(found)


def _split(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    return (name, Path(path)) if equals else ("", Path(text))


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
