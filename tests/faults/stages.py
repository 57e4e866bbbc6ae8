"""The commands that faults are put into, and what each needs, writes and is checked by."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from faults.harness import MODEL, Launcher, collection, contents

SYSTEMS = "dense,sparse:16+edge:2,rrf(dense,sparse:16)"


@dataclass(frozen=True)
class Stage:
    """A command, the stages whose results it starts from, and a command that shows what its result is."""

    name: str
    argv: tuple[str, ...]
    after: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()  # a command run afterwards, whose result counts too
    quick: bool = False  # among those that every test run tries


def _on(*words: str) -> tuple[str, ...]:
    return (*words, "--dataset", "{many}", "--encoder", str(MODEL), "--device", "cpu", "--indexes", "indexes", "--force")


STAGES = {
    stage.name: stage
    for stage in (
        Stage("encode", _on("encode"), quick=True),
        Stage("encode --store-dtype float16", _on("encode", "--store-dtype", "float16")),
        Stage("index sparse", _on("index", "sparse:16+edge:2"), ("encode",), quick=True),
        Stage("index sparse, every state", _on("index", "sparse:8,style=lightretriever")),
        Stage("index dense", _on("index", "dense"), ("encode",), quick=True),
        Stage("index dense:hnsw", _on("index", "dense:hnsw,8"), ("encode",)),
        Stage("index bm25", _on("index", "bm25"), shown=_on("search", "bm25", "--out", "bm25.trec")),
        Stage("index bm25-idf", _on("index", "bm25-idf")),
        Stage("search", _on("search", "dense", "--out", "runs/dense.trec"), ("index dense",), quick=True),
        Stage("eval", _on("eval", "--systems", SYSTEMS, "--baseline", "dense", "--out", "report")),
        Stage("report", ("report", "report", "--measures", "nDCG@5,R@10"), ("eval",), quick=True),
        Stage("filter fit", ("filter", "fit", str(MODEL), "edge:2", "--out", "filter")),
        Stage(
            "filter apply",
            ("filter", "apply", "filter", "indexes/{corpus}/stories260K/embeddings", "--out", "filtered"),
            ("encode", "filter fit"),
        ),
        Stage("rarity stats", ("rarity", "stats", "--dataset", "{many}", "--model", str(MODEL), "--out", "stats"), quick=True),
        Stage("sparse build", ("sparse", "build", "{many}/vectors.jsonl", "vectors")),
        Stage(
            "modelmap texts", ("modelmap", "texts", "--dataset", "{many}", "--n", "40", "--min-bytes", "8", "--out", "texts.json")
        ),
        Stage(
            "modelmap score",
            ("modelmap", "score", "texts.json", "--model", f"a={MODEL}", "--out", "scores"),
            ("modelmap texts",),
        ),
    )
}


class Base:
    """Undisturbed results of stages, each made once: what a stage starts from, and what it must come to."""

    def __init__(self, launcher: Launcher, home: Path, many: Path | None = None) -> None:
        self.launch, self.home = launcher, home
        self.boundaries: dict[str, list[str]] = {}
        self.seconds: dict[str, float] = {}
        (home / "empty").mkdir(parents=True)
        self.many = many or collection(home / "collection" / "many")
        (home / "empty" / "notes.txt").write_text("A user's own file stands beside what is written.\n")

    def before(self, stage: Stage) -> Path:
        """Returns the folder that the stage starts from."""
        if not stage.after:
            return self.home / "empty"
        joined = self.home / ("+".join(stage.after).replace(" ", "-").replace("/", "-") + ".before")
        if not joined.exists():
            for name in stage.after:
                shutil.copytree(self.result(STAGES[name]), joined, dirs_exist_ok=True)
        return joined

    def result(self, stage: Stage) -> Path:
        """Returns the folder as the undisturbed stage leaves it."""
        made = self.home / stage.name.replace(" ", "-").replace("/", "-")
        if not made.exists():
            cached = self.cached()
            self.count(stage, shutil.copytree(self.before(stage), made))
            if self.cached() != cached:  # what is killed later finds the caches written, and passes fewer boundaries
                self.count(stage, self.fresh(stage, self.home / "again"))
            self.show(stage, made)
        return made

    def cached(self) -> set[Path]:
        """Returns the files that commands keep for later ones."""
        return set((self.launch.home / "cache").rglob("*"))

    def count(self, stage: Stage, folder: Path) -> None:
        """Runs the stage undisturbed and keeps the boundaries that it passes."""
        count = self.home / "count"
        done = self.launch(self.argv(stage, folder), folder, faults={"frozen": True, "count": str(count)})
        assert done.status == 0, f"{stage.name}: {done.err}"
        self.boundaries[stage.name], self.seconds[stage.name] = count.read_text().split(), done.seconds

    def show(self, stage: Stage, folder: Path) -> None:
        """Runs the command that shows what the stage has made, where there is one."""
        if stage.shown:
            done = self.launch(self.filled(stage.shown, folder), folder, faults={"frozen": True})
            assert done.status == 0, f"{stage.name}: {done.err}"

    def wanted(self, stage: Stage) -> Mapping[str, str]:
        """Returns what the folder must hold at the end."""
        return contents(self.result(stage))

    def fresh(self, stage: Stage, place: Path) -> Path:
        """Copies what the stage starts from to a place, which is emptied before."""
        shutil.rmtree(place, ignore_errors=True)
        return Path(shutil.copytree(self.before(stage), place))

    def argv(self, stage: Stage, folder: Path) -> list[str]:
        """Returns a stage's command as it is given in a folder."""
        return self.filled(stage.argv, folder)

    def filled(self, words: tuple[str, ...], folder: Path) -> list[str]:
        """Puts the collection, and its folder of indexes, into a command."""
        corpus = next((path.name for path in sorted((folder / "indexes").glob("many*"))), "")
        return [word.replace("{corpus}", corpus).replace("{many}", str(self.many)) for word in words]
