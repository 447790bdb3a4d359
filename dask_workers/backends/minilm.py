"""Embeddings by a small sentence encoder (all-MiniLM-L6-v2), run by onnxruntime on the CPU.

A vector has 384 figures and the length 1, so the product of two is their likeness, −1 to 1.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import msgspec
from msgspec import Meta

from dask_workers.places import locate
from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import BackendFailed, BadInput, Unavailable
from mtor_kernel.protocol.query import Data, Message, Modality, Query, Text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: The model was trained to read so much of a text, its two marks included.
MAX_TOKENS = 256
#: What is looked at of a text to find so many: to cut megabytes into tokens takes minutes.
_MAX_CHARACTERS = 50_000
#: Figures after the point that travel: a float32 of this size has no more.
_DIGITS = 7
_NEEDED = (("model.onnx",), ("tokenizer.json",))


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which files, and how they are run."""

    #: A folder with ``model.onnx`` and ``tokenizer.json``, in place of the built-in weights.
    path: str = ""
    weights: str = "minilm"
    data_dir: str = ""
    #: Threads that compute.
    n_threads: Annotated[int, Meta(ge=1)] = 1


class Vector(NamedTuple):
    """What became of one text."""

    values: list[float]
    #: Tokens of the text that were read.
    tokens: int
    #: Whether the text was longer than what was read.
    cut: bool


class MiniLM:
    """The encoder itself, in memory. Safe to use from several threads."""

    def __init__(self, folder: Path, n_threads: int = 1) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = n_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._net: Any = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)

    def embed(self, text: str) -> Vector:
        """Return the vector of one text.

        One at a time: on one thread that is as fast as a padded batch, and faster where the texts
        differ in length.
        """
        import numpy as np

        row = self._tokenizer.encode(text[:_MAX_CHARACTERS])
        mean = self._states(row.ids).mean(axis=0)
        values = (mean / np.linalg.norm(mean)).tolist()
        read = len(row.ids) - sum(row.special_tokens_mask)
        cut = bool(row.overflowing) or len(text) > _MAX_CHARACTERS
        return Vector([round(value, _DIGITS) for value in values], read, cut)

    def states(self, text: str) -> NDArray[np.float32]:
        """Return one vector a token, its two marks included: what a picture is drawn from."""
        return self._states(self._tokenizer.encode(text[:_MAX_CHARACTERS]).ids)

    def _states(self, tokens: list[int]) -> NDArray[np.float32]:
        import numpy as np

        ids = np.array([tokens], np.int64)
        inputs = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        states: NDArray[np.float32] = self._net.run(None, inputs)[0][0]
        return states


class MiniLMBackend:
    """A vector for each text of the query, in order."""

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.EMBEDDING})

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._settings = msgspec.convert(spec.settings, Settings)
        self._model: MiniLM | None = None

    def missing(self) -> str:
        for package in ("onnxruntime", "tokenizers"):
            if importlib.util.find_spec(package) is None:
                return f"The package {package} is missing: pip install 'mtor-kernel[builtin]'."
        place = self._place()
        return place if isinstance(place, str) else ""

    def load(self) -> None:
        if self._model is not None:
            return
        place = self._place()
        if isinstance(place, str):
            raise Unavailable(place)
        try:
            self._model = MiniLM(place, self._settings.n_threads)
        except MemoryError:
            raise
        except Exception as error:  # the libraries raise plain exceptions of many kinds
            raise BackendFailed(
                f"The files in {place} are no sentence encoder that onnxruntime can run "
                f"({type(error).__name__}): fetch them again."
            ) from error

    def unload(self) -> None:
        self._model = None

    def files(self) -> list[Path]:
        """Return the folder of its model."""
        place = self._place()
        return [place] if isinstance(place, Path) else []

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        model = self._model
        if model is None:
            raise Unavailable(f"{self._spec.name} is not in memory: ask again.")
        texts = texts_of(query.messages[-1])
        read = cut = 0
        for text in texts:
            if context.cancelled:
                return
            vector = model.embed(text)
            read += vector.tokens
            cut += vector.cut
            yield Delta(part=Data({"embedding": vector.values}), tokens=0)
        if cut:
            yield Step(1.0, f"{cut} of {len(texts)} texts: only the first {MAX_TOKENS} tokens read")
        yield Done(Usage(input_tokens=read), "length" if cut else "stop")

    def _place(self) -> Path | str:
        settings = self._settings
        return locate(settings.path, settings.weights, settings.data_dir, _NEEDED)


def texts_of(message: Message) -> list[str]:
    """Return the texts to embed; :class:`BadInput` for pictures, sounds and data."""
    texts = [part.text for part in message.parts if isinstance(part, Text)]
    if len(texts) < len(message.parts):
        raise BadInput("This model embeds words only: leave pictures, sounds and data out.")
    return texts
