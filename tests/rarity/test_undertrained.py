"""Under-trained tokens: planted ones are found, frequent ones with short rows are not taken for them, and real ones are known."""

from __future__ import annotations

import json
import string
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from tokenizers import Tokenizer, models

import rarityir
from rarityir.cli import main
from rarityir.counts import tokenizer_of
from rarityir.rarity.forms import Forms
from rarityir.rarity.indicators import READINGS, nearness, norms
from rarityir.rarity.stats import TokenStats
from rarityir.rarity.suspects import find, touches
from rarityir.rarity.undertrained import BAND, FARTHEST, bands_of, spreads, undertrained
from rarityir.rarity.unused import unused
from rarityir.types import RarityError

STORIES = str(Path(__file__).parents[1] / "models" / "stories260K")
V, D, PLANTED, KNOWN, SHORT = 3000, 128, 60, 15, 150


def trained(rng) -> tuple[np.ndarray, np.ndarray]:
    """Rows with a power-law spectrum and a common mean, and Zipfian counts."""
    scale = np.arange(1, D + 1) ** -0.3
    x = rng.standard_normal((V, D)) * scale + 0.5 * rng.standard_normal(D) * scale
    cf = np.maximum(1, (2e6 / np.arange(1, V + 1) ** 1.1).astype(np.int64))
    return x * rng.lognormal(0, 0.1, (V, 1)), cf


def plant(rng, x, ids, length):
    common = rng.standard_normal(D)
    x[ids] = common / np.linalg.norm(common) * length + 1e-3 * rng.standard_normal((len(ids), D))


@pytest.mark.parametrize("length", [0.1, 0.3, 12.0])  # of what decay shortens, and of what the softmax pushes away
@pytest.mark.parametrize("counted", [False, True])
def test_planted_tokens_are_found_though_frequent_ones_have_short_rows(length, counted, rng):
    (output, cf), (given, _) = trained(rng), trained(rng)
    rare = rng.choice(np.arange(V // 2, V), PLANTED, replace=False)
    known, hidden = np.sort(rare[:KNOWN]), rare[KNOWN:]
    plant(rng, output, rare, length)
    plant(rng, given, rare, 0.1)
    truth = np.zeros(V)
    truth[hidden] = 1
    asked = np.setdiff1d(np.arange(V), known)

    def ap(values):
        return average_precision_score(truth[asked], values[asked])

    counts = cf if counted else None
    found = undertrained(output, known, input=given, cf=counts)
    assert ap(found.score) >= 0.99
    assert ap(-found.measured["input norm"]) >= 0.99
    assert set(np.flatnonzero(found.flagged)) == set(hidden)

    given[:SHORT] *= 0.09 / np.linalg.norm(given[:SHORT], axis=1)[:, None]
    output[:SHORT] *= 0.1 / np.linalg.norm(output[:SHORT], axis=1)[:, None]
    found = undertrained(output, known, input=given, cf=counts)
    assert ap(-found.measured["input norm"]) < 0.6
    assert ap(found.score) >= 0.95
    assert not found.flagged[:SHORT].any()
    if counted:  # what is usual for the frequent is no sign
        assert np.abs(np.median(found.families["input norm"][:SHORT])) < 3


def test_short_rows_of_another_direction_are_none_though_the_mean_hides_it(rng):
    """Less a large mean, every short row is the mean's opposite: only the rows as they are tell them apart."""
    output = rng.standard_normal((V, D)) + 20 * np.eye(D)[0]
    known, short = np.arange(10), np.arange(10, 60)
    common = np.eye(D)[1]
    aside = rng.standard_normal((50, D)) * (np.arange(D) > 1)
    aside /= np.linalg.norm(aside, axis=1)[:, None]
    output[known] = 0.1 * common + 1e-4 * rng.standard_normal((10, D))
    output[short] = 0.1 * (0.2 * common + np.sqrt(1 - 0.2**2) * aside)
    output[60] = output[0]
    found = undertrained(output, known)
    assert found.flagged[60]
    assert np.flatnonzero(found.flagged).tolist() == [60]
    assert (found.score[short] > found.threshold).all(), "the score alone takes them for untrained"


def test_tokens_that_occur_say_what_is_usual_where_most_do_not(rng):
    output, cf = trained(rng)
    ids = rng.choice(np.arange(300, V), int(0.7 * V), replace=False)
    plant(rng, output, ids, 0.1)
    cf[ids] = 0
    known, hidden = ids[:10], ids[10:]
    assert set(np.flatnonzero(undertrained(output, known, cf=cf).flagged)) == set(hidden)
    assert not undertrained(output, known).flagged.any()


def test_nothing_is_found_where_nothing_is_planted(rng):
    x, cf = trained(rng)
    known = rng.choice(V, KNOWN, replace=False)
    found = undertrained(x, known, cf=cf)
    assert found.threshold == 3
    assert found.flagged.mean() < 0.005


def test_what_does_not_tell_the_unused_apart_has_no_weight_and_a_surprise_counts_where_it_is_known(rng):
    (output, cf), bias = trained(rng), rng.standard_normal(V)
    ids = np.arange(V - 40, V)
    plant(rng, output, ids, 0.1)
    known, hidden = ids[:10], ids[10:]
    bias[known] = np.median(bias)
    surprise = rng.standard_normal(V)
    surprise[hidden[:5]], surprise[hidden[5:]] = 30, np.nan
    found = undertrained(output, known, bias=bias, cf=cf, surprise=surprise)
    assert found.weights["bias"] < 0.05
    assert found.weights["cosine"] == found.weights["surprise"] == 1
    assert found.families["surprise"][hidden[0]] == FARTHEST
    assert np.isnan(found.families["surprise"][hidden[5]])
    assert np.isfinite(found.score).all()
    parts = ("cosine", "distance", "centroid", "bias")
    weights = np.array([found.weights[name] for name in parts])
    expected = weights @ np.array([found.families[name][hidden[5]] for name in parts]) / weights.sum()
    assert found.score[hidden[5]] == pytest.approx(expected)


# indicators


def test_nearness_is_what_brute_force_measures_however_rows_are_read():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((40, 6)) * np.array([9, 3, 1, 1, 1, 1]) + 2
    x[30:] = 0.2 + 0.01 * rng.standard_normal((10, 6))
    x[5] = 0
    ids = np.array([30, 33, 39])
    used = np.delete(x, [2, *ids], axis=0)
    mean = used.mean(axis=0)
    first = np.linalg.svd(used - mean)[2][0]
    frames = {
        "raw": lambda row: row,
        "centred": lambda row: row - mean,
        "without pc1": lambda row: row - mean - first * ((row - mean) @ first),
    }
    blocks = SimpleNamespace(shape=x.shape, blocks=lambda rows: iter([x[:7], x[7:8], x[8:31], x[31:]]))
    usual = np.ones(40, bool)
    usual[ids] = usual[2] = False
    for found in (nearness(x, ids, usual), nearness(blocks, ids, usual)):
        for name in READINGS:
            for i in range(40):
                others = [frames[name](x[j]) for j in ids if j != i]
                mine, to = frames[name](x[i]), np.mean(others, axis=0)
                cosine = mine @ to / np.linalg.norm(mine) / np.linalg.norm(to) if np.any(mine) else 0
                assert found.cosine[name][i] == pytest.approx(cosine, abs=1e-5), (name, i)
                assert found.distance[name][i] == pytest.approx(np.linalg.norm(mine - to), abs=1e-5), (name, i)
        np.testing.assert_allclose(found.norm, np.linalg.norm(x, axis=1))
        np.testing.assert_allclose(found.centroid, np.linalg.norm(x - mean, axis=1))
    np.testing.assert_allclose(norms(blocks), np.linalg.norm(x, axis=1))


def test_the_order_of_the_unused_ids_changes_nothing(rng):
    x = rng.standard_normal((60, 6))
    usual = np.ones(60, bool)
    usual[[3, 20, 41]] = False
    found, turned = (nearness(x, np.array(ids), usual) for ids in ([3, 20, 41], [41, 3, 20]))
    for name in READINGS:
        np.testing.assert_array_equal(turned.cosine[name], found.cosine[name])
        np.testing.assert_array_equal(turned.distance[name], found.distance[name])


def test_spreads_are_of_a_normal_distribution_and_judged_in_their_band(rng):
    x = np.concatenate([rng.normal(5, 2, 40000), rng.normal(-3, 2, 40000)])
    bands = np.repeat([0, 1], 40000)
    found = spreads(x, np.ones(80000, bool), bands)
    assert np.std(found[:40000]) == pytest.approx(1, abs=0.05)
    assert np.median(found[40000:]) == pytest.approx(0, abs=1e-12)
    assert spreads(np.array([0.0, 0, 0, 5, -5]), np.ones(5, bool)).tolist() == [0, 0, 0, 10, -10]
    some = spreads(np.array([0.0, 1, 2, 100, 100, 100]), np.array([True] * 3 + [False] * 3))
    assert some.tolist() == pytest.approx([-1 / 1.4826, 0, 1 / 1.4826, 10, 10, 10])


def test_bands_hold_enough_tokens_and_never_part_the_rare():
    rare = [np.zeros(500), np.full(150, 1), np.full(250, 8)]
    cf = np.concatenate([*rare, np.full(40, 64), np.full(5, 128), np.full(30, 1000), [10**6] * 3]).astype(int)
    usual = np.ones(len(cf), bool)
    found = bands_of(cf, usual)
    assert set(found[:900]) == {0}
    assert len(set(found[900:940])) == 1
    assert (np.diff(found) >= 0).all()
    assert found[-1] == found[-4], "three tokens are no band"
    for band in set(found):
        assert ((found == band) & (cf > 0)).sum() >= BAND
    assert len(set(found)) == 3
    assert bands_of(np.zeros(9, int), np.ones(9, bool)).tolist() == [0] * 9


# reference rows


def vocabulary(pieces, special=()):
    made = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(pieces)}, unk_token=pieces[0]))
    made.add_special_tokens(list(special))
    return made


def test_unused_rows_are_known_by_what_they_are():
    special = ["<unk>", "<|reserved_special_token_4|>", "[CLS]", "<SPECIAL_17>", "<|endoftext|>"]
    pieces = [
        *special,
        "the",
        "[unused12]",
        "<unused99>",
        "<|dummy_3|>",
        "unused",
        "reserved",
        "<0xC0>",
        "<0xC2>",
        "<0xFF>",
        "the[unused1]",
    ]
    forms = Forms.of(vocabulary(pieces, special), rows=18)
    found = unused(forms)
    expected = ["<|reserved_special_token_4|>", "<SPECIAL_17>", "[unused12]", "<unused99>", "<|dummy_3|>", "<0xC0>", "<0xFF>"]
    assert [pieces[i] if i < len(pieces) else i for i in found.ids] == [*expected, 15, 16, 17]
    assert found.kinds == {"padding": 3, "reserved": 5, "invalid byte": 2}


def test_given_rows_stand_instead_and_too_few_are_one_line():
    forms = Forms.of(vocabulary(["<unk>", "a", "b", "c"]))
    assert unused(forms, [3, 1, 2]).ids.tolist() == [1, 2, 3]
    with pytest.raises(RarityError, match=r"^0 rows are known to be unused[^\n]*give the ids"):
        unused(forms)
    with pytest.raises(RarityError, match="2 rows"):
        unused(forms, [1, 1, 2])
    with pytest.raises(RarityError, match="reference row 9 is none of 4 rows"):
        unused(forms, [1, 2, 9])


def test_invalid_bytes_are_found_in_real_vocabularies_of_both_spellings():
    for model in ("demo", STORIES):
        assert unused(Forms.of(model)).kinds["invalid byte"] == 13


def test_rows_of_another_model_are_one_line():
    x = np.ones((9, 2))
    for wrong in ({"input": np.ones((8, 2))}, {"bias": np.ones(8)}, {"cf": np.ones(8, int)}, {"surprise": np.ones(10)}):
        with pytest.raises(RarityError, match="the 9 rows of the unembedding"):
            undertrained(x, np.array([0, 1, 2]), **wrong)
    x[4, 1] = np.nan
    with pytest.raises(RarityError, match="no numbers"):
        undertrained(x, np.array([0, 1, 2]))


# a real model


@pytest.fixture(scope="module")
def demo():
    return find("demo", dataset=rarityir.load_dataset("cranfield"), limit=400, workers=1)


def test_letters_that_the_demo_model_never_reads_are_its_most_under_trained(demo):
    tokenizer = tokenizer_of("demo")
    letters = {tokenizer.token_to_id(letter) for letter in string.ascii_uppercase}
    assert letters <= set(np.flatnonzero(demo.scored.flagged))
    worst = set(np.argsort(-demo.scored.score, kind="stable")[:120])
    assert letters <= worst
    assert demo.facts["kinds"]["unreachable"] == 26
    assert demo.facts["references"]["kinds"] == {"invalid byte": 13}
    cf = TokenStats.from_dataset("cranfield", "demo", limit=400).cf
    assert not demo.scored.flagged[cf >= 30].any()
    assert 50 < demo.facts["flagged_count"] < 400
    assert {row["cf"] >= 20 for row in demo.facts["short"]} == {True}


def test_the_share_of_a_collection_is_what_a_loop_counts(demo):
    data, tokenizer, flagged = rarityir.load_dataset("cranfield"), tokenizer_of("demo"), demo.scored.flagged.copy()
    flagged[tokenizer.token_to_id("Ġslip")] = True
    found = touches(data, Forms.of("demo").tokens, flagged, limit=100, workers=1)
    texts = {"documents": [doc.text for doc in data.docs()][:100], "queries": list(data.topics.values())}
    for what, some in texts.items():
        ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in some]
        marked = [sum(flagged[i] for i in text) for text in ids]
        assert found[what]["all"] == len(some)
        assert found[what]["touched"] == sum(n > 0 for n in marked) > 0
        assert found[what]["share"] == pytest.approx(np.mean([n > 0 for n in marked]))
        assert found[what]["of_tokens"] == pytest.approx(sum(marked) / sum(map(len, ids)))


@pytest.mark.usefixtures("elsewhere")
def test_the_command_prints_and_keeps_what_it_finds(capsys, tmp_path, beir, stories):
    argv = [
        "rarity",
        "undertrained",
        "--model",
        stories,
        "--dataset",
        str(beir),
        "--no-probe",
        "--top",
        "6",
        "--out",
        str(tmp_path / "o"),
    ]
    assert main([*argv, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "o" / "undertrained.json").read_text()) == facts
    assert (facts["rows"], facts["tied"]) == (512, True)
    assert facts["families"] == ["cosine", "distance", "centroid"]
    assert facts["kinds"] == {"byte": 243, "invalid": 13, "ok": 253, "special": 3}
    assert 200 < facts["flagged_kinds"]["byte"] <= 243, "bytes are not what is usual"
    assert facts["flagged_kinds"].get("ok", 0) < 25
    assert [row["score"] for row in facts["most"]] == sorted((row["score"] for row in facts["most"]), reverse=True)
    assert len(facts["flagged"]) == facts["flagged_count"]
    assert facts["touched"]["tiny/test"]["queries"]["all"] == 3
    assert main(argv) == 0
    text = capsys.readouterr().out
    assert "13 invalid byte" in text
    assert "input and output one matrix" in text
    assert "in tiny/test" in text


@pytest.mark.usefixtures("elsewhere")
def test_a_threshold_and_rows_that_are_given_are_used(capsys, stories):
    argv = ["rarity", "undertrained", "--model", stories, "--json"]
    assert main([*argv, "--threshold", "9999", "--reference", "3,4,5,6"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["flagged"] == []
    assert facts["references"] == {"kinds": {"given": 4}, "ids": [3, 4, 5, 6]}
    assert facts["short"] == []
    assert main([*argv, "--reference", "3,x"]) == 2
    assert main([*argv, "--reference", "3,4"]) == 1
    assert "2 rows are known" in capsys.readouterr().err


def test_repeating_is_what_the_model_itself_predicts(stories, monkeypatch):
    import torch
    from transformers import AutoModelForCausalLM

    from rarityir.encoders import load_encoder
    from rarityir.rarity import repeating

    encoder = load_encoder(stories, device="cpu")
    ids = [5, 265, 300, 451]
    model = AutoModelForCausalLM.from_pretrained(stories, dtype=torch.float32)
    for times in (1, 7):
        monkeypatch.setattr(repeating, "TIMES", times)
        for token, found in zip(ids, repeating.repeated(encoder, ids), strict=True):
            with torch.no_grad():
                p = model(torch.tensor([[1] + [token] * times])).logits[0, 1:].softmax(-1)[:, token]
            assert found == pytest.approx(float(p.max()), rel=1e-3)
    with pytest.raises(RarityError, match="x does not go on with a text"):
        repeating.repeated(SimpleNamespace(name="x"), [1])


def test_a_model_that_is_asked_cannot_say_what_was_found(stories):
    found = find(stories, top=5, ask=60, device="cpu")
    asked = found.facts["asked"]
    assert asked["flagged"]["asked"] == asked["others"]["asked"] == 60
    assert asked["flagged"]["never said"] == 60
    assert asked["others"]["median"] > 1000 * asked["flagged"]["median"]  # as small a model says few tokens after themselves
    assert max(row["said"] for row in found.facts["most"]) < 0.01
    assert "asked to repeat" in found.text()
