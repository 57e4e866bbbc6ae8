"""The study as a whole, its forms, labels of strings and of files, and the command."""

from __future__ import annotations

import importlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

import rarityir as ri
from rarityir.cli import cli, main
from rarityir.cli.geometry import _channel
from rarityir.geometry.labelling import casing, purities, read_labels, suffix
from rarityir.geometry.nulls import Bands
from rarityir.geometry.study import Study
from rarityir.rarity import TokenStats
from rarityir.rarity.rows import Matrix
from rarityir.types import RarityError, UnknownName

HOSTILE = ["<script>alert(1)</script>", "\x1b[31mred", "a\nb", "‮right to left", "$x$", "&amp;", " the", '"><b>']


def made(seed: int, **options: object) -> Study:
    rng = np.random.default_rng(seed)
    texts = [*HOSTILE, *(f" w{i}" for i in range(240)), None, None]
    x, channel = rng.standard_normal((250, 12)), rng.standard_normal((250, 8))
    settings: dict[str, object] = {
        "families": ("iso", "pcs", "mine"),
        "variants": ("raw", "shuffled"),
        "channel": channel,
        "texts": texts,
        "counts": rng.integers(0, 99, 250),
        "labels": ri.geometry.label_systems(texts),
        "given": {"mine": rng.standard_normal((2, 12))},
        "n": 12,
        "k": 5,
        "n_null": 30,
        "seed": seed,
        "name": "made <rows>",
        "channel_name": "other",
    }
    return ri.geometry.report(x, **{**settings, **options})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def study() -> Study:
    return made(7)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_json_holds_every_cell_and_only_numbers(study: Study) -> None:
    found = json.loads(json.dumps(study.json(), allow_nan=False))
    assert [(c["variant"], c["family"]) for c in found["cells"]] == [
        (v, f) for v in ("raw", "shuffled") for f in ("iso", "pcs", "mine")
    ]
    assert found["tokens"] == 248
    for cell in found["cells"]:
        assert list(cell["coherence"]) == ["cross", "distinct", "self", "beyond"]
        for test in cell["coherence"].values():
            value, low, high = test["coherent"]
            assert 0 <= low <= value <= high <= 1
        assert (cell["labels"] == {}) == (cell["variant"] == "shuffled")
    assert list(found["icc"]) == ["raw"]
    assert set(found["icc"]["raw"]) == {"leading_space"}  # the others have one label for all
    assert len(json.dumps(found)) < 200_000


def test_the_same_seed_gives_the_same_bytes_whatever_else_is_asked(study: Study) -> None:
    again = made(7)
    assert json.dumps(again.json()) == json.dumps(study.json())
    assert again.html() == study.html()
    alone = made(7, families=("pcs",), variants=("raw",))
    assert alone.json()["cells"][0]["coherence"]["cross"] == study.json()["cells"][1]["coherence"]["cross"]


def test_the_page_says_everything_and_runs_nothing(study: Study) -> None:
    html = study.html()
    page = Tags()
    page.feed(html)
    assert "script" not in page.tags
    assert "made <rows>" in " ".join(page.words)
    assert "default-src 'none'" in html
    assert not re.search(r"(src|href)=\"(?!data:)", html)
    assert "\x1b" not in html
    assert "‮" not in html
    svg = __import__("base64").b64decode(re.search(r"svg\+xml;base64,([^\"]+)", html)[1]).decode()  # type: ignore[index]
    assert svg.lstrip().startswith("<?xml")
    assert "Cosines" in svg


def test_tables_are_plain_text_and_colour_only_where_asked_for(study: Study) -> None:
    for text in (study.text(), study.neighbour_tables()):
        assert "\x1b" not in text
        assert all(c.isprintable() or c == "\n" for c in text)
    assert "raw       iso" in study.text()
    assert "isotropic rows" in study.text()
    drawn = study.neighbour_tables()
    assert drawn.count("as drawn") == 6
    assert drawn.count("most coherent") == 6
    coloured = study.neighbour_tables(colour=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == drawn
    assert coloured != drawn


def test_examples_are_the_first_and_the_best(study: Study) -> None:
    cell = study.cells[0]
    scores = cell.tests["cross"].scores
    assert [e.number for e in cell.examples if not e.chosen] == [0, 1, 2, 3, 4]
    assert [e.score for e in cell.examples if e.chosen] == sorted(scores.tolist(), reverse=True)[:5]
    assert all(248 not in e.ids and 249 not in e.ids for c in study.cells for e in c.examples)


def test_everything_is_written_into_a_folder(study: Study, tmp_path: Path) -> None:
    written = study.save(tmp_path / "out")
    assert sorted(p.name for p in written) == sorted(p.name for p in (tmp_path / "out").iterdir())
    assert json.loads((tmp_path / "out" / "geometry.json").read_text()) == json.loads(json.dumps(study.json()))


def test_frequency_is_told_by_the_variance_of_log_icf(study: Study) -> None:
    counts = np.random.default_rng(7)
    counts.standard_normal((250, 12)), counts.standard_normal((250, 8))
    table = counts.integers(0, 99, 250) + 0.5
    icf = -np.log(table / table.sum())
    rows = ri.geometry.variant(np.random.default_rng(7).standard_normal((250, 12)), "raw").rows
    allowed = np.arange(250) < 248
    v = ri.geometry.directions(rows, "iso", 12, 7, allowed=allowed)
    ids = ri.geometry.neighbours(rows, v, 5, allowed=allowed).ids
    like = study.cells[0].homogeneity
    assert like is not None
    assert like.ratio == pytest.approx(np.mean([icf[i].var() for i in ids]) / icf[:248].var(), abs=1e-9)
    assert like.mean == pytest.approx(icf[ids].mean(), abs=1e-9)


def test_filtered_isotropic_rows_are_still_isotropic(rng: np.random.Generator, seed: int) -> None:
    """Directions lie where the rows do: else their neighbours would be alike for what of the direction is not there."""
    kept = np.linalg.qr(rng.standard_normal((40, 40)))[0][:20]
    rows = rng.standard_normal((900, 40))
    found = ri.geometry.report(rows, variants=("filtered",), basis=kept, n=150, n_null=99, seed=seed).cells[0]
    assert found.tests["self"].fraction.value <= 0.03
    assert found.tests["self"].nominal.value < 0.2
    assert found.cosines.sd.mean() == pytest.approx(20**-0.5, rel=0.03)


def test_without_texts_counts_and_channel_there_is_still_a_study(rng: np.random.Generator) -> None:
    found = ri.geometry.report(rng.standard_normal((90, 6)), n=4, k=3, n_null=10)
    assert list(found.cells[0].tests) == ["self", "beyond"]
    assert "#" in found.neighbour_tables()
    assert found.html().count("<table>") >= 3


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (" the", "lower"), (" The", "Capitalised"), (" I", "Capitalised"), ("USA", "UPPER"), ("iPhone", "Mixed"),
        (" 42", "–"), ("日本", "–"), ("Élan", "Capitalised"), ("", "–"), ("McD", "Mixed"),
        ("O'Neil", "Mixed"), ("A1", "Capitalised"),
    ],
)  # fmt: skip
def test_casing(text: str, label: str) -> None:
    assert casing(text) == label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (" running", "-ing"), ("nations", "-s"), ("nation", "–"), (" station", "-tion"), (" foundation", "-ation"), ("king", "–"),
        (" Quickly", "-ly"), ("the", "–"), ("ing", "–"), (" kindness", "-ness"), ("x-ring", "–"), ("string", "-ing"),
        (" boxes", "-es"),
    ],
)  # fmt: skip
def test_suffix(text: str, label: str) -> None:
    assert suffix(text) == label


def test_labels_of_strings_leave_what_writes_nothing_out() -> None:
    found = ri.geometry.label_systems([" The", None, "123", "ing", "Ж"])
    assert found["leading_space"].tolist() == ["begins", None, "goes on", "goes on", "goes on"]
    assert found["digit"].tolist() == ["none", None, "digits", "none", "none"]
    assert found["script"][4] == "Cyrl"
    assert list(ri.geometry.label_systems([" a"], ["casing"])) == ["casing"]
    with pytest.raises(UnknownName, match="casing"):
        ri.geometry.label_systems([" a"], ["case"])


def test_purity_is_its_definition(rng: np.random.Generator) -> None:
    labels = np.array(["a", "b", "c", None], dtype=object)[rng.integers(0, 4, 500)]
    bands = Bands.of(500, 4)
    alike = np.flatnonzero(labels == "b")[:4]
    apart = np.array([np.flatnonzero(labels == x)[0] for x in ("a", "b", "c")] + [np.flatnonzero(labels == None)[0]])  # noqa: E711
    share = {x: np.mean([y == x for y in labels]) for x in ("a", "b", "c", None)}
    one = purities(np.array([alike]), {"l": labels}, bands)["l"]
    assert one[:3] == pytest.approx((1.0, 0.0, -np.log(share["b"])))
    four = purities(np.array([apart]), {"l": labels}, bands)["l"]
    assert four[:3] == pytest.approx((0.25, 1.0, -np.log(4) - np.mean([np.log(p) for p in share.values()])), abs=1e-12)
    many = purities(np.array([bands.draw(alike, 1, rng)[0] for _ in range(400)]), {"l": labels}, bands)["l"]
    assert many.purity == pytest.approx(many.random_purity, abs=0.03)
    assert many.information == pytest.approx(many.random_information, abs=0.06)


def test_labels_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "super.tsv"
    path.write_text("Dog\tanimal\nrun\tmotion\n\ndog\tother\n")
    assert read_labels(path, [" dog", "DOG", "runs", " run", None]).tolist() == ["animal", "animal", None, "motion", None]
    path.write_text("dog animal\n")
    with pytest.raises(RarityError, match=r"super.tsv:1: .*token<TAB>label"):
        read_labels(path, ["dog"])
    path.write_text("cat\tanimal\n")
    with pytest.raises(RarityError, match="none of its 1 tokens"):
        read_labels(path, ["dog"])
    with pytest.raises(RarityError, match="cannot be read"):
        read_labels(tmp_path / "none.tsv", ["dog"])


def test_the_command_writes_what_it_prints(stories: str, tmp_path: Path, elsewhere: None) -> None:
    np.save(tmp_path / "mine.npy", np.eye(64)[:2])
    (tmp_path / "kind.tsv").write_text("the\tarticle\nshe\tpronoun\nhe\tpronoun\nand\tconjunction\n")
    asked = [
        "geometry", "--model", stories, "--n", "8", "--k", "4", "--random-sets", "20", "--families", "iso,filter,mine",
        "--variants", "raw,filtered,gaussian", "--directions", f"mine={tmp_path / 'mine.npy'}", "--labels-file",
        f"kind={tmp_path / 'kind.tsv'}", "--labels", "casing", "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    printed = CliRunner().invoke(cli, [*asked, "--json"], catch_exceptions=False)
    assert printed.exit_code == 0
    found = json.loads(printed.stdout)
    assert found == json.loads((tmp_path / "out" / "geometry.json").read_text())
    cells = {(c["variant"], c["family"]): c for c in found["cells"]}
    assert ("filtered", "removed") not in cells
    assert ("filtered", "kept") in cells
    assert cells["raw", "mine"]["directions"] == 2
    assert list(cells["raw", "iso"]["coherence"]) == ["self", "beyond"]  # input and output are one matrix
    assert set(found["icc"]["raw"]) == {"casing", "kind"}
    text = CliRunner().invoke(cli, asked, catch_exceptions=False)
    assert text.stdout.strip() == (tmp_path / "out" / "geometry.txt").read_text().strip()


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        (["--channel", "in"], 2, "searched matrix itself"),
        (["--matrix", "out", "--channel", "output"], 2, "searched matrix itself"),
        (["--matrix", "output", "--channel", "in"], 2, "searched matrix itself"),
        (["--matrix", "input", "--channel", "output"], 2, "searched matrix itself"),
        (["--matrix", "type:1", "--channel", "type:01"], 2, "searched matrix itself"),
        (["--families", "isotropic"], 1, "unknown family"),
        (["--variants", "rew"], 1, "did you mean raw"),
        (["--directions", "x=none.npy", "--families", "x"], 1, "no array of numbers"),
        (["--dataset", "cranfield", "--stats", "x"], 2, "give one"),
        (["--labels", "pos"], 1, "unknown system of labels"),
        (["--k", "400"], 1, "ask for"),
    ],
)
def test_wrong_use_is_one_line(
    options: list[str], status: int, says: str, stories: str, capsys: pytest.CaptureFixture[str], elsewhere: None
) -> None:
    assert main(["geometry", "--model", stories, "--n", "2", "--random-sets", "5", *options]) == status
    shown = capsys.readouterr().err
    assert says in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("name", ["in", "input"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_matrix_is_its_own_channel_under_no_name(name: str, tied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(model: str, matrix: str) -> Matrix:
        x = np.full((2, 3), len(matrix), np.float32)
        return Matrix(matrix, x.shape, lambda _: iter([x]), tied=tied)

    monkeypatch.setattr(importlib.import_module("rarityir.rarity.rows"), "rows", rows)
    searched = rows("m", "input")
    with pytest.raises(click.UsageError, match=f"--channel {name} is the searched matrix itself"):
        _channel("m", searched, name)
    assert _channel("m", searched, None)[1] == ("" if tied else "output")
    assert _channel("m", searched, "type:1")[1] == "type:1"
    if not tied:
        assert [_channel("m", searched, other)[1] for other in ("out", "output")] == ["output", "output"]


def test_counts_of_another_models_tokens_are_refused(
    stories: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], elsewhere: None
) -> None:
    folder = TokenStats.from_dataset("cranfield", "demo", limit=3, workers=1).save(tmp_path / "stats")
    assert main(["geometry", "--model", stories, "--n", "2", "--stats", str(folder)]) == 1
    assert "are not of stories260K's tokens" in capsys.readouterr().err
