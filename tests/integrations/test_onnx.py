"""The filter as an ONNX graph, run by onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

import rarityir as ri
from rarityir.integrations.onnx import FILE, INPUT, OUTPUT, export, model
from rarityir.retrieval import normalised
from rarityir.types import RarityError

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def session(content: bytes):
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def test_the_graph_ranks_as_rarityir_does(contract, tmp_path) -> None:
    folder = export(contract.encoder, contract.filter, tmp_path / "out")
    run = session((folder / FILE).read_bytes()).run
    (documents,), (queries,) = run([OUTPUT], {INPUT: contract.documents_ND}), run(None, {INPUT: contract.queries_QD})
    contract.check_scores(queries @ documents.T)


def test_lengths_are_kept_if_asked(contract) -> None:
    run = session(model(contract.filter, normalise=False).SerializeToString()).run
    for count in (1, 7):
        (found,) = run([OUTPUT], {INPUT: contract.documents_ND[:count]})
        np.testing.assert_allclose(found, contract.filter(contract.documents_ND[:count]), atol=1e-5)


def test_a_row_of_zeros_stays_one_and_no_rows_are_none(contract) -> None:
    plain = ri.EmbedFilter("plain", contract.filter.basis)
    run = session(model(plain).SerializeToString()).run
    assert not run(None, {INPUT: np.zeros((1, 256), np.float32)})[0].any()
    assert run(None, {INPUT: np.zeros((0, 256), np.float32)})[0].shape == (0, 128)
    small = np.full((1, 256), 1e-12, np.float32)
    np.testing.assert_allclose(run(None, {INPUT: small})[0], normalised(plain(small)), atol=1e-5)


def test_the_graph_says_whose_filter_it_is(contract) -> None:
    found = session(model(contract.filter).SerializeToString())
    assert found.get_modelmeta().custom_metadata_map["sha256"] == contract.filter.digest
    assert [i.shape for i in (*found.get_inputs(), *found.get_outputs())] == [["N", 256], ["N", 128]]


def test_a_filter_of_another_model_is_refused(contract, stories, tmp_path) -> None:
    other = ri.EmbedFilter.fit(stories, "edge:2", cache=tmp_path / "spectra")
    with pytest.raises(RarityError, match=r"stories260K.*demo"):
        export(contract.encoder, other, tmp_path / "out")
