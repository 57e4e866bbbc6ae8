"""What an explanation says of a filter: shares that add up, tokens that are really written, and pictures that are drawn."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rarityir.encoders import load_encoder
from rarityir.explain import explain
from rarityir.filters import EmbedFilter, Source, Unembedding
from rarityir.report.spectrum import picture, text
from rarityir.types import RarityError

TEXTS = ["the boundary layer over a flat plate", "heat transfer at the stagnation point of a blunt body"]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Source:
    return Source(Unembedding.of("demo"), cache=tmp_path_factory.mktemp("spectra"))


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("demo", pooling="mean")


@pytest.fixture(scope="module")
def explained(source, encoder):
    def explained(name: str):
        chosen = EmbedFilter.fit(source, name) if name else None
        return explain(chosen, source, encoder.tokens(), texts=TEXTS, embeddings_ND=encoder.encode_document(TEXTS), top=5)

    return explained


@pytest.mark.parametrize("name", ["", "edge:2", "cut:8,64", "auto", "logfreq", "spectroscopy:64"])
def test_zones_share_out_all_directions_energy_and_frequency(explained, name):
    found = explained(name)
    assert sorted(i for zone in found.zones for i in zone.positions) == list(range(256))
    assert sum(zone.energy for zone in found.zones) == pytest.approx(1)
    assert sum(zone.frequency for zone in found.zones) == pytest.approx(1)
    assert found.energy.sum() == pytest.approx(1)
    assert found.frequency.sum() == pytest.approx(1)
    assert found.kept.sum() == pytest.approx(len(EmbedFilter.fit("demo", name).basis) if name else 256, abs=1e-4)


def test_a_band_is_kept_where_it_says_and_dropped_elsewhere(explained):
    found = explained("cut:8,64")
    assert [zone.label for zone in found.zones] == ["1-8", "9-192", "193-256"]
    assert [zone.kept for zone in found.zones] == pytest.approx([0, 1, 0], abs=1e-6)
    np.testing.assert_allclose(found.kept, np.r_[np.zeros(8), np.ones(184), np.zeros(64)], atol=1e-6)


@pytest.mark.parametrize(
    "name", ["edge:2", "truncate:128", "logfreq", "spectroscopy:128", "frequent:64", "auto:center=yes", "random:3"]
)
def test_the_share_of_a_texts_energy_is_that_of_its_filtered_embedding(explained, encoder, name):
    x = encoder.encode_document(TEXTS)
    filtered = EmbedFilter.fit("demo", name)(x)
    shares = (filtered**2).sum(axis=1) / (x**2).sum(axis=1)
    np.testing.assert_allclose([reading.kept for reading in explained(name).texts], shares, rtol=1e-4)


def test_the_shift_shown_is_that_of_the_directions_shown(explained, source):
    found, table = explained(""), source.frequencies("english")
    rows = np.concatenate([rows for _, rows in source.matrix.blocks()]).astype(np.float64)
    rows -= rows.mean(axis=0)
    log_p = table.log_probability()
    average = np.linalg.pinv(rows) @ (log_p - log_p.mean())
    frequent = np.argsort(-table.counts, kind="stable")[:100]
    for i in (0, 1, 7, 100, 255):
        v = source.spectrum().directions[i]
        moved = rows[frequent] @ average - rows[frequent] @ (average - (average @ v) * v)
        assert found.shift[i] == pytest.approx(np.abs(moved).sum() / np.abs(rows[frequent] @ average).sum(), rel=1e-6)


def test_the_words_of_a_zone_are_frequent_and_lie_most_in_it(explained, source, encoder):
    zone = explained("cut:8,64").zones[0]
    rows = np.concatenate([rows for _, rows in source.matrix.blocks()]).astype(np.float64)
    shares = ((rows @ source.spectrum().directions[:8].T) ** 2).sum(axis=1) / (rows**2).sum(axis=1)
    counts, tokens = source.frequencies("english").counts, encoder.tokens()
    frequent = counts > counts.sum() / len(counts)
    words = [i for i in np.argsort(-shares) if frequent[i] and tokens[i] and any(c.isalnum() for c in tokens[i])]
    assert zone.written == tuple(tokens[i] for i in words[:5])


def test_a_text_without_length_has_no_share_and_no_warning(source, encoder):
    found = explain(None, source, encoder.tokens(), texts=["nothing"], embeddings_ND=np.zeros((1, 256), np.float32))
    assert found.texts[0].kept == 0
    assert json.dumps(found.json(), allow_nan=False)


def test_without_a_filter_a_text_reads_the_same_before_and_after_and_with_one_it_does_not(explained):
    assert all(reading.before == reading.after and reading.kept == pytest.approx(1) for reading in explained("").texts)
    filtered = explained("auto").texts
    assert any(reading.before != reading.after for reading in filtered)
    assert [reading.before for reading in filtered] == [reading.before for reading in explained("").texts]


def test_the_text_names_zones_and_texts_and_the_json_holds_every_direction(explained):
    found = explained("edge:2")
    shown = text(found, 3)
    assert "edge:2 keeps 128 of 256 directions" in shown
    assert "dropped 1-64" in shown
    assert "kept 65-192" in shown
    assert repr(TEXTS[0]) in shown
    facts = json.loads(json.dumps(found.json()))
    assert len(facts["values"]) == len(facts["shift"]) == len(facts["energy"]) == 256
    assert facts["fitted_on"]["model"] == "demo"


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_a_picture_is_drawn_the_same_each_time(explained, tmp_path, suffix):
    found = explained("spectroscopy:64")
    one, two = (picture(found, tmp_path / f"{i}" / f"picture{suffix}") for i in range(2))
    assert one.stat().st_size > 2000
    assert one.read_bytes() == two.read_bytes()


def test_a_picture_of_an_unknown_form_is_one_line(explained, tmp_path):
    with pytest.raises(RarityError, match=r"^[^\n]*\.svg, \.png or \.pdf$"):
        picture(explained(""), tmp_path / "picture.bmp")
