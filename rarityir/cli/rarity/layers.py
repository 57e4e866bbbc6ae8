"""`rarityir rarity layers`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rarityir.cli.options import json_option, names, print_facts
from rarityir.cli.rarity.probing import layering_options, studied

if TYPE_CHECKING:
    from rarityir.rarity.study import Study


@click.command()
@layering_options
@click.option("--matrices", metavar="X,Y", help="input, output, q, k, type:L, …  [default: input, up to six type:L, output]")
@click.option("--targets", metavar="A,B", default="log_idf", show_default=True, help="log_idf, log_icf, ridf, stop_word, …")
@json_option
def layers(*, model: str, matrices: str | None, targets: str, gain: bool, out: Path | None, as_json: bool, **how: Any) -> None:
    """Say how well a model's matrices, layer by layer, tell how rare tokens are: over types, and over running text.

    \b
    rarityir rarity layers
    rarityir rarity layers --matrices input,q,k,type:2,output --targets log_idf,ridf --out layers

    Every matrix is probed as `rarity probe` does it, with a uniform control beside. --out keeps JSON, pictures and one page.
    """
    from rarityir import store
    from rarityir.rarity.heat import spread_layers
    from rarityir.rarity.pictures import write_layers

    chosen = names(matrices) if matrices else ["input", *(f"type:{i}" for i in spread_layers(model)), "output"]
    asked = {"targets": tuple(names(targets)), "draws": 0}
    found = [studied(model, name, asked, filters="", gain=gain and name == "output", **how) for name in chosen]
    facts = {"model": model, "matrices": [study.json() for study in found]}
    if out is not None:
        store.write_json(out / "layers.json", facts)
        write_layers(found, out)
    print_facts(facts, _text(found), as_json=as_json)


def _text(found: list[Study]) -> str:
    from rarityir.rarity.listing import columns
    from rarityir.rarity.tables import interval

    rows = []
    for study in found:
        for i, target in enumerate(study.result.targets):
            pair = study.pair(target)
            rows.append(("" if i else study.sample.x.name, target.name, interval(pair.type), interval(pair.occurrence)))
    return "\n".join(columns(("matrix", "R² of", "by type", "by occurrence"), rows, words=(0, 1)))
