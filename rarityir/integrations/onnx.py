"""A filter as an ONNX graph, for runtimes in any language (extra `onnx`, needed only to write it)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rarityir.filters import EmbedFilter
from rarityir.integrations import exports
from rarityir.types import Encoder, MissingExtra

FILE, INPUT, OUTPUT = "filter.onnx", "embeddings", "filtered"
_OPSET, _IR = 17, 8  # what runtimes since 2022 read


def model(filter: EmbedFilter, *, normalise: bool = True) -> Any:
    """Returns the `onnx.ModelProto` that maps `embeddings` (N, D) float32 to `filtered` (N, K), N free.

    With `normalise` the rows come out with unit length; a row of zeros stays one. Raises `MissingExtra` without onnx.
    """
    try:
        from onnx import TensorProto, checker, helper, numpy_helper
    except ImportError:
        raise MissingExtra("writing ONNX needs onnx: pip install 'rarityir[onnx]'") from None
    kept, width = filter.basis.shape
    constants = {"basis": np.ascontiguousarray(filter.basis, np.float32)}
    if filter.mean is not None:
        constants["bias"] = filter.bias
    nodes = [helper.make_node("Gemm", [INPUT, *constants], ["linear" if normalise else OUTPUT], transB=1)]
    if normalise:
        constants["tiny"] = np.array(np.finfo(np.float32).tiny)  # keeps a row of zeros from 0/0
        nodes += [
            helper.make_node("ReduceL2", ["linear"], ["length"], axes=[1], keepdims=1),
            helper.make_node("Max", ["length", "tiny"], ["divisor"]),
            helper.make_node("Div", ["linear", "divisor"], [OUTPUT]),
        ]
    graph = helper.make_graph(
        nodes,
        "EmbedFilter",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", width])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", kept])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    found = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="rarityir")
    found.ir_version = _IR
    helper.set_model_props(found, {"filter": filter.name, "sha256": filter.digest, "model": str(filter.fitted_on.get("model"))})
    checker.check_model(found, full_check=True)
    return found


def export(encoder: Encoder, filter: EmbedFilter, out: str | Path) -> Path:
    """Writes `filter.onnx`, which filters raw embeddings and normalises them; the encoder itself is not in it."""
    exports.check(encoder, filter)
    found = model(filter)
    with exports.folder(Path(out), "onnx", encoder, filter) as folder:
        (folder / FILE).write_bytes(found.SerializeToString())
    return Path(out)
