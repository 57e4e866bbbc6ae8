"""Counts the pieces of running English that `rarityir.counts` brings: words and marks with the space before them.

python evals/demo_model/pieces.py --corpus lm_corpus.jsonl.gz --out rarityir/demo/english.tsv.gz
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
from collections import Counter
from pathlib import Path

from data import read_corpus

PIECE = re.compile(r"'(?:[sdmt]|ll|re|ve)(?![^\W\d_])| ?[^\W\d_]+| ?\d+| ?[^\w\s]+| ?_+|\s+(?=\S)|\s+")
LEAST = 5  # rarer pieces are left out: 1.6% of all occurrences


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    counted = Counter(piece for _, text in read_corpus(args.corpus) for piece in PIECE.findall(text))
    kept = sorted(((count, piece) for piece, count in counted.items() if count >= LEAST), key=lambda row: (-row[0], row[1]))
    lines = "".join(f"{count}\t{json.dumps(piece, ensure_ascii=False)}\n" for count, piece in kept)
    args.out.write_bytes(gzip.compress(lines.encode(), 9, mtime=0))
    print(f"{len(kept)} pieces, {sum(count for count, _ in kept)} of {counted.total()} occurrences")


if __name__ == "__main__":
    main()
