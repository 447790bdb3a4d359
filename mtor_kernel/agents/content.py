"""Answers and errors as an agent gets them: MCP's content."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from mcp_types import AudioContent, CallToolResult, ContentBlock, ImageContent, TextContent

from mtor_kernel.client.aio import RealmClient
from mtor_kernel.client.reply import Reply
from mtor_kernel.protocol.account import show_credits
from mtor_kernel.protocol.errors import RealmError
from mtor_kernel.protocol.media import joined, mime_of
from mtor_kernel.protocol.query import Audio, Image
from mtor_kernel.telling.figures import show_retry

#: Under this name a result carries, for programs, what it cost or why there is none.
META = "mtor-kernel/query"


async def answered(realm: RealmClient, reply: Reply, details: bool = False) -> CallToolResult:
    """Return an answer: its words, its pictures, its sounds joined to one, then what was found."""
    content: list[ContentBlock] = [_text(reply.text)] if reply.text else []
    sounds: list[bytes] = []
    for part in reply.parts:
        if isinstance(part, Image):
            made = await realm.download(part.blob)
            content.append(ImageContent(data=_base64(made), mime_type=mime_of(made) or "image/png"))
        elif isinstance(part, Audio):
            sounds.append(await realm.download(part.blob))
    if sounds:
        sound = joined(sounds)
        content.append(AudioContent(data=_base64(sound), mime_type=mime_of(sound) or "audio/wav"))
    if reply.data and (details or not content):
        content.append(_text(_json(reply.data)))
    bill = {
        "id": reply.query,
        "model": reply.model,
        "credits": show_credits(reply.charge.amount_micro),
        "seconds": round(reply.seconds, 3),
        "finish_reason": reply.finish_reason,
    }
    return CallToolResult(content=content or [_text("")], _meta={META: bill})


def looked(value: dict[str, Any]) -> CallToolResult:
    """Return what is there, as JSON and as a value."""
    return CallToolResult(content=[_text(_json(value))], structured_content=value)


def refused(error: RealmError) -> CallToolResult:
    """Return an error: its sentence, and when to try again."""
    when = show_retry(error).capitalize()
    said = f"{error.message} {when}." if when else error.message
    why = {"error": msgspec.to_builtins(error.info())}
    return CallToolResult(content=[_text(said)], is_error=True, _meta={META: why})


def _text(words: str) -> TextContent:
    return TextContent(text=words)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
