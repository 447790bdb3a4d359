"""Claude, by Anthropic's API."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec

from dask_workers.dialogue import Signs, check_parts, finish_reason, served_by
from dask_workers.failures import broken
from dask_workers.remote import HOOKS, ServiceSettings, calling, count_tokens, options
from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.protocol.query import Image, Message, Modality, Part, Query, Text

Said = Iterator[Delta | Step | Done]

#: The pictures that Claude looks at.
_PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
#: The last version of the API that takes ``temperature`` and ``top_p``.
_SAMPLING_VERSION = "2023-06-01"


class Settings(ServiceSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which of Anthropic's models, and by which version of the API."""

    url: str = "https://api.anthropic.com"
    key_env: str = "ANTHROPIC_API_KEY"
    #: The ``anthropic-version`` to ask with; empty: the package's own.
    api_version: str = ""


class AnthropicBackend:
    """One of Anthropic's models, through the package ``anthropic``."""

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.CHAT, Modality.VISION})

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._settings = msgspec.convert(spec.settings, Settings)
        self._client: Any = None

    def missing(self) -> str:
        return self._settings.missing("anthropic")

    def load(self) -> None:
        if self._client is not None:
            return
        import anthropic

        settings = self._settings
        timeout = anthropic.Timeout(settings.timeout_seconds, connect=settings.connect_seconds)
        version = settings.api_version
        self._client = anthropic.Anthropic(
            api_key=settings.key() or "none",
            base_url=settings.url,
            timeout=timeout,
            max_retries=0,
            default_headers={"anthropic-version": version} if version else None,
            http_client=anthropic.DefaultHttpxClient(
                event_hooks=HOOKS, timeout=timeout, follow_redirects=False
            ),
        )

    def unload(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def stream(self, query: Query, context: Context) -> Said:
        with calling(self._spec, context, self._settings) as call:
            body = self._body(query, context)
            with call.asking():
                events = self._client.messages.create(stream=True, **body)
            with events:
                yield from self._said(events)

    def _body(self, query: Query, context: Context) -> dict[str, Any]:
        chosen = options(query, self._spec)
        system = "\n\n".join(turn.text for turn in query.messages if turn.role == "system")
        body: dict[str, Any] = {
            "model": self._settings.model or self._spec.name,
            "max_tokens": chosen.max_tokens,
            "messages": [
                _message(turn, self._spec, context)
                for turn in query.messages
                if turn.role != "system"
            ],
        }
        if system:
            body["system"] = system
        if chosen.stop:
            body["stop_sequences"] = list(chosen.stop)
        if chosen.json_schema is not None:
            body["output_config"] = {
                "format": {"type": "json_schema", "schema": chosen.json_schema}
            }
        if self._settings.api_version == _SAMPLING_VERSION:
            # Only one of them, as the API asks. The package has no names for them any more.
            if chosen.temperature is not None:
                body["extra_body"] = {"temperature": min(chosen.temperature, 1.0)}
            elif chosen.top_p is not None:
                body["extra_body"] = {"top_p": chosen.top_p}
        return body

    def _said(self, events: Any) -> Said:
        heard, written, reason, served = 0, 0, "", ""
        words = False
        signs = Signs()
        for event in events:
            match event.type:
                case "message_start":
                    heard, written = _input(event.message.usage), event.message.usage.output_tokens
                    served = served_by(event.message)
                case "content_block_delta" if event.delta.type == "text_delta":
                    words = True
                    yield Delta(event.delta.text, tokens=count_tokens(event.delta.text))
                case "message_delta":
                    reason = event.delta.stop_reason or reason
                    written = event.usage.output_tokens
                    heard = _input(event.usage) or heard
                case "message_stop":
                    if reason == "refusal" and not words:
                        raise BadInput(f"{self._spec.name} declines to answer this: ask otherwise.")
                    ended = "length" if reason.startswith("model_context") else reason
                    yield Done(Usage(heard, written), finish_reason(ended), served)
                    return
                case _ if signs.due():
                    yield Step(0.0, "thinking")
        raise broken(self._spec.name)


def _input(told: Any) -> int:
    """Return all tokens that were read, whether from a cache or not."""
    return sum(
        getattr(told, name, 0) or 0
        for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    )


def _message(turn: Message, spec: ModelSpec, context: Context) -> dict[str, Any]:
    check_parts(turn, spec)
    pieces = [_piece(part, context) for part in turn.parts if not _is_empty(part)]
    return {"role": turn.role, "content": pieces}


def _is_empty(part: Part) -> bool:
    return isinstance(part, Text) and not part.text.strip()


def _piece(part: Part, context: Context) -> dict[str, Any]:
    if isinstance(part, Image):
        if part.mime not in _PICTURES:
            raise BadInput(f"Claude does not look at {part.mime}: send it as PNG.")
        data = base64.b64encode(context.read_blob(part.blob)).decode()
        source = {"type": "base64", "media_type": part.mime, "data": data}
        return {"type": "image", "source": source}
    assert isinstance(part, Text)
    return {"type": "text", "text": part.text}
