"""The network as an ONNX graph without weights: it names places in the file that diffusers reads.

The places depend on the names and shapes of the weights only, so the graph of one architecture
serves every training of it.
"""

from __future__ import annotations

import json
import struct
import warnings
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from dask_workers.emoji.codec import CELLS, FIGURES
from dask_workers.emoji.reader import TOKENS, WIDTH
from dask_workers.emoji.sketch import COLOURS

#: What goes in, as :class:`~dask_workers.emoji.light.LightPipeline` names it, and what comes out.
INPUTS, OUTPUT = ("noisy", "when", "tokens", "whole"), "clean"
_HALVES = "F16"


class _Flat(torch.nn.Module):
    """The network with plain arrays in and out."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, noisy: Tensor, when: Tensor, tokens: Tensor, whole: Tensor) -> Any:
        return self.unet(noisy, when, tokens, class_labels=whole, return_dict=False)[0]


def write_graph(unet: UNet2DConditionModel, weights: Path, place: Path) -> None:
    """Write the graph of `unet` to `place`.

    Parameters
    ----------
    weights
        The network's safetensors file in half precision, in `place`'s folder or below.
    """
    import onnx

    with warnings.catch_warnings():
        # torch says that this way is the old one, and which choices are not traced: they are none.
        warnings.simplefilter("ignore")
        _export(unet, place)
    model = onnx.load(place)
    _point(model, weights, weights.relative_to(place.parent).as_posix())
    onnx.save(model, place)


def _export(unet: UNet2DConditionModel, place: Path) -> None:
    torch.onnx.export(
        _Flat(unet.float().eval()),
        (
            torch.zeros(2, FIGURES + COLOURS, CELLS, CELLS),
            torch.zeros(2),
            torch.zeros(2, TOKENS, WIDTH),
            torch.zeros(2, WIDTH),
        ),
        place,
        input_names=list(INPUTS),
        output_names=[OUTPUT],
        dynamic_axes={name: {0: "count"} for name in (*INPUTS, OUTPUT)},
        opset_version=17,
        do_constant_folding=False,  # every weight keeps its name
        dynamo=False,
    )


def _point(model: Any, weights: Path, location: str) -> None:
    """Put places in a file in the stead of weights, each with a cast to single precision."""
    from onnx import TensorProto, helper

    places = _places(weights)
    casts = []
    for tensor in model.graph.initializer:
        name = tensor.name.removeprefix("unet.")
        if name not in places:
            continue
        start, length = places[name]
        casts.append(
            helper.make_node("Cast", [f"{name}.half"], [tensor.name], to=TensorProto.FLOAT)
        )
        tensor.name, tensor.data_type = f"{name}.half", TensorProto.FLOAT16
        for field in ("raw_data", "float_data"):
            tensor.ClearField(field)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, "offset": start, "length": length}.items():
            entry = tensor.external_data.add()
            entry.key, entry.value = key, str(value)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _places(weights: Path) -> dict[str, tuple[int, int]]:
    """Return where each array lies in a safetensors file: its first byte, and how many."""
    with weights.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        told = json.loads(file.read(length))
    told.pop("__metadata__", None)
    if any(one["dtype"] != _HALVES for one in told.values()):
        raise ValueError(f"{weights} holds weights that are not in half precision.")
    return {
        name: (8 + length + one["data_offsets"][0], one["data_offsets"][1] - one["data_offsets"][0])
        for name, one in told.items()
    }
