"""IDFs of every source on judged collections: tables, tests, the gap each recovers, and what was supposed of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarityir.corpus import check_judged
from rarityir.datasets.reading import check_measurable
from rarityir.indexes.subword import SubwordIndex
from rarityir.measures import Measure, compare, evaluate
from rarityir.measures.significance import ALPHA, randomisation
from rarityir.rarity.idf import document_surprise
from rarityir.rarity.recovered import Gap, recovered
from rarityir.rarity.sources import named
from rarityir.report.weighing import Against, Agreement, Line, Ratio, Supposition, Table, Weighing
from rarityir.retrieval import CUTOFF, Retriever
from rarityir.settings import IDFS, IdfSettings
from rarityir.systems import System
from rarityir.types import Dataset, Encoder, Scores

MEASURES = ("nDCG@10", "R@100", "RR@10", "AP")
UNIFORM, TRANSFER, ORACLE = "uniform", "transfer", "oracle"
UNSEEN, SEEN = "with tokens unseen in the source", "all tokens seen"
# What was supposed before anything was measured: the least gap that a probe recovers, and the most it loses to transfer.
LEAST, MOST = 0.8, 0.005
PROBES = ("probe", "probe-repaired")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """What is compared: IDFs at levels, from a source, by more options of the systems' names."""

    idfs: Sequence[str] = IDFS
    levels: Sequence[str] = ("L0", "L1")
    source: str = "english"
    options: str = ""
    measures: Sequence[str] = MEASURES
    cutoff: int = CUTOFF
    seed: int = 0
    shuffles: int = 10  # permutations that `shuffled` is the mean of: one alone favours or harms many topics together

    def system(self, idf: str, level: str) -> System:
        """Returns the system of an IDF at a level."""
        parts = [idf, f"level={level}", f"source={self.source}", *([self.options] if self.options else [])]
        return System.parse(f"bm25-idf:{','.join(parts)}")

    def systems(self, idf: str, level: str) -> list[System]:
        """Returns the systems whose mean an IDF is measured by: one, but of `shuffled` one for each permutation."""
        one = self.system(idf, level)
        return [System.parse(f"{one},seed={n}") for n in range(self.shuffles)] if idf == "shuffled" else [one]

    def check(self) -> None:
        """Raises what is wrong with any name before anything is built."""
        for measure in self.measures:
            Measure.parse(measure)
        named(self.source)
        for level in self.levels:
            for idf in self.idfs:
                system = self.system(idf, level)
                IdfSettings.parse(system.index.arg if system.index else "")


@dataclass(frozen=True)
class _Measured:
    """A dataset's measures by topic of every IDF and level, and which topics have tokens that the source has not."""

    dataset: str
    scores: dict[tuple[str, str], Scores]
    told: dict[tuple[str, str], bool]
    unseen: NDArray[np.bool_]
    source: str
    agreement: Agreement | None


def weigh(datasets: Sequence[Dataset], encoder: Encoder, asked: Asked, indexes: Path) -> Weighing:
    """Returns the comparison of IDFs on some datasets; indexes are built once and reused."""
    asked.check()
    measured = [_measured(Retriever(dataset, encoder, indexes), asked) for dataset in datasets]
    tables = [_table(one, encoder.name, asked) for one in measured]
    agreements = tuple(one.agreement for one in measured if one.agreement is not None)
    return Weighing(tables, tuple(_supposed(measured, asked)), asked.seed, asked.shuffles, agreements)


def _measured(retriever: Retriever, asked: Asked) -> _Measured:
    dataset, scores, told = retriever.dataset, {}, {}
    check_measurable(dataset)
    check_judged(dataset, retriever.corpus)
    for level in asked.levels:
        for idf in asked.idfs:
            systems = asked.systems(idf, level)
            runs = [retriever.run(system, asked.cutoff) for system in systems]
            found = [evaluate(run, dataset.qrels, asked.measures, list(dataset.topics)) for run in runs]
            means = {m: np.mean([one.values[m] for one in found], axis=0) for m in asked.measures}
            scores[idf, level] = Scores(idf, found[0].query_ids, means)
            told[idf, level] = bool(retriever.search(systems[0], asked.cutoff).cost.get("in_domain", False))
            log.info("%s, %s: %.4f", dataset.name, systems[0], scores[idf, level].mean(asked.measures[0]))
    system = asked.system(TRANSFER, asked.levels[0])
    settings = IdfSettings.parse(system.index.arg if system.index else "")
    statistics = retriever.rarities.statistics(settings.source, settings.length)
    ids = retriever.encoder.tokenize(list(dataset.topics.values()))
    seen_V = statistics.seen
    unseen = [any(token >= len(seen_V) or not seen_V[token] for token in query) for query in ids]
    return _Measured(dataset.name, scores, told, np.array(unseen), statistics.source, _agreement(retriever, asked))


def _agreement(retriever: Retriever, asked: Asked) -> Agreement | None:
    """How rare the last probe asked for tells the corpus's tokens to be, beside how rare they are; None where none was."""
    probe = next((name for name in reversed(PROBES) if name in asked.idfs), None)
    if probe is None:
        return None
    system = asked.system(probe, asked.levels[0])
    settings = IdfSettings.parse(system.index.arg if system.index else "")
    (folder,) = retriever.index(system)
    df_V = SubwordIndex.open(system.index.arg if system.index else "", folder).document_frequencies
    own_V, seen_V = document_surprise(df_V, len(retriever.corpus.doc_ids)), df_V > 0
    return Agreement(retriever.dataset.name, probe, own_V[seen_V], retriever.rarities.surprise(settings)[seen_V])


def _table(found: _Measured, encoder: str, asked: Asked) -> Table:
    strata = {UNSEEN: found.unseen, SEEN: ~found.unseen}
    lines = []
    for level in asked.levels:
        named = {idf: found.scores[idf, level] for idf in asked.idfs}
        uniform, transfer = ({m: _against(named, base, m, asked.seed) for m in asked.measures} for base in (UNIFORM, TRANSFER))
        inside = {name: _within(named, mask_Q) for name, mask_Q in strata.items() if mask_Q.any()}
        tested = {name: _against(some, TRANSFER, asked.measures[0], asked.seed) for name, some in inside.items()}
        for idf, scores in named.items():
            gaps = {m: Ratio(*_gap([found], idf, level, m, asked.seed)) for m in asked.measures} if _between(idf, named) else {}
            lines.append(
                Line(
                    str(asked.system(idf, level)),
                    idf,
                    level,
                    found.told[idf, level],
                    {m: scores.mean(m) for m in asked.measures},
                    {m: one[idf] for m, one in uniform.items() if idf in one},
                    {m: one[idf] for m, one in transfer.items() if idf in one},
                    gaps,
                    {name: some[idf].mean(asked.measures[0]) for name, some in inside.items()},
                    {name: one[idf] for name, one in tested.items() if idf in one},
                )
            )
    counts = {name: int(mask_Q.sum()) for name, mask_Q in strata.items()}
    domain = any(found.told.values())
    return Table(found.dataset, encoder, len(found.unseen), found.source, domain, tuple(asked.measures), counts, tuple(lines))


def _against(named: dict[str, Scores], base: str, measure: str, seed: int) -> dict[str, Against]:
    """Every other IDF's difference from one, Holm-corrected over them; nothing where that one was not asked for."""
    if base not in named:
        return {}
    return {c.system: Against(c.difference, c.fisher_holm) for c in compare(list(named.values()), base, measure, seed)}


def _within(named: dict[str, Scores], mask_Q: NDArray[np.bool_]) -> dict[str, Scores]:
    """The measures of some topics alone."""
    ids = [query_id for query_id, kept in zip(next(iter(named.values())).query_ids, mask_Q, strict=True) if kept]
    return {
        idf: Scores(scores.system, ids, {m: values[mask_Q] for m, values in scores.values.items()})
        for idf, scores in named.items()
    }


def _between(idf: str, named: dict[str, Scores]) -> bool:
    return idf not in (UNIFORM, ORACLE) and {UNIFORM, ORACLE} <= named.keys()


def _gap(measured: Sequence[_Measured], idf: str, level: str, measure: str, seed: int) -> Gap:
    parts = [
        tuple(one.scores[name, level].values[measure].astype(np.float64) for name in (idf, UNIFORM, ORACLE)) for one in measured
    ]
    return recovered([(found, uniform, oracle) for found, uniform, oracle in parts], seed=seed)


def _supposed(measured: Sequence[_Measured], asked: Asked) -> list[Supposition]:
    """The gates of each probe and level on the mean over datasets of the first measure."""
    measure, found = asked.measures[0], []
    names = ", ".join(one.dataset for one in measured)
    for level in asked.levels:
        for idf in (name for name in PROBES if name in asked.idfs):
            where = f"`{idf}` at {level}, mean over {names}"
            if {UNIFORM, ORACLE} <= set(asked.idfs):
                gap = _gap(measured, idf, level, measure, asked.seed)
                held = gap.value >= LEAST if gap.sound else None
                text = f"{where}: gap recovered at least {LEAST:g}"
                found.append(Supposition(text, f"{measure}: {Ratio(*gap)}", held))
            if TRANSFER in asked.idfs:
                means = [[one.scores[name, level].mean(measure) for one in measured] for name in (idf, TRANSFER)]
                lost = float(np.mean(means[1]) - np.mean(means[0]))
                text = f"{where}: not worse than `transfer` by more than {MOST:g}"
                found.append(
                    Supposition(text, f"{measure}: {np.mean(means[0]):.4f} against {np.mean(means[1]):.4f}", lost <= MOST)
                )
                found.append(_strangers(measured, idf, level, measure, where, asked.seed))
    return found


def _strangers(measured: Sequence[_Measured], idf: str, level: str, measure: str, where: str, seed: int) -> Supposition:
    """Whether a probe is better than transfer where a topic has tokens that the source has not: beyond doubt, or not told."""
    pairs = [
        [one.scores[name, level].values[measure][one.unseen] for name in (idf, TRANSFER)] for one in measured if one.unseen.any()
    ]
    text = f"{where}: better than `transfer` on topics {UNSEEN}"
    if not pairs:
        return Supposition(text, "No topic has such a token", None)
    ours, theirs = (np.concatenate([pair[i] for pair in pairs]).astype(np.float64) for i in range(2))
    p = randomisation(ours - theirs, seed=seed)
    found = f"{measure} over {len(ours)} topics: {ours.mean():.4f} against {theirs.mean():.4f}, p = {p:.3f}"
    return Supposition(text, found, bool(ours.mean() > theirs.mean()) if p < ALPHA else None)
