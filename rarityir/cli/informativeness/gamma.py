"""`rarityir informativeness gamma`."""

from __future__ import annotations

from pathlib import Path

import click

from rarityir.cli.options import dataset_option, encoder_options, indexes_option, json_option, print_facts, retriever


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--system", default="sparse:64", show_default=True, help="bm25-idf, or sparse:K with or without filters.")
@click.option("--gamma", "text", default="0,0.5,1,2", show_default=True, help="Powers of the weights; 0 is none of them.")
@click.option("--measure", default="nDCG@10", show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of intervals and tests.")
@click.option("--picture", type=click.Path(path_type=Path), metavar="FILE", help="Draw the changes: .svg, .png or .pdf.")
@click.option("--out", type=click.Path(path_type=Path), help="File for the JSON.")
@dataset_option
@encoder_options
@indexes_option
@json_option
def gamma(
    *, folders: tuple[Path, ...], system: str, text: str, measure: str, seed: int, picture: Path | None, out: Path | None,
    as_json: bool, **options: object,
) -> None:  # fmt: skip
    """Say what each power of token weights is worth, beside none of them. Choose one on other topics than those reported.

    \b
    rarityir informativeness gamma weights/scifact --dataset beir/scifact/train
    rarityir informativeness gamma weights/a weights/b --system bm25-idf --gamma 0,0.25,0.5,1 --picture gamma.svg

    Weights are files or folders of them. Changes are over topics, with a 95 % interval of the bootstrap; p is Fisher's
    randomisation test, Holm over the powers of one weight.
    """
    from rarityir import store
    from rarityir.powers import measured, powers
    from rarityir.report import informativeness as drawing
    from rarityir.systems import System

    try:
        gammas = sorted({0.0, *(float(part) for part in text.split(","))})
    except ValueError:
        raise click.UsageError(f"{text!r} is no list of powers such as 0,0.5,1") from None
    reader = retriever(options)
    System.parse(system)
    found = {str(folder): powers(measured(reader, system, folder, gammas, measure), seed) for folder in folders}
    facts = {
        "dataset": reader.dataset.name, "system": system, "measure": measure,
        "weights": {name: [row.json() for row in rows] for name, rows in found.items()},
    }  # fmt: skip
    if out is not None:
        store.write_json(out, facts)
    title = f"{system} on {reader.dataset.name}"
    if picture is not None:
        keys = ("gamma", "change", "low", "high")
        curves = {name: [[getattr(row, key) for row in rows] for key in keys] for name, rows in found.items()}
        drawing.curves([drawing.Curve(title, curves)], picture, columns=1, ylabel=f"change of {measure}")
    lines = [f"{measure} of {title}, by the power of weights"]
    for name, rows in found.items():
        lines += [name, f"{'gamma':>7} {measure:>9} {'change':>8} {'95 %':>18} {'p Holm':>7}"]
        for row in rows:
            span = f"{row.low:+.4f} … {row.high:+.4f}" if row.gamma else "–"
            tested = f"{row.p_holm:.4f}" if row.gamma else "–"
            lines.append(f"{row.gamma:>7g} {row.mean:>9.4f} {row.change:>+8.4f} {span:>18} {tested:>7}")
    print_facts(facts, "\n".join(lines), as_json=as_json)
