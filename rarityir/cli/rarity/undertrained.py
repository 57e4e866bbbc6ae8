"""`rarityir rarity undertrained`."""

from __future__ import annotations

from pathlib import Path

import click

from rarityir.cli.options import json_option, print_facts


@click.command()
@click.option("--model", metavar="M", default="demo", show_default=True, help="Short name, hub id or folder.")
@click.option("--dataset", metavar="D", help="Whose documents and queries are looked through, and give frequencies.")
@click.option(
    "--stats", "counted", type=click.Path(path_type=Path), help="Frequencies of `rarity stats --out` instead of the dataset's."
)
@click.option("--probe/--no-probe", default=True, show_default=True, help="Ask a probe how rare each row says its token is.")
@click.option("--reference", metavar="I,J", help="Ids of unused rows, where the model has none that can be told.")
@click.option("--threshold", type=float, help="Score from which a token counts.  [default: half of the unused rows' median]")
@click.option("--limit", type=click.IntRange(1), help="Read the first so many documents only.")
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="Tokens listed.")
@click.option("--ask", type=click.IntRange(0), default=0, help="Load the model, and have it repeat so many of the tokens found.")
@click.option("--device", default="auto", show_default=True, help="Where it is asked: cpu, cuda, cuda:1, mps or auto.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the probe's folds.")
@click.option("--workers", type=click.IntRange(0), default=0, help="Processes that tokenise.  [default: one a core]")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for undertrained.json, its picture and one page.")
@json_option
def undertrained(
    model: str,
    dataset: str | None,
    counted: Path | None,
    reference: str | None,
    threshold: float | None,
    limit: int | None,
    top: int,
    ask: int,
    device: str,
    seed: int,
    workers: int,
    out: Path | None,
    *,
    probe: bool,
    as_json: bool,
) -> None:
    """List the tokens whose rows look as if no text had trained them.

    \b
    rarityir rarity undertrained --model demo --dataset cranfield --ask 50
    rarityir rarity undertrained --model Qwen/Qwen2.5-0.5B --stats stats/scifact --out out

    Rows are compared with those that no text can have trained: padding, reserved tokens, bytes that no text has. With
    frequencies, lengths are judged against what is usual for tokens as frequent, and a probe tells how rare each row says its
    token is. With a dataset, the share of its documents and queries that the tokens touch is printed. The model is loaded only
    for --ask: tokens that it gives less than .01 however often they were shown are ones it cannot say.
    """
    from rarityir.datasets import load_dataset
    from rarityir.rarity.predictions import predict
    from rarityir.rarity.stats import TokenStats
    from rarityir.rarity.suspects import find

    data = None if dataset is None else load_dataset(dataset)
    stats: TokenStats | None = None
    if counted is not None:
        stats = TokenStats.load(counted)
    elif data is not None:
        stats = TokenStats.from_dataset(data, model, limit=limit or 0, workers=workers)
    predicted = predict(model, stats, "log_icf", "output", seed=seed) if probe and stats is not None else None
    found = find(
        model, dataset=data, stats=stats, predicted=predicted, reference=_ids(reference), threshold=threshold, top=top,
        limit=limit or 0, workers=workers, ask=ask, device=device,
    )  # fmt: skip
    if out is not None:
        from rarityir.rarity.suspects_page import write

        write(found, out)
    print_facts(found.facts, found.text(), as_json=as_json)


def _ids(text: str | None) -> list[int]:
    try:
        return [int(piece) for piece in (text or "").split(",") if piece.strip()]
    except ValueError:
        raise click.UsageError(f"--reference {text} is no list of ids; write 3,14,15") from None
