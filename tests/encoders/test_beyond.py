"""A tokenizer that was given tokens its model has no embeddings for: one line, whichever way a text comes to the model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tiny import STORIES

from rarityir.cli import main
from rarityir.encoders import load_encoder
from rarityir.modelmap import scoring
from rarityir.modelmap.texts import TextSet
from rarityir.tokens.vocabulary import Vocabulary
from rarityir.types import RarityError

SAID = r"gives a text the id 512, and its model has 512 embeddings; take the model's own tokenizer files"


@pytest.fixture
def beyond(tmp_path: Path) -> str:
    """The stories model, to whose tokenizer alone a token was added."""
    folder = shutil.copytree(STORIES, tmp_path / "beyond", copy_function=shutil.copyfile)
    path = folder / "tokenizer.json"
    said = json.loads(path.read_text())
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    said["added_tokens"].append({"id": 512, "content": "ball", **flags})
    path.chmod(0o644)
    path.write_text(json.dumps(said))
    return str(folder)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_id_beyond_the_model_is_one_line(beyond: str, workers: int) -> None:
    encoder = load_encoder(beyond, workers=workers)
    assert encoder.encode_document(["the dog"]).shape == (1, encoder.dim)
    for read in (encoder.encode_document, encoder.encode_query, encoder.document_states):
        with pytest.raises(RarityError, match=SAID):
            read(["the red ball"])
    with pytest.raises(RarityError, match=SAID):
        Vocabulary.of(encoder.tokens()).classes(encoder.tokenize(["the red ball"]))
    with pytest.raises(RarityError, match=SAID):
        scoring.loglik(scoring.opened(beyond), TextSet(("the red ball of the dog",), {}))


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("system", ["dense", "sparse:16", "sparse:16,style=promptreps", "rrf(bm25,dense+edge:2)"])
def test_an_experiment_with_such_a_model_is_one_line(
    beyond: str, beir: Path, system: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "--dataset", str(beir), "--encoder", beyond, "--systems", system]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert "gives a text the id 512, and its model has 512 embeddings" in said[-1]
    assert "Traceback" not in "".join(said)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    "line",
    [
        "align {t} --encoder {m}",
        "explain {t} {t} --encoder {m} --system sparse:16",
        "alignment --dataset {d} --encoder {m} --out aligned",
    ],
)
def test_commands_that_read_texts_say_so_too(beyond: str, beir: Path, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    known = {"{t}": "the red ball of the dog", "{m}": beyond, "{d}": str(beir)}
    assert main([known.get(word, word) for word in line.split()]) == 1
    assert "gives a text the id 512, and its model has 512 embeddings" in capsys.readouterr().err.splitlines()[-1]


def test_a_text_without_tokens_has_no_id_beyond(beyond: str) -> None:
    vocabulary = Vocabulary.of(load_encoder(beyond).tokens())
    empty, last = vocabulary.classes([[], [511]])
    assert len(empty) == 0
    assert len(last) <= 1
