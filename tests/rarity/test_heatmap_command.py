"""`rarityir rarity heatmap` as a user meets it."""

from __future__ import annotations

import io
import json
import re
import sys

import numpy as np
import pytest
from test_pages import HOSTILE

from rarityir.cli import main
from rarityir.counts import tokenizer_of
from rarityir.rarity import TokenStats, heat, heat_maps, predict
from rarityir.rarity.heat import spread_layers, units
from rarityir.report import heatmap_page

pytestmark = pytest.mark.usefixtures("elsewhere")
TEXT = "The dog found a red ball."


@pytest.fixture
def said(capsys, beir, stories):
    def run(*argv: str) -> str:
        assert main(["rarity", "heatmap", "--model", stories, "--dataset", str(beir), *argv]) == 0
        return capsys.readouterr().out

    return run


def refused(capsys, code: int, *argv: str) -> str:
    assert main(["rarity", "heatmap", *argv]) == code
    return capsys.readouterr().err


def test_values_are_the_statistics_and_predictions_of_each_token(said, beir, stories):
    facts = json.loads(said(TEXT, "a tree", "--target", "log_icf", "--matrix", "output", "--seed", "3", "--json"))
    stats = TokenStats.from_dataset(str(beir), stories)
    actual, predicted = stats.target("log_icf"), predict(stories, stats, "log_icf", "output", seed=3)
    assert [one["text"] for one in facts["maps"]] == [TEXT, "a tree"]
    for one in facts["maps"]:
        ids = tokenizer_of(stories).encode(one["text"], add_special_tokens=False).ids
        pieces = [piece for cell in one["cells"] for piece in cell["pieces"]]
        assert [piece["values"][0] for piece in pieces] == [actual[i] for i in ids]
        assert [piece["values"][1] for piece in pieces] == [predicted[i] for i in ids]
        assert [piece["values"][2] for piece in pieces] == [predicted[i] - actual[i] for i in ids]
        assert [bool(piece["note"]) for piece in pieces] == [not stats.cf[i] for i in ids]
        assert not any(piece["seen"] for piece in pieces)
        assert "".join(cell["text"] for cell in one["cells"]) == one["text"]
        assert one["rows"][0]["scale"] == {"low": 0, "high": np.ceil(actual.max()), "units": "nats"}
        assert one["rows"][2] == facts["maps"][0]["rows"][2], "all texts are on one scale"


def test_what_is_asked_for_is_written(said, tmp_path, monkeypatch, stories):
    asked: list[str] = []
    monkeypatch.setattr(heat, "spread_layers", lambda model: asked.append(model) or [])
    shown = said(TEXT, "--layers", "--out", str(tmp_path / "all"), "--html", str(tmp_path / "page.html"))
    assert "actual: log_idf, ln((N + 1) / (df + s)), in" in shown
    assert "by a ridge that has not seen the token or a form of its word" in shown
    assert asked == [stories]
    assert {path.name for path in (tmp_path / "all").iterdir()} == {f"heatmap.{kind}" for kind in ("html", "json", "png", "svg")}
    assert (tmp_path / "page.html").read_text() == (tmp_path / "all" / "heatmap.html").read_text()
    said(TEXT, "--classic", "--out", str(tmp_path / "seed.svg"))
    svg = (tmp_path / "seed.svg").read_text()
    assert "map1-cell0-predicted" in svg
    assert "error" not in svg
    said(TEXT, "--html", str(tmp_path / "page.html"))  # a page of ours may be replaced


def test_the_terminal_is_given_what_it_can_show(said, monkeypatch):
    plain, ascii = said(f"{TEXT} é{HOSTILE}"), said(f"{TEXT} é{HOSTILE}", "--ascii", "--colours", "true")
    assert plain.replace("\n", "").isprintable()
    assert "▁" in plain or "█" in plain
    assert "\\x1b[31m" in plain
    assert "�" not in plain
    monkeypatch.setenv("COLORTERM", "truecolor")
    assert "\x1b" not in said(TEXT)  # nobody looks
    assert "\x1b[48;2;" in said(TEXT, "--colours", "true")
    assert "\x1b[48;5;" in said(TEXT, "--colours", "256")
    maps = ascii.split("\n", 3)[3]
    assert maps.isascii()
    assert "\x1b" not in maps


def test_texts_are_read_from_standard_input(said, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one ball\n\nthe sun\n"), encoding="utf-8"))
    assert [one["text"] for one in json.loads(said("-", "--json"))["maps"]] == ["one ball", "the sun"]


def test_a_clamp_cuts_colours_and_says_so(said):
    facts = json.loads(said(TEXT, "--clamp", "0.5", "--json"))
    assert facts["maps"][0]["rows"][0]["scale"]["high"] == 0.5
    assert re.search(r"drawn as its end: [1-9]", said(TEXT, "--clamp", "0.5"))


def test_what_cannot_be_is_said_in_a_line(capsys, tmp_path, beir, stories):
    mine = tmp_path / "mine.html"
    mine.write_text("my page")
    assert "is no page of this command" in refused(capsys, 1, TEXT, "--html", str(mine))
    assert mine.read_text() == "my page"
    assert "neither a picture" in refused(capsys, 1, TEXT, "--out", str(tmp_path / "a.gif"))
    assert "leave one of them out" in refused(capsys, 2, TEXT, "--stats", str(tmp_path), "--dataset", "cranfield")
    assert "TEXT is missing" in refused(capsys, 2)
    assert "has no values" in refused(capsys, 1, TEXT, "--clamp", "0", "--dataset", str(beir), "--model", stories)
    assert "idf" in refused(capsys, 1, TEXT, "--target", "idff", "--dataset", str(beir), "--model", stories)
    assert "is not UTF-8" in refused(capsys, 1, "a\udcff")


def test_layers_are_spread_and_targets_have_units(stories, beir, tmp_path):
    assert spread_layers(stories) == [1, 2, 3, 4, 5]
    (tmp_path / "config.json").write_text('{"text_config": {"n_layer": 32}}')
    assert spread_layers(str(tmp_path)) == [1, 7, 13, 20, 26, 32]
    assert [units(name) for name in ("log_idf", "lif", "ridf", "vmr", "stop_word")] == ["nats", "nats", "bits", "", ""]
    stats = TokenStats.from_dataset(str(beir), stories)
    (found,) = heat_maps(["zebra ball"], stories, stats, "ridf", layers=[2], repair="balanced")
    assert [row.label for row in found.rows] == ["actual", "predicted", "error", "repaired", "layer 2"]
    ids = tokenizer_of(stories).encode("zebra ball", add_special_tokens=False).ids
    for place, how in ((3, {"repair": "balanced"}), (4, {"matrix": "type:2"})):
        values = predict(stories, stats, "ridf", **how)
        assert [piece.values[place] for cell in found.cells for piece in cell.pieces] == [values[i] for i in ids]
    unseen = [cell for cell in found.cells if cell.values and cell.values[0] is None]
    assert unseen, "a token that never occurs has no residual IDF"
    assert all("in none of the documents" in cell.shown.note for cell in unseen)
    assert "in none of the documents" in heatmap_page.render([found], "a page")
    assert all(cell.values[1] is not None and cell.values[2] is None for cell in unseen)
