"""Plays a service of OpenAI's dialect, in the lines of its API that the backend uses."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from typing import Any

from tests.dask_workers import contract
from tests.dask_workers.services.babble import babble, tokens
from tests.dask_workers.services.service import Asked, Reply, Service


class OpenAIService(Service):
    """Chat, embeddings, pictures, speech and transcription."""

    root = "/v1"

    def __init__(self) -> None:
        super().__init__()
        #: Whether it tells what it used, as it was asked.
        self.tells_usage = True

    def reply(self, asked: Asked) -> Reply:
        match asked.path:
            case "/v1/chat/completions":
                return self._chat(asked.json)
            case "/v1/embeddings":
                return _json(_embeddings(asked.json))
            case "/v1/images/generations":
                picture = base64.b64encode(contract.png()).decode()
                return _json({"created": 1, "data": [{"b64_json": picture}]})
            case "/v1/audio/speech":
                return Reply([_streamed_wav()], "audio/wav")
            case "/v1/audio/transcriptions":
                return _json(_transcription())
        return Reply([b'{"error": {"message": "Unknown request URL"}}'], status=404)

    def error(self, status: int, message: str) -> Any:
        kind = "invalid_request_error" if status < 500 else "server_error"
        return {"error": {"message": message, "type": kind, "param": None, "code": None}}

    def _chat(self, body: dict[str, Any]) -> Reply:
        words = " ".join(_words(turn) for turn in body["messages"])
        limit = body.get("max_tokens") or body["max_completion_tokens"]
        said = babble(words, limit, body.get("stop", ()), body.get("seed", 0))
        told = None
        if self.tells_usage and body.get("stream_options", {}).get("include_usage"):
            told = {"prompt_tokens": tokens(words), "completion_tokens": len(said.words)}
            told["total_tokens"] = sum(told.values())
        return Reply(self._events(said, told), "text/event-stream")

    def _events(self, said: Any, told: dict[str, int] | None) -> Iterator[bytes]:
        chunk = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "babble-1",
        }

        def event(choices: list[Any], **more: Any) -> bytes:
            return f"data: {json.dumps({**chunk, 'choices': choices, **more})}\n\n".encode()

        def choice(delta: dict[str, str], reason: str | None = None) -> list[Any]:
            return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]

        first = {"role": "assistant", "content": ""}
        for word in said.words:
            yield event(choice(first | {"content": word}))
            first = {}
        yield event(choice({}, "stop" if said.reason == "stop_sequence" else said.reason))
        if told is not None:
            yield event([], usage=told)
        yield b"data: [DONE]\n\n"


def _json(told: Any) -> Reply:
    return Reply([json.dumps(told).encode()])


def _words(turn: dict[str, Any]) -> str:
    content = turn["content"]
    if isinstance(content, str):
        return content
    return " ".join(piece.get("text", "picture") for piece in content)


def _embeddings(body: dict[str, Any]) -> Any:
    assert body["encoding_format"] == "float"
    vectors = [
        {
            "object": "embedding",
            "index": index,
            "embedding": [math.sin(len(text) + k) for k in (0, 1)],
        }
        for index, text in enumerate(body["input"])
    ]
    used = sum(tokens(text) for text in body["input"])
    return {
        "object": "list",
        "data": vectors[::-1],
        "model": body["model"],
        "usage": {"prompt_tokens": used, "total_tokens": used},
    }


def _streamed_wav() -> bytes:
    """A WAV whose header was written before its length was known."""
    whole = contract.wav(0.5, 24000)
    return whole[:4] + b"\xff" * 4 + whole[8:40] + b"\xff" * 4 + whole[44:]


def _transcription() -> Any:
    segment = {
        "id": 0,
        "seek": 0,
        "tokens": [1],
        "temperature": 0.0,
        "avg_logprob": -0.2,
        "compression_ratio": 1.0,
        "no_speech_prob": 0.0,
    }
    return {
        "task": "transcribe",
        "language": "english",
        "duration": 1.0,
        "text": "Hello there.",
        "segments": [
            segment | {"start": 0.0, "end": 0.5, "text": " Hello"},
            segment | {"id": 1, "start": 0.5, "end": 1.0, "text": " there."},
        ],
    }
