"""An answer as a notebook keeps it: plain text first, then HTML that is safe, then the figures."""

from __future__ import annotations

import base64
from html import escape
from typing import Any

import msgspec

from mtor_kernel.client.received import SHOWN, player, shown_size
from mtor_kernel.client.reply import Reply
from mtor_kernel.client.rowlist import in_words
from mtor_kernel.magics.table import QUIET
from mtor_kernel.protocol.media import mime_of
from mtor_kernel.protocol.query import Rows, text_of
from mtor_kernel.telling.markdown import readable, render_untrusted
from mtor_kernel.telling.story import cost_line

#: The whole answer, for programs and for a renderer of our own.
ANSWER_MIME = "application/vnd.mtor.answer+json"
#: Rows of a table that a cell shows; the rest are counted.
SHOWN_ROWS = 20


def bundle(text: str, note: str) -> dict[str, Any]:
    """Return the MIME bundle of an answer under way, or cut short: its text and one line."""
    note = readable(note)
    line = f'<div style="{QUIET}; font-size: 0.85em">{escape(note)}</div>'
    return {
        "text/plain": "\n\n".join(filter(None, [readable(text).strip(), note])),
        "text/html": f"<div>{render_untrusted(text)}{line}</div>",
    }


def words_of(plain: str) -> str:
    """Return the words in the plain text of an answer's bundle, without its quiet line."""
    return plain.rpartition("\n\n")[0]


def reply_bundle(reply: Reply) -> dict[str, Any]:
    """Return the MIME bundle of an answer, with its figures for programs."""
    return {**bundle(_shown(reply), cost_line(reply)), ANSWER_MIME: answer_of(reply)}


def answer_of(reply: Reply) -> dict[str, Any]:
    """Return an answer and what it took as plain JSON values; amounts in micro-credits."""
    return {
        "model": reply.model,
        "text": _shown(reply),
        "usage": msgspec.to_builtins(reply.charge.usage),
        "charge": {"amount_micro": reply.charge.amount_micro},
        "seconds": reply.seconds,
        "query": reply.query,
        "sources": [],
    }


def _shown(reply: Reply) -> str:
    """Return the words of an answer; rows of a table as a list of the first of them."""
    if not any(isinstance(part, Rows) for part in reply.parts):
        return reply.text
    return text_of(in_words(reply.parts, SHOWN_ROWS))


def preview_bundle(preview: bytes, none: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the bundle of a picture that is being drawn; where there is none, these words."""
    if not preview:
        return {"text/plain": none}, {}
    return picture_bundle(preview, "a picture on its way")


def picture_bundle(content: bytes, words: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the bundle of a picture and its metadata; small ones are shown larger.

    What is no picture that notebooks show becomes the `words` alone.
    """
    mime, plain = mime_of(content), {"text/plain": readable(words)}
    if mime not in SHOWN:
        return plain, {}
    size = shown_size(content)
    metadata = {mime: {"width": size[0], "height": size[1]}} if size else {}
    return {mime: base64.b64encode(content).decode(), **plain}, metadata


def player_bundle(content: bytes, words: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the bundle of an audio player with the sound inside it."""
    html = player(content)
    return {"text/plain": readable(words), **({"text/html": html} if html else {})}, {}
