"""Follows a demo model in training on a dev split (SciFact's train topics; never test topics), over a judged sample of documents.

    python evals/demo_model/dev.py work/demo [--poolings echo,prompteol,mean]

Prints nDCG@10 of dense retrieval raw and per filter, and of sparse retrieval. Sampled corpora make all figures too high: they
compare checkpoints and poolings with each other, nothing else.
"""

from __future__ import annotations

import argparse

import numpy as np

import rarityir as ri
from rarityir.filters import Source, Unembedding
from rarityir.indexes.topk import pad, topk
from rarityir.retrieval import normalised
from rarityir.runs import Run
from rarityir.tokens import TokenLens, Vocabulary, literal

FILTERS = ("edge:2", "tail:2", "head:2", "mid:2", "random:2", "auto", "logfreq")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--poolings", default="echo,prompteol,mean,weighted-mean")
    parser.add_argument("--dataset", default="beir/scifact/train")
    parser.add_argument("--topics", type=int, default=100)
    parser.add_argument("--random", type=int, default=800, help="documents beside the judged ones")
    parser.add_argument("--keep", default="64", help="tokens of a document in sparse retrieval, such as 64,256,1024")
    parser.add_argument("--max-length", type=int, default=240)
    args = parser.parse_args()
    dataset = ri.load_dataset(args.dataset)
    rng = np.random.default_rng(0)
    asked = sorted(rng.choice(list(dataset.topics), min(args.topics, len(dataset.topics)), replace=False))
    judged = {doc_id for q in asked for doc_id in dataset.qrels[q]}
    docs = list(dataset.docs())
    drawn = set(rng.choice(len(docs), min(args.random, len(docs)), replace=False))
    docs = [doc for row, doc in enumerate(docs) if doc.doc_id in judged or row in drawn]
    queries = [dataset.topics[q] for q in asked]

    def ndcg(scores: np.ndarray) -> str:
        hits = pad([topk(row, 100) for row in scores], 100)
        run = Run.from_hits("dev", asked, [doc.doc_id for doc in docs], hits)
        return f"{ri.evaluate(run, dataset.qrels, ['nDCG@10'], asked).mean('nDCG@10'):.3f}"

    for pooling in args.poolings.split(","):
        encoder = ri.load_encoder(args.model, pooling=pooling, max_length=args.max_length)
        x, q = encoder.encode_document([doc.text for doc in docs]), encoder.encode_query(queries)
        source = Source(Unembedding.of(args.model))
        filters = {name: ri.EmbedFilter.fit(source, name) for name in FILTERS}
        found = {"raw": ndcg(normalised(q) @ normalised(x).T)}
        found |= {band: ndcg(normalised(f(q)) @ normalised(f(x)).T) for band, f in filters.items()}
        vocabulary = Vocabulary.of(encoder.tokens())
        asked_tokens = literal(encoder.tokenize(queries), vocabulary)
        for name, f in {"": None, **filters}.items():
            if name in ("", "edge:2", "tail:2", "head:2", "auto", "logfreq"):
                for keep in map(int, args.keep.split(",")):
                    impacts = TokenLens(encoder, f, vocabulary=vocabulary).align(x, keep)
                    found[f"sparse:{keep}+{name}".rstrip("+")] = ndcg(dense(asked_tokens) @ dense(impacts).T)
        print(pooling, " ".join(f"{name} {value}" for name, value in found.items()), flush=True)


def dense(impacts) -> np.ndarray:
    out = np.zeros((len(impacts.indptr) - 1, impacts.vocabulary), np.float32)
    rows = np.repeat(np.arange(len(out)), np.diff(impacts.indptr))
    out[rows, impacts.token_ids] = impacts.values
    return out


if __name__ == "__main__":
    main()
