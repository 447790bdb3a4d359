"""A host's lines that are no messages: each is answered with an error, and the server goes on.

The package ``mcp`` hands such a line to the server as an exception, and the server says nothing. A
host that waits for an answer would wait for ever.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import INVALID_REQUEST, PARSE_ERROR, ErrorData, JSONRPCError
from pydantic import ValidationError

if TYPE_CHECKING:
    # The package has no public names for these.
    from mcp.shared._stream_protocols import ReadStream, WriteStream

_NOT_JSON = "That line is no JSON: a message is one line of JSON, in UTF-8."
_NO_MESSAGE = "That line is JSON, but no message of JSON-RPC 2.0."


class Answering:
    """What a host says, without what cannot be read: that is answered here."""

    def __init__(
        self, read: ReadStream[SessionMessage | Exception], write: WriteStream[SessionMessage]
    ) -> None:
        self._read, self._write = read, write

    @property
    def last_context(self) -> Any:
        """The context of the last message's sender, for who looks for it."""
        return getattr(self._read, "last_context", None)

    async def receive(self) -> SessionMessage:
        """Return the next message."""
        while isinstance(said := await self._read.receive(), Exception):
            await self._write.send(SessionMessage(fault_of(said)))
        return said

    async def aclose(self) -> None:
        """Hear no more."""
        await self._read.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def fault_of(error: Exception) -> JSONRPCError:
    """Return what a host is told of a line that could not be read; its words are not said again."""
    given = error.errors(include_url=False) if isinstance(error, ValidationError) else []
    if not given or given[0]["type"] == "json_invalid":
        return JSONRPCError(
            jsonrpc="2.0", id=None, error=ErrorData(code=PARSE_ERROR, message=_NOT_JSON)
        )
    said = given[0]["input"]
    named = said.get("id") if isinstance(said, dict) else None
    return JSONRPCError(
        jsonrpc="2.0",
        id=named if isinstance(named, str) or type(named) is int else None,
        error=ErrorData(code=INVALID_REQUEST, message=_NO_MESSAGE),
    )
