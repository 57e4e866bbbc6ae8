"""`rarityir rarity stats` as a user meets it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rarityir.cli import main
from rarityir.rarity import TokenStats, counting
from rarityir.rarity.listing import columns, share, shown

pytestmark = pytest.mark.usefixtures("elsewhere")


def said(capsys, *argv):
    assert main(["rarity", "stats", *argv]) == 0
    return capsys.readouterr().out


def test_statistics_of_a_collection_are_printed_and_kept(capsys, tmp_path, monkeypatch):
    facts = json.loads(said(capsys, "--limit", "200", "--out", str(tmp_path / "s"), "--top", "5", "--json"))
    found = TokenStats.load(tmp_path / "s")
    assert (facts["documents"], facts["tokens"], facts["vocabulary"]) == (200, found.tokens, 8192)
    assert facts["seen"] + facts["unseen"] == 8192
    assert facts["seen"] == (found.cf > 0).sum()
    assert facts["top"][0]["token"] == "␣the"
    assert [row["df"] for row in facts["top"]] == np.sort(found.df)[::-1][:5].tolist()
    assert facts["top"][0]["cf"] == found.cf[facts["top"][0]["id"]]
    assert facts["top"][1]["log_idf"] == pytest.approx(found.target("log_idf")[facts["top"][1]["id"]])
    assert sum(band["types"] for band in facts["bands"]) == 8192
    assert sum(band["of_tokens"] for band in facts["bands"]) == pytest.approx(1)
    for band in facts["bands"]:
        assert band["types"] == ((found.df >= band["from"]) & (found.df <= band["to"])).sum()
    assert facts["labels"]["stop_word"]["of_tokens"] > 0.2
    assert json.loads((tmp_path / "s" / "stats.json").read_text()) == facts

    monkeypatch.setattr(counting, "tally", None)  # nothing is counted twice
    text = said(capsys, "--limit", "200", "--out", str(tmp_path / "s"))
    assert f"200 documents, {found.tokens:,} tokens" in text
    assert f"{facts['seen']:,} of 8,192 ids seen" in text
    assert "␣the" in text
    assert "bands by df, rarest first" in text


def test_statistics_of_a_folder_and_of_words(capsys, tmp_path, beir, stories):
    facts = json.loads(said(capsys, "--dataset", str(beir), "--model", stories, "--json"))
    assert (facts["documents"], facts["vocabulary"]) == (6, 512)
    (tmp_path / "w.tsv").write_text("the\t5\nball 2\n")
    text = said(capsys, "--words", str(tmp_path / "w.tsv"), "--model", stories, "--out", str(tmp_path / "w"))
    assert text.startswith("the words of w.tsv in tokens of stories260K\n")
    assert "commonest by cf" in text
    assert TokenStats.load(tmp_path / "w").cf.max() == 5


def test_a_token_is_shown_on_one_line_with_its_spaces():
    assert shown(" the", "Ġthe") == "␣the"
    assert shown("  ", "ĠĠ") == "␣␣"
    assert shown(" a\n", "x") == "␣a\\n"
    assert shown("a ", "x") == "a␣"
    assert shown(None, "<s>") == "<s>"
    assert shown(None, None) == "no token"
    assert shown("\x1b[2J", "x") == "\\x1b[2J"
    assert [share(x) for x in (0, 1, 0.1234, 0.00001234)] == ["0.00 %", "100.00 %", "12.34 %", "0.0012 %"]
    assert columns(("a", "b"), [("xx", "10"), ("y", "9")]) == ["a    b", "xx  10", "y    9"]


@pytest.mark.parametrize(
    ("argv", "status", "line"),
    [
        (["--dataset", "cranfeild"], 1, "did you mean cranfield"),
        (["--model", "/nowhere"], 1, "/nowhere"),
        (["--words", "absent.tsv"], 1, "no file absent.tsv"),
        (["--words", "absent.tsv", "--limit", "3"], 2, "leave one of them out"),
        (["--limit", "0"], 2, "--limit"),
    ],
)
def test_what_is_wrong_is_one_line(capsys, argv, status, line):
    assert main(["rarity", "stats", *argv]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert line in err


def test_another_limit_is_refused_by_name(capsys, tmp_path):
    said(capsys, "--limit", "20", "--out", str(tmp_path / "s"))
    assert main(["rarity", "stats", "--limit", "30", "--out", str(tmp_path / "s")]) == 1
    assert "limit 20, now 30" in capsys.readouterr().err
