"""Keep a network's large weights as 8-bit integers, with one scale for each output channel.

The sums stay in floating point: onnxruntime turns the weights back when it loads the file. So the
file is about a quarter as large, and what the network says hardly changes. Kernels that look at up
to three channels (depthwise ones, and the first) are few numbers and sensitive: they stay as they
are.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

#: Kernels of fewer input channels stay as they are.
_LEAST_CHANNELS = 4


def shrink(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model` with the weights of its convolutions and matrix products in 8 bits."""
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    chosen: dict[str, int] = {}
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm") and node.input[1] in weights:
            transposed = node.op_type == "Conv" or any(
                one.name == "transB" and one.i for one in node.attribute
            )
            chosen[node.input[1]] = 0 if transposed else 1
    kept, turned = [], []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.name not in chosen or values.shape[1 - chosen[tensor.name]] < _LEAST_CHANNELS:
            kept.append(tensor)
            continue
        axis = chosen[tensor.name]
        small, scale = _in_8_bits(values, axis)
        kept.append(numpy_helper.from_array(small, f"{tensor.name}/8"))
        kept.append(numpy_helper.from_array(scale, f"{tensor.name}/scale"))
        inputs = [f"{tensor.name}/8", f"{tensor.name}/scale"]
        turned.append(helper.make_node("DequantizeLinear", inputs, [tensor.name], axis=axis))
    fresh = helper.make_graph([*turned, *graph.node], graph.name, graph.input, graph.output, kept)
    return helper.make_model(fresh, opset_imports=model.opset_import, ir_version=model.ir_version)


def _in_8_bits(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the integers and each channel's scale; the scale with the least squared error."""
    rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1).astype(np.float64)
    largest = np.maximum(np.abs(rows).max(1, keepdims=True), 1e-12)
    best, error = largest / 127, np.full_like(largest, np.inf)
    for part in np.linspace(0.7, 1.0, 31):
        scale = largest * part / 127
        near = np.clip(np.rint(rows / scale), -127, 127) * scale
        lost = ((near - rows) ** 2).sum(1, keepdims=True)
        best, error = np.where(lost < error, scale, best), np.minimum(lost, error)
    scales = best.astype(np.float32)
    small = np.clip(np.rint(rows / scales), -127, 127).astype(np.int8)
    shape = (values.shape[axis], *np.delete(values.shape, axis))
    return np.moveaxis(small.reshape(shape), 0, axis), scales[:, 0]


def save(model: onnx.ModelProto, path: str) -> None:
    """Check `model` and write it, without what tools have noted in it."""
    del model.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string = "mtor", "", ""
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def floats(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
    """Return the description of an input or output."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
