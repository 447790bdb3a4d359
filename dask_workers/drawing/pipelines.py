"""Finding a pipeline on this machine, and bringing it into memory. Nothing is ever fetched."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from dask_workers.drawing.memory import is_out_of_memory
from dask_workers.places import locate
from mtor_kernel.protocol.errors import BackendFailed, Unavailable

#: The built-in one, by the name that ``settings.pipeline`` gives it.
EMOJI = "emoji"
#: What a pipeline's folder holds at least.
_INDEX = "model_index.json"
_MINILM = (("model.onnx",), ("tokenizer.json",))


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which pipeline, where it runs, and how it is shared."""

    #: A folder in diffusers' format, ``emoji`` for the built-in model, or the name of a pipeline
    #: that lies in the machine's Hugging Face cache.
    pipeline: str = ""
    #: Pulled weights (``mtor pull``), in place of `pipeline`.
    weights: str = ""
    data_dir: str = ""
    #: What computes the built-in model: ``onnx`` needs no torch; ``torch`` is diffusers' own way.
    runtime: Literal["onnx", "torch"] = "onnx"
    #: ``auto``: the GPU if there is one.
    device: Annotated[str, Meta(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"
    #: ``auto``: half precision on a GPU, single on a CPU.
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    #: Threads that compute on a CPU; 0: as many as torch likes.
    n_threads: Annotated[int, Meta(ge=0)] = 0
    #: A preview every so many steps; 0: none.
    preview_every: Annotated[int, Meta(ge=0)] = 5
    #: Pictures drawn together at most; 0: as many as the model has slots.
    max_batch: Annotated[int, Meta(ge=0)] = 0
    #: How long an idle pipeline waits for company of the first query.
    gather_seconds: Annotated[float, Meta(ge=0, le=10)] = 0.03
    #: Attention and decoding in pieces: slower, and in much less memory.
    slicing: bool = False


def lacking(settings: Settings) -> str:
    """Return what is missing to open the pipeline, as a sentence; empty if nothing is."""
    needed = ["PIL", "safetensors"]
    if settings.pipeline == EMOJI:
        needed += ["numpy", "onnxruntime", "tokenizers"]
    if settings.pipeline != EMOJI or settings.runtime == "torch":
        needed += ["torch", "diffusers", "transformers"]
    for name in needed:
        if importlib.util.find_spec(name) is None:
            return f"The package {name} is missing: pip install 'mtor-kernel[builtin,diffusion]'."
    found = _found(settings)
    return found if isinstance(found, str) else ""


def files_of(settings: Settings) -> list[Path]:
    """Return the files and folders of the weights; none where they are not here."""
    place = _found(settings)
    if isinstance(place, str):
        return []
    if settings.pipeline != EMOJI:
        return [place]
    from dask_workers.emoji.light import WEIGHTS

    return [WEIGHTS, place]


def open_pipeline(settings: Settings) -> Any:
    """Return the pipeline, in memory and on its device."""
    place = _found(settings)
    if isinstance(place, str):
        raise Unavailable(place)
    try:
        if settings.pipeline != EMOJI:
            return _saved(place, settings)
        return _emoji(place, settings.runtime, max(1, settings.n_threads))
    except MemoryError:
        raise
    except Exception as error:  # the libraries raise plain exceptions of many kinds
        if is_out_of_memory(error):
            raise MemoryError from None
        raise BackendFailed(
            f"The pipeline in {place} cannot be opened ({type(error).__name__}): it must be whole, "
            "in diffusers' format, with weights in safetensors."
        ) from error


def _emoji(minilm: Path, runtime: str, n_threads: int) -> Any:
    from dask_workers.backends.minilm import MiniLM
    from dask_workers.emoji.light import WEIGHTS, LightPipeline

    encoder = MiniLM(minilm, n_threads)
    if runtime == "onnx":
        return LightPipeline(WEIGHTS, encoder, n_threads)
    from dask_workers.emoji.pipeline import EmojiPipeline

    pipeline = EmojiPipeline.open(WEIGHTS, encoder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _saved(folder: Path, settings: Settings) -> Any:
    import torch
    from diffusers import DiffusionPipeline
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    device = settings.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = settings.dtype
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else "float16"
    # A pickle can run code, so weights in that form are not read.
    pipeline = DiffusionPipeline.from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        dtype=getattr(torch, dtype),
        low_cpu_mem_usage=importlib.util.find_spec("accelerate") is not None,
    ).to(device)
    if settings.slicing:
        pipeline.enable_attention_slicing()
        if hasattr(pipeline, "vae"):
            pipeline.vae.enable_slicing()
            pipeline.vae.enable_tiling()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _found(settings: Settings) -> Path | str:
    """Return where the pipeline lies, or a sentence that says why it is nowhere.

    The built-in one lies beside this code: what has a place is the encoder that reads for it.
    """
    if settings.pipeline == EMOJI:
        return locate("", "minilm", settings.data_dir, _MINILM)
    if settings.weights:
        return locate("", settings.weights, settings.data_dir, ((_INDEX,),))
    name = settings.pipeline
    if not name:
        return "Its entry names no pipeline: set settings.pipeline to a folder, or weights."
    folder = Path(name).expanduser()
    if (folder / _INDEX).is_file():
        return folder
    if folder.is_dir():
        return f"The folder {folder} holds no {_INDEX}: it is not a pipeline of diffusers."
    cached = None if folder.is_absolute() or name.count("/") != 1 else _cached(name)
    return cached or (
        f"There is no pipeline {name} on this machine, and MTOR fetches none by itself."
    )


def _cached(name: str) -> Path | None:
    """Return where somebody's earlier download lies in the machine's Hugging Face cache."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, _INDEX)
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None
