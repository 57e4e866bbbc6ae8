"""`rarityir informativeness corpus | model | correct | report`: weights made, corrected, shown beside each other, kept."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rarityir.cli.options import encoder_options, json_option, print_facts, reader

if TYPE_CHECKING:
    from rarityir.informativeness import TokenInformation

DATASET = click.option(
    "--dataset", metavar="D", default="cranfield", show_default=True, help="Whose documents are read: alias, id or folder."
)
OUT = click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Folder for the weights.")
TOP = click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="Tokens shown at either end.")
LIMIT = click.option("--limit", type=click.IntRange(1), help="Read the first so many documents only.")
BINS = click.option("--bins", type=click.IntRange(1), default=200, show_default=True, help="Bins of log frequency.")
LEAST = click.option("--min-per-bin", type=click.IntRange(1), default=50, show_default=True, help="Tokens a bin has at least.")
QUANTILE = click.option("--quantile", type=click.FloatRange(0, 1), default=0.03, show_default=True, help="Taken off in a bin.")


@click.command()
@DATASET
@click.option("--context", default="document", show_default=True, help="document, or window:10 for 10 tokens on either side.")
@click.option("--correct", default="none", show_default=True, help="none, shuffle, round, quantile or analytic.")
@click.option("--runs", type=click.IntRange(1), default=10, show_default=True, help="Shuffles whose mean is taken off.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the shuffles.")
@click.option(
    "--contexts", type=click.IntRange(0), default=1024, show_default=True, help="Tokens windows are counted against; 0 all."
)
@click.option("--encoder", metavar="E", default="demo", show_default=True, help="Whose tokens.")
@LIMIT
@TOP
@OUT
@json_option
def corpus(
    dataset: str, context: str, correct: str, runs: int, seed: int, contexts: int, encoder: str, limit: int | None,
    top: int, out: Path | None, *, as_json: bool,
) -> None:  # fmt: skip
    """Weigh tokens by how far the documents, or the windows, they stand in are from the usual.

    \b
    rarityir informativeness corpus --dataset scifact --out weights/scifact
    rarityir informativeness corpus --context window:10 --correct shuffle --out weights/window
    rarityir eval --dataset scifact --systems "bm25-idf:weights/scifact,sparse:64,weights=weights/scifact"
    """
    from rarityir.informativeness import from_corpus

    found = from_corpus(
        dataset, reader(encoder, {}), context, correct, runs=runs, seed=seed, contexts=contexts, limit=limit or 0
    )  # fmt: skip
    _show(found, out, top, as_json=as_json)


@click.command()
@DATASET
@click.option("--kind", default="exact", show_default=True, help="exact, quadratic or norm (a heuristic).")
@click.option(
    "--reference", default="mean", show_default=True, help="mean, unigram or argmin: what predictions are held against."
)
@click.option("--checked", type=click.IntRange(0), default=2000, show_default=True, help="States a fit is made on; 0 all.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of which states those are.")
@LIMIT
@TOP
@OUT
@encoder_options
@json_option
def model(
    dataset: str, kind: str, reference: str, checked: int, seed: int, limit: int | None, top: int, out: Path | None,
    *, as_json: bool, **reading: Any,
) -> None:  # fmt: skip
    """Weigh tokens by what a model's states at them tell of the next token.

    \b
    rarityir informativeness model --dataset scifact --limit 200 --out weights/exact
    rarityir informativeness model --kind quadratic --limit 200
    """
    from rarityir.datasets import load_dataset
    from rarityir.informativeness import from_model

    texts = (doc.text for doc in islice(load_dataset(dataset).docs(), limit))
    encoder = reader(reading.pop("encoder", None) or "demo", reading)
    _show(from_model(encoder, texts, kind, reference, checked=checked, seed=seed), out, top, as_json=as_json)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--method", help="quantile, analytic or none.  [default: quantile, or as they are with --permute or --power]")
@click.option("--permute", type=int, metavar="SEED", help="Deal the values anew among tokens about as frequent: a control.")
@click.option("--power", type=click.FloatRange(0, min_open=True), metavar="G", help="Weights to this power, for poolings.")
@BINS
@LEAST
@QUANTILE
@TOP
@OUT
@json_option
def correct(
    folder: Path, method: str | None, permute: int | None, power: float | None, bins: int, min_per_bin: int, quantile: float,
    top: int, out: Path | None, *, as_json: bool,
) -> None:  # fmt: skip
    """Take the bias of few occurrences off saved weights, or make the control of them.

    \b
    rarityir informativeness correct weights/scifact --method quantile --out weights/corrected
    rarityir informativeness correct weights/scifact --permute 1 --out weights/control
    rarityir informativeness correct weights/scifact --method quantile --power 2 --out weights/pooling
    """
    from rarityir.informativeness import TokenInformation

    found = TokenInformation.load(folder)
    if method is not None or (permute is None and power is None):
        found = found.correct(method or "quantile", bins_count=bins, min_per_bin=min_per_bin, q=quantile)
    if permute is not None:
        found = found.permuted(permute)
    if power is not None:
        found = found.powered(power)
    _show(found, out, top, as_json=as_json)


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--dataset", metavar="D", help="Compare with the IDF of these documents.")
@click.option("--encoder", metavar="E", default="demo", show_default=True, help="Whose tokens the documents are counted in.")
@click.option("--picture", type=click.Path(path_type=Path), metavar="FILE", help="Draw the first: .svg, .png or .pdf.")
@TOP
@json_option
def report(
    folders: tuple[Path, ...], dataset: str | None, encoder: str, picture: Path | None, top: int, *, as_json: bool
) -> None:
    """Show saved weights, each beside the first, or beside the IDF of a dataset.

    \b
    rarityir informativeness report weights/scifact weights/window
    rarityir informativeness report weights/scifact --dataset scifact --picture scifact.svg
    """
    from rarityir.informativeness import TokenInformation
    from rarityir.rarity import TokenStats

    tables = [TokenInformation.load(folder) for folder in folders]
    idf, what = tables[0].values, str(folders[0])
    if dataset is not None:
        read = reader(encoder, {})
        idf, what = TokenStats.from_dataset(dataset, read.tokenize, vocabulary=len(read.tokens())).target("bm25_idf"), "idf"
    if picture is not None:
        _draw(tables[0], None if dataset is None else idf, folders[0].name, picture)
    facts, lines = [], []
    for place, (folder, found) in enumerate(zip(folders, tables, strict=True)):
        one = {"folder": str(folder), **_facts(found, top)}
        lines += [str(folder), *_lines(found, top)]
        if dataset is not None or place:
            with_other = found.compare(idf)._asdict()
            one["against"] = {"what": what, **with_other}
            lines.append(f"  against {what}: " + ", ".join(f"{key} {value:.4g}" for key, value in with_other.items()))
        facts.append(one)
    from rarityir.report.matching import json_shown, lines_shown

    click.echo(json_shown(json.dumps(facts, indent=1, ensure_ascii=False)) if as_json else lines_shown("\n".join(lines)))


def _draw(found: TokenInformation, idf: Any, title: str, path: Path) -> None:
    from rarityir.informativeness.bins import quantile_curve
    from rarityir.report import informativeness as drawing

    seen, low = found.seen, quantile_curve(found.raw, found.bin_of)
    other = None if idf is None else idf[seen]
    drawing.picture(drawing.Scatter(title, found.n[seen], found.raw[seen], found.values[seen], low[seen], other), path)


def _show(found: TokenInformation, out: Path | None, top: int, *, as_json: bool) -> None:
    if out is not None:
        found.save(out)
    facts = {**_facts(found, top), **({"folder": str(out)} if out else {})}
    print_facts(facts, "\n".join([*_lines(found, top), *([f"written to {out}"] if out else [])]), as_json=as_json)


def _facts(found: TokenInformation, top: int) -> dict[str, Any]:
    from rarityir.informativeness.comparing import correlation, rank

    seen = found.seen
    n, values = found.n[seen].astype(float), found.values[seen]
    return {
        "method": found.method, "correction": found.correction, "tokens": int(seen.sum()), "unseen": int((~seen).sum()),
        "support": found.support, "unseen_weighs": found.others, "spearman_with_n": correlation(rank(values), rank(n)),
        **found.facts, "highest": _ends(found, top, -1), "lowest": _ends(found, top, 1),
    }  # fmt: skip


def _ends(found: TokenInformation, top: int, sign: int) -> list[dict[str, Any]]:
    """The tokens with the highest or lowest values among those that occur often enough to be told: ten times."""
    import numpy as np

    often = np.flatnonzero(found.seen & (found.n >= min(10, found.n.max())))
    order = often[np.argsort(sign * found.values[often], kind="stable")[:top]]
    return [
        {"token": found.names[i], "id": int(i), "n": int(found.n[i]), "value": float(found.values[i])} for i in order
    ]  # fmt: skip


def _lines(found: TokenInformation, top: int) -> list[str]:
    facts = _facts(found, top)
    shown = [f"{key} {value:.4g}" for key, value in facts.items() if isinstance(value, int | float)]
    lines = [found.method, f"  correction {found.correction}; {'; '.join(shown)}"]
    for end in ("highest", "lowest"):
        some = [f"{(one['token'] or '#' + str(one['id'])).replace(' ', '␣')} {one['value']:.2f}" for one in facts[end]]
        lines.append(f"  {end} of tokens that occur 10 times: {'  '.join(some)}")
    return lines
