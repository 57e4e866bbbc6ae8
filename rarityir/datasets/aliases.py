"""Short names for ir_datasets ids."""

from __future__ import annotations

_BEIR_TEST = ("dbpedia-entity", "fever", "fiqa", "hotpotqa", "quora", "scifact")
_CQADUPSTACK = (
    "android", "english", "gaming", "gis", "mathematica", "physics", "programmers", "stats", "tex", "unix",
    "webmasters", "wordpress",
)  # fmt: skip
_NANO = (
    "arguana", "climate-fever", "dbpedia-entity", "fever", "fiqa", "hotpotqa", "msmarco", "nfcorpus", "nq", "quora",
    "scidocs", "scifact", "webis-touche2020",
)  # fmt: skip

ALIASES: dict[str, str] = {
    "msmarco-dev": "msmarco-passage/dev/small",
    "msmarco-train": "msmarco-passage/train/judged",
    "trec-dl-2019": "msmarco-passage/trec-dl-2019/judged",
    "trec-dl-2020": "msmarco-passage/trec-dl-2020/judged",
    **{name: f"beir/{name}/test" for name in _BEIR_TEST},
    "nfcorpus": "beir/nfcorpus/test",
    "arguana": "beir/arguana",
    "climate-fever": "beir/climate-fever",
    "nq": "beir/nq",
    "scidocs": "beir/scidocs",
    "webis-touche2020": "beir/webis-touche2020/v2",
    "trec-covid": "beir/trec-covid",
    "msmarco": "beir/msmarco/dev",
    **{f"cqadupstack-{name}": f"beir/cqadupstack/{name}" for name in _CQADUPSTACK},
    **{f"nano-{name}": f"nano-beir/{name}" for name in _NANO},
}
