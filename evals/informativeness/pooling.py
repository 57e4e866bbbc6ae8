"""Embeddings pooled by what tokens weigh, for many weights from one reading: states are kept, and averaged anew each time."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np

import rarityir as ri
from rarityir.filters import EmbedFilter
from rarityir.indexes.topk import pad, topk
from rarityir.measures import evaluate
from rarityir.runs import Run
from rarityir.types import Dataset

AT_ONCE, CHECKED, CUTOFF = 256, 8, 100
NEAR = 2e-4  # of an embedding's largest entry: what another order of summing may change


class States:
    """Every state (T, D) of some texts in a file, the token each stands at, and where texts begin."""

    def __init__(self, encoder: ri.Encoder, texts: list[str], file: Path) -> None:
        ids, lengths = [], []
        with file.open("wb") as out:
            for first in range(0, len(texts), AT_ONCE):
                some = texts[first : first + AT_ONCE]
                for sequence, x_TD in zip(encoder.lay_out(some), encoder.document_states(some), strict=True):
                    ids.append(np.asarray(sequence.ids[sequence.start : sequence.stop], np.int64))
                    lengths.append(len(x_TD))
                    out.write(np.ascontiguousarray(x_TD, "<f4").tobytes())
        self.ids, self.lengths = np.concatenate(ids), np.array(lengths, np.int64)
        self.states = np.memmap(file, np.dtype("<f4"), mode="r").reshape(len(self.ids), -1)
        assert (self.lengths > 0).all()
        assert len(self.ids) == self.lengths.sum()

    def pooled(self, weight_V: np.ndarray | None) -> np.ndarray:
        """Embeddings (N, D): Σ w h / Σ w over a text's tokens; all weigh the same without weights, or where none has any."""
        w_T = np.ones(len(self.ids)) if weight_V is None else np.asarray(weight_V, np.float32).astype(np.float64)[self.ids]
        starts = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        sums = np.add.reduceat(w_T, starts)
        nothing = np.repeat(sums <= 0, self.lengths)
        w_T[nothing] = 1.0
        sums = np.add.reduceat(w_T, starts)
        share_T = (w_T / np.repeat(sums, self.lengths)).astype(np.float32)
        found = np.empty((len(self.lengths), self.states.shape[1]), np.float32)
        for first in range(0, len(starts), AT_ONCE):
            last = min(first + AT_ONCE, len(starts))
            part = slice(starts[first], starts[last] if last < len(starts) else len(self.ids))
            found[first:last] = np.add.reduceat(self.states[part] * share_T[part, None], starts[first:last] - starts[first])
        return found


class Reading:
    """A corpus and its collections' topics, read once by an encoder."""

    def __init__(self, encoder: ri.Encoder, datasets: list[Dataset], home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        docs = list(datasets[0].docs())
        self.doc_ids = [doc.doc_id for doc in docs]
        self.documents = States(encoder, [doc.text for doc in docs], home / "states.f4")
        self.datasets = {dataset.name: dataset for dataset in datasets}
        self.topics = {
            name: States(encoder, list(dataset.topics.values()), home / f"topics-{name.replace('/', '--')}.f4")
            for name, dataset in self.datasets.items()
        }
        own = encoder.encode_document([doc.text for doc in islice(docs, CHECKED)])
        apart = np.abs(self.documents.pooled(None)[:CHECKED] - own).max() / np.abs(own).max()
        if apart > NEAR:  # these rows stand for the encoder's own
            raise RuntimeError(f"means of states are {apart:.1e} from what the encoder gives")

    def values(self, name: str, weight_V: np.ndarray | None, filter: EmbedFilter | None, measure: str) -> np.ndarray:
        """The measure of each judged topic (Q,) with documents and topics pooled by some weights, then filtered."""
        return self.scored(name, self.documents.pooled(weight_V), weight_V, filter, measure)

    def scored(
        self, name: str, x_ND: np.ndarray, weight_V: np.ndarray | None, filter: EmbedFilter | None, measure: str
    ) -> np.ndarray:
        """The same, of documents' embeddings that are pooled already."""
        dataset, q_QD = self.datasets[name], self.topics[name].pooled(weight_V)
        q, x = (unit(rows if filter is None else filter(rows)) for rows in (q_QD, x_ND))
        hits = pad([topk(row, CUTOFF) for row in q @ x.T], CUTOFF)
        run = Run.from_hits("pooled", tuple(dataset.topics), self.doc_ids, hits)
        asked = [query_id for query_id in dataset.topics if query_id in dataset.qrels]
        return np.asarray(evaluate(run, dataset.qrels, [measure], asked).values[measure])


def unit(rows: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1.0)
