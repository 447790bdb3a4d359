"""Bring a network into memory, when its file is what it should be."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path
from typing import Any

from mtor_kernel.protocol.errors import Unavailable

#: Where the networks lie that come with MTOR; LICENCES.md there tells whose they are.
WEIGHTS = Path(__file__).parent / "weights"

#: SHA-256 of every file of weights that sight uses, its own and those of the package rapidocr.
SHA256 = {
    "labels.onnx": "a1b0970b78fc8c6b2b4c948e10ee6565cc4e52537f95482318aee1d79c469bbe",
    "objects.onnx": "0141ac7bdc2b11d3da9d22ea1c7aa4c33bc4428b6e0879f071e76fd0d07b012e",
    "PP-OCRv6_det_small.onnx": "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
    "PP-OCRv6_rec_small.onnx": "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
    "ch_ppocr_mobile_v2.0_cls_mobile.onnx": (
        "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c"
    ),
}


#: What tells those of the package from MTOR's own.
_OF_THE_PACKAGE = "ocr"


def place(name: str) -> Path:
    """Return where a network should lie, without importing the package that has it."""
    if _OF_THE_PACKAGE not in name.lower():
        return WEIGHTS / name
    try:
        distribution = metadata.distribution("rapidocr")
    except metadata.PackageNotFoundError:
        return WEIGHTS / name  # where it is not
    return Path(str(distribution.locate_file("rapidocr/models"))) / name


def missing() -> str:
    """Return why the networks cannot be had, as a sentence; empty if all of them lie there."""
    absent = [name for name in SHA256 if not place(name).is_file()]
    if not absent:
        return ""
    return (
        f"The network {absent[0]} is not there: install MTOR and rapidocr 3.10 again, by "
        "pip install --force-reinstall 'mtor-kernel[sight]' 'rapidocr==3.10.*'."
    )


def checked(path: Path) -> Path:
    """Return `path` if it holds what MTOR expects.

    Raises
    ------
    Unavailable
        It is not there, or its SHA-256 is another.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        raise Unavailable(missing() or f"The network {path.name} cannot be read.") from None
    if found != SHA256[path.name]:
        raise Unavailable(
            f"The network {path.name} does not have the SHA-256 that MTOR expects: look at where "
            "your packages come from."
        )
    return path


def session(name: str, threads: int) -> Any:
    """Return an onnxruntime session for one of MTOR's own networks."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # what is not computing should hold little memory
    options.log_severity_level = 3
    path = checked(place(name))
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def names(file: str) -> tuple[str, ...]:
    """Return the names of a network's classes, in the order of its outputs."""
    return tuple((WEIGHTS / file).read_text(encoding="utf-8").splitlines())
