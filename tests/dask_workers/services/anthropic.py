"""Plays Anthropic's Messages API, in its version 2026-10-21, or 2023-06-01 where it is asked."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from tests.dask_workers import contract
from tests.dask_workers.services.babble import Babble, babble, tokens
from tests.dask_workers.services.service import Asked, Reply, Service

_SAMPLING = ("temperature", "top_p", "top_k")


class AnthropicService(Service):
    """One model that streams."""

    def __init__(self) -> None:
        super().__init__()
        #: Tokens of each prompt that are in its cache.
        self.cached = 0

    def reply(self, asked: Asked) -> Reply:
        if asked.path != "/v1/messages":
            return self._refuse(404, "not_found_error", "Not found")
        body = asked.json
        assert body["stream"] is True
        version = asked.headers["anthropic-version"]
        sampled = [name for name in _SAMPLING if name in body]
        if sampled and version != "2023-06-01":
            return self._invalid(f"{sampled[0]}: Extra inputs are not permitted")
        if len(sampled) > 1:
            return self._invalid("`temperature` and `top_p` cannot both be specified")
        if body["messages"][0]["role"] != "user":
            return self._invalid("messages: first message must use the user role")
        words = " ".join(_words(turn) for turn in body["messages"]) + body.get("system", "")
        said = babble(words, body["max_tokens"], body.get("stop_sequences", ()))
        return Reply(self._events(said, tokens(words), body["model"]), "text/event-stream")

    def error(self, status: int, message: str) -> Any:
        kind = {401: "authentication_error", 429: "rate_limit_error", 529: "overloaded_error"}
        told = {"type": kind.get(status, "api_error"), "message": message}
        return {"type": "error", "error": told, "request_id": "req_1"}

    def _invalid(self, message: str) -> Reply:
        return self._refuse(400, "invalid_request_error", message)

    def _refuse(self, status: int, kind: str, message: str) -> Reply:
        told = {"type": "error", "error": {"type": kind, "message": message}}
        return Reply([json.dumps(told).encode()], status=status)

    def _events(self, said: Babble, heard: int, model: str) -> Iterator[bytes]:
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": model,
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {
                "input_tokens": heard,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": self.cached,
                "output_tokens": 1,
            },
        }
        block = {"type": "text", "text": ""}
        yield event("message_start", message=message)
        yield event("ping")
        yield event("content_block_start", index=0, content_block=block)
        for word in said.words:
            yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
        yield event("content_block_stop", index=0)
        reasons = {"length": "max_tokens", "stop": "end_turn"}
        end = {
            "stop_reason": reasons.get(said.reason, said.reason),
            "stop_sequence": said.sequence or None,
        }
        yield event("message_delta", delta=end, usage={"output_tokens": len(said.words)})
        yield event("message_stop")


def event(kind: str, **more: Any) -> bytes:
    """One event of its stream."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


def _words(turn: dict[str, Any]) -> str:
    for piece in turn["content"]:
        if piece["type"] == "image":
            assert piece["source"]["media_type"] == "image/png"
            assert base64.b64decode(piece["source"]["data"]) == contract.png()
    return " ".join(piece.get("text", "picture") for piece in turn["content"])
