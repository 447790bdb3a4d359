"""Plays an Ollama server: newline-delimited JSON, as its API's page writes it."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from typing import Any

from tests.dask_workers import contract
from tests.dask_workers.services.babble import babble, tokens
from tests.dask_workers.services.service import Asked, Reply, Service

_TIME = "2026-01-01T00:00:00.000000Z"


class OllamaService(Service):
    """Has a few models, and can pull one."""

    def __init__(self) -> None:
        super().__init__()
        #: The models that it has, and what each can do.
        self.models = {
            "llama3.2:3b": ["completion", "tools"],
            "llava:latest": ["completion", "vision"],
            "nomic-embed-text:latest": ["embedding"],
            "hf.co/Ann/Tiny-GGUF:Q4": ["completion"],
        }
        #: Whether it leaves the figures of a cached prompt out.
        self.tells_usage = True

    def reply(self, asked: Asked) -> Reply:
        match asked.path:
            case "/api/tags":
                return _json({"models": [_tag(name) for name in self.models]})
            case "/api/show":
                return _json({"capabilities": self.models[asked.json["model"]], "model_info": {}})
            case "/api/pull":
                return Reply(self._pull(asked.json["model"]), "application/x-ndjson")
            case "/api/chat":
                return Reply(self._chat(asked.json), "application/x-ndjson")
            case "/api/embed":
                return _json(_embeddings(asked.json))
        return Reply([b"404 page not found"], "text/plain", 404)

    def error(self, status: int, message: str) -> Any:
        return {"error": message}

    def _pull(self, name: str) -> Iterator[bytes]:
        yield _line({"status": "pulling manifest"})
        layer = {"status": "pulling dde5aa3fc5ff", "digest": "sha256:dde5", "total": 2_000_000}
        for completed in (0, 1_000_000, 2_000_000):
            yield _line(layer | {"completed": completed})
        self.models[name] = ["completion"]
        yield _line({"status": "verifying sha256 digest"})
        yield _line({"status": "success"})

    def _chat(self, body: dict[str, Any]) -> Iterator[bytes]:
        assert body["stream"] is True
        words = " ".join(turn["content"] for turn in body["messages"])
        for turn in body["messages"]:
            for picture in turn.get("images", ()):
                assert base64.b64decode(picture) == contract.png()
        chosen = body["options"]
        said = babble(words, chosen["num_predict"], chosen.get("stop", ()), chosen.get("seed", 0))
        event = {"model": body["model"], "created_at": _TIME}
        for word in said.words:
            yield _line(event | {"message": {"role": "assistant", "content": word}, "done": False})
        end = {
            "message": {"role": "assistant", "content": ""},
            "done": True,
            "done_reason": "length" if said.reason == "length" else "stop",
            "total_duration": 5_000_000,
        }
        if self.tells_usage:
            end |= {"prompt_eval_count": tokens(words), "eval_count": len(said.words)}
        yield _line(event | end)


def _line(told: Any) -> bytes:
    return json.dumps(told).encode() + b"\n"


def _json(told: Any) -> Reply:
    return Reply([json.dumps(told).encode()])


def _tag(name: str) -> Any:
    return {
        "name": name,
        "model": name,
        "modified_at": _TIME,
        "size": 2_000_000,
        "digest": "dde5aa3fc5ff",
        "details": {"format": "gguf", "family": "llama", "parameter_size": "3.2B"},
    }


def _embeddings(body: dict[str, Any]) -> Any:
    vectors = [[math.sin(len(text) + k) for k in (0, 1)] for text in body["input"]]
    used = sum(tokens(text) for text in body["input"])
    return {"model": body["model"], "embeddings": vectors, "prompt_eval_count": used}
