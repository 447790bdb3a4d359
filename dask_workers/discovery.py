"""What can this machine serve?"""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import NamedTuple

import msgspec

from dask_workers.child import IsolatedBackend
from mtor_kernel.protocol.backend import Backend, ModelSpec
from mtor_kernel.protocol.errors import RealmError

log = logging.getLogger(__name__)

#: Plugins of several gateways look at once, and msgspec crashes where two threads make the decoder
#: of one type at the same time (seen with 0.22): backends read their settings one by one.
_making = threading.Lock()
#: The entry point group by which other packages bring backends.
GROUP = "mtor.backends"
#: Ours, found even where the package's metadata is not.
BUILT_IN = {
    "anthropic": "dask_workers.backends.anthropic:AnthropicBackend",
    "diffusers": "dask_workers.backends.diffusers:DiffusersBackend",
    "echo": "dask_workers.backends.echo:EchoBackend",
    "espeak": "dask_workers.backends.espeak:EspeakBackend",
    "hibari": "dask_workers.backends.hibari:HibariBackend",
    "http_api": "dask_workers.backends.http_api:HttpApiBackend",
    "huggingface": "dask_workers.backends.huggingface:HuggingFaceBackend",
    "llama_cpp": "dask_workers.backends.llama_cpp:LlamaCppBackend",
    "minilm": "dask_workers.backends.minilm:MiniLMBackend",
    "ollama": "dask_workers.backends.ollama:OllamaBackend",
    "openai_compatible": "dask_workers.backends.openai_compatible:OpenAICompatibleBackend",
    "piper": "dask_workers.backends.piper:PiperBackend",
    "sight": "dask_workers.backends.sight:SightBackend",
    "whisper": "dask_workers.backends.whisper:WhisperBackend",
}


class Found(NamedTuple):
    """One model of the catalogue, held against this machine."""

    spec: ModelSpec
    #: ``None`` where there is no such backend.
    backend: Backend | None
    #: Why it cannot be served here, as a sentence; empty if it can.
    missing: str


def discover(specs: Iterable[ModelSpec], data_dir: str | None = None) -> list[Found]:
    """Hold each model against this machine, without loading any.

    An entry that stands for several models is followed by those that its backend finds.

    `data_dir` is given to the backends as the setting of that name, where a model's entry has none.
    """
    known = backend_names()
    found: list[Found] = []
    for spec in specs:
        if spec.discover:
            found += _look_behind(spec, known, data_dir)
        else:
            found.append(_look(spec, known, data_dir))
    return found


def backend_names() -> dict[str, str]:
    """Return where each backend's class is, as ``module:name``, by the backend's name."""
    return BUILT_IN | {entry.name: entry.value for entry in entry_points(group=GROUP)}


def _look(spec: ModelSpec, known: dict[str, str], data_dir: str | None) -> Found:
    if spec.backend not in known:
        names = ", ".join(sorted(known))
        return Found(spec, None, f"There is no backend {spec.backend!r}; there are: {names}.")
    settings = {"data_dir": data_dir, **spec.settings} if data_dir else spec.settings
    try:
        given = msgspec.structs.replace(spec, settings=settings)
        with _making:
            backend = _load(known[spec.backend])(given)
        if spec.modality not in backend.modalities:
            return Found(spec, None, f"The backend {spec.backend} does not do {spec.modality}.")
        if spec.isolate:
            apart = IsolatedBackend(given, known[spec.backend], backend)
            return Found(spec, apart, apart.missing())
        return Found(spec, backend, backend.missing())
    except Exception as error:
        log.exception("the backend %s could not be asked about %s", spec.backend, spec.name)
        return Found(spec, None, f"Its backend {spec.backend} failed ({type(error).__name__}).")


def _look_behind(spec: ModelSpec, known: dict[str, str], data_dir: str | None) -> list[Found]:
    """Return an entry that stands for several models, which nobody can ask, and these models."""
    entry = _look(msgspec.structs.replace(spec, isolate=False), known, data_dir)
    if entry.missing or entry.backend is None:
        return [Found(spec, None, entry.missing)]
    variants = getattr(entry.backend, "variants", None)
    if variants is None:
        return [Found(spec, None, f"The backend {spec.backend} finds no models by itself.")]
    try:
        entries = [msgspec.structs.replace(one, isolate=spec.isolate) for one in variants()]
    except RealmError as error:
        return [Found(spec, None, error.message)]
    except Exception as error:
        log.exception("the models behind %s could not be found", spec.name)
        return [Found(spec, None, f"Its backend {spec.backend} failed ({type(error).__name__}).")]
    several = [_look(one, known, None) for one in entries]
    names = ", ".join(one.spec.name for one in several[:5]) or "there is none just now"
    stands = f"It stands for the models of a server: ask for one of them by its name ({names})."
    return [Found(spec, None, stands), *several]


def _load(place: str) -> type[Backend]:
    module, _, name = place.partition(":")
    found: type[Backend] = getattr(importlib.import_module(module), name)
    return found
