"""The models of an Ollama server, on this machine or another."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import chain
from typing import Any, ClassVar

import msgspec

from dask_workers.dialogue import Signs, check_parts, estimate_input, finish_reason
from dask_workers.failures import garbled, scrub
from dask_workers.remote import HOOKS, Call, ServiceSettings, calling, count_tokens, options
from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import BackendFailed
from mtor_kernel.protocol.query import Data, Image, Message, Modality, Query, Text

Said = Iterator[Delta | Step | Done]

#: What Ollama calls that which a model of a modality must be able to do.
_ABILITIES = {
    Modality.CHAT: "completion",
    Modality.VISION: "vision",
    Modality.EMBEDDING: "embedding",
}
_NAME = re.compile(r"[a-z0-9][a-z0-9._:/-]{0,99}")
_MEGABYTE = 1_000_000


class Settings(ServiceSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the server is, and how it keeps its models."""

    url: str = "http://127.0.0.1:11434"
    #: How long the server keeps the model in memory after an answer, as Ollama writes it: "10m",
    #: "-1" for ever.
    keep_alive: str = "5m"


class OllamaBackend:
    """One model of one server, through the package ``ollama``."""

    modalities: ClassVar[frozenset[Modality]] = frozenset(_ABILITIES)

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._settings = msgspec.convert(spec.settings, Settings)
        self._client: Any = None

    def missing(self) -> str:
        return self._settings.missing("ollama")

    def load(self) -> None:
        if self._client is None:
            self._client = self._connect()

    def unload(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def stream(self, query: Query, context: Context) -> Said:
        embeds = self._spec.modality is Modality.EMBEDDING
        with calling(self._spec, context, self._settings) as call:
            yield from (self._embed if embeds else self._talk)(query, context, call)

    def variants(self) -> list[ModelSpec]:
        """Return an entry for each model of the server that does what this entry is for.

        Raises
        ------
        BackendFailed
            The server cannot be asked.
        """
        ability = _ABILITIES[self._spec.modality]
        client = self._connect()
        with closing(client), calling(self._spec, _Nobody(), self._settings) as call, call.asking():
            there = [model.model for model in client.list().models if model.model]
            able = [one for one in there if ability in (client.show(one).capabilities or ())]
        return [entry for one in able if (entry := self._variant(one)) is not None]

    def fetch(self, tell: Callable[[str], None]) -> None:
        """Have the server pull the model, if it has not got it; `tell` hears how far it is."""
        client = self._connect()
        with closing(client), calling(self._spec, _Nobody(), self._settings) as call, call.asking():
            there = {model.model for model in client.list().models}
            if there & {self._model, f"{self._model}:latest"}:
                return
            tell(f"Pulling {self._model}.")
            last = ""
            for step in client.pull(self._model, stream=True):
                now = _progress(self._model, step)
                if now != last:
                    tell(now)
                last = now
            if not last.endswith("success."):
                raise BackendFailed(f"Ollama broke off in pulling {self._model}: load it again.")

    def weights(self) -> str:
        """Return the digest of the model as its server tells it; empty where it knows none."""
        client = self._connect()
        with closing(client), calling(self._spec, _Nobody(), self._settings) as call, call.asking():
            there = {model.model: model.digest for model in client.list().models}
        found = there.get(self._model) or there.get(f"{self._model}:latest")
        return f"sha256:{found.removeprefix('sha256:')}" if found else ""

    @property
    def _model(self) -> str:
        return self._settings.model or self._spec.name

    def _connect(self) -> Any:
        import httpx
        import ollama

        settings = self._settings
        key = settings.key()
        hooks = HOOKS if key else {**HOOKS, "request": [*HOOKS["request"], _without_key]}
        return ollama.Client(
            settings.url,
            timeout=httpx.Timeout(settings.timeout_seconds, connect=settings.connect_seconds),
            headers={"Authorization": f"Bearer {key}"} if key else None,
            follow_redirects=False,
            event_hooks=hooks,
        )

    def _variant(self, model: str) -> ModelSpec | None:
        name = f"{self._spec.name}/{model.lower().removesuffix(':latest')}"
        if not _NAME.fullmatch(name):
            return None
        settings = {**self._spec.settings, "model": model}
        return msgspec.structs.replace(self._spec, name=name, discover=False, settings=settings)

    def _talk(self, query: Query, context: Context, call: Call) -> Said:
        chosen = options(query, self._spec)
        wanted = {
            "num_predict": chosen.max_tokens,
            "temperature": chosen.temperature,
            "top_p": chosen.top_p,
            "seed": chosen.seed,
            "stop": list(chosen.stop) or None,
            # Without it the server cuts a long conversation to its own default, silently.
            "num_ctx": self._spec.context_tokens,
        }
        with call.asking():
            events = self._client.chat(
                model=self._model,
                messages=[_message(turn, self._spec, context) for turn in query.messages],
                stream=True,
                format=chosen.json_schema,
                options={name: value for name, value in wanted.items() if value is not None},
                keep_alive=self._settings.keep_alive,
            )
            first = next(events, None)  # only now is it asked
        with closing(events):
            yield from self._said(chain([first] if first else [], events), query)

    def _said(self, events: Iterable[Any], query: Query) -> Said:
        said, signs = 0, Signs()
        for event in events:
            words = event.message.content
            if words:
                tokens = count_tokens(words)
                said += tokens
                yield Delta(words, tokens=tokens)
            elif not event.done and signs.due():
                yield Step(0.0, "thinking")
            if event.done:
                counted = event.prompt_eval_count is not None and event.eval_count is not None
                usage = Usage(
                    # A prompt that the server still had in its cache is told by no figure.
                    input_tokens=event.prompt_eval_count or estimate_input(query),
                    output_tokens=event.eval_count if event.eval_count is not None else said,
                    estimated=not counted,
                )
                yield Done(usage, finish_reason(event.done_reason or "stop"))
                return
        raise BackendFailed(f"The service of {self._spec.name} broke off in its answer: ask again.")

    def _embed(self, query: Query, context: Context, call: Call) -> Said:
        texts = [part.text for part in query.messages[-1].parts if isinstance(part, Text)]
        with call.asking():
            told = self._client.embed(
                model=self._model, input=texts, keep_alive=self._settings.keep_alive
            )
        if len(told.embeddings) != len(texts):
            raise garbled(self._spec.name, f"{len(told.embeddings)} vectors for {len(texts)} texts")
        for vector in told.embeddings:
            yield Delta(part=Data({"embedding": [float(number) for number in vector]}), tokens=0)
        guess = sum(count_tokens(text) for text in texts)
        counted = told.prompt_eval_count
        yield Done(Usage(input_tokens=counted or guess, estimated=not counted))


class _Nobody:
    """The context of what no query asked for."""

    cancelled = False

    def on_cancel(self, stop: Callable[[], None]) -> None:
        """Nobody cancels it."""

    def read_blob(self, blob: str) -> bytes:
        raise NotImplementedError

    def write_blob(self, content: bytes, mime: str) -> str:
        raise NotImplementedError


def _without_key(request: Any) -> None:
    """Send no key that nobody named: the client takes one from the environment by itself."""
    request.headers.pop("Authorization", None)


def _message(turn: Message, spec: ModelSpec, context: Context) -> dict[str, Any]:
    check_parts(turn, spec)
    pictures = [context.read_blob(part.blob) for part in turn.parts if isinstance(part, Image)]
    return {"role": turn.role, "content": turn.text} | ({"images": pictures} if pictures else {})


def _progress(model: str, step: Any) -> str:
    if step.total:
        share = 100 * (step.completed or 0) // step.total
        return f"Pulling {model}: {share} % of {step.total / _MEGABYTE:,.0f} MB."
    return f"Pulling {model}: {scrub(step.status or '')}."
