"""How far embeddings write their texts' own tokens, as a table: each figure, its control, and the interval between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rarityir.report.render import code, words
from rarityir.types import Json

_LINES = ("own", "another's", "above it", "95% from", "to")


@dataclass(frozen=True)
class AlignmentRow:
    """A filter's measures in both forms, as JSON values (see `rarityir.tokens.measures.Alignment`), and the width it keeps."""

    filter: str
    width: int
    published: dict[str, Json]
    corrected: dict[str, Json]


@dataclass(frozen=True)
class AlignmentTable:
    """Alignment of a dataset's texts under each filter.

    `of` says which texts: documents or topics. `longer` of them have more than the `read` tokens that the encoder reads,
    where it says how many. `counts` names the table of frequencies; `made_of` holds the documents' and the encoder's identity.
    """

    dataset: str
    encoder: str
    of: str
    texts: int
    longer: int
    read: int | None
    cutoff: int
    seed: int
    counts: str
    made_of: dict[str, Json]
    rows: tuple[AlignmentRow, ...]

    def json(self) -> dict[str, Json]:
        """Returns the whole as JSON values."""
        return dataclasses.asdict(self)

    def text(self) -> str:
        """Returns plain text: what was measured, then a block of five lines for each filter."""
        lines = self._caption()
        for title, heads, cells in self._tables():
            wide, columns = max(12, *(len(row.filter) + 2 for row in self.rows)), [max(11, len(head) + 2) for head in heads]
            lines += ["", title, f"{'filter':<{wide}}{'width':>5}  {'tokens of':<10}" + _cells(heads, columns)]
            for row, figures in zip(self.rows, cells, strict=True):
                for i, name in enumerate(_LINES):
                    first = f"{row.filter:<{wide}}{row.width:>5}" if not i else " " * (wide + 5)
                    lines.append(f"{first}  {name:<10}" + _cells([_part(figure, i) for figure in figures], columns))
        return "\n".join(lines) + "\n"

    def markdown(self) -> str:
        """Returns Markdown tables, a line for each filter: own / another's, what is above it [95% interval]."""
        lines = [
            *map(words, self._caption()),
            "",
            "Each cell: own tokens / another text's tokens, the difference [its 95% interval].",
        ]
        for title, heads, cells in self._tables():
            lines += ["", f"**{title}**", "", f"| filter | width | {' | '.join(heads)} |", f"|---|---:|{'---:|' * len(heads)}"]
            for row, figures in zip(self.rows, cells, strict=True):
                shown = [f"{_part(f, 0)} / {_part(f, 1)}, {_part(f, 2)} [{_part(f, 3)}, {_part(f, 4)}]" for f in figures]
                lines.append(f"| {code(row.filter)} | {row.width} | {' | '.join(shown)} |")
        return "\n".join(lines) + "\n"

    def _caption(self) -> list[str]:
        raw, own = self.rows[0].published, self.rows[0].corrected
        read, whose = "how far they are read is unknown", "whole texts"
        if self.read is not None:
            read, whose = f"read by their first {self.read} tokens ({self.longer} are longer)", "what was read"
        return [
            f"{self.dataset}, encoder {self.encoder}: {self.texts} {self.of}, {read}; seed {self.seed}.",
            f"Published: raw token ids, special tokens and repeats counted, {raw['tokens']:.0f} different ones a text, "
            f"lists cut at {self.cutoff}; {raw['skipped']} texts have none.",
            f"Corrected: the words of {whose}, {own['tokens']:.0f} a text, lists as long; {own['skipped']} texts have none.",
            f"Stop words and bands are by relative frequency in {self.counts}.",
        ]

    def _tables(self) -> Iterator[tuple[str, list[str], list[list[Json]]]]:
        """Each table's title, heads, and figures by filter."""
        k, names = self.cutoff, ("hit", "lar", "gar")
        heads = [f"{form} {name}" for form in ("published", "corrected") for name in (f"Hit@{k}", "LAR", "GAR")]
        yield "Alignment", heads, [[form[n] for form in (r.published, r.corrected) for n in names] for r in self.rows]
        heads = [f"idf Hit@{k}", "idf LAR", "stop words", "content words", f"content Hit@{k}"]
        yield (
            "Corrected, rare tokens weighing more, and the share found of stop words and content words",
            heads,
            [[c["hit_idf"], c["lar_idf"], c["stop"]["share"], c["content"]["share"], c["content"]["hit"]] for c in self._words()],
        )
        bands = [i for i, band in enumerate(self.rows[0].corrected["bands"]) if band["entries"]]
        heads = [self._band(i) for i in bands]
        yield (
            "Corrected, the share found of tokens in each band of frequency",
            heads,
            [[c["bands"][i]["share"] for i in bands] for c in self._words()],
        )

    def _words(self) -> Iterator[dict[str, Json]]:
        return (row.corrected for row in self.rows)

    def _band(self, i: int) -> str:
        name = self.rows[0].corrected["bands"][i]["name"]
        return name if name == "rarer" else f"from {name}"


def _cells(values: Sequence[str], columns: Sequence[int]) -> str:
    return "".join(f"{value:>{width}}" for value, width in zip(values, columns, strict=True))


def _part(figure: Json, i: int) -> str:
    """One of a figure's five values: own, control, difference, and the interval's ends; a dash where there is none."""
    value = figure[("own", "control", "difference", "low", "high")[i]]
    if value is None:
        return "–"
    shown = f"{value:.3f}" if i < 2 else f"{value:+.3f}".replace("-", "−")
    return shown[1:] if shown in ("+0.000", "−0.000") else shown
