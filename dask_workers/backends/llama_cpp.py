"""Any GGUF file, run by llama.cpp's own server inside the worker's process.

The server listens on a free loopback port behind a random key. Its streaming HTTP face is used, not
the direct one, because closing the connection is the only way to stop an answer.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import secrets
import socket
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from dask_workers.dialogue import messages
from dask_workers.weights import BUNDLES, find
from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import BackendFailed, BadInput, TooLarge, Unavailable
from mtor_kernel.protocol.query import Modality, Query

_READ_BYTES = 1 << 20
_BAD_REQUEST = 400


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which file, and how it is run."""

    #: A GGUF file, or the name of built-in weights that ``mtor pull`` has fetched.
    path: str = ""
    weights: str = ""
    data_dir: str = ""
    #: The GGUF file of the projector by which it sees pictures; pulled weights bring theirs.
    mmproj: str = ""
    #: Threads that compute. With more than are idle, they spin at each other's barriers: two on a
    #: busy machine of two cores are ten times slower than one.
    n_threads: Annotated[int, Meta(ge=1)] = 1
    #: Tokens of input and output together, for each slot; 0: the model's entry, or 2048.
    n_ctx: Annotated[int, Meta(ge=0)] = 0
    #: Tokens of the prompt computed in one go; a cancel waits for these.
    n_batch: Annotated[int, Meta(ge=32)] = 64
    #: Layers that go to a GPU, where the library was built for one; -1: all that fit.
    n_gpu_layers: int = -1
    #: 0.2 without a repeat penalty is what small models answer best with.
    temperature: float = 0.2


class LlamaCppBackend:
    """One GGUF model in memory, shared by all its slots."""

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.CHAT, Modality.VISION})

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._settings = msgspec.convert(spec.settings, Settings)
        self._server: Any = None
        self._key = secrets.token_hex(16)

    def missing(self) -> str:
        if importlib.util.find_spec("xllamacpp") is None:
            return "The package xllamacpp is not installed: pip install 'mtor-kernel[builtin]'."
        if self._file() is not None:
            return self._blindness()
        weights = self._settings.weights
        if weights in BUNDLES:
            return f"The weights of {weights} are not here: mtor pull {weights}."
        if weights:
            return f"There are no built-in weights named {weights!r}; there are: {_known()}."
        return f"There is no file {self._settings.path or '(settings.path is not set)'}."

    def _blindness(self) -> str:
        """Return why a model that shall see cannot; empty if it can, or need not."""
        if self._spec.modality is not Modality.VISION or self._projector() is not None:
            return ""
        return "It cannot see without its projector: name that GGUF file in settings.mmproj."

    def load(self) -> None:
        if self._server is not None:
            return
        import xllamacpp

        path = self._file()
        if path is None:
            raise Unavailable(self.missing())
        _read_through(path)
        try:
            server = xllamacpp.Server(self._parameters(xllamacpp, path))
            # One that is stopped before its loop has begun never ends, and holds the interpreter
            # for ever. Its first answer shows that the loop has begun.
            server.handle_completions({"prompt": "a", "max_tokens": 1})
            self._server = server
        except RuntimeError:
            raise BackendFailed(
                f"llama.cpp could not load {path.name}: it is no GGUF file that this version "
                "knows, or there is no memory for it."
            ) from None

    def unload(self) -> None:
        self._server = None  # the library's destructor stops it

    def files(self) -> list[Path]:
        """Return the model and its projector."""
        return [file for file in (self._file(), self._projector_used()) if file]

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        body = _body(query, self._spec, self._settings, context)
        done = Done(Usage(), "stop")
        finished = False
        with self._post(body, context) as response:
            for event in _events(response):
                for choice in event.get("choices", ()):
                    if choice["finish_reason"]:
                        done = Done(done.usage, choice["finish_reason"])
                    words = choice["delta"].get("content")
                    if words:
                        yield Delta(words)
                if "usage" in event:
                    done = Done(_usage(event["usage"]), done.finish_reason)
                    finished = True
        if finished:
            yield done

    @property
    def address(self) -> str:
        """Where the loaded model's server listens."""
        return str(self._server.listening_address)

    def _file(self) -> Path | None:
        settings = self._settings
        if settings.weights:
            return self._pulled("")
        return _there(settings.path)

    def _projector(self) -> Path | None:
        settings = self._settings
        return _there(settings.mmproj) if settings.mmproj else self._pulled("mmproj")

    def _projector_used(self) -> Path | None:
        return self._projector() if self._spec.modality is Modality.VISION else None

    def _pulled(self, start: str) -> Path | None:
        """Return the first file of the pulled weights whose name starts so."""
        settings = self._settings
        if settings.weights not in BUNDLES:
            return None
        folder = find(settings.weights, settings.data_dir or None)
        names = [file.name for file in BUNDLES[settings.weights].files]
        name = next((name for name in names if name.startswith(start)), "")
        return folder / name if folder and name else None

    def _parameters(self, xllamacpp: Any, path: Path) -> Any:
        settings, slots = self._settings, self._spec.slots
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.model_alias = {self._spec.name}  # else replies carry the file's path
        projector = self._projector()
        if projector is not None:
            parameters.mmproj.path = str(projector)
        parameters.n_ctx = slots * (settings.n_ctx or self._spec.context_tokens or 2048)
        parameters.n_parallel = slots
        parameters.n_batch = parameters.n_ubatch = settings.n_batch
        parameters.n_gpu_layers = settings.n_gpu_layers
        parameters.cpuparams.n_threads = settings.n_threads
        parameters.cpuparams_batch.n_threads = settings.n_threads
        parameters.verbosity = 0
        parameters.api_keys = [self._key]
        parameters.endpoint_slots = False  # shows running prompts
        parameters.ui = False
        parameters.cache_ram_mib = 0  # else up to 8 GiB of people's earlier prompts
        return parameters

    @contextmanager
    def _post(self, body: dict[str, Any], context: Context) -> Iterator[http.client.HTTPResponse]:
        """Ask the server; a cancel closes the connection, which it notices."""
        address = urllib.parse.urlsplit(self.address)
        connection = http.client.HTTPConnection(address.hostname or "", address.port)
        connection.connect()
        open_socket = connection.sock
        context.on_cancel(lambda: _shut(open_socket))
        try:
            connection.request(
                "POST",
                "/v1/chat/completions",
                json.dumps(body),
                {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"},
            )
            response = connection.getresponse()
            if response.status >= _BAD_REQUEST:
                raise _refusal(response.status, response.read())
            yield response
        finally:
            _shut(open_socket)
            connection.close()


def _known() -> str:
    return ", ".join(sorted(BUNDLES))


def _read_through(path: Path) -> None:
    """Bring the file into the system's cache first.

    The library holds the interpreter while it loads: heartbeats must not wait for a disk.
    """
    with path.open("rb", buffering=0) as file:
        block = bytearray(_READ_BYTES)
        while file.readinto(block):
            pass


def _there(path: str) -> Path | None:
    place = Path(path).expanduser()
    return place if place.is_file() else None


def _body(query: Query, spec: ModelSpec, settings: Settings, context: Context) -> dict[str, Any]:
    given, defaults = query.options, spec.defaults

    def chosen(name: str, otherwise: Any = None) -> Any:
        for options in (given, defaults):
            if name in options.given():
                return getattr(options, name)
        return otherwise

    body = {
        "messages": messages(query, spec, context),
        "max_tokens": chosen("max_tokens", spec.default_max_tokens),
        "temperature": chosen("temperature", settings.temperature),
        "top_p": chosen("top_p"),
        "seed": chosen("seed"),
        "stop": chosen("stop"),
        "response_format": _format(chosen("json_schema")),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return {name: value for name, value in body.items() if value is not None}


def _format(schema: dict[str, Any] | None) -> dict[str, Any] | None:
    if schema is None:
        return None
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def _usage(told: dict[str, Any]) -> Usage:
    return Usage(input_tokens=told["prompt_tokens"], output_tokens=told["completion_tokens"])


def _events(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """Yield what the server tells, event by event."""
    for line in response:
        field, _, value = line.partition(b":")
        if field == b"error":
            raise _refusal(response.status, value)
        if field == b"data" and value.strip() != b"[DONE]":
            event = json.loads(value)
            if "error" in event:
                raise _refusal(response.status, value)
            yield event


def _refusal(status: int, body: bytes) -> Exception:
    """Return the error to raise for what the server answers instead of an answer."""
    try:
        error = json.loads(body).get("error", {})
    except ValueError:
        error = {}
    if error.get("type") == "exceed_context_size_error":
        limit, used = error.get("n_ctx", 0), error.get("n_prompt_tokens", 0)
        return TooLarge(
            f"The conversation is {used:,} tokens long and the model can hold {limit:,}: shorten "
            "it, or begin a new one.",
            limit=limit,
            used=used,
        )
    said = str(error.get("message", f"status {status}"))[:300]
    if error.get("code", status) == _BAD_REQUEST:
        return BadInput(f"The model cannot take this query: {said}.")
    return BackendFailed(f"The model failed: {said}.")


def _shut(open_socket: socket.socket) -> None:
    """End a connection under whoever waits on it; harmless for one that has ended."""
    with suppress(OSError):
        open_socket.shutdown(socket.SHUT_RDWR)
