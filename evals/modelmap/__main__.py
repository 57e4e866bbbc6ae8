"""Makes what is kept beside this file, by the commands that anyone has.

    python -m evals.modelmap systems WORK cranfield scifact nfcorpus
    python -m evals.modelmap models WORK science-5=CKPTS/science-5 … demo=demo
    python -m evals.modelmap layers WORK cranfield scifact nfcorpus

`systems` maps the runs of evals/NAME.toml, which `rarityir eval --experiment evals/NAME.toml` writes. `models` maps language
models (`python -m evals.maps` and `evals/demo_model/train.py --keep` train them) on pieces of Cranfield, checks that text set on
texts that the models write, retrieves Cranfield with each, and compares the two maps. WORK holds what may be thrown away.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tomllib
from pathlib import Path

from rarityir.cli import main as rarityir
from rarityir.systems import System, slug

HERE = Path(__file__).parent
LENGTH = ("--max-bytes", "400", "--min-bytes", "256")
FACTS = ("models", "unit", "exponent", "r2", "from_start", "adjacent")


def say(*words: object) -> dict:
    """The command's JSON; a command that fails ends everything."""
    print("rarityir", *words, flush=True)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = rarityir([*map(str, words), "--json"])
    if status:
        raise SystemExit(status)
    return json.loads(out.getvalue())


def keep(name: str, facts: object) -> None:
    (HERE / name).parent.mkdir(parents=True, exist_ok=True)
    (HERE / name).write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def systems(names: list[str]) -> None:
    for name in names:
        wanted = tomllib.loads((HERE.parent / f"{name}.toml").read_text(encoding="utf-8"))["systems"]
        runs = [HERE.parent / name / "runs" / f"{slug(str(System.parse(system)))}.trec" for system in wanted]
        if missing := [run for run in runs if not run.exists()]:
            raise SystemExit(f"{missing[0]} is missing; make it with: rarityir eval --experiment evals/{name}.toml")
        say("modelmap", "runs", *runs, "--dataset", name, "--out", HERE / name)


def models(work: Path, given: list[str]) -> None:
    named = dict(word.split("=", 1) for word in given)
    chosen = [word for pair in named.items() for word in ("--model", "=".join(pair))]
    say("modelmap", "texts", "--dataset", "cranfield", "--n", 300, *LENGTH, "--out", work / "texts.json")
    say("modelmap", "score", work / "texts.json", "--bos", "always", *chosen, "--out", work / "scores")
    scores = [work / "scores" / name for name in named]
    if not (work / "own.json").exists():
        say("modelmap", "sample", *chosen, "--each", 20, *LENGTH, "--out", work / "own.json")
    say("modelmap", "score", work / "own.json", "--bos", "always", *chosen, "--out", work / "own")
    owned = [word for name in named for word in ("--own", work / "own" / name)]
    facts = say("modelmap", "kl", *scores, *owned, "--out", work / "map.npz")
    keep("models/kl.json", {key: value for key, value in facts.items() if key != "map"})
    out = HERE / "models" / "map.svg"
    jitter = say("modelmap", "plot", work / "map.npz", "--jitter", 200, "--ruler", "--out", out)["jitter"]
    keep("models/jitter.json", {"runs": jitter["runs"], "sd": dict(zip(named, jitter["sd"], strict=True))})
    for family in ("science", "other", "step"):
        steps = sorted((int(name.removeprefix(f"{family}-")), name) for name in named if name.startswith(f"{family}-"))
        if len(steps) > 2:
            order, times = [work / "scores" / name for _, name in steps], ",".join(str(step) for step, _ in steps)
            told = say("modelmap", "trajectory", *order, "--steps", times)
            keep(f"models/trajectory-{family}.json", {key: told[key] for key in FACTS})
    runs = []
    for name, model in named.items():
        runs.append(work / "runs" / f"{name}.trec")
        if not runs[-1].exists():
            say("search", "dense", "--encoder", model, "--indexes", work / "indexes", "--out", runs[-1])
    facts = say("modelmap", "runs", *runs, "--map", work / "map.npz", "--dataset", "cranfield", "--out", work / "runmap")
    keep("models/backbones.json", {key: facts[key] for key in ("systems", "kl", "unit", "agreement", "by_measure", "check")})


def layers(work: Path, names: list[str]) -> None:
    say("modelmap", "texts", "--dataset", "cranfield", "--n", 80, *LENGTH, "--out", work / "few.json")
    for name in names:
        picture = HERE / "layers" / f"{name}.svg"
        said = say(
            "modelmap", "layers", work / "few.json", "--model", "demo", "--bos", "always", "--dataset", name, "--picture", picture
        )
        keep(f"layers/{name}.json", {key: value for key, value in said.items() if key != "picture"})


def main() -> None:
    part, work, names = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    work.mkdir(parents=True, exist_ok=True)
    {"systems": lambda: systems(names), "models": lambda: models(work, names), "layers": lambda: layers(work, names)}[part]()


if __name__ == "__main__":
    main()
