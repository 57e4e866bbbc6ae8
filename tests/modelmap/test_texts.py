"""Text sets: pieces of UTF-8 that lose nothing, draws by seed, bytes, checksums."""

from __future__ import annotations

import json

import pytest

from rarityir.modelmap import TextSet
from rarityir.modelmap.texts import pieces
from rarityir.types import RarityError


def test_pieces_are_whole_characters_and_join_to_the_text(rng) -> None:
    text = "".join(rng.choice(list("aé€𝄞 \n"), 500))
    for size in (4, 5, 17, 1024, 5000):
        found = list(pieces(text, size))
        assert "".join(found) == text
        assert all(0 < len(p.encode()) <= size for p in found)
        assert all(len(a.encode()) > size - 4 for a in found[:-1])
    assert list(pieces("", 8)) == []
    with pytest.raises(RarityError, match="at most 3 bytes"):
        list(pieces("a", 3))


def test_a_draw_is_of_the_seed_in_the_texts_order_and_of_the_right_lengths() -> None:
    texts = [f"{i:04d}" + "x" * (i % 97) for i in range(300)]
    one, two, other = (TextSet.drawn(texts, {}, 20, max_bytes=60, min_bytes=30, seed=s) for s in (1, 1, 2))
    assert one.texts == two.texts != other.texts
    assert one.sha256 == two.sha256 != other.sha256
    assert len(set(one.texts)) == 20
    assert all(30 < b <= 60 for b in one.bytes)
    whole = [p for t in texts for p in pieces(t, 60)]
    places = [whole.index(t) for t in one.texts]
    assert places == sorted(places)
    assert one.mean_bytes == sum(len(t.encode()) for t in one.texts) / 20
    with pytest.raises(RarityError, match="ask for fewer"):
        TextSet.drawn(texts, {}, 9999, max_bytes=60, min_bytes=30, seed=1)
    with pytest.raises(RarityError, match="must be the smaller"):
        TextSet.drawn(texts, {}, 2, max_bytes=60, min_bytes=60, seed=1)


def test_the_checksum_tells_texts_apart_where_joining_them_does_not() -> None:
    assert TextSet(("ab", "c"), {}).sha256 != TextSet(("a", "bc"), {}).sha256
    assert TextSet(("é",), {}).bytes.tolist() == [2]


def test_a_dataset_and_a_file_give_texts(beir, tmp_path) -> None:
    found = TextSet.from_dataset(str(beir), 4, max_bytes=64, min_bytes=16)
    assert len(found) == 4
    assert found.source["seed"] == 42
    plain = tmp_path / "texts.txt"
    plain.write_text("one\n\ntwo é\n")
    assert TextSet.from_file(plain).texts == ("one", "two é")
    lines = tmp_path / "texts.jsonl"
    lines.write_text(json.dumps({"text": "a\nb"}) + "\n")
    assert TextSet.from_file(lines).texts == ("a\nb",)
    assert TextSet.from_file(plain)[[1]].texts == ("two é",)
    lines.write_text('{"texts": 1}\n')
    with pytest.raises(RarityError, match=r"texts\.jsonl:1"):
        TextSet.from_file(lines)
    with pytest.raises(RarityError, match="no file"):
        TextSet.from_file(tmp_path / "none.txt")
    plain.write_text("\n")
    with pytest.raises(RarityError, match="holds no texts"):
        TextSet.from_file(plain)


def test_a_set_is_stored_and_a_changed_one_is_refused(tmp_path) -> None:
    path = TextSet(("one", "two"), {"file": "x"}).save(tmp_path / "texts.json")
    assert TextSet.load(path) == TextSet(("one", "two"), {"file": "x"})
    path.write_text(path.read_text().replace("two", "tow"))
    with pytest.raises(RarityError, match="checksum"):
        TextSet.load(path)
    path.write_text("[]")
    with pytest.raises(RarityError, match="no stored text set"):
        TextSet.load(path)
