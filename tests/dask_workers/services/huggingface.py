"""Plays an inference endpoint of Hugging Face: one URL a task, and TGI's chat."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

from tests.dask_workers import contract
from tests.dask_workers.services.openai import OpenAIService
from tests.dask_workers.services.service import Asked, Reply


class HuggingFaceService(OpenAIService):
    """A model for each task, at a path of its own."""

    root = ""

    def reply(self, asked: Asked) -> Reply:
        match asked.path:
            case "/embed":
                return _json([_vector(text) for text in asked.json["inputs"]])
            case "/draw":
                assert asked.headers["Accept"] == "image/png"
                return Reply([self._draw(asked.json)], "image/png")
            case "/hear":
                return _json(self._hear(asked.json))
        return super().reply(asked)

    def error(self, status: int, message: str) -> Any:
        return {"error": message}

    def _draw(self, body: dict[str, Any]) -> bytes:
        return contract.png(body["parameters"]["width"], body["parameters"]["height"])

    def _hear(self, body: dict[str, Any]) -> Any:
        assert base64.b64decode(body["inputs"]) == contract.wav()
        chunks = [
            {"text": " Hello", "timestamp": [0.0, 0.5]},
            {"text": " there.", "timestamp": [0.5, None]},
        ]
        return {"text": " Hello there.", "chunks": chunks}


def _json(told: Any) -> Reply:
    return Reply([json.dumps(told).encode()])


def _vector(text: str) -> list[float]:
    return [math.sin(len(text) + k) for k in (0, 1)]
